"""Encoders that others trained: what a file must be, and one line for each thing that can be wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from taskonomy.config.checked import checked
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.onnx_encoder import OnnxEncoder

SIDE = 16
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def params(**changes: Any) -> PretrainedParams:
    return checked(PretrainedParams, {"file": "net.onnx", "output": "features", "side": SIDE, "channels": 2, **changes}, "encoders.net")


def model(shape: tuple[Any, ...] = ("n", 3, "h", "w"), extra: tuple[Any, ...] = (), weights: tuple[Any, ...] = (), **more: Any) -> Any:
    """A convolution, then a rectifier: `features`, then `head`."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], pads=[1, 1, 1, 1], strides=[2, 2]),
        *extra,
        helper.make_node("Relu", ["features"], ["head"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", more.get("kind", TensorProto.FLOAT), shape), *more.get("inputs", ())],
        [helper.make_tensor_value_info("head", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(KERNEL, "kernel"), *weights],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in more.get("domains", ()))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(folder: Path, made: Any) -> Path:
    (folder / "net.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return folder


def test_an_inner_tensor_is_what_torch_computes(tmp_path: Path) -> None:
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    encoder = OnnxEncoder("net", params(mean=mean, std=std), saved(tmp_path, model()))
    seen = (torch.tensor(IMAGES).permute(0, 3, 1, 2) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    wanted = nn.functional.conv2d(seen, torch.tensor(KERNEL), stride=2, padding=1)
    np.testing.assert_allclose(encoder.maps(IMAGES), wanted.numpy(), atol=1e-4)
    assert encoder.maps(IMAGES).tobytes() == encoder.maps(IMAGES).tobytes()
    swapped = OnnxEncoder("net", params(order="bgr"), tmp_path).maps(IMAGES[..., ::-1].copy())
    np.testing.assert_array_equal(swapped, OnnxEncoder("net", params(), tmp_path).maps(IMAGES))


def test_a_file_for_one_image_at_a_time_gives_what_a_batch_gives(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    for folder in (one, many):
        folder.mkdir()
    alone = OnnxEncoder("net", params(), saved(one, model((1, 3, SIDE, SIDE)))).maps(IMAGES)
    np.testing.assert_allclose(alone, OnnxEncoder("net", params(), saved(many, model())).maps(IMAGES), atol=1e-5)


def tokens(count: int, axes: int = 3) -> Any:
    """Some tokens of four numbers for each image: the image's mean colours, repeated."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
        helper.make_node("Expand", ["flat", "sizes"], ["wide"]),
        helper.make_node("Mul", ["wide", "factors"], ["features"]),
    ]
    factors = np.arange(1, count + 1, dtype=np.float32)[None, :, None]
    weights = {"shape": np.array([0, 1, 3] if axes == 3 else [0, 3]), "sizes": np.array([1, count, 3] if axes == 3 else [1, 3]), "factors": factors}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("n", 3, "h", "w"))],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_tokens_become_a_map_in_reading_order_without_those_skipped(tmp_path: Path) -> None:
    maps = OnnxEncoder("net", params(skip_tokens=1), saved(tmp_path, tokens(10))).maps(IMAGES)
    assert maps.shape == (3, 3, 3, 3)
    colours = IMAGES.astype(np.float32).mean((1, 2)) / 255
    np.testing.assert_allclose(maps, colours[:, :, None, None] * np.arange(2, 11).reshape(3, 3), rtol=1e-4)


def outside(location: str) -> Callable[[], Any]:
    def make() -> Any:
        made = model()
        kernel = made.graph.initializer[0]
        kernel.ClearField("raw_data")
        kernel.data_location = TensorProto.EXTERNAL
        kernel.external_data.add(key="location", value=location)
        return made

    return make


def branch(node: Any) -> Any:
    return helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)])


def loop() -> Any:
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ()), helper.make_tensor_value_info("on", TensorProto.BOOL, ())],
        [helper.make_tensor_value_info("still_on", TensorProto.BOOL, ())],
    )
    steps = numpy_helper.from_array(np.array(2**62), "steps")
    return model(extra=(helper.make_node("Loop", ["steps", ""], [], body=body),), weights=(steps,))


def hidden() -> Any:
    inner = branch(helper.make_node("Evil", ["features"], ["b"], domain="com.evil"))
    node = helper.make_node("If", ["yes"], ["c"], then_branch=inner, else_branch=inner)
    return model(extra=(node,), weights=(numpy_helper.from_array(np.array(True), "yes"),), domains=("com.evil",))


def with_function() -> Any:
    made = model()
    made.functions.append(helper.make_function("own", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 17)]))
    return made


def bad_values(value: float) -> Any:
    made = model()
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full_like(KERNEL, value), "kernel"))
    return made


def cycle() -> Any:
    made = model()
    made.graph.node[0].input[0] = "head"
    return made


MAP = "must be a map"
WRONG: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "empty": (lambda: b"", {}, "holds no network"),
    "text": (lambda: b"import os\n" * 50, {}, "not an ONNX file"),
    "cut short": (lambda: model().SerializeToString()[:-40], {}, "not an ONNX file"),
    "pickle": (lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.", {}, "not an ONNX file"),
    "no such tensor": (model, {"output": "featurs"}, "'featurs' is no tensor of the network; it has, among 2, 'features'"),
    "a weight is no output": (model, {"output": "kernel"}, "is no tensor of the network"),
    "operators of others": (lambda: model(extra=(helper.make_node("Evil", ["features"], ["z"], domain="com.evil"),)), {}, "Evil of com.evil"),
    "operators of others in a branch": (hidden, {}, "Evil of com.evil"),
    "an operator that there is not": (lambda: model(extra=(helper.make_node("Nonsense", ["features"], ["z"]),)), {"output": "z"}, "not valid ONNX"),
    "functions of its own": (with_function, {}, "functions of its own"),
    "a loop": (loop, {}, "holds a Loop"),
    "weights of another folder": (outside("../../etc/passwd"), {}, "outside of its folder"),
    "weights at an absolute path": (outside("/etc/passwd"), {}, "outside of its folder"),
    "weights behind a link": (outside("link/weights.bin"), {}, "outside of its folder"),
    "weights nowhere": (outside("weights.bin"), {}, "which is missing"),
    "weights too short": (outside("short.bin"), {}, "net.onnx"),
    "two inputs": (
        lambda: model(extra=(helper.make_node("Add", ["features", "mask"], ["z"]),), inputs=(helper.make_tensor_value_info("mask", 1, None),)),
        {"output": "z"},
        "reads 2 tensors: image, mask",
    ),
    "no input": (lambda: _constant(), {}, "reads 0 tensors"),
    "whole numbers as input": (lambda: model(kind=TensorProto.INT32), {}, "net.onnx"),
    "grey images": (lambda: model(("n", 1, "h", "w")), {}, "net.onnx"),
    "another side": (lambda: model(("n", 3, 224, 224)), {}, "write side: 224"),
    "a batch of eight": (lambda: model((8, 3, SIDE, SIDE)), {}, "reads 8 images at once"),
    "NaN": (lambda: bad_values(np.nan), {}, "NaN or infinite"),
    "infinite": (lambda: bad_values(1e38), {"std": [1e-6, 1e-6, 1e-6]}, "NaN or infinite"),
    "neither map nor tokens": (lambda: tokens(1, axes=2), {}, MAP),
    "tokens of no square": (lambda: tokens(10), {}, "10 tokens less 0 are no square image; skip_tokens: 1 would be"),
    "tokens skipped of a map": (model, {"skip_tokens": 1}, "is a map and has no tokens to skip"),
    "a graph that bites its tail": (cycle, {"output": "head"}, "net.onnx"),
}


def _constant() -> Any:
    node = helper.make_node("Constant", [], ["features"], value=numpy_helper.from_array(np.zeros((1, 3, 2, 2), np.float32)))
    graph = helper.make_graph([node], "net", [], [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("what", WRONG)
def test_each_broken_or_hostile_file_is_one_line_that_says_what_is_wrong(what: str, tmp_path: Path) -> None:
    make, changes, said = WRONG[what]
    folder = tmp_path / "encoders"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(KERNEL.tobytes())
    (folder / "link").symlink_to(tmp_path)
    (folder / "short.bin").write_bytes(b"\0" * 8)
    with pytest.raises(TaskonomyError) as error:
        OnnxEncoder("net", params(**changes), saved(folder, make())).maps(IMAGES)
    assert said in str(error.value)
    assert str(error.value).startswith("encoders.net.")
    assert len(str(error.value).splitlines()) == 1


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    saved(tmp_path, model())
    inside = OnnxEncoder("net", params(), tmp_path).maps(IMAGES)
    onnx.save_model(model(), str(tmp_path / "net.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(OnnxEncoder("net", params(), tmp_path).maps(IMAGES), inside)
