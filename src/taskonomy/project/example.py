"""Draw the example of `taskonomy init`: small pictures of balls and boxes on a floor, with a task of every kind, in the layout of a user's own data.

```
images/s3_v1.png      scene 3 as its camera 1 sees it
distance/s3_v1.png    map: millimetres along the ray, 16 bits
parts/s3_v1.png       pixel_classes: 0 floor, 1 wall, 2 ball, 3 box
labels.csv            group: the scene; light.0 to light.2: vector, towards the light; floor: class, 0 plain, 1 striped, 2 chequered
moved.csv             pairs of images of one scene; vector: how far the camera went from the first to the second, metres right and ahead
```

With `partial`, tasks have labels of some images only (`LABELLED`), and distances of more than `REACH` are 0, as a sensor does not see so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.atomic_io import whole_folder, write_csv
from taskonomy.numeric.rng import generator

SCENES, VIEWS = 60, 4
LABELLED = {"distance": 1.0, "parts": 1 / 3, "light": 1 / 2, "floor": 2 / 3, "moved": 1 / 2}  # share of the images (moved: pairs) with a label
REACH = 6300  # millimetres
WIDE, HIGH = 64, 48  # pixels
FLOOR, WALL, BALL, BOX = range(4)
_EYE, _BACK, _FOCAL = 1.1, 6.0, 0.9  # height of the camera and distance of the wall, metres; focal length in widths of the image
Rays = Float[np.ndarray, "*rays 3"]


@dataclass(frozen=True)
class Scene:
    """A floor, a wall, and the things between.

    Attributes:
        things: Kind, centre and radius (for a box: half its side) of each thing, in metres.
        colours: Colours of the floor, its pattern, the wall, and each thing.
        pattern: Pattern of the floor: 0 plain, 1 striped, 2 chequered.
        light: Direction towards the light.
    """

    things: tuple[tuple[int, Any, float], ...]
    colours: Float[np.ndarray, "colours 3"]
    pattern: int
    light: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class DrawnImage:
    """The surfaces that rays meet: distance, part (`FLOOR` to `BOX`), thing (-1: none), and the surface's normal."""

    distance: Any
    part: Any
    thing: Any
    normal: Any


