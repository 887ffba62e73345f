"""Released files made without the project: PNG chunk by chunk, arrays and JSON by their libraries, tars by `tarfile`."""

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SIDE = 8
# building -> (point, view); 10 after 9, so that an order of text would show
VIEWS = {"cauthron": [(2, 0), (2, 1), (9, 0), (9, 3), (10, 2), (10, 11)], "Ackermanville": [(0, 0), (0, 1)]}
PNG_16 = ("depth_zbuffer", "keypoints2d")
TAGS = {"class_scene": "class_places", "segment_semantic": "segmentsemantic"}  # what the release calls their files
DOMAINS = ("rgb", "normal", *PNG_16, "segment_semantic", "class_scene", "point_info", "nonfixated_matches")


def png(pixels: np.ndarray) -> bytes:
    """8 or 16 bits, grey or RGB, by the specification of PNG."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, pixels.dtype.itemsize * 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def point_info(building: str, point: int, view: int) -> dict[str, object]:
    others = sorted({other for other, _view in VIEWS.get(building, [])} - {point})
    return {
        "point_uuid": str(point),
        "view_id": view,
        "camera_location": [1.0, 2.0, 1.5],
        "camera_rotation_final": [1.5, 0.0, 0.25],
        "field_of_view_rads": 1.0,
        "resolution": SIDE,
        "nonfixated_points_in_view": others,
        "bounding_box_ranges": {"x": [0.0, 4.0], "y": [-1.0, 5.0], "z": [0.0, 3.0]},
    }


def values(building: str, domain: str, point: int, view: int) -> np.ndarray:
    """Of an image or array, different for each file."""
    rng = np.random.default_rng([len(building), DOMAINS.index(domain), point, view])
    if domain == "class_scene":
        return rng.random(365).astype(np.float32)
    if domain in PNG_16:
        return rng.integers(300, 60000, (SIDE, SIDE)).astype(np.uint16)
    if domain == "segment_semantic":
        return rng.integers(0, 18, (SIDE, SIDE)).astype(np.uint8)
    return rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def extension(domain: str) -> str:
    return {"class_scene": "npy", "point_info": "json", "nonfixated_matches": "json"}.get(domain, "png")


def name(domain: str, point: int, view: int | str, tag: str | None = None) -> str:
    return f"point_{point}_view_{view}_domain_{tag or TAGS.get(domain, domain)}.{extension(domain)}"


def contents(building: str, domain: str) -> dict[str, bytes]:
    """File name -> bytes of a building's domain."""
    views = VIEWS[building]
    if domain == "nonfixated_matches":
        matches = {}
        for point in {point for point, _view in views}:
            seen_from = [{"point_uuid": str(other), "view_id": view, "nonfixated_pixel_x": 3} for other, view in views if other != point]
            matches[name(domain, point, "all")] = json.dumps({"point_uuid": str(point), "views": seen_from}).encode()
        return matches
    if domain == "point_info":
        return {name(domain, point, view): json.dumps(point_info(building, point, view)).encode() for point, view in views}
    encode = npy if domain == "class_scene" else png
    return {name(domain, point, view): encode(values(building, domain, point, view)) for point, view in views}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return folder


def write_tar(path: Path, files: Iterable[tuple[str, bytes]], tar_format: int = tarfile.GNU_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tar_format) as tar:
        for member, data in files:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            info.mtime = 1_500_000_000
            tar.addfile(info, io.BytesIO(data))
    return path


def release(root: Path, layout: str, domains: Iterable[str] = DOMAINS) -> Path:
    """The whole data set in a layout."""
    for building in VIEWS:
        for domain in domains:
            files = contents(building, domain)
            match layout:
                case "folders":
                    write_folder(root / building / domain, files)
                case "omnidata":
                    write_folder(root / domain / "taskonomy" / building, files)
                case "domain first":
                    write_folder(root / domain / building, files)
                case "older trainers":
                    write_folder(root / "taskonomy" / domain / building, files)
                case "tars":
                    write_tar(root / f"{building}_{domain}.tar", reversed(files.items()))
                case "nested tars":
                    write_tar(root / f"{building}_{domain}.tar", ((f"./data/{building}/{domain}/{file}", data) for file, data in files.items()))
                case "pax tars":  # names beyond the 100 characters of a plain header
                    write_tar(
                        root / f"{building}_{domain}.tar", ((f"{'long/' * 40}{file}", data) for file, data in files.items()), tarfile.PAX_FORMAT
                    )
                case "tars by building":
                    write_tar(root / building / f"{building}_{domain}.tar", files.items())
                case "tars by domain":
                    write_tar(root / domain / f"{building}_{domain}.tar", files.items())
                case "mixed":
                    if domain in ("rgb", "point_info"):
                        write_folder(root / building / domain, files)
                    else:
                        write_tar(root / f"{building}_{domain}.tar", files.items())
                case _:
                    raise ValueError(layout)
    return root


LAYOUTS = (
    "folders",
    "omnidata",
    "domain first",
    "older trainers",
    "tars",
    "nested tars",
    "pax tars",
    "tars by building",
    "tars by domain",
    "mixed",
)
