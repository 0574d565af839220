"""Any number of inputs: climb the dual function from many starts. An estimate, never a proof.

With the hyperplane through some points (*pinned*) and the others on fixed sides, g² = wᵀMw: on
this face the best unit w is the leading eigenvector of M restricted to the normals of hyperplanes
through the pinned points. A climb walks towards it on a great circle. Whenever a point crosses the
hyperplane, M changes: the walk goes on while g rises, and otherwise pins that point. At the top of
a face, the multipliers of the pinned points say which of them to release. Every step is exact up to
rounding, and a climb ends where no direction leads up.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from mtrelu.oracles import OracleResult
from mtrelu.oracles.base import Oracle
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
_THREADS = 2
_STILL = 1e-15  # angles below are rounding


class AscentOracle(Oracle):
    """Climb the dual function ‖Σ_i p_i (w·x_i + b)₊‖₂ from many starts.

    The result is an **estimate**: the largest value found, at true local maximisers; the maximum
    may be larger, so it proves nothing.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        Which constraints the dual variables satisfy.
    n_starts : int, optional
        Random directions through random data points to start from. By default 3·10⁶ / (q (N + q²)),
        which keeps the time in bounds, but at least 64 and at most 1024; q is the dimension of the
        affine hull of the inputs.
    random_state : int
        Seed of the starts. Equal seeds give equal results.

    Raises
    ------
    InvalidInputError
        ``n_starts`` below one.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, P = rng.standard_normal((12, 4)), rng.standard_normal((12, 3))
    >>> found = AscentOracle(X, "constant").search(P - P.mean(axis=0))
    >>> found.exactness, found.w.shape[1]
    ('estimate', 4)
    """

    def __init__(
        self, X: FloatArray, skip: str, *, n_starts: int | None = None, random_state: int = 0
    ) -> None:
        super().__init__(X, skip)
        # Equal inputs act as one, with the sum of their rows of P.
        _, first, self._group = np.unique(X, axis=0, return_index=True, return_inverse=True)
        self._points = np.ascontiguousarray(self.hull.Z[first])
        q = self._points.shape[1]
        if n_starts is None:
            affordable = 3_000_000 // max(q * (len(self._points) + q * q), 1)
            n_starts = min(max(affordable, 64), 1024)
        if n_starts < 1:
            raise InvalidInputError(f"n_starts is {n_starts}, but a search needs at least one.")
        # Of the starts that were compared, these came to the maximum most reliably: random
        # directions through random points. The best point for a direction hides other basins.
        rng = np.random.default_rng(random_state)
        w = rng.standard_normal((n_starts, q))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        through = self._points[rng.integers(len(self._points), size=n_starts)]
        self._starts = w, -np.einsum("kq,kq->k", w, through)

    def climb(self, P: FloatArray, w: FloatArray, b: FloatArray) -> OracleResult:
        """Improve given neurons until they are local maximisers.

        Parameters
        ----------
        P : ndarray of shape (N, T)
            Dual variable, as in `search`.
        w : ndarray of shape (M, d)
            Weights, of any length but zero.
        b : ndarray of shape (M,)
            Biases.

        Returns
        -------
        OracleResult
            The distinct local maximisers that were reached, largest first. None is below the given
            neuron it came from, scaled to ‖w‖ = 1.

        Raises
        ------
        InvalidInputError
            As `search`.

        Examples
        --------
        >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> P = np.array([[1.0], [-1.0], [-1.0], [1.0]])
        >>> AscentOracle(X, "affine").climb(P, np.array([[1.0, 0.5]]), np.array([-0.6])).g.round(12)
        array([0.70710678])
        """
        inside = w @ self.hull.axes
        length = np.linalg.norm(inside, axis=1)
        kept = length > 8 * _EPS * np.linalg.norm(w, axis=1)  # others are constant on the data
        offset = (b[kept] + w[kept] @ self.hull.centre) / (self.hull.scale * length[kept])
        climber = copy.copy(self)
        climber._starts = np.ascontiguousarray(inside[kept] / length[kept, np.newaxis]), offset
        return climber.search(P)

    def _search(self, P: FloatArray, target: float) -> OracleResult:
        Z, (w, b) = self._points, self._starts
        sums = np.zeros((len(Z), P.shape[1]))
        np.add.at(sums, self._group.reshape(-1), P)
        best_w, best_b, best_g = np.empty_like(w), np.empty_like(b), np.zeros(b.size)

        def work(first: int) -> None:
            part = slice(first, None, _THREADS)
            best_w[part], best_b[part], best_g[part] = _climb_all(
                Z, sums, np.ascontiguousarray(w[part]), np.ascontiguousarray(b[part])
            )

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        order = np.argsort(-best_g, kind="stable")
        kept = order[_distinct(best_w[order], best_b[order], best_g[order], self.skip == "affine")]
        value = float(best_g.max(initial=0.0))
        kept = kept[best_g[kept] > max(target, 0.0)]
        return OracleResult(value, "estimate", best_w[kept], best_b[kept], best_g[kept])


@njit(cache=True, nogil=True)
def _climb_all(
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    best_w, best_b, best_g = np.empty_like(w), np.empty_like(b), np.empty(b.size)
    for k in range(b.size):
        pivot = _near_pivot(Z, P, w[k], b[k])
        best_w[k], best_b[k], best_g[k] = _climb(Z, P, w[k].copy(), pivot)
    return best_w, best_b, best_g


@njit(cache=True, nogil=True)
def _best_pivot(Z: np.ndarray, P: np.ndarray, w: np.ndarray) -> int:
    """Point through which the hyperplane with normal w has the largest g."""
    height = Z @ w
    order = np.argsort(-height)
    r = P.shape[1]
    mass, y = np.zeros(r), np.zeros(r)
    best, pivot = -1.0, order[0]
    for k in range(order.size):
        i = order[k]
        gap = height[order[k - 1]] - height[i] if k > 0 else 0.0
        size = 0.0
        for t in range(r):
            y[t] += gap * mass[t]
            size += y[t] * y[t]
            mass[t] += P[i, t]
        if size > best:
            best, pivot = size, i
    return int(pivot)


@njit(cache=True, nogil=True)
def _near_pivot(Z: np.ndarray, P: np.ndarray, w: np.ndarray, b: float) -> int:
    """Point next to the hyperplane (w, b); g is convex between two, so one of them is no worse."""
    height = Z @ w
    below, above = -1, -1
    for i in range(height.size):
        if height[i] <= -b and (below < 0 or height[i] > height[below]):
            below = i
        if height[i] >= -b and (above < 0 or height[i] < height[above]):
            above = i
    if below < 0:
        return above
    if above < 0:
        return below
    return below if _value(height, P, below) >= _value(height, P, above) else above


@njit(cache=True, nogil=True)
def _value(height: np.ndarray, P: np.ndarray, pivot: int) -> float:
    y = np.zeros(P.shape[1])
    for i in range(height.size):
        if height[i] > height[pivot]:
            for t in range(y.size):
                y[t] += P[i, t] * (height[i] - height[pivot])
    return float(np.sqrt(np.sum(y * y)))


@njit(cache=True, nogil=True)
def _normals(Z: np.ndarray, pinned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthogonal Q (q, q) and R with Z[pinned[1:]] − Z[pinned[0]] = (Q R)ᵀ.

    The columns of Q from pinned.size − 1 on span the normals of hyperplanes through all pinned.
    """
    q, k = Z.shape[1], pinned.size - 1
    columns = np.zeros((q, k + q))
    for i in range(q):
        columns[i, k + i] = 1.0
        for m in range(k):
            columns[i, m] = Z[pinned[m + 1], i] - Z[pinned[0], i]
    return np.linalg.qr(columns)


