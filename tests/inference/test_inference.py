"""A policy in use: what is exported computes what was measured, wherever and however it is loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
import yaml
from conftest import ROOT
from exported import CHOSEN, ENCODERS, job, make, write_policy
from tiny import SIDE, once
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner
from waiting import HANG

import taskonomy
from taskonomy.cli.main import app
from taskonomy.config.network_params import Precision
from taskonomy.config.params import read_params
from taskonomy.dataset.splits import TEST_SPLITS
from taskonomy.errors import TaskonomyError
from taskonomy.inference.benchmark import milliseconds, own_network, solve_all
from taskonomy.inference.export import export, file_digest, headline
from taskonomy.inference.inference_cost import ModelSize, together
from taskonomy.inference.manifest import open_export
from taskonomy.inference.onnx_export import TOLERANCE, difference, write_graph
from taskonomy.inference.photographs import found_images
from taskonomy.inference.predictor import device_of, load_predictor, load_predictors, predict
from taskonomy.models.decoders import at_pixels
from taskonomy.models.networks import parameters
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training.dataloader import TESTING, Labels
from taskonomy.training.losses import per_sample
from taskonomy.training.transforms import as_seen

# Codes were stored in half precision; where networks were trained in bfloat16, predictors still compute in float32.
NEAR = 0.05 if Precision.AUTO.here() is Precision.BFLOAT16 else 0.005


@pytest.fixture(scope="module")
def home(prepared, trained, tmp_path_factory) -> Path:
    return once(tmp_path_factory, "tiny_exported", lambda folder: make(prepared, trained, folder, store_of(trained, folder)))


def store_of(trained: Path, folder: Path) -> Path:
    """A copy of the store: the fixture's is to be read only."""
    return Path(shutil.copytree(trained / "store", folder / "store", dirs_exist_ok=True))


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    return home / "predictors"


@pytest.fixture(scope="module")
def predictors(folder: Path):
    return {one.task.name: one for one in load_predictors(None, folder, "cpu")}


@pytest.fixture
def picture(prepared, tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "room.png"), prepared.images[0][..., ::-1])
    return tmp_path / "room.png"


def run(*arguments: object) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    return done.output, done.exception


@pytest.mark.parametrize("target", sorted(CHOSEN))
def test_a_predictor_loses_on_every_test_image_what_was_measured(prepared, home, predictors, target: str) -> None:
    one, task = predictors[target], prepared.task(BUILT_IN[target])
    unit = Store(home / "store").read(one.card["unit"])
    for split in TEST_SPLITS:
        chosen = task.of_split(split)
        images = np.asarray(prepared.images[task.samples[chosen].ravel()]).reshape(*task.samples[chosen].shape, SIDE, SIDE, 3)
        seen = (as_seen(images, task.task.input, chosen, TESTING) + 1) / 2  # of denoising, with the noise of testing
        with torch.no_grad():
            wanted, output = Labels(task).of(chosen), one.network(seen)
            compared = output if wanted.pixels is None else at_pixels(output, wanted.pixels)
            found = per_sample(task.task.loss, compared, wanted).numpy()
        np.testing.assert_allclose(found, unit.arrays[split], rtol=NEAR, atol=NEAR)
        assert one.card["metrics"]["losses"][split] == pytest.approx(unit.arrays[split].mean(dtype=np.float64))


def test_the_card_tells_where_a_predictor_comes_from(prepared, folder) -> None:
    exported = open_export(folder)
    card = exported.card("normal")
    assert (card["kind"], card["sources"], card["images"]) == ("transfer", ["autoencoding", "colorization"], 1)
    assert (card["metrics"]["gain"], card["metrics"]["quality"], card["metrics"]["held_out"]) == (0.75, None, {"gain": 0.25, "quality": 0.125})
    assert exported.card("autoencoding")["kind"] == "own network"
    assert exported.index["data"]["index"] == file_digest(prepared.root / "index.csv")
    assert exported.index["data"]["views"]["train"] == int((prepared.splits == 0).sum())
    assert exported.index["encoders"]["colorization"]["reads"] == "lightness"


