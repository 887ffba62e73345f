"""Textures: as fine as the images can show, and the same picture at every side."""

import numpy as np
import pytest

from taskonomy.world.building import build
from taskonomy.world.textures import LARGEST, PATTERNS, Material, drawn_side, picture

COLOURS = ((0.6, 0.3, 0.1), (0.2, 0.4, 0.6), (0.8, 0.8, 0.7))


@pytest.mark.parametrize(("resolution", "side"), [(32, 64), (48, 128), (64, 128), (96, 256), (128, 256), (512, 256)])
def test_textures_have_two_texels_for_each_pixel_of_the_image_as_far_as_there_are_so_many(resolution, side):
    assert drawn_side(resolution) == side


def reduced(image, side):
    by = len(image) // side
    return image.reshape(side, by, side, by, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_a_smaller_texture_shows_the_same_picture(pattern):
    def drawn(seed, side):
        return reduced(picture(Material(pattern, COLOURS), np.random.default_rng(seed), side), 16)

    largest, smaller, other = drawn(7, LARGEST), drawn(7, 128), drawn(8, LARGEST)
    apart = np.abs(smaller - largest).mean()
    assert apart < 0.025
    # Regular patterns are alike whatever the seed, and so is granite at this size, whose grains are much finer.
    assert apart < 0.5 * np.abs(other - largest).mean() or apart < 0.005 or pattern == "granite"


@pytest.mark.parametrize("pattern", ["wood", "marble", "carpet", "leaf", "brushed"])
def test_noise_varies_as_much_in_a_smaller_texture_as_in_the_largest_reduced_to_its_side(pattern):
    largest, smaller = (picture(Material(pattern, COLOURS), np.random.default_rng(3), side) for side in (LARGEST, 128))
    assert smaller.std() == pytest.approx(reduced(largest, 128).std(), rel=0.15)


def test_the_side_of_its_textures_changes_nothing_else_of_a_building():
    one, two = build("house", 3, 64), build("house", 3, 128)
    assert len(two.atlas) > 3.9 * len(one.atlas)
    for name in ("vertices", "normals", "local", "faces", "face_material", "metres", "emission"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
