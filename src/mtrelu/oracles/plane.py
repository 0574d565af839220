"""Two inputs: the dual function around every data point, exact.

A maximiser has its line through a data point x_j. While its unit normal w turns around x_j, a point
starts or stops being active whenever the line passes it. In between g² = wᵀMw with M = GᵀG and
G = Σ_{active} p_i (x_i − x_j)ᵀ, an (r × 2) matrix that one pass updates in O(r), and the largest
value on such an arc is at its ends or at the leading eigenvector of M. Together O(N² (log N + r)).
"""

from __future__ import annotations

import copy
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from scipy.spatial import KDTree

from mtrelu.oracles import OracleResult
from mtrelu.oracles.base import Oracle
from mtrelu.oracles.line import dual_function
from mtrelu.oracles.line import peaks as peaks_on_line
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
_ROUND = 0.5 * _EPS
_LARGEST_KEPT = 4096  # beyond, the angular order (64 MB there) is found again at each search
_BLOCK = 1 << 18  # entries of the angular order that are found together
_WORTH_THREADS = 200_000  # N² r, about one millisecond
_THREADS = min(8, os.cpu_count() or 1)
_SAME = 1e-10  # neurons closer than that, in the coordinates of the hull, are one


class PlaneOracle(Oracle):
    """Exact oracle for inputs whose affine hull has one or two dimensions.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        Which constraints the dual variables satisfy.

    Raises
    ------
    InvalidInputError
        The inputs span more than a plane.

    Notes
    -----
    `search` returns the local maximisers over the direction for each data point that the line
    passes (for a hull of one dimension, over the bias). The time is O(N² (log N + r)) for the first
    search and O(N² r) for the others, with r = min(N, T) tasks.

    Examples
    --------
    >>> X = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> P = np.array([[1.0], [-4.0], [1.0], [1.0], [1.0]])
    >>> result = PlaneOracle(X, "affine").search(P)
    >>> result.exactness, round(result.value, 12), result.g.round(3)
    ('exact', 1.414213562373, array([1.414, 1.414, 1.   , 1.   ]))
    """

    def __init__(self, X: FloatArray, skip: str) -> None:
        super().__init__(X, skip)
        n, q = self.hull.Z.shape
        if q > 2:
            raise InvalidInputError(
                f"X has {n} samples that span {q} dimensions, but the plane oracle turns lines in "
                "two; use mtrelu.oracles.choice.certifying_oracle for more."
            )
        # How far rounding may have moved the coordinates.
        self._blur = 4 * _EPS * X.shape[1]
        # And the inputs, which need not be the lattice or the line that they were meant to be.
        offset = float(np.abs(self.hull.centre).max()) / self.hull.scale
        self._same = _SAME + 16 * (self._blur + _EPS * offset)
        # Equal inputs are one point: their dual variables may be large and cancel.
        _, first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)
        self._points: FloatArray = np.ascontiguousarray(self.hull.Z[first])
        self._point_of_sample = group.ravel()
        self._peaks_only = False
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def peaks(self, P: FloatArray, *, target: float = 0.0) -> OracleResult:
        """Find the neurons that are local maximisers also when the bias moves.

        Parameters
        ----------
        P, target
            As in `search`.

        Returns
        -------
        OracleResult
            As `search` returns it, without the neurons whose value grows when the bias moves away
            from the data point. Where the value does not change, they are kept.

        Examples
        --------
        >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [3.0, 1.0]])
        >>> P = np.array([[1.0], [-3.0], [1.0], [-2.0], [3.0]])
        >>> oracle = PlaneOracle(X, "constant")
        >>> oracle.search(P).g.size, oracle.peaks(P).g.size
        (14, 12)
        """
        narrowed = copy.copy(self)
        narrowed._peaks_only = True
        return narrowed.search(P, target=target)

    def _search(self, P: FloatArray, target: float) -> OracleResult:
        Z = self._points
        merged = np.zeros((Z.shape[0], P.shape[1]))
        np.add.at(merged, self._point_of_sample, P)
        # Rounding of these sums, times the distances from the pivot.
        repeats = int(np.bincount(self._point_of_sample).max()) - 1
        reach = 2 * float(np.linalg.norm(Z, axis=1).max())
        blur = repeats * _ROUND * reach * float(np.linalg.norm(P, axis=1).sum())
        P = merged
        if Z.shape[1] == 1:
            return self._search_line(Z[:, 0], P, target, blur)
        sizes = np.sqrt(np.einsum("ij,ij->i", P, P))

        def sweep(first: int) -> tuple[float, np.ndarray]:
            pivots, order = self._angular_order(first)
            found: tuple[float, np.ndarray] = _sweep(
                Z, P, sizes, pivots, order, self.skip != "affine", target, self._blur, self._same
            )
            return found

        starts = range(0, Z.shape[0], self._pivots_per_block)
        if Z.shape[0] * P.size < _WORTH_THREADS:
            answers = [sweep(first) for first in starts]
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                answers = list(pool.map(sweep, starts))
        found = np.concatenate([rows for _, rows in answers])
        found = found[np.argsort(-found[:, 0], kind="stable")]
        g, w, pivot = found[:, 0], found[:, 1:3], found[:, 3].astype(np.intp)
        b = -np.einsum("ij,ij->i", w, Z[pivot])
        keep = self._distinct(w, b)
        if self._peaks_only:
            keep = keep[_peaks_in_bias(Z, P, w[keep], b[keep], g[keep], self._same)]
        value = max(bound for bound, _ in answers) + blur
        return OracleResult(value, "exact", w[keep], b[keep], g[keep])

    def _search_line(
        self, z: FloatArray, P: FloatArray, target: float, blur: float
    ) -> OracleResult:
        order = np.argsort(z, kind="stable")
        highest, found = 0.0, []
        # At the ends g is what rounding leaves of the constraints.
        floor = 8 * _EPS * float(np.abs(z).max() * np.linalg.norm(P, axis=1).sum())
        # With an affine skip, w = −1 would repeat the answer of w = 1.
        for side in (1.0,) if self.skip == "affine" else (1.0, -1.0):
            # The cumulative sums are of the points to the left: w = side, seen from the right.
            last_first = order[::-1] if side > 0 else order
            x, rows = -side * z[last_first], P[last_first]
            values = dual_function(x, rows)
            highest = max(highest, peaks_on_line(x, values, P.shape[1]).value)
            above = np.flatnonzero(values > max(target, floor))
            above = above[_falls_on_both_sides(x, rows)[above]]
            found.append(np.column_stack([values[above], np.full(above.size, side), x[above]]))
        neurons = np.concatenate(found)
        neurons = neurons[np.argsort(-neurons[:, 0], kind="stable")]
        g, w, b = neurons[:, 0], neurons[:, 1:2], neurons[:, 2]
        return OracleResult(highest + blur, "exact", w, b, g)

    def _angular_order(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pivots of a block, and for each the others in the order the line meets them.

        Rows of the order end with the points i that equal the pivot, as −1 − i. Points that equal
        an earlier one are no pivots.
        """
        if first in self._kept:
            return self._kept[first]
        Z = self._points
        n = Z.shape[0]
        pivots = np.arange(first, min(first + self._pivots_per_block, n))
        x = Z[:, 0] - Z[pivots, 0, np.newaxis]
        y = Z[:, 1] - Z[pivots, 1, np.newaxis]
        size = np.abs(x) + np.abs(y)
        equal = size <= self._blur
        size[equal] = 1.0
        # The normals that make (x, y) inactive or active in the upper half plane are ±(−y, x).
        # Instead of their angle, the first coordinate at unit 1-norm: as monotone, and exact.
        key = np.where((x > 0) | ((x == 0) & (y < 0)), y, -y) / size
        key[equal] = 2.0
        order = np.argsort(key, axis=1).astype(np.int32)
        order = np.where(np.take_along_axis(equal, order, axis=1), -1 - order, order)
        new = equal.argmax(axis=1) == pivots
        found = pivots[new], order[new]
        if n <= _LARGEST_KEPT:
            self._kept[first] = found
        return found

    @property
    def _pivots_per_block(self) -> int:
        return max(1, _BLOCK // int(self._points.shape[0]))

    def _distinct(self, w: FloatArray, b: FloatArray) -> np.ndarray:
        """Return the rows of neurons, largest value first, that are not close to an earlier one."""
        x, y = w.T
        if self.skip == "affine":  # coordinates that (w, b) and (−w, −b) share
            points = np.column_stack([x * x - y * y, 2 * x * y, b * x, b * y])
        else:
            points = np.column_stack([x, y, b])
        keep = np.ones(b.size, dtype=bool)
        if b.size:
            pairs = KDTree(points).query_pairs(self._same, output_type="ndarray")
            keep[pairs.max(axis=1)] = False
        return np.flatnonzero(keep)


def _falls_on_both_sides(x: FloatArray, P: FloatArray) -> np.ndarray:
    """Tell at which points, ascending, the dual function of one input falls or is flat both ways.

    Its slope is u·Σ p_i with u = Φ/‖Φ‖: to the left over the points before, to the right with the
    point itself. Between points it is convex, so it can dip between two that are both maximisers.
    """
    up_to = np.cumsum(P, axis=0)
    before = up_to - P
    phi = np.cumsum(np.diff(x, prepend=x[0])[:, np.newaxis] * before, axis=0)
    room = _SAME * float(np.abs(P).sum()) * np.linalg.norm(phi, axis=1)
    rises = np.einsum("it,it->i", phi, before) >= -room
    falls = np.einsum("it,it->i", phi, up_to) <= room
    return np.asarray(rises & falls)


def _peaks_in_bias(
    Z: FloatArray, P: FloatArray, w: FloatArray, b: FloatArray, g: FloatArray, same: float
) -> np.ndarray:
    """Return which neurons have a value that does not grow when the bias moves by little.

    In b the dual function is convex between data points, with the slope u·Σ_{active} p_i where
    u = Φ/‖Φ‖. Points that are within ``same`` of the line count as on it.
    """
    slack = _SAME * float(np.abs(P).sum())
    keep = np.zeros(b.size, dtype=bool)
    step = max(1, (1 << 22) // Z.shape[0])
    for first in range(0, b.size, step):
        part = slice(first, first + step)
        height = Z @ w[part].T + b[part]
        u = P.T @ np.maximum(height, 0.0) / g[part]
        up = np.einsum("tm,tm->m", u, P.T @ (height >= -same))
        down = -np.einsum("tm,tm->m", u, P.T @ (height > same))
        keep[part] = (up <= slack) & (down <= slack)
    return keep


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _add_point(
    gx: np.ndarray, gy: np.ndarray, P: np.ndarray, i: int, ux: float, uy: float
) -> tuple[float, float, float]:
    """Add p_i uᵀ to G = (gx, gy) and return the entries a, b, c of M = GᵀG = [[a, b], [b, c]]."""
    a, b, c = 0.0, 0.0, 0.0
    for t in range(gx.size):
        x = gx[t] + P[i, t] * ux
        y = gy[t] + P[i, t] * uy
        gx[t] = x
        gy[t] = y
        a += x * x
        b += x * y
        c += y * y
    return a, b, c


@njit(cache=True, nogil=True)
def _leading(
    a: float, b: float, c: float, toward_x: float, toward_y: float
) -> tuple[float, float, float]:
    """Leading eigenvalue of [[a, b], [b, c]] and its unit eigenvector on the side of a vector."""
    half = 0.5 * (a - c)
    root = np.hypot(half, b)
    x, y = (half + root, b) if half >= 0 else (b, root - half)
    if root == 0.0:  # every vector is an eigenvector
        x, y = (toward_x, toward_y) if toward_x != 0.0 or toward_y != 0.0 else (1.0, 0.0)
    size = np.hypot(x, y)
    if x * toward_x + y * toward_y < 0:
        size = -size
    return 0.5 * (a + c) + root, x / size, y / size


@njit(cache=True, nogil=True)
def _event(Z: np.ndarray, others: np.ndarray, j: int, k: int) -> tuple[int, float, float, float]:
    """Event k of the turning line: the point, the unit normal, +1 if it becomes active, else −1."""
    n = others.size
    i = others[k % n]
    ux, uy = Z[i, 0] - Z[j, 0], Z[i, 1] - Z[j, 1]
    # In the upper half plane of normals, the points to the right of the pivot leave.
    change = -1.0 if ux > 0 or (ux == 0 and uy < 0) else 1.0
    if (k // n) % 2 != 0:
        change = -change
    scale = change / np.sqrt(ux * ux + uy * uy)
    return i, uy * scale, -ux * scale, change


@njit(cache=True, nogil=True)
def _nearly_equal(px: float, py: float, tx: float, ty: float, same: float) -> bool:
    return px * ty - py * tx <= same and px * tx + py * ty > 0


@njit(cache=True, nogil=True)
def _length(gx: np.ndarray, gy: np.ndarray, x: float, y: float) -> float:
    """Norm of G w: exact to rounding of G, where the root of wᵀMw loses half the digits."""
    total = 0.0
    for t in range(gx.size):
        entry = gx[t] * x + gy[t] * y
        total += entry * entry
    return float(np.sqrt(total))


@njit(cache=True, nogil=True)
def _append(
    out: np.ndarray, count: int, g: float, x: float, y: float, j: int, floor: float
) -> tuple[np.ndarray, int]:
    if g <= floor:
        return out, count
    if count == out.shape[0]:
        shorter, out = out, np.empty((2 * count, 4))
        for row in range(count):
            for column in range(4):
                out[row, column] = shorter[row, column]
    out[count, 0], out[count, 1], out[count, 2], out[count, 3] = g, x, y, j
    return out, count + 1


@njit(cache=True, nogil=True)
def _sweep(
    Z: np.ndarray,
    P: np.ndarray,
    sizes: np.ndarray,
    pivots: np.ndarray,
    order: np.ndarray,
    full_circle: bool,
    target: float,
    blur: float,
    same: float,
) -> tuple[float, np.ndarray]:
    """Turn lines around the pivots; return a bound of the maximum, and rows (g, w, pivot)."""
    n_tasks = P.shape[1]
    rounding = (n_tasks + 32) * _ROUND  # of wᵀMw and of M itself, relative to the trace of M
    threshold = max(target, 0.0)
    out, count = np.empty((64, 4)), 0
    highest = 0.0  # the bound
    gx, gy = np.empty(n_tasks), np.empty(n_tasks)
    blurred = 0.0
    for size in sizes:
        blurred += blur * size
    for row in range(pivots.size):
        j = pivots[row]
        n = order.shape[1]
        while n > 0 and order[row, n - 1] < 0:
            n -= 1
        if n == 0:
            continue
        others, equals = order[row, :n], order[row, n:]
        for t in range(n_tasks):
            gx[t], gy[t] = 0.0, 0.0
        a, b, c = 0.0, 0.0, 0.0
        # Bounds the error of G w. Each addition rounds the sum once: the root of the trace. A
        # product p_i u is rounded twice and enters at most five times, and a point within 16
        # roundings of the line may count as active on the wrong side: 28 with 2 to spare.
        error = 0.0
        for i in equals:
            error += blur * sizes[-1 - i] if -1 - i != j else 0.0
        for i in others:
            ux, uy = Z[i, 0] - Z[j, 0], Z[i, 1] - Z[j, 1]
            error += 28 * _ROUND * sizes[i] * np.sqrt(ux * ux + uy * uy)
            if ux > 0 or (ux == 0 and uy < 0):
                a, b, c = _add_point(gx, gy, P, i, ux, uy)
                error += _ROUND * np.sqrt(a + c)
        root = np.sqrt(a + c)
        period = 2 * n if full_circle else n

        # The signs of the slope of g² before and after each event, and at directions between, make
        # a cyclic sequence: a maximum is where it falls from + to −. Zeros in between (to rounding)
        # are a plateau, or a smooth maximum at a breakpoint. Arcs are at most 54° long, so that
        # none has zero slope at both ends because a minimum is at one and a maximum at the other.
        # Between events at one direction (points on one line, duplicates) there is no arc.
        sign = 0  # the last one that was not zero; 0: not known yet
        zeros = 0  # how many came since
        settled = count  # later rows of ``out`` are such zeros, which a + takes back
        start = -1  # the event after which ``sign`` was known
        found = False
        best, best_x, best_y = 0.0, 0.0, 0.0  # of this pivot, by wᵀMw
        _, px, py, _ = _event(Z, others, j, 2 * n - 1)  # direction before: 2 n is a full turn
        i, tx, ty, change = _event(Z, others, j, 2 * n)
        tied_before = _nearly_equal(px, py, tx, ty, same)
        before = 0.0  # slope after the direction before
        k = 0
        while True:
            next_i, next_x, next_y, next_change = _event(Z, others, j, k + 1)
            tied_after = _nearly_equal(tx, ty, next_x, next_y, same)
            look = 0  # 0: at a direction between, 1: before the event, 2: after it
            if px * tx + py * ty >= 0.6:
                look = 1
            while look <= 2:
                wx, wy = tx, ty
                if look == 0:
                    wx, wy = 0.6 * px - 0.8 * py, 0.8 * px + 0.6 * py
                elif look == 2:
                    ux, uy = change * (Z[i, 0] - Z[j, 0]), change * (Z[i, 1] - Z[j, 1])
                    a, b, c = _add_point(gx, gy, P, i, ux, uy)
                    root = np.sqrt(a + c)
                    error += _ROUND * root
                mx, my = a * wx + b * wy, b * wx + c * wy
                square, slope = wx * mx + wy * my, wx * my - wy * mx
                top, top_x, top_y = square, wx, wy
                slack = rounding * (a + c)
                if look < 2 and before > 0 and slope < 0:
                    lead, lead_x, lead_y = _leading(a, b, c, px + wx, py + wy)
                    # Slopes of nearly equal directions may have the wrong sign by rounding, with a
                    # minimum in between. But the slope of g² is at most the trace.
                    if lead <= square + 2 * (a + c) * max(px * wy - py * wx, 0.0) + slack:
                        top, top_x, top_y = lead, lead_x, lead_y
                hidden = error + 16 * _ROUND * root
                if top + slack > max(highest - hidden, 0.0) ** 2:
                    # Rounding of the slopes and of the eigenvector hides at most a few roundings of
                    # g, or of G where g is much smaller than G.
                    g = _length(gx, gy, top_x, top_y) * (1 + rounding)
                    highest = max(highest, g + hidden)
                if top > best:
                    best, best_x, best_y = top, top_x, top_y
                before = slope
                tolerance = 2 * root * (error + blurred) + slack
                floor = max(threshold, hidden)
                among_ties = (look == 1 and tied_before) or (look == 2 and tied_after)
                if slope > tolerance and not among_ties:
                    sign, zeros, count = 1, 0, settled
                elif slope < -tolerance and not among_ties:
                    if sign == 1 and start >= 0:
                        found = True
                        if zeros == 0:
                            g = _length(gx, gy, top_x, top_y)
                            out, count = _append(out, count, g, top_x, top_y, j, floor)
                        settled = count
                    else:  # what came before the first sign comes again at the end
                        count = settled
                    sign, zeros = -1, 0
                elif sign >= 0 and not among_ties:
                    zeros += 1
                    g = _length(gx, gy, wx, wy)
                    out, count = _append(out, count, g, wx, wy, j, floor)
                px, py = wx, wy
                if look > 0 or px * tx + py * ty >= 0.6:
                    look += 1
            if start < 0 and sign != 0:
                start = k
            elif k == (start + period if start >= 0 else period):
                break
            k += 1
            i, tx, ty, change, tied_before = next_i, next_x, next_y, next_change, tied_after
        if start >= 0:
            count = settled
        if not found and count == settled:  # all slopes are close to rounding: the best will do
            floor = max(threshold, error + np.sqrt(rounding) * root)
            g = min(np.sqrt(best), highest)
            out, count = _append(out, count, g, best_x, best_y, j, floor)
    return highest, out[:count]
