"""Labels computed from cameras: relative poses, vanishing points, room layout (in the reference's conventions)."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from taskonomy.numeric.geometry import Camera

Ranges = dict[str, list[float]]


def pose_of_pair(first: "Camera", second: "Camera") -> Float[np.ndarray, "6"]:
    """Compute the pose of the first image's camera in the frame of the second's: euler `sxyz` (rad), translation (m)."""
    from taskonomy.numeric.geometry import relative_pose

    return relative_pose(first, second)


def poses_of_triplet(first: "Camera", second: "Camera", third: "Camera") -> Float[np.ndarray, "18"]:
    """Compute the poses of the pairs (1, 2), (1, 3), (2, 3)."""
    from taskonomy.numeric.geometry import relative_pose

    return np.concatenate([relative_pose(first, second), relative_pose(first, third), relative_pose(second, third)])


def compose(earlier: Float[np.ndarray, "6"], later: Float[np.ndarray, "6"]) -> Float[np.ndarray, "6"]:
    """Compose the pose (1, 3) from the poses (1, 2) and (2, 3); the egomotion loss compares it with the label."""
    from scipy.spatial.transform import Rotation

    first, second = Rotation.from_euler("xyz", earlier[:3]), Rotation.from_euler("xyz", later[:3])
    return np.concatenate([(second * first).as_euler("xyz"), second.apply(earlier[3:]) + later[3:]])


def quarter_turn(camera: "Camera") -> Float[np.ndarray, "3 3"]:
    """Return the rotation of the world by a multiple of 90 degrees about Z after which the camera looks within 45 degrees of +X.

    It removes the ambiguity of which horizontal Manhattan axis is which.
    """
    ahead = -camera.rotation[:, 2]
    turns = round(float(np.arctan2(ahead[1], ahead[0])) / (np.pi / 2)) % 4
    cosine, sine = ((1, 0), (0, -1), (-1, 0), (0, 1))[turns]
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], float)


def vanishing_points(camera: "Camera") -> Float[np.ndarray, "9"]:
    """Compute where the Manhattan axes X, Y, Z of the rotated world point, as unit vectors in camera coordinates: X ahead, Y to the left, Z up.

    They follow from the camera's rotation; `vanishing_points_gaussian_sphere` of the camera file is not read. Measured on released files, that
    field is the same frame rotated by 180 degrees about Z: its X and Y are the negatives of these, so its X points back to the viewer. The
    reference's text asks for a camera that looks within 45 degrees of +X, as here; its code adds the angles to X and Y, so X is only within 90
    degrees, to the right of the direction of view.
    """
    return (camera.rotation.T @ quarter_turn(camera).T).T.ravel()


def room_layout(camera: "Camera", ranges: Ranges) -> Float[np.ndarray, "9"]:
    """Compute the room as a box: centre in camera coordinates (m), rotation of the camera in the box's frame (euler `sxyz`, rad), extents (m).

    Args:
        camera: The view's camera.
        ranges: `bounding_box_ranges` of the camera file. Its x holds the world's y, and its y the world's x: the reference, after negating and
            reversing y, has the box in a frame whose x is the world's y and whose y is minus the world's x.
    """
    from scipy.spatial.transform import Rotation

    (low_y, high_y), (low_x, high_x), (low_z, high_z) = ranges["x"], ranges["y"], ranges["z"]
    low, high = np.array([low_x, low_y, low_z]), np.array([high_x, high_y, high_z])
    turn = quarter_turn(camera)
    centre = camera.rotation.T @ ((low + high) / 2 - np.array(camera.location))
    rotation = Rotation.from_matrix(turn @ camera.rotation).as_euler("xyz")
    return np.concatenate([centre, rotation, np.abs(turn @ (high - low))])
