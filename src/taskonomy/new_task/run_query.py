"""Run a query from end to end: transfers, ranking, learning curve, page. Units in the store are not trained again.

```
ranking.csv                            every transfer with its interval, the best first
curve.csv                              the learning curve
answer.json                            what to start from, best of each order, crossings
index.html                             all of it
test_affinity.npz, test_policy.npz     losses [candidates, images], candidates, scratch: as the stage `transfer` writes them
units.csv                              key, name: every unit that the answer rests on
```
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.atomic_io import whole_folder, write_csv, write_json, write_text
from taskonomy.config.data_params import QueryTask
from taskonomy.config.params import NormalizeParams, read_params
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.machine.cores import progress
from taskonomy.new_task.encode import encode_all
from taskonomy.new_task.learning_curve import planned, units_of
from taskonomy.new_task.query_page import page
from taskonomy.new_task.ranking import QueryResult, best_of_each_order, best_to_fine_tune, crossings, curve_of, ranked, ranked_first
from taskonomy.new_task.request import FinishedRun, Query, ask
from taskonomy.store.store import Store, store_root
from taskonomy.tables.table import join_sources
from taskonomy.training.transfer_context import SCRATCH
from taskonomy.transfers.transfers import Transferred, transfers_to


@dataclass(frozen=True)
class QueryOutcome:
    """The outcome of a query.

    Attributes:
        answer: The result.
        transferred: The transfers that it is based on.
        units: `key` and `name` of every unit that was used.
        new: How many of these were not in the store before.
    """

    answer: QueryResult
    transferred: Transferred
    units: pd.DataFrame
    new: int


def answer(query: Query, params: NormalizeParams, on_done: Callable[[int], object] = lambda done: None) -> QueryOutcome:
    """Answer a query.

    Args:
        query: The query.
        params: The section `normalize`.
        on_done: Called with the number of units that became available.

    Raises:
        TaskonomyError: Codes or weights of a source are missing or do not fit, or a loss is not finite.
    """
    before = set(Store(query.context.store).keys())
    encoded = encode_all(query)
    on_done(len(encoded))
    done = transfers_to(query.context, on_done)
    ranking = ranked(query.target, done, params)
    points = planned(query, ranked_first(ranking), best_to_fine_tune(ranking, query.target, query.registry))
    curve = curve_of(units_of(query, points, on_done), params)
    used = {key: f"codes {source}" for source, key in encoded.items()}
    used |= {key: join_sources(sources) for sources, key in done.keys.items()}
    used |= {point.key: f"{point.way.value} {join_sources(point.sources)} {point.images}" for point in points if point.key not in used}
    units = pd.DataFrame({"key": list(used), "name": list(used.values())})
    found = QueryResult(
        query.target, ranking, best_of_each_order(ranking), curve, crossings(curve), samples_of(query), query.registry, query.others.about()
    )
    return QueryOutcome(found, done, units, len(used.keys() - before))


def samples_of(query: Query) -> dict[str, int]:
    """Count the labelled samples by purpose: those that rank the sources, all that can be trained on, and those for validation and tests."""
    context = query.context
    task = context.task
    counts = {split.value: len(task.of_split(split)) for split in (Split.VALIDATION, *TEST_SPLITS)}
    return {"ranking": len(context.train), "labelled": len(task.of_split(Split.TRANSFER)) + len(task.of_split(Split.TRAIN)), **counts}


def run_query(
    run: Path, task: str, asked: QueryTask | None = None, images: tuple[int, ...] | None = None, output: Path | None = None
) -> QueryOutcome:
    """Answer a query and write the result atomically.

    Args:
        run: Workspace of a finished run.
        task: The new task.
        asked: Its images and labels; None: as `query.tasks` says, or else those of the run.
        images: Sizes of the learning curve; None: `query.images`.
        output: Folder to write; None: results/query/TASK.

    Raises:
        TaskonomyError: See `ask` and `answer`.
    """
    params = read_params(run / "params.yaml")
    known = FinishedRun(run, params, store_root(run))
    if asked is None:
        asked = params.query.tasks.get(task, QueryTask(root=params.data.root))
        asked = asked.model_copy(update={"root": str(run / asked.root)})
    with whole_folder(output or Path("results/query") / task) as folder:
        query = ask(known, task, asked, images or params.query.images, folder / "work")
        with progress(0, f"query {task}", "units") as bar:
            done = answer(query, params.normalize, bar.update)
        _write(folder, done)
        shutil.rmtree(folder / "work", ignore_errors=True)
    return done


def _write(folder: Path, done: QueryOutcome) -> None:
    found, transferred = done.answer, done.transferred
    write_csv(folder / "ranking.csv", found.ranking.assign(sources=found.ranking["sources"].map(join_sources)))
    write_csv(folder / "curve.csv", found.curve)
    write_json(folder / "answer.json", found.as_dict())
    write_text(folder / "index.html", page(found))
    scratch = transferred.units[SCRATCH].arrays
    for split in TEST_SPLITS:
        candidates, losses = transferred.losses(split)
        np.savez(folder / f"{split}.npz", candidates=np.array(candidates), losses=losses, scratch=scratch[split])
    write_csv(folder / "units.csv", done.units)
