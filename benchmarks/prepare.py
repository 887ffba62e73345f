"""The stage `prepare` on a generated release: views and files per second, beside what decoders alone do on as many cores, and the peak memory of all.

The default is the proof of scale: 200,000 views whose files are links to a few small ones. `--side 512 --views 8000 --resolution 256` has files of
the release's size.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from taskonomy.atomic_io import write_bytes
from taskonomy.config.data_params import DataParams
from taskonomy.data.prepare.run import prepare
from taskonomy.machine.cores import cores
from taskonomy.release.formats import file_name, from_bytes, to_bytes
from taskonomy.release.split_lists import write_splits

ROOT = Path(__file__).parents[1]
TASKS = {"autoencoding": "rgb", "normal": "normal", "depth_zbuffer": "depth_zbuffer", "camera_pose_fixated": "point_info"}
BUILDINGS, VIEWS_OF_POINT = 100, 5
VARIANTS = 8  # different files of a domain: a file system allows some 65,000 links to one


def files(side: int) -> dict[str, list[bytes]]:
    """Domain -> some of its files: smooth pictures with grain, whose PNGs are about as large as those of photographs."""
    rng = np.random.default_rng(0)
    found: dict[str, list[bytes]] = {domain: [] for domain in TASKS.values()}
    for number in range(VARIANTS):
        across = np.linspace(0, 6, side)
        smooth = np.sin(across[:, None] + number)[..., None] * np.cos(across[None, :, None] * np.array([1, 2, 3]))
        image = (128 + 80 * smooth + rng.normal(0, 6, (side, side, 3))).clip(0, 255).astype(np.uint8)
        found["rgb"].append(to_bytes("rgb", image))
        normal = np.dstack([smooth[..., 0] / 2, smooth[..., 1] / 2, np.sqrt(1 - (smooth[..., :2] ** 2).sum(-1) / 4)])
        found["normal"].append(to_bytes("normal", normal))
        found["depth_zbuffer"].append(to_bytes("depth_zbuffer", (3 + smooth[..., 2]).astype(np.float32)))
        info = {
            "camera_location": rng.random(3).tolist(),
            "camera_rotation_final": [1.5, 0.0, float(rng.random())],
            "field_of_view_rads": 1.0,
            "resolution": side,
            "bounding_box_ranges": {"x": [0, 4], "y": [-1, 5], "z": [0, 3]},
        }
        found["point_info"].append(json.dumps(info).encode())
    return found


def release(root: Path, views: int, side: int) -> int:
    """Write a released dataset of so many views, `<building>/<domain>/`, with its split list; return the bytes that are read of it."""
    total = 0
    sources = {domain: [write(root / f".files/{domain}{number}", data) for number, data in enumerate(some)] for domain, some in files(side).items()}
    buildings = [f"building{number:04}" for number in range(BUILDINGS)]
    of_each = views // BUILDINGS
    for building in buildings:
        for domain, links in sources.items():
            folder = root / building / domain
            folder.mkdir(parents=True)
            for view in range(of_each):
                link = links[view % VARIANTS]
                os.link(link, folder / file_name(domain, view // VIEWS_OF_POINT, view % VIEWS_OF_POINT))
                total += link.stat().st_size
    order = ("train", "val", "test", "val", "test", "train", "train", "train")
    splits = {name: order[number % len(order)] for number, name in enumerate(buildings)}
    write_splits(root / "train_val_test_generated.csv", splits)
    return total


def write(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path


def decoding(side: int) -> tuple[float, float]:
    """Files and MB per second of a process that decodes them from memory, and does nothing else."""
    some = [(domain, data) for domain, many in files(side).items() for data in many]
    count, size, began = 0, 0, time.perf_counter()
    while time.perf_counter() - began < 3:
        for domain, data in some:
            from_bytes(domain, data)
            count, size = count + 1, size + len(data)
    taken = time.perf_counter() - began
    return count / taken, size / taken / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=64, help="of the files, pixels")
    parser.add_argument("--resolution", type=int, default=32, help="of the prepared images")
    parser.add_argument("--folder", type=Path, default=None, help="where to work, on a disk with room; default: a temporary folder")
    args = parser.parse_args()
    if args.views < BUILDINGS * VIEWS_OF_POINT or args.views % BUILDINGS:
        parser.error(f"--views must be a multiple of {BUILDINGS}, and at least {BUILDINGS * VIEWS_OF_POINT}")
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    params = DataParams(**{**values, "tasks": tuple(TASKS), "resolution": args.resolution, "labels": {}})
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root, began = Path(folder) / "release", time.perf_counter()
        size = release(root, args.views, args.side)
        count = args.views * len(TASKS)
        print(
            f"{args.views:,} views, {count:,} files of {args.side} px, {size / 1e9:.3g} GB, linked in {time.perf_counter() - began:.0f} s", flush=True
        )
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        manifest = prepare(root, Path(folder) / "prepared", params)
        seconds = time.perf_counter() - began
        assert sum(manifest["views"].values()) == args.views
        own, child = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        together = own + child * cores()
        print(f"prepared in {seconds:,.0f} s: {args.views / seconds:,.0f} views/s; splits {manifest['views']}")
        print(
            f"peak memory: {own:.2f} GiB this process ({before / 2**20:.2f} before), at most {child:.2f} each of {cores()} others: {together:.2f} GiB"
        )
    with ProcessPoolExecutor(cores()) as pool:  # cores that work side by side share caches, memory and heat
        rates = list(pool.map(decoding, [args.side] * cores()))
    alone, rate = (sum(one) / cores() for one in zip(*rates, strict=True))
    mine, speed = count / seconds / cores(), size / seconds / cores() / 1e6
    print(f"one core: {mine:,.0f} files/s, {speed:,.1f} MB/s; decoders alone {alone:,.0f} and {rate:,.1f}: {mine / alone:.0%}")


if __name__ == "__main__":
    main()
