"""A turned label is that of the mirrored world: scenes and cameras are reflected, and labelled anew by the code that labels the others."""

from typing import Any

import numpy as np
import pytest
import torch
from annotate.scenes import Scene, textured
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from taskonomy.annotate.annotations import annotate
from taskonomy.annotate.view import Frame
from taskonomy.labels.classes import PLACES
from taskonomy.labels.encodings import Shot, ViewFiles
from taskonomy.numeric.geometry import Camera
from taskonomy.release.formats import from_bytes, to_bytes
from taskonomy.tasks import BUILT_IN
from taskonomy.training.losses import Targets
from taskonomy.training.mirroring import turned

SIDE = 64


class Made(ViewFiles):
    """Files of a frame, or of a camera alone."""

    def __init__(self, camera: Camera, labels: dict[str, Any], ranges: Any = None) -> None:
        self.size, self.name, self._camera, self._ranges = SIDE, "a view", camera, ranges
        self._files = {domain: to_bytes(domain, values) for domain, values in labels.items()}

    def stored(self, domain: str) -> Any:
        return from_bytes(domain, self._files[domain], SIDE)

    @property
    def camera(self) -> Camera:
        return self._camera

    def field(self, name: str) -> Any:
        assert name == "bounding_box_ranges"
        return self._ranges


