"""Write an encoder of an ONNX file as a part of a larger graph: from images in [0, 1] to its codes, as `FileEncoder` computes them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taskonomy.config.encoder_params import ChannelOrder
from taskonomy.errors import TaskonomyError
from taskonomy.inference.file_encoder import FileEncoder
from taskonomy.pretrained.onnx_encoder import OnnxEncoder
from taskonomy.pretrained.onnx_file import input_of, input_shape
from taskonomy.pretrained.principal import shares_of


@dataclass
class GraphPart:
    """Operators and weights that become a part of a graph.

    Attributes:
        name: What all names of it begin with; `NAME/part/` is its own, `NAME/weights/` the file's, `NAME/0/` the tensors of the file's first copy.
        nodes: The operators, in an order in which they can run.
        weights: Its constants.
        sparse: Constants that are stored sparse.
    """

    name: str
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    sparse: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator with one output, and return the name of that."""
        made = output or f"{self.name}/part/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [made], f"{self.name}/part/{operator}{len(self.nodes)}", **attributes))
        return made

    def constant(self, values: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant, and return its name."""
        name = f"{self.name}/part/constant{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name


def reads_one(encoder: FileEncoder) -> bool:
    """Return whether a file's network reads one image at once."""
    return input_shape(encoder.encoder.model)[0] == 1


def encoder_graph(name: str, encoder: FileEncoder, images: str, codes: str, count: int, opset: int) -> GraphPart:
    """Write an encoder, the averages to the codes' side, its projection, and the rounding to the type of stored codes.

    Args:
        name: The encoder's name.
        encoder: The encoder.
        images: Tensor [batch, images, 3, side, side] that it reads, in [0, 1], side: its own.
        codes: Tensor [batch * images, channels, height, width] that it makes.
        count: Images of a sample.
        opset: Version of ONNX's operators.

    Raises:
        TaskonomyError: The file's operators cannot be converted to that version.
    """
    part, file = GraphPart(name), encoder.encoder
    graph = converted(file.model, opset, f"{file.where}.file").graph
    pixels = _normalised(part, file, part.add("Reshape", images, part.constant([-1, 3, file.params.side, file.params.side], np.int64)))
    known = [one.name for one in graph.initializer] + [one.values.name for one in graph.sparse_initializer]
    part.weights += [_named(one, f"{name}/weights/{one.name}") for one in graph.initializer]
    part.sparse += [_named_sparse(one, f"{name}/weights/{one.values.name}") for one in graph.sparse_initializer]
    copies = range(count if reads_one(encoder) else 1)
    parts = [part.add("Gather", pixels, part.constant([copy], np.int64), axis=0) for copy in copies] if len(copies) > 1 else [pixels]
    found = [_copy_of(part, graph, input_of(file.model).name, set(known), copy, seen) for copy, seen in enumerate(parts)]
    output = part.add("Concat", *found, axis=0) if len(found) > 1 else found[0]
    maps, sides = _as_maps(part, file, part.add("Cast", output, to=TensorProto.FLOAT))
    part.add("Identity", _as_codes(part, encoder, maps, *sides), output=codes)
    return part


def _normalised(part: GraphPart, file: OnnxEncoder, pixels: str) -> str:
    mean, std = (part.constant(np.reshape(values, (1, 3, 1, 1))) for values in (file.params.mean, file.params.std))
    seen = part.add("Div", part.add("Sub", pixels, mean), std)
    if file.params.order is ChannelOrder.BGR:
        seen = part.add("Gather", seen, part.constant([2, 1, 0], np.int64), axis=1)
    return part.add("Cast", seen, to=input_of(file.model).type.tensor_type.elem_type)


def _copy_of(part: GraphPart, graph: Any, reads: str, weights: set[str], copy: int, seen: str) -> str:
    """Add the file's operators, which read `seen`, and return their output. Copies share the weights."""

    def named(name: str) -> str:
        if not name or name == reads:
            return name and seen
        return f"{part.name}/weights/{name}" if name in weights else f"{part.name}/{copy}/{name}"

    mine = onnx.GraphProto()
    mine.CopyFrom(graph)
    _rename(mine, named)
    part.nodes += mine.node
    return str(mine.output[0].name)


def _rename(graph: Any, named: Callable[[str], str]) -> None:
    """Rename every tensor of a graph, those of its branches included."""
    for number, node in enumerate(graph.node):
        node.name = named(f"{node.op_type} {number} {node.name}")
        node.input[:], node.output[:] = [named(name) for name in node.input], [named(name) for name in node.output]
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                _rename(inner, named)
    for one in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        one.name = named(one.name)


def _as_maps(part: GraphPart, file: OnnxEncoder, output: str) -> tuple[str, tuple[int, int]]:
    """Bring tokens into the form of a map, which a map has; return it with its height and width."""
    if len(file.shape) == 3:
        return output, (file.shape[1], file.shape[2])
    side = round((file.shape[0] - file.params.skip_tokens) ** 0.5)
    first, end, axis = (part.constant([number], np.int64) for number in (file.params.skip_tokens, np.iinfo(np.int64).max, 1))
    across = part.add("Transpose", part.add("Slice", output, first, end, axis), perm=[0, 2, 1])
    return part.add("Reshape", across, part.constant([0, 0, side, side], np.int64)), (side, side)


def _as_codes(part: GraphPart, encoder: FileEncoder, maps: str, height: int, width: int) -> str:
    """Average to the codes' side, project, and round: what `pooled` and `Components.project` do, in single precision."""
    if (height, width) != (encoder.side, encoder.side):
        maps = part.add("MatMul", maps, part.constant(shares_of(width, encoder.side).T))
        maps = part.add("MatMul", part.constant(shares_of(height, encoder.side)), maps)
    if (kept := encoder.components) is not None:
        centred = part.add("Sub", maps, part.constant(kept.mean[None, :, None, None]))
        maps = part.add("Conv", centred, part.constant(kept.axes[:, :, None, None]))
    if encoder.dtype == "float16":
        maps = part.add("Cast", part.add("Cast", maps, to=TensorProto.FLOAT16), to=TensorProto.FLOAT)
    return maps


def converted(model: Any, opset: int, where: str) -> Any:
    """Convert a network to a version of ONNX's operators; `where` is what an error begins with.

    Raises:
        TaskonomyError: That cannot be done.
    """
    if (mine := opset_of(model)) == opset:
        return model
    from onnx.version_converter import convert_version

    try:
        return convert_version(model, opset)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise TaskonomyError(
            f"{where}: its operators are of ONNX's version {mine}, and cannot be converted to {opset}: export it with that ({said})"
        ) from None


def opset_of(model: Any) -> int:
    """Return the version of ONNX's operators that a model is written in."""
    return next(int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx"))


def _named(tensor: Any, name: str) -> Any:
    made = TensorProto()
    made.CopyFrom(tensor)
    made.name = name
    return made


def _named_sparse(tensor: Any, name: str) -> Any:
    made = onnx.SparseTensorProto()
    made.CopyFrom(tensor)
    made.values.name = name
    return made
