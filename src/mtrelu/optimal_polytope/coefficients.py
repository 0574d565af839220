"""The polytope {c ≥ 0: Φ c = Φ c₀} of the coefficients of finitely many neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp, nnls

from mtrelu.validation import FloatArray

# Columns of Φ have norm one; what range and samples take for a combination of them that is zero.
DEPENDENT = 1e-7
_EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
# Steps along an orthonormal basis, between coefficients that are at most 1 together.
_FREE = (-2.0, 2.0)
_MILP_SECONDS = 10.0
_BATCH = 2000  # rows of one linear program, more of which gain nothing


@dataclass(frozen=True, eq=False)
class Coefficients:
    """All c = c₀ + N z ≥ 0.

    Attributes
    ----------
    start : ndarray of shape (K,)
        One of them, c₀.
    null : ndarray of shape (K, m)
        N, a basis of the combinations of neurons that vanish at the data.
    """

    start: FloatArray
    null: FloatArray

    @classmethod
    def of(
        cls, columns: FloatArray, target: FloatArray, dependent: float = DEPENDENT
    ) -> tuple[Coefficients, float]:
        """Fit ``target`` by non-negative coefficients of the ``columns`` (D, K) of any length.

        Returns the polytope and the norm of what is left of the target. Combinations of columns
        of norm one that are no longer than ``dependent`` count as zero.
        """
        n_columns = columns.shape[1]
        if n_columns == 0:
            nothing = cls(np.zeros(0), np.zeros((0, 0)))
            return nothing, float(np.linalg.norm(target))
        sizes = np.linalg.norm(columns, axis=0)
        unit = columns / sizes
        # Orthogonal coordinates of the span; no squares, so no digits are lost.
        Q, R = np.linalg.qr(unit)
        inside = Q.T @ target
        solution = nnls(R, inside, maxiter=30 * n_columns + 100)[0]
        rest = target - unit @ solution
        _, singular, rows = np.linalg.svd(R)
        singular = np.append(singular, np.zeros(n_columns - singular.size))
        null = rows[singular <= dependent].T / sizes[:, np.newaxis]
        if null.shape[1]:
            null = np.linalg.qr(null)[0]
        return cls(solution / sizes, np.ascontiguousarray(null)), float(np.linalg.norm(rest))

    @property
    def freedom(self) -> int:
        """The number of linearly independent ways to change c without changing the data fit."""
        return int(self.null.shape[1])

    def maximise(
        self, costs: FloatArray, owner: np.ndarray, parts: FloatArray, gains: FloatArray
    ) -> FloatArray:
        """Maximise ⟨cost_r, c⟩ + Σ_{j: owner_j = r} gain_j a_j, with a_j parts_j ≤ c summed over j.

        Parameters
        ----------
        costs : ndarray of shape (R, K)
            One linear program a row.
        owner : ndarray of shape (J,)
            The program that each atom belongs to, ascending.
        parts : ndarray of shape (J, K)
            How much of each coefficient one unit of the atom uses up.
        gains : ndarray of shape (J,)
            What it adds to the objective.

        Returns
        -------
        ndarray of shape (R,)
            The maxima.
        """
        total = float(self.start.sum())
        n_rows, n_neurons = costs.shape
        base = costs @ self.start
        if n_rows == 0 or total == 0.0:
            return np.asarray(base)
        start, slopes = self.start / total, costs @ self.null
        scale = np.maximum(np.abs(slopes).max(axis=1, initial=0.0), 1e-300)
        np.maximum.at(scale, owner, np.abs(gains))
        best = np.empty(n_rows)
        step = max(1, _BATCH // n_neurons)
        for first in range(0, n_rows, step):
            rows = np.arange(first, min(first + step, n_rows))
            atoms = np.flatnonzero((owner >= first) & (owner < first + step))
            use = sparse.lil_array((rows.size * n_neurons, atoms.size))
            for column, j in enumerate(atoms):
                begin = (owner[j] - first) * n_neurons
                use[begin : begin + n_neurons, [column]] = parts[j][:, np.newaxis]
            blocks = sparse.kron(sparse.eye_array(rows.size), -self.null)
            objective = np.concatenate(
                [
                    (slopes[rows] / scale[rows, np.newaxis]).ravel(),
                    gains[atoms] / scale[owner[atoms]],
                ]
            )
            n_free = rows.size * self.freedom
            found = _solve(
                -objective,
                A_ub=sparse.hstack([blocks, use]).tocsr(),
                b_ub=np.tile(start, rows.size),
                bounds=[_FREE] * n_free + [(0.0, 1.0)] * atoms.size,
            )
            values = objective * found.x
            sums = values[:n_free].reshape(rows.size, -1).sum(axis=1)
            np.add.at(sums, owner[atoms] - first, values[n_free:])
            best[rows] = base[rows] + total * scale[rows] * sums
        return best

    def vertex(self, cost: FloatArray) -> FloatArray:
        """Return a vertex c (K,) that maximises ⟨cost, c⟩."""
        total = float(self.start.sum())
        if self.freedom == 0 or total == 0.0:
            return self.start.copy()
        found = _solve(
            -(cost @ self.null) / max(float(np.abs(cost).max()), 1e-300),
            A_ub=-self.null,
            b_ub=self.start / total,
            bounds=_FREE,
        )
        return self._cleaned(self.start + total * (self.null @ found.x))

    def fewest(self, joins: list[tuple[int, int]]) -> tuple[FloatArray, FloatArray, bool]:
        """Return coefficients with the fewest neurons, where a join counts as one neuron.

        Parameters
        ----------
        joins : list of (int, int)
            Pairs of neurons that any mixture of can be one neuron.

        Returns
        -------
        own : ndarray of shape (K,)
            Coefficients of the neurons themselves.
        joined : ndarray of shape (len(joins), 2)
            Coefficients that become one neuron.
        exact : bool
            Whether no other choice has fewer; else the search ran out of time.
        """
        n, n_joins, m = self.start.size, len(joins), self.freedom
        total = float(self.start.sum())
        nothing = np.zeros((n_joins, 2))
        if total == 0.0:
            return self.start.copy(), nothing, True
        # Variables: z (m), own (n), joined (2 per join), whether each neuron and join is there.
        spread = np.zeros((n, 2 * n_joins))
        for j, pair in enumerate(joins):
            spread[pair, (2 * j, 2 * j + 1)] = 1.0
        n_parts = n + 2 * n_joins
        n_choices = n + n_joins
        sums = np.hstack([self.null, -np.eye(n), -spread, np.zeros((n, n_choices))])
        member = np.zeros((n_parts, n_choices))
        member[np.arange(n), np.arange(n)] = 1.0
        member[n + np.arange(2 * n_joins), n + np.arange(2 * n_joins) // 2] = 1.0
        # No coefficient exceeds what all have together, which is the same for all optima.
        limit = np.hstack([np.zeros((n_parts, m)), np.eye(n_parts), -1.01 * member])
        found = milp(
            np.concatenate([np.zeros(m + n_parts), np.ones(n_choices)]),
            integrality=np.concatenate([np.zeros(m + n_parts), np.ones(n_choices)]),
            bounds=Bounds(
                np.concatenate([np.full(m, -np.inf), np.zeros(n_parts + n_choices)]),
                np.concatenate([np.full(m + n_parts, np.inf), np.ones(n_choices)]),
            ),
            constraints=[
                LinearConstraint(sums, -self.start / total, -self.start / total),
                LinearConstraint(limit, -np.inf, np.zeros(n_parts)),
            ],
            options={"time_limit": _MILP_SECONDS, "mip_rel_gap": 0.0},
        )
        if found.x is None:
            return self.vertex(np.zeros(n)), nothing, False
        chosen = found.x[m + n_parts :] > 0.5
        # The program's tolerance lets through a little of what was not chosen: fit again.
        allowed = member[:, chosen].any(axis=1)
        return self._refit(np.asarray(allowed), spread, joins, found.status == 0)

    def _refit(
        self, allowed: np.ndarray, spread: FloatArray, joins: list[tuple[int, int]], exact: bool
    ) -> tuple[FloatArray, FloatArray, bool]:
        """Fit the optimal coefficients by those of the parts that are allowed."""
        n = self.start.size
        parts = np.hstack([np.eye(n), spread])[:, allowed]
        # Modulo the null space: its complement is what all c have in common.
        common = np.eye(n) - self.null @ self.null.T
        amount, left = nnls(common @ parts, common @ self.start)
        if left > 1e-7 * float(np.linalg.norm(self.start)):
            return self.vertex(np.zeros(n)), np.zeros((len(joins), 2)), False
        every = np.zeros(n + spread.shape[1])
        every[allowed] = amount
        return every[:n], every[n:].reshape(-1, 2), exact

    def _cleaned(self, c: FloatArray) -> FloatArray:
        """Return c without what the tolerance of a linear program left, fitted again."""
        support = c > 1e-8 * float(self.start.sum())
        common = np.eye(c.size) - self.null @ self.null.T
        amount, left = nnls(common[:, support], common @ self.start)
        if left > 1e-9 * float(np.linalg.norm(self.start)):
            return np.maximum(c, 0.0)
        cleaned = np.zeros_like(c)
        cleaned[support] = amount
        return cleaned


def _solve(cost: FloatArray, **program: Any) -> Any:
    """Solve a linear program, with less accuracy if HiGHS does not manage more."""
    for options in (_EXACT, {}):
        for method in ("highs-ds", "highs-ipm"):
            found = linprog(cost, method=method, options=options, **program)
            if found.status == 0:
                return found
    raise ArithmeticError(f"a linear program of the optimal polytope failed: {found.message}")
