"""How labels turn when their image is mirrored left and right.

The mirror image is what the camera sees after the world and the camera's x axis were reflected. In camera coordinates (X to the right) the
reflection is diag(-1, 1, 1); in the frame of vanishing points and rooms (X ahead, Y to the left, Z up) it is diag(1, -1, 1).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mirroring:
    """How a task's label turns with its image. Maps turn in the units that losses see, numbers in physical ones.

    Attributes:
        flips: Whether it is a map, whose columns are reversed.
        signs: 1 or -1, which each channel or number is multiplied by; empty: all by 1.
        half_turns: Positions of angles (rad) that also change by half a turn, up or down so that they stay within [-pi, pi].
    """

    flips: bool = False
    signs: tuple[int, ...] = ()
    half_turns: tuple[int, ...] = ()


SAME = Mirroring()
MAP = Mirroring(flips=True)
# The first axis of normal files points to the right.
NORMALS = Mirroring(flips=True, signs=(-1, 1, 1))
# Directions of the axes X, Y, Z: D -> diag(1, -1, 1) D diag(-1, 1, 1).
DIRECTIONS = Mirroring(signs=(-1, 1, 1, 1, -1, -1, -1, 1, 1))
# Euler angles (sxyz), translation: R -> diag(-1, 1, 1) R diag(-1, 1, 1), t -> diag(-1, 1, 1) t.
POSE = Mirroring(signs=(1, -1, -1, -1, 1, 1))
POSES = Mirroring(signs=POSE.signs * 3)
# Centre, euler angles (sxyz), extents: R -> diag(1, -1, 1) R diag(-1, 1, 1), which is Rz(pi - c) Ry(-b) Rx(a) for R = Rz(c) Ry(b) Rx(a).
LAYOUT = Mirroring(signs=(-1, 1, 1, 1, -1, -1, 1, 1, 1), half_turns=(5,))
