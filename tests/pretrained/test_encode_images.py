"""Codes of encoders trained by others: those of a task's own encoder, written as an ONNX file, are the task's."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from torch.utils.flop_counter import FlopCounterMode

from taskonomy.config.checked import checked
from taskonomy.config.data_params import Fit
from taskonomy.config.network_params import Precision
from taskonomy.config.params import Params
from taskonomy.config.task_config import task_config
from taskonomy.data.datasets import open_data
from taskonomy.data.framing import ReadOptions
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS
from taskonomy.errors import TaskonomyError
from taskonomy.inference.file_encoder import read_file_encoder, write_file_encoder
from taskonomy.inference.photographs import read_square
from taskonomy.labels.encodings import Input
from taskonomy.models.encoder import make_encoder
from taskonomy.pretrained import encode_images as encoding
from taskonomy.pretrained.about_sources import read_encoder_facts
from taskonomy.pretrained.encode_images import encode_images
from taskonomy.pretrained.principal import read_components
from taskonomy.project.example import write_example
from taskonomy.training.codes import coded_rows, codes_of
from taskonomy.training.train_transfer import transfer_with_weights
from taskonomy.training.transfer_context import BASELINES, TransferContext
from taskonomy.transfers.transfers import transfers_to

SIDE = 32


class KilledError(Exception):
    """Ends the work from inside."""


def values(root: Path = Path("data/example"), **encoders: Any) -> dict[str, Any]:
    """The parameters of the example of `taskonomy init`, with a target that changes its images."""
    made = yaml.safe_load((ROOT / "src/taskonomy/project/template/params.yaml").read_text())
    made["data"] |= {"root": str(root), "tasks": ["light", "denoising"]}
    made["transfer"] |= {"targets": ["light", "denoising"], "codes": "float32", "max_order": 2}
    made["transfer"]["schedule"] |= {"epochs": 1, "least_steps": 2}
    return {**made, "encoders": encoders, "train": {**made["train"], "tasks": {}}, "samples": {}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Images of the example; they are wider than high, and of another size than networks see."""
    root = tmp_path_factory.mktemp("example")
    write_example(root / "data", scenes=24, views=2)
    prepare(root / "data", root / "prepared", checked(Params, values(root / "data"), "params").data, processes=1)
    return Prepared(root / "prepared")


@pytest.fixture(scope="module")
def own() -> torch.nn.Module:
    """An encoder as the run's tasks have it; of its codes, no two channels are alike."""
    torch.manual_seed(0)
    return make_encoder(checked(Params, values(), "params").train.encoder, 3).eval()


