"""A building's triangles in Embree."""

from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Float32, Int32

from taskonomy.world.building import Building

NEVER = -1  # the triangle that is hit where nothing is
SIGHT = 1e-3  # metres: the tolerance of the release's lines of sight


class Rays:
    """Shoots rays at a building.

    Args:
        building: From `build`.
    """

    def __init__(self, building: Building) -> None:
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, building.vertices, building.faces)

    def hits(self, origins: Float32[np.ndarray, "rays 3"], directions: Float32[np.ndarray, "rays 3"]) -> dict[str, Any]:
        """The first hit of each ray: `primID` (-1: none), `tfar` in lengths of its direction, `u` and `v` on the triangle, its `Ng`."""
        return self._scene.run(origins, directions, output=True)

    def hidden(
        self, origins: Float32[np.ndarray, "rays 3"], directions: Float32[np.ndarray, "rays 3"], reach: Float32[np.ndarray, " rays"]
    ) -> Int32[np.ndarray, " rays"]:
        """0 or more where something is hit before `reach`."""
        return self._scene.run(origins, directions, dists=reach, query="OCCLUDED")

    def sees(self, origins: Float[np.ndarray, "rays 3"], points: Float[np.ndarray, "rays 3"]) -> Bool[np.ndarray, " rays"]:
        """Whether points on surfaces are the first that is met on the way to them, within a millimetre."""
        if len(origins) == 0:
            return np.zeros(0, bool)
        way = points - origins
        hit = self.hits(np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(way, np.float32))
        return (hit["primID"] != NEVER) & (abs(hit["tfar"] - 1) * np.linalg.norm(way, axis=1) < SIGHT)
