"""Cells of central hyperplane arrangements ``{w : u_i . w = 0}``, ties included.

Every cell of an arrangement whose normals span the space is a pointed cone, so it has a ray, and a
ray is the common zero of q − 1 independent normals. Around a ray the arrangement looks like that
of the normals that vanish there, one dimension lower: that recursion finds every cell, whatever
normals coincide or depend on others. In general position it ends at once, with all 2^(q−1) sign
patterns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from mtrelu.validation import FloatArray

TIE = 1e-10
"""Sines of angles below this are treated as zero; the largest that was is recorded."""

_EPS = float(np.finfo(np.float64).eps)


class Arrangement(NamedTuple):
    """All cells and rays, one of each pair ±.

    Attributes
    ----------
    cells : ndarray of shape (n_cells, words), uint64
        Signs of the normals as bits, 1 for positive.
    starts : ndarray of shape (n_cells + 1,)
        Where the rays of each cell start.
    incident : ndarray of shape (starts[-1],), int32
        Rays of the cells: 2 t for ray t, 2 t + 1 for its opposite.
    vectors : ndarray of shape (R, q)
        The rays, unit vectors.
    zeros : ndarray of shape (R, words), uint64
        Which normals vanish on a ray.
    ray_error : float
        How far rounding may have moved a ray.
    treated_as_zero : float
        The largest sine of an angle that was treated as zero.
    """

    cells: np.ndarray
    starts: np.ndarray
    incident: np.ndarray
    vectors: FloatArray
    zeros: np.ndarray
    ray_error: float
    treated_as_zero: float


@njit(cache=True)
def _binomial(n: int, k: int) -> int:
    result = 1
    for i in range(k):
        result = result * (n - i) // (i + 1)
    return result


@njit(cache=True)
def _residual(u: np.ndarray, Q: np.ndarray, out: np.ndarray) -> float:
    # What orthonormal rows of Q leave of u; twice is enough.
    m, k = Q.shape
    for c in range(k):
        out[c] = u[c]
    for _ in range(2):
        for row in range(m):
            dot = 0.0
            for c in range(k):
                dot += Q[row, c] * out[c]
            for c in range(k):
                out[c] -= dot * Q[row, c]
    size = 0.0
    for c in range(k):
        size += out[c] * out[c]
    return math.sqrt(size)


@njit(cache=True)
def _slip(u: np.ndarray, Q: np.ndarray, slips: np.ndarray) -> float:
    # How far rounding moves u·w for a w orthogonal to the rows of Q, along which it slips.
    total = 8 * u.size * _EPS
    for row in range(Q.shape[0]):
        dot = 0.0
        for c in range(u.size):
            dot += Q[row, c] * u[c]
        total += abs(dot) * slips[row]
    return total


@njit(cache=True)
def _null_vector(Q: np.ndarray, work: np.ndarray, out: np.ndarray) -> None:
    # The unit vector orthogonal to the k - 1 orthonormal rows.
    m, k = Q.shape
    best, largest = 0, -1.0
    for c in range(k):
        left = 1.0
        for row in range(m):
            left -= Q[row, c] * Q[row, c]
        if left > largest:
            best, largest = c, left
    for c in range(k):
        work[c] = 1.0 if c == best else 0.0
    size = _residual(work, Q, out)
    for c in range(k):
        out[c] /= size


@njit(cache=True)
def _comes_first(
    U: np.ndarray, chosen: np.ndarray, Q: np.ndarray, signs: np.ndarray, work: np.ndarray
) -> bool:
    # Whether no earlier basis of the normals that vanish on a ray leads to the same ray.
    m = chosen.size
    for i in range(U.shape[0]):
        if signs[i] != 0:
            continue
        before = 0
        while before < m and chosen[before] < i:
            before += 1
        if before == m or chosen[before] == i:
            continue
        if _residual(U[i], Q[:before], work) > TIE:
            return False
    return True


@njit(cache=True)
def _rays(U: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    # The rays (R, k), one of each pair ±, and the signs (R, n) of the normals there; how far
    # rounding may have moved a ray, and the largest sine that was treated as zero.
    n, k = U.shape
    m = k - 1
    n_rays = _binomial(n, m)
    vectors, signs = np.empty((n_rays, k)), np.empty((n_rays, n), np.int8)
    chosen, Q, slips = np.zeros(m, np.int64), np.empty((m, k)), np.empty(m)
    work, ray, residual = np.empty(k), np.empty(k), np.empty(k)
    if m == 0:
        ray[0] = 1.0
    found, rho, level, moved = 0, 0.0, 0, 4 * _EPS
    while level >= 0:
        if m > 0:
            if chosen[level] > n - m + level:
                level -= 1
                if level >= 0:
                    chosen[level] += 1
                continue
            size = _residual(U[chosen[level]], Q[:level], residual)
            if size <= TIE:
                rho = max(rho, size)
                chosen[level] += 1
                continue
            for c in range(k):
                Q[level, c] = residual[c] / size
            slips[level] = _slip(U[chosen[level]], Q[:level], slips) / size
            if level < m - 1:
                level += 1
                chosen[level] = chosen[level - 1] + 1
                continue
            _null_vector(Q, work, ray)
        slipped = 4 * _EPS  # how far rounding can have moved the ray
        for row in range(m):
            slipped += slips[row]
        n_zero, nearest = 0, 0.0
        for i in range(n):
            dot = 0.0
            for c in range(k):
                dot += U[i, c] * ray[c]
            if abs(dot) <= TIE + 8 * slipped and abs(dot) <= TIE + 4 * _slip(U[i], Q, slips):
                signs[found, i] = 0
                n_zero += 1
                nearest = max(nearest, abs(dot))
            else:
                signs[found, i] = 1 if dot > 0 else -1
        for row in range(m):
            if signs[found, chosen[row]] != 0:
                n_zero += 1
            signs[found, chosen[row]] = 0
        if n_zero > m:
            rho = max(rho, nearest)
        if n_zero == m or _comes_first(U, chosen, Q, signs[found], work):
            for c in range(k):
                vectors[found, c] = ray[c]
            moved = max(moved, slipped)
            found += 1
        if m == 0:
            break
        chosen[level] += 1
    return vectors[:found], signs[:found], moved, rho


@njit(cache=True)
def _slot(key: np.ndarray, keys: np.ndarray, table: np.ndarray) -> int:
    # Where a key is in the hash table, or where it belongs.
    h = np.uint64(0)
    for word in key:
        h = (h ^ word) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    place = np.int64(h & np.uint64(table.size - 1))
    while table[place] >= 0:
        same = True
        for k in range(key.size):
            if keys[table[place], k] != key[k]:
                same = False
        if same:
            break
        place = (place + 1) & (table.size - 1)
    return int(place)


@njit(cache=True)
def set_bit(mask: np.ndarray, i: int, positive: bool) -> None:
    """Set one sign of a bit mask."""
    bit = np.uint64(1) << np.uint64(i & 63)
    if positive:
        mask[i >> 6] |= bit
    else:
        mask[i >> 6] &= ~bit


@njit(cache=True)
def has_bit(mask: np.ndarray, i: int) -> bool:
    """Say whether a sign is positive."""
    return bool((mask[i >> 6] >> np.uint64(i & 63)) & np.uint64(1) != np.uint64(0))


@njit(cache=True)
def complement(mask: np.ndarray, n: int) -> np.ndarray:
    """Return the signs of the opposite cell."""
    out = np.empty(mask.size, np.uint64)
    for word in range(mask.size):
        out[word] = ~mask[word]
    if n & 63:
        out[-1] &= (np.uint64(1) << np.uint64(n & 63)) - np.uint64(1)
    return out


@njit(cache=True)
def _insert(
    mask: np.ndarray, n: int, ray: int, keys: np.ndarray, latest: np.ndarray, table: np.ndarray,
    pairs: np.ndarray, count: np.ndarray,
) -> None:  # fmt: skip
    # A cell around a ray; of each pair ± the one with the first sign positive.
    key, side = mask, 0
    if not has_bit(mask, 0):
        key, side = complement(mask, n), 1
    place = _slot(key, keys, table)
    cell = table[place]
    if cell < 0:
        cell = count[0]
        if cell == keys.shape[0]:
            count[2] = 1
            return
        for word in range(key.size):
            keys[cell, word] = key[word]
        table[place] = cell
        count[0] += 1
    elif latest[cell] == 2 * ray + side:
        return
    if count[1] == pairs.shape[0]:
        count[2] = 1
        return
    latest[cell] = 2 * ray + side
    pairs[count[1], 0], pairs[count[1], 1] = cell, 2 * ray + side
    count[1] += 1


@njit(cache=True)
def _zeros(signs: np.ndarray) -> np.ndarray:
    n, out = 0, np.empty(signs.size, np.int64)
    for i in range(signs.size):
        if signs[i] == 0:
            out[n] = i
            n += 1
    return out[:n]


@njit(cache=True)
def _project(U: np.ndarray, rows: np.ndarray, ray: np.ndarray) -> np.ndarray:
    # Unit normals of the arrangement around a ray: in the coordinates that a Householder
    # reflection gives, which turns the ray into the first axis.
    k = ray.size
    v, out, square = ray.copy(), np.empty((rows.size, k - 1)), 0.0
    v[0] += 1.0 if v[0] >= 0 else -1.0
    for c in range(k):
        square += v[c] * v[c]
    for row in range(rows.size):
        dot, size = 0.0, 0.0
        for c in range(k):
            dot += v[c] * U[rows[row], c]
        for c in range(1, k):
            out[row, c - 1] = U[rows[row], c] - 2.0 * dot / square * v[c]
            size += out[row, c - 1] ** 2
        for c in range(k - 1):
            out[row, c] /= math.sqrt(size)
    return out


@njit(cache=True)
def _add_cells(
    U: np.ndarray,
    place: np.ndarray,
    mask: np.ndarray,
    n: int,
    ray: int,
    keys: np.ndarray,
    latest: np.ndarray,
    table: np.ndarray,
    pairs: np.ndarray,
    count: np.ndarray,
) -> float:
    # Adds the cells that have the signs `mask`, and a cell of the arrangement U at its places.
    rho = 0.0
    waiting = [(U, place, mask)]
    while len(waiting) > 0:
        U, place, mask = waiting.pop()
        m, k = U.shape
        if m == k:
            for pattern in range(1 << k):
                for i in range(k):
                    set_bit(mask, place[i], (pattern >> i) & 1 == 1)
                _insert(mask, n, ray, keys, latest, table, pairs, count)
            continue
        vectors, signs, _, largest = _rays(U)
        rho = max(rho, largest)
        for t in range(vectors.shape[0]):
            zero = _zeros(signs[t])
            local, rest = _project(U, zero, vectors[t]), np.empty(zero.size, np.int64)
            for i in range(zero.size):
                rest[i] = place[zero[i]]
            for side in (1, -1):
                below = mask.copy()
                for i in range(m):
                    set_bit(below, place[i], signs[t, i] * side > 0)
                waiting.append((local, rest, below))
    return rho


@njit(cache=True)
def _all_cells(
    U: np.ndarray, capacity: int, per_ray: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float, float, bool]:
    n, q = U.shape
    words = (n + 63) // 64
    vectors, signs, moved, rho = _rays(U)
    n_rays = vectors.shape[0]
    keys, latest = np.empty((capacity, words), np.uint64), np.empty(capacity, np.int64)
    pairs = np.empty((n_rays * per_ray, 2), np.int32)
    size = 16
    while size < 2 * capacity:
        size *= 2
    table, count = np.empty(size, np.int64), np.zeros(3, np.int64)
    for entry in range(size):
        table[entry] = -1
    for cell in range(capacity):
        latest[cell] = -1
    mask, zeros = np.zeros(words, np.uint64), np.zeros((n_rays, words), np.uint64)
    independent = np.eye(q - 1)
    for t in range(n_rays):
        zero = _zeros(signs[t])
        for i in range(n):
            set_bit(mask, i, signs[t, i] > 0)
        for k in range(zero.size):
            set_bit(zeros[t], zero[k], True)
        local = independent if zero.size == q - 1 else _project(U, zero, vectors[t])
        below = _add_cells(local, zero, mask, n, t, keys, latest, table, pairs, count)
        rho = max(rho, below)
    starts = np.zeros(count[0] + 1, np.int64)
    for pair in range(count[1]):
        starts[pairs[pair, 0] + 1] += 1
    for cell in range(count[0]):
        starts[cell + 1] += starts[cell]
    incident, filled = np.empty(count[1], np.int32), starts.copy()
    for pair in range(count[1]):
        cell = pairs[pair, 0]
        incident[filled[cell]] = pairs[pair, 1]
        filled[cell] += 1
    full = count[2] == 1
    return keys[: count[0]].copy(), starts, incident, vectors, zeros, moved, rho, full


def count_cells(n: int, q: int) -> int:
    """Most cells, one of each pair ±, of a central arrangement of n normals in q dimensions.

    Examples
    --------
    >>> count_cells(4, 2), count_cells(19, 5)
    (4, 4048)
    """
    return sum(math.comb(n - 1, k) for k in range(min(q, n)))


def arrange(U: FloatArray) -> Arrangement:
    """Enumerate the cells of an arrangement.

    Parameters
    ----------
    U : ndarray of shape (n, q)
        Unit normals that span the space, no two of them parallel.

    Returns
    -------
    Arrangement
        All cells but those thinner than what was treated as zero.

    Examples
    --------
    >>> arrange(np.eye(3)).cells.size  # eight octants, half of them
    4
    """
    capacity, per_ray = count_cells(*U.shape) + 16, 2 ** (U.shape[1] - 1)
    while True:
        result = _all_cells(U, capacity, per_ray)
        if not result[-1]:
            return Arrangement(*result[:-1])
        capacity *= 2  # many ties, or more cells through rounding than there can be
        per_ray *= 2
