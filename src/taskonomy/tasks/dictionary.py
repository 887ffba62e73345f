"""The tasks of Taskonomy (paper section 3.0 and figure 3), under the names of the released label domains.

There is one entry per task, and no other place in the project lists them. Adding a task means adding an entry; only a label of a new kind also needs
a function in `taskonomy.tasks.preprocess`, `taskonomy.labels.encodings` or both. Labels of the usual kinds can be declared in params.yaml instead
(`taskonomy.tasks.custom_tasks`). Code that needs a task is given a registry (`taskonomy.tasks.registry`), which holds built-in and custom tasks.
"""

from collections.abc import Callable
from typing import Any

from taskonomy.labels import encodings as to
from taskonomy.labels import mirror as turns
from taskonomy.labels.classes import OBJECTS, PLACES
from taskonomy.labels.colour import BINS
from taskonomy.labels.encodings import Head, Input, Label, Loss, Mask
from taskonomy.labels.mirror import Mirroring
from taskonomy.labels.task import Task
from taskonomy.numeric import poses
from taskonomy.tasks import multi_view as samples
from taskonomy.tasks import preprocess as making

# Family -> its meaning, in the order in which figures show them.
FAMILIES = {
    "2D": "appearance in the image plane",
    "3D": "geometry of the surfaces seen",
    "geometric": "pose and layout, in a few numbers",
    "semantic": "what is there",
    "self-supervised": "labels that cost nothing",
    "other": "not in the paper's dictionary",
}
# Families whose labels are computed from the image alone, so that labelling costs nothing.
FREE = frozenset({"2D", "self-supervised"})


def _map(domain: str, channels: int, **more: Any) -> Label:
    """Build the label of an 8-bit map with values in [-1, 1]."""
    return Label(("h", "h", channels), "uint8", to.signed, (domain,), making.eight_bit(domain, channels), mirror=turns.MAP, **more)


def _interest(domain: str, limit: float, mirror: Mirroring | None) -> Label:
    """Build the label of a 16-bit map of edges or keypoints; values up to `limit` are distinguished."""
    return Label(("h", "h", 1), "uint16", to.limited, (domain,), making.sixteen_bit(domain), options={"limit": limit}, mirror=mirror)


def _depth(domain: str) -> Label:
    domains = tuple(dict.fromkeys((domain, "depth_zbuffer")))
    return Label(("h", "h", 1), "uint16", to.share, domains, making.log_depth(domain), mask=Mask.DEPTH, mirror=turns.MAP)


def _segments(domain: str) -> Label:
    """Build the label of segment ids; `pixels` of them are compared in each image (reference: 300)."""
    return Label(("h", "h"), "uint8", to.same, (domain,), making.ids(domain), options={"pixels": 300}, mirror=turns.MAP)


def _image_itself() -> Label:
    """Build the label of tasks whose label is the clean image, which is stored once, as the image."""
    return Label(("h", "h", 3), "uint8", to.signed, mirror=turns.MAP)


def _shots(numbers: int, function: Callable[..., Any], mirror: Mirroring, *, standardised: bool = True, dtype: str = "float32") -> Label:
    how = to.scores if standardised else to.same
    statistics = "mean_std" if standardised else ""
    return Label((numbers,), dtype, how, ("point_info",), of_shots=function, statistics=statistics, mirror=mirror)


def _pair(*shots: to.Shot) -> Any:
    return poses.pose_of_pair(*(shot.camera for shot in shots))


def _triplet(*shots: to.Shot) -> Any:
    return poses.poses_of_triplet(*(shot.camera for shot in shots))


def _same_point(first: to.Shot, second: to.Shot) -> Any:
    return [(first.building, first.point) == (second.building, second.point)]