def as_file(encoder: torch.nn.Module, path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(encoder, (torch.zeros(1, 3, SIDE, SIDE),), str(path), dynamo=False, opset_version=17, input_names=["image"],
                          output_names=["code"], dynamic_axes={"image": {0: "n", 2: "h", 3: "w"}, "code": {0: "n"}})  # fmt: skip
    return str(path)


def params(prepared: Prepared, file: str, **changes: Any) -> Params:
    """The parameters with one encoder, which sees what the run's own see: pixels from -1 to 1."""
    half = [0.5, 0.5, 0.5]
    encoder = {"file": file, "output": "code", "side": SIDE, "mean": half, "std": half, "channels": None, **changes}
    return checked(Params, values(prepared.root.parent / "data", mine=encoder), "params")


def names_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def codes(folder: Path, how: str = "image") -> np.ndarray:
    return np.load(folder / f"{how}.npy")


def test_the_codes_of_a_tasks_own_encoder_are_the_tasks(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    encode_images("mine", params(prepared, as_file(own, tmp_path / "mine.onnx")), prepared.root, tmp_path / "codes", processes=1)
    rows = coded_rows(prepared.splits)
    for how in (Input.IMAGE, Input.NOISE):
        wanted = codes_of(own, prepared.images, rows, how, Input.IMAGE, Precision.FLOAT32, "float32")
        found = codes(tmp_path / "codes", how.value)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert names_of(tmp_path / "codes") == {"facts.json", "image.npy", "noise.npy"}


def test_all_components_are_a_rotation_of_the_codes(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    file = as_file(own, tmp_path / "mine.onnx")
    plain = params(prepared, file)
    count = plain.train.encoder.channels
    encode_images("mine", plain, prepared.root, tmp_path / "plain", processes=1)
    encode_images("mine", params(prepared, file, channels=count), prepared.root, tmp_path / "all", processes=1)
    encode_images("mine", params(prepared, file, channels=2), prepared.root, tmp_path / "two", processes=1)
    components = read_components(tmp_path / "all/components.npz")
    assert not (tmp_path / "plain/components.npz").exists()
    back = np.einsum("nkyx,kc->ncyx", codes(tmp_path / "all"), components.axes) + components.mean[:, None, None]
    np.testing.assert_allclose(back, codes(tmp_path / "plain"), atol=1e-4)
    np.testing.assert_array_equal(codes(tmp_path / "two"), codes(tmp_path / "all")[:, :2])
    assert read_encoder_facts(tmp_path / "two")["explained"] < read_encoder_facts(tmp_path / "all")["explained"] == pytest.approx(1)


def test_components_are_those_of_the_train_split_alone(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    encode_images("mine", params(prepared, as_file(own, tmp_path / "mine.onnx"), channels=2), prepared.root, tmp_path / "two", processes=1)
    rows = np.flatnonzero(prepared.splits == 0)
    maps = codes_of(own, prepared.images, rows, Input.IMAGE, Input.IMAGE, Precision.FLOAT32, "float32")
    components = read_components(tmp_path / "two/components.npz")
    np.testing.assert_allclose(components.mean, maps.mean((0, 2, 3)), atol=1e-4)


def test_neither_processes_nor_a_kill_change_a_bit(prepared: Prepared, own: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = params(prepared, as_file(own, tmp_path / "mine.onnx"), channels=3)
    monkeypatch.setattr(encoding, "PORTION", 4)
    encode_images("mine", chosen, prepared.root, tmp_path / "one", processes=1)
    encode_images("mine", chosen, prepared.root, tmp_path / "two", processes=2)
    done, left = encoding._do, iter(range(7))

    def killed(job: Any) -> Any:
        if next(left, None) is None:
            raise KilledError
        return done(job)

    monkeypatch.setattr(encoding, "_do", killed)
    with pytest.raises(KilledError):
        encode_images("mine", chosen, prepared.root, tmp_path / "again", processes=1)
    assert not (tmp_path / "again").exists()
    seen: list[Any] = []
    monkeypatch.setattr(encoding, "_do", lambda job: (seen.append(job), done(job))[1])
    encode_images("mine", chosen, prepared.root, tmp_path / "again", processes=1)
    portions = sum(-(-int(part.sum()) // 4) for part in (prepared.splits == 0, prepared.splits != 0))
    assert len(seen) == portions - 7
    for name in names_of(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_multiply_adds_are_half_of_what_torch_counts(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    encode_images("mine", params(prepared, as_file(own, tmp_path / "mine.onnx")), prepared.root, tmp_path / "codes", processes=1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        own(torch.zeros(1, 3, SIDE, SIDE))
    assert 2 * read_encoder_facts(tmp_path / "codes")["multiply_adds"] == counter.get_total_flops()


def test_an_image_that_was_damaged_since_is_named(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(prepared.root.parent / "data", root)
    chosen = params(prepared, as_file(own, tmp_path / "mine.onnx"))
    chosen = chosen.model_copy(update={"data": chosen.data.model_copy(update={"root": str(root)})})
    names = open_data(root, chosen.registry).source.names
    damaged = root / "images" / f"{names[prepared.index['point'].iloc[coded_rows(prepared.splits)[0]]]}.png"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(TaskonomyError) as error:
        encode_images("mine", chosen, prepared.root, tmp_path / "codes", processes=1)
    assert str(error.value).startswith(f"{damaged}: ")
    assert "it has changed since the stage `prepare` read it" in str(error.value)


def test_numbers_too_large_for_halves_are_refused(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    large = torch.nn.Sequential(own, Times(1e9))
    chosen = params(prepared, as_file(large, tmp_path / "mine.onnx"))
    halves = chosen.model_copy(update={"transfer": chosen.transfer.model_copy(update={"codes": "float16"})})
    with pytest.raises(TaskonomyError, match=r"transfer\.codes: float32"):
        encode_images("mine", halves, prepared.root, tmp_path / "codes", processes=1)


class Times(torch.nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.factor


@pytest.mark.usefixtures("one_process")
def test_sources_of_different_widths_are_transferred_from_together(prepared: Prepared, own: torch.nn.Module, tmp_path: Path) -> None:
    one = params(prepared, as_file(own, tmp_path / "mine.onnx")).encoders["mine"].model_dump(mode="json")
    chosen = checked(Params, values(prepared.root.parent / "data", narrow={**one, "channels": 3}, wide=one), "params")
    for name in chosen.encoders:
        encode_images(name, chosen, prepared.root, tmp_path / "codes" / name, processes=1)
    config = task_config(chosen.registry["light"], chosen)
    context = TransferContext(prepared.root, tmp_path / "codes", tuple(chosen.encoders), tmp_path / "store", config, chosen.transfer)
    done = transfers_to(context)
    assert set(done.units) == {*BASELINES, ("narrow",), ("wide",), ("narrow", "wide")}
    network, unit = transfer_with_weights(context, ("narrow", "wide"))
    assert network.transfer.inputs == 3 + chosen.train.encoder.channels
    for split in TEST_SPLITS:
        np.testing.assert_array_equal(unit.arrays[split], done.units["narrow", "wide"].arrays[split])
        assert not np.array_equal(unit.arrays[split], done.units["wide",].arrays[split])


@pytest.mark.parametrize("channels", [None, 3])
def test_a_predictors_copy_gives_the_stored_codes_from_the_photographs(
    prepared: Prepared, own: torch.nn.Module, tmp_path: Path, channels: int | None
) -> None:
    chosen = params(prepared, as_file(own, tmp_path / "mine.onnx"), channels=channels, side=40)
    encode_images("mine", chosen, prepared.root, tmp_path / "codes", processes=1)
    entry = write_file_encoder("mine", chosen.encoders["mine"], tmp_path / "codes", tmp_path, "image.npy")
    (tmp_path / "elsewhere").mkdir()
    for path in tmp_path.glob("mine.*"):
        path.rename(tmp_path / "elsewhere" / path.name)
    copy = read_file_encoder("mine", json.loads(json.dumps(entry)), tmp_path / "elsewhere")
    root = prepared.root.parent / "data"
    names = open_data(root, chosen.registry).source.names
    rows = coded_rows(prepared.splits)[:5]
    squares = [read_square(root / "images" / f"{names[point]}.png", ReadOptions(Fit.CROP, None)) for point in prepared.index["point"].iloc[rows]]
    np.testing.assert_allclose(copy.of_squares(squares).numpy(), codes(tmp_path / "codes")[:5], atol=1e-5)
    assert entry["code"] == list(codes(tmp_path / "codes").shape[1:])


WRONG = {
    "a task's name": ({"encoders": {"normal": {}}}, "encoders.normal: is a task of the dictionary"),
    "a reserved name": ({"encoders": {"self": {}}}, "encoders.self: has a meaning of its own"),
    "no name": ({"encoders": {"../x": {}}}, "an encoder's name begins with a letter"),
    "fine-tuning": ({"variants": ["mine@0.02"]}, "mine@0.02 cannot be: mine is an ONNX file, which is used as it is"),
    "by way of it": ({"variants": ["light>mine"]}, "light>mine cannot be: mine is an encoder, which has no labels"),
    "a target": ({"targets": ["mine"]}, "an encoder has no labels to transfer to"),
    "markup": ({"encoders": {"mine": {"title": "<b>"}}}, "encoders.mine.title"),
    "no ONNX file": ({"encoders": {"mine": {"file": "weights.pt"}}}, "encoders.mine.file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_in_one_line_that_names_it(what: str) -> None:
    changes, said = WRONG[what]
    plain = {"file": "mine.onnx", "output": "code", "side": SIDE}
    given = values(**{name: {**plain, **one} for name, one in changes.get("encoders", {"mine": {}}).items()})
    given["transfer"] |= {name: value for name, value in changes.items() if name != "encoders"}
    with pytest.raises(TaskonomyError) as error:
        checked(Params, given, "params")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_transfer_by_way_of_a_task_may_start_from_it() -> None:
    given = values(mine={"file": "mine.onnx", "output": "code", "side": SIDE, "title": "Mine"})
    given["transfer"]["variants"] = ["mine>light"]
    made = checked(Params, given, "params")
    assert made.sources == ("light", "denoising", "mine")
    assert made.registry.title("mine") == "Mine"
