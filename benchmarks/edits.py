"""What a change costs: from a finished run of profile tiny, one thing is changed at a time, and what runs again is compared with what should.

A task is renamed by renaming its entry and its labels; its seeds derive from its name, so that is one task removed and another one added.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
import yaml
from tqdm import tqdm

from taskonomy.atomic_io import write_text
from taskonomy.config.profiles import overlaid
from taskonomy.errors import TaskonomyError, one_line, unknown
from taskonomy.machine.cores import cores

ROOT = Path(__file__).parents[1]
ADDED = "keypoints3d"  # the finished run does without it
POLICY = ("chosen", "policy@*", "spending", "evaluate@*", "report@*")  # and the export, where the policy is another
SETTINGS = (*POLICY, "front@*", "savings@*")  # all that reads what a policy's sources cost and what they solve
RULES = (*SETTINGS, "studies@*")  # and what is computed by the paper's rules, from the same code
TABLE = (
    "normalize",
    "noise",
    "agreement",
    "facts",
    "spending",
    "export",
    *(f"{stage.removesuffix('*')}measured" for stage in RULES if "@" in stage),
)  # all that a changed loss may change
TRANSFERS = ("transfer@*", "variants", "chosen", "amounts", "samples", *TABLE)


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        what: In words.
        make: Makes it in a workspace.
        stages: Patterns of the stages that have to run, each of those that fit.
        may: Of those that may: they read what changed, but not all of it decides.
        networks: Tasks whose networks have to be trained; `*`: all that have one.
        transfers: Transfers may be trained that have this task among sources and target; `*`: any, empty: none. What a changed ranking of first-order
            transfers adds to the candidates of higher orders is counted apart.
    """

    what: str
    make: Callable[[Path], object]
    stages: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    transfers: str = ""


@dataclass(frozen=True)
class Cost:
    """What an edit made run.

    Attributes:
        ran: Stages.
        networks: Tasks whose networks were trained.
        transfers: `(sources, target)` of those that were trained.
        seconds: From the command to its end.
    """

    ran: frozenset[str]
    networks: tuple[str, ...]
    transfers: tuple[tuple[str, str], ...]
    seconds: float


def params(**sections: object) -> Callable[[Path], None]:
    """Lay sections over params.yaml."""

    def make(folder: Path) -> None:
        path = folder / "params.yaml"
        path.write_text(yaml.safe_dump(overlaid(yaml.safe_load(path.read_text()), sections), sort_keys=False))

    return make


def line(path: str, old: str = "", new: str = "# a comment\n") -> Callable[[Path], None]:
    """Replace text in a file, or append to it."""

    def make(folder: Path) -> None:
        text = (folder / path).read_text()
        if old not in text:
            raise TaskonomyError(f"{path}: holds no {old!r}")
        (folder / path).write_text(text.replace(old, new, 1) if old else text + new)

    return make


def picture(of: str) -> Callable[[Path], None]:
    """Turn one picture of the data upside down."""

    def make(folder: Path) -> None:
        path = min((folder / "data/mine").glob(f"*_{of}.tar"))
        with tarfile.open(path) as old:
            members = [(member, file.read()) for member in old if (file := old.extractfile(member)) is not None]
        name = min(member.name for member, _data in members if member.name.endswith(".png"))
        with tarfile.open(path, "w") as new:
            for member, data in members:
                if member.name == name:
                    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
                    data = cv2.imencode(".png", pixels[::-1])[1].tobytes()
                    member.size = len(data)
                new.addfile(member, io.BytesIO(data))

    return make


