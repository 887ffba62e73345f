"""All labels of a view: complete, of one size, refused by name where their input is missing, and kept by their files."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotate.scenes import box_on_floor, textured
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taskonomy.annotate.annotations import ANNOTATORS, Likeness, annotate
from taskonomy.annotate.semantic import class_object, class_scene
from taskonomy.errors import TaskonomyError
from taskonomy.labels.classes import OBJECTS, PLACES
from taskonomy.release.formats import CURVATURE_LIMIT, DOMAINS, from_bytes, to_bytes

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait

FROM_CAMERAS = {"point_info", "nonfixated_matches"}


def full_frame(resolution=64):
    scene = box_on_floor(resolution).ball((0.9, -0.5, -3), 0.4)
    category = np.choose(scene.instance + 1, [0, 1, 1, 7, 17]).astype(np.uint8)
    return scene.frame(textured(resolution), category=category, scene=PLACES["kitchen"])


def test_every_domain_that_comes_from_a_view_is_made():
    assert set(ANNOTATORS) == set(DOMAINS) - FROM_CAMERAS
    assert set(annotate(full_frame())) == set(ANNOTATORS)


def test_the_documentation_says_of_every_domain_what_it_is_beside_the_release():
    text = (Path(__file__).parents[2] / "docs/own-data.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert {row[0]: row[1:] for row in rows if row[0] in ANNOTATORS} == {name: (one.likeness, one.agreement) for name, one in ANNOTATORS.items()}


def test_curvature_of_measured_depth_is_called_another_thing():
    assert ANNOTATORS["principal_curvature"].likeness is Likeness.OTHER
    assert ANNOTATORS["keypoints3d"].likeness is Likeness.NEAR
    assert all(ANNOTATORS[name].likeness is Likeness.SAME for name in ("reshading", "keypoints2d"))


def test_without_classes_and_scene_the_other_labels_are_made():
    frame = replace(full_frame(), category=None, scene=None)
    assert set(ANNOTATORS) - set(annotate(frame)) == {"segment_semantic", "class_object", "class_scene"}


@pytest.mark.parametrize(("domain", "field"), [("segment_semantic", "category"), ("class_object", "category"), ("class_scene", "scene")])
def test_a_label_whose_input_is_missing_is_refused_by_name(domain, field):
    with pytest.raises(TaskonomyError, match=rf"^{domain}: .*{field}"):
        annotate(replace(full_frame(), **{field: None}), ["rgb", domain])


def test_unknown_labels_are_refused_with_the_nearest_name():
    with pytest.raises(TaskonomyError, match=r"'normals' \(did you mean 'normal'"):
        annotate(full_frame(), ["normals"])
    with pytest.raises(TaskonomyError, match="point_info"):
        annotate(full_frame(), ["point_info"])


def test_only_what_is_asked_for_is_made_in_that_order():
    assert list(annotate(full_frame(), iter(["normal", "rgb"]))) == ["normal", "rgb"]


def quantum(domain):
    """Half a step of the file, in physical units."""
    return {
        "depth_zbuffer": 0.5 / 512,
        "depth_euclidean": 0.5 / 512,
        "normal": 0.5 / 127.5,
        "principal_curvature": 0.5 / 127 * CURVATURE_LIMIT,
        "reshading": 0.5 / 255,
    }.get(domain, 0.5 / 65535)


def kept(domain, values):
    """What the file says, against what was put in."""
    decoded = DOMAINS[domain].decode(from_bytes(domain, to_bytes(domain, values)))
    if domain in ("rgb", "segment_semantic", "mask_valid"):
        assert (decoded == values).all()
    elif domain.startswith("segment_unsup"):
        assert len(np.unique(decoded)) == len(np.unique(values))
        pairs = np.unique(np.stack([decoded.ravel(), values.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(values))
    else:
        inside = np.clip(values, -CURVATURE_LIMIT, CURVATURE_LIMIT) if domain == "principal_curvature" else values
        both = np.isfinite(inside) & np.isfinite(decoded)
        assert (np.isfinite(decoded) == np.isfinite(inside)).all()
        assert np.abs(decoded[both] - inside[both]).max(initial=0) <= quantum(domain) * 1.01 + 1e-6


@pytest.mark.parametrize("resolution", [64, 128])
def test_every_label_survives_its_file(resolution):
    labels = annotate(full_frame(resolution))
    for domain, values in labels.items():
        if DOMAINS[domain].kind.startswith("png"):
            assert values.shape[:2] == (resolution, resolution)
        kept(domain, values)


def test_the_same_view_gives_the_same_bytes():
    first, second = annotate(full_frame()), annotate(full_frame())
    assert all(to_bytes(domain, first[domain]) == to_bytes(domain, second[domain]) for domain in first)


def unit(vectors):
    """Their directions; of the shortest none, as in holes."""
    size = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(size > 0.1, vectors / np.maximum(size, 0.1), 0).astype(np.float32)


SIDE = (6, 6)
UNIT = st.floats(0, 1, width=32)
VALUES = {
    "rgb": hnp.arrays(np.uint8, (*SIDE, 3)),
    "depth_zbuffer": hnp.arrays(np.float32, SIDE, elements=st.one_of(st.floats(0, 127, width=32), st.just(np.inf))),
    "depth_euclidean": hnp.arrays(np.float32, SIDE, elements=st.one_of(st.floats(0, 127, width=32), st.just(np.inf))),
    "normal": hnp.arrays(np.float32, (*SIDE, 3), elements=st.floats(-1, 1, width=32)).map(unit),
    # Two curvatures at the negative end of the format are its mask value, so the draw stops just before.
    "principal_curvature": hnp.arrays(np.float32, (*SIDE, 2), elements=st.floats(-33, 60, width=32)),
    "reshading": hnp.arrays(np.float32, SIDE, elements=UNIT),
    "edge_texture": hnp.arrays(np.float32, SIDE, elements=UNIT),
    "edge_occlusion": hnp.arrays(np.float32, SIDE, elements=UNIT),
    "keypoints2d": hnp.arrays(np.float32, SIDE, elements=UNIT),
    "keypoints3d": hnp.arrays(np.float32, SIDE, elements=UNIT),
    "segment_unsup2d": hnp.arrays(np.int64, SIDE, elements=st.integers(0, 255)),
    "segment_unsup25d": hnp.arrays(np.int64, SIDE, elements=st.integers(0, 1000)),
    "segment_semantic": hnp.arrays(np.uint8, SIDE, elements=st.integers(0, 17)),
    "mask_valid": hnp.arrays(np.bool_, SIDE),
    "class_object": hnp.arrays(np.float32, 1000, elements=st.floats(-30, 30, width=32), fill=st.just(0.0)),
    "class_scene": hnp.arrays(np.float32, 365, elements=UNIT, fill=st.just(0.0)),
}


@pytest.mark.parametrize("domain", sorted(ANNOTATORS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_files_keep_any_values_within_their_quantum(domain, data):
    kept(domain, data.draw(VALUES[domain]))


def softmax(logits):
    share = np.exp(logits.astype(np.float64))
    return share / share.sum()


def test_without_objects_all_classes_are_equally_likely():
    frame = replace(full_frame(), category=np.ones((64, 64), np.uint8))
    assert softmax(class_object(frame)) == pytest.approx(1 / 1000)


def test_classes_are_as_likely_as_they_are_large():
    category = np.ones((64, 64), np.uint8)
    category[:8] = 2  # bottles, an eighth
    category[8:12] = 3  # chairs, a sixteenth
    category[12:14] = 0  # uncertain
    share = softmax(class_object(replace(full_frame(), category=category)))
    bottle, chair = OBJECTS[0].imagenet, OBJECTS[1].imagenet
    assert share[bottle] == pytest.approx((1 / 8 + 1e-5) / (3 / 16 + 0.01), rel=1e-4)
    assert share[bottle] / share[chair] == pytest.approx(2, rel=1e-3)
    assert np.delete(share, [bottle, chair]).sum() == pytest.approx(0.01 / (3 / 16 + 0.01), rel=1e-2)


def test_scenes_are_probabilities_with_the_rooms_own_first():
    share = class_scene(full_frame())
    assert share.sum() == pytest.approx(1)
    assert share.argmax() == PLACES["kitchen"]
    assert share.max() == pytest.approx(0.9)
    assert (share > 0).sum() == len(PLACES)
    with pytest.raises(TaskonomyError, match=r"class_scene.*is 365"):
        class_scene(replace(full_frame(), scene=365))
