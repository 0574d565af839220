"""The kernel that infinitely many tasks make: a function of the inputs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtrelu._affine import skip_basis
from mtrelu.api import Solution, solve
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.duplicates import Distinct
from mtrelu.validation import FloatArray, InvalidInputError, as_inputs

TOLERANCE = 1e-10
"""How asymmetric, and how negative in its eigenvalues, a label covariance may be by rounding, and
how much the labels of equal inputs may vary apart; relative to its largest entry and eigenvalue."""


class InfiniteTaskKernel(NeuronKernel):
    """The kernel of networks for more and more random tasks, in the limit T → ∞.

    The labels of each task are drawn independently, with mean zero and covariance Σ over the
    samples, or are fixed with Y Yᵀ / T → Σ. Then the strengths of the T-task network, divided by
    √T, converge to those of one network that is not random, and with them its kernel. That network
    has N tasks: its labels are a root of Σ, for white labels the identity matrix.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs.
    label_covariance : array_like of shape (N, N), optional
        Σ, symmetric and positive semidefinite to a relative 1e-10. What the skip functions can fit
        of the labels plays no role. Without it the labels are white, Σ = I.
    alpha : float
        The limit of α_T / √T, α_T the penalty for T tasks. An α_T that is the same for all T
        belongs to 0, interpolation.
    skip : {"affine", "constant"}
        The part of the network that is not penalised.
    tol : float
        Relative duality gap of the limit network. Places of neurons are known to about its square
        root only, and the kernel no better: with the default, modulo the skip functions, to between
        1e-4 and 1e-2 of its size in what we measured. That is no bound; ask for a smaller ``tol``
        if it matters.
    time_limit : float, optional
        Seconds, as in `solve`.
    random_state : int, Generator or None
        As in `solve`.

    Attributes
    ----------
    X : ndarray of shape (N, d)
    label_covariance : ndarray of shape (N, N), or None for white labels
    alpha : float
    solution : Solution
        The limit network, with its certificate: look at ``solution.status``, which stands in the
        ``repr`` too, before you rely on the kernel. Unless it is ``CERTIFIED``, this is the kernel
        of the best network found, not proved to be the limit. White labels are the identity
        matrix; others are a root of Σ off the skip functions, one column for each eigenvalue above
        rounding.
    network, skip, strengths
        As in `NeuronKernel`; these are of the size for one task.

    Raises
    ------
    InvalidInputError
        A covariance that is not symmetric, has a negative eigenvalue, is zero, or is of another
        size than the inputs; equal inputs whose labels may differ, with ``alpha = 0``; anything
        that `solve` refuses.

    Notes
    -----
    The squared loss and the path norm do not change when the tasks are rotated, so the labels enter
    the training problem [12] only through Y Yᵀ. Dividing labels and penalty by √T divides the
    network by √T. Hence the limit, and hence any root of Σ gives the same kernel. Random labels
    have Y Yᵀ / T − Σ of size T^(-1/2), and that is the rate at which their kernels converge.

    The kernel answers which kernel arises in several dimensions, a question that the paper leaves
    open. For one input, white labels and ``alpha = 0`` its interpolant connects the dots; see
    `mtrelu.kernels.comparison` for more inputs.

    It is unique modulo the skip functions at most, because (−u)₊ = u₊ − u, and defined on all of
    R^d: beyond the data each neuron goes on linearly.

    Examples
    --------
    >>> kernel = InfiniteTaskKernel([0.0, 1.0, 3.0, 4.0])
    >>> kernel.solution.status.name, kernel.network.knots()
    ('CERTIFIED', array([1., 3.]))

    Any new task takes one linear system; here it connects the dots:

    >>> kernel.fit([0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 0.0, 2.0], alpha=0)([2.0]).round(9)
    array([[0.5]])
    """

    X: FloatArray
    label_covariance: FloatArray | None
    alpha: float
    solution: Solution

    def __init__(
        self,
        X: Any,
        label_covariance: Any = None,
        *,
        alpha: float = 0.0,
        skip: str = "affine",
        tol: float = 1e-6,
        time_limit: float | None = None,
        random_state: Any = None,
    ) -> None:
        inputs = as_inputs(X)
        n_samples = inputs.shape[0]
        if label_covariance is None:
            covariance, labels = None, np.eye(n_samples)
        else:
            covariance = _as_covariance(label_covariance, n_samples)
            labels = _labels_of(covariance, inputs, skip)
        solution = solve(
            inputs,
            labels,
            alpha,
            skip=skip,
            tol=tol,
            time_limit=time_limit,
            random_state=random_state,
        )
        super().__init__(solution.network, skip)
        self.X = inputs
        self.label_covariance = covariance
        self.alpha = solution.problem.alpha
        self.solution = solution

    def __repr__(self) -> str:
        """Return the sizes, and what is proved."""
        return f"{super().__repr__()[:-1]}, status={self.solution.status.value!r})"

    def cardinal_functions(self) -> ReLUNetwork:
        """Return the fits of the N tasks that are 1 at one sample and 0 at the others.

        The fit of any labels y, by this kernel with this ``alpha``, is Σ_j y_j f_j.

        Returns
        -------
        ReLUNetwork
            With N outputs. On the data they are the smoother matrix, with ``alpha = 0`` the
            identity. For white labels they are the outputs of ``solution.network`` itself.

        Raises
        ------
        InvalidInputError
            ``alpha = 0`` with fewer neurons than it takes to interpolate all labels, which happens
            when the covariance is singular, or with equal inputs.

        Examples
        --------
        >>> kernel = InfiniteTaskKernel([0.0, 1.0, 3.0, 4.0])
        >>> kernel.cardinal_functions()([1.0, 2.0]).round(9) + 0.0
        array([[0. , 1. , 0. , 0. ],
               [0. , 0.5, 0.5, 0. ]])
        """
        if self.label_covariance is None:
            return self.solution.network
        return self.fit(self.X, np.eye(self.X.shape[0]), self.alpha)


def _as_covariance(value: Any, n_samples: int) -> FloatArray:
    """Return a checked covariance (N, N)."""
    covariance = as_inputs(value, "label_covariance")
    if covariance.shape != (n_samples, n_samples):
        raise InvalidInputError(
            f"label_covariance has shape {covariance.shape}, but the {n_samples} samples need "
            f"({n_samples}, {n_samples}); pass the covariance between the labels of the samples, "
            "or leave it out for white labels."
        )
    apart = np.abs(covariance - covariance.T)
    largest = np.abs(covariance).max()
    if apart.max() > TOLERANCE * largest:
        i, j = sorted(divmod(int(np.argmax(apart)), n_samples))
        raise InvalidInputError(
            f"label_covariance is not symmetric: entry ({i}, {j}) is {covariance[i, j]:.6g} and "
            f"entry ({j}, {i}) is {covariance[j, i]:.6g}; pass a covariance matrix, for example "
            "Y @ Y.T / Y.shape[1]."
        )
    values = np.linalg.eigvalsh(0.5 * covariance + 0.5 * covariance.T)
    if values[0] < -TOLERANCE * np.abs(values).max():
        raise InvalidInputError(
            f"label_covariance has the negative eigenvalue {values[0]:.6g} (its largest is "
            f"{values[-1]:.6g}), which no labels have; pass a positive semidefinite matrix, for "
            "example Y @ Y.T / Y.shape[1]."
        )
    if values[-1] <= 0.0:
        raise InvalidInputError(
            "label_covariance is zero, so all labels are zero and no neuron is needed; pass a "
            "covariance with at least one positive entry, or leave it out for white labels."
        )
    return covariance


def _labels_of(covariance: FloatArray, X: FloatArray, skip: str) -> FloatArray:
    """Return labels (N, r) with this covariance off the skip functions, r its rank there.

    What rounding leaves of labels that are skip functions would be fitted like any other labels.
    """
    n_samples = len(X)
    basis, _ = skip_basis(Problem.make(X, np.zeros(n_samples), 1.0, skip=skip))
    off = np.eye(n_samples) - basis @ basis.T
    largest = np.abs(covariance).max()  # taken out, so that no sum overflows
    values, vectors = np.linalg.eigh(off @ (covariance / largest) @ off)
    size = np.linalg.norm(covariance / largest, 2)
    kept = values > n_samples * np.finfo(np.float64).eps * size
    if not kept.any():
        return np.zeros((n_samples, 1))
    labels = vectors[:, kept] * np.sqrt(values[kept])
    # Rounding must not make labels of equal inputs contradict each other.
    distinct = Distinct.of(Problem.make(X, labels, 1.0, skip=skip))
    means = distinct.problem.Y[distinct.group]
    same = np.sum((labels - means) ** 2, axis=1) <= TOLERANCE * size
    labels[same] = means[same]
    return np.asarray(labels * np.sqrt(largest))
