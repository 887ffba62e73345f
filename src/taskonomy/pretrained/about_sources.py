"""What an affinity table says of its sources beside their transfers: which ones others trained, their licences, and what encoders cost to run."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import SELF, labelled

if TYPE_CHECKING:
    from taskonomy.tasks import Registry

FACTS = "facts.json"
_MILLION = 1e6


def read_encoder_facts(codes: Path) -> dict[str, Any]:
    """Read what the stage `encode` wrote about an encoder.

    Args:
        codes: Folder with the encoder's codes.

    Raises:
        TaskonomyError: It is not there, or is damaged.
    """
    path = codes / FACTS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in ("channels", "explained", "parameters", "multiply_adds", "own_multiply_adds")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskonomyError(f"{path}: no readable facts ({error}); the stage `encode` writes them") from None


def with_external(table: pd.DataFrame, encoders: Mapping[str, PretrainedParams], codes: Path, registry: "Registry") -> pd.DataFrame:
    """Add the columns `external`, `licence` and `inference` to a table; without encoders trained by others it stays as it is.

    Args:
        table: Affinities.
        encoders: The section `encoders`.
        codes: Folder with the codes of each source.
        registry: Tasks.

    Raises:
        TaskonomyError: As `read_encoder_facts`.
    """
    if not encoders:
        return table
    facts = {name: read_encoder_facts(codes / name) for name in encoders}
    own = next(iter(facts.values()))["own_multiply_adds"]

    def inference(source: str) -> float:
        return float(facts[source]["multiply_adds"] if source in facts else own[str(registry[source].in_channels)]) / _MILLION

    single = [group[0] if len(group) == 1 and labelled(group[0]) == group[0] != SELF else None for group in table["sources"]]
    external = [tuple(name for name in dict.fromkeys(map(labelled, group)) if name in encoders) or None for group in table["sources"]]
    licences = [encoders[name].licence or None if name is not None and name in encoders else None for name in single]
    return table.assign(
        external=pd.Series(external, table.index, dtype=object),
        licence=pd.Series(licences, table.index, dtype=object),
        inference=[math.nan if name is None else inference(name) for name in single],
    )
