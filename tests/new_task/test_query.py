"""A query on the tiny world: a task that is held out of a run, and one that the run left out. Real trainings."""

import os
import subprocess
import sys
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny import TRAINED, files_of, profile, tiny_context
from waiting import HANG

from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import measure
from taskonomy.cli.main import main
from taskonomy.config.data_params import QueryTask
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.models.encoder import make_encoder
from taskonomy.new_task import learning_curve as points
from taskonomy.new_task.learning_curve import LearningCurveContext
from taskonomy.new_task.request import FinishedRun, ask, nested_samples, sizes
from taskonomy.new_task.run_query import answer, run_query
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training import train_unit as units
from taskonomy.training.trainer import autocast
from taskonomy.training.transfer_context import SCRATCH, chosen_samples, shared
from taskonomy.transfers.transfers import transfers_to

SIZES = (12, 40)
SOURCES = tuple(name for name in TRAINED if name != "normal")


class Watch:
    """The real `fit`, which keeps the samples that each network learns from, and the encoder that it starts with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.fit = [], units.fit
        monkeypatch.setattr(units, "fit", self)

    def __call__(self, network, loss, train, validation, *rest, **options):
        weights = {name: value.clone() for name, value in network.state_dict().items() if name.startswith("encoder.")}
        self.asked.append((options["name"], train.positions, weights))
        return self.fit(network, loss, train, validation, *rest, **options)

    @property
    def names(self) -> list[str]:
        return [name for name, _positions, _weights in self.asked]


def forget() -> None:
    """Folders behind queries and jobs may have changed since another test opened them."""
    shared.cache_clear()
    points._opened.cache_clear()


def run_in(folder: Path, prepared: Prepared, trained: Path, **changes) -> FinishedRun:
    """A finished run of what is trained."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / "data").mkdir()
    for link, to in (("data/prepared", prepared.root), ("data/codes", trained / "codes"), ("models", trained / "models")):
        (folder / link).symlink_to(to)
    (folder / "data/world").symlink_to(prepared.root.parent / "world")
    params = profile(**{"data": {"tasks": list(TRAINED)}, "transfer": {"targets": ["normal", "denoising"]}, "query": {"images": SIZES}, **changes})
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    return FinishedRun(folder, params, folder / ".dvc/units")


@pytest.fixture(scope="module")
def held_out(prepared, trained, tmp_path_factory):
    """The answer for `normal`, whose transfers the store knows from the run: what was trained beside them, and where."""
    folder = tmp_path_factory.mktemp("held out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKONOMY_CORES", "1")
        forget()
        run = run_in(folder / "run", prepared, trained)
        pipeline = transfers_to(tiny_context(prepared.root, trained / "codes", run.store, "normal", *SOURCES))
        known = files_of(run.store)
        watch = Watch(patch)
        query = ask(run, "normal", QueryTask(root=str(run.data)), SIZES, folder / "work")
        done = answer(query, run.params.normalize)
    return run, query, pipeline, known, watch, done


def test_the_ranking_is_that_of_the_pipelines_own_transfers(held_out):
    """To the last bit: the same candidates, losses, affinities and intervals."""
    run, _query, pipeline, _known, _watch, done = held_out
    names, losses = pipeline.losses(Split.TEST_AFFINITY)
    expected = measure(Losses("normal", names, losses, pipeline.units[SCRATCH].arrays["test_affinity"]), resamples=run.params.normalize.resamples)
    ranking = done.answer.ranking.set_index("sources")
    assert set(ranking.index) == set(expected.rows["sources"])
    for column in ("affinity", "low", "high", "gain"):
        measured = expected.rows.set_index("sources")["gain_scratch" if column == "gain" else column].rename(column)
        pd.testing.assert_series_equal(ranking.loc[expected.rows["sources"].tolist(), column], measured)
    assert ranking["affinity"].is_monotonic_decreasing
    for order in (1, 2):
        of_order = expected.rows[expected.rows["sources"].map(len) == order]
        assert done.answer.best[order - 1] == of_order["sources"].loc[of_order["affinity"].idxmax()]
    assert all("normal" not in sources for sources in ranking.index)  # it is held out


