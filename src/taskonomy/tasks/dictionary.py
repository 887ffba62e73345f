"""The tasks of Taskonomy (paper section 3.0 and figure 3), under the names of the released label domains."""

from dataclasses import dataclass

# Family -> its meaning. The order is the one in which people read figures.
FAMILIES = {
    "2D": "appearance in the image plane",
    "3D": "geometry of the surfaces seen",
    "geometric": "pose and layout, in a few numbers",
    "semantic": "what is there",
    "self-supervised": "labels that cost nothing",
    "other": "not in the dictionary",
}


@dataclass(frozen=True)
class Task:
    """One task: how people read it, and how the authors' released result files call it."""

    name: str
    title: str
    family: str
    published_key: str


_ENTRIES = (
    Task("normal", "Surface normals", "3D", "rgb2sfnorm"),
    Task("depth_zbuffer", "Z-buffer depth", "3D", "rgb2depth"),
    Task("depth_euclidean", "Euclidean distance", "3D", "rgb2mist"),
    Task("principal_curvature", "Principal curvature", "3D", "curvature"),
    Task("reshading", "Reshading", "3D", "reshade"),
    Task("edge_texture", "2D texture edges", "2D", "edge2d"),
    Task("edge_occlusion", "3D occlusion edges", "3D", "edge3d"),
    Task("keypoints2d", "2D keypoints", "2D", "keypoint2d"),
    Task("keypoints3d", "3D keypoints", "3D", "keypoint3d"),
    Task("segment_unsup2d", "Unsupervised 2D segmentation", "2D", "segment2d"),
    Task("segment_unsup25d", "Unsupervised 2.5D segmentation", "3D", "segment25d"),
    Task("segment_semantic", "Semantic segmentation", "semantic", "segmentsemantic_rb"),
    Task("class_object", "Object classification (1000)", "semantic", "class_1000"),
    Task("class_object_100", "Object classification (100)", "semantic", "class_selected"),
    Task("class_scene", "Scene classification", "semantic", "class_places"),
    Task("room_layout", "Room layout", "geometric", "room_layout"),
    Task("vanishing_point", "Vanishing points", "geometric", "vanishing_point_well_defined"),
    Task("camera_pose_fixated", "Relative camera pose, fixated", "geometric", "fix_pose"),
    Task("camera_pose_nonfixated", "Relative camera pose, non-fixated", "geometric", "non_fixated_pose"),
    Task("egomotion", "Egomotion (triplet pose)", "geometric", "ego_motion"),
    Task("point_matching", "Point matching", "geometric", "point_match"),
    Task("autoencoding", "Autoencoding", "2D", "autoencoder"),
    Task("denoising", "Denoising", "2D", "denoise"),
    Task("inpainting", "In-painting (context encoding)", "self-supervised", "impainting_whole"),
    Task("colorization", "Colorization", "self-supervised", "colorization"),
    Task("jigsaw", "Jigsaw (context prediction)", "self-supervised", "jigsaw"),
    Task("random_projection", "Random projection", "self-supervised", "random"),
)

DICTIONARY = {task.name: task for task in _ENTRIES}


def family_of(name: str) -> str:
    """The family of a task; a user's own task that is not in the dictionary is `other`."""
    return DICTIONARY[name].family if name in DICTIONARY else "other"


def title_of(name: str) -> str:
    """The title people read; a task that is not in the dictionary goes by its name."""
    return DICTIONARY[name].title if name in DICTIONARY else name
