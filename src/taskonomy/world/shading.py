"""Compiled kernels from ray hits to light, in one thread, with the same bits every time."""

from collections.abc import Callable
from typing import TypeVar, cast, no_type_check

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., object])
Array = np.ndarray


def compiled(function: F) -> F:
    """Compile with numba: cached on disk, one thread, no reordered arithmetic. Put `no_type_check` below it."""
    return cast(F, njit(cache=True, error_model="numpy")(function))


@compiled
@no_type_check
def _uniform(key: int, index: int, dimension: int) -> float:
    """Return a number in [0, 1) from a view's key, a sample's index and a purpose (`dimension`): stateless, so order does not matter."""
    state = np.uint64(key) ^ (np.uint64(index) * np.uint64(0x9E3779B97F4A7C15)) ^ (np.uint64(dimension + 1) * np.uint64(0xD1B54A32D192ED03))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    return np.float32(np.float64(state >> np.uint64(40)) / 16777216.0)


@compiled
@no_type_check
def camera_rays(rotation: Array, location: Array, focal: float, side: int, samples: int, key: int, jitter: bool) -> tuple[Array, ...]:
    """Return rays through every pixel, ordered by pixel, then sample: origins, and directions that reach z-buffer depth 1.

    Samples are stratified on a square grid; without jitter the only sample is the pixel's centre.
    """
    count = side * side * samples
    origins = np.empty((count, 3), np.float32)
    directions = np.empty((count, 3), np.float32)
    grid = int(np.ceil(np.sqrt(samples)))
    rows = int(np.ceil(samples / grid))
    for pixel in range(side * side):
        row, column = pixel // side, pixel % side
        for sample in range(samples):
            index = pixel * samples + sample
            right, down = 0.5, 0.5
            if jitter:
                right = (sample % grid + _uniform(key, index, 0)) / grid
                down = (sample // grid + _uniform(key, index, 1)) / rows
            x = (column + right - side / 2) / focal
            y = -(row + down - side / 2) / focal
            for axis in range(3):
                origins[index, axis] = location[axis]
                directions[index, axis] = rotation[axis, 0] * x + rotation[axis, 1] * y - rotation[axis, 2]
    return origins, directions


@compiled
@no_type_check
def _texture(
    atlas: Array, sizes: Array, starts: Array, material: int, metres: float, local: Array, axis: int, footprint: float, colour: Array, ray: int
) -> None:
    """Look up a ray's colour, bilinearly, in the level of the texture whose texels are about as large as the sample's footprint."""
    if axis == 0:
        u, v = local[1], local[2]
    elif axis == 1:
        u, v = local[0], local[2]
    else:
        u, v = local[0], local[1]
    u, v = u / metres, v / metres
    level = 0
    while level < len(sizes) - 1 and footprint > 1.4 * metres / sizes[level]:
        level += 1
    side = sizes[level]
    x, y = (u - np.floor(u)) * side - 0.5, (1 - (v - np.floor(v))) * side - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = np.float32(x - left), np.float32(y - top)
    base = starts[level] + material * side * side
    # Sides are powers of two, so this mask gives the remainder.
    one = base + (top & (side - 1)) * side
    two = base + ((top + 1) & (side - 1)) * side
    near, far = left & (side - 1), (left + 1) & (side - 1)
    for channel in range(3):
        upper = atlas[one + near, channel] * (1 - fx) + atlas[one + far, channel] * fx
        lower = atlas[two + near, channel] * (1 - fx) + atlas[two + far, channel] * fx
        colour[ray, channel] = upper * (1 - fy) + lower * fy


@compiled
@no_type_check
def surface(
    origins: Array, directions: Array, scale: Array, primitive: Array, u: Array, v: Array, spread: float, scene: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Return where rays hit: position, smooth normal towards the ray's origin, reflectance; zeros where they miss.

    `spread` is a sample's width at distance 1; `scale` holds the hits' distances in lengths of the directions.
    """
    faces, vertices, normals, local, face_axis, face_material, metres, atlas, sizes, starts = scene
    count = len(primitive)
    position = np.zeros((count, 3), np.float32)
    normal = np.zeros((count, 3), np.float32)
    colour = np.zeros((count, 3), np.float32)
    where = np.empty(3, np.float32)
    for ray in range(count):
        face = primitive[ray]
        if face < 0:
            continue
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        second, third = u[ray], v[ray]
        first = 1 - second - third
        length = np.float32(0)
        towards = np.float32(0)
        far = np.float32(0)
        for axis in range(3):
            where[axis] = local[a, axis] * first + local[b, axis] * second + local[c, axis] * third
            position[ray, axis] = vertices[a, axis] * first + vertices[b, axis] * second + vertices[c, axis] * third
            normal[ray, axis] = normals[a, axis] * first + normals[b, axis] * second + normals[c, axis] * third
            length += normal[ray, axis] ** 2
            towards += normal[ray, axis] * directions[ray, axis]
            far += directions[ray, axis] ** 2
        turn = np.float32(1 / np.sqrt(length))
        if towards > 0:
            turn = -turn
        for axis in range(3):
            normal[ray, axis] *= turn
        far = np.sqrt(far)
        slant = max(abs(towards) / (far * np.sqrt(length)), 0.15)
        material = face_material[face]
        footprint = scale[ray] * far * spread / slant
        _texture(atlas, sizes, starts, material, metres[material], where, face_axis[face], footprint, colour, ray)
    return position, normal, colour


@compiled
@no_type_check
def light_rays(
    position: Array, normal: Array, primitive: Array, face_room: Array, samples: int, key: int, purpose: int, lights: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Return one shadow ray per hit to a point on one of its room's lights, and the light that arrives if nothing is in between.

    The choice of the light is stratified over a pixel's samples: sample k of n draws from the k-th of n equal parts of the lights' running sum.
    """
    cumulative, centre, edge_one, edge_two, facing, radius, power, kind = lights
    count = len(primitive)
    origins = np.zeros((count, 3), np.float32)
    directions = np.zeros((count, 3), np.float32)
    reach = np.zeros(count, np.float32)
    light = np.zeros((count, 3), np.float32)
    target = np.empty(3, np.float32)
    way = np.empty(3, np.float32)
    for ray in range(count):
        directions[ray, 2] = 1
        if primitive[ray] < 0:
            continue
        room = face_room[primitive[ray]]
        pixel = ray // samples
        turn = int(_uniform(key, pixel, 97 + purpose) * samples)
        chosen = np.float32(((ray + turn) % samples + _uniform(key, ray, purpose)) / samples)
        # The first light whose running sum is above the drawn number.
        which, last = 0, cumulative.shape[1] - 1
        while which < last:
            middle = (which + last) // 2
            if chosen >= cumulative[room, middle]:
                which = middle + 1
            else:
                last = middle
        share = cumulative[room, which] - (cumulative[room, which - 1] if which > 0 else np.float32(0))
        if share <= 0:
            continue
        one, two = _uniform(key, ray, purpose + 1), _uniform(key, ray, purpose + 2)
        if kind[which] == 2:
            # The sun is a direction, blurred by its disc.
            length = np.float32(0)
            for axis in range(3):
                way[axis] = facing[which, axis] + edge_one[which, axis] * (one - 0.5) + edge_two[which, axis] * (two - 0.5)
                length += way[axis] ** 2
            distance = np.sqrt(length)
            strength = np.float32(1)
            stop = np.float32(200)
        else:
            if kind[which] == 1:
                # A point within the ball represents its glowing surface.
                angle = 2 * np.pi * one
                height = 2 * two - 1
                ring = np.sqrt(max(0.0, 1 - height * height))
                target[0] = centre[which, 0] + 0.8 * radius[which] * ring * np.cos(angle)
                target[1] = centre[which, 1] + 0.8 * radius[which] * ring * np.sin(angle)
                target[2] = centre[which, 2] + 0.8 * radius[which] * height
            else:
                for axis in range(3):
                    target[axis] = centre[which, axis] + edge_one[which, axis] * (one - 0.5) + edge_two[which, axis] * (two - 0.5)
            length = np.float32(0)
            for axis in range(3):
                way[axis] = target[axis] - position[ray, axis]
                length += way[axis] ** 2
            distance = np.sqrt(length)
            strength = 1 / max(length, 0.04)
            if kind[which] == 0:
                emitted = np.float32(0)
                for axis in range(3):
                    emitted -= way[axis] * facing[which, axis]
                strength *= max(emitted / distance, np.float32(0))
            stop = distance - radius[which]
        cosine = np.float32(0)
        for axis in range(3):
            way[axis] /= distance
            cosine += way[axis] * normal[ray, axis]
        if cosine <= 0 or strength <= 0 or stop <= 0.003:
            continue
        for axis in range(3):
            origins[ray, axis] = position[ray, axis] + 0.002 * normal[ray, axis]
            directions[ray, axis] = way[axis]
            light[ray, axis] = power[which, axis] * strength * cosine / share
        reach[ray] = stop - 0.002
    return origins, directions, reach, light


@compiled
@no_type_check
def bounce_rays(position: Array, normal: Array, primitive: Array, samples: int, key: int) -> tuple[Array, ...]:
    """Return one ray per hit into the hemisphere above it, cosine-distributed, with the turn about the normal stratified."""
    count = len(primitive)
    origins = np.zeros((count, 3), np.float32)
    directions = np.zeros((count, 3), np.float32)
    for ray in range(count):
        directions[ray, 2] = 1
        if primitive[ray] < 0:
            continue
        angle = 2 * np.pi * (ray % samples + _uniform(key, ray, 10)) / samples
        out = _uniform(key, ray, 11)
        ring, up = np.sqrt(out), np.sqrt(max(0.0, 1 - out))
        nx, ny, nz = normal[ray, 0], normal[ray, 1], normal[ray, 2]
        # An orthonormal basis around the normal (Duff et al. 2017).
        sign = 1.0 if nz >= 0 else -1.0
        a = -1.0 / (sign + nz)
        b = nx * ny * a
        x, y = ring * np.cos(angle), ring * np.sin(angle)
        directions[ray, 0] = x * (1 + sign * nx * nx * a) + y * b + up * nx
        directions[ray, 1] = x * sign * b + y * (sign + ny * ny * a) + up * ny
        directions[ray, 2] = -x * sign * nx - y * ny + up * nz
        for axis in range(3):
            origins[ray, axis] = position[ray, axis] + 0.002 * normal[ray, axis]
    return origins, directions


@compiled
@no_type_check
def glow_of(primitive: Array, directions: Array, face_material: Array, emission: Array, sky: Array) -> Array:
    """Return the light given off where rays end: by lamps, screens and the sky."""
    glow = np.empty((len(primitive), 3), np.float32)
    for ray in range(len(primitive)):
        face = primitive[ray]
        if face >= 0:
            for channel in range(3):
                glow[ray, channel] = emission[face_material[face], channel]
            continue
        x, y, z = directions[ray, 0], directions[ray, 1], directions[ray, 2]
        up = min(max(z / np.sqrt(x * x + y * y + z * z) * np.float32(2), np.float32(0)), np.float32(1))
        for channel in range(3):
            glow[ray, channel] = sky[0, channel] + (sky[1, channel] - sky[0, channel]) * up
    return glow


@compiled
@no_type_check
def ambient_of(primitive: Array, struck: Array, face_room: Array, outdoors: int, ambient: Array, sky: Array, colour: Array) -> Array:
    """Return light that has bounced more than once, where rays from `primitive` struck; `colour` becomes 1 where it comes from the sky.

    Indoors, windows already count as lights, so a ray that escapes brings the sky's light only outdoors.
    """
    light = np.zeros((len(struck), 3), np.float32)
    for ray in range(len(struck)):
        # A ray that missed has index -1, the last triangle; its light is never used.
        from_street = face_room[primitive[ray]] == outdoors
        for channel in range(3):
            if struck[ray] >= 0:
                light[ray, channel] = ambient[face_room[struck[ray]], channel]
            elif from_street:
                light[ray, channel] = sky[0, channel]
                colour[ray, channel] = 1
    return light