def test_nothing_known_is_trained_again(held_out, prepared, trained):
    _run, query, pipeline, known, watch, done = held_out
    best = "+".join(done.answer.winner)
    tuned = next(sources[0] for sources in done.answer.ranking["sources"] if len(sources) == 1 and sources != ("colorization",))
    # The curve alone, each way with both sizes: the smaller one takes more steps than the run's own transfers of so many images.
    assert sorted(watch.names) == sorted(2 * [f"transfer {best} normal", "scratch normal", f"fine-tuned {tuned} normal"])
    assert known.items() <= files_of(query.context.store).items()
    assert set(done.units["key"]) >= set(pipeline.keys.values())
    assert done.new == len(watch.names)
    with pytest.MonkeyPatch.context() as patch:
        again = Watch(patch)
        forget()
        repeated = answer(query, profile().normalize)
    assert again.names == []
    assert repeated.new == 0
    pd.testing.assert_frame_equal(repeated.answer.curve, done.answer.curve)
    assert repeated.answer.as_dict() == done.answer.as_dict()


def test_all_ways_learn_from_the_same_samples_and_fewer_lie_within_more(held_out, trained):
    _run, query, _pipeline, _known, watch, _done = held_out
    by_size: dict[int, list[np.ndarray]] = {}
    for _name, positions, _weights in watch.asked:
        by_size.setdefault(len(positions), []).append(positions)
    assert sorted(by_size) == list(query.images) == list(SIZES)
    for same in by_size.values():
        assert all(np.array_equal(one, same[0]) for one in same)
    assert set(by_size[12][0]) < set(by_size[40][0])
    np.testing.assert_array_equal(by_size[12][0], shared(query.context).train)
    name, _positions, started = next(one for one in watch.asked if one[0].startswith("fine-tuned"))
    saved = load_file(trained / f"models/{name.split()[1]}/network.safetensors")
    convolutions = [key for key, value in started.items() if value.ndim == 4]
    assert convolutions
    assert all(torch.equal(started[key], saved.get(key, saved.get(key.removeprefix("encoder.")))) for key in convolutions)


def test_every_point_takes_as_many_steps_as_that_with_the_most_samples_unless_epochs_are_the_same(held_out):
    _run, query, *_rest = held_out
    params = query.context.params
    epochs = params.model_copy(update={"fewer": params.fewer.model_copy(update={"same": "epochs"})})
    other = replace(query, context=replace(query.context, params=epochs))
    for way in ("transfer", "scratch", "fine-tuned"):
        steps, fixed = ([steps_of(LearningCurveContext(one, images), way) for images in sorted(query.images, reverse=True)] for one in (query, other))
        (most, _once), *fewer = steps
        assert all(most <= taken < most + once for taken, once in fewer)
        assert all(taken < most for taken, _once in fixed[1:])
        assert fixed[0] == steps[0]


def steps_of(opened: LearningCurveContext, way: str) -> tuple[int, int]:
    """The steps of a training, and those of one pass."""
    plans = {"transfer": opened.context.schedule, "scratch": opened.context.config.schedule, "fine-tuned": opened.fine_tuned_config.schedule}
    samples = len(opened.context.train)
    return plans[way].steps(samples), ceil(samples / plans[way].batch)


def test_intervals_hold_the_estimate_and_scratch_ties_with_itself(held_out):
    *_rest, done = held_out
    curve = done.answer.curve
    assert len(curve) == 3 * len(SIZES)
    for name in ("loss", "gain"):
        assert ((curve[f"{name}_low"] <= curve[name]) & (curve[name] <= curve[f"{name}_high"])).all()
    assert (curve.loc[curve["way"] == "scratch", "gain"] == 0.5).all()
    assert np.isfinite(curve["loss"]).all()


