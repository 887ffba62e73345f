"""What only a measured table has on its page, and what each part says of its data."""

import re
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_page import NAMES, needs_browser, page_of, seen, small_table, text_of

from taskonomy.config.policy_params import PolicyParams
from taskonomy.evaluation.agreement import agreement
from taskonomy.evaluation.jackknife import Buildings
from taskonomy.policy.planner import Planner
from taskonomy.report import agreement_section as against
from taskonomy.report import networks_section as networks
from taskonomy.report import policy_section as decision
from taskonomy.report import transfers_section as transfers
from taskonomy.tables.table import join_sources, parse_table
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.custom_tasks import CustomVector

PARAMS = PolicyParams(preset="paper", budget=2, max_order=1, exclude=("random_projection",))
DOT = "data:image/webp;base64,UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"


def by_building(table: pd.DataFrame, buildings: int) -> pd.DataFrame:
    """Rates that differ between buildings and have the table's as their mean."""
    rows = []
    for row, number in product(table.itertuples(), range(buildings)):
        step = 0.05 * (number - (buildings - 1) / 2)
        rows.append((row.target, join_sources(row.sources), f"b{number}", 10, row.gain + step, row.quality + step))  # type: ignore[arg-type, operator]
    return pd.DataFrame(rows, columns=["target", "sources", "building", "images", "gain", "quality"])


def samples(*tasks: str) -> dict[str, Any]:
    """As the stage writes them, two images of each task."""
    one = {"seen": DOT, "truth": DOT, "prediction": DOT}
    columns = [
        {"kind": "own", "sources": ["self"], "gain": 0.9, "pictures": [DOT, DOT]},
        *({"kind": "transfer", "sources": [name], "gain": 0.8 - 0.3 * place, "pictures": [DOT, DOT]} for place, name in enumerate(tasks[1:3])),
        {"kind": "scratch", "sources": ["scratch"], "gain": None, "pictures": [DOT, DOT]},
    ]
    return {
        "networks": [{"task": name, "changes_images": name == "denoising", "samples": [one, one]} for name in tasks],
        "transfers": [{"target": tasks[0], "seen": [DOT, DOT], "truth": [DOT, DOT], "columns": columns}],
    }


def curves(*tasks: str) -> pd.DataFrame:
    rows = [(task, split, epoch, 1 / epoch + (split == "train")) for task in tasks for split in ("train", "validation") for epoch in (1, 2, 4)]
    return pd.DataFrame(rows, columns=["task", "split", "epoch", "loss"])


FACTS = {
    "data": {"root": "my/<b>data", "resolution": 64, "views": {"train": 30, "transfer": 9}, "buildings": {"train": 3, "transfer": 1}, "left_out": 2},
    "networks": {"task networks": {"count": 4, "fingerprint": "0123456789abcdef"}},
    "params": {"transfer": {"images": 8, "max_order": 1}},
}


def measured_page(rules: PolicyParams = PARAMS, **changes: Any) -> str:
    table = small_table()
    more: dict[str, Any] = {
        "buildings": Buildings(by_building(table, 5), 0.9),
        "losses": pd.DataFrame([(t, s, 0.1 * 10**i) for i, t in enumerate(NAMES[:4]) for s in NAMES], columns=["target", "sources", "loss"]),
        "curves": curves(*NAMES[:4]),
        "agreement": agreement(table, table.assign(affinity=table["affinity"].to_numpy()[::-1])),
        "samples": samples(*NAMES[:4]),
        "facts": FACTS,
        "params": {"policy": {"budget": 2, "exclude": ["random_projection"], "cost": {}, "preset": "paper"}},
        "images": (1000, 100),
    }
    rates = pd.DataFrame({"task": NAMES[:4], "average": [0.9, 0.8, 0.5, 0.95], "random": 0.7})
    return page_of(table, rules, [1], 2, networks=rates, **(more | changes))


def test_the_headline_says_what_to_label_what_it_saves_and_how_sure_gain_and_quality_are() -> None:
    best = Planner(small_table(), PARAMS).policy(2)
    found = Buildings(by_building(small_table(), 5), 0.9)
    told = text_of(measured_page())
    gain, quality = (found.interval([(one.target, one.sources) for one in best.transfers], name) for name in ("gain", "quality"))
    assert gain is not None
    assert quality is not None
    assert f"Label 2 tasks in full and transfer to the other 2 of 4 targets. {' '.join(map(BUILT_IN.title, best.sources))} " in told
    assert "saves 45 % of the labels of training every target by itself (counting 1,000 images for a network and 100 for a transfer)" in told
    for name, against_what in ((gain, "a shallow network on the same few images"), (quality, "its own fully supervised network")):
        assert f"{against_what} on {100 * name.value:.0f} % of the images ({100 * name.low:.0f} to {100 * name.high:.0f})" in told
    assert "50 images of 5 buildings" in told
    assert "intervals of 90 %" in told


