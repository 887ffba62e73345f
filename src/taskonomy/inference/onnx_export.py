"""Write predictors as ONNX graphs, for programs without torch: from images to a target's output, weights included."""

import json
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError
from taskonomy.inference.composed_model import Readout
from taskonomy.inference.file_encoder import FileEncoder
from taskonomy.inference.predictor import AnyEncoder, Predictor, as_seen, predict

OPSET, MOST = 17, 20  # versions of ONNX's operators: of graphs whose encoders are the run's, and the latest that torch's exporter writes
INPUT, OUTPUT = "images", "output"
# Largest allowed difference, relative to the largest output (or 1): both compute in float32, but not in the same order.
TOLERANCE = 1e-4


class _OwnPart(nn.Module):
    """The network of one target but for encoders of ONNX files, whose codes it reads."""

    def __init__(self, encoders: Mapping[str, AnyEncoder], readout: Readout) -> None:
        super().__init__()
        self.own = nn.ModuleList(one for one in encoders.values() if not isinstance(one, FileEncoder))
        self.of_files, self.readout = tuple(isinstance(one, FileEncoder) for one in encoders.values()), readout

    def forward(self, *given: Float[Tensor, "..."]) -> Float[Tensor, "batch outputs *map"]:
        """Compute the output from images [batch, images, 3, side, side], if an encoder of the run is read, and the codes of each file's encoder."""
        left = iter(given)
        images = [next(left).flatten(0, 1)] if len(self.own) else []
        own = iter([encoder(*images) for encoder in self.own])
        codes = [next(left) if of_file else next(own) for of_file in self.of_files]
        output: Tensor = self.readout(torch.cat(codes, 1).unflatten(0, (-1, self.readout.images)))
        return output


def inputs_of(predictor: Predictor) -> dict[str, int]:
    """Return the names of a graph's inputs, and the side of the images of each.

    The run's encoders and those of ONNX files may see an image at different sides, each resized from the photograph: so there is an input for each.
    """
    sides = sorted({_side_of(predictor, encoder) for encoder in predictor.encoders.values()})
    return {INPUT: sides[0]} if len(sides) == 1 else {f"{INPUT}_{side}": side for side in sides}


def as_inputs(predictor: Predictor, samples: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]]) -> dict[str, Float32[np.ndarray, "batch images 3 _ _"]]:
    """Return what a graph reads of samples of square images of any size."""
    return {name: np.stack([as_seen(squares, side).numpy() for squares in samples]) for name, side in inputs_of(predictor).items()}


def write_graph(predictor: Predictor, path: Path) -> None:
    """Write a graph: `images` [batch, images, 3, side, side], float32 in [0, 1], to `output` [batch, ...], as the network gives it.

    The graph's properties hold the task, its title, the statistics that decode its output, the inputs with their sides, and the licences of what
    others trained. Where the encoders see different sides, there are several inputs (`inputs_of`).

    Args:
        predictor: A predictor on the CPU.
        path: The file, written atomically.

    Raises:
        TaskonomyError: The package onnx is not installed, or an encoder's file cannot be brought to the version of ONNX's operators of the others.
    """
    onnx = _package("onnx")
    files = {name: encoder for name, encoder in predictor.encoders.items() if isinstance(encoder, FileEncoder)}
    model = _with_files(predictor, files) if files else _own_part(predictor, files, OPSET)
    card = predictor.card
    facts = {"task": card["task"], "title": card["title"], "sources": "+".join(card["sources"]), "statistics": json.dumps(card["statistics"])}
    facts["inputs"] = json.dumps(inputs_of(predictor))
    if files:
        facts["licences"] = json.dumps({name: encoder.encoder.params.licence for name, encoder in files.items()})
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def _own_part(predictor: Predictor, files: Mapping[str, FileEncoder], opset: int) -> Any:
    """Export the network of a target but for the encoders of files, whose codes are inputs."""
    onnx = _package("onnx")
    count, inputs = predictor.task.images, dict[str, Tensor]()
    if len(files) < len(predictor.encoders):
        inputs[_input_of(predictor, predictor.side)] = torch.zeros(1, count, 3, predictor.side, predictor.side)
    for name, channels in zip(predictor.encoders, predictor.card["shapes"]["channels"], strict=True):
        if name in files:
            inputs[_codes_of(name)] = torch.zeros(count, channels, files[name].side, files[name].side)
    buffer, network = BytesIO(), _OwnPart(predictor.encoders, predictor.readout).eval()
    axes = {name: {0: "rows" if name in map(_codes_of, files) else "batch"} for name in inputs}
    with warnings.catch_warnings():
        # The exporter that works without onnxscript warns of its age, and of constants that are meant to be constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, tuple(inputs.values()), buffer, dynamo=False,  # type: ignore[arg-type]  # it accepts buffers
            opset_version=opset, input_names=list(inputs), output_names=[OUTPUT], dynamic_axes={**axes, OUTPUT: {0: "batch"}},
        )  # fmt: skip
    return onnx.load_model_from_string(buffer.getvalue())


