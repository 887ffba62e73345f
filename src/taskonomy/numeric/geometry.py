"""Cameras in the release's convention: square pinhole, looking along -Z, +X right, +Y up, the world's Z up, metres and radians."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Camera:
    """The camera of one view.

    Attributes:
        location: Position in the world, metres.
        euler: Rotation from camera to world, radians, about the fixed axes x, y, z in this order (`sxyz`).
        fov: Field of view, radians, the same for both sides of the image.
        resolution: Side of the image, pixels.
    """

    location: tuple[float, float, float]
    euler: tuple[float, float, float]
    fov: float
    resolution: int

    @cached_property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Return the rotation from camera to world; its columns are the camera's axes in the world."""
        return Rotation.from_euler("xyz", self.euler).as_matrix()

    @property
    def focal(self) -> float:
        """Return the focal length, pixels."""
        return self.resolution / (2 * np.tan(self.fov / 2))

    def pixel_rays(self) -> Float[np.ndarray, "height width 3"]:
        """Return rays through pixel centres in camera coordinates, scaled to reach z = -1; times z-buffer depth each is the point seen."""
        side = (np.arange(self.resolution) + 0.5 - self.resolution / 2) / self.focal
        right, down = np.meshgrid(side, side)
        return np.stack([right, -down, -np.ones_like(right)], axis=-1)

    def world_points(self, depth: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width 3"]:
        """Compute the points seen, in world coordinates, from z-buffer depth in metres."""
        return (self.pixel_rays() * depth[..., None]) @ self.rotation.T + np.array(self.location)

    def to_camera(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Transform world points to camera coordinates."""
        return (points - np.array(self.location)) @ self.rotation

    def project(self, points: Float[np.ndarray, "*n 3"]) -> tuple[Float[np.ndarray, "*n 2"], Float[np.ndarray, "*n"]]:
        """Compute pixel (right, down; the first pixel has its centre at 0.5, 0.5) and z-buffer depth of world points; depth <= 0 is behind."""
        local = self.to_camera(points)
        depth = -local[..., 2]
        safe = np.where(depth > 0, depth, np.nan)
        pixel = np.stack([local[..., 0], -local[..., 1]], axis=-1) / safe[..., None] * self.focal + self.resolution / 2
        return pixel, np.asarray(depth)


def relative_pose(first: Camera, second: Camera) -> Float[np.ndarray, "6"]:
    """Compute the pose of the first camera in the frame of the second: euler `sxyz` in radians, then translation in metres."""
    rotation = second.rotation.T @ first.rotation
    translation = second.rotation.T @ (np.array(first.location) - np.array(second.location))
    return np.concatenate([Rotation.from_matrix(rotation).as_euler("xyz"), translation])
