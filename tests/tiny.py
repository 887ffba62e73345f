"""The smallest world that every task can be trained on, and parameters for it."""

from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT

from taskonomy.data.prepare import prepare
from taskonomy.data.prepared import Prepared
from taskonomy.params import DataParams, Params, WorldParams, checked
from taskonomy.world.make import make_world

SIDE = 32


def profile(**changes: dict[str, Any]) -> Params:
    """params.yaml with profiles/tiny.yaml, and with single keys of sections otherwise."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for one in (yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text()), changes):
        for section, keys in one.items():
            values[section] |= keys
    return checked(Params, values, "tiny")


def tiny_world(root: Path) -> Prepared:
    """Rendered and prepared with all labels."""
    world: WorldParams = profile().world
    data: DataParams = profile().data
    make_world(root / "world", world, processes=1)
    prepare(root / "world", root / "prepared", data, processes=1)
    return Prepared(root / "prepared")
