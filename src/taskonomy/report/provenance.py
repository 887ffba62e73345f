"""Summarise what a run consists of, for its page: counts of data and of trained networks, and fingerprints of their inputs.

A unit's key is a digest of its data, its parameters, the code that trained it and torch's version; digests of all keys of a kind tell whether two
runs trained the same networks on the same data. Nothing here depends on time or machine.
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.dataset.prepared_dataset import Prepared

KINDS = {"self": "task networks", "average": "best constants"}
# Of the stages that train further transfers, in the order in which they run.
FURTHER = (
    "transitive and fine-tuned transfers, with what they take",
    "transfers chosen beyond the screen",
    "networks with smaller amounts of images",
)
BASELINES = {
    "scratch": "networks from scratch",
    "pixels": "shallow networks on the image",
    "average": "best constants of the transfers' images",
}


def facts(prepared: Path, models: Path, transfers: Path, further: Sequence[Path], tasks: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Compute the counts and fingerprints of a run.

    Args:
        prepared, models, transfers: Folders that earlier stages wrote.
        further: Folders with further transfers: of the stages `variants`, `chosen` and `amounts`.
        tasks: Tasks with networks of their own.
        targets: Targets of the transfers.

    Returns:
        `data`: views and buildings of each split, and how many views were left out; `networks`: per kind, how many there are (`count`) and the
        `fingerprint`.
    """
    data = Prepared(prepared)
    manifest = data.manifest
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        for row in _units(models / task / "units.csv").itertuples():
            kinds.setdefault(KINDS[str(row.name)], []).append(str(row.key))
    for target in targets:
        for row in _units(transfers / target / "units.csv").itertuples():
            kind = f"transfers of order {row.order}" if int(str(row.order)) else BASELINES[str(row.sources)]
            kinds.setdefault(kind, []).append(str(row.key))
    for kind, folder in zip(FURTHER, further, strict=True):
        if others := [str(row.key) for row in _units(folder / "units.csv").itertuples()]:
            kinds[kind] = others
    return {
        "data": {name: manifest[name] for name in ("root", "resolution", "views", "buildings", "labelled") if name in manifest}
        | {"left_out": len(manifest["skipped"])},
        "networks": {kind: {"count": len(keys), "fingerprint": fingerprint(keys)} for kind, keys in kinds.items()},
    }


def fingerprint(texts: Iterable[str]) -> str:
    """Compute a digest of a set of texts, independent of their order."""
    return blake2b(json.dumps(sorted(set(texts))).encode(), digest_size=8).hexdigest()


def _units(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str)