@njit(cache=True, nogil=True)
def _tangent(direction: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, bool]:
    """Unit part of a direction orthogonal to unit w, and whether there is one."""
    along = direction - np.sum(direction * w) * w
    length = np.linalg.norm(along)
    if length <= 4 * _EPS * np.linalg.norm(direction):
        return along, False
    along /= length
    along -= np.sum(along * w) * w  # what is left of w was rounding, divided by a small length
    return along / np.linalg.norm(along), True


@njit(cache=True, nogil=True)
def _leading(F: np.ndarray) -> tuple[np.ndarray, float]:
    """Leading eigenvector of F Fᵀ and its eigenvalue, from the smaller of the two Gram matrices."""
    m, r = F.shape
    if r < m:
        sizes, vectors = np.linalg.eigh(F.T @ F)
        e = F @ np.ascontiguousarray(vectors[:, r - 1])
        size = np.linalg.norm(e)
        return (e / size if size > 0 else e), sizes[r - 1]
    sizes, vectors = np.linalg.eigh(F @ F.T)
    return np.ascontiguousarray(vectors[:, m - 1]), sizes[m - 1]


@njit(cache=True, nogil=True)
def _side_sums(
    Z: np.ndarray, P: np.ndarray, height: np.ndarray, tie: float
) -> tuple[np.ndarray, np.ndarray]:
    """Σ z_i p_iᵀ (q, r) and Σ p_i (r,) over the points above the hyperplane."""
    q, r = Z.shape[1], P.shape[1]
    H, mass = np.zeros((q, r)), np.zeros(r)
    for i in range(height.size):
        if height[i] > tie:
            for t in range(r):
                mass[t] += P[i, t]
            for k in range(q):
                z = Z[i, k]
                for t in range(r):
                    H[k, t] += z * P[i, t]
    return H, mass


