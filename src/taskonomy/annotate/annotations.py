"""Every label of a view, by the name of its domain."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from taskonomy.annotate import curvature, edges, keypoints2d, keypoints3d, segments, semantic, surfaces
from taskonomy.annotate.view import Frame
from taskonomy.errors import TaskonomyError, unknown


class Likeness(StrEnum):
    """How a label compares with the released one of the same view."""

    SAME = "the release's"
    NEAR = "close to it"
    OTHER = "different"


@dataclass(frozen=True)
class Annotator:
    """How the label of one domain is computed.

    Attributes:
        make: Computes, from a frame, the physical values that `taskonomy.release.formats` stores.
        likeness: How the label compares with the released one, at the release's 512 pixels.
        agreement: Evidence of likeness: a measurement on released views, with the label made from their depth and camera, or a reason.
        needs: Optional fields of the frame that the label requires.
        measured: What beside the image must have been measured: depth, and the camera that it was measured with.
    """

    make: Callable[[Frame], Any]
    likeness: Likeness
    agreement: str
    needs: tuple[str, ...] = ()
    measured: tuple[str, ...] = ("depth", "camera")


_K3 = "r 0.65 and 0.70 (2 views) with an earlier version, 1.75 times too strong; since made after the point cloud library's steps, not measured again"

ANNOTATORS = {
    "rgb": Annotator(surfaces.rgb, Likeness.SAME, "the image itself", measured=()),
    "depth_zbuffer": Annotator(surfaces.depth_zbuffer, Likeness.SAME, "the depth itself, in steps of 1/512 m", measured=("depth",)),
    "depth_euclidean": Annotator(surfaces.depth_euclidean, Likeness.SAME, "mean difference 0.3 steps of 1/512 m (1 view)"),
    "normal": Annotator(surfaces.normal, Likeness.NEAR, "fitted to depth, not of a mesh: median 0.33 to 0.97 degrees apart (7 views)"),
    "principal_curvature": Annotator(
        curvature.principal_curvature, Likeness.OTHER, "of the depth image, not of a smoothed mesh: first r 0.36 and 0.44, second about 0 (2 views)"
    ),
    "reshading": Annotator(surfaces.reshading, Likeness.SAME, "its law: r 0.998 and 0.995, mean difference 1.0 of 255 (2 views)"),
    "edge_texture": Annotator(edges.edge_texture, Likeness.SAME, "r 1.000 (3 views)", measured=()),
    "edge_occlusion": Annotator(edges.edge_occlusion, Likeness.SAME, "r 1.000 (6 views)", measured=("depth",)),
    "keypoints2d": Annotator(keypoints2d.keypoints2d, Likeness.SAME, "its law: r 1.0000, mean difference 0.3 of 65535 (2 views)", measured=()),
    "keypoints3d": Annotator(keypoints3d.keypoints3d, Likeness.NEAR, _K3),
    "segment_unsup2d": Annotator(segments.segment_unsup2d, Likeness.SAME, "adjusted Rand index 1.000 (1 view)", measured=()),
    "segment_unsup25d": Annotator(segments.segment_unsup25d, Likeness.NEAR, "adjusted Rand index 0.946, 88 segments for 65 (1 view)"),
    "segment_semantic": Annotator(
        semantic.segment_semantic, Likeness.OTHER, "the true classes, where the release has those that a network saw", needs=("category",)
    ),
    "mask_valid": Annotator(surfaces.mask_valid, Likeness.SAME, "where depth is not a hole, by definition", measured=("depth",)),
    "class_object": Annotator(
        semantic.class_object, Likeness.OTHER, "computed from the true classes, where the release has a network's logits", needs=("category",)
    ),
    "class_scene": Annotator(
        semantic.class_scene, Likeness.OTHER, "computed from the true room, where the release has a network's probabilities", needs=("scene",)
    ),
}


def annotate(frame: Frame, domains: Iterable[str] | None = None) -> dict[str, Any]:
    """Compute the labels of one view, in physical values (`formats.to_bytes` encodes them as files).

    Args:
        frame: The view.
        domains: Names of the domains; None: all whose inputs the frame has.

    Raises:
        TaskonomyError: A domain is unknown or does not come from a frame, or the frame lacks its input.
    """
    if domains is None:
        return {name: annotator.make(frame) for name, annotator in ANNOTATORS.items() if not _missing(frame, annotator)}
    wanted = list(domains)
    if strangers := [name for name in wanted if name not in ANNOTATORS]:
        raise unknown("domains", strangers, ANNOTATORS)
    for name in wanted:
        if missing := _missing(frame, ANNOTATORS[name]):
            raise TaskonomyError(f"{name}: cannot be made, the frame has no {', '.join(missing)}")
    return {name: ANNOTATORS[name].make(frame) for name in wanted}


def _missing(frame: Frame, annotator: Annotator) -> list[str]:
    return [field for field in annotator.needs if getattr(frame, field) is None]
