"""Targets that read encoders of ONNX files, as graphs: they answer what `taskonomy predict` does."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from tiny import SIDE, tiny_config
from torch import nn
from typer.testing import CliRunner

from taskonomy.atomic_io import write_json
from taskonomy.cli.main import app
from taskonomy.config.checked import checked
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.errors import TaskonomyError
from taskonomy.inference.composed_model import fresh_encoder, fresh_readout
from taskonomy.inference.file_encoder import write_file_encoder
from taskonomy.inference.file_encoder_graph import converted
from taskonomy.inference.manifest import FORMAT
from taskonomy.inference.onnx_export import TOLERANCE, as_inputs, difference, write_graph
from taskonomy.inference.predictor import Predictor, load_predictors, predict
from taskonomy.pretrained.principal import Components
from taskonomy.tasks import BUILT_IN, Task
from taskonomy.training.checkpoint import save_weights

LARGE = 50  # pixels; its map of 13 places is no multiple of the codes' side
CHOSEN = {
    "autoencoding": ("autoencoding", "maps"),
    "camera_pose_fixated": ("tokens",),
    "normal": ("maps", "tokens"),
    "reshading": ("autoencoding",),
}
INPUTS = {
    "autoencoding": {"images_32": ["batch", 1, 3, SIDE, SIDE], "images_50": ["batch", 1, 3, LARGE, LARGE]},
    "camera_pose_fixated": {"images": [1, 2, 3, SIDE, SIDE]},
    "reshading": {"images": ["batch", 1, 3, SIDE, SIDE]},
    "normal": {"images_32": [1, 1, 3, SIDE, SIDE], "images_50": [1, 1, 3, LARGE, LARGE]},
}


class Maps(nn.Module):
    """Six channels, of places of four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


class Tokens(nn.Module):
    """Two tokens of the image, and one of each patch of eight pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.own, self.norm = nn.Conv2d(3, 5, 8, 8), nn.Parameter(torch.randn(1, 2, 5)), nn.LayerNorm(5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(torch.cat([self.own, self.patches(images).flatten(2).transpose(1, 2)], 1))


def as_file(network: nn.Module, path: Path, side: int, opset: int, *, any_batch: bool) -> str:
    axes = {"image": {0: "n"}, "features": {0: "n"}} if any_batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.zeros(1, 3, side, side),), str(path), dynamo=False, opset_version=opset, input_names=["image"],
                          output_names=["features"], dynamic_axes=axes)  # fmt: skip
    return str(path)


DECLARED = {
    "maps": {"side": LARGE, "channels": 4, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "order": "bgr", "licence": "Apache-2.0"},
    "tokens": {"side": SIDE, "skip_tokens": 2, "channels": None, "licence": "MIT"},
}


def made_by_the_stage_encode(folder: Path, codes: Float[np.ndarray, "1 channels side side"], components: Components | None) -> Path:
    """What `export` reads of an encoder's codes; the numbers themselves are not among it."""
    folder.mkdir(parents=True)
    facts = {"channels": codes.shape[1], "explained": 0.9, "parameters": 100, "multiply_adds": 1_500_000, "own_multiply_adds": {}}
    write_json(folder / "facts.json", facts)
    np.save(folder / "image.npy", codes)
    if components is not None:
        np.savez(folder / "components.npz", mean=components.mean, axes=components.axes, explained=components.explained)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictors as the stage `export` writes them, untrained: they read a task's encoder, and two of files, of other sides and versions."""
    torch.manual_seed(0)
    home, rng, config = tmp_path_factory.mktemp("of_files"), np.random.default_rng(0), tiny_config("normal")
    predictors, side = home / "predictors", SIDE // config.encoder.stride
    for part in ("encoders", "targets"):
        (predictors / part).mkdir(parents=True)
    files = {
        "maps": as_file(Maps(), home / "maps.onnx", LARGE, 11, any_batch=True),
        "tokens": as_file(Tokens(), home / "tokens.onnx", SIDE, 18, any_batch=False),
    }
    kept = {"maps": Components(rng.normal(size=6), np.linalg.qr(rng.normal(size=(6, 6)))[0][:4], 0.9), "tokens": None}
    entries: dict[str, Any] = {}
    for (name, said), channels in zip(DECLARED.items(), (4, 5), strict=True):
        params = checked(PretrainedParams, {**said, "file": files[name], "output": "features"}, f"encoders.{name}")
        codes = made_by_the_stage_encode(home / "codes" / name, np.zeros((1, channels, side, side), np.float16), kept[name])
        entries[name] = write_file_encoder(name, params, codes, predictors / "encoders", "image.npy")
    own = fresh_encoder(BUILT_IN["autoencoding"], config.encoder)
    save_weights(predictors / "encoders/autoencoding.safetensors", own.encoder, {"task": "autoencoding"})
    entries["autoencoding"] = {
        "title": "Autoencoding",
        "shape": config.encoder.model_dump(mode="json"),
        "code": [config.encoder.channels, side, side],
    }
    for target, names in CHOSEN.items():
        write_readout(predictors / "targets", BUILT_IN[target], names, [entries[name]["code"][0] for name in names])
    targets: dict[str, Any] = {name: {} for name in CHOSEN}
    index = {
        "format": FORMAT,
        "side": SIDE,
        "targets": targets,
        "encoders": entries,
        "left_out": {},
        "cost": {},
        "data": {"fit": "crop", "white": None},
    }
    write_json(predictors / "index.json", index)
    return predictors


