"""Say in some lines what a finished run found, and where to look; from its files, in milliseconds."""

import json
from collections.abc import Iterator
from pathlib import Path

POLICY, SUMMARY = Path("results/measured/policy.json"), Path("results/measured/summary.json")
NUMBERS = {
    "networks_vs_constant": "of the images, task networks beat the best constant",
    "gain_pixels": "of the images, the policy's networks beat small ones trained on the image (gain)",
    "quality": "of the images, the policy's networks beat the targets' own; a tie counts half (quality)",
    "spearman_published": "rank correlation of the sources of each target with the published ranking",
    "policy_p": "p-value of the policy among random ones",
}
_SHARES = ("networks_vs_constant", "gain_pixels", "quality")


def headline(root: Path = Path()) -> str:
    """Return the sources of the policy, the main numbers and the paths of the reports; '' where no run has got that far."""
    try:
        policy, found = (json.loads((root / path).read_text(encoding="utf-8")) for path in (POLICY, SUMMARY))
        lines = [*_sources(policy["sources"], policy.get("free") or [], policy.get("use_as_they_are") or {}), *_numbers(found)]
    except (FileNotFoundError, ValueError, KeyError):  # not there yet, or by another version of the code
        return ""
    pages = sorted(path.relative_to(root).as_posix() for path in (root / "reports").glob("*/index.html"))
    return "\n".join(
        [*lines, *([f"open {', '.join(pages)}"] if pages else []), "all numbers: dvc metrics show, results/; what changed: taskonomy results"]
    )


def _sources(names: list[str], free: list[str], as_they_are: dict[str, object]) -> Iterator[str]:
    """Say which sources must be labelled, whose labels cost nothing, and which others trained, whose labels nobody needs."""
    yield f"label in full: {', '.join(name for name in names if name not in free and name not in as_they_are) or 'nothing'}"
    if free:
        yield f"labels are free: {', '.join(free)}"
    if as_they_are:
        yield f"use as it is: {', '.join(as_they_are)}"


def _numbers(found: dict[str, float]) -> Iterator[str]:
    for name, what in NUMBERS.items():
        if name in found:
            yield f"{f'{found[name]:.0%}' if name in _SHARES else f'{found[name]:.2g}':>7}  {what}"
