"""One task of a network from the point of view of all others: [14] to [21] of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from mtrelu.api import Solution
from mtrelu.conversion import as_network
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.regime._fits import TaskFits
from mtrelu.regime._tangent import loss_above_tangent, norm_above_tangent
from mtrelu.validation import FloatArray, InvalidInputError

_RADIUS = 1 / 16  # Theorem 4.1 holds where |v_ks| <= T^(1/16) |v*_ks|


@dataclass(frozen=True, eq=False)
class KernelRegime:
    """What Section 4 of the paper says about a network, for each of its tasks.

    Made by `of_network` or `of_solution`. For a task s the other tasks and the neurons are held
    fixed, and *candidates* compete: networks of one output over the same neurons, from
    `task_network` (the network's own output, v*), `ridge` [18], `l1` [19], or put together by
    hand. The skip connection is free and costs nothing everywhere, and input weights have unit
    norm, so that a neuron k is as strong as its output weights: ‖v_k‖₂ over all tasks, and
    n_ks = ‖v_k∖s‖₂ over all tasks but s.

    Attributes
    ----------
    problem : Problem
        Data, loss, penalty α and skip connection. For ``alpha = 0`` there is no loss: `J` and `H`
        are their penalties with the factor one, and `ridge` and `l1` interpolate.
    network : ReLUNetwork
        With unit input weights, active neurons only.

    Examples
    --------
    The fit of the first task changes little when a quadratic takes the place of its penalty:

    >>> import mtrelu
    >>> Y = [[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]]
    >>> regime = KernelRegime.of_solution(mtrelu.solve(range(5), Y, alpha=0.01, tol=1e-10))
    >>> regime
    KernelRegime(n_neurons=3, n_tasks=4)
    >>> regime.gamma.round(2)
    array([0.46, 0.52, 0.39])
    >>> regime.gamma_without[:, 0].round(2)
    array([0.46, 0.6 , 0.42])
    >>> bool(0 < regime.excess(0) < 1e-4 * regime.J(0, regime.task_network(0)))
    True
    """

    problem: Problem
    network: ReLUNetwork

    @classmethod
    def of_network(
        cls,
        network: Any,
        X: Any,
        Y: Any,
        alpha: float,
        *,
        loss: str | Mapping[str, Any] | Loss = "squared",
        skip: str = "affine",
        sample_weight: Any = None,
    ) -> KernelRegime:
        """Return the quantities of any network, however it was trained.

        Parameters
        ----------
        network : object
            Anything that `mtrelu.as_network` takes; it need not be optimal.
        X : array_like of shape (N, d) or (N,)
            Inputs.
        Y : array_like of shape (N, T) or (N,)
            Labels, one column a task.
        alpha : float
            Penalty, the λ of [12] for losses that are summed; 0 means interpolation.
        loss : str, mapping or Loss
            See `mtrelu.losses.make_loss`.
        skip : {"affine", "constant", "none"}
            The part of the network that is not penalised.
        sample_weight : array_like of shape (N,), optional
            Multiplies the loss of each sample.

        Returns
        -------
        KernelRegime

        Raises
        ------
        InvalidInputError
            As `Problem.make` and `mtrelu.as_network`, or a network that is not a candidate for
            this problem.

        Examples
        --------
        >>> corner = ReLUNetwork([[2.0]], [-2.0], [[1.5, 2.0]], [[0.0], [0.0]], [0.0, 0.0])
        >>> KernelRegime.of_network(corner, [0, 1, 2], [[0, 0], [0, 0], [3, 4]], 0.1).strengths
        array([5.])
        """
        problem = Problem.make(X, Y, alpha, loss=loss, skip=skip, sample_weight=sample_weight)
        return cls._of(problem, as_network(network, n_inputs=problem.n_inputs))

    @classmethod
    def of_solution(cls, solution: Solution) -> KernelRegime:
        """Return the quantities of the network that `mtrelu.solve` found.

        Examples
        --------
        >>> import mtrelu
        >>> solution = mtrelu.solve([0, 1, 2], [[0, 0], [0, 0], [3, 4]], alpha=0.0)
        >>> KernelRegime.of_solution(solution).gamma
        array([0.2])
        """
        return cls._of(solution.problem, solution.network)

    @classmethod
    def _of(cls, problem: Problem, network: ReLUNetwork) -> KernelRegime:
        problem.refuse_unshared_weights("the kernel regime")
        active = network.unit_norm().pruned()
        problem.check_network(active)
        return cls(problem, active)

    def __repr__(self) -> str:
        """Return the sizes."""
        sizes = f"n_neurons={self.network.n_neurons}, n_tasks={self.problem.n_tasks}"
        return f"KernelRegime({sizes})"

    @cached_property
    def strengths(self) -> FloatArray:
        """‖v_k‖₂ of each neuron, shape (K,), positive."""
        return np.asarray(np.hypot.reduce(np.abs(self.network.v), axis=1))

    @cached_property
    def strengths_without(self) -> FloatArray:
        """n_ks = ‖v_k∖s‖₂ of each neuron without each task, shape (K, T).

        Zero where only task s uses neuron k. Every entry is a sum of what it consists of, never a
        difference, so that all its digits are right however large v_ks is.

        Raises
        ------
        InvalidInputError
            There is one task only.
        """
        size = np.abs(self.network.v)
        if size.shape[1] == 1:
            raise InvalidInputError(
                "the network has one task, and without it nothing is left: n_ks = 0 and γ_ks is "
                "infinite for every neuron, so [14], [15], [18] and [20] say nothing. Pass a "
                "network of at least two tasks; for one task l1(0) [19] is exact."
            )
        before, after = np.zeros_like(size), np.zeros_like(size)
        before[:, 1:] = np.hypot.accumulate(size[:, :-1], axis=1)
        after[:, :-1] = np.hypot.accumulate(size[:, :0:-1], axis=1)[:, ::-1]
        return np.asarray(np.hypot(before, after))

    @property
    def gamma(self) -> FloatArray:
        """γ_k = 1/‖v_k‖₂ [21], shape (K,)."""
        return 1.0 / self.strengths

    @property
    def gamma_without(self) -> FloatArray:
        """γ_ks = 1/‖v_k∖s‖₂ of [18], shape (K, T); infinite where only task s uses neuron k.

        Raises
        ------
        InvalidInputError
            There is one task only.
        """
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / self.strengths_without

    def private_neurons(self) -> np.ndarray:
        """Tell which neurons are used by one task only, as a boolean array of shape (K,).

        For that task γ_ks is infinite, `H` is infinite unless its weight is zero, and `ridge` does
        without the neuron; the theorem excludes this case, which many random tasks do not produce.

        Examples
        --------
        >>> corner = ReLUNetwork([[1.0]], [-1.0], [[3.0, 0.0]], [[0.0], [0.0]], [0.0, 0.0])
        >>> regime = KernelRegime.of_network(corner, [0, 1, 2], [[0, 0], [0, 0], [3, 0]], 0.1)
        >>> regime.private_neurons(), regime.gamma_without
        (array([ True]), array([[       inf, 0.33333333]]))
        >>> regime.ridge(0).v
        array([[0.]])
        """
        return np.asarray(np.count_nonzero(self.network.v, axis=1) == 1)

    def task_network(self, s: int) -> ReLUNetwork:
        """Return the network's own output for task s, the candidate v*.

        Examples
        --------
        >>> import mtrelu
        >>> solution = mtrelu.solve([0, 1, 2], [[0, 0], [0, 0], [3, 4]], alpha=0.0)
        >>> KernelRegime.of_solution(solution).task_network(1).v
        array([[4.]])
        """
        s = self._task(s)
        net, one = self.network, slice(s, s + 1)
        return ReLUNetwork(net.w, net.b, net.v[:, one], net.A[one], net.c[one])

    def ridge(self, s: int) -> ReLUNetwork:
        """Minimise H: fit task s with the weighted penalty (α/2) Σ_k γ_ks v_k² [18].

        For ``alpha = 0`` the interpolant of least Σ_k γ_ks v_k². Neurons that no other task uses
        have γ_ks = ∞ and get the weight 0.

        Parameters
        ----------
        s : int
            Task, counted from 0.

        Returns
        -------
        ReLUNetwork
            One output over the same neurons; its objective is proved to be within 1e-6 of the
            minimum, and usually within rounding.

        Raises
        ------
        InvalidInputError
            No such task, one task only; no minimum (``alpha = 0`` with labels that these neurons
            cannot take, or a logistic loss with classes that the skip connection separates).
        """
        s = self._task(s)
        return self._fits.ridge(s, self.strengths_without[:, s])

    def l1(self, s: int) -> ReLUNetwork:
        """Fit task s alone over these neurons, with the penalty α Σ_k abs(v_k) [19].

        Parameters
        ----------
        s : int
            Task, counted from 0.

        Returns
        -------
        ReLUNetwork
            One output over the same neurons; for ``alpha = 0`` the interpolant of least
            Σ_k abs(v_k). For a single task it is as good as the optimum of the whole problem if
            the network is optimal. Proved as in `ridge`.

        Raises
        ------
        InvalidInputError
            As `ridge`, but a single task is allowed.
        """
        return self._fits.l1(self._task(s))

    def J(self, s: int, candidate: ReLUNetwork) -> float:
        """Return [14], the objective of task s while all else is fixed.

        J = Σ_i w_i ℓ(y_is, f(x_i)) + α Σ_k (v_k² + n_ks²)^½, which v* minimises if the network is
        optimal.

        Parameters
        ----------
        s : int
            Task, counted from 0.
        candidate : ReLUNetwork
            One output over the neurons of `network`, in their order.

        Returns
        -------
        float

        Raises
        ------
        InvalidInputError
            No such task, one task only, or a candidate with other neurons.
        """
        v, n = self._weights(s, candidate)
        return self._loss(s, candidate) + self._alpha * float(np.sum(np.hypot(v, n)))

    def H(self, s: int, candidate: ReLUNetwork) -> float:
        """Return [15], which is J with a quadratic for each neuron, and never below it.

        H = Σ_i w_i ℓ(y_is, f(x_i)) + α Σ_k (n_ks + v_k²/(2 n_ks)); infinite where a candidate uses
        a neuron that no other task uses.

        Parameters
        ----------
        s, candidate
            As in `J`.

        Returns
        -------
        float

        Raises
        ------
        InvalidInputError
            As `J`.
        """
        v, n = self._weights(s, candidate)
        if v[n == 0.0].any():
            return math.inf
        with np.errstate(over="ignore"):
            share = np.divide(v, n, out=np.zeros_like(v), where=n > 0.0)
            penalties = n + 0.5 * v * share
        return self._loss(s, candidate) + self._alpha * float(np.sum(penalties))

    def excess(self, s: int, candidate: ReLUNetwork | None = None) -> float:
        """Return J(candidate) − J(v*), which [17] bounds by O(T^(-1/4)) for the ridge fit.

        It is not computed as a difference: at v* it is split into the first-order term and, for
        each label and neuron, what a convex function exceeds its tangent by. For the squared,
        Huber and quantile loss each of these is a formula without cancellation. At an optimum the
        first-order term all but vanishes, and excesses far below the rounding of J are resolved;
        not so where predictions are on a kink of the loss. Other losses are compared with their
        tangents to within the rounding of their values.

        Parameters
        ----------
        s : int
            Task, counted from 0.
        candidate : ReLUNetwork, optional
            By default ``ridge(s)``.

        Returns
        -------
        float
            Non-negative, up to what the first-order term at v* is off zero. At a network that is
            not optimal that term is part of the result, which can then be negative.

        Raises
        ------
        InvalidInputError
            As `J` and `ridge`.
        """
        candidate = self._or_ridge(s, candidate)
        a, n = self._weights(s, candidate)
        own = self.task_network(s)
        b = own.v[:, 0]
        norm = np.hypot(b, n)  # positive, because neurons are active
        total = self._alpha * float(np.sum(norm_above_tangent(a, b, n) + (b / norm) * (a - b)))
        if self.problem.alpha > 0.0:
            X, y, loss = self.problem.X, self.problem.Y[:, s], self.problem.loss
            dv, dA, dc = candidate.v - own.v, candidate.A - own.A, candidate.c - own.c
            z, change = own(X)[:, 0], ReLUNetwork(own.w, own.b, dv, dA, dc)(X)[:, 0]
            terms = loss_above_tangent(loss, y, z + change, z)
            terms += loss.gradient(y, z) * change
            total += float(self.problem.sample_weight @ terms)
        return total

    def surrogate_gap(self, s: int) -> float:
        """Return the largest H − J over the neighbourhood of Theorem 4.1, bounded by [16].

        The neighbourhood is abs(v_k) <= T^(1/16) abs(v*_k) for all k. H − J is never negative and
        grows with each abs(v_k), so its supremum is at the corner, in closed form and without
        cancellation.

        Parameters
        ----------
        s : int
            Task, counted from 0.

        Returns
        -------
        float
            In units of the objective; infinite where task s alone uses a neuron.

        Raises
        ------
        InvalidInputError
            No such task, or one task only.
        """
        v, n = self._weights(s, self.task_network(s))
        if np.any(n == 0.0):
            return math.inf
        with np.errstate(over="ignore"):
            ratio = self._radius * np.abs(v) / n
            # With h = (1 + ratio²)^½ the difference n (1 + ratio²/2 − h) is n (h − 1)²/2.
            above_one = ratio * (ratio / (1.0 + np.hypot(1.0, ratio)))
            return self._alpha * float(np.sum(0.5 * n * above_one**2))

    def neighbourhood_share(self, s: int, candidate: ReLUNetwork | None = None) -> float:
        """Return the share of neurons with abs(v_k) <= T^(1/16) abs(v*_k).

        Theorem 4.1 compares J and H where all neurons satisfy this.

        Parameters
        ----------
        s : int
            Task, counted from 0.
        candidate : ReLUNetwork, optional
            By default ``ridge(s)``.

        Returns
        -------
        float
            Between 0 and 1; 1 without neurons.

        Raises
        ------
        InvalidInputError
            As `J` and `ridge`.
        """
        v, _ = self._weights(s, self._or_ridge(s, candidate))
        near = np.abs(v) <= self._radius * np.abs(self.network.v[:, s])
        return _share(near)

    def lemma_share(self, beta: float) -> float:
        """Return the share of pairs (k, s) that satisfy [20] of Lemma 4.2.

        That is (1 − T^(β−1)) ‖v_k‖² <= ‖v_k∖s‖². In the lemma tasks are in random order, and it
        promises a probability of at least `lemma_promise`. The share is the mean of that
        probability over the neurons of this network, so it is never less.

        Parameters
        ----------
        beta : float
            Strictly between 0 and 1.

        Returns
        -------
        float
            Between 0 and 1; 1 without neurons.

        Raises
        ------
        InvalidInputError
            ``beta`` out of range, or one task only.

        Examples
        --------
        >>> v = [[3.0, 0.1, 0.1, 0.1]]
        >>> corner = ReLUNetwork([[1.0]], [-1.0], v, [[0.0]] * 4, [0.0] * 4)
        >>> regime = KernelRegime.of_network(corner, [0, 1, 2], corner([0, 1, 2]), 0.1)
        >>> regime.lemma_share(0.5), regime.lemma_promise(0.5)
        (0.75, 0.5)
        """
        squared = -math.expm1((_as_beta(beta) - 1.0) * math.log(self.problem.n_tasks))
        bounds = math.sqrt(squared) * self.strengths
        return _share(self.strengths_without >= bounds[:, np.newaxis])

    def lemma_promise(self, beta: float) -> float:
        """Return 1 − T^(−β), the probability that Lemma 4.2 promises at least.

        Parameters
        ----------
        beta : float
            Strictly between 0 and 1.

        Raises
        ------
        InvalidInputError
            ``beta`` out of range.
        """
        return -math.expm1(-_as_beta(beta) * math.log(self.problem.n_tasks))

    def output_difference(self, s: int, points: Any, candidate: ReLUNetwork | None = None) -> float:
        """Return how far a candidate is from the network's own output, over a set of points.

        Parameters
        ----------
        s : int
            Task, counted from 0.
        points : array_like of shape (M, d), or (M,) for d = 1
            Where to compare.
        candidate : ReLUNetwork, optional
            By default ``ridge(s)``.

        Returns
        -------
        float
            Largest difference divided by the largest absolute output of the network there.

        Raises
        ------
        InvalidInputError
            As `J` and `ridge`; points of another dimension.
        """
        candidate = self._or_ridge(s, candidate)
        self._check(candidate)
        return relative_difference(self.task_network(s)(points), candidate(points))

    @property
    def _alpha(self) -> float:
        """The factor of the penalties."""
        return self.problem.alpha or 1.0

    @property
    def _radius(self) -> float:
        return math.pow(self.problem.n_tasks, _RADIUS)

    @cached_property
    def _fits(self) -> TaskFits:
        return TaskFits(self.problem, self.network)

    def _weights(self, s: int, candidate: ReLUNetwork) -> tuple[FloatArray, FloatArray]:
        """Return v_k and n_ks, shape (K,) each."""
        s = self._task(s)
        self._check(candidate)
        return candidate.v[:, 0], self.strengths_without[:, s]

    def _loss(self, s: int, candidate: ReLUNetwork) -> float:
        """Return Σ_i w_i ℓ(y_is, f(x_i)); zero for interpolation."""
        problem = self.problem
        if problem.alpha == 0.0:
            return 0.0
        values = problem.loss.value(problem.Y[:, s], candidate(problem.X)[:, 0])
        return float(problem.sample_weight @ values)

    def _or_ridge(self, s: int, candidate: ReLUNetwork | None) -> ReLUNetwork:
        return self.ridge(s) if candidate is None else candidate

    def _task(self, s: Any) -> int:
        n_tasks = self.problem.n_tasks
        whole = isinstance(s, int | np.integer) and not isinstance(s, bool)
        if not (whole and 0 <= s < n_tasks):
            raise InvalidInputError(
                f"s is {s!r}, but the network has {n_tasks} task(s); pass a whole number from 0 to "
                f"{n_tasks - 1}."
            )
        return int(s)

    def _check(self, candidate: ReLUNetwork) -> None:
        """Refuse anything but one output over the neurons of this network."""
        fits = isinstance(candidate, ReLUNetwork) and candidate.n_tasks == 1
        same = fits and np.array_equal(candidate.w, self.network.w)
        if not (same and np.array_equal(candidate.b, self.network.b)):
            raise InvalidInputError(
                f"candidate is {candidate!r}, which is not one output over the "
                f"{self.network.n_neurons} neurons at hand, in their order; pass ridge(s), l1(s), "
                "task_network(s), or a ReLUNetwork with the w and b of `network`."
            )
        replace(self.problem, Y=self.problem.Y[:, :1]).check_network(candidate)


def relative_difference(reference: FloatArray, other: FloatArray) -> float:
    """Return the largest difference, relative to the largest absolute value of the reference.

    Parameters
    ----------
    reference, other : ndarray
        Values of the same shape.

    Returns
    -------
    float
        Zero for equal values, infinite where the reference alone is zero.

    Examples
    --------
    >>> relative_difference(np.array([1.0, -4.0]), np.array([2.0, -4.0]))
    0.25
    """
    largest = float(np.max(np.abs(reference - other), initial=0.0))
    scale = float(np.max(np.abs(reference), initial=0.0))
    if largest == 0.0:
        return 0.0
    return largest / scale if scale > 0.0 else math.inf


def _as_beta(beta: Any) -> float:
    if not (isinstance(beta, Real) and 0.0 < float(beta) < 1.0):
        raise InvalidInputError(
            f"beta is {beta!r}, but Lemma 4.2 is about a power strictly between 0 and 1; pass a "
            "number such as 0.5."
        )
    return float(beta)


def _share(satisfied: np.ndarray) -> float:
    """Return the share of entries that are true; 1 if there are none."""
    return float(np.mean(satisfied)) if satisfied.size else 1.0