def test_what_is_measured_is_what_the_units_hold(held_out):
    """Loss and gain of each point, counted image by image on the half that no choice was made by."""
    _run, query, _pipeline, _known, _watch, done = held_out
    store = Store(query.context.store)
    keys = dict(zip(done.units["name"], done.units["key"], strict=True))
    best, largest = "+".join(done.answer.winner), max(SIZES)
    held = {way: store.read(keys[f"{way} {source} {largest}"]).arrays["test_policy"] for way, source in (("transfer", best), ("scratch", "scratch"))}
    wins = [1 if ours < theirs else 0.5 if ours == theirs else 0 for ours, theirs in zip(held["transfer"], held["scratch"], strict=True)]
    row = done.answer.curve.query("way == 'transfer' and images == @largest").iloc[0]
    assert row["gain"] == pytest.approx(sum(wins) / len(wins))
    assert row["loss"] == pytest.approx(held["transfer"].mean(dtype=float))


def test_samples_of_the_train_split_are_encoded_once_as_the_sources_see_them(held_out):
    """A curve that goes on beyond the transfer split, against the encoder itself, image by image."""
    _run, query, *_rest = held_out
    task = Prepared(query.context.prepared).task(BUILT_IN["normal"])
    few = len(task.of_split(Split.TRANSFER))
    opened = LearningCurveContext(query, few + 5)
    assert (task.splits[opened.context.train] == Split.TRAIN.number).sum() == len(opened.more) == 5
    assert opened.key(("autoencoding",)) != LearningCurveContext(query, few).key(("autoencoding",))
    codes, rows, stored = opened.all_codes("autoencoding"), opened.all_rows(), opened.context.stored_codes("autoencoding")
    saved = load_file(query.models / "autoencoding/network.safetensors")
    encoder = make_encoder(profile().train.encoder)
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in saved.items() if name.startswith("encoder.")})
    encoder.eval()
    for view in [*opened.more, *np.flatnonzero(task.splits == Split.VALIDATION.number)[:3]]:
        image = torch.from_numpy(np.array(opened.context.dataset.images[view])).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad(), autocast(image.device, query.encoding.precision):  # on some processors `auto` is half precision
            expected = encoder(image)[0].float()
        torch.testing.assert_close(torch.from_numpy(codes[rows[view]]).float(), expected, rtol=0.03, atol=0.03)
    np.testing.assert_array_equal(codes[: len(stored)], stored)
    assert (rows[np.setdiff1d(np.flatnonzero(opened.context.dataset.splits == 0), opened.more)] == -1).all()


SPLIT_LISTS = st.lists(st.integers(0, 4), min_size=2, max_size=100).filter(lambda splits: 1 in splits)


@given(SPLIT_LISTS, st.integers(1, 120), st.integers(1, 120), st.integers(0, 3))
def test_smaller_subsets_lie_in_larger_ones_and_begin_as_the_stage_transfer_chooses(splits, one, other, seed):
    task = PreparedTask(BUILT_IN["normal"], np.arange(len(splits))[:, None], None, None, {}, np.array(splits))
    there = [position for position, split in enumerate(splits) if split in (0, 1)]
    small, large = (nested_samples(task, images, seed) for images in sorted((one, other)))
    assert set(small) <= set(large) <= set(there)
    assert len(small) == len(set(small)) == min(one, other, len(there))
    assert list(small) == sorted(small)
    transfer = task.of_split(Split.TRANSFER)
    np.testing.assert_array_equal(nested_samples(task, min(one, len(transfer)), seed), chosen_samples(transfer, one, seed, "normal"))
    assert sizes(task, (one, other, 10**6)) == tuple(sorted({min(one, len(there)), min(other, len(there)), len(there)}))


