"""Ground truth: milliseconds per image of each label and of all together, and views per second and core, on a made-up room."""

import argparse
import time

import cv2
import numpy as np

from taskonomy.annotate.annotations import ANNOTATORS, annotate
from taskonomy.annotate.rgbd import frame_from_rgbd
from taskonomy.annotate.view import Frame
from taskonomy.labels.classes import BACKGROUND, FIRST_OBJECT, PLACES
from taskonomy.numeric.geometry import Camera

RESOLUTIONS = (64, 128, 256, 512)


def room(resolution: int, seed: int = 0) -> Frame:
    """Build a textured room with six balls, seen from its middle."""
    rng = np.random.default_rng(seed)
    camera = Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), float(np.radians(65)), resolution)
    rays = camera.pixel_rays()
    depth = np.full(rays.shape[:2], np.inf)
    normal, instance = np.zeros_like(rays), np.full(rays.shape[:2], -1, np.int32)
    walls = (((0, 1, 0), -1.4), ((0, -1, 0), -1.2), ((0, 0, 1), -4.5), ((1, 0, 0), -2.0), ((-1, 0, 0), -1.8))
    for number, (direction, offset) in enumerate(walls):
        reached = offset / np.minimum(rays @ np.array(direction, float), -1e-9)
        nearer = reached < depth
        depth[nearer], normal[nearer], instance[nearer] = reached[nearer], direction, number
    for number in range(len(walls), len(walls) + 6):
        centre, radius = rng.uniform((-1.2, -1.2, -4), (1.2, 0.6, -2)), rng.uniform(0.2, 0.5)
        a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - radius**2
        reached = np.where(b * b > a * c, (b - np.sqrt(np.maximum(b * b - a * c, 0))) / a, np.inf)
        nearer = reached < depth
        depth[nearer], instance[nearer] = reached[nearer], number
        normal[nearer] = ((rays * np.where(nearer, reached, 0)[..., None] - centre) / radius)[nearer]
    colours = rng.integers(60, 230, (len(walls) + 6, 3))[instance] * (0.4 + 0.6 * np.abs(normal @ (0.3, 0.8, 0.5)))[..., None]
    patches = cv2.resize(rng.normal(0, 25, (16, 16, 3)), (resolution, resolution), interpolation=cv2.INTER_CUBIC)
    rgb = np.clip(colours + patches + rng.normal(0, 4, rays.shape), 0, 255).astype(np.uint8)
    category = np.where(instance < len(walls), BACKGROUND, FIRST_OBJECT + instance % 16).astype(np.uint8)
    return Frame(camera, rgb, depth.astype(np.float32), normal.astype(np.float32), instance, category, PLACES["living_room"])


def milliseconds(frames: list[Frame], domain: str | None, repeats: int) -> float:
    """Per image: the median over the repeats of the mean over the frames."""
    domains = None if domain is None else [domain]
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        for frame in frames:
            annotate(frame, domains)
        taken.append((time.perf_counter() - start) / len(frames) * 1e3)
    return float(np.median(taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=4, help="views per resolution")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    frames = {resolution: [room(resolution, seed) for seed in range(args.frames)] for resolution in RESOLUTIONS}
    annotate(frames[64][0])  # compiles, or loads what was compiled
    print("ms per image, one core" + "".join(f"{f'{resolution} px':>10}" for resolution in RESOLUTIONS))
    for domain in ANNOTATORS:
        print(f"{domain:<22}" + "".join(f"{milliseconds(frames[resolution], domain, args.repeats):10.2f}" for resolution in RESOLUTIONS))
    total = [milliseconds(frames[resolution], None, args.repeats) for resolution in RESOLUTIONS]
    print(f"{'all together':<22}" + "".join(f"{one:10.2f}" for one in total))
    print(f"{'views per second':<22}" + "".join(f"{1000 / one:10.1f}" for one in total))
    measured = []
    for resolution in RESOLUTIONS:
        start = time.perf_counter()
        for frame in frames[resolution]:
            frame_from_rgbd(frame.rgb, frame.depth, frame.camera)
        measured.append((time.perf_counter() - start) / args.frames * 1e3)
    print(f"{'normals from depth':<22}" + "".join(f"{one:10.2f}" for one in measured))


if __name__ == "__main__":
    main()
