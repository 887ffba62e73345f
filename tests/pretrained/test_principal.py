"""Representations at the code's side, and their principal components."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn

from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.principal import Moments, pooled

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("size", "side"), [(16, 8), (8, 8), (24, 8), (4, 4)])
def test_a_map_of_a_whole_multiple_is_pooled_as_by_torch(size: int, side: int) -> None:
    maps = RNG.normal(size=(2, 3, size, size)).astype(np.float32)
    np.testing.assert_allclose(pooled(maps, side), nn.functional.adaptive_avg_pool2d(torch.tensor(maps), side).numpy(), atol=1e-6)


def test_a_smaller_map_is_repeated() -> None:
    maps = RNG.normal(size=(1, 2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(pooled(maps, 8), maps.repeat(2, 2).repeat(2, 3), atol=1e-6)


@given(some.integers(1, 20), some.integers(1, 20))
def test_pooling_keeps_the_mean_of_any_map(size: int, side: int) -> None:
    maps = RNG.normal(size=(1, 1, size, size)).astype(np.float32)
    np.testing.assert_allclose(pooled(maps, side).mean(), maps.mean(), atol=1e-5)


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    maps = (RNG.normal(size=(40, 6, 2, 2)) * np.arange(1, 7)[:, None, None] + 3).astype(np.float32)
    moments = Moments(6)
    for part in np.split(maps, 4):
        moments.add(part)
    found = moments.components(3, "encoders.net")
    places = maps.transpose(0, 2, 3, 1).reshape(-1, 6).astype(np.float64)
    _u, sizes, axes = np.linalg.svd(places - places.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs((found.axes * axes[:3]).sum(1)), 1, atol=1e-6)
    assert found.explained == pytest.approx((sizes[:3] ** 2).sum() / (sizes**2).sum(), abs=1e-9)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in found.axes)
    kept = found.project(maps).transpose(0, 2, 3, 1).reshape(-1, 3)
    np.testing.assert_allclose(kept, (places - places.mean(0)) @ found.axes.T, atol=1e-4)


@pytest.mark.parametrize(("maps", "kept", "said"), [(np.ones((4, 3, 2, 2)), 2, "same for every image"), (RNG.normal(size=(4, 3, 2, 2)), 5, "has 3")])
def test_representations_that_hold_too_little_are_refused_by_key(maps: np.ndarray, kept: int, said: str) -> None:
    moments = Moments(3)
    moments.add(maps)
    with pytest.raises(TaskonomyError, match=said):
        moments.components(kept, "encoders.net")
