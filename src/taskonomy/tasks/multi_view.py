"""Form samples of two or three views. Every view is the first image of one sample if it has partners."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from taskonomy.numeric.rng import generator

Rows = Int[np.ndarray, "samples images"]


@dataclass(frozen=True)
class Views:
    """The views of one building.

    Attributes:
        building: Name of the building.
        rows: Row of each view among all views.
        points: Point that each view fixates.
        others: For each point, the rows of the views that see it without fixating it.
    """

    building: str
    rows: Int[np.ndarray, " views"]
    points: Int[np.ndarray, " views"]
    others: Mapping[int, tuple[int, ...]]

    def of_same_point(self, position: int) -> list[int]:
        """Return the rows of the other views that fixate the same point as this one, in circular order after it."""
        same = [int(one) for one in np.flatnonzero(self.points == self.points[position])]
        start = same.index(position)
        return [int(self.rows[one]) for one in same[start + 1 :] + same[:start]]


def fixated_pairs(views: Views, seed: int) -> Rows:
    """Pair each view with the next one that fixates the same point."""
    return _rows([(int(row), partners[0]) for row, partners in _partners(views) if partners], 2)


def triplets(views: Views, seed: int) -> Rows:
    """Group each view with the next two that fixate the same point."""
    return _rows([(int(row), *partners[:2]) for row, partners in _partners(views) if len(partners) >= 2], 3)


def nonfixated_pairs(views: Views, seed: int) -> Rows:
    """Pair each view with a random one that sees the point it fixates without fixating it."""
    pairs: list[tuple[int, ...]] = []
    for row, point in zip(views.rows, views.points, strict=True):
        partners = [other for other in views.others.get(int(point), ()) if other != row]
        if partners:
            pick = generator(seed, "nonfixated", views.building, int(row - views.rows[0])).integers(len(partners))
            pairs.append((int(row), partners[pick]))
    return _rows(pairs, 2)


def matching_pairs(views: Views, seed: int) -> Rows:
    """Pair views alternately with the next view of the same point, and with a random view of another point of their building."""
    pairs: list[tuple[int, ...]] = []
    for position, (row, partners) in enumerate(_partners(views)):
        different = views.rows[views.points != views.points[position]]
        if position % 2 == 0 and partners:
            pairs.append((int(row), partners[0]))
        elif position % 2 == 1 and len(different):
            pick = generator(seed, "matching", views.building, position).integers(len(different))
            pairs.append((int(row), int(different[pick])))
    return _rows(pairs, 2)


def listed(views: Views, seed: int) -> Rows:
    """Raise an error: the source lists the samples of custom tasks of several images, so they cannot be formed from views.

    Tasks with such samples are recognised by having this function as `group`.
    """
    raise TypeError("samples that a source lists do not follow from views")


def _partners(views: Views) -> list[tuple[int, list[int]]]:
    return [(int(row), views.of_same_point(position)) for position, row in enumerate(views.rows)]


def _rows(samples: list[tuple[int, ...]], images: int) -> Rows:
    return np.array(samples, np.int64).reshape(-1, images)
