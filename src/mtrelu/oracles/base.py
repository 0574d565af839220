"""What all oracles for several inputs share: built once for the inputs, asked again and again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mtrelu.oracles import OracleResult
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Hull:
    """The inputs in orthonormal coordinates of their affine hull.

    Directions across the hull change nothing on the data and cost path norm, so no optimal neuron
    uses them. Constant columns, columns that depend on others, and N ≤ d are covered by this.

    Attributes
    ----------
    centre : ndarray of shape (d,)
        The mean of the inputs.
    axes : ndarray of shape (d, q)
        Orthonormal columns that span the hull; q is its dimension.
    scale : float
        A power of two above the largest coordinate; 1 if all inputs are equal.
    Z : ndarray of shape (N, q)
        Coordinates: ``X ≈ centre + scale * Z @ axes.T``; rows no longer than √d.
    left_over : ndarray of shape (N,)
        Euclidean size of what the coordinates leave out of ``(X - centre) / scale``, including
        rounding.

    Examples
    --------
    >>> hull = Hull.of(np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]]))
    >>> hull.Z.shape, hull.scale
    ((3, 1), 4.0)
    """

    centre: FloatArray
    axes: FloatArray
    scale: float
    Z: FloatArray
    left_over: FloatArray

    @classmethod
    def of(cls, X: FloatArray) -> Hull:
        """Find the hull of inputs (N, d)."""
        with np.errstate(over="ignore"):
            centre = X[0] + np.mean(X - X[0], axis=0)
        shifted = X - centre
        largest = float(np.abs(shifted).max())
        # What rounding of the inputs themselves can move.
        rounding = 2 * _EPS * float(np.abs(X).max())
        if largest <= rounding:
            nothing, no_axes = np.zeros((X.shape[0], 0)), np.zeros((X.shape[1], 0))
            return cls(centre, no_axes, 1.0, nothing, np.linalg.norm(shifted, axis=1))
        scale = 2.0 ** math.frexp(largest)[1]
        shifted /= scale
        _, singular, rows = np.linalg.svd(shifted, full_matrices=False)
        level = singular[0] * max(X.shape) * _EPS + math.sqrt(X.shape[0]) * rounding / scale
        axes = np.ascontiguousarray(rows[singular > level].T)
        Z = np.ascontiguousarray(shifted @ axes)
        left_over = np.linalg.norm(shifted - Z @ axes.T, axis=1) + 4 * _EPS * math.sqrt(X.shape[1])
        return cls(centre, axes, scale, Z, left_over)

    def lift(self, w: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return unit neurons (M, d), (M,) of the inputs for unit neurons (M, q), (M,) of Z."""
        lifted = w @ self.axes.T
        return lifted, self.scale * b - lifted @ self.centre


class Oracle(ABC):
    """Maximises the dual function ‖Σ_i p_i (w·x_i + b)₊‖₂ over unit w and all b.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs. What can be prepared from them alone is prepared once.
    skip : {"affine", "constant"}
        Which constraints the dual variables satisfy: Σ_i p_i = 0, and for ``"affine"`` also
        Σ_i p_i x_iᵀ = 0. Then (w, b) and (−w, −b) have the same value.

    Attributes
    ----------
    hull : Hull
        Coordinates of the inputs.
    """

    def __init__(self, X: FloatArray, skip: str) -> None:
        self.hull = Hull.of(X)
        self.skip = skip

    def search(self, P: FloatArray, *, target: float = 0.0) -> OracleResult:
        """Find the neurons where the dual function is largest.

        Parameters
        ----------
        P : ndarray of shape (N, T)
            Dual variable that satisfies the constraints of the skip connection to rounding.
        target : float
            What is below need not be resolved: when no neuron exceeds it, ``value`` may be any
            number from the maximum up to ``target``. With 0 only the maximum is asked for.

        Returns
        -------
        OracleResult
            Unit weights and biases, in the units of the inputs, of local maximisers whose
            hyperplane passes through a data point and whose value is above ``target``, largest
            first. With a positive target an exact oracle returns all of them (of those that form
            a continuum, its corners), and one only of (w, b) and (−w, −b) for an affine skip.
            ``value`` includes room for rounding.

        Raises
        ------
        InvalidInputError
            P has another number of rows, or entries that are not finite.
        """
        P = np.asarray(P, dtype=np.float64)
        if P.ndim != 2 or P.shape[0] != self.hull.Z.shape[0] or not np.isfinite(P).all():
            raise InvalidInputError(
                f"P has shape {P.shape} or entries that are not finite, but a dual variable for "
                f"{self.hull.Z.shape[0]} samples needs shape ({self.hull.Z.shape[0]}, T) and "
                "finite numbers."
            )
        size = float(np.abs(P).max(initial=0.0))
        d = self.hull.axes.shape[0]
        if size == 0.0 or self.hull.Z.shape[1] == 0:
            rounding = float(np.linalg.norm(P, axis=1) @ self.hull.left_over) * self.hull.scale
            return OracleResult(rounding, "exact", np.zeros((0, d)), np.zeros(0), np.zeros(0))
        unit = 2.0 ** math.frexp(size)[1]
        scaled = P / unit
        if P.shape[1] > P.shape[0]:  # g depends on P Pᵀ alone
            scaled = np.ascontiguousarray(np.transpose(np.linalg.qr(scaled.T, mode="r")))
        factor = unit * self.hull.scale
        found = self._search(np.ascontiguousarray(scaled), target / factor)
        # The constraints hold to rounding, and so do the coordinates.
        sizes = np.linalg.norm(scaled, axis=1)
        slack = float(sizes @ self.hull.left_over) + 8 * _EPS * float(sizes.sum())
        if P.shape[1] > P.shape[0]:  # Householder QR is backward stable: N eps relative to ‖P‖
            reach = float(np.sqrt(np.sum(self.hull.Z**2)))
            slack += 2 * P.shape[0] * _EPS * float(np.linalg.norm(scaled)) * reach
        w, b = self.hull.lift(found.w, found.b)
        return OracleResult(
            (found.value * (1 + 4 * _EPS) + slack) * factor, found.exactness, w, b, found.g * factor
        )

    @abstractmethod
    def _search(self, P: FloatArray, target: float) -> OracleResult:
        """`search` in the coordinates ``hull.Z``, with P of size one and T ≤ N."""
