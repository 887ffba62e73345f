"""Plan which targets are predicted for which images and where the predictions are written, before anything is computed; imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskonomy.errors import TaskonomyError
from taskonomy.inference.manifest import Exported
from taskonomy.inference.photographs import found_images

FILES = (".png", ".json", ".npy")
IN_FOLDERS = (".png", ".json")


@dataclass(frozen=True)
class PredictionWork:
    """Targets that take the same number of images, and the samples to predict them for.

    Attributes:
        tasks: The targets.
        samples: Images of each sample.
        names: Names of each sample's outputs.
    """

    tasks: tuple[str, ...]
    samples: tuple[tuple[Path, ...], ...]
    names: tuple[str, ...]

    @property
    def answers(self) -> int:
        """Return the number of predictions."""
        return len(self.tasks) * len(self.samples)


@dataclass(frozen=True)
class PredictionPlan:
    """All predictions of one command.

    Attributes:
        work: Number of images of a sample -> the work.
        left: Targets that take another number of images.
        output: A file for a single prediction, a folder for several; None: a single prediction is only printed.
        in_folder: Whether the output is a folder.
    """

    work: tuple[PredictionWork, ...]
    left: tuple[str, ...]
    output: Path | None
    in_folder: bool

    @property
    def answers(self) -> int:
        """Return the number of predictions."""
        return sum(one.answers for one in self.work)

    def files(self, name: str, task: str) -> list[Path]:
        """Return the files that a prediction is written to; none if it is only printed."""
        if self.output is None:
            return []
        return [self.output / f"{name}_{task}{ending}" for ending in IN_FOLDERS] if self.in_folder else [self.output]

    def representation(self, name: str, task: str) -> Path:
        """Return the file that the codes behind a prediction are written to."""
        first = self.files(name, task)[0]
        return first.with_name(f"{first.stem}_representation.npz")


def plan(exported: Exported, tasks: Sequence[str], images: Sequence[Path], output: Path | None) -> PredictionPlan:
    """Plan the predictions for images.

    Args:
        exported: The predictors.
        tasks: Targets; none: all that take this number of images.
        images: Files, which form one sample where a task takes several, or folders, whose successive images form samples.
        output: File or folder to write to.

    Raises:
        TaskonomyError: A target without a predictor, the wrong number of images, or an output that does not fit or would overwrite an input.
    """
    for name in tasks:
        exported.card(name)
    paths, sequence = found_images(images), any(path.is_dir() for path in images)
    by_images: dict[int, list[str]] = {}
    for name in dict.fromkeys(tasks or exported.targets):
        by_images.setdefault(exported.task(name).images, []).append(name)
    work, left = [], []
    for takes, names in sorted(by_images.items()):
        samples = _samples(paths, takes, sequence=sequence)
        if samples:
            work.append(PredictionWork(tuple(names), samples, _names(samples)))
        elif tasks:
            raise TaskonomyError(f"{names[0]} takes {takes} images of one scene, in order (got {len(paths)})")
        else:
            left += names
    found = _to(output, PredictionPlan(tuple(work), tuple(left), output, in_folder=False))
    _spare_inputs(found, paths)
    return found


def _samples(paths: Sequence[Path], images: int, *, sequence: bool) -> tuple[tuple[Path, ...], ...]:
    if images == 1 or sequence:
        return tuple(tuple(paths[start : start + images]) for start in range(len(paths) - images + 1))
    return (tuple(paths),) if len(paths) == images else ()


def _names(samples: Sequence[tuple[Path, ...]]) -> tuple[str, ...]:
    names = ["+".join(path.stem for path in sample) for sample in samples]
    if twice := next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None:
        raise TaskonomyError(f"two images are called {twice}: their answers would have the same name")
    return tuple(names)


def _to(output: Path | None, found: PredictionPlan) -> PredictionPlan:
    if output is None:
        if found.answers > 1:
            raise TaskonomyError(f"--output is missing: a folder for {found.answers:,} answers")
        return found
    if output.is_dir() or not output.suffix:
        return PredictionPlan(found.work, found.left, output, in_folder=True)
    if output.suffix not in FILES:
        raise TaskonomyError(f"--output {output}: must end in {', '.join(FILES)}, or be a folder")
    if found.answers > 1:
        raise TaskonomyError(f"--output {output}: {found.answers:,} answers do not fit into one file; name a folder")
    return found


def _spare_inputs(found: PredictionPlan, paths: Sequence[Path]) -> None:
    inputs = {path.resolve() for path in paths}
    for one in found.work:
        for name in one.names:
            for file in (file for task in one.tasks for file in found.files(name, task)):
                if file.resolve() in inputs:
                    raise TaskonomyError(f"--output: {file} is an input, and inputs are never written to")
