"""Ray queries against a building's triangles, with Embree."""

from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Float32, Int32

from taskonomy.world.building import Building

NEVER = -1  # index that Embree gives where a ray hits nothing
SIGHT = 1e-3  # metres: tolerance for lines of sight, as in the release


class Rays:
    """Shoots rays at a building.

    Args:
        building: A building made by `build`.
    """

    def __init__(self, building: Building) -> None:
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, building.vertices, building.faces)

    def hits(self, origins: Float32[np.ndarray, "rays 3"], directions: Float32[np.ndarray, "rays 3"]) -> dict[str, Any]:
        """Return the first hit of each ray: `primID` (-1: none), `tfar` in lengths of its direction, `u` and `v` on the triangle, its `Ng`."""
        return self._scene.run(origins, directions, output=True)

    def hidden(
        self, origins: Float32[np.ndarray, "rays 3"], directions: Float32[np.ndarray, "rays 3"], reach: Float32[np.ndarray, " rays"]
    ) -> Int32[np.ndarray, " rays"]:
        """Return, per ray, 0 or more where something is hit before `reach`, in lengths of its direction."""
        return self._scene.run(origins, directions, dists=reach, query="OCCLUDED")

    def sees(self, origins: Float[np.ndarray, "rays 3"], points: Float[np.ndarray, "rays 3"]) -> Bool[np.ndarray, " rays"]:
        """Return whether each point on a surface is visible from its origin: the first thing hit, within a millimetre."""
        if len(origins) == 0:
            return np.zeros(0, bool)
        way = points - origins
        hit = self.hits(np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(way, np.float32))
        return (hit["primID"] != NEVER) & (abs(hit["tfar"] - 1) * np.linalg.norm(way, axis=1) < SIGHT)
