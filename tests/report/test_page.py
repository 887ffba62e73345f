"""The page, opened in a real browser: it shows what was chosen, follows the reader's choice, and runs no name."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES
from waiting import HANG

from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams, Preset, SavingsParams
from taskonomy.evaluation.families import family_test
from taskonomy.evaluation.held_out import held_out
from taskonomy.evaluation.savings import random_sets, summary
from taskonomy.evaluation.significance import significance
from taskonomy.evaluation.tree import similarity_tree, without_sources
from taskonomy.policy.front import front
from taskonomy.policy.planner import Planner, Policy
from taskonomy.policy.problem import Problem
from taskonomy.report.inputs import Results
from taskonomy.report.page import embedded_json, page
from taskonomy.tables.table import parse_table
from taskonomy.tasks import BUILT_IN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; Debian and Ubuntu: apt-get install chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def page_of(
    table: pd.DataFrame,
    params: PolicyParams,
    orders: list[int],
    set_size: int,
    /,
    *,
    networks: pd.DataFrame | None = None,
    elsewhere: pd.DataFrame | None = None,
    excluded: tuple[str, ...] | None = None,
    budgets: list[float] | None = None,
    **more: Any,
) -> str:
    planner = Planner(table, params)
    best = planner.policy(params.budget)
    savings = SavingsParams(quality_levels=(0.9,), set_size=set_size, draws=5, max_order=1, images_full=1000, images_transfer=100, seed=0)
    sets = random_sets(table, params, savings)
    excluded = params.exclude if excluded is None else excluded
    problem = planner.problem if elsewhere is None else held_out(planner.problem, elsewhere)
    points = [point.as_dict() for point in front(table, params, orders)] if budgets is None else [some(planner, budget) for budget in budgets]
    tree = similarity_tree(without_sources(table, excluded))
    results = Results(
        table=table,
        excluded=excluded,
        policy=json.loads(to_json(best.as_dict())),
        front=json.loads(to_json(points)),
        significance=significance(on(best, problem), problem, 1000, 0),
        savings={"whole table": [{"level": 0.9, "budget": None, "quality": None}], "random sets": summary(sets, [0.9])},
        task_sets=sets,
        tree=tree,
        families=family_test(tree, 100, 0),
        networks=networks,
        **more,
    )
    return page("A title", results)


def some(planner: Planner, budget: float) -> dict[str, Any]:
    """One point of a front, without the others."""
    return {**planner.policy(budget).as_dict(), "one_more_label": {"cost": None, "gain": None, "quality": None}}


def on(policy: Policy, problem: Problem) -> Policy:
    """The same policy with the gain and quality of a problem's transfers."""
    measured = {(one.target, one.sources): one for one in problem.transfers}
    return replace(policy, transfers=tuple(measured[one.target, one.sources] for one in policy.transfers))


