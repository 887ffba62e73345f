"""What an encoder of an ONNX file costs to run: weights, and multiply-adds of its convolutions and matrix products."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from taskonomy.config.network_params import EncoderParams
from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.onnx_file import input_of

_COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Shape = tuple[int, ...]


def parameters_of(model: Any) -> int:
    """Count the numbers of a model's weights; whole numbers, such as shapes, are none."""
    floats = (1, 10, 11, 16)  # TensorProto.FLOAT, FLOAT16, DOUBLE, BFLOAT16
    return sum(prod(one.dims) for one in model.graph.initializer if one.data_type in floats)


def own_multiply_adds(encoder: EncoderParams, side: int) -> dict[str, int]:
    """Count the multiply-adds of one image in the run's own encoders: channels of what they read (1: lightness, 3: colours) -> their number."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from taskonomy.models.encoder import make_encoder

    found = {}
    for channels in (1, 3):
        network = make_encoder(encoder, channels).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, channels, side, side))
        found[str(channels)] = int(counter.get_total_flops()) // 2  # a multiplication and an addition are two
    return found


def multiply_adds(model: Any, side: int) -> int:
    """Count the multiply-adds of one image: of Conv, ConvTranspose, Gemm and MatMul; those within branches are not counted.

    The shapes of all tensors are those of one image that runs through the network: files need not describe them, and of token networks they do not
    follow from the file alone.

    Args:
        model: As `read_model` reads it.
        side: Side of the image, pixels.

    Raises:
        TaskonomyError: The network fails on an image of this side.
    """
    counted = [node for node in model.graph.node if node.op_type in _COUNTED]
    shapes = _shapes(model, side, list(dict.fromkeys(name for node in counted for name in (*node.input, *node.output) if name)))
    return sum(_of_node(node, shapes) for node in counted)


def _of_node(node: Any, shapes: dict[str, Shape]) -> int:
    first, weights, made = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
    match node.op_type:
        case "Conv":  # weights: outputs, inputs of a group, kernel
            return prod(made) * prod(weights[1:])
        case "ConvTranspose":  # weights: inputs, outputs of a group, kernel
            return prod(first) * prod(weights[1:])
        case "Gemm":
            across = next((one.i for one in node.attribute if one.name == "transA"), 0)
            return prod(made) * first[0 if across else 1]
        case _:
            return prod(made) * first[-1]


def _shapes(model: Any, side: int, names: list[str]) -> dict[str, Shape]:
    """Run the network on one image, and return the shapes of these tensors."""
    import onnx
    import onnxruntime

    known: dict[str, Shape] = {one.name: tuple(one.dims) for one in model.graph.initializer}
    image = input_of(model)
    known[image.name] = (1, 3, side, side)
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    wanted = [name for name in names if name not in known]
    there = {one.name for one in shown.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in there)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # others merge operators, and their tensors are gone
    options.log_severity_level = 4
    pixels = np.zeros((1, 3, side, side), np.float16 if image.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16 else np.float32)
    try:
        session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(wanted, {image.name: pixels})
    except Exception as error:
        raise TaskonomyError(f"its multiply-adds cannot be counted ({' '.join(str(error).split())[:200]})") from None
    return known | dict(_sizes(wanted, found))


def _sizes(names: list[str], found: list[Any]) -> Iterator[tuple[str, Shape]]:
    for name, value in zip(names, found, strict=True):
        yield name, tuple(np.asarray(value).shape)
