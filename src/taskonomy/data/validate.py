"""Detect damage: files that are missing, cannot be decoded, hold impossible values, or contradict other files of the view."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from taskonomy.data.view_reader import odd_camera, odd_field
from taskonomy.errors import TaskonomyError
from taskonomy.release.file_names import ALL, MATCHES, few
from taskonomy.release.formats import DOMAINS, HOLE, NOT_RELEASED, DamagedFileError, ViewKey, from_bytes
from taskonomy.release.layouts import ReleasedSource, SourceFile
from taskonomy.tasks import BUILT_IN

Progress = Callable[[Iterable[ViewKey], str], Iterable[ViewKey]]  # wraps an iterable of views to show progress, counted in the named unit

_BOX = "bounding_box_ranges"
_BATCH = 256  # views handed to the threads at a time


@dataclass(frozen=True)
class Damage:
    """One damaged file.

    Attributes:
        where: Path, or `x.tar: member`.
        reason: What is wrong with it.
        domain: Domain of the file.
        views: Views that it spoils; empty for a damaged tar, whose views are unknown.
    """

    where: str
    reason: str
    domain: str
    views: tuple[ViewKey, ...] = ()

    def __str__(self) -> str:
        return f"{self.where} ({self.reason})"


@dataclass
class Elsewhere:
    """What files refer to but is not here. This is not damage: in a partial download, the partners of some views are elsewhere.

    Attributes:
        alone: Number of views that are the only one of their point.
        points: Building and point of those that camera files name, but that have no view here.
        views: Building, point and view of those that `nonfixated_matches` files name, but that are not here.
        boxes: Number of camera files without the bounding box of the room.
    """

    alone: int = 0
    points: set[tuple[str, int]] = field(default_factory=set)
    views: set[tuple[str, int, int]] = field(default_factory=set)
    boxes: int = 0

    def __str__(self) -> str:
        """Format the counts in one line; empty if nothing is missing."""
        needing = f" ({', '.join(_needing(_BOX))} cannot do without)"
        counts = [
            (self.alone, "view alone at its point", "views alone at their point"),
            (len(self.points), "point without views that camera files name", "points without views that camera files name"),
            (len(self.views), "view that nonfixated_matches name", "views that nonfixated_matches name"),
            (self.boxes, f"camera file without {_BOX}{needing}", f"camera files without {_BOX}{needing}"),
        ]
        return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count)


def _needing(name: str) -> list[str]:
    """Return the tasks whose labels need a field of the camera file."""
    return [task.name for task in BUILT_IN.values() if task.label and name in task.label.fields]


class Damages(list[Damage]):
    """Result of `check`: a list of damaged files.

    Attributes:
        files: Number of files that were looked for.
        elsewhere: What files refer to but is not here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files, self.elsewhere = 0, Elsewhere()


def check(source: SourceFile, keys: Sequence[ViewKey], domains: Sequence[str], progress: Progress | None = None, *, partners: bool = True) -> Damages:
    """Decode every file of these views, and check them against each other.

    A domain that is derived where it is missing (`mask_valid`) may be missing, and a building may have nothing of a domain. Files are checked in
    the order of `keys`.

    Args:
        source: Source of the files.
        keys: Views to check.
        domains: Names of domains; `nonfixated_matches` is checked once per point.
        progress: Wraps the iteration over views, to show progress.
        partners: Whether to count views that are the only one of their point, and points and views that are referred to but not here.
    """
    found = Damages()
    by_view = [domain for domain in domains if domain != MATCHES]
    points = _Points(source) if partners else None
    # Threads are enough: decoding releases the global interpreter lock.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        rest = iter(progress(keys, "views") if progress else keys)
        while batch := list(islice(rest, _BATCH)):
            for key, (values, damages) in zip(batch, pool.map(lambda key: read_view(source, key, by_view), batch), strict=True):
                found.extend(damages)
                found.files += sum(_expected(source, key, domain) for domain in by_view)
                found.extend(_partners_of(source, key, values, points, found.elsewhere))
    if MATCHES in domains:
        for (building, point), views in groupby(sorted(keys), key=lambda key: key[:2]):
            if source.lacks(building, MATCHES):
                continue
            found.files += 1
            found.extend(_check_matches(source, building, point, tuple(views), points, found.elsewhere))
    if isinstance(source, ReleasedSource):
        # A building whose images cannot be listed has no views to check, so its damage would go unnoticed.
        found.extend(damaged_tars(source, {key.building for key in keys} | source.without_views(), domains))
    return found


def damaged_tars(source: ReleasedSource, buildings: Iterable[str], domains: Sequence[str]) -> list[Damage]:
    """Return tars that are damaged as a whole, so that it is unknown which views they lack, and files that lie in two places."""
    return [
        Damage(where, reason, domain) for building in sorted(buildings) for domain in domains for where, reason in source.problems(building, domain)
    ]


