"""The training problem [12]: data, loss, penalty; its objective, its dual, its affine fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtrelu._label_weights import equal_columns, equal_for_interpolation, with_unused
from mtrelu.losses import Loss, make_loss
from mtrelu.network import ReLUNetwork
from mtrelu.validation import (
    FloatArray,
    InvalidInputError,
    as_alpha,
    as_inputs,
    as_labels,
    as_skip,
    as_weights,
    refuse_unsquarable,
    shared,
)


@dataclass(frozen=True, eq=False)
class Problem:
    """Fit a multi-task ReLU network with as little path norm as possible [12].

    For α > 0: minimise Σ_i w_i Σ_t ℓ(y_it, f_t(x_i)) + α Σ_k ‖v_k‖₂‖w_k‖₂. For α = 0: minimise
    Σ_k ‖v_k‖₂‖w_k‖₂ subject to f(x_i) = y_i [3].

    Use `Problem.make`, which checks everything; the constructor checks nothing.

    Attributes
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels, one column a task.
    alpha : float
        The penalty, the λ of [12] for losses that are summed; 0 means interpolation.
    loss : Loss
        Not used when ``alpha`` is 0.
    skip : {"affine", "constant", "none"}
        Whether the network may use A and c, only c, or neither, at no cost.
    sample_weight : ndarray of shape (N,) or (N, T)
        Multiplies the loss of each sample, positive; or, where tasks differ, that of each label:
        0 for a label that is not used, which is stored as 0. No row and no column is all zero.

    Examples
    --------
    >>> from mtrelu.problem import Problem
    >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=0.1)
    >>> A, c, P = problem.affine_fit()
    >>> P.round(3).ravel()
    array([-0.333,  0.667, -0.333])
    """

    X: FloatArray
    Y: FloatArray
    alpha: float
    loss: Loss
    skip: str
    sample_weight: FloatArray

    @classmethod
    def make(
        cls,
        X: Any,
        Y: Any,
        alpha: float,
        *,
        loss: str | Mapping[str, Any] | Loss = "squared",
        skip: str = "affine",
        sample_weight: Any = None,
        nan_policy: str | None = None,
    ) -> Problem:
        """Check everything and return the problem.

        Parameters
        ----------
        X : array_like of shape (N, d) or (N,)
            Inputs.
        Y : array_like of shape (N, T) or (N,)
            Labels.
        alpha : float
            Penalty, >= 0.
        loss : str, mapping or Loss
            See `make_loss`.
        skip : {"affine", "constant", "none"}
            The part of the network that is not penalised.
        sample_weight : array_like of shape (N,) or (N, T), optional
            Non-negative, one a sample or one a label. What has weight 0 is left out.
        nan_policy : {"raise", "omit"} or None
            With ``"omit"`` a label that is NaN is left out: it gets weight 0, and each task is
            fitted to the labels that it has. None is ``"raise"`` with an error that does not
            mention the option, for callers that do not have it.

        Raises
        ------
        InvalidInputError
            Any input that cannot work, numbers too large or too small to square among them; a task
            without labels; for α = 0 equal inputs with unequal labels, and labels left out.

        Examples
        --------
        >>> Problem.make([0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]], alpha=0.0).Y.shape
        (2, 2)
        >>> nan = float("nan")
        >>> problem = Problem.make([0.0, 1.0], [[1.0, 2.0], [3.0, nan]], 1.0, nan_policy="omit")
        >>> problem.sample_weight
        array([[1., 1.],
               [1., 0.]])
        """
        inputs = as_inputs(X)
        labels = as_labels(Y, inputs.shape[0], nan_policy=nan_policy)
        penalty = as_alpha(alpha)
        the_loss = make_loss(loss)
        free = as_skip(skip)
        weights = as_weights(sample_weight, *labels.shape)
        missing = np.isnan(labels)
        if missing.any():
            labels = np.where(missing, 0.0, labels)
            weights = shared(np.where(missing, 0.0, weights.reshape(len(weights), -1)))
        rows = np.flatnonzero(weights if weights.ndim == 1 else weights.any(axis=1))
        if rows.size < len(weights):
            inputs, labels, weights = inputs[rows], labels[rows], weights[rows]
        if weights.ndim == 2:
            labels, weights = with_unused(labels, shared(weights))
        if weights.size == 0:
            raise InvalidInputError(
                "Y has no label that counts: all are missing or of weight 0; pass at least one."
            )
        if penalty == 0.0:
            if weights.ndim == 2:
                weights = equal_for_interpolation(weights)
            _refuse_contradictions(inputs, labels, rows)
        else:
            the_loss.check_labels(labels)
        refuse_unsquarable(inputs, "X")
        refuse_unsquarable(labels, "Y")
        return cls(inputs, labels, penalty, the_loss, free, weights)

    @property
    def n_samples(self) -> int:
        """The number of samples, N."""
        return int(self.X.shape[0])

    @property
    def n_inputs(self) -> int:
        """The input dimension, d."""
        return int(self.X.shape[1])

    @property
    def n_tasks(self) -> int:
        """The number of tasks, T."""
        return int(self.Y.shape[1])

    def objective(self, network: ReLUNetwork) -> float:
        """Return the objective [12] of a network; for α = 0 its path norm [3].

        Raises
        ------
        InvalidInputError
            The network has another number of inputs or tasks, or uses a skip connection that this
            problem does not have.

        Examples
        --------
        >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 0.0, 1.0], alpha=0.5)
        >>> problem.objective(ReLUNetwork([[1.0]], [-1.0], [[1.0]], [[0.0]], [0.0]))
        0.5
        """
        self.check_network(network)
        cost = network.path_cost()
        if self.alpha == 0.0:
            return cost
        return self.loss_value(network(self.X)) + self.alpha * cost

    @property
    def weights(self) -> FloatArray:
        """The weights as a matrix (N, 1), or (N, T) where tasks differ; broadcasts over labels."""
        return self.sample_weight.reshape(self.n_samples, -1)

    @property
    def row_weight(self) -> FloatArray:
        """The largest weight of each sample, (N,)."""
        return self.sample_weight if self.shares_weights else self.sample_weight.max(axis=1)

    @property
    def shares_weights(self) -> bool:
        """Whether all tasks have the same weights, so that every label is used."""
        return self.sample_weight.ndim == 1

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which labels are used, (N, T)."""
        return np.broadcast_to(self.weights > 0.0, self.Y.shape)

    def by_weights(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Problem]]:
        """Split the tasks into those that have the same weights, each a problem of its own.

        What tasks share is then the neurons alone.

        Yields
        ------
        tasks, rows : ndarray of int
            Which tasks these are, and which samples they have labels for.
        problem : Problem
            With these tasks and samples, and weights of shape (rows,).

        Examples
        --------
        >>> nan = float("nan")
        >>> Y = [[1.0, 2.0], [3.0, nan], [5.0, 6.0]]
        >>> problem = Problem.make([0.0, 1.0, 2.0], Y, 1.0, nan_policy="omit")
        >>> [(tasks.tolist(), rows.tolist()) for tasks, rows, part in problem.by_weights()]
        [([0], [0, 1, 2]), ([1], [0, 2])]
        """
        if self.shares_weights:
            yield np.arange(self.n_tasks), np.arange(self.n_samples), self
            return
        for tasks in equal_columns(self.sample_weight):
            weights = self.sample_weight[:, tasks[0]]
            rows = np.flatnonzero(weights)
            labels = np.ascontiguousarray(self.Y[np.ix_(rows, tasks)])
            part = replace(self, X=self.X[rows], Y=labels, sample_weight=weights[rows])
            yield tasks, rows, part

    def refuse_unshared_weights(self, what: str) -> None:
        """Raise `InvalidInputError` when tasks have different weights, which ``what`` cannot use.

        Examples
        --------
        >>> Problem.make([0.0, 1.0], [0.0, 1.0], alpha=1.0).refuse_unshared_weights("a kernel")
        """
        if not self.shares_weights:
            n_unused = int(np.count_nonzero(~self.used))
            some = (
                f"{n_unused} labels are left out" if n_unused else "tasks differ in their weights"
            )
            raise InvalidInputError(
                f"sample_weight or missing labels: {some}, but {what} needs the same samples and "
                "weights for all tasks; pass one weight a sample, and labels for all."
            )

    def dual_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return between which values (N, T) dual variables are, 0 for labels not used.

        Examples
        --------
        >>> low, high = Problem.make([0.0, 1.0], [0, 1], 1.0, loss="logistic").dual_bounds()
        >>> high.ravel()
        array([0., 1.])
        """
        low, high = self.loss.dual_bounds(self.Y)
        if self.shares_weights:
            return self.weights * low, self.weights * high
        used = self.used
        low, high = (np.where(used, bound, 0.0) for bound in (low, high))
        return self.weights * low, self.weights * high

    def per_weight(self, P: FloatArray) -> FloatArray:
        """Return P (N, T) divided by the weights, 0 for labels not used.

        Examples
        --------
        >>> problem = Problem.make([0.0, 1.0], [0.0, 1.0], 1.0, sample_weight=[1.0, 2.0])
        >>> problem.per_weight(np.array([[1.0], [1.0]])).ravel()
        array([1. , 0.5])
        """
        if self.shares_weights:
            return np.asarray(P / self.weights)
        return np.divide(P, self.weights, out=np.zeros_like(P), where=self.sample_weight > 0.0)

    def check_network(self, network: ReLUNetwork) -> None:
        """Raise `InvalidInputError` when the network is not a candidate for this problem."""
        if (network.n_inputs, network.n_tasks) != (self.n_inputs, self.n_tasks):
            raise InvalidInputError(
                f"network has {network.n_inputs} inputs and {network.n_tasks} tasks, but the data "
                f"have {self.n_inputs} and {self.n_tasks}; pass the data it was made for."
            )
        if self.skip != "affine" and network.A.any():
            raise InvalidInputError(
                f'network has a linear part A, but the problem has skip="{self.skip}", where that '
                'is not allowed; pass skip="affine".'
            )
        if self.skip == "none" and network.c.any():
            raise InvalidInputError(
                'network has a constant part c, but the problem has skip="none", where that is '
                'not allowed; pass skip="constant" or "affine".'
            )

    def loss_value(self, predictions: FloatArray) -> float:
        """Return Σ_i w_i Σ_t ℓ(y_it, ŷ_it) for predictions ŷ (N, T).

        Examples
        --------
        >>> Problem.make([0.0, 1.0], [0.0, 2.0], alpha=1.0).loss_value(np.zeros((2, 1)))
        2.0
        """
        return float(np.sum(self.weights * self.loss.value(self.Y, predictions)))

    def dual_variable(self, predictions: FloatArray) -> FloatArray:
        """Return P (N, T) with p_it = −w_i ∂ℓ/∂z at predictions (N, T); see `dual_value`.

        Examples
        --------
        >>> Problem.make([0.0, 1.0], [0.0, 2.0], alpha=1.0).dual_variable(np.zeros((2, 1)))
        array([[0.],
               [2.]])
        """
        return np.asarray(0.0 - self.weights * self.loss.gradient(self.Y, predictions))

    def dual_value(self, P: FloatArray) -> float:
        """Return the dual objective −Σ_i w_i ℓ*(y_i, −p_i/w_i); for α = 0, Σ_i ⟨p_i, y_i⟩.

        It bounds the optimum from below when P satisfies the skip constraints and
        max ‖Σ_i p_i (w·x_i + b)₊‖₂ over unit w and all b is at most α (at most 1 for α = 0).

        Parameters
        ----------
        P : ndarray of shape (N, T)
            Dual variables, including the sample weights.

        Returns
        -------
        float
            Minus infinity outside the domain of the conjugate.

        Examples
        --------
        >>> Problem.make([0.0, 1.0], [0.0, 2.0], alpha=1.0).dual_value(np.array([[0.0], [2.0]]))
        2.0
        """
        if self.alpha == 0.0:
            return float(np.sum(P * self.Y))
        if not self.shares_weights and P[~self.used].any():
            return -np.inf
        conjugate = self.loss.conjugate(self.Y, -self.per_weight(P))
        return -float(np.sum(self.weights * conjugate))

    def compressed(self) -> tuple[Problem, FloatArray | None]:
        """Return an equivalent problem with at most N tasks, and the way back.

        The squared loss and interpolation do not change when tasks of the same weights are rotated,
        so with Y = L Wᵀ, W orthonormal, it is enough to solve for the labels L. A network of the
        compressed problem maps back by v Wᵀ, W A and W c, with the same objective.

        Returns
        -------
        problem : Problem
            With labels L of shape (N, r), r = min(N, T); this problem itself when there is
            nothing to gain.
        W : ndarray of shape (T, r), or None
            None when there is nothing to gain or the loss is not invariant.

        Examples
        --------
        >>> problem = Problem.make([0.0, 1.0], [[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]], alpha=1.0)
        >>> small, W = problem.compressed()
        >>> small.n_tasks, bool(np.allclose(small.Y @ W.T, problem.Y))
        (2, True)
        """
        invariant = self.alpha == 0.0 or self.loss.name == "squared"
        if not invariant or not self.shares_weights or self.n_tasks <= self.n_samples:
            return self, None
        from scipy.linalg import qr

        # One Householder QR: as accurate as an SVD (nothing is squared) and several times faster.
        W, R = qr(self.Y.T, mode="economic", check_finite=False)
        return replace(self, Y=np.ascontiguousarray(R.T)), W

    def affine_fit(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the best fit without neurons, and an optimal dual variable for it.

        For interpolation (α = 0) the best fit is the one of least squares.

        Returns
        -------
        A : ndarray of shape (T, d)
            Slopes; zero unless ``skip="affine"``. Of several best fits, one is returned.
        c : ndarray of shape (T,)
            Constants; zero for ``skip="none"``.
        P : ndarray of shape (N, T)
            Dual variable of the fit: inside the bounds of the loss, and Σ_i p_i = 0 and
            Σ_i p_i x_iᵀ = 0 (as far as the skip connection asks for it) to rounding.

        Raises
        ------
        InvalidInputError
            Logistic loss with a task whose two classes an affine function separates: then the
            loss has no minimum.

        Examples
        --------
        >>> A, c, P = Problem.make([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], alpha=1.0).affine_fit()
        >>> A.round(12), c.round(12)
        (array([[2.]]), array([1.]))
        """
        from mtrelu._affine import fit_affine

        return fit_affine(self)


