"""Every label that one view has, by the name of its domain."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from taskonomy.annotate import curvature, edges, keypoints2d, keypoints3d, segments, semantic, surfaces
from taskonomy.annotate.frame import Frame
from taskonomy.errors import TaskonomyError, unknown


@dataclass(frozen=True)
class Annotator:
    """How one domain is made.

    Attributes:
        make: From a frame to the physical values that `taskonomy.data.formats` stores.
        needs: Fields of the frame without which it cannot be made, beyond those that every frame has.
    """

    make: Callable[[Frame], Any]
    needs: tuple[str, ...] = ()


ANNOTATORS = {
    "rgb": Annotator(surfaces.rgb),
    "depth_zbuffer": Annotator(surfaces.depth_zbuffer),
    "depth_euclidean": Annotator(surfaces.depth_euclidean),
    "normal": Annotator(surfaces.normal),
    "principal_curvature": Annotator(curvature.principal_curvature),
    "reshading": Annotator(surfaces.reshading),
    "edge_texture": Annotator(edges.edge_texture),
    "edge_occlusion": Annotator(edges.edge_occlusion),
    "keypoints2d": Annotator(keypoints2d.keypoints2d),
    "keypoints3d": Annotator(keypoints3d.keypoints3d),
    "segment_unsup2d": Annotator(segments.segment_unsup2d),
    "segment_unsup25d": Annotator(segments.segment_unsup25d),
    "segment_semantic": Annotator(semantic.segment_semantic, needs=("category",)),
    "mask_valid": Annotator(surfaces.mask_valid),
    "class_object": Annotator(semantic.class_object, needs=("category",)),
    "class_scene": Annotator(semantic.class_scene, needs=("scene",)),
}


def annotate(frame: Frame, domains: Iterable[str] | None = None) -> dict[str, Any]:
    """The labels of one view, in physical values (`formats.to_bytes` makes their files).

    Args:
        frame: The view.
        domains: Which; None: all that the frame has the inputs of.

    Raises:
        TaskonomyError: A domain that nobody knows or that does not come from a frame, or one whose input the frame lacks.
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
