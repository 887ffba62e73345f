"""Range images: points seen through a pinhole camera, as the point cloud library has them (Steder et al., ICRA 2011, section II).

Arrays use the library's axes: right, down, and forward along the optical axis.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from taskonomy.annotate.view import Frame, Geometry, blocks
from taskonomy.release.formats import DEPTH_UNIT, HOLE


@dataclass(frozen=True)
class RangeImage:
    """Points seen through a pinhole camera.

    Attributes:
        points: Points seen, metres; right, down, forward.
        distance: Distance of each point from the camera, metres; 0 where unknown.
        rays: Rays through each pixel, of length 1 along the optical axis.
        resolution: Angle that a pixel spans, radians.
    """

    points: Float64[np.ndarray, "height width 3"]
    distance: Float64[np.ndarray, "height width"]
    rays: Float64[np.ndarray, "height width 3"]
    resolution: float

    @classmethod
    def of(cls, frame: Frame | Geometry) -> "RangeImage":
        """Make the range image of a view, with depth rounded as in the file that the release's program read.

        That program read the 65535 of pixels without geometry as a distance, and so does this. Holes in measured depth are unknown instead.
        """
        rays = frame.camera.pixel_rays() * (1, -1, -1)
        nothing = 0 if frame.instance is None else HOLE / DEPTH_UNIT
        depth = np.where(np.isfinite(frame.depth), frame.depth, nothing).astype(np.float64)
        points = rays * (np.minimum(np.rint(depth * DEPTH_UNIT), HOLE) / DEPTH_UNIT)[..., None]
        # The library takes the sine of half the field of view for its tangent; above 90 degrees that is undefined, so 90 degrees is used.
        half = frame.camera.resolution / 2
        resolution = float(np.arcsin(min(half / frame.camera.focal, 1.0)) / half)
        return cls(points, np.linalg.norm(points, axis=-1), rays, resolution)

    def halved(self) -> "RangeImage":
        """Halve the resolution: keep the nearest point of each 2 x 2 pixels."""
        rows, columns = self.nearest_of_four()
        height, width = rows.shape
        rays = self.rays[: 2 * height : 2, : 2 * width : 2]
        return RangeImage(self.points[rows, columns], self.distance[rows, columns], np.ascontiguousarray(rays), 2 * self.resolution)

    def nearest_of_four(self) -> tuple[Int64[np.ndarray, "half_height half_width"], Int64[np.ndarray, "half_height half_width"]]:
        """Return row and column of the nearest point of each 2 x 2 pixels."""
        four = blocks(self.distance)
        nearest = np.where(four > 0, four, np.inf).argmin(axis=-1)
        rows, columns = np.indices(nearest.shape)
        return 2 * rows + nearest // 2, 2 * columns + nearest % 2
