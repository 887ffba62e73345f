"""Names of files, folders and tars in the release, and the other names that have been in use for them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from taskonomy.release.formats import DOMAINS, REACH

if TYPE_CHECKING:
    from taskonomy.release.object_storage import Remote

ALL = 0xFFFFFFFF  # number of the view `all`: the matches of a point are one file for all its views
MATCHES = "nonfixated_matches"

TASKONOMY = "taskonomy"
# Components of Omnidata, and the depth in metres that 65536 stands for in their depth files: of most the release's (settings of its annotator).
COMPONENTS = {
    "blendedmvg": REACH, "blendedmvs": REACH, "carla": REACH, "clevr": 64.0, "google_scanned": 0.5, "gso_in_replica": REACH, "habitat2": REACH,
    "hm3d": REACH, "hypersim": REACH, "replica": REACH, "replica_gso": REACH, TASKONOMY: REACH,
}  # fmt: skip

# Names besides the domains' own that have been in use for folders, and for the domain in file names. Two are the release's names for files of the
# domains class_scene and segment_semantic; the others are read, but never written.
ALIASES = {
    "class_places": "class_scene",
    "points": "point_info",
    "fixatedpose": "point_info",
    "segmentsemantic": "segment_semantic",
    "keypoint2d": "keypoints2d",
    "keypoint3d": "keypoints3d",
    "keypoint_2d": "keypoints2d",
    "keypoint_3d": "keypoints3d",
    "nonfixated": MATCHES,
}
_KNOWN = {**{name: name for name in DOMAINS}, **ALIASES}
_LONGEST_FIRST = sorted(_KNOWN, key=len, reverse=True)
_FILE = re.compile(r"point_(0|[1-9]\d{0,8})_view_(all|0|[1-9]\d{0,8})(_domain_([a-z0-9_]+)\.(png|npy|json))")


def domain_of(name: str) -> str | None:
    """Return the released name of a domain; None for an unknown name."""
    return _KNOWN.get(name.lower())


def parse_file(name: str, domain: str) -> tuple[int, int, str] | None:
    """Return point, view (`ALL` for `all`) and the rest of a file's name; None if it is not the name of a file of this domain."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    point, view, rest, tag, extension = match.groups()
    if domain_of(tag) != domain or extension != DOMAINS[domain].extension or (view == "all") != (domain == MATCHES):
        return None
    return int(point), ALL if view == "all" else int(view), rest


def format_file(prefix: str, point: int, view: int, rest: str) -> str:
    """Build the name that `parse_file` took apart, preceded by the folders of `prefix`."""
    return f"{prefix}point_{point}_view_{'all' if view == ALL else view}{rest}"


def parse_tar(name: str) -> tuple[str, str] | None:
    """Return building and domain of a released tar, `<building>_<domain>.tar`. Both may have underscores: the longest domain that fits counts."""
    stem = name.lower().removesuffix(".tar")
    for known in _LONGEST_FIRST:
        building = stem.removesuffix(f"_{known}")
        if building and building != stem:
            return building, _KNOWN[known]
    return None


@overload
def place(root: Path, layout: str, building: str, domain: str) -> Path: ...
@overload
def place(root: "Path | Remote", layout: str, building: str, domain: str) -> "Path | Remote": ...
def place(root: "Path | Remote", layout: str, building: str, domain: str) -> "Path | Remote":
    """Return where a layout keeps a building's files of a domain: a folder, or a tar if the layout is `tar`."""
    match layout:
        case "folders":
            return root / building / domain
        case "omnidata":
            return root / domain / "taskonomy" / building
        case "tar":
            return root / f"{building}_{domain}.tar"
    raise ValueError(f"layout must be tar, folders or omnidata (is {layout!r})")


def component_of(root: "Path | Remote", path: "Path | Remote") -> str:
    """Return the component of Omnidata that a folder or tar below a root belongs to, in lower case; empty where the layout has none.

    It is the folder beside the domain's: `<domain>/<component>/<building>` or `<component>/<domain>/<building>`.
    """
    parts = [part for part in str(path).removeprefix(str(root)).strip("/").split("/") if part]
    if len(parts) < 3:
        return root.name.lower() if root.name.lower() in COMPONENTS else ""
    return next((part.lower() for part in parts[:2] if domain_of(part) is None), "")


def few(items: Sequence[str], shown: int = 3) -> str:
    """Format a list as `a, b, c and 4 more`."""
    listed = ", ".join(items[:shown])
    return f"{listed} and {len(items) - shown} more" if len(items) > shown else listed
