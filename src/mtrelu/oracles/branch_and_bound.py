"""Any number of inputs: a proved upper bound of the dual function that tightens with time.

A maximiser has its hyperplane through a data point z_j. The directions w are covered by simplicial
cones with vertices v_k. For ``w = Σ c_k v_k`` with c ≥ 0, a point i that has one sign at all
vertices contributes exactly linearly. Of the others the positive part
``h₊ = (w·(z_i − z_j))₊`` is replaced by a function linear in c, and what is left has one sign and
is at most ``Σ c_k ρ_ik``:

* where p_i points along the sum s(w), the kink is convex, and h₊ is at most its chord;
* where p_i points against it, the kink is concave, and h₊ is at least its tangent ``τ h``.

So ``|s(w)|² ≤ cᵀ B c`` while ``|w|² = cᵀ V c`` with V_kl = v_k·v_l: the bound is the largest
B_kl / V_kl, or the largest generalised eigenvalue, whichever is less. What is left is multiplied
only with what has the wrong sign, so near a maximiser, kinked or not, the bound is too large by
O(θ²) for cones of width θ. Elsewhere it may be O(θ).
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
from numba import njit

from mtrelu.oracles import OracleResult
from mtrelu.oracles._forms import top_eigenpair
from mtrelu.oracles.arrangement import _ranked
from mtrelu.oracles.base import Oracle
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
_GAP = 1e-9  # relative, between the bound and the best neuron: then there is nothing left to do
_MOST_NUMBERS = 2**25  # in all open cones together: 256 MiB
_MOST_SPLIT = 4096  # cones at a time
_MOST_ROOTS = 40_000
_LEVELLING = 6
_NEAREST = 6  # points that a local step considers on the hyperplane


@njit(cache=True)
def _by_norms(
    P: np.ndarray, undecided: np.ndarray, kind: np.ndarray, rho: np.ndarray, a: np.ndarray,
    R: np.ndarray, norm: float, B: np.ndarray,
) -> None:  # fmt: skip
    # Wide cones: what is left is at most half of its bound away from half of its bound, and
    # |x + y|² ≤ (1 + β) |x|² + (1 + 1/β) |y|². Replaces B where that is less.
    q, n_tasks = a.shape
    middle, spread = a.copy(), np.zeros((q, q))
    for i in undecided:
        for k in range(q):
            for t in range(n_tasks):
                middle[k, t] += 0.5 * kind[i] * rho[i, k] * P[i, t]
            for c in range(q):
                spread[k, c] += rho[i, k] * rho[i, c]
    spread *= 0.25 * norm * norm
    rest, size, before = 0.0, 0.0, 0.0
    for k in range(q):
        rest += R[k] * R[k]
        before += B[k, k]
        size += np.sum(middle[k] * middle[k])
    if 0.25 * rest < np.trace(spread):
        for k in range(q):
            for c in range(q):
                spread[k, c] = 0.25 * R[k] * R[c]
    beta = math.sqrt(np.trace(spread) / size) if size > 0 else 1.0
    if beta == 0.0 or (1 + beta) * size + (1 + 1 / beta) * np.trace(spread) >= before:
        return
    for k in range(q):
        for c in range(q):
            B[k, c] = (1 + beta) * np.sum(middle[k] * middle[c]) + (1 + 1 / beta) * spread[k, c]


@njit(cache=True)
def _linear_form(Z: np.ndarray, P: np.ndarray, j: int, h: np.ndarray, M: np.ndarray) -> None:
    # M = GᵀG with G = Σ p_i (z_i − z_j)ᵀ over the points that are positive at some vertex.
    (N, q), n_tasks = Z.shape, P.shape[1]
    G = np.zeros((n_tasks, q))
    for i in range(N):
        if h[i].max() > 0.0:
            for t in range(n_tasks):
                for c in range(q):
                    G[t, c] += P[i, t] * (Z[i, c] - Z[j, c])
    M[:] = 0.0
    for t in range(n_tasks):
        for c in range(q):
            for m in range(q):
                M[c, m] += G[t, c] * G[t, m]


@njit(cache=True)
def _level(
    undecided: np.ndarray, s: np.ndarray, along: np.ndarray, kind: np.ndarray, h: np.ndarray,
    slopes: np.ndarray, values: np.ndarray,
) -> None:  # fmt: skip
    # Tangents at a concave kink may have any slope in [0, 1]. Those with which the linear function
    # is level at a maximiser, as multipliers make it, bound it to second order: coordinate descent
    # on the variance of its values along s at the vertices.
    q = values.size
    mean = 0.0
    for k in range(q):
        values[k] = np.dot(s[k], along)
        for i in undecided:
            if kind[i] < 0:
                values[k] += kind[i] * (slopes[i] * h[i, k] - max(h[i, k], 0.0))
        mean += values[k] / q
    for _ in range(_LEVELLING):
        for i in undecided:
            if kind[i] >= 0:
                continue
            middle, slope, size = 0.0, 0.0, 0.0
            for k in range(q):
                middle += h[i, k] / q
            for k in range(q):
                slope += kind[i] * (h[i, k] - middle) * (values[k] - mean)
                size += (kind[i] * (h[i, k] - middle)) ** 2
            if size == 0.0:
                continue
            change = min(max(slopes[i] - slope / size, 0.0), 1.0) - slopes[i]
            slopes[i] += change
            mean += kind[i] * change * middle
            for k in range(q):
                values[k] += kind[i] * change * h[i, k]


@njit(cache=True)
def _bounds(
    Z: np.ndarray, P: np.ndarray, pivots: np.ndarray, cones: np.ndarray, norm: float, least: float,
    bounds: np.ndarray, peaks: np.ndarray, peak_at: np.ndarray,
) -> None:  # fmt: skip
    # Lowers the bounds (n,) of cones (n, q, q), rows are vertices; peaks (n,) are the largest
    # values at vertices, and peak_at (n, q) where. Below `least` nobody asks how far.
    # norm is ‖P‖₂.
    (N, q), n_tasks = Z.shape, P.shape[1]
    h, rho = np.empty((N, q)), np.empty((N, q))
    s, a, along = np.empty((q, n_tasks)), np.empty((q, n_tasks)), np.empty(n_tasks)
    kind, slopes, undecided = np.empty(N), np.empty(N), np.empty(N, np.int64)
    V, B, L, work, rotations, x = (
        np.empty((q, q)), np.empty((q, q)), np.empty((q, q)), np.empty((q, q)), np.empty((q, q)),
        np.empty(q),
    )  # fmt: skip
    R, sizes = np.empty(q), np.sqrt(np.sum(P * P, axis=1))
    for node in range(pivots.size):
        cone, j, left = cones[node], pivots[node], 0
        s[:], a[:], along[:], R[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(N):
            low, high = 0.0, 0.0
            for k in range(q):
                value = 0.0
                for c in range(q):
                    value += (Z[i, c] - Z[j, c]) * cone[k, c]
                h[i, k] = value
                low, high = min(low, value), max(high, value)
                if value > 0.0:
                    for t in range(n_tasks):
                        s[k, t] += P[i, t] * value
            if low < 0.0 < high:
                undecided[left] = i
                left += 1
                slopes[i] = high / (high - low)
        largest = 0.0
        for k in range(q):
            square = 0.0
            for t in range(n_tasks):
                square += s[k, t] * s[k, t]
                along[t] += s[k, t]
                a[k, t] = s[k, t]
            if square >= largest:
                largest = square
                peak_at[node] = cone[k]
        peaks[node] = math.sqrt(largest)
        for m in range(left):
            i = undecided[m]
            kind[i] = 0.0
            for t in range(n_tasks):
                kind[i] += P[i, t] * along[t]
        if left <= 2 * q:  # in wide cones it does not pay
            _level(undecided[:left], s, along, kind, h, slopes, x)
        for m in range(left):
            i = undecided[m]
            for k in range(q):
                positive = max(h[i, k], 0.0)
                rho[i, k] = positive - slopes[i] * h[i, k]
                R[k] += sizes[i] * rho[i, k]
                if kind[i] < 0:  # the tangent instead of the chord
                    for t in range(n_tasks):
                        a[k, t] += P[i, t] * (slopes[i] * h[i, k] - positive)
            kind[i] = 1.0 if kind[i] < 0 else -1.0
        for k in range(q):
            for c in range(k + 1):
                B[k, c], V[k, c] = R[k] * R[c], 0.0
                for t in range(n_tasks):
                    B[k, c] += a[k, t] * a[c, t]
                for m in range(q):
                    V[k, c] += cone[k, m] * cone[c, m]
                B[c, k], V[c, k] = B[k, c], V[k, c]
        for m in range(left):
            i = undecided[m]
            for k in range(q):
                dot = 0.0
                for t in range(n_tasks):
                    dot += kind[i] * P[i, t] * a[k, t]
                if dot > 0.0:
                    for c in range(q):
                        B[k, c] += dot * rho[i, c]
                        B[c, k] += dot * rho[i, c]
        if left > 0:
            _by_norms(P, undecided[:left], kind, rho, a, R, norm, B)
        square = 0.0
        for k in range(q):
            for c in range(k + 1):
                if V[k, c] > 1e-3:
                    square = max(square, B[k, c] / V[k, c])
                elif B[k, c] > 0.0 or V[k, c] < 0.0:
                    square = math.inf
        bounds[node] = min(bounds[node], math.sqrt(square))
        if bounds[node] <= least:
            continue
        if left == 0:  # s is linear, its norm may be bounded for all directions
            _linear_form(Z, P, j, h, B)
            square = top_eigenpair(B, q, work, rotations, x)
            bounds[node] = min(bounds[node], math.sqrt(square) * (1 + 1e-14))
            continue
        # L L' = V, and the largest eigenvalue of L⁻¹ B L⁻ᵀ; not for thin cones, which lose digits.
        thinnest = 1.0
        for k in range(q):
            for c in range(k + 1):
                value = V[k, c]
                for m in range(c):
                    value -= L[k, m] * L[c, m]
                if c < k:
                    L[k, c] = value / L[c, c]
                else:
                    thinnest = min(thinnest, value)
                    L[k, k] = math.sqrt(max(value, 1e-16))
        if thinnest < 1e-8:
            continue
        for _ in range(2):
            for c in range(q):
                for k in range(q):
                    value = B[k, c]
                    for m in range(k):
                        value -= L[k, m] * B[m, c]
                    B[k, c] = value / L[k, k]
            B[:] = B.T.copy()
        square = top_eigenpair(B, q, work, rotations, x) * (1 + 64 * q * _EPS / thinnest)
        bounds[node] = min(bounds[node], math.sqrt(square))


@njit(cache=True)
def _halves(cones: np.ndarray) -> np.ndarray:
    # Cones split at the middle of the longest edge.
    n, q = cones.shape[0], cones.shape[2]
    halves = np.empty((2 * n, q, q))
    for node in range(n):
        first, second, longest = 0, 1, 0.0
        for k in range(q):
            for c in range(k):
                square = 0.0
                for m in range(q):
                    square += (cones[node, k, m] - cones[node, c, m]) ** 2
                if square > longest:
                    first, second, longest = c, k, square
        middle = cones[node, first] + cones[node, second]
        middle /= np.sqrt(np.sum(middle * middle))
        halves[2 * node], halves[2 * node + 1] = cones[node], cones[node]
        halves[2 * node, first] = middle
        halves[2 * node + 1, second] = middle
    return halves


class BranchAndBoundOracle(Oracle):
    """Proved upper bound of the dual function for any number of inputs.

    Cones of directions around each data point are split, those with the largest bound first, until
    the largest is at most the target or meets the best neuron, or the time is over. What remains
    is a bound whenever it stops. Its first value, from Σ_i |p_i·v| |w·u_i| ≤ ‖D P‖ ‖D⁻¹ U‖,
    needs no time and is some times too large; for two or three inputs it is then met by the best
    neuron in seconds. The number of cones needed grows exponentially with the dimension: from
    about six inputs on expect a bound, not the maximum.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        See `Oracle`.
    time_limit : float
        Seconds for each search, at least 0.

    Raises
    ------
    InvalidInputError
        The time limit is negative or not a number.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> oracle = BranchAndBoundOracle(X, "affine", time_limit=1.0)
    >>> result = oracle.search(np.array([[1.0], [-1.0], [-1.0], [1.0]]))
    >>> result.exactness, round(result.value, 6), result.g[:1].round(6)
    ('bound', 0.707107, array([0.707107]))
    """

    def __init__(self, X: FloatArray, skip: str, *, time_limit: float = 10.0) -> None:
        if not time_limit >= 0:
            raise InvalidInputError(
                f"time_limit is {time_limit}, but it is a number of seconds; pass 0 or more."
            )
        super().__init__(X, skip)
        self.time_limit = time_limit
        _, first = np.unique(self.hull.Z, axis=0, return_index=True)
        self._pivots = np.sort(first)
        q = self.hull.Z.shape[1]
        if q > 0:  # compiled now, not when the time counts
            nothing, none = np.zeros(0), np.zeros((0, q, q))
            P = np.zeros((X.shape[0], 1))
            at = np.zeros(0, dtype=np.int64)
            _bounds(self.hull.Z, P, at, none, 0.0, 0.0, nothing, nothing, np.zeros((0, q)))
            _halves(none)

    def _search(self, P: FloatArray, target: float) -> OracleResult:
        end = time.perf_counter() + self.time_limit
        Z, q = self.hull.Z, self.hull.Z.shape[1]
        target = max(target, 0.0)
        found = _Found(Z, P)
        whole = _norm_bounds(Z, P, self._pivots)
        if self.time_limit > 0 and whole.max() > target:
            for j in self._pivots[np.argsort(-whole)]:
                found.climb(int(j))
                if time.perf_counter() > end - 0.8 * self.time_limit:
                    break
        value = self._branch(Z, P, whole, found, target, end)
        # Rounding of sums of p_i w·(z_i − z_j), whatever the pivot.
        lengths = np.linalg.norm(Z, axis=1)
        size = float(np.linalg.norm(P, axis=1) @ (lengths + lengths.max()))
        value = max(value, found.best) + 4 * (Z.shape[0] + 256 * q) * _EPS * size
        return OracleResult(value, "bound", *_ranked(Z, P, found.neurons(), target, self.skip))

    def _branch(
        self, Z: FloatArray, P: FloatArray, whole: FloatArray, found: _Found, target: float,
        end: float,
    ) -> float:  # fmt: skip
        q = Z.shape[1]
        cover = _cover(q, self._pivots.size, self.skip == "affine")
        room = _MOST_NUMBERS // (q * q)
        if len(cover) * self._pivots.size > room:
            return float(whole.max())
        pivots, bounds = np.repeat(self._pivots, len(cover)), np.repeat(whole, len(cover))
        cones = np.tile(cover, (self._pivots.size, 1, 1))
        norm = float(np.linalg.norm(P, 2))
        closed = 0.0  # the largest bound among the cones that are not looked at any more
        fresh, at_once = np.ones(bounds.size, dtype=np.bool_), 16
        while (start := time.perf_counter()) < end and bounds.size > 0:
            goal = max(target, found.best * (1 + _GAP))
            if bounds.max() <= max(goal, closed):
                break
            n_split = min(at_once, bounds.size)
            order = np.argpartition(-bounds, n_split - 1)
            some, rest = order[:n_split], order[n_split:]
            # Those of the cover are bounded first.
            halves = np.concatenate([_halves(cones[some[~fresh[some]]]), cones[some[fresh[some]]]])
            parents = np.concatenate([np.repeat(some[~fresh[some]], 2), some[fresh[some]]])
            at, new, peaks = pivots[parents], bounds[parents], np.empty(parents.size)
            peak_at = np.empty((parents.size, q))
            _bounds(Z, P, at, halves, norm, goal, new, peaks, peak_at)
            best = int(peaks.argmax())
            if peaks[best] > 0.98 * found.best:
                found.improve(peak_at[best], int(at[best]))
            pivots = np.concatenate([pivots[rest], at])
            bounds = np.concatenate([bounds[rest], new])
            cones = np.concatenate([cones[rest], halves])
            fresh = np.concatenate([fresh[rest], np.zeros(new.size, np.bool_)])
            kept = np.flatnonzero(bounds > max(target, found.best * (1 + _GAP)))
            if kept.size > room:
                kept = kept[np.argpartition(-bounds[kept], room // 2)[: room // 2]]
            if kept.size < bounds.size:
                others = np.ones(bounds.size, dtype=np.bool_)
                others[kept] = False
                closed = max(closed, float(bounds[others].max()))
                pivots, bounds, cones = pivots[kept], bounds[kept], cones[kept]
                fresh = fresh[kept]
            # A round takes a small part of the time, and moving the arrays a small part of a round.
            if time.perf_counter() - start < 0.02 * self.time_limit:
                at_once = min(2 * at_once, max(_MOST_SPLIT, bounds.size // 8))
            else:
                at_once = max(16, at_once // 2)
        return max(closed, float(bounds.max(initial=0.0)))


class _Found:
    """The best neurons so far."""

    def __init__(self, Z: FloatArray, P: FloatArray) -> None:
        self.best = 0.0
        self._Z, self._P = Z, P
        self._neurons: list[FloatArray] = []

    def climb(self, j: int) -> None:
        """Power iterations from some directions, hyperplane through point j."""
        Z, P = self._Z, self._P
        U, q = Z - Z[j], Z.shape[1]
        w = np.random.default_rng(0).standard_normal((8, q)) if q > 1 else np.array([[1.0], [-1.0]])
        w /= np.linalg.norm(w, axis=1)[:, None]
        for step in range(20):
            h = w @ U.T
            uphill = ((h > 0) * (np.maximum(h, 0.0) @ P @ P.T)) @ U
            length = np.linalg.norm(uphill, axis=1)[:, None]
            w = w + uphill / np.where(length > 0, length, 1.0) / (0.5 + 0.2 * step)
            w /= np.linalg.norm(w, axis=1)[:, None]
        g = np.linalg.norm(np.maximum(w @ U.T, 0.0) @ P, axis=1)
        if g.max() > 0.9 * self.best:
            self.improve(w[g.argmax()], j)

    def improve(self, w: FloatArray, j: int) -> None:
        """Go to the best eigenvector on a flat through point j and some of the nearest points."""
        Z, P = self._Z, self._P
        U, q = Z - Z[j], Z.shape[1]
        value = -1.0
        for _ in range(10):
            h = U @ w
            lengths = np.linalg.norm(U, axis=1)
            apart = np.where(lengths > 0, np.abs(h) / np.where(lengths > 0, lengths, 1.0), np.inf)
            near = np.argsort(apart)[:_NEAREST]
            candidates = [w]
            for size in range(min(q, near.size + 1)):
                for pinned in itertools.combinations(near[apart[near] < 0.3], size):
                    basis = np.eye(q)
                    if size > 0:
                        basis = np.linalg.qr(U[list(pinned)].T, mode="complete")[0][:, size:]
                    active = h > 0
                    active[list(pinned)] = False
                    _, vectors = np.linalg.eigh(
                        (G := P[active].T @ U[active] @ basis).T @ G
                    )  # fmt: skip
                    there = basis @ vectors[:, -1]
                    candidates.append(there if there @ w >= 0 else -there)
            directions = np.array(candidates)
            g = np.linalg.norm(np.maximum(directions @ U.T, 0.0) @ P, axis=1)
            w = directions[g.argmax()]
            if g.max() <= value * (1 + 1e-14):
                break
            value = float(g.max())
        self.best = max(self.best, value)
        self._neurons.append(np.append(w, -w @ Z[j]))

    def neurons(self) -> FloatArray:
        return np.array(self._neurons).reshape(-1, self._Z.shape[1] + 1)


def _norm_bounds(Z: FloatArray, P: FloatArray, pivots: np.ndarray) -> FloatArray:
    # For each pivot: s = ½ Σ p_i h_i + ½ Σ p_i |h_i|, and with any unit v and positive weights
    # Σ |p_i·v| |w·u_i| ≤ ‖D P‖ ‖D⁻¹ U‖. Weights 1 need no pass over the data for each pivot.
    N, q = Z.shape
    gram, total, mean = Z.T @ Z, P.T @ Z, Z.sum(axis=0)
    largest, mass = np.linalg.norm(P, 2), P.sum(axis=0)
    sizes = np.linalg.norm(P, axis=1)
    bounds = np.empty(pivots.size)
    for k, j in enumerate(pivots):
        z = Z[j]
        square = np.linalg.eigvalsh(
            gram - np.outer(mean, z) - np.outer(z, mean) + N * np.outer(z, z)
        )[-1]
        bounds[k] = largest * math.sqrt(max(square, 0.0))
        if float(N) * pivots.size * (q * q + P.shape[1] ** 2) < 1e8:
            lengths = np.linalg.norm(Z - z, axis=1)
            on = (lengths > 0) & (sizes > 0)
            if not on.any():
                bounds[k] = 0.0
                continue
            D = np.sqrt(lengths[on] / sizes[on])
            balanced = np.linalg.norm(P[on] * D[:, None], 2)
            balanced *= np.linalg.norm((Z[on] - z) / D[:, None], 2)
            bounds[k] = min(bounds[k], balanced)
        bounds[k] = 0.5 * (bounds[k] + np.linalg.norm(total - np.outer(mass, z), 2))
    return bounds * (1 + 1e-13)


def _cover(q: int, n_pivots: int, half: bool) -> FloatArray:
    # Cones (n, q, q) that cover all directions, or one of each pair ±: orthants, or if these are
    # too many those between all but one of the corners of a simplex.
    if n_pivots * 2.0**q <= _MOST_ROOTS:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=q)))
        if half:
            signs = signs[: len(signs) // 2]
        orthants: FloatArray = signs[:, :, None] * np.eye(q)
        return orthants
    corners = np.eye(q + 1) - 1 / (q + 1)
    corners = np.linalg.svd(corners)[0][:, :q]
    corners /= np.linalg.norm(corners, axis=1)[:, None]
    return np.array([np.delete(corners, k, axis=0) for k in range(q + 1)])
