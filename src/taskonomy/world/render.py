"""Images and exact geometry of views: Embree finds ray hits, compiled kernels shade them in one thread, with the same bits every time."""

from dataclasses import astuple, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from taskonomy.annotate.view import Frame, Geometry
from taskonomy.labels.classes import BACKGROUND, PLACES
from taskonomy.numeric.geometry import Camera
from taskonomy.numeric.rng import generator
from taskonomy.world.building import Building, texture_levels
from taskonomy.world.cameras import CameraView
from taskonomy.world.denoise import a_trous, gather
from taskonomy.world.embree import NEVER, Rays
from taskonomy.world.shading import ambient_of, bounce_rays, camera_rays, glow_of, light_rays, surface

STEPS = (1, 2, 4, 8)  # holes of the successive passes of the a-trous filter, pixels
TOLERANCE = 5.0  # of the filter, in standard deviations of a pixel's light
FINE = 256  # side, pixels, below which images are too coarse for labels of fine detail, so geometry at twice the resolution goes with them
KEY = 0.2  # brightness to which the geometric mean of an image is exposed, before the film curve


class Renderer:
    """Renders views of one building.

    Args:
        building: A building made by `build`.
    """

    def __init__(self, building: Building) -> None:
        self.building = building
        self.rays = Rays(building)
        sides, starts = texture_levels(len(building.metres), building.texture_side)
        self._scene = (
            building.faces, building.vertices, building.normals, building.local, building.face_axis,
            building.face_material, building.metres, building.atlas, sides, starts,
        )  # fmt: skip
        self._lights = astuple(building.lights)
        # The last place is outdoors.
        self._place = np.where(building.face_room < 0, len(building.rooms), building.face_room).astype(np.int32)

    def render(self, view: CameraView, *, samples: int, seed: int) -> Frame:
        """Render the image and geometry of a view, which depend on the building, the view and the seed only.

        Args:
            view: A view of this building, made by `views_of`.
            samples: Rays per pixel.
            seed: Seed of the noise.
        """
        camera, building = view.camera, self.building
        key = int(generator(seed, "image", building.name, view.point, view.view).integers(2**63))
        geometry, face, seen = self._geometry(camera)
        depth, local, instance = geometry.depth.reshape(-1), geometry.normal.reshape(-1, 3), cast(Any, geometry.instance).reshape(-1)
        category = np.where(seen, building.categories[building.face_instance[face]], BACKGROUND).astype(np.uint8)
        light = self._light(camera, samples, key, depth, local, instance)
        square = (camera.resolution, camera.resolution)
        return Frame(
            camera,
            _develop(light, seen).reshape(*square, 3),
            geometry.depth,
            geometry.normal,
            geometry.instance,
            category.reshape(square),
            self._scene_seen(building.face_room[face][seen], view.scene),
            self._geometry(replace(camera, resolution=2 * camera.resolution))[0] if camera.resolution < FINE else None,
        )

    def _geometry(self, camera: Camera) -> tuple[Geometry, Int32[np.ndarray, " pixels"], Bool[np.ndarray, " pixels"]]:
        """Return the geometry seen through the middle of each pixel, the triangles, and which pixels see any."""
        hit, _position, normal, _colour = self._trace(*_rays(camera, 1, 0, jitter=False), 1 / camera.focal)
        seen = hit["primID"] != NEVER
        face = np.where(seen, hit["primID"], 0)
        square = (camera.resolution, camera.resolution)
        geometry = Geometry(
            camera,
            np.where(seen, hit["tfar"], np.inf).astype(np.float32).reshape(square),
            (normal @ camera.rotation).astype(np.float32).reshape(*square, 3),
            np.where(seen, self.building.face_instance[face], -1).astype(np.int32).reshape(square),
        )
        return geometry, face, seen

    def _scene_seen(self, rooms: Int32[np.ndarray, " seen"], standing: int) -> int:
        """Return the type of the room that covers most of the image: a camera in a closet may look into a bedroom."""
        inside = rooms[rooms >= 0]
        return PLACES[self.building.rooms[int(np.bincount(inside).argmax())].kind] if len(inside) else standing

    def _trace(
        self, origins: Float32[np.ndarray, "rays 3"], directions: Float32[np.ndarray, "rays 3"], spread: float
    ) -> tuple[dict[str, Any], Any, Any, Any]:
        hit = self.rays.hits(origins, directions)
        return hit, *surface(origins, directions, hit["tfar"], hit["primID"], hit["u"], hit["v"], spread, self._scene)

    def _light(
        self,
        camera: Camera,
        samples: int,
        key: int,
        depth: Float32[np.ndarray, " pixels"],
        normal: Float32[np.ndarray, "pixels 3"],
        instance: Int32[np.ndarray, " pixels"],
    ) -> Float32[np.ndarray, "pixels 3"]:
        """Return the light that reaches each pixel: direct light from lamps, and light from the first surface that a ray bounces to."""
        origins, directions = _rays(camera, samples, key, jitter=True)
        spread = 1 / (camera.focal * np.sqrt(samples))
        hit, position, facing, colour = self._trace(origins, directions, spread)
        glow = glow_of(hit["primID"], directions, self.building.face_material, self.building.emission, self.building.sky)
        direct, hidden = self._lit(position, facing, hit["primID"], samples, key, 20)
        around, ways = bounce_rays(position, facing, hit["primID"], samples, key)
        bounce, there, other_way, bounced_colour = self._trace(around, ways, 0.2)
        bounced, bounced_hidden = self._lit(there, other_way, bounce["primID"], samples, key, 30)
        outdoors = len(self.building.rooms)
        ambient = ambient_of(hit["primID"], bounce["primID"], self._place, outdoors, self.building.ambient, self.building.sky, bounced_colour)
        reflect, light, variance, shine = gather(direct, hidden, bounced, bounced_hidden, bounced_colour, ambient, colour, glow, samples)
        slope = _slopes(camera, depth, normal)
        for step in STEPS:
            light, variance = a_trous(light, variance, depth, slope, normal, instance, camera.resolution, step, np.float32(TOLERANCE))
        return reflect * light + shine

    def _lit(self, position: Any, normal: Any, primitive: Any, samples: int, key: int, purpose: int) -> tuple[Any, Any]:
        origins, directions, reach, light = light_rays(position, normal, primitive, self._place, samples, key, purpose, self._lights)
        return light, self.rays.hidden(origins, directions, reach)