def alpha_max(
    X: Any,
    Y: Any,
    *,
    loss: str | Mapping[str, Any] | Loss = "squared",
    skip: str = "affine",
    sample_weight: Any = None,
    nan_policy: str = "raise",
    time_limit: float = 10.0,
) -> float:
    """Return the smallest penalty for which the fit without neurons is optimal.

    It is the maximum of the dual function ‖Σ_i p_i (w·x_i + b)₊‖₂ at the dual variable of the fit
    without neurons. From this penalty on that fit is optimal in any case, but what is returned may
    be larger than needed, an upper bound: for a loss with kinks, whose dual variable need not be
    unique, and for many samples of three or more inputs, where the maximum is bounded instead of
    found (see `mtrelu.oracles.choice`).

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs.
    Y : array_like of shape (N, T) or (N,)
        Labels.
    loss : str, mapping or Loss
        See `make_loss`.
    skip : {"affine", "constant"}
        The part of the network that is not penalised.
    sample_weight : array_like of shape (N,) or (N, T), optional
        Non-negative weights.
    nan_policy : {"raise", "omit"}
        As `Problem.make`.
    time_limit : float
        Seconds that a bound of the maximum may take; no limit where the maximum is exact.

    Returns
    -------
    float
        Zero, or as good as zero, when the labels are affine in the inputs (constant, for a constant
        skip).

    Raises
    ------
    InvalidInputError
        As `Problem.make`; no skip connection.

    Examples
    --------
    >>> round(alpha_max([0.0, 1.0, 2.0], [0.0, 1.0, 0.0]), 12)
    0.333333333333
    """
    problem = Problem.make(
        X, Y, 1.0, loss=loss, skip=skip, sample_weight=sample_weight, nan_policy=nan_policy
    )
    if problem.skip == "none":
        raise InvalidInputError(
            'skip is "none", but without a skip connection the best bias of a neuron need not put '
            'it through a data point, and no oracle covers that; pass skip="constant" or "affine".'
        )
    P = problem.affine_fit()[2]
    if problem.n_inputs == 1 and problem.skip == "affine":
        from mtrelu.oracles.line import dual_function

        x = problem.X[:, 0]
        order = np.argsort(x, kind="stable")
        return float(np.max(dual_function(x[order], P[order])))
    from mtrelu.oracles.base import Hull, Oracle
    from mtrelu.oracles.plane import PlaneOracle

    oracle: Oracle
    if Hull.of(problem.X).Z.shape[1] <= 2:
        oracle = PlaneOracle(problem.X, problem.skip)
    else:
        from mtrelu.oracles.choice import certifying_oracle

        oracle = certifying_oracle(problem.X, problem.skip, time_limit)
    return oracle.search(P).value