def test_labels_that_are_free_are_told_from_those_to_pay_for_and_save_nothing() -> None:
    """Of the four targets two have free labels. Of the other two one is labelled: 1,000 and 100 images of 2,000."""
    params = PolicyParams(budget=1, max_order=1, exclude=("random_projection",))
    best = Planner(small_table(), params).policy(1)
    assert (len(best.labelled), best.free) == (3, ("denoising", "edge_texture"))
    told = text_of(measured_page(params, params={"policy": params.model_dump(mode="json")}))
    assert "Label 1 task in full, train 2 tasks whose labels are free, and transfer to the other 1 of 4 targets. " in told
    assert "Denoising (free) 2D texture edges (free)" in told
    assert "saves 45 % of the labels of training every target by itself" in told


def test_one_building_and_a_table_without_images_say_why_there_is_no_interval() -> None:
    alone = text_of(measured_page(buildings=Buildings(by_building(small_table(), 1), 0.9)))
    assert "one building alone gives no intervals" in alone
    assert "gain and quality come without intervals" in text_of(measured_page(buildings=None))


def test_every_part_says_what_to_see_in_it() -> None:
    told = text_of(measured_page())
    assert "3 of 4 networks clearly beat the best constant answer; Denoising does not" in told
    assert "2D texture edges beats the best constant answer most often (95 % of the test images), Denoising least (50 %)" in told
    assert "a transfer from Reshading beats a shallow network on the image on 80 % of the test images, one from Denoising on 50 %" in told
    assert "the median network's loss on held-back buildings falls by 75 %" in told
    assert "4 of 4 were still getting better in their last epoch" in told
    assert "from 0.1 (Surface normals) to 100 (2D texture edges)" in told
    assert "4 trained networks and 39 images of 4 buildings" in told
    assert "2 damaged files were left out" in told
    assert "policy.budget 2 policy.exclude random_projection policy.cost none" in told
    assert "my/<b>data" in told


@pytest.mark.parametrize("part", ["networks", "losses", "curves", "agreement", "samples", "facts"])
def test_a_part_without_data_is_left_out(part: str) -> None:
    headings = {
        "networks": "Task networks", "losses": "Analytic Hierarchy Process", "curves": "Training", "agreement": "Against the published",
        "samples": "Transfer examples", "facts": "Split of",
    }  # fmt: skip
    table = page_of(small_table(), PARAMS, [1], 2)
    assert headings[part] in text_of(measured_page())
    assert headings[part] not in text_of(table)
    assert "Provenance " in text_of(table)


def test_every_name_of_a_page_is_the_title_of_the_registry_it_is_given() -> None:
    """A page with other titles differs from one without them in these titles alone, and shows no name."""
    other = {name: f"t{number}" for number, name in enumerate(NAMES)}
    table, names = small_table(), list(other.values())
    table = table.assign(target=table["target"].map(other), sources=[tuple(other.get(one, one) for one in group) for group in table["sources"]])
    declared = {name: CustomVector(kind="vector", length=1, title=f"Title{name}") for name in names}
    params = PolicyParams(preset="paper", budget=2, max_order=1)
    several = {"losses": pd.DataFrame([(name, one, 0.5) for name in names[:4] for one in names], columns=["target", "sources", "loss"])}
    several |= {"curves": curves(*names[:4]), "samples": samples(*names[:4]), "agreement": agreement(table, table)}
    several |= {"networks": pd.DataFrame({"task": names[:4], "average": [0.9, 0.8, 0.5, 0.95], "random": 0.7})}
    plain, titled = (page_of(table, params, [1], 2, registry=one, **several) for one in (BUILT_IN, BUILT_IN.with_custom(declared)))
    assert titled.replace("Title", "") == plain.replace("Title", "")
    assert not re.findall(r"\bt\d\b", text_of(titled))
    assert re.findall(r"\bt\d\b", text_of(plain))


def test_a_source_that_feeds_none_but_itself_is_said_to() -> None:
    point = {
        "sources": ["normal", "denoising"],
        "transfers": [
            {"target": "reshading", "sources": ["normal", "normal>reshading"]}, {"target": "normal", "sources": ["self"]},
            {"target": "denoising", "sources": ["denoising"]},
        ],
    }  # fmt: skip
    told = "Surface normals feeds 2 of 3 targets, more than any other source; Denoising helps no target but itself."
    assert decision._feeds(point, BUILT_IN) == told


def test_equally_good_sources_are_not_told_apart() -> None:
    column = {"kind": "transfer", "pictures": []}
    alike = [{**column, "sources": [name], "gain": gain} for name, gain in (("normal", 0.91), ("reshading", 0.9))]
    assert "The source hardly matters here" in transfers._see(alike, BUILT_IN)
    assert transfers._see(alike[:1], BUILT_IN) == ""


