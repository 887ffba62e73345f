"""Normalised cuts of a graph of image regions (Shi and Malik, PAMI 2000), without random starting vectors."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int64
from numba import njit
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

NEGLIGIBLE = 1e-9  # of the largest weight: weaker ties do not hold regions together
MARGIN = 1e-9  # by which a cut must stay below the threshold: equal weights give costs of exactly 1, give or take rounding
SPARSE_FROM = 600  # regions: above, the Fiedler vector comes from a sparse factorisation


def normalized_cut(weights: Float64[np.ndarray, "regions regions"], threshold: float, cuts: int, smallest: int = 2) -> Int64[np.ndarray, "regions"]:
    """Split a graph in two, again and again, as long as the normalised cut costs less than a threshold.

    As `skimage.graph.cut_normalized`, which ranks evenly spaced thresholds of the second eigenvector of the normalised Laplacian, except:
    parts that only negligible weights hold together are separated first (their eigenvector is not unique), the eigenvector is computed
    without a random start, with a fixed sign, and graphs of two regions can be split too.

    Args:
        weights: Symmetric affinities; on the diagonal, of a region with itself.
        threshold: No part is split at this cost or above.
        cuts: How many thresholds of the eigenvector to try.
        smallest: Parts of fewer regions are never split.

    Returns:
        The part of each region, numbered from 0 in the order of their first regions.
    """
    parts = np.zeros(len(weights), np.int64)
    count = 0
    waiting = [np.arange(len(weights))]
    while waiting:
        part = waiting.pop()
        inside = weights[np.ix_(part, part)]
        for piece in _pieces(inside):
            side = None
            if len(piece) >= smallest:
                side = _best_cut(inside if len(piece) == len(part) else inside[np.ix_(piece, piece)], threshold - MARGIN, cuts)
            if side is None:
                parts[part[piece]] = count
                count += 1
            else:
                waiting += [part[piece[side]], part[piece[~side]]]
    return first_come(parts)


def first_come(ids: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    """The same partition, numbered from 0 in the order in which its parts first occur."""
    _values, first, index = np.unique(ids, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[index].reshape(ids.shape)


def _pieces(weights: Float64[np.ndarray, "n n"]) -> list[Int64[np.ndarray, "_"]]:
    """The regions of each part that holds together."""
    if (weights > NEGLIGIBLE * weights.max()).all():
        return [np.arange(len(weights))]
    count, part = connected_components(csr_array(weights > NEGLIGIBLE * weights.max()), directed=False)
    return [np.flatnonzero(part == one) for one in range(count)]


def _best_cut(weights: Float64[np.ndarray, "n n"], limit: float, cuts: int) -> np.ndarray | None:
    """The cheapest of the cuts along the second eigenvector, as a mask of one side; None where all cost `limit` or more."""
    if len(weights) < 2:
        return None
    vector = _second_eigenvector(weights)
    if vector[np.abs(vector).argmax()] < 0:
        vector = -vector
    low, high = vector.min(), vector.max()
    if np.allclose(low, high):
        return None
    order = np.argsort(vector, kind="stable")
    sizes = np.unique(np.searchsorted(vector[order], np.linspace(low, high, cuts, endpoint=False), side="right"))
    cost, size = _cheapest(weights, order, sizes)
    if not cost < limit:
        return None
    side = np.ones(len(weights), bool)
    side[order[:size]] = False
    return side


def _second_eigenvector(weights: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n"]:
    """Of the second smallest eigenvalue of the normalised Laplacian."""
    root = 1 / np.sqrt(weights.sum(axis=0))
    if len(weights) == 2:
        return np.array([1 / root[1], -1 / root[0]])
    laplacian = np.eye(len(weights)) - root[:, None] * weights * root
    if len(weights) < SPARSE_FROM:
        return eigh(laplacian, subset_by_index=[1, 1], check_finite=False)[1][:, 0]
    return _second_of_many(laplacian, 1 / root)


def _second_of_many(laplacian: Float64[np.ndarray, "n n"], lowest: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """The same from a sparse factorisation: Lanczos on the inverse, from a fixed start."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import eigsh

    start = np.cos(np.arange(len(lowest), dtype=np.float64))
    values, vectors = eigsh(csc_array(laplacian), k=2, sigma=-1e-3, v0=start)
    return vectors[:, np.argsort(values)[1]]


@njit(cache=True)
@no_type_check
def _cheapest(weights: np.ndarray, order: np.ndarray, sizes: np.ndarray) -> tuple[float, int]:
    """Cost and size of the cheapest cut that separates the first `size` regions of `order` from the others."""
    count = len(order)
    degree = np.zeros(count)
    for i in range(count):
        for j in range(count):
            degree[i] += weights[i, j]
    inside = np.zeros(count, np.bool_)
    total, associated, between = degree.sum(), 0.0, 0.0
    best, best_size, upcoming = np.inf, 0, 0
    for size in range(1, count):
        new = order[size - 1]
        associated += degree[new]
        for other in range(count):
            if other != new:
                between += -weights[new, other] if inside[other] else weights[new, other]
        inside[new] = True
        while upcoming < len(sizes) and sizes[upcoming] < size:
            upcoming += 1
        if upcoming < len(sizes) and sizes[upcoming] == size:
            cost = between / associated + between / (total - associated)
            if cost < best:
                best, best_size = cost, size
    return best, best_size
