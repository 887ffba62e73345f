"""What a run was made of, counted from what its stages wrote."""

import json
from pathlib import Path

import pandas as pd
import pytest

from taskonomy.report.provenance import facts, fingerprint


@pytest.fixture
def run(tmp_path: Path) -> Path:
    def units(folder: str, **columns: list[object]) -> None:
        (tmp_path / folder).mkdir(parents=True)
        pd.DataFrame(columns).to_csv(tmp_path / folder / "units.csv", index=False)

    (tmp_path / "prepared").mkdir()
    manifest = {"root": "data/world", "resolution": 64, "views": {"train": 3}, "buildings": {"train": 1}, "skipped": ["b/1/2: no depth"]}
    (tmp_path / "prepared/manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "prepared/index.csv").write_text("building,point,view,split\n")
    units("models/a", key=["k1", "k2"], name=["self", "average"])
    units("models/b", key=["k3", "k4"], name=["self", "average"])
    units("models/random", key=[], name=[])
    units("transfers/a", key=["s", "p", "t1", "t2", "t3"], sources=["scratch", "pixels", "a", "b", "a+b"], order=[0, 0, 1, 1, 2])
    units("variants", key=[], target=[], sources=[])
    units("chosen", key=[], target=[], sources=[])
    units("amounts", key=[], target=[], sources=[], images=[])
    return tmp_path


def of(run: Path) -> dict[str, object]:
    further = [run / name for name in ("variants", "chosen", "amounts")]
    return facts(run / "prepared", run / "models", run / "transfers", further, ["a", "b", "random"], ["a"])


def test_networks_are_counted_by_kind_and_data_by_split(run: Path) -> None:
    found = of(run)
    counts = {kind: one["count"] for kind, one in found["networks"].items()}  # type: ignore[attr-defined]
    expected = {"task networks": 2, "best constants": 2, "networks from scratch": 1, "transfers of order 1": 2, "transfers of order 2": 1}
    expected["shallow networks on the image"] = 1
    assert counts == expected
    assert found["data"] == {"root": "data/world", "resolution": 64, "views": {"train": 3}, "buildings": {"train": 1}, "left_out": 1}


def test_networks_with_smaller_amounts_are_counted_beside_the_others(run: Path) -> None:
    before = of(run)["networks"]
    (run / "amounts/units.csv").write_text("key,target,sources,images\nk5,a,b,4\nk6,a,self,4\n")
    after = of(run)["networks"]
    (added,) = after.keys() - before.keys()  # type: ignore[attr-defined]
    assert added == "networks with smaller amounts of images"
    assert after[added]["count"] == 2  # type: ignore[index]


def test_a_fingerprint_is_that_of_the_units_whatever_their_order(run: Path) -> None:
    before = of(run)["networks"]
    path = run / "transfers/a/units.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    assert of(run)["networks"] == before
    path.write_text(path.read_text().replace("t3", "t4"))
    after = of(run)["networks"]
    changed = {kind for kind in after if after[kind] != before[kind]}  # type: ignore[attr-defined, index]
    assert changed == {"transfers of order 2"}
    assert fingerprint(["a", "b"]) == fingerprint(["b", "a", "b"]) != fingerprint(["a,b"])
