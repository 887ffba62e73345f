"""Permutations of the jigsaw task: 100 orders of 9 tiles that differ from one another as much as possible."""

from functools import cache
from itertools import permutations

import numpy as np
from jaxtyping import Float, UInt8

from taskonomy.numeric.rng import generator

TILES = 9
SIDE = 3


@cache
def permutation_set(count: int = 100) -> UInt8[np.ndarray, "count 9"]:
    """Return `count` permutations of the tiles, each with the largest sum of Hamming distances to the previous ones.

    Of equally good ones the first in lexicographic order is taken, so the result is deterministic. Any two of the permutations differ in at least
    two places, as distinct permutations always do.
    """
    every = np.array(list(permutations(range(TILES))), np.uint8)
    chosen = [int(generator(0, "jigsaw").integers(len(every)))]
    distance = (every != every[chosen[0]]).sum(1)
    while len(chosen) < count:
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
        distance += (every != every[chosen[-1]]).sum(1)
    return every[chosen]


def tiles(
    image: UInt8[np.ndarray, "height width 3"], offsets: Float[np.ndarray, "9 2"], share: float = 0.9
) -> UInt8[np.ndarray, "9 tile_height tile_width 3"]:
    """Cut nine crops in reading order, each `share` of its cell, shifted within the cell so that edges of neighbours do not match.

    Args:
        image: The whole image.
        offsets: Position of each crop in the free space of its cell, in [0, 1), down then right.
        share: Side of a crop as a share of its cell's side.
    """
    cell = image.shape[0] // SIDE, image.shape[1] // SIDE
    crop = max(1, int(cell[0] * share)), max(1, int(cell[1] * share))
    out = []
    for number, (down, right) in enumerate(offsets):
        top = number // SIDE * cell[0] + int(down * (cell[0] - crop[0] + 1))
        left = number % SIDE * cell[1] + int(right * (cell[1] - crop[1] + 1))
        out.append(image[top : top + crop[0], left : left + crop[1]])
    return np.stack(out)
