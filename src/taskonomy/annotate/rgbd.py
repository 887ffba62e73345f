"""RGB-D images of the user: frames made from what a depth camera measured, and annotation of whole folders."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from taskonomy.annotate.annotations import ANNOTATORS, Likeness, annotate
from taskonomy.annotate.normals_from_depth import normals_from_depth
from taskonomy.annotate.rgbd_folders import Intrinsics, RgbdFiles, read_intrinsics, rgbd_files
from taskonomy.annotate.view import Frame
from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.geometry import Camera
from taskonomy.release.formats import DEPTH_UNIT, DOMAINS, HOLE, DamagedFileError, to_bytes
from taskonomy.release.pictures import label_from, rgb_from

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
SHOWN = 5  # number of damaged files that an error names; it counts the others
MISSING = (0.0, float(HOLE))  # depths that mean none, in files of whole numbers
_SAME_FORM = 0.01  # of the sides' ratio: images that differ by less show the same
_SAME_SURFACE = 0.05  # of depth: pixels that differ by less lie on one surface
_UNKNOWN_FOV = 1.0  # of a camera that no label is made with


@dataclass(frozen=True)
class AnnotatedFolder:
    """The files that were written.

    Attributes:
        output: The folder that was written to.
        images: Names of the images, without extension.
        domains: Names of the domains, each a subfolder with one file per image.
        left_out: What could not be known, and the domains that were not made for it.
        notes: What was done to images that people should know.
    """

    output: Path
    images: tuple[str, ...]
    domains: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def render(self) -> str:
        """Return text that says what was written, and how it compares with the released labels."""
        lines = [f"{self.output}: {len(self.images):,} images, {len(self.domains)} domains"]
        for likeness in Likeness:
            alike = [domain for domain in self.domains if ANNOTATORS[domain].likeness is likeness]
            if likeness is Likeness.SAME:
                lines.append(f"{likeness}: {', '.join(alike)}")
            else:
                lines += [f"{likeness}: {domain}, {ANNOTATORS[domain].agreement}" for domain in alike]
        return "\n".join([*lines, *self.left_out, *self.notes])


@dataclass(frozen=True)
class DepthCamera:
    """What is known of the camera that took the images.

    Attributes:
        fov_degrees: Horizontal field of view of the images before they are cropped; None: unknown.
        intrinsics: Its intrinsics; None: those of the folder's files, or unknown.
        unit: Units of the depth files per metre; None: unknown, those of the release for whole numbers.
        missing: Depths that mean none.
    """

    fov_degrees: float | None = None
    intrinsics: Intrinsics | None = None
    unit: float | None = None
    missing: tuple[float, ...] = MISSING


def frame_from_rgbd(
    rgb: UInt8[np.ndarray, "height width 3"], depth_metres: Float[np.ndarray, "rows columns"], camera: Camera, window: int | None = None
) -> Frame:
    """Make a frame of a square RGB-D image; normals are fitted to its depth; objects, classes and the scene stay unknown.

    Args:
        rgb: The image, sRGB.
        depth_metres: z-buffer depth, metres; anything but a positive finite number is a hole.
        camera: The camera of this image; its position and rotation affect no label.
        window: Side of the windows that planes are fitted to, pixels; None: `taskonomy.annotate.normals_from_depth.WINDOW` scaled to the image.

    Raises:
        TaskonomyError: The sizes of image, depth and camera differ.
    """
    expected = (camera.resolution, camera.resolution)
    if rgb.shape[:2] != expected or depth_metres.shape != expected:
        raise TaskonomyError(f"image {rgb.shape[:2]}, depth {depth_metres.shape} and camera {expected} must have one size")
    depth = np.where(np.isfinite(depth_metres) & (depth_metres > 0), depth_metres, np.inf).astype(np.float32)
    return Frame(camera, rgb, depth, normals_from_depth(depth, camera, window))


def annotate_folder(
    source: Path,
    output: Path,
    *,
    fov_degrees: float | None = None,
    intrinsics: Intrinsics | None = None,
    depth_unit: float | None = None,
    missing: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> AnnotatedFolder:
    """Annotate every RGB-D image of a folder, in any layout of `rgbd_folders`.

    Images that are not square are cropped to the largest square around the middle, or around the principal point where there are intrinsics. Each
    label is written whole or not at all, as `output/DOMAIN/NAME.png`; damaged images are skipped and reported at the end. Labels that need a depth
    or a camera that nobody knows are not made, which the result says.

    Args:
        source: The folder of images.
        output: Folder to write to, created if missing. Files of the same name are replaced.
        fov_degrees: Horizontal field of view of the images before they are cropped; None: by intrinsics, or unknown.
        intrinsics: Of all images; None: as the folder's files say, if there are any.
        depth_unit: Units of the depth files per metre: 512 in the release, 1000 for most depth cameras, 5000 for TUM, 1 for metres; None: 512.
        missing: Depths that mean none; None: 0 and 65535. Those that are no positive finite number do in any case.
        progress: Wraps the iteration over images, given the unit that it counts.

    Raises:
        TaskonomyError: No images, an impossible field of view or unit, or damaged or missing files, of which it names the first.
    """
    if fov_degrees is not None and not 0 < fov_degrees < 180:
        raise TaskonomyError(f"the field of view must lie between 0 and 180 degrees (is {fov_degrees:g})")
    if depth_unit is not None and not depth_unit > 0:
        raise TaskonomyError(f"the depth unit must be > 0 units per metre (is {depth_unit:g})")
    files = rgbd_files(Path(source))
    given = DepthCamera(fov_degrees, intrinsics, depth_unit, MISSING if missing is None else tuple(missing))
    damaged: list[str] = []
    written: list[str] = []
    domains: dict[str, None] = {}
    left_out: dict[str, None] = {}
    notes: dict[str, None] = {}
    for one in progress(files, "images") if progress else files:
        try:
            frame, known = _frame(one, given, notes)
        except DamagedFileError as error:
            damaged.append(str(error))
            continue
        wanted = [domain for domain, annotator in ANNOTATORS.items() if not annotator.needs and set(annotator.measured) <= known]
        labels = annotate(frame, wanted)
        for domain, values in labels.items():
            write_bytes(Path(output) / domain / f"{one.name}.{DOMAINS[domain].extension}", to_bytes(domain, values))
        written.append(one.name)
        domains |= dict.fromkeys(labels)
        left_out |= dict.fromkeys(_left_out(known))
    if damaged:
        told = "; ".join(damaged[:SHOWN]) + (f"; and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else "")
        raise TaskonomyError(f"{len(damaged)} of {len(files)} images cannot be annotated: {told}. The other {len(written)} are in {output}")
    return AnnotatedFolder(Path(output), tuple(written), tuple(domains), tuple(left_out), tuple(notes))


def _left_out(known: set[str]) -> Iterable[str]:
    """Yield which domains are left out for what is not known."""
    reasons = {"depth": "no depth", "camera": "no field of view and no intrinsics (--fov or --intrinsics)"}
    for what in [one for one in reasons if one not in known][:1]:
        names = [domain for domain, annotator in ANNOTATORS.items() if what in annotator.measured and not annotator.needs]
        yield f"left out, {reasons[what]}: {', '.join(names)}"


def _frame(files: RgbdFiles, given: DepthCamera, notes: dict[str, None]) -> tuple[Frame, set[str]]:
    """Return the frame of a view, and what was measured of it beside the image: depth, camera."""
    rgb = _image(files.image)
    if files.depth is None:
        side = min(rgb.shape[:2])
        unknown, empty = np.full((side, side), np.inf, np.float32), np.zeros((side, side, 3), np.float32)
        return Frame(_camera(_UNKNOWN_FOV, side), _middle(rgb), unknown, empty), set()
    metres = _depth(files.depth, given, notes)
    intrinsics = given.intrinsics
    if intrinsics is None and given.fov_degrees is None and files.intrinsics is not None:
        intrinsics = read_intrinsics(files.intrinsics.read_text("utf-8", "replace"), str(files.intrinsics))
        notes[f"intrinsics are those of {files.intrinsics.parent if files.intrinsics.stem == files.name else files.intrinsics}"] = None
    if rgb.shape[:2] != metres.shape:
        rgb = _as_large_as(rgb, metres, files, notes)
    if intrinsics is not None:
        squares, fov = _around_principal_point(rgb, metres, intrinsics, files)
        return frame_from_rgbd(*squares, _camera(fov, squares[1].shape[0])), {"depth", "camera"}
    square = np.ascontiguousarray(_middle(rgb)), _middle(metres)
    side = square[1].shape[0]
    if given.fov_degrees is None:
        depth = square[1].astype(np.float32)
        return Frame(_camera(_UNKNOWN_FOV, side), square[0], depth, np.zeros((side, side, 3), np.float32)), {"depth"}
    focal = rgb.shape[1] / 2 / np.tan(np.radians(given.fov_degrees) / 2)
    return frame_from_rgbd(*square, _camera(float(2 * np.arctan(side / 2 / focal)), side)), {"depth", "camera"}


def _camera(fov: float, side: int) -> Camera:
    return Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), fov, side)


def _middle(values: Shaped[np.ndarray, "height width *channels"]) -> Any:
    """Return the central square."""
    side = min(values.shape[:2])
    rows, columns = (slice((length - side) // 2, (length - side) // 2 + side) for length in values.shape[:2])
    return np.ascontiguousarray(values[rows, columns])


def _around_principal_point(
    rgb: UInt8[np.ndarray, "height width 3"], metres: Float[np.ndarray, "height width"], lens: Intrinsics, files: RgbdFiles
) -> tuple[tuple[Any, Any], float]:
    """Return the largest square that a camera of this project could have taken, and its field of view (rad).

    Its middle is the principal point, and its pixels are square. Where the camera's are, pixels are kept as they are, and the middle is at most half
    a pixel off; otherwise image and depth are read between pixels.
    """
    height, width = metres.shape
    reach = min((lens.cx + 0.5) / lens.fx, (width - lens.cx - 0.5) / lens.fx, (lens.cy + 0.5) / lens.fy, (height - lens.cy - 0.5) / lens.fy)
    side = int(2 * reach * min(lens.fx, lens.fy) + 1e-6)
    if reach <= 0 or side < 2:
        raise DamagedFileError(f"{files.image}: the principal point ({lens.cx:g}, {lens.cy:g}) lies outside its {width} x {height} pixels")
    focal = min(lens.fx, lens.fy)
    if abs(lens.fx - lens.fy) / focal * side / 2 < 0.5:
        left, top = (int(np.clip(np.rint(middle + 0.5 - side / 2), 0, length - side)) for middle, length in ((lens.cx, width), (lens.cy, height)))
        part = slice(top, top + side), slice(left, left + side)
        return (np.ascontiguousarray(rgb[part]), np.ascontiguousarray(metres[part])), float(2 * np.arctan(side / 2 / focal))
    ray = (np.arange(side) + 0.5 - side / 2) / focal
    across, down = np.meshgrid((ray * lens.fx + lens.cx).astype(np.float32), (ray * lens.fy + lens.cy).astype(np.float32))
    image = cv2.remap(rgb, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (image, _between(metres, across, down)), float(2 * np.arctan(side / 2 / focal))


def _between(metres: Float[np.ndarray, "height width"], across: Any, down: Any) -> Float[np.ndarray, "side side"]:
    """Read depth between pixels: its inverse, which is linear on a plane; across edges and beside holes that of the nearest pixel."""
    height, width = metres.shape
    nearest = metres[np.clip(np.rint(down), 0, height - 1).astype(int), np.clip(np.rint(across), 0, width - 1).astype(int)]
    known = np.isfinite(metres)
    inverse = np.where(known, 1 / np.where(known, metres, 1), 0).astype(np.float32)
    mixed, share = (cv2.remap(one, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in (inverse, known.astype(np.float32)))
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth = 1 / mixed
        same = (share == 1) & (np.abs(smooth / nearest - 1) < _SAME_SURFACE)
    return np.where(same, smooth, nearest).astype(np.float64)


def _as_large_as(rgb: UInt8[np.ndarray, "height width 3"], metres: Any, files: RgbdFiles, notes: dict[str, None]) -> Any:
    """Resize an image to the size of its depth, if both have the same form."""
    height, width = metres.shape
    if abs(rgb.shape[1] / rgb.shape[0] / (width / height) - 1) > _SAME_FORM:
        raise DamagedFileError(f"{files.depth}: is {width} x {height} pixels, its image {rgb.shape[1]} x {rgb.shape[0]}")
    notes[
        f"images of {rgb.shape[1]} x {rgb.shape[0]} pixels are resized to the {width} x {height} of their depths, which must be registered to them"
    ] = None
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if rgb.shape[0] > height else cv2.INTER_LINEAR)


def _image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        return rgb_from(_bytes(path))
    except DamagedFileError as error:
        raise DamagedFileError(f"{path}: {error}") from None


def _depth(path: Path, given: DepthCamera, notes: dict[str, None]) -> Float[np.ndarray, "height width"]:
    """Return depth in metres; `inf` where it is missing."""
    try:
        units = label_from(_bytes(path), path.suffix.lower())
    except DamagedFileError as error:
        raise DamagedFileError(f"{path}: {error}") from None
    units = units[..., 0] if units.ndim == 3 and units.shape[2] == 1 else units
    if units.ndim != 2 or units.dtype.itemsize < 2:
        raise DamagedFileError(f"{path}: must be grey with 16 bits per channel, or floating point numbers")
    if units.dtype.kind == "f" and given.unit is None:
        raise DamagedFileError(f"{path}: holds floating point numbers; say how many are a metre: --depth-scale 1 if they are metres")
    if given.unit is None:
        notes[f"depths are taken for units of 1/{DEPTH_UNIT:g} m, as the release's; --depth-scale says how many are a metre"] = None
    values = units.astype(np.float64)
    holes = np.isin(values, given.missing) | ~np.isfinite(values) | (values <= 0)
    if holes.all():
        raise DamagedFileError(f"{path}: holds no depth")
    return np.where(holes, np.inf, values / (given.unit or DEPTH_UNIT))


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedFileError("missing") from None
    if not data:
        raise DamagedFileError("empty file")
    return data
