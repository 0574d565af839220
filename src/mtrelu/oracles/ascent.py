"""Any number of inputs: climb the dual function from many starts. An estimate, never a proof.

`mtrelu.oracles._climb` says how.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mtrelu.oracles import OracleResult
from mtrelu.oracles._climb import climb, leave
from mtrelu.oracles.base import Oracle
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
_THREADS = 2
_MOST_LEAVES = 100


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

    @property
    def n_starts(self) -> int:
        """How many starts a search has."""
        return int(self._starts[1].size)

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
                best_w[k], best_b[k], best_g[k] = _climb_to_top(Z, sums, w[k], b[k])

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        order = np.argsort(-best_g, kind="stable")
        points = np.column_stack([best_w, best_b])[order]
        kept = order[_distinct(points, self.skip == "affine")]
        value = float(best_g.max(initial=0.0))
        kept = kept[best_g[kept] > max(target, 0.0)]
        return OracleResult(value, "estimate", best_w[kept], best_b[kept], best_g[kept])


def _climb_to_top(
    Z: FloatArray, P: FloatArray, w: FloatArray, b: float
) -> tuple[FloatArray, float, float]:
    best = w, b, -1.0
    for _ in range(_MOST_LEAVES):
        w, b, g, stuck_at = climb(Z, P, w, b)
        if g <= best[2]:
            break
        best = w, b, g
        if stuck_at < 0:
            break
        found, w, b = leave(Z, P, w, stuck_at)
        if not found:
            break
    return best


def _distinct(points: FloatArray, either_side: bool) -> np.ndarray:
    """Return the rows of points that differ from all before them, or from ± them."""
    kept, left = [], np.arange(len(points))
    while left.size:
        kept.append(left[0])
        apart = np.abs(points[left] - points[left[0]]).max(axis=1)
        if either_side:
            apart = np.minimum(apart, np.abs(points[left] + points[left[0]]).max(axis=1))
        left = left[apart > 1e-9]
    return np.array(kept, dtype=np.intp)
