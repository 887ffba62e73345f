"""Frames of planes, balls and boxes, by closed-form intersection: what labels are held against."""

import numpy as np

from taskonomy.annotate.view import Frame
from taskonomy.numeric.geometry import Camera


def camera(resolution=64, fov=60.0):
    return Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), float(np.radians(fov)), resolution)


class Scene:
    """Surfaces in camera coordinates; each addition hides what it is in front of. Its number is its instance."""

    def __init__(self, resolution=64, fov=60.0):
        self.camera = camera(resolution, fov)
        self.rays = self.camera.pixel_rays()
        self.depth = np.full((resolution, resolution), np.inf)
        self.normal = np.zeros((resolution, resolution, 3))
        self.instance = np.full((resolution, resolution), -1, np.int32)
        self.count = 0

    def _put(self, depth, normal, where):
        where = where & (depth > 0) & (depth < self.depth)
        self.depth[where], self.normal[where], self.instance[where] = depth[where], np.broadcast_to(normal, self.normal.shape)[where], self.count

    def plane(self, normal, point, inside=None):
        """The plane through `point`; where `inside` of its points holds."""
        normal = np.array(normal, float) / np.linalg.norm(normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (normal @ np.array(point, float)) / (self.rays @ normal)
        where = np.isfinite(depth) & (self.rays @ normal < 0)
        points = self.rays * np.where(where, depth, 1.0)[..., None]
        self._put(depth, normal, where if inside is None else where & inside(points))
        self.count += 1
        return self

    def ball(self, centre, radius, hollow=False):
        """A ball; hollow: its far inside, as a bowl."""
        centre = np.array(centre, float)
        a, b, c = (self.rays**2).sum(-1), self.rays @ centre, centre @ centre - radius**2
        hit = b * b - a * c > 0
        root = np.sqrt(np.where(hit, b * b - a * c, 0))
        depth = (b + root if hollow else b - root) / a
        outward = (self.rays * depth[..., None] - centre) / radius
        self._put(depth, -outward if hollow else outward, hit)
        self.count += 1
        return self

    def box(self, low, high):
        """A box along the axes; the faces turned to the camera, as one instance."""
        low, high = np.array(low, float), np.array(high, float)

        def inside(points):
            return ((points > low - 1e-9) & (points < high + 1e-9)).all(axis=-1)

        for axis in range(3):
            for side, point in ((-1, low), (1, high)):
                self.plane(side * np.eye(3)[axis], point, inside)
                self.count -= 1
        self.count += 1
        return self

    def frame(self, rgb=None, *, instance=True, **more):
        if rgb is None:
            rgb = np.full((*self.depth.shape, 3), 128, np.uint8)
        ids = self.instance if instance else None
        return Frame(self.camera, rgb, self.depth.astype(np.float32), self.normal.astype(np.float32), ids, **more)


def wall(distance=2.0, resolution=64, fov=60.0):
    return Scene(resolution, fov).plane((0, 0, 1), (0, 0, -distance))


def slanted(normal=(0.3, 0.8, 0.6), point=(0, 0, -3.0), resolution=64, fov=60.0):
    return Scene(resolution, fov).plane(normal, point)


def box_on_floor(resolution=64):
    """A box of 0.8 m on a floor, in front of a wall, with its top and two faces in view."""
    scene = Scene(resolution).plane((0, 1, 0), (0, -1.0, 0)).plane((0, 0, 1), (0, 0, -5.0))
    return scene.box((-0.9, -1.0, -3.2), (-0.2, -0.3, -2.4))


def textured(resolution, seed=0):
    """An image of patches and noise."""
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((resolution // 8, resolution // 8, 1)))
    return np.clip(patches + rng.normal(0, 8, patches.shape), 0, 255).astype(np.uint8)