def alpha_from_weight_decay(
    weight_decay: float, n_samples: int, n_tasks: int, reduction: str = "mean"
) -> float:
    """Return the α that training a squared error with weight decay corresponds to.

    ``torch.optim.Adam(weight_decay=λ)`` adds λθ to the gradient, a penalty (λ/2)‖θ‖², and
    ``torch.nn.MSELoss`` averages (y − z)² over all N·T entries. Multiplied by N·T/2 that is the
    squared loss summed plus (λNT/2)·½ Σ_k (‖v_k‖² + ‖w_k‖²), and for a balanced network the
    latter is α Σ_k ‖v_k‖‖w_k‖ with α = λNT/2.

    Parameters
    ----------
    weight_decay : float
        λ, applied to the input and output weights but not to biases and skip connection. Not the
        decoupled decay of AdamW, whose stationary points solve another problem.
    n_samples, n_tasks : int
        N and T.
    reduction : {"mean", "sum"}
        The reduction of ``torch.nn.MSELoss``.

    Returns
    -------
    float
        λNT/2 for ``"mean"``, λ/2 for ``"sum"``.

    Raises
    ------
    InvalidInputError
        A negative decay, a size below one, or an unknown reduction.

    Examples
    --------
    >>> alpha_from_weight_decay(1e-3, n_samples=8, n_tasks=101)
    0.404
    """
    number = isinstance(weight_decay, int | float | np.number)
    if not (number and np.isfinite(weight_decay) and weight_decay >= 0):
        raise InvalidInputError(
            f"weight_decay is {weight_decay!r}, but a penalty must be finite and >= 0; "
            "pass the weight_decay of the optimiser."
        )
    for name, size in (("n_samples", n_samples), ("n_tasks", n_tasks)):
        if not isinstance(size, int | np.integer) or size < 1:
            raise InvalidInputError(f"{name} is {size!r}, but it must be a whole number >= 1.")
    if reduction not in ("mean", "sum"):
        raise InvalidInputError(
            f'reduction is {reduction!r}, but it must be "mean" or "sum", as in torch.nn.MSELoss.'
        )
    n_terms = n_samples * n_tasks if reduction == "mean" else 1
    return float(weight_decay) * n_terms / 2.0


def _refuse_contradictions(X: FloatArray, Y: FloatArray, rows: Any) -> None:
    """Raise an error when two equal inputs have unequal labels; ``rows`` are the user's rows."""
    order = np.lexsort(X.T)
    equal = (X[order[1:]] == X[order[:-1]]).all(axis=1)
    unequal = equal & (Y[order[1:]] != Y[order[:-1]]).any(axis=1)
    if unequal.any():
        pairs = [f"{rows[order[i]]} and {rows[order[i + 1]]}" for i in np.flatnonzero(unequal)[:3]]
        more = ", ..." if np.count_nonzero(unequal) > len(pairs) else ""
        raise InvalidInputError(
            f"Y has different labels for the same input X (rows {', '.join(pairs)}{more}), so no "
            "function interpolates them; pass alpha > 0, or average these rows first."
        )
