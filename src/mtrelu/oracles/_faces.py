"""Maxima of a quadratic form on the cells and faces of an arrangement.

On a closed cell the square of the dual function is ``w' M w``. If the largest eigenvalue of M is at
most the square of a threshold, the whole cell is, with all its faces. Else the maximum over the
cell is at the top eigenvector, if that lies in it, or on a facet, where the same applies to the
form on the hyperplane of the facet.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from mtrelu.oracles._cells import TIE, has_bit
from mtrelu.oracles._forms import (
    gram,
    is_bounded,
    length_of,
    restrict,
    top_eigenpair,
    trace,
    triangle,
)
from mtrelu.oracles._local import is_maximiser
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_SWEEPS = 8


class Pencil(NamedTuple):
    """The hyperplanes through one data point, the pivot, that pass through others too.

    Attributes
    ----------
    pivot : int
        The data point.
    points : ndarray of shape (m,)
        The data points that differ from it, ordered by hyperplane.
    sides : ndarray of shape (m,)
        ±1: on which side of its normal a point lies from the pivot.
    starts : ndarray of shape (n + 1,)
        Where the points of each hyperplane start.
    normals : ndarray of shape (n, q)
        Unit normals.
    """

    pivot: int
    points: np.ndarray
    sides: FloatArray
    starts: np.ndarray
    normals: FloatArray


@njit(cache=True)
def _active_sum(
    Z: np.ndarray, P: np.ndarray, pivot: int, points: np.ndarray, sides: np.ndarray,
    starts: np.ndarray, positive: np.ndarray,
) -> np.ndarray:  # fmt: skip
    G = np.zeros((P.shape[1], Z.shape[1]))
    for c in range(starts.size - 1):
        for m in range(starts[c], starts[c + 1]):
            i = points[m]
            if (sides[m] > 0) == positive[c]:
                for t in range(P.shape[1]):
                    for a in range(Z.shape[1]):
                        G[t, a] += P[i, t] * (Z[i, a] - Z[pivot, a])
    return G


@njit(cache=True)
def _below(
    rays: np.ndarray, vectors: np.ndarray, values: np.ndarray, moved: float, limit: float,
    d: np.ndarray, weights: np.ndarray,
) -> bool:  # fmt: skip
    # On the cone of rays r_i, g is convex: if d·r_i ≥ g(r_i) for all, then g(w) ≤ d·w ≤ |d|.
    # First d along the middle of the rays, then towards the shortest by Hildreth's method.
    q, m = vectors.shape[1], rays.size
    for i in range(m):
        if values[rays[i] & 1, rays[i] >> 1] >= limit:
            return False
        weights[i] = 1.0
    for sweep in range(_SWEEPS):
        for a in range(q):
            d[a] = 0.0
        for i in range(m):
            sign = -weights[i] if rays[i] & 1 else weights[i]
            for a in range(q):
                d[a] += sign * vectors[rays[i] >> 1, a]
        size, gain, factor = 0.0, 0.0, 0.0
        for a in range(q):
            size += d[a] * d[a]
        length = math.sqrt(size)
        for i in range(m):
            dot = -moved * length
            for a in range(q):
                dot += (-d[a] if rays[i] & 1 else d[a]) * vectors[rays[i] >> 1, a]
            value = values[rays[i] & 1, rays[i] >> 1]
            factor = max(factor, value / dot if dot > 0.0 else math.inf)
            gain += weights[i] * value
        if factor * length < limit:
            return True
        if sweep == 0:  # start from nothing
            for a in range(q):
                d[a] = 0.0
            for i in range(m):
                weights[i] = 0.0
        elif gain >= limit * length:  # by duality there is no d shorter than the limit
            return False
        for i in range(m):
            dot = 0.0
            for a in range(q):
                dot += (-d[a] if rays[i] & 1 else d[a]) * vectors[rays[i] >> 1, a]
            value = values[rays[i] & 1, rays[i] >> 1]
            step = max(value - dot, -weights[i])
            weights[i] += step
            for a in range(q):
                d[a] += (-step if rays[i] & 1 else step) * vectors[rays[i] >> 1, a]
    return False


@njit(cache=True)
def _most_rays(starts: np.ndarray) -> int:
    most = 0
    for cell in range(starts.size - 1):
        most = max(most, starts[cell + 1] - starts[cell])
    return most


@njit(cache=True)
def surviving_cells(
    starts: np.ndarray, incident: np.ndarray, vectors: np.ndarray, values: np.ndarray,
    moved: float, limit: float, both: bool,
) -> np.ndarray:  # fmt: skip
    """Return the cells that the values on their rays do not bound, as 2 i or 2 i + 1 (opposite).

    Parameters
    ----------
    starts, incident, vectors
        As in `Arrangement`.
    values : ndarray of shape (2, R)
        Dual function on the rays and on their opposites, rounded up.
    moved : float
        How far rounding may have moved a ray.
    limit : float
        The bound.
    both : bool
        Whether opposite cells differ.
    """
    found, out = 0, np.empty((starts.size - 1) * (2 if both else 1), np.int64)
    d, largest = np.empty(vectors.shape[1]), _most_rays(starts)
    weights, flipped = np.empty(largest), np.empty(largest, np.int32)
    for cell in range(starts.size - 1):
        rays = incident[starts[cell] : starts[cell + 1]]
        for side in range(2 if both else 1):
            if side == 1:
                for m in range(rays.size):
                    flipped[m] = rays[m] ^ 1
                rays = flipped[: rays.size]
            if not _below(rays, vectors, values, moved, limit, d, weights):
                out[found] = 2 * cell + side
                found += 1
    return out[:found]


@njit(cache=True)
def _lies_in(w: np.ndarray, normals: np.ndarray, positive: np.ndarray) -> int:
    # 1 if w is in the closed cell, -1 if -w is, else 0.
    inside, opposite = True, True
    for c in range(normals.shape[0]):
        h = 0.0
        for a in range(w.size):
            h += normals[c, a] * w[a]
        if not positive[c]:
            h = -h
        inside = inside and h >= -TIE
        opposite = opposite and h <= TIE
        if not inside and not opposite:
            return 0
    return 1 if inside else -1


@njit(cache=True)
def _worth_returning(
    w: np.ndarray, chosen: np.ndarray, incident: np.ndarray, positive: np.ndarray,
    zeros: np.ndarray, Z: np.ndarray, P: np.ndarray, pivot: int, points: np.ndarray,
    sides: np.ndarray, starts: np.ndarray,
) -> bool:  # fmt: skip
    # Local maximisers, and all where several ways lead to one flat: there the test fails to apply.
    pinned, active = np.empty(chosen.size + 1, np.int64), np.zeros(Z.shape[0], np.bool_)
    pinned[0] = pivot
    for row in range(chosen.size):
        pinned[row + 1] = points[starts[chosen[row]]]
    for c in range(starts.size - 1):
        flat, on_it = True, False
        for ray in incident:
            flat = flat and has_bit(zeros[ray >> 1], c)
        for row in range(chosen.size):
            on_it = on_it or chosen[row] == c
        if flat != on_it or (on_it and starts[c + 1] - starts[c] > 1):
            return True
        for m in range(starts[c], starts[c + 1]):
            active[points[m]] = not on_it and (sides[m] > 0) == positive[c]
    return is_maximiser(Z, P, pinned, active, w)


@njit(cache=True)
def _is_first(c: int, chosen: np.ndarray, positive: np.ndarray) -> bool:
    # In general position 2^level cells share a face. It is treated from the one where all chosen
    # normals have the sign of the first that is not chosen.
    other = 0
    while other < positive.size:
        taken = other == c
        for row in range(chosen.size):
            taken = taken or chosen[row] == other
        if not taken:
            break
        other += 1
    if other < positive.size and positive[other] != positive[c]:
        return False
    return chosen.size == 0 or positive[chosen[0]] == positive[c]


@njit(cache=True)
def refine(
    survivors: np.ndarray, cells: np.ndarray, rays_from: np.ndarray, rays_of: np.ndarray,
    vectors: np.ndarray, zeros: np.ndarray, values: np.ndarray, moved: float,
    simple: bool, error: float, raising: bool,
    Z: np.ndarray, P: np.ndarray, pivot: int, points: np.ndarray, sides: np.ndarray,
    starts: np.ndarray, normals: np.ndarray, state: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    """Find the maximisers above the threshold on closed cells.

    Parameters
    ----------
    survivors : ndarray of shape (F,)
        Answer of `surviving_cells`.
    cells, rays_from, rays_of, vectors, zeros, moved
        The arrangement.
    values : ndarray of shape (2, R)
        Dual function on the rays.
    simple : bool
        Whether the arrangement is in general position.
    error : float
        How far rounding of G, and what the arrangement treated as zero, can have moved the dual
        function.
    raising : bool
        Whether every maximum found becomes the threshold.
    Z, P : ndarray of shape (N, q), (N, T)
        Data and dual variable.
    pivot, points, sides, starts, normals
        The pencil.
    state : ndarray of shape (2,)
        Threshold, and an upper bound of what is above; both are updated.
    out : ndarray of shape (capacity, q + 1)
        Receives w and b.

    Returns
    -------
    int
        How many were found; those beyond the capacity are missing.
    """
    n, q = normals.shape
    most = _most_rays(rays_from)
    # One level for each hyperplane of a face.
    bases, forms = np.zeros((q + 1, q, q)), np.zeros((q + 1, q, q))
    incident, n_incident = np.empty((q + 1, most), np.int32), np.zeros(q + 1, np.int64)
    chosen, following = np.zeros(q + 1, np.int64), np.zeros(q + 1, np.int64)
    errors, tops, weights = np.zeros(q + 1), np.zeros(q + 1), np.empty(most)
    # The direction that each hyperplane takes from the flat before, and by how much an exact flat
    # may be off along it.
    across, slips = np.zeros((q + 1, q)), np.zeros(q + 1)
    work, rotations, x, w = np.empty((q, q)), np.empty((q, q)), np.empty(q), np.empty(q)
    positive, earlier, count = np.empty(n, np.bool_), np.zeros(n, np.bool_), 0
    for c in range(n):  # faces that belong to another pivot
        for m in range(starts[c], starts[c + 1]):
            earlier[c] = earlier[c] or points[m] < pivot
    for survivor in survivors:
        cell, side = survivor >> 1, survivor & 1
        for c in range(n):
            positive[c] = has_bit(cells[cell], c) != (side == 1)
        G = triangle(_active_sum(Z, P, pivot, points, sides, starts, positive))
        for a in range(q):
            for m in range(q):
                bases[0, a, m] = 1.0 if a == m else 0.0
        gram(G, bases[0], q, x, forms[0])
        n_incident[0], errors[0] = rays_from[cell + 1] - rays_from[cell], error
        for m in range(n_incident[0]):
            incident[0, m] = rays_of[rays_from[cell] + m] ^ side
        level, arrived = 0, True
        while level >= 0:
            k = q - level
            if arrived:
                arrived = False
                limit = state[0] - errors[level]
                here = incident[level, : n_incident[level]]
                # What rounding can move a form is relative to the form that it was made from.
                made_from = trace(forms[max(level - 1, 0)], min(k + 1, q))
                room = 128 * q * _EPS * made_from
                if is_bounded(forms[level], k, limit, room, work) or (
                    level > 0 and _below(here, vectors, values, moved, limit, w, weights)
                ):
                    level -= 1
                    continue
                if level > 0:
                    gram(G, bases[level], k, x, forms[level])
                tops[level] = math.sqrt(top_eigenpair(forms[level], k, work, rotations, x))
                tops[level] *= 1.0 + 16 * q * _EPS
                if tops[level] < limit:
                    level -= 1
                    continue
                for a in range(q):
                    w[a] = 0.0
                    for c in range(k):
                        w[a] += bases[level, a, c] * x[c]
                lies = _lies_in(w, normals, positive)
                if lies != 0:
                    for a in range(q):
                        w[a] *= lies
                    state[1] = max(state[1], tops[level] + errors[level])
                    if raising:
                        state[0] = max(state[0], length_of(G, w))
                    if _worth_returning(
                        w, chosen[:level], here, positive, zeros, Z, P, pivot, points, sides, starts
                    ):
                        if count < out.shape[0]:
                            out[count, q] = 0.0
                            for a in range(q):
                                out[count, a] = w[a]
                                out[count, q] -= w[a] * Z[pivot, a]
                        count += 1
                following[level] = chosen[level - 1] + 1 if level > 0 else 0
            c = following[level]
            if c >= n or k == 1:
                level -= 1
                continue
            following[level] += 1
            if earlier[c] or (simple and not _is_first(c, chosen[:level], positive)):
                continue
            found = 0
            for m in range(n_incident[level]):
                if has_bit(zeros[incident[level, m] >> 1], c):
                    incident[level + 1, found] = incident[level, m]
                    found += 1
            if found == 0 or found == n_incident[level]:
                continue
            length = 0.0
            for m in range(k):
                x[m] = 0.0
                for a in range(q):
                    x[m] += bases[level, a, m] * normals[c, a]
                length += x[m] * x[m]
            length, slip = math.sqrt(length), 8 * q * _EPS
            for row in range(level):
                dot = 0.0
                for a in range(q):
                    dot += normals[c, a] * across[row, a]
                slip += abs(dot) * slips[row]
            if length <= TIE or slip > 1e-3 * length:
                # What is on this hyperplane is at most what is without it.
                state[1] = max(state[1], tops[level] + errors[level])
                continue
            slips[level] = slip / length
            for a in range(q):
                across[level, a] = 0.0
                for m in range(k):
                    across[level, a] += bases[level, a, m] * x[m] / length
            restrict(
                bases[level], forms[level], k, x, length, w, bases[level + 1], forms[level + 1]
            )  # fmt: skip
            n_incident[level + 1] = found
            errors[level + 1] = errors[level] + slips[level] * length_of(G, across[level])
            chosen[level] = c
            level, arrived = level + 1, True
    return count
