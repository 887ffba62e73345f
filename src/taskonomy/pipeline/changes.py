"""Say what a run changed: its results against those of the last commit whose results are others.

A commit holds the main numbers (`summary.json`) as text, and the digests of policy and affinities in its dvc.lock; DVC's cache holds the files.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.agreement import agreement
from taskonomy.evaluation.tree import first_order
from taskonomy.pipeline.experiments import cached_text
from taskonomy.pipeline.verify import git
from taskonomy.tables.table import parse_table, read_table
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.wording import wording as words

POLICY, AFFINITIES, SUMMARY = (f"results/measured/{name}" for name in ("policy.json", "affinities.csv", "summary.json"))
_SHOWN = 5  # names in a line
_COMMITS = 50  # that are looked at


@dataclass(frozen=True)
class EarlierRun:
    """The results that a commit holds: when it was made, its main numbers, and the digests of its files."""

    commit: str
    date: str
    summary: dict[str, float]
    digests: dict[str, str]


def since_last(root: Path = Path(), registry: Registry = BUILT_IN) -> list[str]:
    """Describe in some lines what differs between the results here and those of the last commit with others; one line where there is none.

    Raises:
        TaskonomyError: The run here is not finished.
    """
    here = root.as_posix()
    if missing := [path for path in (SUMMARY, "dvc.lock") if not (root / path).is_file()]:
        raise TaskonomyError(f"{missing[0]}: no such result; run `taskonomy repro` first")
    now = _results("", "", (root / SUMMARY).read_text(encoding="utf-8"), (root / "dvc.lock").read_text(encoding="utf-8"))
    earlier = next((one for one in _commits(here) if (one.summary, one.digests) != (now.summary, now.digests)), None)
    if earlier is None:
        return ["There is no earlier run to compare with: no commit holds other results."]
    lines = [f"Changed since commit {earlier.commit} of {earlier.date}:", *_numbers(earlier.summary, now.summary)]
    for path, compare in ((POLICY, _policies), (AFFINITIES, _affinities)):
        what = Path(path).stem
        if earlier.digests.get(path) == now.digests.get(path):
            lines.append(f"  {what}: the same")
            continue
        try:
            before = cached_text(earlier.digests.get(path, ""), path, f"commit {earlier.commit}")
        except TaskonomyError as error:
            lines.append(f"  {what}: other than before, but {error}")
        else:
            lines += [f"  {what}: {line}" for line in compare(before, root / path, registry)]
    return lines


def _commits(root: str) -> Iterator[EarlierRun]:
    """Yield the results of the commits that changed any, the newest first; of other branches none."""
    try:
        log = git("-C", root, "log", f"-{_COMMITS}", "--format=%h %cs", "--", "dvc.lock", SUMMARY)
    except TaskonomyError:  # no commit yet
        return
    for line in log.splitlines():
        commit, date = line.split()
        summary, lock = (_held(root, commit, path) for path in (SUMMARY, "dvc.lock"))
        found = _results(commit, date, summary or "{}", lock)
        if found.digests:  # else it is from before the first run
            yield found


def _held(root: str, commit: str, path: str) -> str:
    """Read a file of a commit; empty where it has none."""
    try:
        return git("-C", root, "show", f"{commit}:./{path}")
    except TaskonomyError:
        return ""


def _results(commit: str, date: str, summary: str, lock: str) -> EarlierRun:
    found = {path: re.search(rf"- path: {re.escape(path)}\n +hash: md5\n +md5: (\w+)", lock) for path in (POLICY, AFFINITIES)}
    return EarlierRun(commit, date, json.loads(summary), {path: match[1] for path, match in found.items() if match})


def _numbers(before: dict[str, float], after: dict[str, float]) -> Iterator[str]:
    for name in dict.fromkeys([*after, *before]):
        was, now = (f"{one[name]:.4g}" if name in one else "none" for one in (before, after))
        if was != now:
            yield f"  {name}: {now} (was {was})"


def _policies(before: str, path: Path, registry: Registry) -> Iterator[str]:
    old, new = json.loads(before), json.loads(path.read_text(encoding="utf-8"))
    added, gone = (sorted(set(one["sources"]) - set(other["sources"])) for one, other in ((new, old), (old, new)))
    if added or gone:
        yield f"labels {words.instead(map(registry.title, added), map(registry.title, gone))}"
    else:
        yield "labels the same tasks"
    routes: list[dict[str, Any]] = [{row["target"]: sorted(row["sources"]) for row in one["transfers"]} for one in (old, new)]
    both = sorted(routes[0].keys() & routes[1].keys())
    if other := [name for name in both if routes[0][name] != routes[1][name]]:
        yield f"{len(other)} of {words.count(len(both), 'target')} transferred from others: {words.titles(other, registry, _SHOWN)}"


def _affinities(before: str, path: Path, registry: Registry) -> Iterator[str]:
    old, new = parse_table(before, "affinities of the earlier run"), read_table(path)
    ranks = agreement(new, old)
    rho = {name: one["spearman"] for name, one in ranks["targets"].items() if one["spearman"] == one["spearman"]}
    least = f", lowest for {registry.title(name)} ({rho[name]:.3f})" if rho and (name := min(rho, key=rho.__getitem__)) else ""
    yield (
        f"{words.count(len(new), 'transfer')} (before: {len(old):,}); mean rank correlation of a target's sources with before"
        f" {ranks['mean']['spearman']:.3f}{least}"
    )
    best = [first_order(one)[ranks["sources"]].fillna(-1.0).idxmax(axis=1) for one in (old, new)]
    if other := [name for name in ranks["targets"] if best[0][name] != best[1][name]]:
        of = words.count(len(ranks["targets"]), "target")
        yield f"another best single source for {len(other)} of {of}: {words.titles(other, registry, _SHOWN)}"
