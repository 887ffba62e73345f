"""Damage: files that are missing, cannot be decoded, cannot be true, or contradict the files beside them."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from taskonomy.data.formats import DOMAINS, HOLE, NOT_RELEASED, DamagedFileError, ViewKey, from_bytes
from taskonomy.data.layouts import ReleasedSource, Source
from taskonomy.data.names import ALL, MATCHES, few
from taskonomy.errors import TaskonomyError

Progress = Callable[[Iterable[ViewKey], str], Iterable[ViewKey]]  # wraps what is gone through, and says in which unit it counts

_CAMERA = {"camera_location": 3, "camera_rotation_final": 3, "field_of_view_rads": 0, "resolution": 0}  # 0: one number
_BATCH = 256  # views handed to the threads at once


@dataclass(frozen=True)
class Damage:
    """One damaged file.

    Attributes:
        where: Path, or `x.tar: member`.
        reason: What is wrong with it.
        domain: Of the file.
        views: Those it spoils; of a damaged tar, whose views are not known, none.
    """

    where: str
    reason: str
    domain: str
    views: tuple[ViewKey, ...] = ()

    def __str__(self) -> str:
        return f"{self.where} ({self.reason})"


class Damages(list[Damage]):
    """What `check` found.

    Attributes:
        files: How many files were looked at, or for.
    """

    files: int = 0


def check(source: Source, keys: Sequence[ViewKey], domains: Sequence[str], progress: Progress | None = None, *, partners: bool = True) -> Damages:
    """Decode every file of these views, and hold them against each other.

    A domain that is derived where it is missing (`mask_valid`) may be missing. Files come in the order of `keys`.

    Args:
        source: Where the files are.
        keys: Views.
        domains: Names of domains; `nonfixated_matches` is looked at once a point.
        progress: Told of each view.
        partners: Whether views that name a view or point which does not exist, and points with a single view, count as damaged; relative poses
            need them.
    """
    found = Damages()
    by_view = [domain for domain in domains if domain != MATCHES]
    points = _Points(source) if partners else None
    # Threads: decoding releases the interpreter's lock.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        rest = iter(progress(keys, "views") if progress else keys)
        while batch := list(islice(rest, _BATCH)):
            for damages, files in pool.map(lambda key: _check_view(source, key, by_view, points), batch):
                found.extend(damages)
                found.files += files
    if MATCHES in domains:
        for (building, point), views in groupby(sorted(keys), key=lambda key: key[:2]):
            found.files += 1
            found.extend(_check_matches(source, building, point, tuple(views), points))
    if isinstance(source, ReleasedSource):
        # A building whose images cannot be listed has no views that could be asked for, and would go unnoticed.
        found.extend(damaged_tars(source, {key.building for key in keys} | source.without_views(), domains))
    return found


def damaged_tars(source: ReleasedSource, buildings: Iterable[str], domains: Sequence[str]) -> list[Damage]:
    """Tars that are damaged as a whole, so that it is not known which views they lack; and files that lie in two places."""
    return [
        Damage(where, reason, domain) for building in sorted(buildings) for domain in domains for where, reason in source.problems(building, domain)
    ]


def damage_error(damages: Sequence[Damage], files: int | None = None) -> TaskonomyError:
    """`7 of 3,400 files are damaged: ...`, in one line.

    Args:
        damages: At least one.
        files: Of how many; None: as `check` counted.
    """
    of = files or (damages.files if isinstance(damages, Damages) else 0)
    count = len({damage.where for damage in damages})
    total = f" of {of:,}" if of else ""
    verb, them = ("is", "it") if count == 1 else ("are", "them")
    noun = "file" if (of or count) == 1 else "files"
    return TaskonomyError(
        f"{count:,}{total} {noun} {verb} damaged: {few([str(damage) for damage in damages])}; repair {them} or set data.on_bad: skip"
    )


def read_view(source: Source, key: ViewKey, domains: Sequence[str]) -> tuple[dict[str, Any], list[Damage]]:
    """The values of a view, as stored, of each domain that is there and sound, and what is damaged."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for domain in domains:
        if domain in NOT_RELEASED and not source.has(key, domain):
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


def _implausible(domain: str, value: Any) -> str | None:
    if domain.startswith("depth_") and (value == HOLE).all():
        return "no valid depth"
    if domain == "point_info":
        if not isinstance(value, dict):
            return "is no JSON object"
        for field, length in _CAMERA.items():
            if field not in value:
                return f"has no {field}"
            numbers = value[field] if length else [value[field]]
            if not isinstance(numbers, list) or (length and len(numbers) != length) or not all(map(_is_number, numbers)):
                return f"its {field} must be {f'{length} numbers' if length else 'a number'}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sizes(values: dict[str, Any]) -> dict[str, str]:
    """Images of a view that have not the size of most of them; where two sizes are equally common, those that are not the image's win."""
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
    """Which points and views exist at all, whatever part of them is checked."""

    def __init__(self, source: Source) -> None:
        self.views = Counter((key.building, key.point) for key in source.views())
        self.source = source

    def lacks_point(self, building: str, point: Any) -> bool:
        return (building, _number(point)) not in self.views

    def lacks_view(self, building: str, point: Any, view: Any) -> bool:
        key = _number(point), _number(view)
        return key[0] is None or key[1] is None or not self.source.has(ViewKey(building, key[0], key[1]), "rgb")


def _number(value: Any) -> int | None:
    """Ids are numbers in some files of the release, and text in others."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _check_view(source: Source, key: ViewKey, domains: Sequence[str], points: _Points | None) -> tuple[list[Damage], int]:
    """The damages of a view, and how many files were looked at, or for."""
    values, damages = read_view(source, key, domains)
    if points:
        damages += [Damage(source.where(key, domain), reason, domain, (key,)) for domain, reason in _lonely(key, values, points)]
    return damages, sum(domain not in NOT_RELEASED or source.has(key, domain) for domain in domains)


def _lonely(key: ViewKey, values: dict[str, Any], points: _Points) -> Iterator[tuple[str, str]]:
    if points.views[key.building, key.point] == 1:
        yield "rgb", "is the only view of its point"
    named = values.get("point_info", {}).get("nonfixated_points_in_view", [])
    if not isinstance(named, list):
        yield "point_info", "its nonfixated_points_in_view must be a list"
    elif lost := [str(point) for point in named if points.lacks_point(key.building, point)]:
        yield "point_info", f"names points that have no views: {few(lost)}"


def _check_matches(source: Source, building: str, point: int, views: tuple[ViewKey, ...], points: _Points | None) -> Iterator[Damage]:
    def damage(reason: str) -> Damage:
        return Damage(source.where(ViewKey(building, point, ALL), MATCHES), reason, MATCHES, views)

    try:
        value = from_bytes(MATCHES, source.matches(building, point))
    except DamagedFileError as error:
        yield damage(str(error))
        return
    listed = value.get("views") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not all(isinstance(view, dict) and {"point_uuid", "view_id"} <= view.keys() for view in listed):
        yield damage("must have views, each with point_uuid and view_id")
    elif points and (lost := [view for view in listed if points.lacks_view(building, view["point_uuid"], view["view_id"])]):
        names = [f"point {view['point_uuid']} view {view['view_id']}" for view in lost]
        yield damage(f"names views that do not exist: {few(names)}")
