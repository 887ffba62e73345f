"""Convert any source to memory-mapped arrays: every file is read once, by as many processes as there are cores.

Views are read in portions. Finished portions are logged, so that a process that is killed or fails loses only the portions in progress; the next one
resumes, and the result is the same bit for bit. Only the index is held in memory: eight bytes per view.
"""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int

from taskonomy.atomic_io import resumable_folder, unfinished_of
from taskonomy.config.data_params import DataParams, Fit, OnBad
from taskonomy.data.count_labels import table
from taskonomy.data.custom_checks import Misfit, misfit_error
from taskonomy.data.datasets import Data, Problem, open_anew
from taskonomy.data.framing import ReadOptions
from taskonomy.data.prepare.arrays import arrays_of, disk_needed, needs
from taskonomy.data.prepare.finalize import COMPACTED, finish
from taskonomy.data.prepare.multi_view_labels import Paired, PairJob, pair_views
from taskonomy.data.prepare.resume_log import ResumeLog
from taskonomy.data.prepare.worker import FileLook, ReadJob, ReadPortion, Row, look_again, read_views
from taskonomy.data.validate import Damage, damage_error
from taskonomy.dataset.splits import assign
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss
from taskonomy.machine.cores import cores, on_every_core, progress
from taskonomy.machine.terminal import byte_size
from taskonomy.release.view_ids import Keys
from taskonomy.tables.label_counts import words
from taskonomy.tasks import BUILT_IN, Registry, Task
from taskonomy.tasks.multi_view import listed

NO_ROW = -1  # row of damage that is not known to spoil any view
PORTION = 512  # views read at a time, at most
_BYTES = 2**26  # bytes of their rows, at most: two seconds of one core with the release's files
_CODE = ("data", "dataset", "labels", "numeric", "release", "tasks")  # folders of the package whose code determines the result


def prepare(root: Path | str, output: Path, params: DataParams, processes: int | None = None) -> dict[str, Any]:
    """Read a source and write what networks are trained on (`taskonomy.dataset.prepared_dataset` describes it).

    Args:
        root: The built-in world, a released dataset in any layout (also in object storage, or by its index), or a folder of a user's own.
        output: Folder to write; it appears complete, or not at all. The unfinished work of a killed or failed process lies beside it and is resumed.
        params: The section `data`.
        processes: Number of processes; None: one per core. The result does not depend on it.

    Returns:
        The manifest.

    Raises:
        TaskonomyError: There is nothing to read, a domain that a task needs is missing, the disk is too small, files are damaged (with
            `on_bad: error`), or a split is empty.
    """
    registry = params.registry
    wanted = {name: declared for name, declared in params.own.items() if name in params.tasks}
    data = open_anew(root, BUILT_IN.with_custom(wanted), ReadOptions.of(params))
    data.refuse_other_kinds({name: params.own[name] for name in params.tasks if name in params.own})
    tasks = [registry[name] for name in params.tasks]
    split_of = assign(data.keys.sizes, data.splits, params)
    _refuse_missing_domains(root, data, tasks, registry)
    _refuse_padding(tasks, params)
    keys = data.keys.only(split_of)
    _refuse_small_disk(Path(output), tasks, len(keys), params)
    with resumable_folder(output, _key(keys, params)) as folder:
        work = _Work(folder, data, keys, tasks, registry, params, processes or cores())
        work.read()
        good = work.refuse_or_leave_out()
        labelled = {name: np.setdiff1d(good, rows) for name, rows in work.gaps.items()}
        skipped = _as_list(sorted([*work.damage, *work.missing]))
        manifest = finish(folder, data, str(root), keys, good, labelled, split_of, work.parts(good), tasks, params, skipped)
        work.tidy()
    for text in (*data.notes(sorted(needs(tasks))), *(f"{count:,} {what}" for what, count in sorted(work.notes.items()))):
        print(f"prepare: {text}", file=sys.stderr)
    _say_labels(manifest)
    _say_partners(manifest, sum(one.elsewhere for one in work.paired))
    return manifest


