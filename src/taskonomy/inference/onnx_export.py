"""Write predictors as ONNX graphs, for programs without torch: from images to a target's output, weights included."""

import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError
from taskonomy.inference.file_encoder import FileEncoder
from taskonomy.inference.predictor import Predictor

OPSET = 17
INPUT, OUTPUT = "images", "output"
# Largest allowed difference, relative to the largest output (or 1): both compute in float32, but not in the same order.
TOLERANCE = 1e-4


def write_graph(predictor: Predictor, path: Path) -> None:
    """Write a graph: `images` [batch, images, 3, side, side], float32 in [0, 1], to `output` [batch, ...], as the network gives it.

    The graph's properties hold the task, its title and the statistics that decode its output.

    Args:
        predictor: A predictor on the CPU.
        path: The file, written atomically.

    Raises:
        TaskonomyError: The package onnx is not installed, or an encoder is an ONNX file itself.
    """
    onnx = _package("onnx")
    if files := [name for name, encoder in predictor.encoders.items() if isinstance(encoder, FileEncoder)]:
        raise TaskonomyError(
            f"{predictor.task.name} reads {', '.join(files)}, an ONNX file of its own; graphs are written of targets that read the run's encoders"
        )
    example = torch.zeros(1, predictor.task.images, 3, predictor.side, predictor.side)
    buffer = BytesIO()
    with warnings.catch_warnings():
        # The exporter that works without onnxscript warns of its age, and of constants that are meant to be constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            predictor.network, (example,), buffer, dynamo=False,  # type: ignore[arg-type]  # it accepts buffers
            opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
        )  # fmt: skip
    model = onnx.load_model_from_string(buffer.getvalue())
    card = predictor.card
    facts = {"task": card["task"], "title": card["title"], "sources": "+".join(card["sources"]), "statistics": json.dumps(card["statistics"])}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def difference(predictor: Predictor, path: Path, samples: int = 2) -> float:
    """Compute the largest difference between a graph and its predictor on random images, relative to the largest output, or to 1.

    Raises:
        TaskonomyError: The package onnxruntime is not installed.
    """
    runtime = _package("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    source = torch.Generator().manual_seed(0)
    images = torch.rand(samples, predictor.task.images, 3, predictor.side, predictor.side, generator=source)
    with torch.no_grad():
        wanted = predictor.network(images).numpy()
    found = session.run([OUTPUT], {INPUT: images.numpy()})[0]
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def _package(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise TaskonomyError(f"{name} is not installed: pip install 'taskonomy[onnx]'") from None
