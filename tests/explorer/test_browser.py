"""The page in a real browser: what a person does, and what it shows then."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect, sync_playwright
from waiting import HANG, NO_LIMIT

from taskonomy.config.policy_params import PolicyParams
from taskonomy.explorer.loading import LoadedTable, opened
from taskonomy.explorer.server import Server
from taskonomy.policy.front import front
from taskonomy.policy.planner import Policy, plan
from taskonomy.tables.table import parse_table, read_table, task_names
from taskonomy.tasks import BUILT_IN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; Debian and Ubuntu: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DRAWN = """([nodes, edges]) => {
  const drawn = document.querySelector("#graph")._cyreg.cy;
  return drawn.nodes().length === nodes && drawn.edges().length === edges;
}"""
PATIENCE = 1000 * HANG  # in milliseconds, as Playwright counts


@contextmanager
def serving(what: LoadedTable) -> Iterator[str]:
    server = Server(what, 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server.url
    server.stop()
    thread.join()
    server.close()


@pytest.fixture(scope="module")
def url(published: pd.DataFrame) -> Iterator[str]:
    with serving(opened(published, "published", NO_LIMIT)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()


@contextmanager
def opened_page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that must not ask anybody else, nor fail in its scripts."""
    expect.set_options(timeout=PATIENCE)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("request", lambda one: None if urlsplit(one.url).netloc in (urlsplit(url).netloc, "") else wrong.append(f"asked {one.url}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.goto(url)
    try:
        expect(page.locator("#tile-objective")).not_to_be_empty()
    finally:
        assert wrong == []
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened_page(browser, url) as one:
        yield one


def start(published: pd.DataFrame) -> dict[str, object]:
    return {
        "budget": opened(published, "", 1.0).start.budget,
        "exclude": ("class_object_100", "random_projection"),
        "alternatives": 3,
        "time_limit": NO_LIMIT,
    }


def solved(published: pd.DataFrame, **params: object) -> Policy:
    return plan(published, PolicyParams.model_validate({**start(published), "alternatives": 0, **params}))[0]


def until(page: Page, script: str, argument: object) -> None:
    """Wait for what a script says; Playwright's own way of waiting needs eval, which the page's policy forbids."""
    ends = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(script, argument):
        assert time.monotonic() < ends, f"never came true for {argument}"
        page.wait_for_timeout(50)


def shows(page: Page, policy: Policy) -> None:
    """The page shows this policy and no other."""
    expect(page.locator("#tile-objective")).to_have_text(f"{policy.objective:.6f}")
    expect(page.locator("#tile-sources")).to_have_text(str(len(policy.sources)))
    expect(page.locator("#tile-gain")).to_have_text(f"{policy.mean_gain:.3f}")
    expect(page.locator("#tile-quality")).to_have_text(f"{policy.mean_quality:.3f}")
    expect(page.locator("#transfers tbody tr")).to_have_count(len(policy.transfers))
    edges = sum(len(one.sources) for one in policy.transfers)
    until(page, DRAWN, [len(policy.sources) + len(policy.transfers), edges])
    expect(page.locator("#results")).not_to_have_class("old")


def shows_next_best(page: Page, best: Policy, others: list[Policy]) -> None:
    """They come after the answer."""
    rows = page.locator("#alternatives tbody tr")
    expect(rows).to_have_count(len(others))
    for row, other in zip(rows.all(), others, strict=True):
        expect(row).to_contain_text(f"\u2212{best.objective - other.objective:.6f}")


def test_it_opens_with_a_solved_policy_its_graph_and_the_next_best(page: Page, published: pd.DataFrame) -> None:
    best, others = plan(published, PolicyParams.model_validate(start(published)))
    shows(page, best)
    shows_next_best(page, best, others)


CUT = """() => [...document.querySelectorAll("main *")].filter((one) => {
  const style = getComputedStyle(one);
  if (one.matches(".unseen") || (style.overflowX === "visible" && style.textOverflow !== "ellipsis")) return false;
  return one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1;
}).map((one) => one.outerHTML.slice(0, 80))"""
WHOLE = """() => {
  const cy = document.querySelector("#graph")._cyreg.cy, box = cy.elements().renderedBoundingBox({ includeLabels: true });
  const texts = cy.nodes().map((one) => [one.data("title"), one.style("text-wrap")]);
  return [box.x1 >= 0, box.y1 >= 0, box.x2 <= cy.width(), box.y2 <= cy.height(), texts.every(([, wrap]) => wrap === "wrap")];
}"""


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_is_cut_at_either_width(browser: Browser, url: str, published: pd.DataFrame, width: int) -> None:
    with opened_page(browser, url) as page:
        page.set_viewport_size({"width": width, "height": 860})
        page.reload()
        shows(page, solved(published))
        page.locator("#transfers").get_by_role("button", name="Room layout").click()
        expect(page.locator("#detail h2")).to_have_text("Room layout")
        until(page, f"() => ({WHOLE})().every((one) => one)", None)
        assert page.evaluate(CUT) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        names = page.locator("#tasks tbody th").all_inner_texts()
    targets, sources = task_names(published)
    assert sorted(names) == sorted(BUILT_IN.title(name) for name in {*targets, *sources})


def test_the_slider_chooses_among_the_best_policies_of_all_budgets(page: Page, published: pd.DataFrame) -> None:
    points = front(published, PolicyParams.model_validate({**start(published), "budget": 1}), [4])
    expect(page.locator("#curve circle.gain")).to_have_count(len(points))
    slider = page.get_by_label("Budget, as a slider")
    high = [float(one.get_attribute("cy") or "nan") for one in page.locator("#curve circle.gain").all()]
    gains = [one.policy.mean_gain for one in points]
    assert np.corrcoef(high, gains)[0, 1] == pytest.approx(-1)  # pixels go down
    slider.focus()
    slider.press("ArrowRight")
    shows(page, solved(published, budget=start(published)["budget"] + 1))  # type: ignore[operator]
    slider.fill(str(points[2].policy.budget + 0.3))
    shows(page, points[2].policy)


def test_a_click_on_a_task_of_the_graph_shows_where_it_could_be_transferred_from(page: Page, published: pd.DataFrame) -> None:
    policy = solved(published)
    shows(page, policy)
    chosen = next(one for one in policy.transfers if one.target == "room_layout")
    at = page.evaluate("""() => { const cy = document.querySelector("#graph")._cyreg.cy, box = cy.container().getBoundingClientRect();
        const place = cy.nodes().filter((one) => one.data("task") === "room_layout" && one.hasClass("to"))[0].renderedPosition();
        return [box.left + place.x, box.top + place.y]; }""")
    page.mouse.click(*at)
    detail = page.locator("#detail")
    expect(detail.locator("h2")).to_have_text("Room layout")
    expect(detail).to_contain_text("not labelled in full, which would cost 1")
    expect(detail.locator("tr.chosen")).to_have_text(re.compile(f"{chosen.affinity:.3g}{chosen.gain:.2f}{chosen.quality:.2f}chosen$"))
    for name in chosen.sources:
        expect(detail.locator("tr.chosen")).to_contain_text(BUILT_IN.title(name))
    fed = [one for one in policy.transfers if "normal" in one.needs]
    page.locator("#transfers").get_by_role("button", name="Surface normals").click()
    expect(detail).to_contain_text("labelled in full, which costs 1")
    expect(detail).to_contain_text(f"{len(fed)} targets read Surface normals")
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_be_empty()


def test_the_preset_practice_makes_free_labels_free_and_uses_own_networks(page: Page, published: pd.DataFrame) -> None:
    practice = solved(published)
    assert practice.free
    shows(page, practice)
    expect(page.locator("#tiles")).to_contain_text(f"labelled in full, {len(practice.free)} of them free; cost {practice.cost:g} of ")
    expect(page.get_by_label("its own network")).to_be_checked()
    expect(page.get_by_label("Denoising: cost")).to_have_attribute("placeholder", "0")
    expect(page.get_by_label("Reshading: cost")).to_have_attribute("placeholder", "1")
    page.get_by_label("its encoder").check()
    mixed = solved(published, self_edge="transfer")
    shows(page, mixed)
    page.reload()  # a link holds what was chosen, also where it is not what the preset says
    shows(page, mixed)
    page.get_by_label("in practice").check()
    page.get_by_label("the paper's", exact=True).check()
    shows(page, solved(published, preset="paper"))
    expect(page.get_by_label("its encoder")).to_be_checked()
    expect(page.get_by_label("Denoising: cost")).to_have_attribute("placeholder", "1")
    expect(page.locator("#tiles")).not_to_contain_text("free")


def test_with_a_currency_the_budget_is_money(page: Page, published: pd.DataFrame) -> None:
    shows(page, solved(published))
    page.get_by_label("Currency").fill("EUR")
    expect(page.locator("#label-price-problem")).to_contain_text("policy.labels: no price for")
    page.get_by_label("Price of an image").fill("0.05")
    expect(page.locator("#budget-problem")).to_contain_text("policy.budget 6.00 EUR is too small")
    expect(page.locator("#curve text").get_by_text(" EUR")).to_have_count(2)  # the slider says which budgets are not
    page.get_by_label("Budget", exact=True).fill("40000")
    page.get_by_label("Surface normals: price").fill("0.2")
    labels = {"currency": "EUR", "price": 0.05, "tasks": {"normal": {"price": 0.2}}}
    shows(page, policy := solved(published, budget=40_000, labels=labels))
    expect(page.locator("#tiles")).to_contain_text(f"cost {policy.cost:,.2f} EUR of 40,000.00 EUR")
    expect(page.get_by_label("Surface normals: cost")).to_be_hidden()


def test_another_budget_gives_another_policy_and_back_undoes_it(page: Page, published: pd.DataFrame) -> None:
    first, second = solved(published), solved(published, budget=4)
    page.get_by_label("Budget", exact=True).fill("4")
    shows(page, second)
    for name in set(first.sources) - set(second.sources):
        expect(page.locator(f"#changed .removed:has-text('{BUILT_IN.title(name)}')")).to_have_count(1)
    moved = {one.target for one in second.transfers} - {one.target for one in first.transfers if one in second.transfers}
    expect(page.locator("#transfers tr.rerouted")).to_have_count(len(moved))
    shows_next_best(page, *plan(published, PolicyParams.model_validate({**start(published), "budget": 4})))  # a reload would cut them off
    page.reload()
    shows(page, second)
    page.get_by_label("budget: one more").click()
    shows(page, solved(published, budget=5))
    page.go_back()
    shows(page, second)
    page.go_back()
    shows(page, first)


def test_a_task_that_is_out_is_neither_source_nor_target(page: Page, published: pd.DataFrame) -> None:
    page.get_by_label("Surface normals: source").uncheck()
    shows(page, solved(published, roles={"normal": "target"}))
    page.get_by_label("Surface normals: target").uncheck()
    without = solved(published, roles={"normal": "source"}, exclude=("normal", "class_object_100", "random_projection"))
    shows(page, without)
    expect(page.locator("#changed")).to_contain_text("no target now: Surface normals")
    page.get_by_label("Reshading: cost").fill("0.5")
    page.get_by_label("Semantic segmentation: weight").fill("3")
    page.get_by_label("its encoder").check()
    rules = {"roles": {"normal": "source"}, "exclude": ("normal", "class_object_100", "random_projection"), "cost": {"reshading": 0.5}}
    shows(page, solved(published, **rules, importance={"segment_semantic": 3}, self_edge="transfer"))


def test_bad_input_is_answered_beside_its_field_and_the_last_good_policy_stays(page: Page, published: pd.DataFrame) -> None:
    page.get_by_label("the paper's", exact=True).check()
    first = solved(published, preset="paper")
    shows(page, first)
    budget, cost = page.get_by_label("Budget", exact=True), page.get_by_label("Denoising: cost")
    problem = page.locator("#budget-problem")
    for text, line in (
        ("many", "policy.budget must be a valid number, unable to parse string as a number (is 'many')"),
        ("0", "policy.budget 0 is too small: "),
        ("-2", "policy.budget must be greater than or equal to 0 (is '-2')"),
        ("1e308", "policy.budget is too large: must be at most 1,000,000,000,000 (is '1e308')"),
    ):
        budget.fill(text)
        expect(problem).to_contain_text(line)
        expect(page.locator("#old")).to_be_visible()
        expect(page.locator("#tile-objective")).to_have_text(f"{first.objective:.6f}")
    cost.fill("-1")
    row = page.locator("#tasks tr", has=page.get_by_label("Denoising: cost"))
    expect(row.locator(".problem")).to_have_text("policy.cost.denoising must be greater than or equal to 0 (is '-1')")
    cost.fill("1e308")
    expect(row.locator(".problem")).to_have_text("policy.cost.denoising is too large: must be at most 1,000,000,000,000 (is '1e308')")
    budget.fill(f"{first.budget:g}")
    expect(problem).to_be_empty()
    expect(page.locator("#old")).to_be_visible()
    cost.fill("")
    shows(page, first)


def test_one_more_and_one_less_leave_alone_what_is_no_number(page: Page) -> None:
    budget = page.get_by_label("Budget", exact=True)
    budget.fill("many")
    expect(page.locator("#budget-problem")).to_contain_text("(is 'many')")
    page.get_by_label("budget: one more").click()
    page.get_by_label("budget: one less").click()
    page.get_by_label("max_order: one less").click()
    expect(page.get_by_label("Highest order", exact=True)).to_have_value("3")  # whose answer comes after both
    expect(budget).to_have_value("many")
    expect(page.locator("#budget-problem")).to_contain_text("(is 'many')")


HOSTILE = """<!doctype html><img src="{url}export/policy.csv?budget=3"><script src="{url}assets/explorer.js"></script><iframe src="{url}"></iframe>
<link rel="stylesheet" href="{url}assets/explorer.css"><form method="post" action="{url}_dash-update-component" target="there"><input name="x"></form>
<form action="{url}export/policy.json" target="here"><input name="budget" value="3"></form><iframe name="there"></iframe><iframe name="here"></iframe>
<script>for (const form of document.forms) form.submit();
navigator.sendBeacon("{url}_dash-update-component", "{{}}");
const simple = ["GET", "HEAD", "POST"].map((method) => fetch("{url}_dash-layout", {{ method, mode: "no-cors" }}));
const asked = ["PUT", "DELETE"].map((method) => fetch("{url}_dash-layout", {{ method }}));
addEventListener("load", () => Promise.allSettled([...simple, ...asked]).then(() => (document.title = "done")));</script>"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_site_gets_nothing_by_any_request(browser: Browser, url: str, name: str) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = HOSTILE.format(url=url).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere, browser.new_context() as context:
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        page, asked, answers = context.new_page(), set[str](), set[int]()
        page.on("request", lambda one: asked.add(one.resource_type) if one.url.startswith(url) else None)
        page.on("response", lambda one: answers.add(one.status) if one.url.startswith(url) else None)
        page.set_default_timeout(PATIENCE)
        page.goto(f"http://{name}:{elsewhere.server_address[1]}/")
        expect(page).to_have_title("done", timeout=PATIENCE)
        elsewhere.shutdown()
        thread.join()
    assert asked >= {"image", "stylesheet", "script", "document", "fetch"}
    assert answers == {403}  # the browser itself keeps from a page what may not be embedded


def test_no_target_left_is_answered(browser: Browser, url: str, published: pd.DataFrame) -> None:
    query = "&".join(f"role.{name}={'source' if name != 'normal' else 'source%2Btarget'}" for name in sorted(set(published["target"])))
    with opened_page(browser, f"{url}?budget=3&{query}") as page:
        page.get_by_label("Surface normals: target").uncheck()
        expect(page.locator("#tasks-problem")).to_have_text("policy.roles leave no target")
        expect(page.locator("#old")).to_be_visible()


def test_a_policy_is_exported_in_four_forms(page: Page, published: pd.DataFrame, tmp_path: Path) -> None:
    page.get_by_label("Budget", exact=True).fill("5")
    page.get_by_label("Denoising: cost").fill("1.5")
    best, others = plan(published, PolicyParams.model_validate({**start(published), "budget": 5, "cost": {"denoising": 1.5}}))
    shows(page, best)
    for name in ("JSON", "CSV", "params.yaml", "PNG"):
        with page.expect_download() as download:
            page.locator("#exports").get_by_text(name, exact=True).click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    written = json.loads((tmp_path / "policy.json").read_text())
    assert written == json.loads(json.dumps({**best.reproducible(), "alternatives": [one.reproducible() for one in others]}))
    rows = read_table(tmp_path / "policy.csv")
    assert dict(zip(rows["target"], rows["sources"], strict=True)) == {one.target: one.sources for one in best.transfers}
    params = PolicyParams.model_validate(yaml.safe_load((tmp_path / "params.yaml").read_text())["policy"])
    assert plan(published, params)[0].reproducible() == best.reproducible()
    picture = (tmp_path / "policy.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width > 500
    assert height > 500


def test_names_are_shown_and_never_run(browser: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"
    names = [evil, "</script><script>alert(2)</script>", "a\"b'&c"]
    rows = [f'"{t}","{s}",{0.1 + (s in (t, "self")) / 10},0.5,0.1'.replace('a"b', 'a""b') for t in names for s in [*names, "self"]]
    table = parse_table("target,sources,affinity,gain,quality\n" + "\n".join(rows), "T")
    with serving(opened(table, evil, NO_LIMIT)) as address, opened_page(browser, address) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda one: (dialogs.append(one.message), one.dismiss()))
        page.get_by_label("Budget", exact=True).fill("2")
        expect(page.locator("#tile-sources")).to_have_text("2")
        page.get_by_label(f"{evil}: cost").fill("-1")
        expect(page.locator("#tasks .problem").get_by_text(evil)).to_have_count(1)
        expect(page.locator("#results")).to_have_class("old")
        page.get_by_label(f"{evil}: cost").fill("2")
        expect(page.locator("#results")).not_to_have_class("old")
        expect(page.locator("#about")).to_contain_text(evil)
        for name in names:
            assert name in page.locator("#transfers").inner_text()
        assert page.locator("img").count() == 0
        assert dialogs == []
