"""From samples to a picture: sums per pixel, an edge-avoiding a-trous filter guided by exact geometry, and exposure; compiled."""

from typing import no_type_check

import numpy as np

from taskonomy.world.shading import Array, compiled

BRIGHTEST = 40.0  # a sample's light is clipped here, or single bright samples would survive the filter


@compiled
@no_type_check
def gather(
    direct: Array,
    direct_hidden: Array,
    bounced: Array,
    bounced_hidden: Array,
    bounced_colour: Array,
    bounced_ambient: Array,
    colour: Array,
    glow: Array,
    samples: int,
) -> tuple[Array, ...]:
    """Return, per pixel, mean reflectance, mean light, the variance of that mean's brightness, and mean glow.

    Light is divided by reflectance, so that the filter leaves textures unchanged.
    """
    pixels = len(colour) // samples
    reflect = np.zeros((pixels, 3), np.float32)
    light = np.zeros((pixels, 3), np.float32)
    variance = np.zeros(pixels, np.float32)
    shine = np.zeros((pixels, 3), np.float32)
    arrives = np.empty(3, np.float32)
    for pixel in range(pixels):
        first, second = np.float32(0), np.float32(0)
        for sample in range(samples):
            ray = pixel * samples + sample
            brightness = np.float32(0)
            for channel in range(3):
                value = np.float32(0) if direct_hidden[ray] >= 0 else direct[ray, channel]
                value += bounced_colour[ray, channel] * (
                    bounced_ambient[ray, channel] + (np.float32(0) if bounced_hidden[ray] >= 0 else bounced[ray, channel])
                )
                arrives[channel] = min(value, np.float32(BRIGHTEST))
                brightness += arrives[channel] / 3
                reflect[pixel, channel] += colour[ray, channel]
                light[pixel, channel] += colour[ray, channel] * arrives[channel]
                shine[pixel, channel] += glow[ray, channel]
            first += brightness
            second += brightness * brightness
        mean = first / samples
        variance[pixel] = max(second / samples - mean * mean, np.float32(0)) / samples
        for channel in range(3):
            light[pixel, channel] /= max(reflect[pixel, channel], np.float32(1e-6))
            reflect[pixel, channel] /= samples
            shine[pixel, channel] /= samples
    return reflect, light, variance, shine


@compiled
@no_type_check
def a_trous(
    light: Array, variance: Array, depth: Array, slope: Array, normal: Array, instance: Array, side: int, step: int, tolerance: float
) -> tuple[Array, ...]:
    """Filter once with holes of `step` pixels (Dammertz et al. 2010; variance weights as in Schied et al. 2017): light and its variance."""
    out = np.empty_like(light)
    rest = np.empty_like(variance)
    for row in range(side):
        for column in range(side):
            here = row * side + column
            if not np.isfinite(depth[here]):
                out[here, 0], out[here, 1], out[here, 2] = light[here, 0], light[here, 1], light[here, 2]
                rest[here] = variance[here]
                continue
            # The variance of few samples is itself noisy: average it over the neighbours.
            noise, noise_weight = np.float32(0), np.float32(0)
            for down in range(-1, 2):
                for right in range(-1, 2):
                    y, x = row + down, column + right
                    if 0 <= y < side and 0 <= x < side:
                        weight = np.float32((2 - abs(down)) * (2 - abs(right)))
                        noise += weight * variance[y * side + x]
                        noise_weight += weight
            spread = tolerance * np.sqrt(noise / noise_weight) + np.float32(1e-3)
            brightness = (light[here, 0] + light[here, 1] + light[here, 2]) / 3
            total, squares = np.float32(0), np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for down in range(-1, 2):
                for right in range(-1, 2):
                    y, x = row + step * down, column + step * right
                    if y < 0 or y >= side or x < 0 or x >= side:
                        continue
                    there = y * side + x
                    if not np.isfinite(depth[there]):
                        continue
                    agree = normal[here, 0] * normal[there, 0] + normal[here, 1] * normal[there, 1] + normal[here, 2] * normal[there, 2]
                    if agree <= 0.5:
                        continue
                    agree *= agree
                    agree *= agree
                    agree *= agree
                    agree *= agree
                    expected = slope[here, 0] * right * step + slope[here, 1] * down * step
                    apart = abs(1 / depth[there] - 1 / depth[here] - expected) * depth[here]
                    other = (light[there, 0] + light[there, 1] + light[there, 2]) / 3
                    weight = agree * np.exp(-apart * np.float32(40) - abs(other - brightness) / spread) * (2 - abs(down)) * (2 - abs(right))
                    if instance[there] != instance[here]:
                        weight *= np.float32(0.15)
                    total += weight
                    squares += weight * weight * variance[there]
                    red += weight * light[there, 0]
                    green += weight * light[there, 1]
                    blue += weight * light[there, 2]
            out[here, 0], out[here, 1], out[here, 2] = red / total, green / total, blue / total
            rest[here] = squares / (total * total)
    return out, rest
