"""How long a run will still take: from earlier times, from an estimate, and corrected by what this run took."""

import io
import json
import time
from pathlib import Path
from typing import TextIO

import pytest

from taskonomy.pipeline.forecast import START_SECONDS, Forecast
from taskonomy.pipeline.headline import headline
from taskonomy.pipeline.progress import ProgressDisplay, RunningLine


def test_time_left_is_what_stages_took_last_time_shared_by_the_jobs() -> None:
    forecast = Forecast(["train@a", "train@b", "transfer@a"], {"train@a": 40.0, "train@b": 60.0, "transfer@z": 100.0}, jobs=2)
    assert not forecast.lacks_estimates
    assert forecast.seconds_left({}) == (40 + 60 + 100) / 2
    assert forecast.share({}) == 0
    assert forecast.seconds_left({"train@a": 10.0, "train@b": 10.0}) == 100  # the longest stage alone
    assert forecast.share({"train@a": 10.0, "train@b": 10.0}) == pytest.approx(20 / 200)
    forecast.ended("train@a", 40.0, ran=True)
    forecast.ended("train@b", 60.0, ran=True)
    assert (forecast.share({}), forecast.seconds_left({})) == (0.5, 100)


def test_a_group_that_takes_twice_as_long_as_expected_will_go_on_so() -> None:
    forecast = Forecast(["train@a", "train@b", "policy"], {"train@a": 10.0, "train@b": 30.0, "policy": 5.0}, jobs=1)
    forecast.ended("train@a", 20.0, ran=True)
    assert forecast.seconds_left({}) == 60 + 5
    forecast.ended("train@b", 0.1, ran=False)  # from the cache: says nothing about others
    assert forecast.seconds_left({}) == 5
    forecast.ended("policy", 5.0, ran=True)
    assert (forecast.seconds_left({}), forecast.share({})) == (0, 1)


def test_without_earlier_times_the_estimate_of_the_plan_counts_by_stage() -> None:
    forecast = Forecast(["train@a", "train@b", "transfer@a", "report"], {}, jobs=1)
    assert forecast.lacks_estimates
    seconds = {"task networks": 100.0, "codes": 20.0, "best constants": 40.0, "from scratch": 10.0, "transfers of order 1": 50.0}
    forecast.estimate(seconds | {"transfers of order 2": 30.0, "starts of processes": 9.0}, {"train": 4, "transfer": 3, "report": 2})
    assert not forecast.lacks_estimates
    assert forecast.seconds_left({}) == pytest.approx(2 * 160 / 4 + 90 / 3 + START_SECONDS)


def test_the_line_of_a_stage_that_ends_says_the_time_left_once_it_is_known() -> None:
    class Stream(io.StringIO, TextIO):
        pass

    forecast = Forecast(["train@a", "train@b", "train@c"], {}, jobs=1)
    screen = ProgressDisplay(stream := Stream(), total=3, forecast=forecast)
    for name in ("train@a", "train@b", "train@c"):
        screen.draw([RunningLine(name, time.monotonic(), Path("none"))])
        forecast.ended(name, 600.0, ran=True)
        screen.ended(name, "done", 600.0)
        forecast.estimate({"task networks": 1800.0}, {"train": 3})
    first, second, third = stream.getvalue().splitlines()
    assert first == "done      train@a  10:00  [1/3]"
    assert second.startswith("done      train@b  10:00  [2/3, about ")
    assert third == "done      train@c  10:00  [3/3]"


def test_the_headline_names_sources_numbers_and_pages_and_nothing_before_there_are_results(tmp_path: Path) -> None:
    assert headline(tmp_path) == ""
    (tmp_path / "results/measured").mkdir(parents=True)
    (tmp_path / "results/measured/policy.json").write_text('{"sources": ["normal", "reshading"]}')
    assert headline(tmp_path) == ""
    (tmp_path / "results/measured/summary.json").write_text('{"quality": 0.283, "policy_p": 0.0001, "tree": 0.5}')
    (tmp_path / "reports/measured").mkdir(parents=True)
    (tmp_path / "reports/measured/index.html").touch()
    label, quality, chance, pages, rest = headline(tmp_path).splitlines()
    assert label == "label in full: normal, reshading"
    assert quality.split()[0] == "28%"
    assert chance.split()[0] == "0.0001"
    assert pages == "open reports/measured/index.html"
    assert "dvc metrics show" in rest


def test_the_headline_tells_free_labels_from_those_to_pay_for(tmp_path: Path) -> None:
    (tmp_path / "results/measured").mkdir(parents=True)
    (tmp_path / "results/measured/summary.json").write_text("{}")
    (tmp_path / "results/measured/policy.json").write_text(json.dumps({"sources": ["denoising", "normal"], "free": ["denoising"]}))
    assert headline(tmp_path).splitlines()[:2] == ["label in full: normal", "labels are free: denoising"]


def test_the_headline_never_says_to_label_for_what_others_trained(tmp_path: Path) -> None:
    (tmp_path / "results/measured").mkdir(parents=True)
    (tmp_path / "results/measured/summary.json").write_text("{}")
    for sources, labelled in ((["lite", "normal"], "normal"), (["lite"], "nothing")):
        policy = {"sources": sources, "use_as_they_are": {"lite": {"licence": "MIT", "inference": None}}}
        (tmp_path / "results/measured/policy.json").write_text(json.dumps(policy))
        assert headline(tmp_path).splitlines()[:2] == [f"label in full: {labelled}", "use as it is: lite"]