def write_example(root: Path, *, scenes: int = SCENES, views: int = VIEWS, seed: int = 0, partial: bool = False) -> None:
    """Write the folder atomically; the same arguments give the same bytes. `partial` leaves labels out, and changes no other."""
    with whole_folder(root) as folder:
        labels, moves = [], []
        for scene in range(scenes):
            rng = generator(seed, "example", scene)
            what = _scene(rng)
            eyes = np.stack([rng.uniform(-0.9, 0.9, views), np.full(views, _EYE), rng.uniform(-0.6, 0.9, views)], -1)
            for view, eye in enumerate(eyes):
                name = f"s{scene}_v{view}"
                there = {task for task, share in LABELLED.items() if not partial or generator(seed, "labelled", task, scene, view).random() < share}
                for kind, pixels in _pictures(what, eye, rng):
                    (folder / kind).mkdir(exist_ok=True)
                    if kind != "images" and kind not in there:
                        continue
                    if partial and kind == "distance":
                        pixels[pixels > REACH] = 0
                    (folder / kind / f"{name}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
                light = np.round(what.light, 4) if "light" in there else [""] * 3
                labels.append((name, scene, *light, what.pattern if "floor" in there else ""))
                other = (view + 1) % views
                if "moved" in there:
                    moves.append((name, f"s{scene}_v{other}", *np.round((eyes[other] - eye)[[0, 2]], 4)))
        write_csv(folder / "labels.csv", pd.DataFrame(labels, columns=["image", "group", "light.0", "light.1", "light.2", "floor"]))
        write_csv(folder / "moved.csv", pd.DataFrame(moves, columns=["image_a", "image_b", "value.0", "value.1"]))


def _scene(rng: np.random.Generator) -> Scene:
    things = []
    for _ in range(rng.integers(2, 5)):
        kind, size = int(rng.choice([BALL, BOX])), float(rng.uniform(0.25, 0.6))
        things.append((kind, np.array([rng.uniform(-1.6, 1.6), size, rng.uniform(2.2, 4.8)]), size))
    light = np.array([rng.uniform(-1, 1), rng.uniform(0.6, 1.2), rng.uniform(-1, 0)])
    return Scene(tuple(things), rng.uniform(0.25, 1, (3 + len(things), 3)), int(rng.integers(3)), light / np.linalg.norm(light))


def _pictures(scene: Scene, eye: Rays, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """Yield the image (channels in OpenCV's order, blue first) and its labels."""
    across, down = np.meshgrid((np.arange(WIDE) + 0.5) / WIDE - 0.5, (np.arange(HIGH) + 0.5) / WIDE - HIGH / WIDE / 2 + 0.16)
    rays = np.stack([across, -down, np.full_like(across, _FOCAL)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    seen = _meet(scene, np.broadcast_to(eye, rays.shape), rays)
    place = eye + seen.distance[..., None] * rays
    bright = np.maximum((seen.normal * scene.light).sum(-1), 0)
    shadow = _meet(scene, place + 1e-3 * seen.normal, np.broadcast_to(scene.light, rays.shape)).thing >= 0
    colour = scene.colours[np.where(seen.thing >= 0, 3 + seen.thing, np.where(seen.part == WALL, 2, _floor(scene, place)))]
    image = colour * (0.3 + 0.7 * bright * ~shadow)[..., None] + rng.normal(0, 0.01, rays.shape)
    yield "images", np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    yield "distance", np.rint(seen.distance * 1000).astype(np.uint16)
    yield "parts", seen.part.astype(np.uint8)


def _floor(scene: Scene, place: Rays) -> Any:
    """Choose between the floor's two colours at each place."""
    x, z = np.floor(place[..., 0] * 2).astype(int), np.floor(place[..., 2] * 2).astype(int)
    return (np.zeros_like(x), x % 2, (x + z) % 2)[scene.pattern]


def _meet(scene: Scene, start: Rays, rays: Rays) -> DrawnImage:
    """Find the nearest surface along each ray; every ray ends, as the wall is behind everything."""
    with np.errstate(divide="ignore", invalid="ignore"):
        floor, wall = -start[..., 1] / rays[..., 1], (_BACK - start[..., 2]) / rays[..., 2]
        met = [_surface(np.where(floor > 0, floor, np.inf), FLOOR, (0.0, 1.0, 0.0)), _surface(np.where(wall > 0, wall, 1e6), WALL, (0.0, 0.0, -1.0))]
        for number, (kind, centre, size) in enumerate(scene.things):
            distance, normal = (_ball if kind == BALL else _box)(start - centre, rays, size)
            met.append((distance, np.full(distance.shape, kind), np.full(distance.shape, number), normal))
    first = np.argmin([one[0] for one in met], 0)[None]
    distance, part, thing = (np.take_along_axis(np.stack([one[field] for one in met]), first, 0)[0] for field in range(3))
    normal = np.take_along_axis(np.stack([one[3] for one in met]), first[..., None], 0)[0]
    return DrawnImage(distance, part, thing, normal)


def _surface(distance: Any, part: int, normal: tuple[float, ...]) -> tuple[Any, Any, Any, Any]:
    return distance, np.full(distance.shape, part), np.full(distance.shape, -1), np.broadcast_to(np.array(normal), (*distance.shape, 3))


def _ball(start: Rays, rays: Rays, radius: float) -> tuple[Any, Any]:
    along = -(start * rays).sum(-1)
    inside = along**2 - (start**2).sum(-1) + radius**2
    distance = along - np.sqrt(np.maximum(inside, 0))
    distance = np.where((inside > 0) & (distance > 0), distance, np.inf)
    return distance, np.nan_to_num(start + distance[..., None] * rays, posinf=0, neginf=0) / radius


def _box(start: Rays, rays: Rays, half: float) -> tuple[Any, Any]:
    near, far = (-half * np.sign(rays) - start) / rays, (half * np.sign(rays) - start) / rays
    enters, leaves = near.max(-1), far.min(-1)
    distance = np.where((enters < leaves) & (enters > 0), enters, np.inf)
    return distance, -np.sign(rays) * (near == enters[..., None])