def encoded(name: str, stored: Any, statistics: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """As the loss sees it, a batch of one."""
    found = BUILT_IN[name].label.encode(np.asarray(stored)[None], statistics)
    return tuple(torch.from_numpy(np.array(one)) for one in (found if isinstance(found, tuple) else (found,)))


def turned_of(name: str, stored: Any, statistics: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    parts = encoded(name, stored, statistics)
    targets = Targets(parts[0], None, statistics)
    return tuple(turned(part, BUILT_IN[name].label.mirror, targets) for part in parts)


# Maps: a room with a box, balls and a slanted wall, nothing of it symmetric.
def frame(x: int) -> Frame:
    """The scene, or with x = -1 the reflected one, of which each surface is computed anew; its picture is mirrored."""
    at = np.array([x, 1, 1])
    scene = Scene(SIDE).plane((0, 1, 0), (0, -1.0, 0)).plane(at * (0.3, 0, 1), (0, 0, -5.0))
    low, high = np.array((-0.9, -1.0, -3.2)), np.array((-0.2, -0.3, -2.4))
    scene.box(np.minimum(at * low, at * high), np.maximum(at * low, at * high))
    scene.ball(at * (0.9, -0.5, -3), 0.4).ball(at * (0.3, 0.4, -2), 0.2)
    category = np.choose(scene.instance + 1, [0, 1, 1, 7, 17, 3]).astype(np.uint8)
    return scene.frame(textured(SIDE)[:, ::x], category=category, scene=PLACES["kitchen"])


@pytest.fixture(scope="module")
def both() -> tuple[Made, Made]:
    return tuple(Made(one.camera, annotate(one)) for one in (frame(1), frame(-1)))  # type: ignore[return-value]


EXACT = tuple(
    name
    for name, task in BUILT_IN.items()
    if task.label and task.label.make and task.label.mirror and "point_info" not in task.label.domains and name not in ("jigsaw", "normal")
    and not name.startswith(("keypoints", "segment_unsup"))
)  # fmt: skip


def made_and_turned(both: tuple[Made, Made], name: str) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """The label of the reflected scene, and that of the scene, turned."""
    label = BUILT_IN[name].label
    one, other = (label.make(files, **label.options_of_make()) for files in both)
    return encoded(name, other, label.options), turned_of(name, one, label.options)


@pytest.mark.parametrize("name", EXACT)
def test_the_label_of_a_reflected_scene_is_the_turned_label_bit_for_bit(both, name):
    made, turned_label = made_and_turned(both, name)
    assert all(map(torch.equal, made, turned_label))


def test_all_maps_but_those_of_the_next_tests_are_among_these():
    assert {"depth_zbuffer", "depth_euclidean", "principal_curvature", "reshading", "edge_occlusion", "edge_texture"} < set(EXACT)
    assert {"segment_semantic", "class_object", "class_scene", "colorization"} < set(EXACT)


def test_normals_of_a_reflected_scene_point_to_the_other_side(both):
    """To one step of the file's bytes, which round x and -x not alike."""
    (made,), (turned_label,) = made_and_turned(both, "normal")
    assert (made - turned_label).abs().max() < 1.01 / 127.5
    assert (made[..., 0] - turned_label[..., 0]).abs().max() < 0.1 * (made[..., 0] + turned_label[..., 0]).abs().max()
    assert torch.equal(made[..., 1:], turned_label[..., 1:])


@pytest.mark.parametrize("name", ["segment_unsup2d", "segment_unsup25d"])
def test_segments_of_a_reflected_scene_are_the_mirrored_ones_under_other_numbers(both, name):
    (made,), (turned_label,) = made_and_turned(both, name)
    pairs = set(zip(made.ravel().tolist(), turned_label.ravel().tolist(), strict=True))
    assert len(pairs) == len(made.unique()) == len(turned_label.unique()) > 10


def test_keypoints_of_a_reflected_scene_are_nearly_the_mirrored_ones(both):
    """The method walks through the depth image from one side: r 0.94 in the mean of 12 views of the built-in world."""
    (made,), (turned_label,) = made_and_turned(both, "keypoints3d")
    assert np.corrcoef(made.ravel(), turned_label.ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(made.ravel(), turned_label.flip(2).ravel())[0, 1]) < 0.3


def test_keypoints_of_the_image_are_not_mirrored_because_their_filters_are_not_symmetric(both):
    label = BUILT_IN["keypoints2d"].label
    one, other = (label.make(files)[..., 0].astype(float) for files in both)
    assert label.mirror is None
    assert np.corrcoef(one[:, ::-1].ravel(), other.ravel())[0, 1] < 0.9


# Numbers: cameras in a world that is reflected by an upright plane along its axes, or, where no axis matters, along any direction.
ALONG_Y, ALONG_X = np.diag([1.0, -1, 1]), np.diag([-1.0, 1, 1])
ANGLES = {"camera_pose_fixated": [0, 1, 2], "egomotion": [0, 1, 2, 6, 7, 8, 12, 13, 14], "room_layout": [3, 4, 5]}
SEEDS = st.integers(0, 2**32 - 1)


def reflected(camera: Camera, world: np.ndarray) -> Camera:
    """The camera whose image of the reflected world is the mirror image; the reflection of its x axis keeps its rotation one."""
    rotation = world @ camera.rotation @ np.diag([-1.0, 1, 1])
    return Camera(tuple(world @ camera.location), tuple(Rotation.from_matrix(rotation).as_euler("xyz")), camera.fov, camera.resolution)


def plane(angle: float) -> np.ndarray:
    normal = np.array([np.cos(angle), np.sin(angle), 0.0])
    return np.eye(3) - 2 * np.outer(normal, normal)


def some_camera(rng: np.random.Generator) -> Camera:
    """Looks anywhere, with any roll."""
    return Camera(tuple(rng.normal(0, 3, 3)), tuple(Rotation.random(random_state=rng).as_euler("xyz")), 1.2, SIDE)


def statistics_of(rng: np.random.Generator, name: str) -> dict[str, Any]:
    """Any mean and deviation."""
    label = BUILT_IN[name].label
    many = label.shape[0]
    return {"mean": rng.normal(0, 2, many).tolist(), "std": rng.uniform(0.3, 3, many).tolist()} if label.statistics == "mean_std" else {}


def agree(name: str, made: Any, before: Any, statistics: dict[str, Any]) -> None:
    """Compare in physical units; angles within a turn, as pi and -pi are one."""
    (one,), (other,) = encoded(name, made, statistics), turned_of(name, before, statistics)
    difference = (one - other).double().numpy() * np.array(statistics.get("std", 1.0))
    angles = ANGLES.get(name.replace("nonfixated", "fixated"), [])
    difference[:, angles] -= 2 * np.pi * np.round(difference[:, angles] / (2 * np.pi))
    assert np.abs(difference).max() < 1e-4  # angles of nearly locked rotations lose digits


@given(SEEDS)
def test_a_reflected_camera_sees_the_mirror_image_of_the_world(seed):
    rng = np.random.default_rng(seed)
    camera, world, points = some_camera(rng), plane(rng.uniform(0, np.pi)), rng.normal(0, 5, (20, 3))
    pixels, depth = camera.project(points)
    mirrored, same_depth = reflected(camera, world).project(points @ world)
    np.testing.assert_allclose(same_depth, depth, atol=1e-9)
    np.testing.assert_allclose(mirrored, [SIDE, 0] + pixels * [-1, 1], rtol=1e-6, atol=1e-6)


def clear(camera: Camera) -> bool:
    """Whether it is certain which axis is ahead, and no rotation is locked."""
    ahead, right = -camera.rotation[:, 2], camera.rotation[:, 0]
    return abs(abs(ahead[0]) - abs(ahead[1])) > 1e-6 and abs(right[2]) < 0.999 and np.hypot(*ahead[:2]) > 1e-3


@given(SEEDS, st.sampled_from([ALONG_X, ALONG_Y]))
def test_vanishing_points_turn_as_in_a_reflected_world(seed, world):
    camera = some_camera(np.random.default_rng(seed))
    assume(clear(camera))
    make = BUILT_IN["vanishing_point"].label.make
    agree("vanishing_point", make(Made(reflected(camera, world), {})).astype(np.float32), make(Made(camera, {})).astype(np.float32), {})


@given(SEEDS, st.sampled_from([ALONG_X, ALONG_Y]))
def test_the_room_turns_as_in_a_reflected_world(seed, world):
    rng = np.random.default_rng(seed)
    camera = some_camera(rng)
    assume(clear(camera))
    corners = np.sort(rng.normal(0, 4, (2, 3)), 0)
    files = [Made(camera, {}, ranges(corners)), Made(reflected(camera, world), {}, ranges(np.sort(corners @ world, 0)))]
    before, made = (BUILT_IN["room_layout"].label.make(one).astype(np.float32) for one in files)
    agree("room_layout", made, before, statistics_of(rng, "room_layout"))


def ranges(corners: np.ndarray) -> dict[str, list[float]]:
    """As camera files have them: x holds the world's y."""
    return {"x": corners[:, 1].tolist(), "y": corners[:, 0].tolist(), "z": corners[:, 2].tolist()}


@pytest.mark.parametrize("name", ["camera_pose_fixated", "camera_pose_nonfixated", "egomotion"])
@given(seed=SEEDS)
def test_relative_poses_turn_as_in_a_reflected_world(name, seed):
    rng = np.random.default_rng(seed)
    cameras, world, task = [some_camera(rng) for _ in range(3)], plane(rng.uniform(0, np.pi)), BUILT_IN[name]
    assume(all(abs((two.rotation.T @ one.rotation)[2, 0]) < 0.999 for one in cameras for two in cameras if one is not two))
    before, made = (
        task.label.of_shots(*(Shot(one, "a", 0) for one in some[: task.images])).astype(np.float32)
        for some in (cameras, [reflected(one, world) for one in cameras])
    )
    agree(name, made, before, statistics_of(rng, name))


@pytest.mark.parametrize("name", ["vanishing_point", "camera_pose_fixated", "camera_pose_nonfixated", "egomotion"])
def test_the_built_in_worlds_own_labels_turn_as_in_its_reflection(prepared, name):
    task, cameras = prepared.task(BUILT_IN[name]), np.load(prepared.root / "cameras.npy")
    label = task.task.label
    for position in range(0, len(task.samples), 5):
        shots = [reflected(Camera(tuple(one[:3]), tuple(one[3:6]), one[6], SIDE), ALONG_Y) for one in cameras[task.samples[position]]]
        made = label.of_shots(*(Shot(one, "a", 0) for one in shots)) if label.of_shots else label.make(Made(shots[0], {}))
        agree(name, made.astype(np.float32), task.stored[position], task.statistics)


@pytest.mark.parametrize("name", [name for name, task in BUILT_IN.items() if task.label and task.label.mirror])
@given(seed=SEEDS)
def test_turned_twice_a_label_is_itself(name, seed):
    rng = np.random.default_rng(seed)
    label, statistics = BUILT_IN[name].label, statistics_of(rng, name)
    numbers = rng.normal(0, 30, (2, *label.array_shape(8)))
    values = torch.from_numpy(numbers.astype(np.float32 if label.dtype == "float32" else np.int64))
    targets = Targets(values, None, statistics)
    if label.mirror.half_turns:  # angles as they occur: a turn more is the same angle
        place, (mean, std) = label.mirror.half_turns[0], (np.array(statistics[key]) for key in ("mean", "std"))
        values[:, place] = torch.from_numpy((rng.uniform(-3.14, 3.14, 2) - mean[place]) / std[place])
    once = turned(values, label.mirror, targets)
    twice = turned(once, label.mirror, targets)
    assert once.dtype == values.dtype
    if label.statistics == "mean_std":
        torch.testing.assert_close(twice, values, rtol=1e-6, atol=3e-6)
    else:
        assert torch.equal(twice, values)
