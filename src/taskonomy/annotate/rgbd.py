"""RGB-D images of the user: frames made from what a depth camera measured, and annotation of whole folders."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from taskonomy.annotate.annotations import ANNOTATORS, Likeness, annotate
from taskonomy.annotate.normals_from_depth import normals_from_depth
from taskonomy.annotate.view import Frame
from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.geometry import Camera
from taskonomy.parsing.user_text import visible
from taskonomy.release.formats import DEPTH_UNIT, DOMAINS, HOLE, DamagedFileError, to_bytes

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
SHOWN = 5  # number of damaged files that an error names; it counts the others


@dataclass(frozen=True)
class AnnotatedFolder:
    """The files that were written.

    Attributes:
        output: The folder that was written to.
        images: Names of the images, without extension.
        domains: Names of the domains, each a subfolder with one file per image.
    """

    output: Path
    images: tuple[str, ...]
    domains: tuple[str, ...]

    def render(self) -> str:
        """Return text that says what was written, and how it compares with the released labels."""
        lines = [f"{self.output}: {len(self.images):,} images, {len(self.domains)} domains"]
        for likeness in Likeness:
            alike = [domain for domain in self.domains if ANNOTATORS[domain].likeness is likeness]
            if likeness is Likeness.SAME:
                lines.append(f"{likeness}: {', '.join(alike)}")
            else:
                lines += [f"{likeness}: {domain}, {ANNOTATORS[domain].agreement}" for domain in alike]
        return "\n".join(lines)


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
    source: Path, output: Path, *, fov_degrees: float, depth_unit: float = DEPTH_UNIT, progress: Progress | None = None
) -> AnnotatedFolder:
    """Annotate every RGB-D image of a folder.

    Images are `NAME.png` with depth `NAME_depth.png`, or `rgb/NAME.png` with `depth/NAME.png`; depth has 16 bits, 0 and 65535 are holes.
    Images that are not square are cropped to their central square. Each label is written whole or not at all, as
    `output/DOMAIN/NAME.png`; damaged images are skipped and reported at the end.

    Args:
        source: The folder of images.
        output: Folder to write to, created if missing. Files of the same name are replaced.
        fov_degrees: Horizontal field of view of the images before they are cropped.
        depth_unit: Units of the depth files per metre: 512 in the release, 1000 for most depth cameras.
        progress: Wraps the iteration over images, given the unit that it counts.

    Raises:
        TaskonomyError: No images, an impossible field of view or unit, or damaged or missing files, of which it names the first.
    """
    if not 0 < fov_degrees < 180:
        raise TaskonomyError(f"the field of view must lie between 0 and 180 degrees (is {fov_degrees:g})")
    if not depth_unit > 0:
        raise TaskonomyError(f"the depth unit must be > 0 units per metre (is {depth_unit:g})")
    pairs = _pairs(Path(source))
    damaged: list[str] = []
    written: list[str] = []
    domains: tuple[str, ...] = ()
    for name, image, depth in progress(pairs, "images") if progress else pairs:
        try:
            frame = _read(image, depth, fov_degrees, depth_unit)
        except DamagedFileError as error:
            damaged.append(str(error))
        else:
            labels = annotate(frame)
            for domain, values in labels.items():
                write_bytes(Path(output) / domain / f"{name}.{DOMAINS[domain].extension}", to_bytes(domain, values))
            written.append(name)
            domains = tuple(labels)
    if damaged:
        reasons = "; ".join(damaged[:SHOWN]) + (f"; and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else "")
        raise TaskonomyError(f"{len(damaged)} of {len(pairs)} images cannot be annotated: {reasons}. The other {len(written)} are in {output}")
    return AnnotatedFolder(Path(output), tuple(written), domains)


def _pairs(source: Path) -> list[tuple[str, Path, Path]]:
    """Return name, image and depth of each image, in order of name; a missing depth file is reported when it is read."""
    if not source.is_dir():
        raise TaskonomyError(f"{source}: no such folder")
    if (source / "rgb").is_dir():
        found = [(path.stem, path, source / "depth" / path.name) for path in visible((source / "rgb").glob("*.png"))]
    else:
        images = [path for path in visible(source.glob("*.png")) if not path.stem.endswith("_depth")]
        found = [(path.stem, path, path.with_name(f"{path.stem}_depth.png")) for path in images]
    if not found:
        raise TaskonomyError(f"{source}: holds no images; expected NAME.png with NAME_depth.png, or rgb/NAME.png with depth/NAME.png")
    return sorted(found)


def _read(image: Path, depth: Path, fov_degrees: float, depth_unit: float) -> Frame:
    rgb, units = _png(image, np.uint8, 3), _png(depth, np.uint16, 1)
    if rgb.shape[:2] != units.shape:
        raise DamagedFileError(f"{depth}: is {units.shape[1]} x {units.shape[0]} pixels, its image {rgb.shape[1]} x {rgb.shape[0]}")
    holes = (units == 0) | (units == HOLE)
    if holes.all():
        raise DamagedFileError(f"{depth}: holds no depth")
    focal = rgb.shape[1] / 2 / np.tan(np.radians(fov_degrees) / 2)
    side = min(units.shape)
    rows, columns = (slice((length - side) // 2, (length - side) // 2 + side) for length in units.shape)
    metres = np.where(holes, np.inf, units / depth_unit)[rows, columns]
    camera = Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), float(2 * np.arctan(side / 2 / focal)), side)
    return frame_from_rgbd(np.ascontiguousarray(rgb[rows, columns]), metres, camera)


def _png(path: Path, dtype: type, channels: int) -> np.ndarray:
    """Read a PNG of any size and check its type and channels."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedFileError(f"{path}: missing") from None
    if not data:
        raise DamagedFileError(f"{path}: empty file")
    # OpenCV fills up a truncated PNG without reporting an error.
    whole = data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in data[-12:]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if image is None:
        raise DamagedFileError(f"{path}: not a whole PNG")
    if image.dtype != dtype or (1 if image.ndim == 2 else min(image.shape[2], 3)) != channels:
        kinds = {1: "grey", 3: "RGB"}
        raise DamagedFileError(f"{path}: must be {kinds[channels]} with {np.dtype(dtype).itemsize * 8} bits per channel")
    return image if channels == 1 else image[..., 2::-1]