def _with_files(predictor: Predictor, files: Mapping[str, FileEncoder]) -> Any:
    """Export the network of a target with the encoders of files before it, so that it reads images alone."""
    from taskonomy.inference.file_encoder_graph import converted, encoder_graph, opset_of, reads_one

    onnx = _package("onnx")
    opset = max(OPSET, *(opset_of(one.encoder.model) for one in files.values()))
    model = converted(_own_part(predictor, files, min(opset, MOST)), opset, predictor.task.name)
    count, graph = predictor.task.images, model.graph
    parts = [encoder_graph(name, one, _input_of(predictor, one.encoder.params.side), _codes_of(name), count, opset) for name, one in files.items()]
    later = list(graph.node)
    graph.ClearField("node")
    graph.node.extend([*(node for part in parts for node in part.nodes), *later])
    graph.initializer.extend(weights for part in parts for weights in part.weights)
    graph.sparse_initializer.extend(weights for part in parts for weights in part.sparse)
    batch = 1 if any(reads_one(one) for one in files.values()) else "batch"
    shapes = {name: [batch, count, 3, side, side] for name, side in inputs_of(predictor).items()}
    graph.ClearField("input")
    graph.input.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items())
    model.ir_version = max(model.ir_version, *(one.encoder.model.ir_version for one in files.values()))
    known = {one.domain for one in model.opset_import}
    others = {one.domain: one for file in files.values() for one in file.encoder.model.opset_import if one.domain not in {*known, "ai.onnx"}}
    model.opset_import.extend(others.values())
    return model


def difference(predictor: Predictor, path: Path, samples: int = 2) -> float:
    """Compute the largest difference between a graph and its predictor on random images, relative to the largest output, or to 1.

    Raises:
        TaskonomyError: The package onnxruntime is not installed.
    """
    runtime = _package("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    side, source = max(inputs_of(predictor).values()), np.random.default_rng(0)
    squares = [tuple(source.integers(0, 256, (side, side, 3), np.uint8) for _ in range(predictor.task.images)) for _ in range(samples)]
    wanted = np.stack([found.output for (found,) in predict([predictor], squares)])
    at_once = 1 if session.get_inputs()[0].shape[0] == 1 else samples
    parts = [as_inputs(predictor, squares[first : first + at_once]) for first in range(0, samples, at_once)]
    output = np.concatenate([session.run([OUTPUT], part)[0] for part in parts])
    return float(np.abs(output - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def _side_of(predictor: Predictor, encoder: AnyEncoder) -> int:
    return encoder.encoder.params.side if isinstance(encoder, FileEncoder) else predictor.side


def _input_of(predictor: Predictor, side: int) -> str:
    return next(name for name, one in inputs_of(predictor).items() if one == side)


def _codes_of(name: str) -> str:
    return f"codes_{name}"


def _package(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise TaskonomyError(f"{name} is not installed: pip install 'taskonomy[onnx]'") from None
