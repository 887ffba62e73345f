"""Networks of tasks that have labels of some images only, against networks on data that holds no other images."""

import json
import shutil
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import profile

from taskonomy.config.params import Params
from taskonomy.config.task_config import TaskConfig, task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input
from taskonomy.numeric.rng import generator
from taskonomy.store.store import Store
from taskonomy.store.unit_keys import network_key
from taskonomy.training.task_networks import train_task
from taskonomy.training.transfer_context import BASELINES, TransferContext

COUNT, SIDE = 36, 32
SPLIT_OF = ["train"] * 12 + ["val"] * 12 + ["test"] * 12
OWN = {
    "bright": {"kind": "map", "channels": 1, "range": [0, 255], "missing": 0},
    "tint": {"kind": "class", "classes": 2},
}
WITHOUT = {"bright": set(range(0, COUNT, 4)), "tint": set(range(1, COUNT, 3))}


def draw(root: Path, without: dict[str, set[int]]) -> Path:
    """Images that are red or not, and their brightness, in which the upper quarter is a hole."""
    rng, rows = np.random.default_rng(0), ["image,split,tint"]
    for folder in ("images", "bright"):
        (root / folder).mkdir(parents=True)
    for number in range(COUNT):
        image = rng.integers(1, 120, (SIDE, SIDE, 3), np.uint8)
        image[..., 0] += np.uint8(120 * (number % 2))
        bright = image.mean(-1).astype(np.uint8)
        bright[: SIDE // 4] = 0
        cv2.imwrite(str(root / f"images/{number:02}.png"), image)
        if number not in without["bright"]:
            cv2.imwrite(str(root / f"bright/{number:02}.png"), bright)
        rows.append(f"{number:02},{SPLIT_OF[number]},{'' if number in without['tint'] else number % 2}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def params() -> Params:
    schedule = {"epochs": 2, "batch": 4, "rate": 0.003, "slow_after": 0.7, "weight_decay": 2e-6}
    data = {"own": OWN, "tasks": [*OWN, "autoencoding"], "labels": {}, "resolution": SIDE}
    return profile(data=data, transfer={"targets": list(OWN)}, train={"schedule": schedule, "tasks": None, "mirror": True})


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    base = tmp_path_factory.mktemp("partial")
    prepare(draw(base / "own", WITHOUT), base / "out", params.data, processes=1)
    return base / "out"


def card(params: Params, task: str) -> TaskConfig:
    return TaskConfig.model_validate(json.loads(json.dumps(task_config(params.registry[task], params).as_json())))


def of_labelled_alone(whole: Prepared, task: str, samples: np.ndarray, to: Path) -> Prepared:
    """The prepared data without the images that lack a label of the task."""
    rows, home = samples[:, 0], Path(shutil.copytree(whole.root / "tasks" / task, to / "tasks" / task))
    (home / "samples.npy").unlink()
    if (home / "mask.npy").is_file():
        np.save(home / "mask.npy", np.load(home / "mask.npy")[rows])
    whole.index.iloc[rows].to_csv(to / "index.csv", index=False)
    np.save(to / "images.npy", whole.images[rows])
    shutil.copytree(whole.root / "masks", to / "masks")
    return Prepared(to)


@pytest.mark.parametrize("task", list(OWN))
def test_a_network_has_the_bits_it_has_on_data_that_holds_its_labelled_images_alone(partial: Path, params: Params, tmp_path: Path, task: str) -> None:
    whole = Prepared(partial)
    own = whole.task(params.registry[task])
    assert len(own.samples) == COUNT - len(WITHOUT[task])
    alone = of_labelled_alone(whole, task, own.samples, tmp_path / "alone")
    found = [train_task(data, card(params, task), Store(tmp_path / name)).units for data, name in ((whole, "a"), (alone, "b"))]
    assert found[0].keys() == found[1].keys() >= {"self", "average"}
    for name in found[0]:
        for split in ("test_affinity", "test_policy"):
            losses, others = (units[name].arrays[split] for units in found)
            assert len(losses) == len(own.of_split(Split(split)))
            np.testing.assert_array_equal(losses, others)


TASKS = (*OWN, "autoencoding")


def network_keys(data: Prepared, params: Params) -> dict[str, str]:
    tasks = {name: data.task(params.registry[name]) for name in TASKS}
    return {name: network_key(data, task, card(params, name), task.of_split(Split.TRAIN), "self") for name, task in tasks.items()}


def unit_keys(root: Path, params: Params, codes: Path) -> dict[tuple[str, tuple[str, ...]], str]:
    """Keys by target and sources: of networks (sources are none), of transfers of both orders, of baselines.

    Codes are numbers that follow from the key of the network that gives them, as codes follow from their network.
    """
    data, found = Prepared(root), dict[tuple[str, tuple[str, ...]], str]()
    rows = int((data.splits != 0).sum())
    for name, key in network_keys(data, params).items():
        found[name, ()] = key
        (codes / name).mkdir(parents=True)
        np.save(codes / name / f"{Input.IMAGE}.npy", generator(0, key).random((rows, 2, 4, 4)).astype(np.float16))
    for target in OWN:
        context = TransferContext(root, codes, TASKS, codes.parent / "store", card(params, target), params.transfer)
        found |= {(target, sources): context.key(sources) for order in (1, 2) for sources in combinations(TASKS, order)}
        found |= {(target, sources): context.key(sources) for sources in BASELINES}
    return found


@pytest.mark.parametrize("image", [1, 16, 25], ids=["of the train split", "of the val split", "of the test split"])
def test_one_more_label_changes_its_network_and_the_transfers_to_it_and_from_it_and_nothing_else(
    partial: Path, params: Params, tmp_path: Path, image: int
) -> None:
    assert image in WITHOUT["tint"]
    more = {**WITHOUT, "tint": WITHOUT["tint"] - {image}}
    prepare(draw(tmp_path / "own", more), tmp_path / "out", params.data, processes=1)
    before = unit_keys(partial, params, tmp_path / "before")
    after = unit_keys(tmp_path / "out", params, tmp_path / "after")
    assert before.keys() == after.keys()
    assert {unit for unit in before if before[unit] != after[unit]} == {unit for unit in before if "tint" in (unit[0], *unit[1])}