def test_a_task_that_the_run_left_out_is_prepared_from_its_images_and_reads_its_codes(prepared, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    forget()
    run = run_in(tmp_path / "run", prepared, trained)
    query = ask(run, "reshading", QueryTask(root=str(run.data)), SIZES, tmp_path / "work")
    assert query.to_encode == ()
    assert query.context.codes == run.codes
    assert query.context.prepared != run.prepared
    assert set(query.context.sources) == set(TRAINED)
    # A unit is keyed by content: as if the run had prepared the labels itself.
    beside = tiny_context(prepared.root, trained / "codes", run.store, "reshading", *TRAINED)
    for sources in (("normal",), ("autoencoding", "normal"), SCRATCH):
        assert shared(query.context).key(sources) == shared(beside).key(sources)


def test_a_target_of_noise_that_the_run_did_not_solve_is_encoded(prepared, trained, tmp_path, monkeypatch):
    """The codes are those that the stage `train` would have written."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    forget()
    run = run_in(tmp_path / "run", prepared, trained)
    (run.root / "data/codes").unlink()
    for source in TRAINED:
        (run.codes / source).mkdir(parents=True)
        (run.codes / source / "image.npy").symlink_to(trained / f"codes/{source}/image.npy")
    query = ask(run, "denoising", QueryTask(root=str(run.data)), SIZES, tmp_path / "work")
    assert set(query.to_encode) == set(TRAINED) - {"denoising"}
    from taskonomy.new_task.encode import encode_all

    keys = encode_all(query)
    assert set(keys) == set(query.to_encode)
    for source in query.to_encode:
        np.testing.assert_array_equal(np.load(query.context.codes / source / "noise.npy"), np.load(trained / f"codes/{source}/noise.npy"))


@pytest.mark.parametrize(
    ("task", "said"),
    [("norml", "query: tasks: unknown 'norml' .did you mean 'normal'"), ("jigsaw", "query: jigsaw has no labels that can be transferred to")],
)
def test_what_is_no_target_is_refused(prepared, trained, tmp_path, task, said):
    run = run_in(tmp_path / "run", prepared, trained)
    with pytest.raises(TaskonomyError, match=said):
        ask(run, task, QueryTask(root=str(run.data)), SIZES, tmp_path / "work")


def test_an_unfinished_run_is_refused_and_leaves_nothing(prepared, trained, tmp_path):
    run = run_in(tmp_path / "run", prepared, trained)
    (run.root / "models").unlink()
    (run.root / "models").mkdir()
    with pytest.raises(TaskonomyError, match=r"no network of autoencoding, .*the run must be finished"):
        run_query(run.root, "normal", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_stage_writes_tables_and_a_page_and_loads_no_torch_for_what_is_known(held_out):
    run, _query, _pipeline, _known, _watch, done = held_out
    (run.root / ".dvc/config").write_text(f"[core]\n    no_scm = true\n[cache]\n    dir = {run.store.parent / 'cache'}\n")
    (run.root / "dvc.yaml").write_text(
        "stages:\n  query:\n    foreach: [normal]\n    do:\n      cmd: python stages/query.py --results results/query\n"
    )
    program = (
        "import runpy, sys; sys.argv = ['query', '--results', 'results/query']\n"
        f"runpy.run_path({str(ROOT / 'stages/query.py')!r}, run_name='__main__'); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TASKONOMY_CORES": "1", "DVC_STAGE": "query@normal"}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG, cwd=run.root, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["False"]
    written = run.root / "results/query/normal"
    files = {"answer.json", "curve.csv", "index.html", "ranking.csv", "test_affinity.npz", "test_policy.npz", "units.csv"}
    assert {path.name for path in written.iterdir()} == files
    assert pd.read_csv(written / "ranking.csv")["sources"].tolist() == ["+".join(sources) for sources in done.answer.ranking["sources"]]
    assert set(pd.read_csv(written / "units.csv")["key"]) == set(done.units["key"])
    assert {path.name for path in run.root.iterdir()} == {".dvc", "data", "dvc.yaml", "models", "params.yaml", "results"}


def test_the_command_refuses_sizes_that_are_none(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["taskonomy", "query", "normal", "--images", "200,many"])
    with pytest.raises(SystemExit, match=r"error: --images: '200,many' must be whole numbers >= 2"):
        main()
