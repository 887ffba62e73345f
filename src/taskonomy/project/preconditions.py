"""Check what a run is asked for before it starts, without DVC, which takes seconds: names of stages, and the parameters that all stages read."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from taskonomy.errors import unknown

PIPELINE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
_SCRIPT = re.compile(r"python stages/(\w+)\.py\b")  # how dvc.yaml of a checkout runs a stage of this package
_INSTALLED = re.compile(r"taskonomy stage (\w+)\b")  # how that of a project does
_NAME = re.compile(r"[\w-]+(?:@.*)?")  # of a stage; a target of any other form is a path


def stage_names(pipeline: Path = PIPELINE) -> frozenset[str]:
    """Return the names of the stages and groups of a pipeline; none where there is no pipeline."""
    return frozenset(_stages(pipeline))


def check_targets(targets: Sequence[str], pipeline: Path = PIPELINE) -> None:
    """Refuse a target that can only be the name of a stage, and is none.

    Raises:
        TaskonomyError: Naming it, and the stage that may have been meant.
    """
    stages = _stages(pipeline)
    if not stages:  # DVC says what is wrong with the file
        return
    outputs = {Path(out).parts[0] for stage in stages.values() for out in _outputs(stage)}
    strange = [one for one in targets if _NAME.fullmatch(one) and one.partition("@")[0] not in stages and one not in outputs]
    if missing := [one for one in strange if not Path(one).exists()]:
        raise unknown("stage", missing, stages)


def check_parameters(pipeline: Path = PIPELINE, params: Path = PARAMS) -> None:
    """Check params.yaml once, where the pipeline runs stages of this package: each of them reads all of it, and would refuse it for itself.

    Raises:
        TaskonomyError: As `read_params` and, in a project, `check_version`.
    """
    from taskonomy.config.params import read_params
    from taskonomy.project.code_version import check_version, stages

    ours, commands = stages().keys(), [str(stage.get("cmd", "")).strip() for stage in _stages(pipeline).values()]
    installed = any((found := _INSTALLED.match(command)) and found[1] in ours for command in commands)
    if installed:
        check_version(params)
    if installed or any((found := _SCRIPT.match(command)) and found[1] in ours for command in commands):
        read_params(params)


def _stages(pipeline: Path) -> dict[str, dict[str, Any]]:
    """Read the stages as they are written, of a group what it does for each item; none where DVC cannot read them either."""
    try:
        values = yaml.safe_load(pipeline.read_bytes())
    except (OSError, yaml.YAMLError):
        return {}
    found = values.get("stages") if isinstance(values, dict) else None
    if not isinstance(found, dict):
        return {}
    inner = {str(name): stage.get("do", stage) for name, stage in found.items() if isinstance(stage, dict)}
    return {name: stage for name, stage in inner.items() if isinstance(stage, dict)}


def _outputs(stage: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for one in stage.get(kind) or ():
            yield next(iter(one)) if isinstance(one, dict) else str(one)
