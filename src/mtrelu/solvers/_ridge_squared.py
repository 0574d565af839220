"""Ridge regression under the squared loss in closed form, for all penalties at once.

One orthogonal transformation √w (B, Φ) = Q R splits the samples into three: coordinates that the
skip functions fit, coordinates that the neurons can reach, the core, and the rest, which nothing
can fit. A singular value decomposition of the core's neurons, scaled by the square roots of their
strengths, then gives the solution for every α. It is computed by Jacobi's method, which keeps the
digits of small singular values where strengths are of very different sizes. No matrix is ever
squared, so that no digits are lost however small α is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr, solve_triangular

from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
# Labels count as interpolated when no residual is beyond this share of the largest label that the
# skip functions leave over, or can be rounding: beyond that share of the terms it is made of.
_INTERPOLATED, _ROUNDING = 1e-9, 1e-13
# Above this leverage 1 − leverage is computed as a sum of squares, not as a difference.
_HIGH_LEVERAGE = 0.5
# A sample that is this near to the span of some functions alone determines one of them.
_ALONE = 1e-12
# Sums over directions keep digits down to this share of the largest term they could have.
_SOUND = 1e-9


class Rows:
    """The samples in coordinates that separate skip functions, core and rest."""

    def __init__(self, Y: FloatArray, weights: FloatArray, Phi: FloatArray, B: FloatArray) -> None:
        self.Y, self.weights, self.Phi, self.B = Y, weights, Phi, B
        self.counted = weights > 0.0
        self.root = np.sqrt(weights[self.counted])[:, np.newaxis]
        q = B.shape[1]
        functions = self.root * np.hstack([B[self.counted], Phi[self.counted]])
        self.sizes = np.linalg.norm(functions[:, q:], axis=0)
        (reflectors, self._tau), R = qr(functions, mode="raw", check_finite=False)
        self.reach = len(self._tau)
        self._reflectors = np.asfortranarray(reflectors[:, : self.reach])
        self.R_skip, self.R_cross, self.core = R[:q, :q], R[:q, q:], R[q : self.reach, q:]
        labels = self.rotated(self.root * Y[self.counted])
        self.skip_labels, self.core_labels = labels[:q], labels[q : self.reach]
        self.rest = labels[self.reach :]

    def rotated(self, samples: FloatArray) -> FloatArray:
        """Qᵀ times columns of samples."""
        return self._apply("T", samples)

    def back(self, coordinates: FloatArray, first: int) -> FloatArray:
        """Q times columns of coordinates from ``first`` on; the others are zero."""
        columns = np.zeros((len(self.root), coordinates.shape[1]))
        columns[first : first + len(coordinates)] = coordinates
        return self._apply("N", columns)

    def _apply(self, transposed: str, columns: FloatArray) -> FloatArray:
        if not (columns.size and self.reach):
            return columns
        arguments = ("L", transposed, self._reflectors, self._tau, columns)
        _, work, _ = lapack.dormqr(*arguments, lwork=-1)
        product, _, _ = lapack.dormqr(*arguments, lwork=int(work[0]))
        return np.asarray(product)

    def assemble(
        self, V: FloatArray, core: FloatArray, strengths: FloatArray, alpha: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """V, Θ, P and the gap for these weights (K, T) and residuals of the core (r, T)."""
        # The part of Θ that makes up for the neurons' own skip part is not lost in the labels'.
        shift = self._skip(self.skip_labels)
        change = self._skip(-self.R_cross @ V)
        theta = shift + change
        P = np.zeros_like(self.Y)
        residual = self.Y - self.B @ theta - self.Phi @ V
        if alpha == 0.0:
            self._refuse_residuals(residual, theta, V)
        else:
            unfitted = np.vstack([core, self.rest])
            P[self.counted] = self.root * self.back(unfitted, len(self.skip_labels))
        # Two sums of squares: how far P is from the residuals, and V from (n/α) Φᵀ P.
        p = P[self.counted] / self.root**2
        gap = 0.5 * float(np.sum((self.root * (residual[self.counted] - p)) ** 2))
        if alpha > 0.0:
            n = strengths if strengths.ndim == 2 else strengths[:, np.newaxis]
            # Divided before it is squared, which would overflow for labels in large units.
            lag = (alpha / np.where(n > 0.0, n, 1.0)) * V - self.Phi.T @ P
            with np.errstate(over="ignore"):
                gap += float(np.sum((np.sqrt(n / (2.0 * alpha)) * lag) ** 2))
        gap += float(np.sum(np.abs(change * (self.B.T @ P))))
        return V, theta, P, gap

    def _skip(self, coordinates: FloatArray) -> FloatArray:
        """The coefficients (q, T) of the skip function with these coordinates."""
        if not coordinates.size:
            return coordinates
        return np.asarray(solve_triangular(self.R_skip, coordinates, check_finite=False))

    def _refuse_residuals(self, residual: FloatArray, theta: FloatArray, V: FloatArray) -> None:
        """Raise an error where an interpolant leaves a residual."""
        size = np.abs(np.where(self.counted[:, np.newaxis], residual, 0.0))
        off_skip = np.vstack([self.core_labels, self.rest])
        labels = self.back(off_skip, len(self.skip_labels)) / self.root
        terms = np.abs(self.Y) + np.abs(self.B) @ np.abs(theta) + np.abs(self.Phi) @ np.abs(V)
        rounding = _ROUNDING * np.max(terms[self.counted], axis=0)
        wrong = size > _INTERPOLATED * np.max(np.abs(labels), axis=0) + rounding
        if wrong.any():
            row, task = np.unravel_index(np.argmax(np.where(wrong, size, 0.0)), size.shape)
            place = f"row {row}" + (f", task {task}" if size.shape[1] > 1 else "")
            raise InvalidInputError(
                "alpha is 0, but the neurons and the skip connection cannot take the labels: the "
                f"nearest they come leaves a residual of {residual[row, task]:.3g} at the label "
                f"{self.Y[row, task]:.6g} ({place}); pass alpha > 0, or add neurons."
            )


class Spectrum:
    """Singular value decomposition U S Zᵀ of the core, scaled by the roots of the strengths.

    U (r, r) is square, S (r,) and Z (K, r). A direction z of weights of which the skip functions
    and rounding leave nothing, ‖core z‖ <= max(N, K) eps Σ_k √n_k ‖√w Φ_k‖ abs(z_k), has S = 0.
    """

    def __init__(self, rows: Rows, strengths: FloatArray, tasks: Any = slice(None)) -> None:
        self.rows = rows
        self.scale = np.sqrt(strengths)[:, np.newaxis]
        self.U, self.S, self.Z = _jacobi((self.scale * rows.core.T).T)
        self.c = self.U.T @ rows.core_labels[:, tasks]
        # What rounding of the features alone would leave of every direction.
        terms = (self.scale[:, 0] * rows.sizes) @ np.abs(self.Z)
        self.S[self.S <= max(rows.counted.size, len(strengths)) * _EPS * terms] = 0.0

    def solve(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """Output weights (K, T) and residuals of the core (r, T)."""
        share = self.S / (self.S**2 + alpha) if alpha > 0.0 else self._inverse()
        V = self.scale * (self.Z @ (share[:, np.newaxis] * self.c))
        return V, self.U @ (self._left(alpha)[:, np.newaxis] * self.c)

    def _left(self, alpha: float) -> FloatArray:
        """The share of every direction of the core that the fit leaves in the residuals (r,)."""
        if alpha > 0.0:
            return alpha / (self.S**2 + alpha)
        return np.where(self.S > 0.0, 0.0, 1.0)

    def _inverse(self) -> FloatArray:
        """1 / S, 0 where S counts as zero."""
        return np.where(self.S > 0.0, 1.0 / np.where(self.S > 0.0, self.S, 1.0), 0.0)

    def leave_one_out(self, alphas: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """The residual (n_alphas, N, T) of every label of positive weight under the fit without it.

        It is P_i / (√w_i (1 − h_i)), where h_i is the leverage: with the rows e of QU and the
        shares of `_left` numerator and denominator are sums over the same directions. The second
        array (n_alphas, N) tells where rounding has left digits of them.
        """
        root = self.rows.root
        e = self.rows.back(self.U, len(self.rows.skip_labels))
        beyond, beyond_labels = self._beyond()
        alone = np.sum(e**2, axis=1) + beyond <= _ALONE**2
        residuals = np.empty((len(alphas), len(root), self.c.shape[1]))
        sound = np.empty(residuals.shape[:2], dtype=np.bool_)
        for k, alpha in enumerate(alphas):
            left = self._left(alpha)
            freedom = e**2 @ left + beyond
            labels = e @ (left[:, np.newaxis] * self.c) + beyond_labels
            least = 1.0 if len(self.rows.rest) else 0.0
            largest = np.full(len(root), np.max(left, initial=least))
            if alpha == 0.0:  # a sample that the others do not determine: the limit of 0 / 0
                left = self._inverse() ** 2
                exact = freedom <= _ALONE**2
                freedom[exact] = (e**2 @ left)[exact]
                labels[exact] = (e @ (left[:, np.newaxis] * self.c))[exact]
                largest[exact] = np.max(left, initial=0.0)
            freedom[alone] = np.nan
            residuals[k] = labels / (root * freedom[:, np.newaxis])
            sound[k] = alone | (freedom > _SOUND * largest)
        return residuals, sound

    def _beyond(self) -> tuple[FloatArray, FloatArray]:
        """Share of every sample in the rest (N,), and what of the labels is there (N, T)."""
        rows = self.rows
        labels = rows.back(rows.rest, rows.reach)
        if not len(rows.rest):
            return np.zeros(len(labels)), labels
        leverage = np.sum(rows.back(np.eye(rows.reach), 0) ** 2, axis=1)
        beyond = 1.0 - leverage
        high = np.flatnonzero(leverage > _HIGH_LEVERAGE)
        unit = np.zeros((len(labels), len(high)))
        unit[high, np.arange(len(high))] = 1.0
        own = rows.rotated(unit)[rows.reach :]
        beyond[high] = np.sum(own**2, axis=0)
        labels[high] = own.T @ rows.rest
        return beyond, labels


def _jacobi(A: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """U (r, r), S (r,) and Z (K, r) of A = U S Zᵀ (r, K) with r <= K, by one-sided Jacobi."""
    r, n_columns = A.shape
    if not A.any():
        return np.eye(r), np.zeros(r), np.zeros((n_columns, r))
    # Accurate whatever the scales of rows and columns (joba=2), all vectors wanted (jobu=jobv=0).
    S, Z, U, work, _, info = lapack.dgejsv(A.T, joba=2, jobu=0, jobv=0)
    if info != 0:
        raise np.linalg.LinAlgError(f"Jacobi's method did not converge (dgejsv returned {info}).")
    return U, S * (work[0] / work[1]), Z
