"""Normalised cuts of a graph of image regions (Shi and Malik, PAMI 2000), without random starting vectors."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int64
from numba import njit
from scipy.linalg.lapack import dsyevr

NEGLIGIBLE = 1e-9  # as a share of the largest weight: weaker edges do not connect regions
MARGIN = 1e-9  # a cut must cost less than the threshold by this: with equal weights costs are exactly 1 but for rounding
LEVEL, LEVEL_SHARE = 1e-8, 1e-5  # absolute plus relative tolerance: an eigenvector whose entries differ by no more gives no cut
SPARSE_FROM = 600  # regions: larger graphs get the Fiedler vector from a sparse factorisation


def normalized_cut(weights: Float64[np.ndarray, "regions regions"], threshold: float, cuts: int, smallest: int = 2) -> Int64[np.ndarray, "regions"]:
    """Split a graph in two repeatedly, as long as the normalised cut costs less than a threshold.

    It works like `skimage.graph.cut_normalized`, which tries evenly spaced thresholds of the second eigenvector of the normalised
    Laplacian, with three differences: parts connected by negligible weights only are separated first (their eigenvector is not unique),
    the eigenvector is computed without a random start and has a fixed sign, and graphs of two regions can be split too.

    Args:
        weights: Symmetric affinities; the diagonal holds those of regions with themselves.
        threshold: Cost at which, and above which, no part is split.
        cuts: Number of thresholds of the eigenvector to try.
        smallest: Number of regions below which a part is never split.

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
    """Renumber a partition from 0 in the order in which its parts first occur."""
    _values, first, index = np.unique(ids, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[index].reshape(ids.shape)


def _pieces(weights: Float64[np.ndarray, "n n"]) -> list[Int64[np.ndarray, "_"]]:
    """Return the regions of each connected part."""
    count, part = _connected(weights)
    return [np.flatnonzero(part == one) for one in range(count)] if count > 1 else [np.arange(len(weights))]


def _best_cut(weights: Float64[np.ndarray, "n n"], limit: float, cuts: int) -> np.ndarray | None:
    """Return the cheapest cut along the second eigenvector, as a mask of one side; None if all cost `limit` or more."""
    if len(weights) < 2:
        return None
    vector = _second_eigenvector(weights)
    if vector[np.abs(vector).argmax()] < 0:
        vector = -vector
    order = np.argsort(vector, kind="stable")
    low, high = vector[order[0]], vector[order[-1]]
    if high - low <= LEVEL + LEVEL_SHARE * abs(high):
        return None
    cost, size = _cheapest(weights, vector, order, low, high, cuts)
    if not cost < limit:
        return None
    side = np.ones(len(weights), bool)
    side[order[:size]] = False
    return side


def _second_eigenvector(weights: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n"]:
    """Compute the eigenvector of the second smallest eigenvalue of the normalised Laplacian."""
    laplacian, root = _laplacian(weights)
    if len(weights) == 2:
        return np.array([1 / root[1], -1 / root[0]])
    if len(weights) < SPARSE_FROM:
        # The LAPACK routine behind scipy.linalg.eigh, called directly: graphs are small and many, and eigh spends most of its time on checks.
        _values, vectors, _found, _support, failed = dsyevr(laplacian, range="I", il=2, iu=2, lower=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError(f"LAPACK's dsyevr failed ({failed}) on a graph of {len(weights)} regions")
        return vectors[:, 0]
    return _second_of_many(laplacian, 1 / root)


def _second_of_many(laplacian: Float64[np.ndarray, "n n"], lowest: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Compute the second eigenvector from a sparse factorisation: Lanczos on the inverse, from a fixed start."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import eigsh

    start = np.cos(np.arange(len(lowest), dtype=np.float64))
    values, vectors = eigsh(csc_array(laplacian), k=2, sigma=-1e-3, v0=start)
    return vectors[:, np.argsort(values)[1]]


@njit(cache=True)
@no_type_check
def _connected(weights: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of connected parts, and the part of each region, in the order of their first regions."""
    count = len(weights)
    least = NEGLIGIBLE * weights.max()
    part = np.full(count, -1)
    waiting = np.empty(count, np.int64)
    parts = 0
    for first in range(count):
        if part[first] >= 0:
            continue
        part[first] = parts
        waiting[0] = first
        left = 1
        while left > 0:
            left -= 1
            here = waiting[left]
            for other in range(count):
                if part[other] < 0 and weights[here, other] > least:
                    part[other] = parts
                    waiting[left] = other
                    left += 1
        parts += 1
    return parts, part


@njit(cache=True)
@no_type_check
def _laplacian(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the normalised Laplacian, and 1 / sqrt of each region's degree."""
    count = len(weights)
    root = np.zeros(count)
    for i in range(count):
        for j in range(count):
            root[j] += weights[i, j]
    root = 1 / np.sqrt(root)
    laplacian = np.empty((count, count))
    for i in range(count):
        for j in range(count):
            laplacian[i, j] = (1.0 if i == j else 0.0) - root[i] * weights[i, j] * root[j]
    return laplacian, root


@njit(cache=True)
@no_type_check
def _cheapest(weights: np.ndarray, vector: np.ndarray, order: np.ndarray, low: float, high: float, cuts: int) -> tuple[float, int]:
    """Return cost and size of the cheapest cut of the first `size` regions of `order`, at `cuts` even steps from `low` to `high`."""
    count = len(order)
    degree = np.zeros(count)
    for i in range(count):
        for j in range(count):
            degree[i] += weights[i, j]
    inside = np.zeros(count, np.bool_)
    total, associated, between = degree.sum(), 0.0, 0.0
    best, best_size, step = np.inf, 0, 0
    for size in range(1, count):
        new = order[size - 1]
        associated += degree[new]
        for other in range(count):
            if other != new:
                between += -weights[new, other] if inside[other] else weights[new, other]
        inside[new] = True
        # Count the cut only if a threshold falls between this region and the next.
        while step < cuts and low + step * ((high - low) / cuts) < vector[new]:
            step += 1
        if step < cuts and low + step * ((high - low) / cuts) < vector[order[size]]:
            cost = between / associated + between / (total - associated)
            if cost < best:
                best, best_size = cost, size
    return best, best_size
