"""Read an encoder from an ONNX file, up to the tensor that is its representation.

A file of somebody else is data: operators are ONNX's own, weights lie in the file or within its folder, and nothing loops.
"""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError

ONNX_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_LOOPS = ("Loop", "Scan", "SequenceMap")  # their number of steps is data: a file of a few bytes may run for years
_LIKELY = 4  # tensors named where there is none of that name


def read_model(path: Path, output: str, where: str) -> Any:
    """Read the part of an ONNX file that computes one tensor, with its weights.

    Args:
        path: The file.
        output: Name of the tensor.
        where: What errors begin with: the key of the parameters.

    Returns:
        A model with one input and this output.

    Raises:
        TaskonomyError: The file is missing or damaged, holds operators that are not ONNX's, loops, keeps weights outside its folder, or lacks the
            tensor.
    """
    onnx = _package()
    if not path.is_file():
        raise TaskonomyError(f"{where}.file: {path}: no such file")
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:  # protobuf has errors of its own that share no base with others
        raise TaskonomyError(f"{where}.file: {path}: not an ONNX file, or a damaged one ({type(error).__name__})") from None
    if not model.graph.node:
        raise TaskonomyError(f"{where}.file: {path}: holds no network")
    _check_operators(model, f"{where}.file: {path}")
    _check_tensor(model, output, f"{where}.output")
    part = _up_to(model, output)
    _read_weights(part, path, f"{where}.file: {path}")
    _check_input(part, f"{where}.file: {path}")
    _check_form(part, f"{where}.file: {path}")
    return part


def tensors(model: Any) -> list[str]:
    """List the tensors that the network computes, in order."""
    return [name for node in model.graph.node for name in node.output if name]


def input_of(model: Any) -> Any:
    """Return the network's only input."""
    weights = {one.name for one in model.graph.initializer}
    return next(one for one in model.graph.input if one.name not in weights)


def input_shape(model: Any) -> list[int | None]:
    """Return the sizes of the input; None where any is right."""
    sizes = input_of(model).type.tensor_type.shape.dim
    return [int(size.dim_value) if size.HasField("dim_value") and size.dim_value > 0 else None for size in sizes]


def _check_operators(model: Any, where: str) -> None:
    for node in _nodes(model):
        if node.domain not in ONNX_DOMAINS:
            raise TaskonomyError(f"{where}: needs the operator {node.op_type} of {node.domain}, which is not ONNX's: export it without")
        if node.op_type in _LOOPS:
            raise TaskonomyError(f"{where}: holds a {node.op_type}, so that its time has no bound: export it with a fixed size")
    if model.functions:
        raise TaskonomyError(f"{where}: holds functions of its own: export it with them inlined (onnx.inliner)")


def _nodes(model: Any) -> Iterator[Any]:
    """Yield every operator, those within branches included."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += list(attribute.graphs)


def _check_tensor(model: Any, output: str, where: str) -> None:
    known = tensors(model)
    if output not in known:
        near = difflib.get_close_matches(output, known, _LIKELY) or known[-_LIKELY:]
        raise TaskonomyError(f"{where}: {output!r} is no tensor of the network; it has, among {len(known)}, {', '.join(map(repr, near))}")


def _up_to(model: Any, output: str) -> Any:
    """Copy the model without what the tensor does not need."""
    onnx = _package()
    made_by = {name: place for place, node in enumerate(model.graph.node) for name in node.output if name}
    needed: set[int] = set()
    wanted, seen = [output], {output}
    while wanted:
        name = wanted.pop()
        if name not in made_by or made_by[name] in needed:
            continue
        needed.add(made_by[name])
        for read in _reads(model.graph.node[made_by[name]]):
            if read not in seen:
                seen.add(read)
                wanted.append(read)
    part = onnx.ModelProto()
    part.CopyFrom(model)
    for field, kept in (
        ("node", [node for place, node in enumerate(model.graph.node) if place in needed]),
        ("initializer", [one for one in model.graph.initializer if one.name in seen]),
        ("sparse_initializer", [one for one in model.graph.sparse_initializer if one.values.name in seen]),
        ("input", [one for one in model.graph.input if one.name in seen]),
        ("output", [_described(model, output)]),
    ):
        part.graph.ClearField(field)
        getattr(part.graph, field).extend(kept)
    return part


def _described(model: Any, output: str) -> Any:
    """Return the description of a tensor; of one that the file does not describe, the name alone, as the runtime finds out its type."""
    known = {one.name: one for one in (*model.graph.value_info, *model.graph.output)}
    return known.get(output) or _inferred(model, output)


def _inferred(model: Any, output: str) -> Any:
    onnx = _package()
    try:
        found = {one.name: one for one in onnx.shape_inference.infer_shapes(model).graph.value_info}
    except Exception:  # what cannot be inferred is found out when the network runs
        found = {}
    return found.get(output) or onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)


def _reads(node: Any) -> Iterable[str]:
    """Yield the tensors that an operator reads, those that its branches read from outside included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            yield from (one.name for one in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def _read_weights(model: Any, path: Path, where: str) -> None:
    """Read the weights that lie in files beside the model."""
    onnx = _package()
    folder = path.parent.resolve()
    external = [one for one in _tensors_of(model) if one.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in external:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise TaskonomyError(f"{where}: its weights {tensor.name!r} lie in {location!r}, outside of its folder, and are not read")
        if not file.is_file():
            raise TaskonomyError(f"{where}: its weights {tensor.name!r} lie in {file}, which is missing")
    try:
        for tensor in external:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    except Exception as error:
        raise TaskonomyError(f"{where}: its weights cannot be read ({_first_line(error)})") from None


def _tensors_of(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for one in model.graph.sparse_initializer:
        yield from (one.values, one.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_form(model: Any, where: str) -> None:
    """Check the model as ONNX defines it, but for the shape of its output, which files need not describe for inner tensors."""
    described = model.graph.output[0].type.tensor_type
    missing = not described.HasField("shape")
    described.shape.SetInParent()
    try:
        _package().checker.check_model(model)
    except Exception as error:
        raise TaskonomyError(f"{where}: not valid ONNX ({_first_line(error)})") from None
    if missing:
        described.ClearField("shape")


def _check_input(model: Any, where: str) -> None:
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1:
        raise TaskonomyError(f"{where}: must read one image, and reads {len(inputs)} tensors: {', '.join(one.name for one in inputs) or 'none'}")
    shape, kind = input_shape(model), inputs[0].type.tensor_type.elem_type
    types = _package().TensorProto
    if kind not in (types.FLOAT, types.FLOAT16):
        raise TaskonomyError(f"{where}: must read floats, and reads {types.DataType.Name(kind)}")
    if len(shape) != 4 or shape[1] not in (None, 3):
        sizes = ", ".join("?" if size is None else str(size) for size in shape)
        raise TaskonomyError(f"{where}: must read images [images, 3, height, width], and reads [{sizes}]")


def _package() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.external_data_helper
        import onnx.shape_inference
    except ImportError:
        raise TaskonomyError("onnx is not installed: pip install 'taskonomy[onnx]'") from None
    return onnx


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