def tasks(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Change the lists of tasks and of targets alike."""

    def make(folder: Path) -> None:
        values = yaml.safe_load((folder / "params.yaml").read_text())
        params(data={"tasks": change(values["data"]["tasks"])}, transfer={"targets": change(values["transfer"]["targets"])})(folder)

    return make


UNITS = ("train@*", "transfer@*", "variants", "chosen", "amounts", "samples", "export")  # all that trains units, or reads known ones
DICTIONARY = ("prepare", "cards", "samples", "agreement", "export", *RULES)  # all that reads entries of the dictionary; networks have cards instead
OF_ONE = ("cards", "train@normal", *TRANSFERS)
EDITS = {
    "nothing": Edit("nothing", lambda folder: None),
    "budget": Edit("`policy.budget`", params(policy={"budget": 4}), (*POLICY, "export")),
    "cost": Edit("a task's label cost", params(policy={"cost": {"normal": 3}}), SETTINGS, ("export",)),
    "importance": Edit("a task's importance", params(policy={"importance": {"normal": 2}}), SETTINGS, ("export",)),
    "preset": Edit("`policy.preset`", params(policy={"preset": "paper"}), SETTINGS, ("export",)),
    "front": Edit("`front.orders`", params(front={"orders": [1]}), ("front@*", "report@*")),
    "savings": Edit("`savings.draws`", params(savings={"draws": 4}), ("savings@*", "report@*")),
    "evaluate": Edit("`evaluate.random_policies`", params(evaluate={"random_policies": 1001}), ("evaluate@*", "report@*")),
    "studies": Edit("`studies.random_policies`", params(studies={"random_policies": 101}), ("studies@*", "report@*")),
    "samples": Edit("`samples.views`", params(samples={"views": 2}), ("samples", "facts", "report@measured")),
    "query": Edit("`query.tasks`", params(query={"tasks": {"edge_texture": {"root": "data/mine"}}, "images": [6, 12]}), ("query@*",)),
    "execution": Edit("`execution.device`", params(execution={"device": "cpu"})),
    "report": Edit("`report.title`", params(report={"title": "Mine"}), ("report@*",)),
    "normalize": Edit("`normalize.resamples`", params(normalize={"resamples": 51}), ("normalize", "amounts", "report@measured"), TABLE),
    "noise": Edit("`noise.seeds`", params(noise={"seeds": 2}), ("noise", "report@measured")),
    "order": Edit("`transfer.max_order` 2 → 1", params(transfer={"max_order": 1}), ("transfer@*", "normalize"), TRANSFERS),
    "variants": Edit(
        "`transfer.variants`",
        params(transfer={"variants": ["normal>reshading"]}),
        ("variants", "chosen", "amounts", "normalize"),
        ("cards", *TABLE),
        transfers="normal",
    ),
    "fewer": Edit("`transfer.fewer`", params(transfer={"fewer": {"sets": 2}}), ("amounts", "facts", "report@measured")),
    "images": Edit("`transfer.images`", params(transfer={"images": 10}), ("transfer@*", "normalize"), TRANSFERS, transfers="*"),
    "seed": Edit("`transfer.seed`", params(transfer={"seed": 1}), ("transfer@*", "normalize"), TRANSFERS, transfers="*"),
    "one": Edit("one task's training", params(train={"tasks": {"normal": {"epochs": 1}}}), OF_ONE[:2], OF_ONE, ("normal",), "normal"),
    "training": Edit("all tasks' training", params(train={"schedule": {"epochs": 1}}), ("cards", "train@*", "normalize"), TRANSFERS, ("*",), "*"),
    "loss": Edit(
        "one task's loss",
        line("src/taskonomy/tasks/dictionary.py", 'interest("edge_texture", 0.08), Loss.L1', 'interest("edge_texture", 0.08), Loss.L2'),
        ("train@edge_texture", *DICTIONARY),
        TRANSFERS,
        ("edge_texture",),
        "edge_texture",
    ),
    "label": Edit("one label of one view", picture("edge_texture"), ("prepare", "train@edge_texture"), TRANSFERS, ("edge_texture",), "edge_texture"),
    "image": Edit("one image", picture("rgb"), ("prepare", "train@*"), TRANSFERS, ("*",), "*"),
    "added": Edit(
        "a task added",
        tasks(lambda names: sorted({*names, ADDED}, key=[*names, ADDED].index)),
        ("prepare", "cards", f"train@{ADDED}", *TRANSFERS),
        networks=(ADDED,),
        transfers=ADDED,
    ),
    "removed": Edit(
        "a task removed",
        tasks(lambda names: [name for name in names if name != "normal"]),
        ("prepare", "cards", *TRANSFERS),
    ),
    "data": Edit("`data.seed`", params(data={"seed": 1}), ("prepare",), ("train@*", *TRANSFERS), ("*",), "*"),
    "world": Edit("`world.views`, where `data.root` is elsewhere", params(world={"views": 4}), ("world", "facts"), ("report@measured",)),
    "script-train": Edit("a comment in stages/train.py", line("stages/train.py"), ("train@*",)),
    "script-transfer": Edit("a comment in stages/transfer.py", line("stages/transfer.py"), ("transfer@*",)),
    "script-report": Edit("a comment in stages/report.py", line("stages/report.py"), ("report@*",)),
    "seeds": Edit("a comment in src/taskonomy/numeric/rng.py", line("src/taskonomy/numeric/rng.py"), ("*",)),
    "entries": Edit("a comment in src/taskonomy/tasks/dictionary.py", line("src/taskonomy/tasks/dictionary.py"), DICTIONARY),
    "beam": Edit("a comment in src/taskonomy/transfers/beam_search.py", line("src/taskonomy/transfers/beam_search.py"), UNITS),
    "planner": Edit("a comment in src/taskonomy/policy/planner.py", line("src/taskonomy/policy/planner.py"), RULES),
    "compared": Edit(
        "a comment in src/taskonomy/evaluation/stability.py",
        line("src/taskonomy/evaluation/stability.py"),
        ("agreement", "savings@*", "evaluate@*", "studies@*", "report@*"),
    ),
    "figures": Edit("a comment in src/taskonomy/report/figures.py", line("src/taskonomy/report/figures.py"), ("facts", "report@*")),
    "store": Edit("a comment in src/taskonomy/store/store.py", line("src/taskonomy/store/store.py")),
}


class Workspace:
    """A clone of the project with its own cache, in which profile tiny is laid over params.yaml."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.jobs = folder, jobs

    def command(self, *command: str) -> str:
        """Run it; what it prints.

        Raises:
            TaskonomyError: It failed.
        """
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src"), "PATH": path}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise TaskonomyError(f"{' '.join(command)}: {' '.join((done.stderr or done.stdout).split()[-60:])}")
        return done.stdout

    def repro(self, *targets: str) -> set[str]:
        """Run what changed; the stages that ran."""
        times = self.folder.parent / "times.csv"
        self.command("taskonomy", "repro", "--jobs", str(self.jobs), "--times", str(times), *targets)
        table = pd.read_csv(times)
        return set(table.stage[~table.cached.astype(bool)])

    def units(self) -> set[str]:
        """Keys of what is in the store."""
        return {path.stem for path in (self.folder / ".dvc/units").rglob("*.unit")}

    def begin(self) -> None:
        """From nothing to a finished run, on data that no stage makes, and without one task."""
        subprocess.run(("git", "clone", "--quiet", str(ROOT), str(self.folder)), check=True)
        self.command("taskonomy", "profile", "tiny", "--write")
        (self.folder / "dvc.lock").unlink()
        self.repro("world")
        shutil.copytree(self.folder / "data/world", self.folder / "data/mine", ignore=shutil.ignore_patterns(".gitignore"))
        params(data={"root": "data/mine"})(self.folder)
        tasks(lambda names: [name for name in names if name != ADDED])(self.folder)
        self.repro()

    def cost(self, edit: Edit) -> Cost:
        """Make the change and run."""
        before = self.units()
        edit.make(self.folder)
        begun = time.perf_counter()
        ran = self.repro()
        seconds = time.perf_counter() - begun
        new = self.units() - before
        return Cost(frozenset(ran), tuple(sorted(self._networks(new))), tuple(sorted(self._transfers(new))), seconds)

    def _networks(self, keys: set[str]) -> Iterator[str]:
        for path in self.folder.glob("models/*/units.csv"):
            table = pd.read_csv(path)
            if ((table.name == "self") & table.key.isin(keys)).any():
                yield path.parent.name

    def _transfers(self, keys: set[str]) -> Iterator[tuple[str, str]]:
        for path in self.folder.glob("data/transfers/*/units.csv"):
            table = pd.read_csv(path)
            yield from ((sources, path.parent.name) for sources in table.sources[table.key.isin(keys)])
        variants = pd.read_csv(self.folder / "data/variants/units.csv")
        yield from variants.loc[variants.key.isin(keys), ["sources", "target"]].itertuples(index=False, name=None)


def wrong(edit: Edit, cost: Cost, names: set[str]) -> Iterator[str]:
    """List what ran and should not have, or the other way."""
    must = {name for name in names if any(fnmatch(name, pattern) for pattern in edit.stages)}
    may = must | {name for name in names if any(fnmatch(name, pattern) for pattern in edit.may)}
    if missing := must - cost.ran:
        yield f"did not run: {', '.join(sorted(missing))}"
    if beyond := cost.ran - may:
        yield f"ran as well: {', '.join(sorted(beyond))}"
    if edit.networks != ("*",) and set(cost.networks) != set(edit.networks):
        yield f"networks trained: {', '.join(cost.networks) or 'none'}; expected: {', '.join(edit.networks) or 'none'}"
    strangers = [f"{sources} -> {target}" for sources, target in cost.transfers if not _about(edit, sources, target) and "+" not in sources]
    if strangers:
        yield f"transfers trained as well: {', '.join(strangers)}"


def _about(edit: Edit, sources: str, target: str) -> bool:
    return edit.transfers == "*" or (bool(edit.transfers) and edit.transfers in (*re.split("[+>]", sources), target))


def row(edit: Edit, cost: Cost) -> str:
    """One line of the table."""
    counts = Counter(name.partition("@")[0] for name in cost.ran)
    order = ["world", "prepare", "cards", "train", "transfer", "variants", "chosen", "amounts", "samples", "facts", "normalize", "noise"]
    order += ["agreement", "policy", "front", "spending", "savings", "evaluate", "studies", "export", "query", "report"]
    if strange := counts.keys() - set(order):
        raise TaskonomyError(f"this table has no place for the stages {', '.join(sorted(strange))}")
    stages = ", ".join(f"{name} ({counts[name]})" if counts[name] > 1 else name for name in order if counts[name])
    about = sum(_about(edit, *one) for one in cost.transfers)
    transfers = f"{about}" + (f" + {rest} newly ranked" if (rest := len(cost.transfers) - about) else "")
    return f"| {edit.what} | {stages or 'none'} | {len(cost.networks)} | {transfers} | {cost.seconds:.0f} |"


def main(
    edit: Annotated[list[str] | None, typer.Option(help=f"Only these, of: {', '.join(EDITS)}.", show_default=False)] = None,
    jobs: Annotated[int, typer.Option(help="Stages at once.")] = cores(),
    markdown: Annotated[Path | None, typer.Option(help="Where to write the table as well.", show_default=False)] = None,
) -> None:
    """Make each change in a copy of a finished run, and say what ran."""
    if strange := set(edit or ()) - EDITS.keys():
        raise unknown("--edit", sorted(strange), EDITS)
    chosen = [EDITS[name] for name in edit] if edit else list(EDITS.values())
    table, faults = ["| change | stages that run | networks trained | transfers trained | seconds |", "|---|---|---:|---:|---:|"], []
    with TemporaryDirectory() as base, tqdm(total=len(chosen) + 1, desc="first run", file=sys.stderr) as bar:
        finished = Workspace(Path(base) / "finished" / "project", jobs)
        finished.begin()
        print("\n".join(table), flush=True)
        for one in chosen:
            bar.update()
            bar.set_description(one.what)
            copy = Workspace(Path(base) / "copy" / "project", jobs)
            shutil.copytree(finished.folder.parent, copy.folder.parent, symlinks=True)
            copy.repro()  # runs nothing; so that the time of the change holds no first look at copied files
            cost = copy.cost(one)
            names = set(copy.command("dvc", "stage", "list", "--name-only").split())
            faults += [f"{one.what}: {what}" for what in wrong(one, cost, names)]
            table.append(row(one, cost))
            tqdm.write(table[-1], file=sys.stdout)
            shutil.rmtree(copy.folder.parent)
        bar.update()
    if markdown:
        write_text(markdown, "\n".join(table) + "\n")
    if faults:
        raise TaskonomyError("; ".join(faults))


if __name__ == "__main__":
    with one_line():
        typer.run(main)
