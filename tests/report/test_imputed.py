"""An affinity that was not measured is told from one that was, wherever it is shown."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES

from taskonomy.config.policy_params import PolicyParams
from taskonomy.explorer import downloads as exports
from taskonomy.explorer.loading import opened
from taskonomy.explorer.policy_view import transfers
from taskonomy.policy.planner import Policy, plan
from taskonomy.report.affinities_section import imputed_pairs
from taskonomy.report.figures import affinity_matrix, heat_map
from taskonomy.tables.table import measured, read_table
from taskonomy.tasks import BUILT_IN

CHOSEN = ("normal", ("reshading",))


@pytest.fixture
def table(published: pd.DataFrame) -> pd.DataFrame:
    """The published table, in which some affinities were imputed, one of them so large that every policy takes it."""
    imputed = (published["target"] == "normal") & published["sources"].map(lambda one: one in [("reshading",), ("edge_texture",), ("jigsaw",)])
    large = imputed & published["sources"].map(lambda one: one == CHOSEN[1])
    affinity = np.where(large, 5.0, published["affinity"])
    return published.assign(imputed=imputed, affinity=affinity, gain=published["gain"].mask(imputed), quality=published["quality"].mask(imputed))


def best(table: pd.DataFrame) -> Policy:
    return plan(table, PolicyParams(budget=4, exclude=NOT_SOURCES, alternatives=0))[0]


def test_the_matrix_crosses_out_what_was_not_measured_and_nothing_else(table: pd.DataFrame) -> None:
    matrix = affinity_matrix(table, BUILT_IN)
    crosses = heat_map(matrix, BUILT_IN, imputed=imputed_pairs(table)).data[1]
    found = {(matrix.index[y], matrix.columns[x]) for x, y in zip(crosses.x, crosses.y, strict=True)}
    assert found == {("normal", "reshading"), ("normal", "edge_texture"), ("normal", "jigsaw")}
    assert len(heat_map(matrix, BUILT_IN, imputed=imputed_pairs(measured(table))).data) == 1


def test_a_policy_says_which_of_its_transfers_were_not_measured(table: pd.DataFrame) -> None:
    policy = best(table)
    marked = [(one["target"], tuple(one["sources"])) for one in policy.as_dict()["transfers"] if one.get("imputed")]
    assert marked == [CHOSEN]
    assert not any("imputed" in one for one in best(measured(table)).as_dict()["transfers"])


def test_the_explorer_marks_them_and_says_how_many_there_are(table: pd.DataFrame) -> None:
    shown = str(transfers(None, best(table), BUILT_IN).to_plotly_json())
    assert shown.count("imputed, not measured") == 1
    assert "imputed" not in str(transfers(None, best(measured(table)), BUILT_IN).to_plotly_json())
    notes = opened(table, "mine", 10).notes
    assert any("the affinities of 3 of 1,762 transfers are imputed" in note for note in notes)


def test_an_exported_policy_keeps_the_mark(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "policy.csv").write_text(exports.as_csv(best(table)))
    read = read_table(tmp_path / "policy.csv")
    assert read.loc[read["imputed"], ["target", "sources"]].to_numpy().tolist() == [list(CHOSEN)]
    assert exports.as_csv(best(measured(table))).splitlines()[0] == "target,sources,affinity,gain,quality"
