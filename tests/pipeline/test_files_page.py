"""The page of the files of a run names the columns of every table that a run writes."""

import re
from pathlib import Path

from conftest import ROOT


def test_every_column_of_every_table_is_described(finished: Path) -> None:
    rows = {row[1]: row[2] for row in re.finditer(r"^\| (.+?) \| (.+) \|$", (ROOT / "docs/files.md").read_text(encoding="utf-8"), re.MULTILINE)}
    tables = [*finished.glob("results/measured/*.csv"), *ROOT.glob("results/*/*.csv")]
    assert len(tables) > 15
    for path in tables:
        described = " ".join(text for names, text in rows.items() if f"`{path.name}`" in names or f"results/{path.parent.name}/`" in names)
        columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert [one for one in columns if f"`{one}`" not in described and "..." not in described] == [], path