def test_a_curve_is_drawn_from_its_highest_to_its_lowest_loss() -> None:
    found = networks.curves(curves("normal"), BUILT_IN)
    (panel,) = found["panels"]
    points = {split: np.array(re.findall(r"[\d.]+", path), float).reshape(-1, 2) for split, path in panel["paths"].items()}
    assert (panel["high"], panel["low"]) == (2.0, 0.25)
    assert points["train"][0] == pytest.approx((0, 0))
    assert points["validation"][-1] == pytest.approx((found["wide"], found["high"]))
    assert points["validation"][1] == pytest.approx((found["wide"] / 2, found["high"] * (2 - 0.5) / 1.75), abs=0.05)


def test_targets_whose_sources_all_tie_have_no_bar_and_stand_last() -> None:
    row = {"sources": 3, "top1": 1.0, "top5": 1.0}
    found = {"sources": ["a"], "mean": {"spearman": 0.5, "top5": 1.0}, "by_chance": {"top5": 1.0}}
    shown = against.shown({**found, "targets": {"normal": {**row, "spearman": None}, "reshading": {**row, "spearman": -0.5}}}, BUILT_IN)
    assert [one["rho"] for one in shown["rows"]] == [-0.5, None]
    assert shown["see"].startswith("For 0 of 1 targets")


def test_pictures_have_a_text_that_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    page = page_of(small_table(), PARAMS, [1], 2, samples=samples(evil, *NAMES[:3]))
    assert evil not in page
    texts = [unescape(text) for text in re.findall(r'<img src="data:[^"]*" alt="([^"]*)"', page)]
    assert len(texts) == page.count("<img ")
    assert f"{evil}: ground truth" in texts


@needs_browser
def test_the_reader_chooses_which_image_is_shown(tmp_path: Path) -> None:
    script = """
        const shown = () => [...document.querySelectorAll('#answers .cards figure')].map(
            (card) => [...card.querySelectorAll('.view')].filter((one) => one.checkVisibility()).map((one) => one.dataset.view));
        result.before = shown();
        document.querySelectorAll('#views input')[1].click();
        result.after = shown();
        result.plots = ['losses', 'heat'].map((id) => document.querySelectorAll('#' + id + ' svg.main-svg').length > 0);
        result.seen = [...document.querySelectorAll('#answers .cards figure')].map((card) => card.querySelectorAll('.view.shown img').length);
        result.unsaid = [...document.querySelectorAll('[role=img]')].filter((one) => !one.getAttribute('aria-label')).length;
    """
    result = seen(measured_page(), tmp_path, script)
    assert result["before"] == [["0"]] * 4
    assert result["after"] == [["1"]] * 4
    assert result["plots"] == [True, True]
    assert sorted(result["seen"]) == [2, 2, 2, 3]  # type: ignore[call-overload]
    assert result["unsaid"] == 0


@needs_browser
def test_sixty_tasks_with_long_names_overlap_nowhere(tmp_path: Path) -> None:
    names = [f"{'a task with a name that goes on and on ' if number % 7 == 0 else 'task '}{number}" for number in range(60)]
    rng = np.random.default_rng(0)
    worth = rng.random((60, 60)) * (1 + 5 * (np.arange(60) < 12))
    rows = [f"{t},{s},{worth[i, j]:.3f},0.5,0.4" for i, t in enumerate(names) for j, s in enumerate(names)]
    rows += [f"{t},self,9,0.9,0.5" for t in names]
    table = parse_table("target,sources,affinity,gain,quality\n" + "\n".join(rows), "T")
    # The width of a phone: what is wider scrolls in its own frame.
    script = """
        const boxes = [...document.querySelectorAll('#graph text')].map((one) => one.getBoundingClientRect());
        const hit = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4;
        result.texts = boxes.length;
        result.overlaps = boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => hit(a, b))).length;
        const ticks = [...document.querySelectorAll('#heat .ytick text')].map((one) => one.getBoundingClientRect());
        result.ticks = [ticks.length, ticks.flatMap((a, i) => ticks.slice(i + 1).filter((b) => hit(a, b))).length];
        const names = [...document.querySelectorAll('#heat .xtick text')];
        const ends = names.map((one) => one.getBoundingClientRect().right).sort((a, b) => a - b);
        const lines = ends.slice(1).map((end, i) => (end - ends[i]) * Math.sin(Math.PI / 3));  // between lines at 60 degrees
        result.apart = Math.min(...lines) / parseFloat(getComputedStyle(names[0]).fontSize);
        result.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    """
    params = PolicyParams(preset="paper", budget=12, max_order=1)
    page = page_of(table, params, [1], 2, budgets=[12])
    result = seen(page, tmp_path, script)
    assert result["texts"] == 4 + 2 * (12 + 60) + 2 * 60
    assert result["overlaps"] == 0
    assert result["ticks"] == [60, 0]
    assert result["apart"] > 1
    assert result["wide"] == 0
