"""Newton steps of interior point methods on duals: linear systems, step lengths, repairs.

Every step solves, with A = (Φ, B) for the features Φ (N, K) and a basis B (N, q) of the skip
functions,

    D⁻¹ dP + A dx = r₁,     Aᵀ dP − S dx = r₂,

where D (N, T) ≥ 0 is diagonal and S is a positive definite matrix (T, T) for every neuron, and zero
for the skip functions: as one positive definite matrix in dx, or in dP where there are fewer
samples than neurons. Where D = 0 the entry of dP is 0, and has no equation. Neurons can depend on
each other and on the skip functions; a QR decomposition takes the place of the Cholesky factor once
that matters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack

from mtrelu.solvers._cones import Scaling
from mtrelu.validation import FloatArray

# A sum counts as zero when it is not beyond this share of its terms.
_ROUNDING = 1e-13
_MAX_REPAIRS = 4
# Most times that a Newton direction is refined.
_MAX_REFINEMENTS = 8
# A step that leaves more than this share of its equations is taken again, with better factors.
_USEFUL = 1e-6
# What is added to a diagonal of ones until a factorisation exists.
_RIDGES = (0.0, 1e-15, 1e-14, 1e-12, 1e-10)


class Schur(Protocol):
    """The matrices S of the neurons."""

    def schur(self) -> FloatArray:
        """S (K, T, T)."""

    def schur_root(self) -> FloatArray:
        """√S (K, T, T)."""

    def schur_product(self, dx: FloatArray) -> FloatArray:
        """S dx for the rows of dx that belong to neurons, 0 for those of the skip functions."""


class NewtonSystem(ABC):
    """The equations of a step; ``schur`` is S."""

    factor: _Factor

    def __init__(self, Phi: FloatArray, B: FloatArray, D: FloatArray, schur: Schur) -> None:
        self.Phi, self.D, self.S = Phi, D, schur
        self.A = np.hstack([Phi, B])

    @abstractmethod
    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return dP (N, T) and dx (K + q, T), as accurate as the factors are."""

    def solve(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray, bool]:
        """The same, refined, and whether the equations hold well enough for a useful step."""
        root = np.sqrt(self.D)
        unit = np.sqrt(np.einsum("nk,nt->kt", self.A**2, self.D) + 1.0)
        dP, dx = np.zeros_like(r1), np.zeros_like(r2)
        e1, e2, wrong = r1, r2, math.inf
        useful = False
        for _ in range(_MAX_REFINEMENTS):
            more_P, more_x = self.eliminate(e1, e2)
            new_P, new_x = dP + more_P, dx + more_x
            e1 = np.where(self.D > 0.0, r1 - new_P / self.D - self.A @ new_x, 0.0)
            e2 = r2 - self.A.T @ new_P + self.S.schur_product(new_x)
            now = float(np.linalg.norm(root * e1) + np.linalg.norm(e2 / unit))
            if not now < 0.5 * wrong:
                break
            dP, dx, wrong = new_P, new_x, now
            useful = bool(np.linalg.norm(root * e1) <= _USEFUL * np.linalg.norm(root * r1))
            rounding = _ROUNDING * np.linalg.norm(np.abs(self.A).T @ np.abs(dP))
            useful &= bool(np.linalg.norm(e2) <= max(_USEFUL * np.linalg.norm(r2), rounding))
        return dP, dx, useful


class ByNeurons(NewtonSystem):
    """Elimination of dP: a matrix of (K + q) T rows."""

    def __init__(
        self, Phi: FloatArray, B: FloatArray, D: FloatArray, schur: Schur, careful: bool
    ) -> None:
        super().__init__(Phi, B, D, schur)
        n_tasks, n_columns = D.shape[1], self.A.shape[1]
        tasks = np.zeros((n_columns, n_tasks, n_columns, n_tasks))
        neurons = np.zeros_like(tasks)
        for t in range(n_tasks):
            rows = np.sqrt(D[:, t : t + 1]) * self.A
            block = _triangle(rows) if careful else rows.T @ rows
            tasks[: len(block), t, :, t] = block
        each = np.arange(Phi.shape[1])
        neurons[each, :, each, :] = schur.schur_root() if careful else schur.schur()
        size = n_columns * n_tasks
        if careful:
            rows = np.vstack([tasks.reshape(size, size), neurons.reshape(size, size)])
            self.factor = _Factor.of_rows(rows)
        else:
            self.factor = _Factor.of_matrix((tasks + neurons).reshape(size, size))

    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        right = self.A.T @ (self.D * r1) - r2
        dx = self.factor.solve(right.reshape(-1, 1)).reshape(right.shape)
        return self.D * (r1 - self.A @ dx), dx


