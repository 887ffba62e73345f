"""A task's encoder, written as an ONNX file and declared, is the task wherever sources are ranked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from test_encode_images import as_file
from tiny import TRAINED, profile, tiny_context

from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import measure
from taskonomy.config.network_params import Precision
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input
from taskonomy.models.encoder import make_encoder
from taskonomy.pretrained.encode_images import encode_images
from taskonomy.training.codes import coded_rows, codes_of
from taskonomy.training.transfer_context import SCRATCH, shared
from taskonomy.transfers.screen import source_errors
from taskonomy.transfers.transfers import transfers_to

SOURCES = [name for name in TRAINED if name != "colorization"]  # whose encoder reads lightness alone, and no file of others does
DECLARED = "reshaped"  # the name that the file is declared by


@pytest.fixture(scope="module")
def codes(prepared: Prepared, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes of each task's encoder, computed in float32 as ONNX Runtime does, and those of the file of `normal`."""
    folder = tmp_path_factory.mktemp("codes")
    params = profile(transfer={"targets": ["autoencoding"]})
    for name in SOURCES:
        network = load_file(trained / "models" / name / "network.safetensors")
        weights = {key.removeprefix("encoder."): value for key, value in network.items() if name == "random_projection" or key.startswith("encoder.")}
        encoder = make_encoder(params.train.encoder, 3).eval()
        encoder.load_state_dict(weights)
        (folder / name).mkdir()
        found = codes_of(encoder, prepared.images, coded_rows(prepared.splits), Input.IMAGE, Input.IMAGE, Precision.FLOAT32, "float16")
        np.save(folder / name / "image.npy", found)
        if name == "normal":
            half = [0.5, 0.5, 0.5]
            given: dict[str, Any] = {"file": as_file(encoder, folder / "normal.onnx"), "output": "code", "side": 32, "mean": half, "std": half}
            root = prepared.root.parent / "world"
            mine = profile(data={"root": str(root)}, transfer={"targets": ["autoencoding"]}, encoders={DECLARED: {**given, "channels": None}})
            encode_images(DECLARED, mine, prepared.root, folder / DECLARED, processes=1)
    return folder


def in_place_of_the_task(codes: Path, folder: Path) -> Path:
    """The codes of all tasks, but of the file in the place of `normal`: the name is part of a transfer's seeds."""
    folder.mkdir()
    for name in SOURCES:
        (folder / name).symlink_to(codes / (DECLARED if name == "normal" else name))
    return folder


def test_its_codes_are_the_tasks_to_float16(codes: Path) -> None:
    """To the last place; of numbers below 1, which are differences of larger ones, to the last place of 1."""
    mine, wanted = (np.load(codes / name / "image.npy") for name in (DECLARED, "normal"))
    assert mine.dtype == wanted.dtype == np.float16
    last = np.spacing(np.maximum(np.maximum(np.abs(mine), np.abs(wanted)), np.float16(1)))
    assert (np.abs(mine.astype(float) - wanted) <= last.astype(float)).all()


@pytest.mark.usefixtures("unchecked_calls", "one_process")
def test_in_the_place_of_the_task_every_transfer_has_the_tasks_rank(prepared: Prepared, codes: Path, tmp_path: Path) -> None:
    """Of singles and pairs, by affinity; and its losses are the task's."""
    ranked, losses = [], []
    for number, place in enumerate((codes, in_place_of_the_task(codes, tmp_path / "codes"))):
        context = tiny_context(prepared.root, place, tmp_path / f"store{number}", "autoencoding", *SOURCES)
        done = transfers_to(context)
        names, found = done.losses(Split.TEST_AFFINITY)
        rows = measure(Losses("autoencoding", names, found, done.units[SCRATCH].arrays["test_affinity"]), resamples=0).rows
        ranked.append(rows.sort_values("affinity", ascending=False)["sources"].tolist())
        losses.append(done.units["normal",].arrays["test_affinity"])
    assert ranked[0] == ranked[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


def test_beside_the_task_it_is_read_out_as_well_as_the_task(prepared: Prepared, codes: Path, tmp_path: Path) -> None:
    """Closed-form readouts, which have no seed: every other source differs."""
    context = shared(tiny_context(prepared.root, codes, tmp_path / "store", "autoencoding", *SOURCES, DECLARED).resolved())
    test = context.task.of_split(Split.TEST_AFFINITY)
    found = dict(zip(names := [*SOURCES, DECLARED], source_errors(context, names, context.train, test)[:, 0].mean(1), strict=True))
    assert found[DECLARED] == pytest.approx(found["normal"], rel=1e-3)
    assert min(abs(found[name] / found["normal"] - 1) for name in SOURCES if name != "normal") > 1e-3