def write_readout(folder: Path, task: Task, names: tuple[str, ...], channels: list[int]) -> None:
    config = tiny_config(task.name)
    shapes = {
        **config.model_dump(mode="json", include={"encoder", "decoder", "tile_side"}),
        "head": vars(task.head),
        "side": SIDE,
        "channels": channels,
    }
    readout = fresh_readout(task, len(names), shapes)
    for weights in readout.parameters():
        if weights.dim() > 1:
            nn.init.kaiming_normal_(weights)  # fresh last layers answer next to nothing
    save_weights(folder / f"{task.name}.safetensors", readout, {"task": task.name, "encoders": list(names)})
    card = {"task": task.name, "title": task.title, "kind": "transfer", "sources": names, "encoders": names, "statistics": {}, "shapes": shapes}
    write_json(folder / f"{task.name}.json", card)


@pytest.fixture(scope="module")
def predictors(folder: Path) -> dict[str, Predictor]:
    return {one.task.name: one for one in load_predictors(None, folder, "cpu")}


@pytest.mark.parametrize("target", CHOSEN)
def test_a_graph_answers_photographs_of_any_size_as_predict_does(predictors: dict[str, Predictor], tmp_path: Path, target: str) -> None:
    one, rng = predictors[target], np.random.default_rng(1)
    write_graph(one, tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    assert {given.name: given.shape for given in session.get_inputs()} == INPUTS[target]
    samples = [tuple(rng.integers(0, 256, (90, 90, 3), np.uint8) for _ in range(one.task.images)) for _ in range(3)]
    wanted = [found.output for (found,) in predict([one], samples)]
    for sample, output in zip(samples, wanted, strict=True):
        np.testing.assert_allclose(session.run(["output"], as_inputs(one, [sample]))[0][0], output, atol=TOLERANCE * np.abs(output).max())
    if next(iter(INPUTS[target].values()))[0] == "batch":
        together = session.run(["output"], as_inputs(one, samples))[0]
        np.testing.assert_allclose(together, np.stack(wanted), atol=TOLERANCE * np.abs(wanted).max())
    assert difference(one, tmp_path / "graph.onnx") < TOLERANCE


def test_a_graph_says_what_it_reads_and_under_which_licences(predictors: dict[str, Predictor], tmp_path: Path) -> None:
    write_graph(predictors["normal"], tmp_path / "graph.onnx")
    facts = {one.key: one.value for one in onnx.load(str(tmp_path / "graph.onnx")).metadata_props}
    assert json.loads(facts["inputs"]) == {"images_32": SIDE, "images_50": LARGE}
    assert json.loads(facts["licences"]) == {"maps": "Apache-2.0", "tokens": "MIT"}
    write_graph(predictors["reshading"], tmp_path / "graph.onnx")
    assert "licences" not in {one.key for one in onnx.load(str(tmp_path / "graph.onnx")).metadata_props}


def test_a_network_that_reads_one_image_at_once_is_written_once_for_two(predictors: dict[str, Predictor], tmp_path: Path) -> None:
    write_graph(predictors["camera_pose_fixated"], tmp_path / "graph.onnx")
    graph = onnx.load(str(tmp_path / "graph.onnx")).graph
    patches = [node.input[1] for node in graph.node if node.op_type == "Conv" and node.name.startswith("tokens/")]
    assert len(patches) == 2
    assert len(set(patches)) == 1


def test_codes_are_rounded_as_those_that_transfers_saw(predictors: dict[str, Predictor], tmp_path: Path) -> None:
    write_graph(predictors["normal"], tmp_path / "graph.onnx")
    model = onnx.load(str(tmp_path / "graph.onnx"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("codes_maps", onnx.TensorProto.FLOAT, None))
    square = np.random.default_rng(2).integers(0, 256, (LARGE, LARGE, 3), np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["codes_maps"], as_inputs(predictors["normal"], [(square,)]))[0]
    wanted = predictors["normal"].encoders["maps"].of_squares([square]).numpy()
    np.testing.assert_array_equal(found, found.astype(np.float16))
    assert np.mean(found == wanted) > 0.99  # single precision rounds a few to the neighbour
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-3)


def test_the_command_writes_and_checks_them(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export-onnx", "-o", str(tmp_path / "graphs"), "--predictors", str(folder)])
    assert done.exception is None
    assert [line.split(": ")[0] for line in done.output.splitlines()] == [str(tmp_path / "graphs" / f"{name}.onnx") for name in CHOSEN]
    assert done.output.count("differs from torch by") == len(CHOSEN)


def test_predictions_say_what_is_used_as_it_is_and_under_which_licence(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "room.png")
    done = CliRunner().invoke(app, ["predict", "-t", "normal", str(tmp_path / "room.png"), "--predictors", str(folder)])
    assert done.exception is None
    assert done.stderr.splitlines()[:2] == [
        f"{name} is used as it is: no labels; licence {licence}; 1.5 million multiply-adds an image"
        for name, licence in (("maps", "Apache-2.0"), ("tokens", "MIT"))
    ]
    assert json.loads(done.stdout)["task"] == "normal"


def test_a_version_that_operators_cannot_be_brought_to_is_one_line() -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 7)])
    with pytest.raises(TaskonomyError, match=r"^encoders\.mine\.file: its operators are of ONNX's version 7, and cannot be converted to 99") as error:
        converted(model, 99, "encoders.mine.file")
    assert len(str(error.value).splitlines()) == 1
