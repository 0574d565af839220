"""The constraints that the skip connection puts on a dual variable P.

For a constant skip connection Σ_i p_i = 0, for an affine one also Σ_i p_i x_iᵀ = 0. No float64
matrix satisfies them exactly, but near a matrix that does so to rounding there is one that does so
exactly: with E = [1, X] C of (nearly) orthonormal columns in the weights F,

    P~ = P − F E (Eᵀ F E)⁻¹ Eᵀ P,    ‖p~_it − p_it‖ ≤ f_it ‖e_i‖ ‖(Eᵀ F E)⁻¹‖ ‖Eᵀ p_t‖.

Bounds are claimed for P~, and P is what is computed with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtrelu._flat_tasks import FlatTasks
from mtrelu.oracles.base import Hull
from mtrelu.validation import FloatArray
from mtrelu.verify._common import EPS

_ROWS = 256  # summed at a time, so that rounding grows with N / 256 and not with N
_PASSES = 3
_ROUNDS = 20  # in degenerate cases, after which the guess is taken as it is


class _Coordinates:
    """Inputs (N, q), their sizes and the errors of both."""

    def __init__(self, hull: Hull, skip: str) -> None:
        self.Z = hull.Z if skip == "affine" else hull.Z[:, :0]
        self.size = np.linalg.norm(self.Z, axis=1)
        # Rounding of the coordinates: of the difference to the centre, and of d products.
        n_inputs, n_dims = hull.axes.shape
        rounding = (n_inputs + 4) * EPS * n_dims**0.5
        self.error = rounding * (self.size + hull.left_over) * bool(self.Z.shape[1])

    def spread(self, rows: NDArray[np.intp], n: int) -> _Coordinates:
        """Those of n samples of which only ``rows`` count."""
        for name in ("Z", "size", "error"):
            values = getattr(self, name)
            everywhere = np.zeros((n, *values.shape[1:]))
            everywhere[rows] = values
            setattr(self, name, everywhere)
        return self


class SkipConstraints:
    """Projections onto the constraints.

    Parameters
    ----------
    hull : Hull
        Coordinates of the inputs. Directions in which the inputs are flat up to rounding are not
        constrained.
    skip : {"affine", "constant"}
        The skip connection.
    flat : sequence of FlatTasks
        Tasks that are not constrained in directions in which their own inputs are flat.
    """

    def __init__(self, hull: Hull, skip: str, flat: Sequence[FlatTasks] = ()) -> None:
        self._shared = _Coordinates(hull, skip)
        self._own: dict[int, _Coordinates] = {}
        for each in flat:
            own = _Coordinates(each.hull, skip).spread(each.rows, len(hull.Z))
            self._own.update(dict.fromkeys(each.tasks.tolist(), own))

    def project(self, P: FloatArray, freedom: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Subtract the freedom times an affine function from P, so that it satisfies them.

        Parameters
        ----------
        P : ndarray of shape (N, T)
            A guess of the dual variable.
        freedom : ndarray of shape (N, 1) or (N, T)
            In which proportion its entries move, >= 0.

        Returns
        -------
        P : ndarray of shape (N, T)
            Satisfies the constraints to rounding; tasks where too few entries are free are 0.
        distance : ndarray of shape (N, T)
            An exactly feasible dual variable exists whose entries differ by no more than this.
        """
        projected, distance = np.empty(P.shape), np.empty(P.shape)
        if freedom.shape[1] == 1 and not self._own:
            return self._project(P, freedom[:, 0], self._shared)
        for t, f in enumerate(np.broadcast_to(freedom, P.shape).T):
            task = slice(t, t + 1)
            projected[:, task], distance[:, task] = self._project(P[:, task], f, self._of(t))
        return projected, distance

    def _of(self, t: int) -> _Coordinates:
        return self._own.get(t, self._shared)

    def _project(
        self, P: FloatArray, f: FloatArray, inputs: _Coordinates
    ) -> tuple[FloatArray, FloatArray]:
        zero = np.zeros(P.shape)
        largest = float(f.max())
        if not (0 < largest < np.inf):
            return zero, zero
        f = f / largest
        mean = f @ inputs.Z / f.sum()
        B = np.column_stack([np.ones(f.size), inputs.Z - mean])
        R = np.linalg.qr(np.sqrt(f)[:, np.newaxis] * B, mode="r")
        try:
            C = np.linalg.inv(R)
        except np.linalg.LinAlgError:
            return zero, zero
        E = B @ C
        sizes = np.linalg.norm(E, axis=1)
        # How far E is from a matrix whose columns are in the span of 1 and X exactly.
        moved = inputs.error + EPS * (inputs.size + float(np.linalg.norm(mean)))
        errors = float(np.linalg.norm(C)) * (
            B.shape[1] * 4 * EPS * np.linalg.norm(B, axis=1) + moved
        )
        columns = f[:, np.newaxis]
        deviation = float(np.linalg.norm(_product(E, columns * E)[0] - np.eye(B.shape[1])))
        deviation += float(f @ (errors * (2 * sizes + errors)))
        if not deviation <= 0.5:
            return zero, zero
        for _ in range(_PASSES):
            P = P - columns * (E @ _product(E, P)[0])
        left, n_terms = _product(E, P)
        left_over = np.sqrt(np.sum(left**2, axis=0))
        left_over += (n_terms * EPS * sizes + errors) @ np.abs(P)
        return P, np.outer(2.1 * f * (sizes + errors), left_over)

    def towards(
        self, P: FloatArray, lo: FloatArray, hi: FloatArray, weights: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Bring P near the constraints inside its bounds; return it with the freedom left.

        Each entry takes a share of the correction in proportion to its distance from both bounds,
        as in an interior-point step, so that entries on a bound stay there. Scaling cannot repair
        what is out of bounds where 0 is itself a bound (logistic loss).

        Parameters
        ----------
        P : ndarray of shape (N, T)
            Inside its bounds.
        lo, hi : ndarray of shape (N, T)
            The bounds; infinite ones do not count.
        weights : ndarray of shape (N, 1) or (N, T)
            The freedom of entries without bounds.
        """
        if not bool(np.all(np.isfinite(lo) & np.isfinite(hi))):
            return P, weights
        P, freedom = P.copy(), np.empty(P.shape)
        for t in range(P.shape[1]):
            p, low, high = P[:, t], lo[:, t], hi[:, t]
            for _ in range(_ROUNDS):
                free = (p - low) * (high - p) / (high - low)
                # Entries all but on a bound are no freedom: the others must move instead.
                free = np.where(free > 1e-12 * (high - low), free, 0.0)
                moved = self._project(p[:, np.newaxis], free, self._of(t))[0][:, 0]
                if not moved.any() and p.any():
                    free = weights[:, t if weights.shape[1] > 1 else 0]
                    break
                if bool(np.all((moved >= low) & (moved <= high))):
                    break
                # Nine tenths of the way to the bound, and the others take the rest next time.
                p = np.clip(moved, p - 0.9 * (p - low), p + 0.9 * (high - p))
            P[:, t], freedom[:, t] = p, free
        return P, freedom


def _product(E: FloatArray, P: FloatArray) -> tuple[FloatArray, int]:
    """Return Eᵀ P and how many roundings an entry has seen."""
    n = E.shape[0]
    result = np.zeros((E.shape[1], P.shape[1]))
    for start in range(0, n, _ROWS):
        result += E[start : start + _ROWS].T @ P[start : start + _ROWS]
    return result, min(n, _ROWS) + -(-n // _ROWS) + 1