def _rays(camera: Camera, samples: int, key: int, *, jitter: bool) -> tuple[Float32[np.ndarray, "rays 3"], Float32[np.ndarray, "rays 3"]]:
    return camera_rays(camera.rotation, np.array(camera.location), camera.focal, camera.resolution, samples, key, jitter)


def _slopes(camera: Camera, depth: Float32[np.ndarray, " pixels"], normal: Float32[np.ndarray, "pixels 3"]) -> Float32[np.ndarray, "pixels 2"]:
    """Return the change of inverse depth per pixel, right and down, if each pixel's surface is flat: inverse depth is linear on planes."""
    rays = camera.pixel_rays().reshape(-1, 3)
    facing = np.minimum((normal * rays).sum(axis=1), -1e-3)
    return (np.stack([normal[:, 0], -normal[:, 1]], axis=1) / (facing * depth * camera.focal)[:, None]).astype(np.float32)


def _develop(light: Float32[np.ndarray, "pixels 3"], seen: Any) -> UInt8[np.ndarray, "pixels 3"]:
    """Expose for everything but the sky, apply a film curve (Narkowicz 2015, a fit to ACES), and encode as sRGB."""
    brightness = light.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    inside = brightness[seen] if seen.any() else brightness
    # Lamps and the edges of windows are far too bright, corners black: leave both out.
    level = np.exp(np.log(np.clip(inside, *np.quantile(inside, [0.05, 0.9])) + 1e-4).mean())
    scaled: Float[np.ndarray, "pixels 3"] = light * (KEY / level)
    toned = np.clip(scaled * (2.51 * scaled + 0.03) / (scaled * (2.43 * scaled + 0.59) + 0.14), 0, 1)
    encoded = np.where(toned <= 0.0031308, 12.92 * toned, 1.055 * toned ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)
