"""A small policy on the tiny world, exported: a grey source, an order of two, noise, a pair of images, and a target's own network."""

import json
from pathlib import Path

from tiny import TRAINED, profile, tiny_config

from taskonomy.atomic_io import write_json, write_text
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.inference.export import export
from taskonomy.tasks import BUILT_IN
from taskonomy.transfers.run_context import RunContext

CHOSEN = {
    "autoencoding": ("self",),
    "camera_pose_fixated": ("normal",),
    "denoising": ("normal", "random_projection"),
    "normal": ("autoencoding", "colorization"),
}
ENCODERS = {"autoencoding", "colorization", "normal", "random_projection"}


def write_policy(path: Path, chosen: dict[str, tuple[str, ...]]) -> None:
    """As the stage `policy` writes it."""
    transfers = [{"target": target, "sources": sources, "affinity": 0.5, "gain": 0.75, "quality": None} for target, sources in chosen.items()]
    facts = {"status": "optimal", "budget": 4.0, "cost": 4.0, "max_order": 2, "self_edge": "gold", "mean_gain": 0.75, "mean_quality": None}
    write_json(path, {**facts, "sources": sorted(ENCODERS), "transfers": transfers})


def job(prepared: Prepared, trained: Path, folder: Path, store: Path) -> RunContext:
    """Where everything is; the cards are written."""
    for task in TRAINED:
        write_text(folder / "cards" / f"{task}.json", json.dumps(tiny_config(task).as_json()))
    return RunContext(folder / "cards", prepared.root, trained / "codes", trained / "models", store, profile().transfer)


def make(prepared: Prepared, trained: Path, folder: Path, store: Path) -> None:
    """The folders `predictors` and `cards`, and what the stage `policy` would have written."""
    write_policy(folder / "policy.json", CHOSEN)
    rows = [f"{target},{'+'.join(reversed(sources))},0.5,0.25,0.125" for target, sources in CHOSEN.items()]
    write_text(folder / "held_out.csv", "\n".join(["target,sources,affinity,gain,quality", *rows, ""]))
    export(job(prepared, trained, folder, store), folder / "policy.json", folder / "held_out.csv", folder / "predictors", BUILT_IN)
