"""One climb of the dual function, face by face.

With the hyperplane through some points (*pinned*) and the others on fixed sides, g² = wᵀMw: on
this face the best unit w is the leading eigenvector of M restricted to the normals of hyperplanes
through the pinned points. A climb walks towards it on a great circle. Whenever a point crosses the
hyperplane, M changes: the walk goes on while g rises, and otherwise pins that point. At the top of
a face, the multipliers of the pinned points say which of them to release. Every step is exact up to
rounding, and a climb ends where no direction leads up.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_EPS = float(np.finfo(np.float64).eps)
_STILL = 1e-15  # angles below are rounding


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@njit(cache=True, nogil=True)
def _tie(q: int) -> float:
    """How far off a point can seem that lies on the hyperplane."""
    return 8 * (q + 1) * _EPS


@njit(cache=True, nogil=True)
def _sink(keys: np.ndarray, items: np.ndarray, k: int, entry: int, n: int) -> None:
    """Put an entry at place k of a heap of n, largest key first, or where it belongs below."""
    key, item = keys[entry], items[entry]
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
    for k in range(n // 2 - 1, -1, -1):
        _sink(keys, items, k, k, n)
    mass, y = np.zeros(r), np.zeros(r)
    best, pivot, last = -1.0, 0, keys[0]
    for k in range(n):
        level, i = keys[0], items[0]
        _sink(keys, items, 0, n - 1 - k, n - 1 - k)
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
    n = height.size
    below, above = n, n  # no such point yet
    for i in range(n):
        if height[i] <= 0.0 and (below == n or height[i] > height[below]):
            below = i
        if height[i] >= 0.0 and (above == n or height[i] < height[above]):
            above = i
    if below == n or (above < n and _value(height, P, above) > _value(height, P, below)):
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
def _reflect_next(V: np.ndarray, x: np.ndarray) -> float:
    """Make the last row of V the Householder reflection after which x ends at that coordinate.

    Returns the size of what is beyond the coordinate before.
    """
    m = V.shape[0] - 1
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
        _reflect_next(V[: m + 1], R[m])
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
def _crossings(
    s: np.ndarray, t: np.ndarray, tie: float, limit: float, passed: float, cot: np.ndarray,
    crossing: np.ndarray,
) -> int:  # fmt: skip
    """Make a heap of the points where s cos θ + t sin θ changes sign, with limit < cot θ ≤ passed.

    Returns its size.
    """
    n = 0
    for i in range(s.size):
        if abs(s[i]) > tie and t[i] != 0.0 and limit < -t[i] / s[i] <= passed:
            cot[n], crossing[n] = -t[i] / s[i], i
            n += 1
    for k in range(n // 2 - 1, -1, -1):
        _sink(cot, crossing, k, k, n)
    return n


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
        reach = top
        limit = math.cos(reach) / math.sin(reach) if reach < np.pi else -np.inf
        soon = _crossings(s, t, tie, limit, passed, cot, crossing)
        while soon > 0:
            theta, i, soon = math.atan2(1.0, cot[0]), crossing[0], soon - 1
            _sink(cot, crossing, 0, soon, soon)
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
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, height: np.ndarray, direction: np.ndarray,
    V: np.ndarray, pinned: np.ndarray, tie: float,
) -> tuple[float, int]:  # fmt: skip
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
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, height: np.ndarray, pinned: np.ndarray,
    rate: np.ndarray, G: np.ndarray, mass: np.ndarray, u: np.ndarray, rounding: float, tie: float,
    V: np.ndarray, R: np.ndarray,
) -> tuple[bool, int]:  # fmt: skip
    """Release the pinned point that leads up most; ``rate`` holds the multipliers.

    Returns whether that moved w, and the point then to be pinned; the released one comes last.
    """
    k, q = pinned.size, w.size
    slope, kink, gain = np.empty(q), np.empty(k), np.empty(k)
    for m in range(k):
        kink[m] = _dot(u, P[pinned[m]])
        gain[m] = max(-rate[m], rate[m] + kink[m])
    while True:
        j = np.argmax(gain)
        if not gain[j] > 4 * rounding:
            return False, -1
        gain[j] = 0.0
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
def climb(
    Z: np.ndarray, P: np.ndarray, start: np.ndarray, b: float
) -> tuple[np.ndarray, float, float, int]:
    """Climb from the hyperplane of a unit vector and b; returns w, b and g.

    And, if more points are on the hyperplane than it takes to pin it, so that it need not be the
    top, one of them, else −1.
    """
    q, r = Z.shape[1], P.shape[1]
    tie, stuck_at = _tie(q), -1
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
            stuck_at = best_pivot if n_tied > k else -1
            break
        if event >= 0:
            pinned[k] = event
            k += 1
    value = best if best > rounding else 0.0
    return best_w, -_dot(best_w, Z[best_pivot]), value, stuck_at


@njit(cache=True, nogil=True)
def leave(
    Z: np.ndarray, P: np.ndarray, w: np.ndarray, pivot: int
) -> tuple[bool, np.ndarray, float]:
    """Look for a way up from a hyperplane with many points on it; returns whether, w and b.

    Multipliers do not decide then. If any direction leads up, so does one of those in which all
    but one of a basis of the points stay on the hyperplane; random ones of them are tried.
    """
    np.random.seed(0)
    q, tie = w.size, _tie(w.size)
    pinned, tied, n_tied = np.empty(q + 1, np.int64), np.empty(Z.shape[0], np.int64), 0
    pinned[0] = pivot
    height = _heights(Z, w, pinned[:1])
    for i in range(height.size):
        if abs(height[i]) <= tie:
            tied[n_tied] = i
            n_tied += 1
    turned, direction, V, R = w.copy(), np.empty(q), np.empty((q, q)), np.empty((q, q))
    for _ in range(32 * q):
        k = 0
        for m in range(n_tied):
            other = np.random.randint(m, n_tied)
            tied[m], tied[other] = tied[other], tied[m]
            if m > 0 and k < q:
                for a in range(q):
                    R[k, a] = Z[tied[m], a] - Z[tied[0], a]
                if _reflect_next(V[: k + 1], R[k]) > 1e-9:
                    k += 1
                    pinned[k] = tied[m]
        if k == 0:
            break
        pinned[0] = tied[0]
        for side in (1.0, -1.0):
            for a in range(q):
                direction[a] = side * (Z[pinned[k], a] - Z[pinned[0], a])
            _turn(V[: k - 1], direction)
            theta, _ = _follow(Z, P, turned, height, direction, V[: k - 1], pinned[:k], tie)
            if theta > _STILL:
                return True, turned, -_dot(turned, Z[pinned[0]])
    return False, w, -_dot(w, Z[pivot])
