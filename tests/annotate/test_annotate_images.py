"""Texture edges and keypoints against independent filters and known shapes."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotate.scenes import Scene, box_on_floor, slanted, textured, wall
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.feature import hessian_matrix_det

from taskonomy.annotate.edges import edge_texture
from taskonomy.annotate.keypoints2d import keypoints2d
from taskonomy.annotate.keypoints3d import keypoints3d
from taskonomy.annotate.view import Geometry
from taskonomy.release.formats import from_bytes, to_bytes

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait


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


@pytest.mark.parametrize("grey", [0, 77, 255])
def test_a_blank_image_has_no_edges_and_no_keypoints_but_what_the_release_leaves_of_brightness(grey):
    frame = wall().frame(np.full((64, 64, 3), grey, np.uint8))
    assert edge_texture(frame).max() < 1e-12
    # A side of 32 is two more than three lobes of 10, each box 19 across: in both directions 2 * 19 / 32^2 of the brightness.
    assert keypoints2d(frame)[12:-12, 12:-12] == pytest.approx((38 / 1024 * grey / 255) ** 2, abs=1e-9)


def released_keypoints(rgb):
    """The release's law in scikit-image's words, on an image of 512 pixels."""
    grey = rgb2gray(rgb / 255)
    return np.maximum(np.max([hessian_matrix_det(grey, sigma, approximate=True) for sigma in np.linspace(1, 30, 10)], axis=0), 0)


def test_keypoints_at_the_releases_resolution_are_scikit_images():
    rgb = textured(512)
    found, expected = keypoints2d(wall(resolution=512).frame(rgb)), released_keypoints(rgb)
    assert found == pytest.approx(expected, abs=1e-8)
    stored = from_bytes("keypoints2d", to_bytes("keypoints2d", found), 512)
    # Single precision may fall to the other side of half a step.
    assert (stored != np.rint(expected * 65535)).mean() < 1e-4
    assert stored.max() > 1000


@pytest.mark.parametrize("resolution", [48, 64, 128, 256, 640])
def test_keypoints_at_other_resolutions_are_those_of_the_image_brought_to_the_releases(resolution):
    rgb = textured(resolution)
    larger = cv2.resize(rgb / 255, (512, 512), interpolation=cv2.INTER_AREA if resolution > 512 else cv2.INTER_LINEAR)
    released = released_keypoints(larger * 255)
    if resolution > 512:
        expected = cv2.resize(released, (resolution, resolution), interpolation=cv2.INTER_LINEAR)
    else:
        centres = ((np.arange(resolution) + 0.5) * 512 / resolution).astype(int)
        expected = released[np.ix_(centres, centres)]
    assert keypoints2d(wall(resolution=resolution).frame(rgb)) == pytest.approx(expected, abs=1e-7)


def test_the_same_picture_has_the_same_keypoints_at_every_resolution():
    # A picture with no more detail than 64 pixels show, seen at 512.
    small = cv2.GaussianBlur(textured(64), (0, 0), 1.5)
    large = cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR)
    reduced = cv2.resize(keypoints2d(wall(resolution=512).frame(large)), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(reduced.ravel(), keypoints2d(wall().frame(small)).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("radius", [3, 8, 14])
@pytest.mark.parametrize(("inside", "outside"), [(220, 40), (40, 220)])
def test_keypoints_peak_on_blobs_of_every_size_whether_bright_or_dark(radius, inside, outside):
    image = np.full((256, 256, 3), outside, np.uint8)
    cv2.circle(image, (128, 128), radius, (inside,) * 3, -1)
    interest = keypoints2d(wall(resolution=256).frame(image))[40:-40, 40:-40]  # boxes that the border moves answer to brightness
    row, column = np.unravel_index(interest.argmax(), interest.shape)
    assert np.hypot(row - 88, column - 88) <= 1.5
    assert 0.02 < interest.max() < 0.12


def test_keypoints_prefer_corners_to_edges():
    image = np.full((128, 128, 3), 30, np.uint8)
    image[40:90, 40:90] = 220
    interest = keypoints2d(wall(resolution=128).frame(image))
    assert interest[36:45, 36:45].max() > 5 * interest[60:70, 36:45].max()
    assert interest[5:20, 5:20].max() < 0.01 * interest[36:45, 36:45].max()


@pytest.mark.parametrize("normal", [(0, 0, 1), (-0.7, 0.1, 0.5), (0.5, 0.5, 1)])
def test_planes_have_no_keypoints(normal):
    assert keypoints3d(slanted(normal, (0, 0, -3.0), 128).frame()).max() == 0


def test_a_straight_edge_is_no_keypoint():
    # The directions of one edge fall into at most two neighbouring cells of 18, of a turn of 2 / 18.
    half = slanted((0, 0, 1), (0, 0, -2.0), 128)
    half.depth[:, 70:], half.normal[:, 70:], half.instance[:, 70:] = np.inf, 0, -1
    before = wall(4.0, 128).plane((0, 0, 1), (0, 0, -2.0), lambda points: points[..., 0] < 0.2)
    crease = wall(2.5, 128).plane((1, 0, 0), (-0.5, 0, 0))
    for scene in (half, before, crease):
        assert keypoints3d(scene.frame()).max() <= np.sqrt(2 / 18) + 1e-6
    assert keypoints3d(half.frame(instance=False)).max() == 0


def test_nothing_behind_makes_a_corner_that_the_unknown_does_not():
    patch = Scene(128).plane((0, 0, 1), (0, 0, -2.0), lambda points: np.abs(points[..., :2]).max(axis=-1) < 0.5)
    frame = patch.frame()
    assert keypoints3d(frame).max() > 0.3
    assert keypoints3d(frame)[~np.isfinite(frame.depth)].max() == 0
    assert keypoints3d(replace(frame, instance=None)).max() == 0


def library_scene(resolution=128):
    """A box on a floor before a wall, a ball, and a box in the air."""
    return box_on_floor(resolution).ball((0.6, -0.6, -3.0), 0.4).box((0.2, 0.1, -1.9), (0.5, 0.5, -1.5))


def test_keypoints_of_the_surface_are_near_those_of_the_point_cloud_library():
    # Made by version 1.13, as the release's program calls it: a planar range image of depth in steps of 1/512 m with the camera's focal length,
    # the complete interest image with recursive scale reduction, a support of 0.3 m; times 65535.
    library = cv2.imread(str(Path(__file__).parent / "keypoints3d_library.png"), cv2.IMREAD_UNCHANGED) / 65535
    interest = keypoints3d(library_scene().frame())
    assert np.corrcoef(interest.ravel(), library.ravel())[0, 1] > 0.99
    assert (interest * library).sum() / (interest**2).sum() == pytest.approx(1, abs=0.03)  # not 0.57, as an earlier version had
    assert (np.abs(interest - library) < 0.01).mean() > 0.97


def test_keypoints_of_geometry_at_twice_the_resolution_are_nearer_to_the_librarys_of_that_resolution():
    library = cv2.imread(str(Path(__file__).parent / "keypoints3d_library.png"), cv2.IMREAD_UNCHANGED) / 65535
    double, frame = library_scene().frame(), library_scene(64).frame()
    fine = replace(frame, fine=Geometry(double.camera, double.depth, double.normal, double.instance))
    mean = library.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    near, far = (np.corrcoef(keypoints3d(one).ravel(), mean.ravel())[0, 1] for one in (fine, frame))
    assert near > 0.95
    assert far < 0.9


def around_corners(resolution, distance):
    """Mean interest on a square panel before a wall by metres from its corners, and away from them."""
    scene = wall(2 + distance, resolution).box((-0.35, -0.35, -distance - 0.7), (0.35, 0.35, -distance))
    frame = scene.frame()
    interest, panel = keypoints3d(frame), scene.instance == 1
    points = frame.camera.pixel_rays() * frame.depth[..., None]
    corners = [(x, y, -distance) for x in (-0.35, 0.35) for y in (-0.35, 0.35)]
    away = np.min([np.linalg.norm(points - np.array(corner), axis=-1) for corner in corners], axis=0)
    rings = [interest[panel & (away >= low) & (away < high)].mean() for low, high in ((0, 0.04), (0.08, 0.2), (0.3, 1))]
    return rings, interest[~panel].max()


@pytest.mark.parametrize(("resolution", "distance"), [(128, 2.0), (256, 2.0), (256, 3.0), (256, 4.0)])
def test_interest_is_high_beside_a_corner_low_on_it_and_nought_behind(resolution, distance):
    (on, beside, far), behind = around_corners(resolution, distance)
    assert beside > 0.18
    assert on < beside / 2
    assert far < beside / 3
    assert behind == 0


def test_interest_does_not_depend_on_the_distance_or_on_the_resolution():
    beside = [around_corners(resolution, distance)[0][1] for resolution, distance in ((128, 2.0), (256, 2.0), (256, 3.0), (256, 4.0))]
    assert beside == pytest.approx([np.mean(beside)] * 4, rel=0.2)


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