@dataclass
class _Work:
    folder: Path
    data: Data
    keys: Keys
    tasks: list[Task]
    registry: Registry
    params: DataParams
    processes: int

    def __post_init__(self) -> None:
        self._forget()
        self.paired: list[Paired] = []
        self.seen: list[str] = []
        row = sum(array.row for array in arrays_of(self.tasks, self.params.resolution, self.params.fit))
        self.jobs = list(_portions(self.keys, None if self.data.whole else min(PORTION, max(_BYTES // row, 1))))
        self.journal = ResumeLog(self.folder / "journal")
        if not self.journal.gave("arrays", ""):
            self._start()

    def _forget(self) -> None:
        """Drop what portions gave."""
        self.damage: list[Row] = []
        self.missing: list[Row] = []
        self.gaps: dict[str, list[int]] = {}
        self.notes: Counter[str] = Counter()

    def _start(self) -> None:
        """Start from scratch."""
        for name in ("journal", COMPACTED):
            (self.folder / name).unlink(missing_ok=True)
        self.journal = ResumeLog(self.folder / "journal")
        for array in arrays_of(self.tasks, self.params.resolution, self.params.fit):
            array.make(self.folder, len(self.keys))
        self.journal.note("arrays", "", True)

    @property
    def can_read(self) -> bool:
        """Return whether views can be read into their rows; after rows of damaged views have been removed, the others have moved."""
        return not (self.folder / COMPACTED).exists()

    @cached_property
    def groups(self) -> list[tuple[tuple[str, ...], int, int]]:
        """Return whole buildings, grouped into the smallest groups that hold a portion of views: names, first row, and the row after the last."""
        found, names, start = [], [], 0
        for name, _first, end in self.keys.parts():
            names.append(name)
            if end - start >= PORTION or end == len(self.keys):
                found.append((tuple(names), start, end))
                names, start = [], end
        return found

    def read(self) -> None:
        """Read every unfinished portion, then form the samples of several images."""
        self._forget()
        began, known = time.perf_counter(), 0
        options = {task.name: {**task.label.options, **self.params.labels.get(task.name, {})} for task in self.tasks if task.label}
        domains = sorted(needs(self.tasks))
        names = [self.keys.buildings_of(a, b) for a, b in self.jobs]
        marks = [_short(self.data.mark(one, domains)) for one in names]
        same = self._same(names, marks)
        self.seen = [""] * len(self.jobs)
        problems: list[Problem] = []
        totals = np.zeros(3, np.int64)

        def jobs() -> Iterator[ReadJob]:
            for number in todo:
                a, b = self.jobs[number]
                opener = self.data.opener(names[number])
                keys, size, fit = tuple(self.keys[a:b]), self.params.resolution, self.params.fit
                yield ReadJob(opener, self.folder, keys, a, size, self.params.tasks, self.registry, options, fit)

        todo = []
        for number, mark in enumerate(marks):
            gave = self.journal.gave(f"read {number}", mark)
            if gave is None or number not in same:
                todo.append(number)
                continue
            self.seen[number] = gave["seen"]
            known += self.jobs[number][1] - self.jobs[number][0]
            self._take(gave, problems)
        if todo and not self.can_read:
            self._start()
            self.read()
            return
        number_of = {self.jobs[number][0]: number for number in todo}
        if known:
            print(f"prepare: goes on with {known:,} of {len(self.keys):,} views read", file=sys.stderr)
        with progress(len(self.keys), "prepare", "views") as bar:
            bar.update(known)
            for job, done in on_every_core(read_views, jobs(), self.processes):
                number = number_of[job.first]
                gave = _as_json(done)
                self.journal.note(f"read {number}", marks[number], gave)
                self.seen[number] = done.seen
                self._take(gave, problems)
                totals += len(job.keys), done.files, done.bytes
                bar.update(len(job.keys))
        if todo:
            _say_rates(totals.tolist(), time.perf_counter() - began, self.processes)
        if not self._pair(problems):
            self._start()
            self.read()
            return
        problems += self.data.problems(sorted(self.data.without_views()), domains)
        self.damage += [(NO_ROW, where, reason) for where, reason in dict.fromkeys(problems)]
        self.damage.sort()

    def _same(self, names: Sequence[tuple[str, ...]], marks: Sequence[str]) -> set[int]:
        """Return the finished portions none of whose files was overwritten since it was read."""
        gave = {number: one["seen"] for number, mark in enumerate(marks) if (one := self.journal.gave(f"read {number}", mark)) is not None}
        of_buildings: dict[tuple[str, ...], list[int]] = {}
        for number in gave:
            of_buildings.setdefault(names[number], []).append(number)
        looks = (
            FileLook(
                self.data.opener(buildings),
                tuple((number, tuple(self.keys[slice(*self.jobs[number])])) for number in numbers),
                self.params.tasks,
                self.registry,
            )
            for buildings, numbers in of_buildings.items()
        )
        now: dict[int, str] = {}
        for _look, found in on_every_core(look_again, looks, self.processes):
            now |= found
        return {number for number, seen in gave.items() if now[number] == seen}

    def _take(self, gave: dict[str, Any], problems: list[Problem]) -> None:
        self.damage += [(row, where, Misfit(task[0], reason) if task else reason) for row, where, reason, *task in gave["damage"]]
        self.missing += [(row, where, reason) for row, where, reason in gave["missing"]]
        for name, rows in gave["gaps"].items():
            self.gaps.setdefault(name, []).extend(rows)
        problems += [(where, reason) for where, reason in gave["problems"]]
        self.notes.update(gave["notes"])

    def _pair(self, problems: list[Problem]) -> bool:
        """Form the samples of several images; return False if views must be read again first."""
        several = tuple(task.name for task in self.tasks if task.group not in (None, listed))
        if not several:
            return True
        bad = sorted({row for row, _where, _reason in self.damage})
        found: dict[int, Paired] = {}
        jobs, marks = {}, {}
        for number, (names, first, end) in enumerate(self.groups):
            spoiled = frozenset(bad[np.searchsorted(bad, first) : np.searchsorted(bad, end)])
            # Labels of samples follow from cameras, so a part depends on every file that was read for its views.
            read = [seen for (a, b), seen in zip(self.jobs, self.seen, strict=True) if a < end and first < b]
            marks[first] = _short(f"{sorted(spoiled)} {read} {self.data.mark(names, ['nonfixated_matches'])}")
            gave, output = self.journal.gave(f"pair {number}", marks[first]), self.folder / f"pairs/{number:06}.npz"
            if gave is not None and output.is_file() and _of_file(output) == gave["file"]:
                damage, problems_there = [tuple(row) for row in gave["damage"]], [tuple(one) for one in gave["problems"]]
                found[first] = Paired(damage, problems_there, gave["good"], gave["elsewhere"])
                continue
            if not self.can_read:
                return False
            opener, keys = self.data.opener(names), self.keys.only(names)
            jobs[first] = PairJob(opener, self.folder, keys, first, spoiled, several, self.registry, self.params.seed, output)
        with progress(len(self.groups), "samples of several images", "parts") as bar:
            bar.update(len(found))
            for job, done in on_every_core(pair_views, jobs.values(), self.processes):
                self.journal.note(f"pair {int(job.output.stem)}", marks[job.first], {**asdict(done), "file": _of_file(job.output)})
                found[job.first] = done
                bar.update(1)
        for one in found.values():
            self.damage += one.damage
            problems += one.problems
        self.paired = [found[first] for _names, first, _end in self.groups]
        return True

    def refuse_or_leave_out(self) -> Int[np.ndarray, " good"]:
        """Return the rows of the undamaged views. A view that only lacks labels is not damaged.

        Raises:
            TaskonomyError: Files are damaged, or missing where others of their folder are there, and `on_bad` is `error`. Finished portions are
                kept, except those with damage, which will be read again.
        """
        if self.params.on_bad is OnBad.ERROR:
            self.damage = sorted([*self.damage, *self.missing])
        if self.damage and self.params.on_bad is OnBad.ERROR:
            rows = np.array(sorted({row for row, _where, _reason in self.damage}))
            parts = [(f"read {number}", *job) for number, job in enumerate(self.jobs)]
            parts += [(f"pair {number}", first, end) for number, (_names, first, end) in enumerate(self.groups)]
            for part, first, end in parts:
                if ((rows >= first) & (rows < end)).any():
                    self.journal.note(part, "", None)
            if misfits := [(where, reason) for _row, where, reason in self.damage if isinstance(reason, Misfit)]:
                raise misfit_error(misfits)
            raise damage_error([Damage(where, reason, "") for _row, where, reason in self.damage], _files(self.keys, needs(self.tasks)))
        return np.setdiff1d(np.arange(len(self.keys)), [row for row, _where, _reason in self.damage])

    def parts(self, good: Int[np.ndarray, " good"]) -> list[tuple[Path, int]]:
        """Return the files with samples of several images, each with the row of its first view among the undamaged ones."""
        if not self.paired:
            return []
        firsts = np.searchsorted(good, [first for _names, first, _end in self.groups]).tolist()
        return [(self.folder / f"pairs/{number:06}.npz", first) for number, first in enumerate(firsts)]

    def tidy(self) -> None:
        """Remove the files that do not belong to the output."""
        self.journal.path.unlink()
        (self.folder / COMPACTED).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "pairs", ignore_errors=True)


def _as_json(done: ReadPortion) -> dict[str, Any]:
    """Convert a result to JSON for the log; a `Misfit` keeps its task."""
    damage = [[row, where, str(reason), *([reason.task] if isinstance(reason, Misfit) else [])] for row, where, reason in done.damage]
    return {**asdict(done), "damage": damage}


def _as_list(damage: Sequence[Row]) -> list[dict[str, str]]:
    return [{"file": where, "reason": reason} for _row, where, reason in damage]


def _portions(keys: Keys, size: int | None) -> Iterator[tuple[int, int]]:
    """Yield each portion's first row and the row after its last; a size of None makes each building a portion."""
    if size is None:
        yield from ((a, b) for _name, a, b in keys.parts())
        return
    yield from ((first, min(first + size, len(keys))) for first in range(0, len(keys), size))


def _files(keys: Keys, domains: Sequence[str] | dict[str, list[str]]) -> int:
    """Count the files to read."""
    points = sum(len(np.unique(keys.points[a:b])) for _name, a, b in keys.parts())
    return sum(points if domain == "nonfixated_matches" else len(keys) for domain in domains)


def _say_labels(manifest: dict[str, Any]) -> None:
    """Print how many labelled samples each task has, and what so few cannot say, where images lack labels."""
    if "labelled" in manifest:
        lines = table(manifest["labelled"]).splitlines()
        print("\n".join(f"prepare: {line}" for line in (*lines, *words(manifest["labelled"]))), file=sys.stderr)


def _say_partners(manifest: dict[str, Any], elsewhere: int) -> None:
    """Print, in one line, which partners are missing in a partial download: this is not damage, but makes fewer samples."""
    parts = [f"{name} {count:,}" for name, count in manifest["views_without_partners"].items()]
    said = [f"views without partners, which begin no sample: {', '.join(parts)}"] if parts else []
    said += [f"{elsewhere:,} views that nonfixated_matches name are not here"] if elsewhere else []
    if said:
        print(f"prepare: {'; '.join(said)}", file=sys.stderr)


def _refuse_missing_domains(root: Path | str, data: Data, tasks: Sequence[Task], registry: Registry) -> None:
    missing = {domain: names for domain, names in needs(tasks).items() if domain not in data.domains}
    if unlabelled := sorted(missing.keys() & registry.custom.keys()):
        name, declared = unlabelled[0], registry.custom[unlabelled[0]]
        files = f"{name}.csv" if declared.of_images > 1 else f"a folder {name}/, or columns {name} in labels.csv"
        raise TaskonomyError(f"{root}: has no labels of {name}, which data.own declares; expected {files} (see README), or take it out of data.tasks")
    if missing:
        parts = "; ".join(f"{domain} (for {', '.join(names)})" for domain, names in sorted(missing.items()))
        raise TaskonomyError(f"{root}: has no domain {parts}; add it, or take the tasks out of data.tasks")


def _refuse_padding(tasks: Sequence[Task], params: DataParams) -> None:
    """Refuse padding where a loss has no mask that could leave it out."""
    if params.fit is Fit.PAD and (pairs := [task.name for task in tasks if task.loss is Loss.PAIRWISE]):
        raise TaskonomyError(f"data.fit: pad: {', '.join(pairs)} compares pairs of pixels, which no mask leaves out; choose crop or squeeze")


def _refuse_small_disk(output: Path, tasks: Sequence[Task], views: int, params: DataParams) -> None:
    """Check the free disk space before hours of reading, and print what will be written.

    If damaged views may be left out, or images lack labels, there must be room for a second copy of the largest array.
    """
    needed = disk_needed(tasks, params.resolution, views, params.fit)
    if params.on_bad is OnBad.SKIP or params.own:
        needed += views * max(array.row for array in arrays_of(tasks, params.resolution, params.fit))
    left = unfinished_of(output)
    place = next(parent for parent in output.absolute().parents if parent.exists())
    there = sum(path.stat().st_blocks * 512 for path in left.rglob("*") if path.is_file()) if left.exists() else 0
    free = shutil.disk_usage(place).free + there
    what = f"{views:,} views of {len(tasks)} tasks at {params.resolution} px need {byte_size(needed)} in {output}"
    if needed > free:
        raise TaskonomyError(f"{what}, {byte_size(free)} are free there; make room, or lower data.resolution or the number of data.tasks")
    print(f"prepare: {what}, {byte_size(free)} are free there", file=sys.stderr)


def _say_rates(totals: Sequence[int], seconds: float, processes: int) -> None:
    views, files, size = totals
    rates = f"{files / seconds / processes:,.0f} files/s and {size / 1e6 / seconds / processes:,.1f} MB/s on each of {processes} cores"
    print(
        f"prepare: {views:,} views in {seconds:,.1f} s, {views / seconds:,.0f} a second; {files:,} files, {byte_size(size)}: {rates}", file=sys.stderr
    )


def _key(keys: Keys, params: DataParams) -> str:
    """Return a text that identifies the result: the views, the parameters and the code.

    Whether damage is an error is left out, because it does not change what is read.
    """
    package = Path(__file__).parents[2]
    code = blake2b(digest_size=16)
    for path in sorted(path for part in _CODE for path in (package / part).rglob("*.py")):
        code.update(path.read_bytes())
    return "\n".join([keys.digest(), params.model_dump_json(exclude={"root", "on_bad"}), code.hexdigest(), np.__version__, cv2.__version__, ""])


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, blake2b).hexdigest()