_MAP3, _MAP1 = Head(3, tanh=True), Head(1, tanh=True)
_SEGMENTS = Head(64, tanh=True)
ENTRIES = (
    # 3D
    Task("normal", "Surface normals", "3D", "rgb2sfnorm",
         Label(("h", "h", 3), "uint8", to.signed, ("normal", "depth_zbuffer"), making.eight_bit("normal", 3), mask=Mask.DEPTH,
               mirror=turns.NORMALS),
         Loss.L1, _MAP3, picture="map"),
    Task("depth_zbuffer", "Z-buffer depth", "3D", "rgb2depth", _depth("depth_zbuffer"), Loss.L1, _MAP1, picture="map"),
    Task("depth_euclidean", "Euclidean distance", "3D", "rgb2mist", _depth("depth_euclidean"), Loss.L1, _MAP1, picture="map"),
    Task("principal_curvature", "Principal curvature", "3D", "curvature",
         Label(("h", "h", 2), "uint8", to.curvature_scores, ("principal_curvature", "depth_zbuffer"), making.curvatures,
               mask=Mask.DEPTH, valid=to.has_curvature, mirror=turns.MAP), Loss.L2, Head(2), picture="map"),
    Task("reshading", "Reshading", "3D", "reshade",
         Label(("h", "h", 1), "uint8", to.signed, ("reshading", "depth_zbuffer"), making.eight_bit("reshading", 1), mask=Mask.DEPTH,
               mirror=turns.MAP),
         Loss.L1, _MAP1, picture="map"),
    Task("edge_occlusion", "3D occlusion edges", "3D", "edge3d",
         Label(("h", "h", 1), "uint16", to.unlimited, ("edge_occlusion", "depth_zbuffer"), making.blurred, mask=Mask.DEPTH,
               options={"limit": 0.00625, "blur": 4.0}, mirror=turns.MAP), Loss.L1, Head(1), picture="map"),
    Task("keypoints3d", "3D keypoints", "3D", "keypoint3d",
         Label(("h", "h", 1), "uint16", to.limited, ("keypoints3d", "depth_zbuffer"), making.sixteen_bit("keypoints3d"), mask=Mask.DEPTH,
               options={"limit": 1.0}, mirror=turns.MAP), Loss.L1, _MAP1, picture="map"),
    Task("segment_unsup25d", "Unsupervised 2.5D segmentation", "3D", "segment25d", _segments("segment_unsup25d"),
         Loss.PAIRWISE, _SEGMENTS, picture="segments"),
    # 2D
    Task("edge_texture", "2D texture edges", "2D", "edge2d", _interest("edge_texture", 0.08, turns.MAP), Loss.L1, _MAP1, picture="map"),
    # Its box filters lie off their centres, always to the same side: keypoints of a mirrored image are others (r 0.7), so none is mirrored.
    Task("keypoints2d", "2D keypoints", "2D", "keypoint2d", _interest("keypoints2d", 0.005, None), Loss.L1, _MAP1, picture="map"),
    Task("segment_unsup2d", "Unsupervised 2D segmentation", "2D", "segment2d", _segments("segment_unsup2d"),
         Loss.PAIRWISE, _SEGMENTS, picture="segments"),
    Task("autoencoding", "Autoencoding", "2D", "autoencoder", _image_itself(), Loss.L1, _MAP3, picture="map"),
    Task("denoising", "Denoising", "2D", "denoise", _image_itself(), Loss.L1, _MAP3, Input.NOISE, picture="map"),
    # geometric
    Task("room_layout", "Room layout", "geometric", "room_layout",
         Label((9,), "float32", to.scores, ("point_info",), lambda files: poses.room_layout(files.camera, files.field("bounding_box_ranges")),
               statistics="mean_std", fields=("bounding_box_ranges",), mirror=turns.LAYOUT), Loss.L2, Head(9, layers=2), picture="box"),
    Task("vanishing_point", "Vanishing points", "geometric", "vanishing_point_well_defined",
         Label((9,), "float32", to.same, ("point_info",), lambda files: poses.vanishing_points(files.camera),
               mirror=turns.DIRECTIONS),
         Loss.L2, Head(9, layers=2), picture="directions"),
    Task("camera_pose_fixated", "Relative camera pose, fixated", "geometric", "fix_pose",
         _shots(6, _pair, turns.POSE), Loss.POSE, Head(6, layers=2), images=2, group=samples.fixated_pairs, picture="poses"),
    Task("camera_pose_nonfixated", "Relative camera pose, non-fixated", "geometric", "non_fixated_pose",
         _shots(6, _pair, turns.POSE), Loss.POSE, Head(6, layers=3), images=2, group=samples.nonfixated_pairs, picture="poses"),
    Task("egomotion", "Egomotion (triplet pose)", "geometric", "ego_motion",
         _shots(18, _triplet, turns.POSES), Loss.EGOMOTION, Head(18, layers=3, hidden=1024), images=3, group=samples.triplets, picture="poses"),
    Task("point_matching", "Point matching", "geometric", "point_match",
         _shots(1, _same_point, turns.SAME, standardised=False, dtype="uint8"), Loss.CROSS_ENTROPY, Head(2, layers=2, hidden=256), images=2,
         group=samples.matching_pairs, picture="match"),
    # semantic
    Task("segment_semantic", "Semantic segmentation", "semantic", "segmentsemantic_rb",
         Label(("h", "h"), "uint8", to.same, ("segment_semantic",), making.semantic_classes, statistics="class_weights",
               mirror=turns.MAP),
         Loss.CROSS_ENTROPY, Head(1 + len(OBJECTS)), picture="classes"),
    Task("class_object", "Object classification (1000)", "semantic", "class_1000",
         Label((1000,), "float16", to.shares, ("class_object",), making.object_shares, mirror=turns.SAME),
         Loss.SOFT_CROSS_ENTROPY, Head(1000, layers=2), picture="objects"),
    Task("class_object_100", "Object classification (100)", "semantic", "class_selected", roles=("source",)),
    Task("class_scene", "Scene classification", "semantic", "class_places",
         Label((len(PLACES),), "float16", to.shares, ("class_scene",), making.scene_shares, mirror=turns.SAME),
         Loss.SOFT_CROSS_ENTROPY, Head(len(PLACES), layers=2), picture="scenes"),
    # self-supervised
    Task("inpainting", "In-painting (context encoding)", "self-supervised", "impainting_whole", _image_itself(), Loss.L1, _MAP3, Input.HOLE,
         roles=("source",), picture="map"),
    Task("colorization", "Colorization", "self-supervised", "colorization",
         Label(("h/4", "h/4", 2), "int8", to.soft_colours, ("rgb",), making.lab_colours, statistics="bin_weights",
               options={"neighbours": 10, "sigma": 5.0}, mirror=turns.MAP),
         Loss.SOFT_CROSS_ENTROPY, Head(len(BINS), shrink=4), Input.LIGHTNESS, roles=("source",), picture="colours"),
    Task("jigsaw", "Jigsaw (context prediction)", "self-supervised", "jigsaw",
         Label((1,), "uint8", to.same, ("rgb",), making.permutation, mirror=turns.SAME), Loss.CROSS_ENTROPY, Head(100, layers=3), Input.TILES,
         roles=("source",), picture="tiles"),
    Task("random_projection", "Random projection", "self-supervised", "random", roles=("source",)),
)  # fmt: skip