@njit(cache=True, nogil=True)
def _heights(Z: np.ndarray, w: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    height: np.ndarray = Z @ w
    height -= height[pinned[0]]
    for i in pinned:
        height[i] = 0.0
    return height


@njit(cache=True, nogil=True)
def _walk(P: np.ndarray, s: np.ndarray, t: np.ndarray, tie: float) -> tuple[float, int]:
    """Follow heights s cos θ + t sin θ from θ = 0 as long as g rises.

    Returns θ and the point where a kink ends the rise, or −1 when only curvature does.
    """
    n, r = P.shape
    y, dy = np.zeros(r), np.zeros(r)
    cot = np.empty(n)
    crossing = np.empty(n, dtype=np.int64)
    n_crossing = 0
    for i in range(n):
        at_start = abs(s[i]) <= tie
        if at_start and abs(t[i]) <= tie:
            continue
        if (t[i] if at_start else s[i]) > 0:
            for k in range(r):
                y[k] += P[i, k] * (0.0 if at_start else s[i])
                dy[k] += P[i, k] * t[i]
        if not at_start and t[i] != 0.0:
            cot[n_crossing] = -t[i] / s[i]
            crossing[n_crossing] = i
            n_crossing += 1
    a, ab, bb = np.sum(y * y), np.sum(y * dy), np.sum(dy * dy)
    if ab <= 4 * _EPS * np.sqrt(a) * np.sqrt(bb):
        # The point at the start that resists most; none: this is as high as it gets.
        worst, blocking = 0.0, -1
        for i in range(n):
            if abs(s[i]) <= tie and t[i] > tie:
                pull = np.sum(P[i] * y) * t[i]
                if pull < worst:
                    worst, blocking = pull, i
        return 0.0, blocking
    cot, crossing = cot[:n_crossing], crossing[:n_crossing]
    top = 0.5 * np.arctan2(2 * ab, a - bb)  # in (0, π/2): the maximum if nothing crosses before
    passed = np.inf
    while True:
        reach = top
        limit = np.cos(reach) / np.sin(reach) if reach < np.pi else -np.inf
        soon = np.flatnonzero((cot <= passed) & (cot > limit))
        for k in soon[np.argsort(-cot[soon])]:
            theta, i = np.arctan2(1.0, cot[k]), crossing[k]
            if top <= theta:
                return top, -1
            sign = -1.0 if s[i] > 0 else 1.0
            for m in range(r):
                y[m] += sign * P[i, m] * s[i]
                dy[m] += sign * P[i, m] * t[i]
            a, ab, bb = np.sum(y * y), np.sum(y * dy), np.sum(dy * dy)
            if (bb - a) * np.sin(2 * theta) + 2 * ab * np.cos(2 * theta) <= 8 * _EPS * (a + bb):
                return theta, i
            top = 0.5 * np.arctan2(2 * ab, a - bb)
            while top <= theta:
                top += np.pi
        if top <= reach or reach >= np.pi:
            return top, -1
        passed = limit


@njit(cache=True, nogil=True)
def _follow(
    Z: np.ndarray,
    P: np.ndarray,
    w: np.ndarray,
    height: np.ndarray,
    direction: np.ndarray,
    basis: np.ndarray,
    pinned: np.ndarray,
    tie: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Walk from w in a direction, within the normals through the pinned points that a basis spans.

    Returns θ, w there, and the points then pinned.
    """
    # In coordinates: however short the tangent is, rounding cannot lead off the face.
    tangent, steep = _tangent(direction @ basis, w @ basis)
    if not steep:
        return 0.0, w, pinned
    along = basis @ tangent
    theta, event = _walk(P, height, _heights(Z, along, pinned), tie)
    reached = pinned if event < 0 else np.append(pinned, event)
    return theta, np.cos(theta) * w + np.sin(theta) * along, reached


@njit(cache=True, nogil=True)
def _release(
    Z: np.ndarray,
    P: np.ndarray,
    w: np.ndarray,
    height: np.ndarray,
    pinned: np.ndarray,
    rate: np.ndarray,
    H: np.ndarray,
    mass: np.ndarray,
    u: np.ndarray,
    rounding: float,
    tie: float,
) -> tuple[bool, np.ndarray, np.ndarray]:
    """Release the pinned point that leads up most; ``rate`` holds the multipliers."""
    k = pinned.size
    kink = np.array([np.sum(u * P[i]) for i in pinned])
    gain = np.maximum(-rate, rate + kink)
    while np.max(gain) > 4 * rounding:
        j = np.argmax(gain)
        gain[j] = 0.0
        if k == 1:  # no other point to turn about: look along b
            best = _best_pivot(Z, P, w)
            return best != pinned[0], w, np.array([best])
        fewer = pinned[np.arange(k) != j]
        # The gradient with respect to w about the new pivot, the released point on its new side.
        slope = H @ u + np.sum(mass * u) * (Z[pinned[0]] - Z[fewer[0]])
        if rate[j] + kink[j] > -rate[j]:
            slope += kink[j] * (Z[pinned[j]] - Z[fewer[0]])
        basis = np.ascontiguousarray(_normals(Z, fewer)[0][:, k - 2 :])
        theta, turned, reached = _follow(Z, P, w, height, slope, basis, fewer, tie)
        if theta > _STILL:
            return True, turned, reached
    return False, w, pinned


@njit(cache=True, nogil=True)
def _leave(
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, height: np.ndarray, tied: np.ndarray, tie: float
) -> tuple[bool, np.ndarray, np.ndarray]:
    """Look for a way up from a hyperplane with more points on it than are pinned.

    Multipliers do not decide then. If any direction leads up, so does one of those in which all
    but one of a basis of the points stay on the hyperplane; random ones of them are tried.
    """
    q = w.size
    for _ in range(32 * q):
        order = np.random.permutation(tied)
        axes, k = np.zeros((q, q)), 0
        basis = np.empty(q + 1, dtype=np.int64)
        basis[0] = order[0]
        for i in order[1:]:
            across = Z[i] - Z[order[0]]
            for _ in range(2):
                for m in range(k):
                    across -= np.sum(across * axes[m]) * axes[m]
            length = np.linalg.norm(across)
            if length > 1e-9 and k < q:
                axes[k] = across / length
                k += 1
                basis[k] = i
        if k == 0:
            break
        fewer = basis[:k].copy()
        free = np.ascontiguousarray(_normals(Z, fewer)[0][:, k - 1 :])
        for side in (1.0, -1.0):
            theta, turned, reached = _follow(Z, P, w, height, side * axes[k - 1], free, fewer, tie)
            if theta > _STILL:
                return True, turned, reached
    return False, w, tied


@njit(cache=True, nogil=True)
def _climb(
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, pivot: int
) -> tuple[np.ndarray, float, float]:
    """Climb from unit w with the hyperplane through the pivot; returns w, b and g."""
    np.random.seed(0)
    q = w.size
    tie = 8 * (q + 1) * _EPS  # how far off a point can seem that lies on the hyperplane
    rounding = 8 * _EPS * np.sum(np.sqrt(np.sum(P * P, axis=1)))  # of g
    pinned = np.array([pivot])
    best_w, best_pivot, best = w, pivot, _value(Z @ w, P, pivot)
    for _ in range(100 + 20 * q):
        k = pinned.size
        Q, R = _normals(Z, pinned)
        free = np.ascontiguousarray(Q[:, k - 1 :])
        w = free @ (w @ free)
        w /= np.linalg.norm(w)
        height = _heights(Z, w, pinned)
        H, mass = _side_sums(Z, P, height, tie)
        H -= Z[pinned[0]].reshape(-1, 1) * mass
        y = w @ H
        g = float(np.linalg.norm(y))
        if g > best:
            best_w, best_pivot, best = w, pinned[0], g
        if g <= rounding:
            break
        F = free.T @ H
        c = w @ free
        e, top = _leading(F)
        slope = np.linalg.norm(F @ y - g * g * c)
        if slope > 4 * rounding * g or top - g * g > 1e3 * rounding * g:
            towards = free @ e if np.sum(c * e) >= 0 else -(free @ e)
            theta, turned, reached = _follow(Z, P, w, height, towards, free, pinned, tie)
            if theta > _STILL or reached.size > k:
                w, pinned = turned, reached
                continue
        # At the top of the face, gradient = g (w, 0) + Σ rate_i (z_i, 1) over the pinned points.
        u = y / g
        rate = np.zeros(k)
        if k > 1:
            rest = (H @ u - g * w) @ np.ascontiguousarray(Q[:, : k - 1])
            rate[1:] = np.linalg.solve(np.ascontiguousarray(R[: k - 1, : k - 1]), rest)
        rate[0] = np.sum(mass * u) - np.sum(rate[1:])
        moved, w, pinned = _release(Z, P, w, height, pinned, rate, H, mass, u, rounding, tie)
        if not moved:
            tied = np.flatnonzero(np.abs(height) <= tie)
            if tied.size > k:
                moved, w, pinned = _leave(Z, P, w, height, tied, tie)
            if not moved:
                break
    return best_w, -np.sum(best_w * Z[best_pivot]), best if best > rounding else 0.0


@njit(cache=True, nogil=True)
def _distinct(w: np.ndarray, b: np.ndarray, g: np.ndarray, either_side: bool) -> np.ndarray:
    """Whether each neuron, g descending, differs from those before it."""
    new = np.ones(b.size, dtype=np.bool_)
    for k in range(b.size):
        for m in range(k - 1, -1, -1):
            if g[m] > g[k] + 1e-9 * g[0]:
                break
            apart = max(abs(b[k] - b[m]), np.max(np.abs(w[k] - w[m])))
            if either_side:
                apart = min(apart, max(abs(b[k] + b[m]), np.max(np.abs(w[k] + w[m]))))
            if apart <= 1e-9:
                new[k] = False
                break
    return new