class BySamples(NewtonSystem):
    """Elimination of dx: a matrix of N T rows."""

    def __init__(self, Phi: FloatArray, B: FloatArray, D: FloatArray, scaling: Scaling) -> None:
        super().__init__(Phi, B, D, scaling)
        self.scaling = scaling
        (n_samples, n_tasks), n_neurons = D.shape, Phi.shape[1]
        pairs = (Phi[:, np.newaxis, :] * Phi).reshape(-1, n_neurons)
        blocks = pairs @ scaling.inverse_schur().reshape(n_neurons, -1)
        blocks = blocks.reshape(n_samples, n_samples, n_tasks, n_tasks).transpose(0, 2, 1, 3)
        matrix = blocks.reshape(n_samples * n_tasks, -1)
        matrix.flat[:: len(matrix) + 1] += 1.0 / D.ravel()
        self.skip = np.asarray(np.kron(B, np.eye(n_tasks)), dtype=np.float64)
        self.free = np.flatnonzero(D)
        if self.free.size < D.size:
            matrix, self.skip = matrix[np.ix_(self.free, self.free)], self.skip[self.free]
        self.factor = _Factor.of_matrix(matrix)
        self.skip_solved = self.factor.solve(self.skip)
        self.skip_factor = _Factor.of_matrix(self.skip.T @ self.skip_solved)

    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        n_neurons = self.Phi.shape[1]
        right = r1 + self.Phi @ self.scaling.inverse_schur_product(r2[:n_neurons])
        free = self.factor.solve(right.reshape(-1, 1)[self.free])
        lack = self.skip.T @ free - r2[n_neurons:].reshape(-1, 1)
        d_theta = self.skip_factor.solve(lack)
        dP = np.zeros_like(r1)
        dP.flat[self.free] = (free - self.skip_solved @ d_theta)[:, 0]
        dV = self.scaling.inverse_schur_product(self.Phi.T @ dP - r2[:n_neurons])
        return dP, np.vstack([dV, d_theta.reshape(-1, r1.shape[1])])


@dataclass(frozen=True)
class _Factor:
    """Triangle R of a positive definite matrix M with RᵀR = EME, E the diagonal ``scale``."""

    scale: FloatArray
    R: FloatArray

    @classmethod
    def of_matrix(cls, matrix: FloatArray) -> _Factor:
        """Cholesky factor, of a slightly more positive matrix where rounding makes that needed."""
        diagonal = matrix.diagonal()
        scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        scaled = scale[:, np.newaxis] * matrix * scale
        if not scaled.size:
            return cls(scale, scaled)
        for ridge in _RIDGES:
            scaled.flat[:: len(scaled) + 1] = 1.0 + ridge
            R, failed = lapack.dpotrf(scaled)
            if not failed:
                return cls(scale, R)
        raise np.linalg.LinAlgError

    @classmethod
    def of_rows(cls, rows: FloatArray) -> _Factor:
        """The same for rowsᵀ rows, which squares no condition number and takes longer."""
        norms = np.linalg.norm(rows, axis=0)
        scale = 1.0 / np.where(norms > 0.0, norms, 1.0)
        return cls(scale, _triangle(rows * scale))

    def solve(self, right: FloatArray) -> FloatArray:
        """Solve M x = right for every column."""
        if not right.size:
            return right
        solved = cho_solve((self.R, False), self.scale[:, np.newaxis] * right, check_finite=False)
        return np.asarray(self.scale[:, np.newaxis] * solved)


def _triangle(rows: FloatArray) -> FloatArray:
    """R of a QR decomposition that is accurate for rows of very different sizes."""
    largest_first = np.argsort(-np.max(np.abs(rows), axis=1, initial=0.0), kind="stable")
    return np.asarray(np.linalg.qr(rows[largest_first], mode="r"))


def longest_step(room: FloatArray, change: FloatArray) -> float:
    """Largest step along a change that leaves all room positive."""
    shrinking = change < 0.0
    return float(np.min(-room[shrinking] / change[shrinking], initial=math.inf))


def onto_skip_constraints(
    P: FloatArray, B: FloatArray, D: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Move P (N, T) so that Bᵀ P = 0, and tell for every task whether it is, up to rounding.

    By the metric D of the path, which does not move entries that are near their bounds.
    """
    gram = np.einsum("ni,nt,nj->tij", B, D, B, optimize=True)
    for repair in range(_MAX_REPAIRS + 1):
        excess = B.T @ P
        good = np.all(np.abs(excess) <= _ROUNDING * (np.abs(B).T @ np.abs(P)), axis=0)
        if good.all() or repair == _MAX_REPAIRS:
            break
        try:
            move = np.linalg.solve(gram, excess.T[:, :, np.newaxis])[:, :, 0].T
        except np.linalg.LinAlgError:
            # Few labels need not determine the skip functions.
            move = (np.linalg.pinv(gram, hermitian=True) @ excess.T[:, :, np.newaxis])[:, :, 0].T
        P = P - D * (B @ move)
    return P, good
