"""Texture edges and keypoints against independent filters and known shapes."""

import cv2
import numpy as np
import pytest
from annotate.scenes import Scene, box_on_floor, textured, wall
from scipy import ndimage

from taskonomy.annotate.edges import edge_texture, grey_of
from taskonomy.annotate.keypoints2d import keypoints2d, lobes
from taskonomy.annotate.keypoints3d import keypoints3d


@pytest.mark.parametrize("resolution", [64, 128])
def test_texture_edges_are_scipys_gaussian_and_sobel(resolution):
    rgb = textured(resolution)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) / 255
    sigma = max(3 * resolution / 512, 0.5)
    smooth = ndimage.gaussian_filter(grey, sigma, mode="constant") / ndimage.gaussian_filter(np.ones_like(grey), sigma, mode="constant")
    magnitude = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 4 / np.sqrt(2) * resolution / 512
    expected = np.zeros_like(magnitude)
    expected[1:-1, 1:-1] = magnitude[1:-1, 1:-1]
    assert edge_texture(wall(resolution=resolution).frame(rgb)) == pytest.approx(expected, abs=1e-6)


def test_a_blank_image_has_neither_edges_nor_keypoints():
    for grey in (0, 77, 255):
        frame = wall().frame(np.full((64, 64, 3), grey, np.uint8))
        assert edge_texture(frame).max() < 1e-12
        assert keypoints2d(frame).max() == 0


def box_kernel(lobe):
    """Second derivatives of SURF as explicit kernels."""
    side = 2 * max(lobe - 1, 1) + 1
    line = np.repeat([1.0, -2.0, 1.0], lobe)
    across = np.ones(side)
    corner = np.concatenate([-np.ones(lobe), [0.0], np.ones(lobe)])
    return np.outer(line, across), np.outer(across, line), np.outer(corner, corner)


@pytest.mark.parametrize("resolution", [64, 128])
def test_keypoints_are_the_box_filtered_determinant_of_the_hessian(resolution):
    frame = wall(resolution=resolution).frame(textured(resolution))
    grey = grey_of(frame.rgb)
    best = np.zeros_like(grey)
    for lobe in lobes(resolution):
        down, right, mixed = (ndimage.correlate(grey, kernel, mode="nearest") / (9 * lobe**2) for kernel in box_kernel(lobe))
        best = np.maximum(best, down * right - 0.81 * mixed**2)
    assert keypoints2d(frame) == pytest.approx(best, abs=1e-7)


def test_scales_follow_the_resolution():
    assert len(lobes(512)) == 10
    assert max(lobes(512)) == pytest.approx(30, abs=1)
    assert max(lobes(64)) == pytest.approx(30 / 8, abs=1)
    assert all(lobe % 2 for lobe in lobes(512))


@pytest.mark.parametrize("radius", [3, 8, 14])
def test_keypoints_peak_on_blobs_of_every_size_as_high_whether_bright_or_dark(radius):
    peaks = []
    for inside, outside in ((220, 40), (40, 220)):
        image = np.full((256, 256, 3), outside, np.uint8)
        cv2.circle(image, (128, 128), radius, (inside,) * 3, -1)
        interest = keypoints2d(wall(resolution=256).frame(image))
        row, column = np.unravel_index(interest.argmax(), interest.shape)
        assert np.hypot(row - 128, column - 128) <= 1.5
        peaks.append(interest.max())
    assert peaks[0] == pytest.approx(peaks[1], rel=1e-4)
    assert 0.02 < peaks[0] < 0.12


def test_keypoints_prefer_corners_to_edges():
    image = np.full((128, 128, 3), 30, np.uint8)
    image[40:90, 40:90] = 220
    interest = keypoints2d(wall(resolution=128).frame(image))
    assert interest[36:45, 36:45].max() > 5 * interest[60:70, 36:45].max()
    assert interest[5:20, 5:20].max() == 0


def test_planes_have_no_keypoints_and_holes_neither():
    assert keypoints3d(wall().frame()).max() == 0
    frame = Scene().plane((0.3, 0.8, 0.6), (0, 0, -3.0), lambda points: points[..., 0] < 0.2).frame()
    assert keypoints3d(frame).max() == 0


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_keypoints_of_the_surface_gather_at_the_corners_of_a_box(resolution):
    scene = box_on_floor(resolution)
    frame = scene.frame()
    interest = keypoints3d(frame)
    assert interest.min() >= 0
    assert 0.4 < interest.max() <= 1
    points = frame.camera.pixel_rays() * frame.depth[..., None]
    corners = np.array([[x, y, z] for x in (-0.9, -0.2) for y in (-1.0, -0.3) for z in (-3.2, -2.4)])
    distance = np.linalg.norm(points[:, :, None] - corners, axis=-1).min(axis=-1)
    for corner in ((-0.9, -0.3, -2.4), (-0.2, -0.3, -2.4)):
        near = np.linalg.norm(points - np.array(corner), axis=-1) < 0.15
        assert interest[near].max() > 0.4
    box = scene.instance == 2
    # Where a silhouette bends in the image there is interest too, on a few pixels.
    assert (interest[box & (distance > 0.3)] > 0.4).mean() < 0.02
    assert interest[box & (distance < 0.1)].mean() > 5 * interest[box & (distance > 0.3)].mean()
    assert interest[~box & (np.abs(points[..., 1] + 1.0) > 0.4) & (np.abs(points[..., 2] + 5.0) > 0.4)].max(initial=0) == 0
    assert np.median(interest) == 0


def test_interest_does_not_depend_on_which_way_the_image_is_turned():
    scene = box_on_floor(128)
    interest = keypoints3d(scene.frame())
    mirrored = Scene(128)
    mirrored.depth, mirrored.normal, mirrored.instance = scene.depth[:, ::-1], scene.normal[:, ::-1] * (-1, 1, 1), scene.instance[:, ::-1].copy()
    mirrored.normal = np.ascontiguousarray(mirrored.normal)
    again = keypoints3d(mirrored.frame())[:, ::-1]
    # Directions are counted in bins of 10 degrees, which a mirror does not map onto each other.
    assert np.abs(interest - again).mean() < 0.01
    assert np.corrcoef(interest.ravel(), again.ravel())[0, 1] > 0.95
