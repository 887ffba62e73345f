"""Semantic labels, from the class of every pixel and the type of the room."""

from typing import Any, cast

import numpy as np
from jaxtyping import Float32, UInt8

from taskonomy.annotate.view import Frame
from taskonomy.errors import TaskonomyError
from taskonomy.labels.classes import FIRST_OBJECT, OBJECTS, PLACES, PLACES_COUNT

IMAGENET_CLASSES = 1000
DOUBT = 0.01  # all ImageNet classes together weigh as much as an object that covers this share of the image
SCENE_SHARE = 0.9  # probability of the room's own type


def segment_semantic(frame: Frame) -> UInt8[np.ndarray, "height width"]:
    """Return the class of every pixel: 0 uncertain, 1 background, 2 to 17 the objects."""
    return cast(Any, frame.category)


def class_object(frame: Frame) -> Float32[np.ndarray, "1000"]:
    """Compute logits of the 1000 ImageNet classes from the share of the image that each object covers.

    `logit = log(1 + share / (DOUBT / 1000))`: their softmax is proportional to the share covered plus an even share of doubt, so an
    object on 1 % of the image gets half of the probability, on 10 % ten elevenths; two objects split theirs by area, and without any
    object all classes are equal. The release has the logits of a ResNet-152 in their place.
    """
    category = cast(Any, frame.category)
    share = np.bincount(category.ravel(), minlength=FIRST_OBJECT + len(OBJECTS))[FIRST_OBJECT:] / category.size
    logits = np.zeros(IMAGENET_CLASSES)
    for one, covered in zip(OBJECTS, share, strict=True):
        logits[one.imagenet] = np.log1p(covered / (DOUBT / IMAGENET_CLASSES))
    return logits.astype(np.float32)


def class_scene(frame: Frame) -> Float32[np.ndarray, "365"]:
    """Compute probabilities of the 365 Places categories: 0.9 for the room's own, the rest evenly over the other indoor ones.

    Raises:
        TaskonomyError: The frame's scene is not an index of Places.
    """
    scene = cast(int, frame.scene)
    if not 0 <= scene < PLACES_COUNT:
        raise TaskonomyError(f"class_scene: scene must be an index of Places, 0 to {PLACES_COUNT - 1} (is {scene})")
    others = [index for index in PLACES.values() if index != scene]
    shares = np.zeros(PLACES_COUNT)
    shares[others] = (1 - SCENE_SHARE) / len(others)
    shares[scene] = SCENE_SHARE
    return shares.astype(np.float32)
