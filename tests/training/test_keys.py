"""A unit's key changes with all that decides its numbers, and with nothing else."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import OTHER_PRECISION, TRAINED, profile, tiny_config, tiny_context

from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.store import unit_keys as keys
from taskonomy.store.unit_keys import constant_key, network_key
from taskonomy.tasks import BUILT_IN
from taskonomy.training.transfer_context import SCRATCH, shared


@pytest.fixture
def own(prepared, tmp_path) -> Path:
    """Prepared data that may be changed."""
    return Path(shutil.copytree(prepared.root, tmp_path / "prepared"))


def key_in(root: Path, task: str = "normal", *, train=None, kind: str = "self", config=None, **changes) -> str:
    prepared = Prepared(root)
    one = prepared.task(BUILT_IN[task])
    config = tiny_config(task, **changes) if config is None else config
    return network_key(prepared, one, config, one.of_split(Split.TRAIN) if train is None else train, kind)


def edit(path: Path, place: tuple[int, ...]) -> None:
    """Another value at one place of an array."""
    array = np.load(path, mmap_mode="r+")
    array[place] = not array[place] if array.dtype == bool else array[place] ^ 1 if array.dtype.kind in "iu" else array[place] + 1
    array.flush()


def first_row(root: Path, split: str) -> int:
    return int(np.flatnonzero(Prepared(root).index["split"] == split)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"precision": OTHER_PRECISION},
        {"tasks": {"normal": {"epochs": 3}}},
        {"encoder": {"name": "small", "width": 0.25, "stride": 8, "channels": 4}},
        {"schedule": {"epochs": 2, "batch": 12, "rate": 0.003, "slow_after": 0.7, "weight_decay": 2.0e-6}},
    ],
)
def test_a_networks_key_changes_with_its_parameters(prepared, change):
    assert key_in(prepared.root) != key_in(prepared.root, train=None, config=tiny_config("normal", train=change))


def test_a_networks_key_changes_with_its_kind_its_samples_and_its_task(prepared):
    rows = prepared.task(BUILT_IN["normal"]).of_split(Split.TRAIN)
    made = [
        key_in(prepared.root),
        key_in(prepared.root, kind="scratch"),
        key_in(prepared.root, train=rows[:-1]),
        key_in(prepared.root, train=np.append(rows[:-1], prepared.task(BUILT_IN["normal"]).of_split(Split.TRANSFER)[0])),
        key_in(prepared.root, "reshading"),
        key_in(prepared.root, config=tiny_config("reshading")),
    ]
    assert len(set(made)) == len(made)
    assert key_in(prepared.root) == key_in(prepared.root)


def test_a_networks_key_does_not_change_with_what_is_made_of_its_codes(prepared):
    assert key_in(prepared.root) == key_in(prepared.root, config=tiny_config("normal", transfer={"codes": "float32", "targets": ["normal"]}))
    assert key_in(prepared.root) == key_in(prepared.root, config=tiny_config("normal", train={"tasks": {"reshading": {"epochs": 9}}}))


@pytest.mark.parametrize("file", ["images.npy", "tasks/normal/label.npy", "masks/depth.npy"])
@pytest.mark.parametrize("split", ["train", "validation", "test_affinity", "test_policy"])
def test_one_changed_number_of_a_networks_data_changes_its_key(own, file, split):
    before, constant = key_in(own), constant_in(own)
    other = key_in(own, "room_layout")
    row = first_row(own, split)
    edit(own / file, (row, 3, 4, 1) if file != "masks/depth.npy" else (row, 3, 4))
    assert key_in(own) != before
    # A constant looks at no image.
    assert (constant_in(own) == constant) == (file == "images.npy")
    # Another task has its own labels and no mask, but the same images.
    assert (key_in(own, "room_layout") == other) == (file != "images.npy")


@pytest.mark.parametrize("file", ["images.npy", "tasks/normal/label.npy", "masks/depth.npy"])
def test_images_of_the_transfer_split_are_none_of_a_networks_data(own, file):
    before = key_in(own)
    row = first_row(own, "transfer")
    edit(own / file, (row, 3, 4, 1) if file != "masks/depth.npy" else (row, 3, 4))
    assert key_in(own) == before


def constant_in(root: Path, **changes) -> str:
    one = Prepared(root).task(BUILT_IN["normal"])
    return constant_key(one, tiny_config("normal", **changes), one.of_split(Split.TRAIN))


def test_a_constants_key_knows_no_network(prepared):
    assert constant_in(prepared.root) != constant_in(prepared.root, train={"seed": 1})
    assert constant_in(prepared.root) != key_in(prepared.root)
    for change in ({"precision": OTHER_PRECISION}, {"tasks": {"normal": {"epochs": 9}}}):
        assert constant_in(prepared.root) == constant_in(prepared.root, train=change)


def test_statistics_of_the_labels_are_data(own):
    before = key_in(own, "room_layout")
    path = own / "tasks/room_layout/card.json"
    card = json.loads(path.read_text())
    name = next(iter(card["statistics"]))
    card["statistics"][name] = [2 * value for value in card["statistics"][name]]
    path.write_text(json.dumps(card))
    assert key_in(own, "room_layout") != before


def test_which_images_form_a_sample_is_data(own):
    before = key_in(own, "egomotion")
    path = own / "tasks/egomotion/samples.npy"
    samples = np.load(path)
    train = Prepared(own).task(BUILT_IN["egomotion"]).of_split(Split.TRAIN)
    samples[train[0]] = samples[train[0], ::-1]
    np.save(path, samples)
    assert key_in(own, "egomotion") != before


def test_other_tasks_data_are_none_of_a_tasks(own):
    before = key_in(own)
    for path in (own / "tasks").iterdir():
        if path.name != "normal":
            shutil.rmtree(path)
    (own / "manifest.json").unlink()
    (own / "cameras.npy").unlink(missing_ok=True)
    assert key_in(own) == before


def test_code_that_decides_numbers_is_part_of_a_key(prepared, monkeypatch):
    before = key_in(prepared.root)
    monkeypatch.setattr(keys, "UNIT_CODE", (*keys.UNIT_CODE, "taskonomy.errors"))
    assert key_in(prepared.root) != before


@pytest.mark.parametrize(("library", "of_network", "of_constant"), [("torch", True, True), ("torchvision", True, False), ("numba", False, False)])
def test_a_key_changes_with_the_version_of_a_library_that_computes_its_numbers(prepared, monkeypatch, library, of_network, of_constant):
    """A constant and a transfer see no images, so torchvision's encoders are none of theirs."""
    before = (key_in(prepared.root), constant_in(prepared.root))
    installed = keys.version
    monkeypatch.setattr(keys, "version", lambda name: "0.0.1" if name == library else installed(name))
    after = (key_in(prepared.root), constant_in(prepared.root))
    assert [one != other for one, other in zip(before, after, strict=True)] == [of_network, of_constant]