def test_every_encoder_is_stored_once(folder) -> None:
    assert {path.stem for path in (folder / "encoders").iterdir()} == ENCODERS
    assert {path.stem for path in (folder / "targets").glob("*.safetensors")} == set(CHOSEN)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_transfers_that_nobody_kept_are_trained_once_more_with_the_same_bits(prepared, trained, home, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    make(prepared, trained, tmp_path, store_of(trained, tmp_path))
    assert files(tmp_path / "predictors") == files(folder)


def test_units_of_an_export_are_those_of_its_store(home, folder) -> None:
    rows = (folder / "units.csv").read_text().splitlines()
    assert rows[0] == "key,target,sources"
    assert len(rows) == 1 + len(CHOSEN)
    assert all(Store(home / "store").has(row.split(",")[0]) for row in rows[1:])


def test_three_lines_of_python_give_an_answer(folder, picture) -> None:
    predictor = taskonomy.load_predictor("normal", folder)
    answer = predictor(picture)
    answer.save(picture.with_name("out.png"))
    assert cv2.imread(str(picture.with_name("out.png"))).shape == (256, 256, 3)
    assert answer.label.shape == (SIDE, SIDE, 3)


def test_a_predictor_of_a_custom_task_knows_it_from_the_parameters_beside_it(folder, picture, tmp_path) -> None:
    """Parameters of the run lie beside the folder of predictors; whoever opens one without them is told which task is not known."""
    moved = Path(shutil.copytree(folder, tmp_path / "run/predictors"))
    for name in ("index.json", "targets/normal.json"):
        text = (moved / name).read_text()
        values = json.loads(text)
        if name == "index.json":
            values["targets"]["mine"] = values["targets"].pop("normal")
        (moved / name).write_text(json.dumps(values | ({"task": "mine"} if "task" in values else {})))
    for ending in ("json", "safetensors"):
        (moved / f"targets/normal.{ending}").rename(moved / f"targets/mine.{ending}")
    out = tmp_path / "out.npy"
    _output, error = run("predict", "-t", "mine", picture, "-o", out, "--predictors", moved)
    assert "mine is not in the dictionary of tasks" in str(error)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"]["own"] = {"mine": {"kind": "map", "channels": 3}}
    (tmp_path / "run/params.yaml").write_text(yaml.safe_dump(values))
    output, error = run("predict", "-t", "mine", picture, "-o", out, "--predictors", moved)
    assert error is None, output
    assert np.load(out).shape == (SIDE, SIDE, 3)
    registry = read_params(tmp_path / "run/params.yaml").registry
    assert taskonomy.load_predictor("mine", moved, registry=registry).task.loss is registry["mine"].loss
    with pytest.raises(TaskonomyError, match="mine is not in the dictionary of tasks"):
        taskonomy.load_predictor("mine", moved)


def test_importing_taskonomy_loads_no_torch() -> None:
    program = "import sys, taskonomy, taskonomy.inference.manifest, taskonomy.inference.requests; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=HANG).stdout == "False\n"
    with pytest.raises(AttributeError, match="no attribute 'load_predictors'"):
        _ = taskonomy.load_predictors


def test_images_of_any_size_are_seen_as_prepared_ones_are(prepared, predictors) -> None:
    image = np.asarray(prepared.images[3])
    wanted = predictors["normal"](image).output
    large = np.repeat(np.repeat(image, 4, 0), 4, 1)  # averaged, it is the image again
    wide = np.pad(large, ((0, 0), (20, 21), (0, 0)), constant_values=200)  # beside the central square nothing is seen
    high = np.pad(large, ((9, 10), (0, 0), (0, 0)), constant_values=200)
    for one in (large, wide, high):
        np.testing.assert_array_equal(predictors["normal"](one).output, wanted)


@pytest.mark.parametrize("fit", ["pad", "squeeze"])
def test_a_predictor_makes_images_square_as_its_run_did(prepared, folder, tmp_path, predictors, fit: str) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "p"))
    index = json.loads((moved / "index.json").read_text())
    assert index["data"]["fit"] == "crop"
    index["data"]["fit"] = fit
    (moved / "index.json").write_text(json.dumps(index))
    image = np.asarray(prepared.images[3])
    # The same squares by hand: bars above and below, or every row twice.
    wide = image[: SIDE // 2]
    square = np.pad(wide, ((SIDE // 4, SIDE // 4), (0, 0), (0, 0))) if fit == "pad" else cv2.resize(wide, (SIDE, SIDE))
    np.testing.assert_array_equal(taskonomy.load_predictor("normal", moved)(wide).output, predictors["normal"](square).output)


def test_shared_encoders_give_the_same_answers_and_run_once(prepared, folder, monkeypatch) -> None:
    pair = [np.asarray(prepared.images[row]) for row in (0, 1)]
    loaded = load_predictors(None, folder, "cpu")
    single = [one for one in loaded if one.task.images == 1]
    runs: list[int] = []
    for encoder in {id(encoder): encoder for one in loaded for encoder in one.encoders.values()}.values():
        encoder.register_forward_hook(lambda module, inputs, output: runs.append(len(inputs[0])))
    shared = next(predict(single, [pair[:1]], share=True))
    assert len(runs) == 4  # autoencoding, colorization, normal, random_projection
    apart = next(predict(single, [pair[:1]], share=False))
    assert len(runs) == 4 + 5
    for one, other in zip(shared, apart, strict=True):
        np.testing.assert_array_equal(one.output, other.output)
    index = open_export(folder).index
    for way, share in (("shared", True), ("apart", False)):
        runs.clear()
        with FlopCounterMode(display=False) as counter:
            solve_all(loaded, torch.rand(3, 3, SIDE, SIDE), share=share)
        assert sum(runs) == index["cost"][way]["encoder_passes"]
        assert counter.get_total_flops() == index["cost"][way]["flops"]


def test_parameters_are_those_of_the_networks(folder) -> None:
    loaded = load_predictors(None, folder, "cpu")
    cost = open_export(folder).index["cost"]
    encoders = {name: encoder for one in loaded for name, encoder in one.encoders.items()}
    assert cost["shared"]["parameters"] == sum(map(parameters, [*encoders.values(), *(one.readout for one in loaded)]))
    assert cost["apart"]["parameters"] == sum(parameters(one.network) for one in loaded)
    own = [own_network(one.task, one.card["shapes"]) for one in loaded]
    assert cost["independent"]["parameters"] == sum(map(parameters, own))
    taken = milliseconds(loaded, [(one.task, network) for one, network in zip(loaded, own, strict=True)], SIDE, torch.device("cpu"), repeats=1)
    assert set(taken) == set(cost)
    assert all(value > 0 for value in taken.values())


def test_the_three_ways_by_hand() -> None:
    encoders = {"a": ModelSize(10, 100), "b": ModelSize(20, 200)}
    readouts, own = {"x": ModelSize(1, 5), "y": ModelSize(2, 6)}, {"x": ModelSize(50, 500), "y": ModelSize(60, 600)}
    found = together(encoders, readouts, own, {"x": ["a"], "y": ["a", "b"]}, {"x": 1, "y": 2})
    assert found["shared"] == {"encoder_passes": 4, "parameters": 33, "flops": 11 + 2 * 100 + 2 * 200}
    assert found["apart"] == {"encoder_passes": 5, "parameters": 3 + 10 + 30, "flops": 11 + 100 + 2 * 300}
    assert found["independent"] == {"encoder_passes": 3, "parameters": 110, "flops": 1100}


@pytest.mark.parametrize("target", ["autoencoding", "camera_pose_fixated", "normal"])
def test_a_graph_computes_what_torch_does(predictors, tmp_path: Path, target: str) -> None:
    path = tmp_path / f"{target}.onnx"
    write_graph(predictors[target], path)
    for samples in (1, 3):
        assert difference(predictors[target], path, samples) < TOLERANCE
    facts = {one.key: one.value for one in onnx.load(str(path)).metadata_props}
    assert facts["task"] == target
    assert json.loads(facts["statistics"]) == predictors[target].card["statistics"]


def test_one_answer_is_a_file_or_printed(folder, picture) -> None:
    out = picture.with_name("out")
    for ending in ("png", "json", "npy"):
        output, error = run("predict", "--task", "normal", picture, "-o", f"{out}.{ending}", "--predictors", folder)
        assert error is None
        assert output.strip() == f"{out}.{ending}"
    assert np.load(f"{out}.npy").shape == (SIDE, SIDE, 3)
    assert json.loads(Path(f"{out}.json").read_text())["shape"] == [SIDE, SIDE, 3]
    printed = json.loads(run("predict", "-t", "camera_pose_fixated", picture, picture, "--predictors", folder)[0])
    assert [len(printed["1-2"][name]) for name in ("rotation_rad", "translation_m")] == [3, 3]


def test_all_targets_of_a_folder_and_their_representations(folder, picture) -> None:
    shutil.copy(picture, picture.with_name("room2.png"))
    shutil.copy(picture, picture.with_name("room10.png"))
    output, error = run("predict", "--all", picture.parent, "-o", picture.parent / "out", "--save-representation", "--predictors", folder)
    assert error is None, output
    made = {path.name for path in (picture.parent / "out").iterdir()}
    single = [f"{name}_{task}" for name in ("room", "room2", "room10") for task in ("autoencoding", "denoising", "normal")]
    pairs = [f"{name}_camera_pose_fixated" for name in ("room+room2", "room2+room10")]
    endings = (".png", ".json", "_representation.npz")
    assert made == {f"{name}{ending}" for name in (*single, *pairs) for ending in endings}
    with np.load(picture.parent / "out/room+room2_camera_pose_fixated_representation.npz") as codes:
        assert {name: codes[name].shape for name in codes} == {"normal": (2, 4, 4, 4)}


def test_all_targets_of_one_image_are_those_that_take_one(folder, picture) -> None:
    output, error = run("predict", "--all", picture, "-o", picture.parent / "out", "--predictors", folder)
    assert error is None
    assert "left out, as they take another number of images: camera_pose_fixated" in output
    assert len(list((picture.parent / "out").glob("*.png"))) == 3


def test_hidden_files_are_nobodys_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "._b.png", ".c.png", "Thumbs.db"):
        (tmp_path / name).touch()
    assert found_images([tmp_path]) == [tmp_path / "a.jpg", tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-t", "normal", "none.png"], "none.png: no such file"),
        (["-t", "normal", "empty.png"], "empty.png: empty file"),
        (["-t", "normal", "torn.png"], r"torn.png: truncated PNG"),
        (["-t", "normals", "room.png"], r"unknown 'normals' \(did you mean 'normal'\?\)"),
        (["-t", "reshading", "room.png"], "the policy does not solve reshading; it solves autoencoding, "),
        (["-t", "camera_pose_fixated", "room.png"], r"camera_pose_fixated takes 2 images of one scene, in order \(got 1\)"),
        (["-t", "normal", "room.png", "empty.png"], "--output is missing: a folder for 2 answers"),
        (["-t", "normal", "room.png", "-o", "x.gif"], r"x.gif: must end in .png, .json, .npy, or be a folder"),
        (["-t", "normal", "room.png", "empty.png", "-o", "x.png"], "x.png: 2 answers do not fit into one file"),
        (["-t", "normal", "room.png", "-o", "room.png"], "room.png is an input, and inputs are never written to"),
        (["-t", "normal", "room.png", "-o", "link.png"], "link.png is an input"),
        (["room.png"], "--task or --all must be given"),
        (["-t", "normal", "room.png", "--save-representation"], "--save-representation needs --output"),
        (["-t", "normal", "room.png", "--predictors", "nowhere"], "nowhere: no predictors; the stage `export` writes them"),
    ],
)
def test_what_cannot_be_answered_is_one_line(folder, picture, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(picture.parent)
    Path("empty.png").touch()
    Path("torn.png").write_bytes(picture.read_bytes()[:60])
    Path("link.png").symlink_to("room.png")
    before = picture.read_bytes()
    given = [] if "--predictors" in arguments else ["--predictors", folder]
    _output, error = run("predict", *arguments, *given)
    assert isinstance(error, TaskonomyError)
    assert len(str(error).splitlines()) == 1
    with pytest.raises(TaskonomyError, match=message):
        raise error
    assert picture.read_bytes() == before


def test_damage_is_named(folder, tmp_path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "p"))
    (broken / "targets/normal.safetensors").write_bytes((broken / "targets/normal.safetensors").read_bytes()[:99])
    with pytest.raises(TaskonomyError, match=r"normal\.safetensors: not the weights that were exported"):
        load_predictor("normal", broken)
    (broken / "targets/normal.json").write_text("{")
    with pytest.raises(TaskonomyError, match=r"normal\.json: unreadable .*export again"):
        load_predictor("normal", broken)
    index = json.loads((broken / "index.json").read_text())
    for change, message in [({"format": 1}, "format 1, this version reads 2"), ({"targets": {"../x": {}}}, r"'\.\./x' is not a task name")]:
        (broken / "index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(TaskonomyError, match=message):
            open_export(broken)


def test_transfers_of_other_forms_are_left_out_by_name(prepared, trained, home, tmp_path) -> None:
    write_policy(tmp_path / "policy.json", {"denoising": ("normal>reshading",), "normal": ("autoencoding@0.02",), "autoencoding": ("self",)})
    given = job(prepared, trained, tmp_path, tmp_path / "store")
    index = export(given, tmp_path / "policy.json", home / "held_out.csv", tmp_path / "predictors", BUILT_IN)
    assert set(index["targets"]) == {"autoencoding"}
    with pytest.raises(TaskonomyError, match="denoising is solved by normal>reshading: only transfers from frozen encoders"):
        load_predictor("denoising", tmp_path / "predictors")
    assert headline(index).startswith("1 targets from 1 encoders: ")
    write_policy(tmp_path / "policy.json", {"normal": ("autoencoding@0.02",)})
    index = export(given, tmp_path / "policy.json", home / "held_out.csv", tmp_path / "predictors", BUILT_IN)
    assert headline(index).endswith("no parameters, no FLOPs")


def test_a_policy_that_cannot_be_read_is_named(prepared, trained, home, tmp_path) -> None:
    given = job(prepared, trained, tmp_path, tmp_path / "store")
    for text, message in [("{", "no readable policy"), ('{"transfers": [{"target": "normal"}]}', "no readable policy")]:
        (tmp_path / "policy.json").write_text(text)
        with pytest.raises(TaskonomyError, match=message):
            export(given, tmp_path / "policy.json", home / "held_out.csv", tmp_path / "predictors", BUILT_IN)
    write_policy(tmp_path / "policy.json", {"normal": ("ours",)})
    with pytest.raises(TaskonomyError, match="ours is not in the dictionary"):
        export(given, tmp_path / "policy.json", home / "held_out.csv", tmp_path / "predictors", BUILT_IN)
    assert not (tmp_path / "predictors").exists()


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TaskonomyError, match="torch sees no CUDA device"):
        device_of("cuda")


def test_cost_prints_the_three_ways(folder) -> None:
    output, error = run("cost", "--predictors", folder, "--repeats", 1)
    assert error is None
    assert [line.split()[0] for line in output.splitlines() if line[:1].isalpha()][:3] == ["shared", "apart", "independent"]


def test_graphs_are_written_and_checked(folder, tmp_path) -> None:
    output, error = run("export-onnx", "-t", "autoencoding", "-o", tmp_path / "graphs", "--predictors", folder)
    assert error is None
    assert "autoencoding.onnx: differs from torch by" in output