def damage_error(damages: Sequence[Damage], files: int | None = None) -> TaskonomyError:
    """Build the error `7 of 3,400 files are damaged: ...`, in one line.

    Args:
        damages: The damaged files; at least one.
        files: Number of files checked; None: the number that `check` counted.
    """
    of = files or (damages.files if isinstance(damages, Damages) else 0)
    count = len({damage.where for damage in damages})
    total = f" of {of:,}" if of else ""
    verb, them = ("is", "it") if count == 1 else ("are", "them")
    noun = "file" if (of or count) == 1 else "files"
    return TaskonomyError(
        f"{count:,}{total} {noun} {verb} damaged: {few([str(damage) for damage in damages])}; repair {them} or set data.on_bad: skip"
    )


def read_view(source: SourceFile, key: ViewKey, domains: Sequence[str]) -> tuple[dict[str, Any], list[Damage]]:
    """Return a view's stored values of each domain that exists and is intact, and the damaged files."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for domain in domains:
        if not _expected(source, key, domain):
            continue
        try:
            value = from_bytes(domain, source.read(key, domain))
        except DamagedFileError as error:
            reasons[domain] = str(error)
            continue
        if reason := _implausible(domain, value):
            reasons[domain] = reason
        else:
            values[domain] = value
    reasons |= _sizes(values)
    damages = [Damage(source.where(key, domain), reason, domain, (key,)) for domain, reason in reasons.items()]
    return {domain: value for domain, value in values.items() if domain not in reasons}, damages


def _expected(source: SourceFile, key: ViewKey, domain: str) -> bool:
    """Return whether a view is to have a file of a domain: others of its building have one, and it is not derived where it is missing."""
    return source.has(key, domain) if domain in NOT_RELEASED else not source.lacks(key.building, domain)


def _implausible(domain: str, value: Any) -> str | None:
    if domain.startswith("depth_") and (value == HOLE).all():
        return "no valid depth"
    if domain == "point_info":
        return odd_camera(value) or (odd_field(_BOX, value[_BOX]) if _BOX in value else None)
    return None


def _sizes(values: dict[str, Any]) -> dict[str, str]:
    """Return the images whose size differs from that of most images of the view, with the reason.

    If two sizes are equally common, the one that is not that of the rgb image counts as usual.
    """
    sizes = {domain: value.shape[:2] for domain, value in values.items() if DOMAINS[domain].kind.startswith("png")}
    counts = Counter(sizes.values())
    if len(counts) < 2:
        return {}
    usual = max(counts, key=lambda size: (counts[size], size != sizes.get("rgb")))
    others = "the other images of the view are" if counts[usual] > 1 else "the other image of the view is"
    return {
        domain: f"is {width} x {height} pixels, {others} {usual[1]} x {usual[0]}"
        for domain, (height, width) in sizes.items()
        if (height, width) != usual
    }


class _Points:
    """Points and views that exist, whichever of them are checked."""

    def __init__(self, source: SourceFile) -> None:
        self.views = Counter((key.building, key.point) for key in source.views())
        self.source = source

    def lacks_point(self, building: str, point: int) -> bool:
        return (building, point) not in self.views

    def lacks_view(self, building: str, point: int, view: int) -> bool:
        return not self.source.has(ViewKey(building, point, view), "rgb")


def _numbers(values: Iterable[Any]) -> list[int]:
    """Convert ids, which are numbers in some files of the release and text in others.

    Raises:
        ValueError: A value is neither.
    """
    try:
        return [int(value) for value in values]
    except TypeError as error:
        raise ValueError(str(error)) from None


def _partners_of(source: SourceFile, key: ViewKey, values: dict[str, Any], points: _Points | None, elsewhere: Elsewhere) -> Iterator[Damage]:
    """Count what an intact view refers to but is not here; yield damage if its list of points is not a list of points."""
    info = values.get("point_info", {})
    if "point_info" in values and _BOX not in info:
        elsewhere.boxes += 1
    if not points:
        return
    if points.views[key.building, key.point] == 1:
        elsewhere.alone += 1
    named = info.get("nonfixated_points_in_view", [])
    try:
        if not isinstance(named, list):
            raise ValueError
        elsewhere.points |= {(key.building, point) for point in _numbers(named) if points.lacks_point(key.building, point)}
    except ValueError:
        yield Damage(source.where(key, "point_info"), "its nonfixated_points_in_view must be a list of points", "point_info", (key,))


def _check_matches(
    source: SourceFile, building: str, point: int, views: tuple[ViewKey, ...], points: _Points | None, elsewhere: Elsewhere
) -> Iterator[Damage]:
    def damage(reason: str) -> Damage:
        return Damage(source.where(ViewKey(building, point, ALL), MATCHES), reason, MATCHES, views)

    try:
        value = from_bytes(MATCHES, source.matches(building, point))
    except DamagedFileError as error:
        yield damage(str(error))
        return
    listed = value.get("views") if isinstance(value, dict) else None
    try:
        if not isinstance(listed, list) or not all(isinstance(view, dict) for view in listed):
            raise ValueError
        named = [_numbers((view.get("point_uuid"), view.get("view_id"))) for view in listed]
    except ValueError:
        yield damage("must have views, each with point_uuid and view_id")
        return
    if points:
        elsewhere.views |= {(building, other, view) for other, view in named if points.lacks_view(building, other, view)}
