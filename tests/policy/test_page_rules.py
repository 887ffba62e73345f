"""The rules that a reader changes in the page, without the page around them: licences leave out what they leave out in the pipeline."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
from chromium import empty_page, needs_chromium, script
from playwright.sync_api import Page
from programs import Known, One, all_foreign, enumerated, written

from taskonomy.config.policy_params import PolicyParams
from taskonomy.report.page_solver import rules_of_table

pytestmark = needs_chromium
SCRIPTS = ("solver.js", "shared.js", "rules.js")
# Each program in scripts of its own, as each page has them: its data, and the button that the rules hide.
SOLVE = """([source, programs]) => programs.map(([data, link, order, budget]) => {
  document.body.innerHTML = '<script type="application/json" id="data"></script><button id="rules-reset"></button>';
  document.getElementById('data').textContent = JSON.stringify(data);
  const rules = new Function(`${source}; return rules;`)();
  rules.follow(link);
  return [rules.solve(order, budget), rules.link(order, budget)];
})"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with empty_page() as page:
        yield page


def test_licences_changed_in_the_page_give_the_policy_of_enumeration_for_random_programs(page: Page) -> None:
    """A page that starts with one choice of licences follows a link to another one."""
    programs = [one for one in all_foreign(5000, 200) if "labels" not in one.rules]
    wanted = [_other_licences(one, number) for number, one in enumerate(programs)]
    asked = [_asked(one, other) for one, other in zip(programs, wanted, strict=True)]
    source = "\n".join(map(script, SCRIPTS))
    found = page.evaluate(SOLVE, [source, asked])
    assert {number: wrong for number, (one, (got, _link)) in enumerate(zip(wanted, found, strict=True)) if (wrong := _wrong(one, got))} == {}
    assert [_licences(link) for _got, link in found] == [_licences(link) for _data, link, _order, _budget in asked]
    policies = [got for got, _link in found if not isinstance(got, str)]
    assert len(policies) > 30
    assert len(found) - len(policies) > 10
    changed = [one for one, other, (got, _link) in zip(programs, wanted, found, strict=True) if not isinstance(got, str) and _wrong(one, got)]
    assert len(changed) > 5  # policies that the licences of before do not give


def _other_licences(one: One, seed: int) -> One:
    """The same program, of which each licence may be used or not."""
    keys = sorted({licence.lower() for licence in one.rules["external"].values()})
    may = np.random.default_rng([72, seed]).random(len(keys)) < 0.5
    return One(one.table, {**one.rules, "licences": tuple(key for key, permitted in zip(keys, may, strict=True) if permitted)})


def _asked(one: One, other: One) -> tuple[dict[str, Any], str, int, float]:
    """The data of a page with the rules of a program, and the link to those of another with other licences."""
    params = PolicyParams(**one.rules)
    rules = rules_of_table(one.table, params)
    data = {
        "rules": rules,
        "variants": {},
        "tasks": {name: {"title": name, "family": "", "asItIs": "as it is" * (name in params.external)} for name in rules["tasks"]},
    }
    differ = [licence for licence in rules["licences"] if licence["permitted"] != (licence["key"] in other.rules["licences"])]
    parts = [
        ("order", params.max_order),
        ("budget", params.budget),
        *((f"licence.{one['key']}", "no" if one["permitted"] else "yes") for one in differ),
    ]
    return data, f"#{urlencode(parts)}", params.max_order, params.budget


def _licences(link: str) -> dict[str, str]:
    return {key: value for key, value in parse_qsl(link[1:], keep_blank_values=True) if key.startswith("licence.")}


def _wrong(one: One, got: dict[str, Any] | str) -> str:
    names = sorted({*one.table["target"], *(name for group in one.table["sources"] for name in group)})
    affordable = [known for known in enumerated(one.table, one.rules) if known.cost <= written(one.rules["budget"])]
    if not affordable or isinstance(got, str):
        return "" if not affordable and isinstance(got, str) else f"{got}, not {affordable[:1]}"
    best: Known = min(affordable, key=lambda known: known.key(names))
    return "" if (tuple(got["sources"]), got["cost"]) == (best.sources, float(best.cost)) else f"{got}, not {best}"
