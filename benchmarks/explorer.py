"""How long the explorer takes to answer a changed field on the published table, beside planning from the file, and in which part of it."""

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from taskonomy.explorer.callbacks import Explorer, build
from taskonomy.explorer.form import GENERAL, WEIGHTS, Choices, TaskChoice, params_of, start
from taskonomy.explorer.loading import open_path
from taskonomy.policy.planner import plan
from taskonomy.tables.table import read_table

TABLE = Path(__file__).parents[1] / "data/published/affinities_16k.csv"


def timed(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor: the same where nothing else runs."""
    clock, processor = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - clock, time.process_time() - processor


def general(first: Choices, name: str, value: str) -> Choices:
    """Set one field that is of no task."""
    return replace(first, general={**first.general, name: value})


def changes(first: Choices) -> dict[str, list[Choices]]:
    """List what people change, some values of each."""

    def row(task: str, **fields: Any) -> Choices:
        return replace(first, tasks={**first.tasks, task: replace(first.tasks[task], **fields)})

    some = ("normal", "reshading", "denoising", "edge_texture", "class_scene")
    return {
        "budget": [general(first, "budget", str(budget)) for budget in (3, 5, 7, 8, 12)],
        "highest order": [general(first, "max_order", str(order)) for order in (1, 2, 3, 24)],
        "a task left out": [row(task, may=frozenset()) for task in some],
        "a label cost": [row(task, cost=cost) for task, cost in zip(some, ("2", "0.5", "1.37", "3", "0.7"), strict=True)],
        "an importance": [row(task, importance=weight) for task, weight in zip(some, ("2", "0.5", "1.37", "3", "0"), strict=True)],
    }


def request(dependencies: list[dict[str, Any]], tasks: int, choices: Choices, good: str | None, number: int) -> dict[str, Any]:
    """Build what the browser sends when a field was changed for the n-th time."""
    found = next(one for one in dependencies if "tiles.children" in one["output"])
    rows: list[TaskChoice] = list(choices.tasks.values())
    fields = [[choices.general[name] for name in GENERAL], [sorted(row.may) for row in rows]]
    fields += [[getattr(row, what) for row in rows] for what in WEIGHTS]
    values = {"asked": {"page": "benchmark", "number": number, "fields": fields}, "good": good}

    def entry(one: dict[str, str]) -> dict[str, Any]:
        return {"id": one["id"], "property": one["property"], "value": values[one["id"]]}

    def output(written: str) -> Any:
        key, _dot, prop = written.rpartition(".")
        if not key.startswith("{"):
            return {"id": key, "property": prop}
        if json.loads(key)["type"] == "file":
            return [{"id": {"type": "file", "name": name}, "property": prop} for name in ("policy.json", "policy.csv", "params.yaml")]
        return [{"id": {"type": "row-problem", "task": task}, "property": prop} for task in range(tasks)]

    return {
        "output": found["output"],
        "outputs": [output(one) for one in found["output"].strip(".").split("...")],
        "inputs": [entry(one) for one in found["inputs"]],
        "state": [entry(one) for one in found["state"]],
        "changedPropIds": ["asked.data"],
    }


def planned(explorer: Explorer, choices: Choices) -> object:
    """As `taskonomy policy` plans, from the file."""
    return plan(read_table(TABLE), params_of(choices, explorer.opened).model_copy(update={"alternatives": 0}))


def median(taken: list[tuple[float, float]]) -> str:
    clock, processor = (statistics.median(one[which] for one in taken) for which in (0, 1))
    return f"{clock:.3f} s ({processor:.3f} s of the processor; slowest {max(one[1] for one in taken):.3f})"


if __name__ == "__main__":
    explorer = Explorer(open_path(TABLE, 30.0))
    first = start(explorer.opened)
    client = build(explorer).server.test_client()
    dependencies = client.get("/_dash-dependencies").get_json()

    numbers = count()

    def answer(choices: Choices) -> None:
        sent = client.post("/_dash-update-component", json=request(dependencies, len(explorer.opened.tasks), choices, "budget=4", next(numbers)))
        if "proved optimal" not in sent.get_data(as_text=True):
            raise SystemExit(f"no answer: {sent.status_code} {sent.get_data(as_text=True)[:300]}")

    explorer.begin()  # as the server does; loads what is loaded once
    explorer.solver.alternatives(params_of(first, explorer.opened))
    answer(general(first, "budget", "4"))
    everything: list[tuple[float, float]] = []
    cold: list[tuple[float, float]] = []
    for name, several in changes(first).items():
        fresh = [timed(partial(planned, explorer, one)) for one in several]
        taken = [timed(partial(answer, one)) for one in several]
        again = [timed(partial(answer, one)) for one in several]
        print(
            f"{name}\n  planned from the file  {median(fresh)}\n  answered               {median(taken)}\n  answered again         {median(again)}",
            flush=True,
        )
        everything, cold = everything + taken, cold + fresh
    others = [timed(partial(explorer.solver.alternatives, params_of(one, explorer.opened))) for one in changes(first)["budget"]]
    print(f"three next-best policies, which come after the answer: {median(others)}")
    hurried: list[tuple[float, float]] = []
    with ThreadPoolExecutor() as pool:
        for one in changes(first)["a label cost"]:
            before = general(one, "budget", "9.5")  # its answer is here, and its next-best policies are being looked for
            answer(before)
            aside = pool.submit(explorer.solver.alternatives, params_of(before, explorer.opened))
            time.sleep(0.1)
            hurried.append(timed(partial(answer, general(one, "budget", "6.5"))))
            aside.result()
    print(f"answered while the next-best policies of the answer before are looked for: {median(hurried)}")
    ratio = sum(one[1] for one in cold) / sum(one[1] for one in everything)
    print(f"all changes: answered {median(everything)}; planned from the file {median(cold)}: {ratio:.1f}x")
    explorer.solver.close()
