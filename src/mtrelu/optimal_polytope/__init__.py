"""Every globally optimal function of several inputs: one or many, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtrelu._flat_tasks import FlatTasks
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope.family import Family
from mtrelu.optimal_polytope.judgement import Standard, judge, rotated
from mtrelu.optimal_polytope.unshared import judge_unshared
from mtrelu.problem import Problem
from mtrelu.solvers.interpolation import Verdict
from mtrelu.validation import FloatArray, InvalidInputError, as_generator, as_inputs

__all__ = ["OptimalPolytope"]


@dataclass(frozen=True, eq=False)
class OptimalPolytope:
    """All global optima [12] with several inputs, or with a constant skip connection.

    Made by `of_solution`. The neurons of every optimal network lie where the dual function attains
    α, and their output weights point in the direction that it has there (mathematics.md,
    section 4). If these places are finitely many, what remains is a polytope of coefficients
    c ≥ 0 with Σ_k c_k φ_k(X) u_kᵀ fixed up to the skip connection.

    Attributes
    ----------
    verdict : Verdict
        ``"unique"``: proved, there is one optimal function. ``"not unique"``: two networks are
        known, both proved to be within a relative gap of 1e-10 of the optimum, whose values
        differ by at least a thousandth of what the fit varies; and the equalities that make them
        equally good hold to the last digits of the data. ``"undecided"``: neither.
    reason : str
        Why, in plain words, with the tolerances that were used.
    network : ReLUNetwork
        An optimal network whose neurons are where the dual function attains α.
    relative_gap : float
        The proved relative gap that the verdict rests on; infinite without a proof.
    complete : bool
        Whether all places where optimal neurons can be were found, to the tolerance that the
        reason names. If not, `range` is the range over the networks that are known.
    range_is_proved : bool
        Whether no optimal function leaves `range`: the optimum is proved unique, or all places
        where optimal neurons can be were found and the fitted values are the same for all optima.
        If not, optimal functions may differ by more than what `range` shows.

    Examples
    --------
    The corners of a square, of which one is raised:

    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> problem = Problem.make(X, [0.0, 0.0, 0.0, 1.0], alpha=1.0)
    >>> A, c, P = problem.affine_fit()
    >>> flat = ReLUNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), A, c)
    >>> OptimalPolytope.of_solution(problem, flat, P).verdict.value
    'unique'
    """

    verdict: Verdict
    reason: str
    network: ReLUNetwork
    relative_gap: float
    complete: bool
    range_is_proved: bool
    _family: Family
    _back: FloatArray | None  # (T, r), from the tasks of the family to those of the problem
    _witness: ReLUNetwork | None
    _standard: Standard
    _flat: list[FlatTasks]  # whose labels leave slopes free

    def __repr__(self) -> str:
        """Return the verdict and the sizes."""
        return (
            f"<OptimalPolytope: {self.verdict}, {self._family.support.b.size} neurons with "
            f"{self._family.coefficients.freedom} degrees of freedom>"
        )

    @classmethod
    def of_solution(
        cls, problem: Problem, network: ReLUNetwork, dual: FloatArray | None = None
    ) -> OptimalPolytope:
        """Return all optimal functions of a problem, from a nearly optimal network.

        Parameters
        ----------
        problem : Problem
            With ``skip="affine"`` or ``"constant"``.
        network : ReLUNetwork
            A nearly optimal network. The smaller its gap, the more can be decided: ask the
            solver for 1e-12.
        dual : ndarray of shape (n_samples, T), optional
            A nearly optimal dual variable, by default that of the network's predictions; needed
            for α = 0, where predictions say nothing about it.

        Returns
        -------
        OptimalPolytope

        Raises
        ------
        InvalidInputError
            ``skip="none"``; a network or a dual of another size; no dual for α = 0.
        """
        problem.check_network(network)
        _refuse(problem, dual)
        hint = None if dual is None else np.asarray(dual, dtype=np.float64)
        found = (judge if problem.shares_weights else judge_unshared)(problem, network, hint)
        return cls(
            found.verdict,
            found.reason,
            found.network,
            found.relative_gap,
            found.complete,
            found.range_is_proved,
            found.family,
            found.back,
            found.witness,
            found.standard,
            found.flat,
        )

    def range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and largest value that optimal functions are known to take.

        Unless `range_is_proved`, there may be optimal functions outside of it: as long as nothing
        is known to differ, ``low`` equals ``high``, which is no proof that nothing does.

        One linear program for each point, task and side where optimal functions differ. A plateau
        of the dual function adds the one neuron of it whose hyperplane passes through the point;
        with that the range over all of the plateau is exact.

        Parameters
        ----------
        X : array_like of shape (M, d)
            Where.

        Returns
        -------
        low, high : ndarray of shape (M, T)
            Infinite where a slope across the hull of the data (of a task) is free.
        """
        points = as_inputs(X)
        hull = self._family.hull
        if points.shape[1] != hull.centre.size:
            raise InvalidInputError(
                f"X has {points.shape[1]} columns, but the network has {hull.centre.size} inputs; "
                f"pass X of shape (M, {hull.centre.size})."
            )
        shifted = (points - hull.centre) / hull.scale
        Z = shifted @ hull.axes
        low, high = self._family.range(Z, self._back)
        if self._free_slopes:
            across = np.abs(shifted - Z @ hull.axes.T).max(axis=1)
            outside = across > 1e-9 * (1.0 + np.abs(Z).max(axis=1, initial=0.0))
            low[outside], high[outside] = -np.inf, np.inf
        for flat in self._flat:
            shifted = (points - flat.hull.centre) / flat.hull.scale
            Z = shifted @ flat.hull.axes
            across = np.abs(shifted - Z @ flat.hull.axes.T).max(axis=1)
            outside = across > 1e-9 * (1.0 + np.abs(Z).max(axis=1, initial=0.0))
            low[np.ix_(outside, flat.tasks)] = -np.inf
            high[np.ix_(outside, flat.tasks)] = np.inf
        return low, high

    def sample(self, n: int = 1, random_state: Any = None) -> list[ReLUNetwork]:
        """Draw optimal networks at random: mixtures of random vertices of the polytope.

        On each plateau of the dual function a random share of the neurons becomes one neuron
        between them. Each network is checked before it is returned: by the dual variable, its
        objective exceeds that of `network` by no more than 1e-10 of it, or by rounding.

        Parameters
        ----------
        n : int
            How many.
        random_state : int, Generator or None
            Seed.

        Returns
        -------
        list of ReLUNetwork

        Raises
        ------
        InvalidInputError
            ``n`` that is not a whole number, or something that cannot seed a generator.
        """
        if not isinstance(n, int | np.integer) or n < 0:
            raise InvalidInputError(f"n is {n!r}; pass how many samples, a whole number >= 0.")
        rng = as_generator(random_state)
        drawn = self._family.random(rng, n, self._standard.accepts)
        return [self._rotated(network) for network in drawn]

    def sparsest(self) -> ReLUNetwork:
        """Return an optimal network with the fewest neurons that was found.

        A mixed-integer program chooses among the neurons where the dual function attains α, and
        one neuron anywhere on each plateau. `sparsest_is_exact` says whether it was solved to the
        end, as small ones are; otherwise the best choice within ten seconds is returned.
        """
        return self._rotated(self._fewest[0])

    @property
    def sparsest_is_exact(self) -> bool:
        """Whether no optimal network has fewer neurons than `sparsest`, if ``complete``."""
        return self._fewest[1] and self.complete

    def witness(self) -> ReLUNetwork | None:
        """Return an optimal network that is another function than the given one, if one is known.

        Returns
        -------
        ReLUNetwork or None
            None unless the verdict is ``"not unique"``.
        """
        return self._witness

    @cached_property
    def _fewest(self) -> tuple[ReLUNetwork, bool]:
        network, exact = self._family.fewest()
        if self._standard.accepts(network):
            return network, exact
        return self._family.network(self._family.coefficients.start), False

    @property
    def _free_slopes(self) -> bool:
        d, q = self._family.hull.axes.shape
        return self._standard.problem.skip == "affine" and q < d

    def _rotated(self, network: ReLUNetwork) -> ReLUNetwork:
        return network if self._back is None else rotated(network, self._back)


def _refuse(problem: Problem, dual: Any) -> None:
    """Raise an error for a problem that has no certified optimum, or a dual that does not fit."""
    if problem.skip == "none":
        raise InvalidInputError(
            'skip is "none", but without a skip connection the minimum is in general not '
            'attained; pass skip="affine" or "constant".'
        )
    if dual is None:
        if problem.alpha == 0:
            raise InvalidInputError(
                "dual is missing, but for alpha = 0 a network's predictions say nothing about "
                "the dual variable; pass the one that the solver returned."
            )
    elif np.shape(dual) != problem.Y.shape or not np.isfinite(dual).all():
        raise InvalidInputError(
            f"dual has shape {np.shape(dual)} or entries that are not finite, but a dual variable "
            f"needs the shape of Y, {problem.Y.shape}; leave it out if in doubt."
        )