def seen(html: str, folder: Path, script: str, link: str = "") -> dict[str, object]:
    """Run `script` in the page, opened with a link's part after #, and return what it puts into `result`."""
    run = f"const result = {{}}; {script}; document.body.dataset.result = JSON.stringify(result);"
    probe = f"<script>window.addEventListener('load', () => {{ {run} }});</script>"
    path = folder / "index.html"
    path.write_text(html.replace("</body>", probe + "</body>"), encoding="utf-8")
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=6000", "--dump-dom", path.as_uri() + link],
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    found = re.search(r'data-result="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    return json.loads(unescape(found.group(1)))


@needs_browser
def test_the_page_shows_the_policy_and_follows_the_reader(published: pd.DataFrame, tmp_path: Path) -> None:
    params = PolicyParams(preset="paper", budget=3, max_order=2, exclude=NOT_SOURCES)
    expected = {order: Planner(published, params.model_copy(update={"max_order": order})) for order in (1, 2)}
    script = """
        result.headline = document.getElementById('headline').textContent;
        result.sources = [...document.querySelectorAll('#sources .source')].map((one) => one.lastChild.textContent);
        result.nodes = document.querySelectorAll('#graph .node').length;
        document.querySelector('#orders input[value="1"]').click();
        const slider = document.getElementById('budget');
        slider.value = 4; slider.dispatchEvent(new Event('input'));
        result.after = document.getElementById('details').textContent;
        result.budget = document.getElementById('budget-value').value;
        result.links = document.querySelectorAll('#graph .link').length;
        result.plots = ['front-gain', 'front-quality', 'heat', 'tree', 'savings', 'significance-gain'].map(
            (id) => document.querySelectorAll('#' + id + ' svg.main-svg').length > 0);
        result.cells = document.getElementById('heat').data[0].x.length;
    """
    result = seen(page_of(published, params, [1, 2], 4), tmp_path, script)
    assert result["headline"] == "Label 3 tasks in full and transfer to the other 19 of 22 targets."
    assert result["sources"] == [BUILT_IN.title(name) for name in expected[2].policy(3).sources]
    assert result["nodes"] == 3 + 22
    assert result["budget"] == "5"
    assert result["links"] == 22
    after = expected[1].policy(5)
    assert f"{100 * after.mean_gain:.0f}\u00a0% of the images" in str(result["after"])
    assert result["plots"] == [True] * 6
    assert result["cells"] == 25


@needs_browser
def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    evil = "<img src=x onerror=window.hacked=1>"
    worse = "</script><script>window.hacked=1</script>"
    quoted = "a\"b'&c"
    names = [evil, worse, quoted]
    rows = [f'"{t}","{s}",{0.1 + i / 10},0.5,{0.1 * i:.1f}' for t in names for i, s in enumerate([*names, "self"])]
    text = "target,sources,affinity,gain,quality\n" + "\n".join(row.replace('a"b', 'a""b') for row in rows)
    networks = pd.DataFrame({"task": names, "average": 0.5, "random": 0.5})
    html = page_of(parse_table(text, "T"), PolicyParams(preset="paper", budget=3, max_order=1), [1], 2, networks=networks)
    script = """
        result.hacked = window.hacked === undefined ? 'no' : 'yes';
        result.text = document.getElementById('graph').textContent;
        result.networks = document.querySelector('.networks').textContent;
        result.images = document.images.length;
    """
    result = seen(html, tmp_path, script)
    assert result["hacked"] == "no"
    assert result["images"] == 0
    assert all(name in str(result["text"]) for name in names)
    assert all(name in str(result["networks"]) for name in names)


NAMES = ["normal", "reshading", "denoising", "edge_texture", "random_projection"]


def small_table(extra: float = 0.0) -> pd.DataFrame:
    """Each task is best solved by its own encoder; random weights are a source and no target."""
    rows = [
        f"{t},{s},{0.2 + 0.1 * abs(i - j)},{0.3 + 0.1 * j + extra},{0.1 * j + extra}"
        for i, t in enumerate(NAMES[:4])
        for j, s in enumerate([*NAMES, "self"])
    ]
    return parse_table("target,sources,affinity,gain,quality\n" + "\n".join(rows), "T")


def text_of(html: str) -> str:
    """What the page says, without its scripts and markup."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style).*?</\1>", " ", html))).split())


@needs_browser
def test_task_networks_are_listed_by_family_with_bars_as_long_as_their_win_rates(tmp_path: Path) -> None:
    networks = pd.DataFrame({"task": ["denoising", "normal", "reshading"], "average": [1.0, 0.6, 0.5], "random": [0.25, 0.5, np.nan]})
    html = page_of(small_table(), PolicyParams(preset="paper", budget=2, max_order=1), [1], 2, networks=networks)
    script = """
        const rows = [...document.querySelectorAll('.networks tbody tr, .networks tfoot tr')];
        const numbers = (row) => [...row.querySelectorAll('.rate b')].map((cell) => cell.textContent);
        const length = (bar) => bar.firstElementChild.getBoundingClientRect().width / bar.getBoundingClientRect().width;
        result.rows = rows.map((row) => [row.querySelector('th').lastChild.textContent, ...numbers(row)]);
        result.bars = rows.map((row) => [...row.querySelectorAll('.bar')].map((bar) => Math.round(1000 * length(bar)) / 1000));
    """
    result = seen(html, tmp_path, script)
    assert result["rows"] == [
        ["Denoising", "100.0", "25.0"],
        ["Reshading", "50.0", "–"],
        ["Surface normals", "60.0", "50.0"],
        ["Mean", "70.0", "37.5"],
    ]
    assert result["bars"] == [[1, 0.25], [0.5], [0.6, 0.5], [0.7, 0.375]]


def test_a_page_without_task_networks_does_not_speak_of_them() -> None:
    assert "Task networks" not in text_of(page_of(small_table(), PolicyParams(preset="paper", budget=2, max_order=1), [1], 2))


def test_a_page_names_only_those_excluded_sources_that_the_table_has() -> None:
    params = PolicyParams(preset="paper", budget=2, max_order=1, exclude=("random_projection",))
    told = text_of(page_of(small_table(), params, [1], 2, excluded=NOT_SOURCES))
    assert "Not offered as sources: Random projection. " in told


def test_gain_and_quality_on_other_images_are_said_to_be_so() -> None:
    params = PolicyParams(preset="paper", budget=2, max_order=1, exclude=("random_projection",))
    here, there = (Planner(small_table(extra), params).policy(2) for extra in (0.0, 0.0625))
    told = text_of(page_of(small_table(), params, [1], 2, elsewhere=small_table(0.0625)))
    assert f"gain {there.mean_gain:.3f} (on those they were measured on {here.mean_gain:.3f})" in told
    assert f"quality {there.mean_quality:.3f} (on those they were measured on {here.mean_quality:.3f})." in told
    assert "were not measured on" not in text_of(page_of(small_table(), params, [1], 2, elsewhere=small_table()))


def test_the_tree_is_told_beside_what_chance_would_give() -> None:
    told = text_of(page_of(small_table(), PolicyParams(preset="paper", budget=2, max_order=1), [1], 2))
    assert re.search(
        r"the two join first in \d+ % of all such triplets \(33 % by chance, p = [\d.]+\): 3D \d+ % \(p = [\d.]+\), 2D \d+ % \(p = [\d.]+\)\.", told
    )


def test_embedded_json_cannot_leave_its_script_element() -> None:
    value = {"name": "</script><!--<script>&\u2028\u2029"}
    text = embedded_json(value)
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


def test_transitive_and_fine_tuned_transfers_are_shown_at_their_source(published: pd.DataFrame) -> None:
    written = {
        "normal>reshading": "Surface normals by way of Reshading",
        "normal@0.02": "Surface normals fine-tuned on 2\u00a0% of the training images",
    }
    other = pd.DataFrame(
        [
            {"target": target, "sources": (name,), "affinity": 1.0, "gain": 0.9, "quality": 0.8}
            for target, name in zip(("depth_zbuffer", "keypoints3d"), written, strict=True)
        ]
    )
    html = page_of(pd.concat([published, other], ignore_index=True), PolicyParams(preset="paper", budget=3, max_order=1, exclude=NOT_SOURCES), [1], 4)
    found = json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', html, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert found["variants"] == {name: {"source": "normal", "title": title} for name, title in written.items()}
    assert not set(written) & set(found["tasks"])
    for point in found["front"]:
        for target, sources, *_rest in point["transfers"]:
            assert {found["variants"].get(name, {"source": name})["source"] for name in sources} <= {*point["sources"], target}


@needs_browser
def test_a_link_of_a_variant_starts_at_its_source(published: pd.DataFrame, tmp_path: Path) -> None:
    row = {"target": "depth_zbuffer", "sources": ("normal>reshading",), "affinity": 1.0, "gain": 0.9, "quality": 0.8}
    table = pd.concat([published, pd.DataFrame([row])], ignore_index=True)
    script = """
        const links = [...document.querySelectorAll('#graph .link')];
        result.links = links.length;
        result.from = links.filter((one) => one.dataset.target === 'depth_zbuffer').map((one) => one.dataset.source);
        result.paths = links.every((one) => !one.getAttribute('d').includes('undefined'));
        result.how = [...document.querySelectorAll('#graph .node title')].map((one) => one.textContent).filter((one) => one.includes('by way of'));
    """
    result = seen(page_of(table, PolicyParams(preset="paper", budget=3, max_order=1, exclude=NOT_SOURCES), [1], 4), tmp_path, script)
    assert result["links"] == 22
    assert result["from"] == ["normal"]
    assert result["paths"]
    assert len(result["how"]) == 1  # type: ignore[arg-type]
    assert "from Surface normals by way of Reshading" in result["how"][0]  # type: ignore[index]


RULES = """
    const set = (name, key, value) => {
        const one = document.querySelector(`#rules [aria-label="${name}: ${key}"]`);
        if (one.type === 'checkbox') one.checked = value; else one.value = value;
        one.dispatchEvent(new Event('change'));
    };
    const sources = () => [...document.querySelectorAll('#sources .source')].map((one) => one.lastChild.textContent);
    const budget = (value) => { const one = document.getElementById('budget-value'); one.value = value; one.dispatchEvent(new Event('change')); };
"""


def page_with_rules(table: pd.DataFrame, params: PolicyParams, orders: list[int]) -> str:
    return page_of(table, params, orders, 4, params={"policy": params.model_dump(mode="json")})


@needs_browser
def test_rules_changed_in_the_page_give_the_policy_of_the_pipelines_solver(published: pd.DataFrame, tmp_path: Path) -> None:
    params = PolicyParams(preset="paper", budget=3, max_order=2, exclude=NOT_SOURCES)
    script = f"""
        {RULES}
        result.before = sources();
        set('Surface normals', 'cost', '2.5'); set('Autoencoding', 'labelled in full', 'must');
        set('Room layout', 'must be solved', false); set('Egomotion (triplet pose)', 'importance', '3'); budget(4.5);
        result.after = sources();
        result.link = location.hash;
        result.targets = document.querySelectorAll('#graph .node').length - result.after.length;
        document.getElementById('rules-reset').click(); budget(3);
        result.back = sources();
        result.plain = location.hash;
    """
    result = seen(page_with_rules(published, params, [1, 2]), tmp_path, script)
    changed = {
        "budget": 4.5, "cost": {"normal": 2.5}, "require": ("autoencoding",), "roles": {"room_layout": "source"}, "importance": {"egomotion": 3.0}
    }  # fmt: skip
    expected = Planner(published, PolicyParams(preset="paper", max_order=2, exclude=NOT_SOURCES, **changed)).policy(4.5)
    first = Planner(published, params).policy(3)
    assert result["after"] == [BUILT_IN.title(name) for name in expected.sources]
    assert result["targets"] == len(expected.transfers)
    assert result["before"] == result["back"] == [BUILT_IN.title(name) for name in first.sources]
    assert result["plain"] == ""
    again = seen(page_with_rules(published, params, [1, 2]), tmp_path, f"{RULES} result.after = sources();", str(result["link"]))
    assert again["after"] == result["after"]


@needs_browser
def test_a_page_says_why_other_rules_have_no_policy_and_keeps_the_one_before(published: pd.DataFrame, tmp_path: Path) -> None:
    script = f"""
        {RULES}
        const before = sources();
        set('Surface normals', 'labelled in full', 'must'); budget(0.5);
        result.said = document.getElementById('said').textContent;
        result.kept = JSON.stringify(sources()) === JSON.stringify(before);
        budget(3);
        result.quiet = document.getElementById('said').hidden;
    """
    result = seen(page_with_rules(published, PolicyParams(preset="paper", budget=3, max_order=1, exclude=NOT_SOURCES), [1]), tmp_path, script)
    assert "No policy of budget 0.5 serves every task" in str(result["said"])
    assert result["kept"]
    assert result["quiet"]


FOREIGN = """target,sources,affinity,external,licence,inference
normal,normal,0.5,,,2
normal,clip,0.4,clip,GPL,1
normal,reshading,0.1,,,4
normal,dino,0.9,dino,MIT,5
reshading,normal,0.3,,,2
reshading,dino,0.7,dino,MIT,5
reshading,reshading,0.2,,,4
reshading,clip,0.1,clip,GPL,1
reshading,normal+reshading,1,,,
normal,self,1,,,
reshading,self,1,,,
"""


@needs_browser
def test_a_page_says_whether_budget_licences_or_inference_leave_no_policy(tmp_path: Path) -> None:
    """And what no bound allows by itself is not balanced with the rest."""
    script = f"""
        {RULES}
        const said = () => document.getElementById('said').hidden ? '' : document.getElementById('said').textContent;
        const label = (name, value) => set(name, name === 'dino' || name === 'clip' ? 'used as it is' : 'labelled in full', value);
        result.before = sources();
        label('dino', 'no'); budget(0.5); result.budget = said();
        budget(2); label('Surface normals', 'must'); label('Reshading', 'must'); result.inference = said();
        label('Surface normals', 'no'); label('Reshading', 'no'); result.left = said();
        result.licences = [...document.querySelectorAll('#rules-licences label')].map((one) => [one.textContent, one.firstElementChild.checked]);
        document.querySelector('#rules-licences label').click(); result.allowed = said(); result.after = sources(); result.link = location.hash;
        document.getElementById('rules-reset').click(); budget(1); result.again = sources();
    """
    rules = {"preset": "paper", "budget": 1, "max_order": 2, "licences": ("MIT",), "max_inference": 5.5, "balance": "sum"}
    table = parse_table(FOREIGN, "t")
    params = PolicyParams(**rules)
    result = seen(page_of(table, params, [1, 2], 2, params={"policy": params.model_dump(mode="json")}), tmp_path, script)
    assert [one.split(" (")[0] for one in result["before"]] == [BUILT_IN.title(name) for name in Planner(table, params).policy(1).sources]
    assert str(result["budget"]).startswith("No policy of budget 0.5 serves every task that must be solved: raise the budget")
    bounded = "encoders that take at most 5.5 million multiply-adds an image together"
    assert str(result["inference"]).startswith(f"No {bounded} serve every task that must be solved, whatever the budget")
    assert str(result["left"]).startswith("No transfer is left for ")
    for name in ("budget", "inference", "left"):
        assert str(result[name]).endswith(f" Only {bounded} may be used (policy.max_inference). Not used for its licence: clip.")
    assert result["licences"] == [["GPL: clip", False], ["MIT: dino", True]]
    assert result["allowed"] == ""
    assert [one.split(" (")[0] for one in result["after"]] == ["clip"]
    assert "licence.gpl=yes" in str(result["link"])
    assert result["again"] == result["before"]
    html = page_of(table, params, [1, 2], 2, params={"policy": params.model_dump(mode="json")})
    linked = seen(html, tmp_path, f"{RULES} result.after = sources();", "#order=1&budget=0&licence.gpl=yes&licence.mit=no&licence.x=no")
    permitted = Planner(table, params.model_copy(update={"max_order": 1, "licences": ("GPL",)})).policy(0).sources
    assert [one.split(" (")[0] for one in linked["after"]] == list(permitted) == ["clip"]  # type: ignore[attr-defined]


def test_a_page_whose_table_has_no_encoders_of_others_does_not_speak_of_licences(published: pd.DataFrame) -> None:
    html = page_with_rules(published, PolicyParams(budget=3, max_order=1, exclude=NOT_SOURCES), [1])
    assert 'id="rules-licences"' not in html


@needs_browser
def test_a_link_with_names_and_numbers_that_are_not_the_tables_changes_nothing(published: pd.DataFrame, tmp_path: Path) -> None:
    params = PolicyParams(preset="paper", budget=3, max_order=1, exclude=NOT_SOURCES)
    link = "#order=1&budget=3&cost.normal=-4&cost.nobody=2&label.normal=%3Cb%3E&__proto__.x=1&importance.normal=1e999x"
    result = seen(page_with_rules(published, params, [1]), tmp_path, f"{RULES} result.after = sources(); result.hash = location.hash;", link)
    assert result["after"] == [BUILT_IN.title(name) for name in Planner(published, params).policy(3).sources]
    assert result["hash"] == ""


def test_the_page_opens_with_the_pipelines_policy_where_the_front_lacks_it(published: pd.DataFrame) -> None:
    params = PolicyParams(preset="paper", budget=3, max_order=3, exclude=NOT_SOURCES)
    found = json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page_of(published, params, [1], 4), re.DOTALL).group(1))  # type: ignore[union-attr]
    first = found["front"][found["chosen"]]
    assert (first["max_order"], first["budget"], tuple(first["sources"])) == (3, 3, Planner(published, params).policy(3).sources)


@needs_browser
def test_the_button_of_a_preset_gives_the_policy_of_that_preset_and_the_link_keeps_it(published: pd.DataFrame, tmp_path: Path) -> None:
    params = PolicyParams(budget=3, max_order=1, exclude=NOT_SOURCES)
    paper = Planner(published, PolicyParams(budget=3, max_order=1, exclude=NOT_SOURCES, preset=Preset.PAPER)).policy(3)
    script = f"""{RULES}
        result.first = sources(); document.getElementById('rules-paper').click(); result.paper = sources(); result.link = location.hash;
        document.getElementById('rules-practice').click(); result.back = sources();"""
    html = page_with_rules(published, params, [1])
    result = seen(html, tmp_path, script)
    titles = sorted(BUILT_IN.title(name) for name in paper.sources)
    assert sorted(result["paper"]) == titles != sorted(result["first"])  # type: ignore[call-overload]
    assert result["back"] == result["first"]
    again = seen(html, tmp_path, f"{RULES} result.after = sources();", str(result["link"]))
    assert sorted(again["after"]) == titles  # type: ignore[call-overload]
