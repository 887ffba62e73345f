"""Summarise a folder of released data before anything is computed from it: `taskonomy data inspect`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskonomy.data.validate import Damage, Elsewhere, Progress, check, damaged_tars
from taskonomy.machine.terminal import text_table
from taskonomy.release.file_names import MATCHES, few
from taskonomy.release.formats import NOT_RELEASED, DamagedFileError, ViewKey, from_bytes
from taskonomy.release.layouts import ReleasedSource, open_source
from taskonomy.release.object_storage import Place
from taskonomy.release.split_lists import RELEASED_SPLITS

_SHOWN = 5  # names shown of each kind


@dataclass(frozen=True)
class DomainCount:
    """Number of files of one domain.

    Attributes:
        files: Number of files that exist.
        missing: Views (of `nonfixated_matches`: points) that have an image but no such file.
        without_rgb: Files whose view has no image.
    """

    files: int
    missing: int
    without_rgb: int


@dataclass(frozen=True)
class Summary:
    """Result of `inspect`.

    Attributes:
        root: The folder.
        layouts: Layouts found.
        buildings: Names of the buildings, in lower case.
        views: Number of views.
        points: Number of points.
        views_per_point: Lowest and highest number of views of a point.
        resolutions: Width and height of the image in pixels -> number of sampled views that have it.
        domains: Name -> number of its files, rgb first.
        checked: Number of views whose files were all decoded.
        files_checked: Number of files that were decoded.
        damages: Damage found in them.
        elsewhere: Views, points and fields that files refer to but that do not exist here; this is not damage.
        splits: Building -> split, by the lists in the root.
        unread: Entries that look like data but are not read, one line each.
    """

    root: Place
    layouts: tuple[str, ...]
    buildings: tuple[str, ...]
    views: int
    points: int
    views_per_point: tuple[int, int]
    resolutions: dict[tuple[int, int], int]
    domains: dict[str, DomainCount]
    checked: int
    files_checked: int
    damages: list[Damage]
    elsewhere: Elsewhere
    splits: dict[str, str]
    unread: list[str]

    def render(self) -> str:
        """Format the summary as text."""
        low, high = self.views_per_point
        sizes = ", ".join(f"{width} x {height}" for width, height in sorted(self.resolutions)) or "unknown"
        lines = [
            f"{self.root}: {'; '.join(self.layouts)}",
            f"buildings   {len(self.buildings):,}: {few(self.buildings, _SHOWN)}",
            f"views       {self.views:,} of {self.points:,} points, {low}{f' to {high}' if high > low else ''} each",
            f"resolution  {sizes} pixels ({sum(self.resolutions.values()):,} views sampled)",
            f"splits      {self._splits()}",
            "",
            text_table([("domain", "files", "missing", "without rgb"), *map(_domain_row, self.domains.items())], left=1),
        ]
        if derived := [name for name, count in self.domains.items() if name in NOT_RELEASED and count.missing]:
            lines.append(f"{', '.join(derived)}: derived from depth_zbuffer where missing")
        share = "all" if self.checked == self.views else f"a sample of {self.checked:,} of {self.views:,}"
        found = f"{len(self.damages):,} damaged" if self.damages else "no damage"
        lines += ["", f"checked {share} views, {self.files_checked:,} files: {found}"]
        lines += _listed([str(damage) for damage in self.damages])
        lines += [f"not here, and no damage: {self.elsewhere}"] if str(self.elsewhere) else []
        if self.unread:
            lines += ["", f"not read ({len(self.unread):,}):", *_listed(self.unread)]
        return "\n".join(lines)

    def _splits(self) -> str:
        if not self.splits:
            return "no list in the root"
        here = Counter(self.splits[building] for building in self.buildings if building in self.splits)
        nowhere = [building for building in self.buildings if building not in self.splits]
        said = ", ".join(f"{split} {here[split]:,}" for split in RELEASED_SPLITS) + " of the buildings here"
        return f"{said}; in no list: {few(nowhere, _SHOWN)}" if nowhere else said


def _domain_row(counted: tuple[str, DomainCount]) -> tuple[str, ...]:
    name, count = counted
    return name, f"{count.files:,}", f"{count.missing:,}", f"{count.without_rgb:,}"


def inspect(root: Place | str | ReleasedSource, sample: int | None = 200, progress: Progress | None = None) -> Summary:
    """Count existing and missing files, and decode every file of an evenly spaced sample of views.

    Args:
        root: Root of released data, or an opened source.
        sample: Number of views to decode; None: all.
        progress: Wraps the iteration over views, to show progress.

    Raises:
        TaskonomyError: There is no released data, or the split lists contradict each other.
    """
    source = root if isinstance(root, ReleasedSource) else open_source(root)
    views = source.views()
    per_point = Counter(key[:2] for key in views).values()
    if sample is None or sample >= len(views):
        sampled: Sequence[ViewKey] = views
    else:
        sampled = [views[place] for place in np.linspace(0, len(views) - 1, sample).astype(int).tolist()]
    damages = check(source, sampled, source.domains, progress)
    not_sampled = set(source.buildings) - {key.building for key in sampled} - source.without_views()
    return Summary(
        root=source.root,
        layouts=source.layouts,
        buildings=source.buildings,
        views=len(views),
        points=len(per_point),
        views_per_point=(min(per_point, default=0), max(per_point, default=0)),
        resolutions=_resolutions(source, sampled),
        domains={domain: _count(source, domain) for domain in sorted(source.domains, key=lambda name: (name != "rgb", name))},
        checked=len(sampled),
        files_checked=damages.files,
        damages=[*damages, *damaged_tars(source, not_sampled, source.domains)],
        elsewhere=damages.elsewhere,
        splits=source.splits(),
        unread=source.unread(),
    )


def _resolutions(source: ReleasedSource, views: Sequence[ViewKey]) -> dict[tuple[int, int], int]:
    sides: Counter[tuple[int, int]] = Counter()
    for key in views[:: max(1, len(views) // 20)]:
        try:
            sides[from_bytes("rgb", source.read(key, "rgb")).shape[1::-1]] += 1
        except DamagedFileError:
            continue  # already among the damages
    return dict(sides)


def _count(source: ReleasedSource, domain: str) -> DomainCount:
    files = missing = without = 0
    for building in source.buildings:
        images, there = source.keys(building, "rgb"), source.keys(building, domain)
        if domain == MATCHES:
            images, there = np.unique(images >> 32), there >> 32
        both = len(np.intersect1d(images, there, assume_unique=True))
        files, missing, without = files + len(there), missing + len(images) - both, without + len(there) - both
    return DomainCount(files, missing, without)


def _listed(lines: Sequence[str], shown: int = 20) -> list[str]:
    listed = [f"  {line}" for line in lines[:shown]]
    return [*listed, f"  and {len(lines) - shown:,} more"] if len(lines) > shown else listed
