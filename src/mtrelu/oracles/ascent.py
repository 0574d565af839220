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
import math
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
            for k in range(first, b.size, _THREADS):
                best_w[k], best_b[k], best_g[k] = _climb(Z, sums, w[k], b[k])

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        order = np.argsort(-best_g, kind="stable")
        kept = order[_distinct(best_w[order], best_b[order], best_g[order], self.skip == "affine")]
        value = float(best_g.max(initial=0.0))
        kept = kept[best_g[kept] > max(target, 0.0)]
        return OracleResult(value, "estimate", best_w[kept], best_b[kept], best_g[kept])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@njit(cache=True, nogil=True)
def _sink(keys: np.ndarray, items: np.ndarray, k: int, n: int) -> None:
    """Bring entry k of a heap of n, largest key first, to its place."""
    key, item = keys[k], items[k]
    while 2 * k + 1 < n:
        child = 2 * k + 1
        if child + 1 < n and keys[child + 1] > keys[child]:
            child += 1
        if keys[child] <= key:
            break
        keys[k], items[k] = keys[child], items[child]
        k = child
    keys[k], items[k] = key, item


@njit(cache=True, nogil=True)
def _heapify(keys: np.ndarray, items: np.ndarray, n: int) -> None:
    for k in range(n // 2 - 1, -1, -1):
        _sink(keys, items, k, n)


@njit(cache=True, nogil=True)
def _pop(keys: np.ndarray, items: np.ndarray, n: int) -> tuple[float, int]:
    """Take the largest of a heap of n."""
    key, item = keys[0], items[0]
    keys[0], items[0] = keys[n - 1], items[n - 1]
    _sink(keys, items, 0, n - 1)
    return key, item


@njit(cache=True, nogil=True)
def _heights(Z: np.ndarray, w: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """Signed distances from the hyperplane with normal w through the pinned points."""
    height = np.empty(Z.shape[0])
    offset = _dot(Z[pinned[0]], w)
    for i in range(height.size):
        height[i] = _dot(Z[i], w) - offset
    for i in pinned:
        height[i] = 0.0
    return height


@njit(cache=True, nogil=True)
def _best_pivot(P: np.ndarray, height: np.ndarray) -> int:
    """Point through which the hyperplane, moved in parallel, has the largest g."""
    n, r = P.shape
    keys, items = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        keys[i], items[i] = height[i], i
    _heapify(keys, items, n)
    mass, y = np.zeros(r), np.zeros(r)
    best, pivot, last = -1.0, 0, keys[0]
    for k in range(n):
        level, i = _pop(keys, items, n - k)
        for t in range(r):
            y[t] += (last - level) * mass[t]
            mass[t] += P[i, t]
        size = _dot(y, y)
        if size > best:
            best, pivot = size, i
        last = level
    return pivot


@njit(cache=True, nogil=True)
def _value(height: np.ndarray, P: np.ndarray, pivot: int) -> float:
    """The dual function of the hyperplane moved to the pivot."""
    y = np.zeros(P.shape[1])
    for i in range(height.size):
        if height[i] > height[pivot]:
            for t in range(y.size):
                y[t] += P[i, t] * (height[i] - height[pivot])
    return math.sqrt(_dot(y, y))


@njit(cache=True, nogil=True)
def _near_pivot(P: np.ndarray, height: np.ndarray) -> int:
    """Point next to the hyperplane; g is convex between two, so one of them is no worse."""
    below, above = -1, -1
    for i in range(height.size):
        if height[i] <= 0.0 and (below < 0 or height[i] > height[below]):
            below = i
        if height[i] >= 0.0 and (above < 0 or height[i] < height[above]):
            above = i
    if below < 0 or (above >= 0 and _value(height, P, above) > _value(height, P, below)):
        return above
    return below


@njit(cache=True, nogil=True)
def _turn(V: np.ndarray, x: np.ndarray) -> None:
    """Apply the reflections with the rows of V, of length √2 (or 0), one after the other."""
    for m in range(V.shape[0]):
        along = _dot(V[m], x)
        for i in range(x.size):
            x[i] -= along * V[m, i]


@njit(cache=True, nogil=True)
def _turn_back(V: np.ndarray, x: np.ndarray) -> None:
    for m in range(V.shape[0] - 1, -1, -1):
        along = _dot(V[m], x)
        for i in range(x.size):
            x[i] -= along * V[m, i]


@njit(cache=True, nogil=True)
def _reflect_next(V: np.ndarray, m: int, x: np.ndarray) -> float:
    """Make row m of V the Householder reflection that ends the turned x at coordinate m.

    Returns the size of what is beyond it without that reflection.
    """
    _turn(V[:m], x)
    for i in range(x.size):
        V[m, i] = x[i] if i >= m else 0.0
    rest = math.sqrt(_dot(V[m], V[m]))
    if rest > 0.0:
        V[m, m] += math.copysign(rest, x[m])
        scale = math.sqrt(2.0 / _dot(V[m], V[m]))
        for i in range(m, x.size):
            V[m, i] *= scale
        x[m] = -math.copysign(rest, x[m])
    return rest


@njit(cache=True, nogil=True)
def _frame(Z: np.ndarray, pinned: np.ndarray, V: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Reflections that turn Z[pinned[1:]] − Z[pinned[0]] into the rows of lower triangular R.

    Then the normals of hyperplanes through all pinned points are turned into the vectors whose
    first pinned.size − 1 coordinates are zero.
    """
    for m in range(pinned.size - 1):
        for i in range(Z.shape[1]):
            R[m, i] = Z[pinned[m + 1], i] - Z[pinned[0], i]
        _reflect_next(V, m, R[m])
    return V[: pinned.size - 1]


@njit(cache=True, nogil=True)
def _to_face(V: np.ndarray, x: np.ndarray) -> float:
    """Turn x, drop what leads off the face, and scale to unit length; returns the length."""
    _turn(V, x)
    for i in range(V.shape[0]):
        x[i] = 0.0
    length = math.sqrt(_dot(x, x))
    if length > 0.0:
        for i in range(x.size):
            x[i] /= length
    return length


@njit(cache=True, nogil=True)
def _leading(F: np.ndarray, first: int, out: np.ndarray) -> float:
    """Leading eigenvector of FᵀF, without its first coordinates, and its eigenvalue.

    From the smaller of the two Gram matrices.
    """
    r, q = F.shape
    m = min(r, q - first)
    gram = np.zeros((m, m))
    for a in range(m):
        for c in range(a + 1):
            if m == r:
                gram[a, c] = _dot(F[a, first:], F[c, first:])
            else:
                for t in range(r):
                    gram[a, c] += F[t, first + a] * F[t, first + c]
    sizes, vectors = np.linalg.eigh(gram)  # reads the lower triangle
    for i in range(q):
        out[i] = 0.0
    for i in range(first, q):
        if m < r:
            out[i] = vectors[i - first, m - 1]
        else:
            for t in range(r):
                out[i] += F[t, i] * vectors[t, m - 1]
    length = math.sqrt(_dot(out, out))
    if length > 0.0:
        for i in range(q):
            out[i] /= length
    return float(sizes[m - 1])


@njit(cache=True, nogil=True)
def _active_sum(
    Z: np.ndarray, P: np.ndarray, height: np.ndarray, pivot: int, tie: float
) -> tuple[np.ndarray, np.ndarray]:
    """G = Σ p_i (z_i − z_pivot)ᵀ (r, q) and Σ p_i (r,) over the points above the hyperplane."""
    r, q = P.shape[1], Z.shape[1]
    G, mass, arm = np.zeros((r, q)), np.zeros(r), np.empty(q)
    for i in range(height.size):
        if height[i] > tie:
            for a in range(q):
                arm[a] = Z[i, a] - Z[pivot, a]
            for t in range(r):
                mass[t] += P[i, t]
                for a in range(q):
                    G[t, a] += P[i, t] * arm[a]
    return G, mass


@njit(cache=True, nogil=True)
def _walk(P: np.ndarray, s: np.ndarray, t: np.ndarray, tie: float) -> tuple[float, int]:
    """Follow heights s cos θ + t sin θ from θ = 0 as long as g rises.

    Returns θ and the point where a kink ends the rise, or −1 when only curvature does.
    """
    n, r = P.shape
    y, dy = np.zeros(r), np.zeros(r)
    for i in range(n):
        at_start = abs(s[i]) <= tie
        if (t[i] if at_start else s[i]) > (tie if at_start else 0.0):
            for k in range(r):
                y[k] += P[i, k] * (0.0 if at_start else s[i])
                dy[k] += P[i, k] * t[i]
    a, ab, bb = _dot(y, y), _dot(y, dy), _dot(dy, dy)
    if ab <= 4 * _EPS * math.sqrt(a) * math.sqrt(bb):
        # The point at the start that resists most; none: this is as high as it gets.
        worst, blocking = 0.0, -1
        for i in range(n):
            if abs(s[i]) <= tie and t[i] > tie:
                pull = _dot(P[i], y) * t[i]
                if pull < worst:
                    worst, blocking = pull, i
        return 0.0, blocking
    top = 0.5 * math.atan2(2 * ab, a - bb)  # in (0, π/2): the maximum if nothing crosses before
    passed = np.inf
    cot, crossing = np.empty(n), np.empty(n, np.int64)
    while True:
        # The points that cross before the top, which may move on when they do.
        reach, soon = top, 0
        limit = math.cos(reach) / math.sin(reach) if reach < np.pi else -np.inf
        for i in range(n):
            if abs(s[i]) > tie and t[i] != 0.0 and limit < -t[i] / s[i] <= passed:
                cot[soon], crossing[soon] = -t[i] / s[i], i
                soon += 1
        _heapify(cot, crossing, soon)
        while soon > 0:
            place, i = _pop(cot, crossing, soon)
            soon -= 1
            theta = math.atan2(1.0, place)
            if top <= theta:
                return top, -1
            sign = -1.0 if s[i] > 0 else 1.0
            for k in range(r):
                y[k] += sign * P[i, k] * s[i]
                dy[k] += sign * P[i, k] * t[i]
            a, ab, bb = _dot(y, y), _dot(y, dy), _dot(dy, dy)
            slope = (bb - a) * math.sin(2 * theta) + 2 * ab * math.cos(2 * theta)
            if slope <= 8 * _EPS * (a + bb):
                return theta, i
            top = 0.5 * math.atan2(2 * ab, a - bb)
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
    V: np.ndarray,
    pinned: np.ndarray,
    tie: float,
) -> tuple[float, int]:
    """Move w in a direction, turned by V, within the normals through the pinned points.

    Returns θ and the point then to be pinned, or −1.
    """
    # In coordinates of the face: however short the tangent is, rounding cannot lead off it.
    along, here, first = np.zeros(w.size), w.copy(), V.shape[0]
    _to_face(V, here)
    size = math.sqrt(_dot(direction[first:], direction[first:]))
    for i in range(first, w.size):
        along[i] = direction[i]
    for _ in range(2):  # what is left of w the first time was rounding, divided by a small length
        radial = _dot(along, here)
        for i in range(first, w.size):
            along[i] -= radial * here[i]
        length = math.sqrt(_dot(along, along))
        if length <= 4 * _EPS * size:
            return 0.0, -1
        for i in range(first, w.size):
            along[i] /= length
    _turn_back(V, along)
    theta, event = _walk(P, height, _heights(Z, along, pinned), tie)
    for i in range(w.size):
        w[i] = math.cos(theta) * w[i] + math.sin(theta) * along[i]
    return theta, event


@njit(cache=True, nogil=True)
def _release(
    Z: np.ndarray,
    P: np.ndarray,
    w: np.ndarray,
    height: np.ndarray,
    pinned: np.ndarray,
    rate: np.ndarray,
    G: np.ndarray,
    mass: np.ndarray,
    u: np.ndarray,
    rounding: float,
    tie: float,
    V: np.ndarray,
    R: np.ndarray,
) -> tuple[bool, int]:
    """Release the pinned point that leads up most; ``rate`` holds the multipliers.

    Returns whether that moved w, and the point then to be pinned; the released one comes last.
    """
    k, q = pinned.size, w.size
    slope, kink = np.empty(q), np.empty(k)
    for m in range(k):
        kink[m] = _dot(u, P[pinned[m]])
    tried = np.zeros(k, np.bool_)
    while True:
        j, gain = -1, 4 * rounding
        for m in range(k):
            if not tried[m] and max(-rate[m], rate[m] + kink[m]) > gain:
                j, gain = m, max(-rate[m], rate[m] + kink[m])
        if j < 0:
            return False, -1
        tried[j] = True
        if k == 1:  # no other point to turn about: look along b
            best = _best_pivot(P, height)
            return best != pinned[0], best
        # The gradient with respect to w about the new pivot, the released point on its new side.
        old, released = pinned[0], pinned[j]
        pinned[j], pinned[k - 1] = pinned[k - 1], released
        beyond = kink[j] if rate[j] + kink[j] > -rate[j] else 0.0
        moved_mass = _dot(mass, u)
        for a in range(q):
            slope[a] = moved_mass * (Z[old, a] - Z[pinned[0], a])
            slope[a] += beyond * (Z[released, a] - Z[pinned[0], a])
            for t in range(u.size):
                slope[a] += G[t, a] * u[t]
        face = _frame(Z, pinned[: k - 1], V, R)
        _turn(face, slope)
        theta, event = _follow(Z, P, w, height, slope, face, pinned[: k - 1], tie)
        if theta > _STILL:
            return True, event
        pinned[k - 1], pinned[j] = pinned[j], released


@njit(cache=True, nogil=True)
def _leave(
    Z: np.ndarray,
    P: np.ndarray,
    w: np.ndarray,
    height: np.ndarray,
    tie: float,
    pinned: np.ndarray,
    V: np.ndarray,
    R: np.ndarray,
) -> tuple[int, int]:
    """Look for a way up from a hyperplane with more points on it than are pinned.

    Multipliers do not decide then. If any direction leads up, so does one of those in which all
    but one of a basis of the points stay on the hyperplane; random ones of them are tried. Returns
    how many of ``pinned`` then are, 0 if no way was found, and the point to be pinned next.
    """
    q, n_tied, tied = w.size, 0, np.empty(height.size, np.int64)
    for i in range(height.size):
        if abs(height[i]) <= tie:
            tied[n_tied] = i
            n_tied += 1
    direction = np.empty(q)
    for _ in range(32 * q):
        k = 0
        for m in range(n_tied):
            other = np.random.randint(m, n_tied)
            tied[m], tied[other] = tied[other], tied[m]
            if m > 0 and k < q:
                for a in range(q):
                    R[k, a] = Z[tied[m], a] - Z[tied[0], a]
                if _reflect_next(V, k, R[k]) > 1e-9:
                    k += 1
                    pinned[k] = tied[m]
        if k == 0:
            break
        pinned[0] = tied[0]
        for side in (1.0, -1.0):
            for a in range(q):
                direction[a] = side * (Z[pinned[k], a] - Z[pinned[0], a])
            _turn(V[: k - 1], direction)
            theta, event = _follow(Z, P, w, height, direction, V[: k - 1], pinned[:k], tie)
            if theta > _STILL:
                return k, event
    return 0, -1


@njit(cache=True, nogil=True)
def _climb(
    Z: np.ndarray, P: np.ndarray, start: np.ndarray, b: float
) -> tuple[np.ndarray, float, float]:
    """Climb from the hyperplane of a unit vector and b; returns w, b and g."""
    np.random.seed(0)
    q, r = Z.shape[1], P.shape[1]
    tie = 8 * (q + 1) * _EPS  # how far off a point can seem that lies on the hyperplane
    rounding = 0.0  # of g
    height = np.empty(Z.shape[0])
    for i in range(height.size):
        height[i] = _dot(Z[i], start) + b
        rounding += 8 * _EPS * math.sqrt(_dot(P[i], P[i]))
    pinned, k = np.empty(q + 1, np.int64), 1
    pinned[0] = _near_pivot(P, height)
    w, best_w, best_pivot = start.copy(), start.copy(), pinned[0]
    best = _value(height, P, best_pivot)
    V, R = np.empty((q, q)), np.empty((q, q))
    y, gradient, towards, rate = np.empty(r), np.empty(q), np.empty(q), np.empty(q + 1)
    for _ in range(100 + 20 * q):
        face = _frame(Z, pinned[:k], V, R)
        _to_face(face, w)
        turned = w.copy()
        _turn_back(face, w)
        height = _heights(Z, w, pinned[:k])
        G, mass = _active_sum(Z, P, height, pinned[0], tie)
        for t in range(r):
            y[t] = _dot(G[t], w)
        g = math.sqrt(_dot(y, y))
        if g > best:
            best, best_pivot = g, pinned[0]
            for a in range(q):
                best_w[a] = w[a]
        if g <= rounding:
            break
        F = G.copy()
        for a in range(q):
            gradient[a] = -g * turned[a]
        for t in range(r):
            y[t] /= g
            _turn(face, F[t])
            for a in range(q):
                gradient[a] += F[t, a] * y[t]
        if k < q:
            top = _leading(F, k - 1, towards)
            slope = math.sqrt(_dot(gradient[k - 1 :], gradient[k - 1 :]))
            if slope > 4 * rounding or top - g * g > 1e3 * rounding * g:
                if _dot(turned, towards) < 0.0:
                    for a in range(q):
                        towards[a] = -towards[a]
                theta, event = _follow(Z, P, w, height, towards, face, pinned[:k], tie)
                if event >= 0:
                    pinned[k] = event
                    k += 1
                if event >= 0 or theta > _STILL:
                    continue
        # At the top of the face, gradient = g (w, 0) + Σ rate_i (z_i, 1) over the pinned points.
        rate[0] = _dot(mass, y)
        for m in range(k - 1, 0, -1):
            rate[m] = gradient[m - 1]
            for c in range(m + 1, k):
                rate[m] -= R[c - 1, m - 1] * rate[c]
            rate[m] /= R[m - 1, m - 1]
            rate[0] -= rate[m]
        moved, event = _release(
            Z, P, w, height, pinned[:k], rate, G, mass, y, rounding, tie, V, R
        )  # fmt: skip
        if moved:
            k -= 1
        else:
            n_tied = 0
            for i in range(height.size):
                n_tied += abs(height[i]) <= tie
            if n_tied == k:
                break
            k, event = _leave(Z, P, w, height, tie, pinned, V, R)
            if k == 0:
                break
        if event >= 0:
            pinned[k] = event
            k += 1
    return best_w, -_dot(best_w, Z[best_pivot]), best if best > rounding else 0.0


@njit(cache=True, nogil=True)
def _apart(v: np.ndarray, w: np.ndarray, b: float, c: float, sign: float) -> float:
    """Largest difference of the entries of (v, b) and sign · (w, c)."""
    apart = abs(b - sign * c)
    for a in range(w.size):
        apart = max(apart, abs(v[a] - sign * w[a]))
    return apart


@njit(cache=True, nogil=True)
def _distinct(w: np.ndarray, b: np.ndarray, g: np.ndarray, either_side: bool) -> np.ndarray:
    """Whether each neuron, g descending, differs from those before it."""
    new = np.empty(b.size, np.bool_)
    for k in range(b.size):
        new[k] = True
        for m in range(k - 1, -1, -1):
            if g[m] > g[k] + 1e-9 * g[0]:
                break
            apart = _apart(w[k], w[m], b[k], b[m], 1.0)
            if either_side:
                apart = min(apart, _apart(w[k], w[m], b[k], b[m], -1.0))
            if apart <= 1e-9:
                new[k] = False
                break
    return new