# Transfers

SOURCES = ("autoencoding", "normal")


def transfer_key(
    prepared: Path, codes: Path, target: str = "normal", sources: tuple[str, ...] = SOURCES, known=TRAINED, config=None, **params
) -> str:
    context = tiny_context(prepared, codes, Path("nowhere"), target, *known, **params)
    if config is not None:
        context = replace(context, config=config)
    return context.key(sources)


@pytest.fixture
def codes(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained / "codes", tmp_path / "codes"))


def test_a_transfers_key_changes_with_sources_target_and_parameters(prepared, codes):
    made = {
        name: transfer_key(prepared.root, codes, **options)
        for name, options in {
            "plain": {},
            "one source": {"sources": ("normal",)},
            "other sources": {"sources": ("denoising", "normal")},
            "three sources": {"sources": ("autoencoding", "denoising", "normal")},
            "target": {"target": "denoising"},
            "scratch": {"sources": SCRATCH},
            "seed": {"seed": 1},
            "precision": {"precision": OTHER_PRECISION},
            "images": {"images": 11},
            "decoder width": {"decoder_width": 0.5},
            "schedule": {"schedule": profile().transfer.schedule.model_dump() | {"epochs": 2}},
            "decoder": {"config": tiny_config("normal", train={"decoder": profile().train.decoder.model_dump(mode="json") | {"layers": [8]}})},
        }.items()
    }
    assert len(set(made.values())) == len(made)


def test_a_transfers_key_does_not_change_with_its_company(prepared, codes):
    before = transfer_key(prepared.root, codes)
    same = [
        transfer_key(prepared.root, codes, max_order=1),
        transfer_key(prepared.root, codes, beam="all"),
        transfer_key(prepared.root, codes, known=SOURCES),
        transfer_key(prepared.root, codes, known=tuple(reversed(TRAINED))),
        transfer_key(prepared.root, codes, targets=["normal"]),
        # How the target's own network is trained concerns its own codes, which are part of the key.
        transfer_key(prepared.root, codes, config=tiny_config("normal", train={"tasks": {"normal": {"epochs": 9}}})),
    ]
    assert set(same) == {before}


def test_a_transfers_key_changes_with_each_of_its_sources_codes_and_no_others(prepared, codes):
    before = transfer_key(prepared.root, codes)
    array = np.load(codes / "denoising/image.npy", mmap_mode="r+")
    array[0] += 1
    array.flush()
    edit(codes / "autoencoding/noise.npy", (0, 0, 0, 0))
    assert transfer_key(prepared.root, codes) == before
    made = {before}
    for source in SOURCES:
        edit(codes / source / "image.npy", (95, 3, 3, 3))
        made.add(transfer_key(prepared.root, codes))
    assert len(made) == 3


@pytest.mark.parametrize("split", ["transfer", "validation", "test_affinity", "test_policy"])
def test_labels_are_data_of_a_transfer_and_images_are_not(own, codes, split):
    before = transfer_key(own, codes, images=24)
    row = first_row(own, split)
    edit(own / "images.npy", (row, 0, 0, 0))
    assert transfer_key(own, codes, images=24) == before
    edit(own / "tasks/normal/label.npy", (row, 0, 0, 0))
    assert transfer_key(own, codes, images=24) != before


def test_labels_of_images_that_transfers_are_not_trained_on_are_no_data(own, codes):
    before = transfer_key(own, codes, images=5)
    opened = shared(tiny_context(own, codes, Path("nowhere"), "normal", *TRAINED, images=5))
    left = sorted({*opened.task.of_split(Split.TRANSFER).tolist()} - {*opened.train.tolist()})
    for row in (left[0], first_row(own, "train")):
        edit(own / "tasks/normal/label.npy", (row, 0, 0, 0))
    assert transfer_key(own, codes, images=5) == before


def test_every_unit_of_the_dictionary_has_a_key_of_its_own(prepared):
    names = [name for name, task in BUILT_IN.items() if task.label is not None]
    assert len({key_in(prepared.root, name) for name in names}) == len(names)
