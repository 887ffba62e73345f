"""Load what is explored: an affinity table, alone or from a run, and the parameters that the page starts with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.config.params import read_params
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.report.figures import by_family
from taskonomy.tables.table import MEASURES, external_sources, is_gold, join_sources, read_table, task_names, unmeasured
from taskonomy.tasks import BUILT_IN, Registry

AFFINITIES, HELD_OUT = Path("results/measured/affinities.csv"), Path("results/measured/held_out.csv")
ALTERNATIVES = 3


@dataclass(frozen=True)
class LoadedTable:
    """One table, read and checked once.

    Attributes:
        title: The page's name for it.
        tasks: All tasks, sorted by family, then by title.
        sources: Tasks that some row needs labels of.
        targets: Tasks that rows transfer to.
        start: The initial parameters.
        notes: Remarks on how gain and quality were measured.
        registry: Registry of tasks, with their titles.
    """

    title: str
    table: pd.DataFrame
    tasks: tuple[str, ...]
    sources: frozenset[str]
    targets: frozenset[str]
    start: PolicyParams
    notes: tuple[str, ...] = ()
    registry: Registry = BUILT_IN

    @cached_property
    def others(self) -> frozenset[str]:
        """Return the sources that others trained, which are used as they are."""
        return frozenset({*external_sources(self.table).licences, *self.start.external})


def open_path(path: Path, time_limit: float) -> LoadedTable:
    """Open a table's file, or a run: a folder with params.yaml and results/measured.

    Args:
        path: The file or folder.
        time_limit: Seconds for one program; the user of a page waits less long than a stage may take.

    Raises:
        TaskonomyError: Something is missing or wrong; it is named.
    """
    if not path.is_dir():
        return opened(read_table(path), path.name, time_limit)
    if not (path / AFFINITIES).is_file():
        raise TaskonomyError(f"{path}: no {AFFINITIES}; run the pipeline there (taskonomy repro), or name a table")
    params = read_params(path / "params.yaml")
    table, note = read_table(path / AFFINITIES), "Gain and quality are of the images that the affinities were measured on."
    if (path / HELD_OUT).is_file():
        table, note = _with_held_out(table, path), "Gain and quality are of held-out images: none that the affinities were measured on."
    return opened(table, path.resolve().name, time_limit, params.policy, (note,), params.registry)


def opened(
    table: pd.DataFrame,
    title: str,
    time_limit: float,
    params: PolicyParams | None = None,
    notes: tuple[str, ...] = (),
    registry: Registry = BUILT_IN,
) -> LoadedTable:
    """Open a table in memory as `open_path` does."""
    targets, sources = task_names(table)
    own = table.loc[is_gold(table), "target"]  # gold: a target's own network needs the target's labels
    usable, tasks = {*sources, *own}, tuple(by_family(sorted({*targets, *sources}), registry))
    if params is None:
        paid = [name for name in usable if not BUILT_IN.labels_itself(name)]
        params = PolicyParams(budget=max(1, round(len(paid) / 3)), exclude=_baselines(tasks, registry), alternatives=ALTERNATIVES)
    for key in ("importance", "cost", "roles", "require"):
        if missing := sorted(set(getattr(params, key)) - set(tasks)):
            raise unknown(f"policy.{key}", missing, tasks)
    start = params.model_copy(update={"time_limit": time_limit})
    said = (*notes, *filter(None, (unmeasured(table),)))
    return LoadedTable(title, table, tasks, frozenset(usable), frozenset(targets), start, said, registry)


def _baselines(tasks: tuple[str, ...], registry: Registry) -> tuple[str, ...]:
    """Select tasks without a network of their own to train, random weights and parts of other tasks; initially they are no sources."""
    return tuple(name for name in tasks if name in registry and registry[name].label is None)


def _with_held_out(table: pd.DataFrame, run: Path) -> pd.DataFrame:
    """Replace the table's gain and quality by those on the held-out images, which no affinity was measured on."""
    other = read_table(run / HELD_OUT)
    # As sets: the order in which a table writes a transfer's sources means nothing.
    rates = other.reindex(columns=list(MEASURES)).to_numpy(float)
    rows = {(target, frozenset(sources)): row for target, sources, row in zip(other["target"], other["sources"], rates, strict=True)}
    keys = [(target, frozenset(sources)) for target, sources in zip(table["target"], table["sources"], strict=True)]
    if missing := [key for key in keys if key not in rows]:
        target, sources = missing[0]
        written = f"{join_sources(sorted(sources))} -> {target}"
        raise TaskonomyError(
            f"{run / HELD_OUT}: lacks {len(missing):,} transfers of {AFFINITIES.name} ({written} first); run the stage normalize again"
        )
    return table.assign(**dict(zip(MEASURES, np.array([rows[key] for key in keys]).T, strict=True)))
