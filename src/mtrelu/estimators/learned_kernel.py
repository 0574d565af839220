"""`LearnedKernelRidge`: ridge regression with the kernel that a network's neurons make."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from mtrelu._affine import skip_basis
from mtrelu.api import solve
from mtrelu.certificate import Certificate
from mtrelu.estimators.base import NetworkRegressor, some_alpha, warn_of_limit
from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.duplicates import Distinct
from mtrelu.solvers.ridge import RidgePath
from mtrelu.validation import FloatArray, InvalidInputError, as_alpha

GRID = np.geomspace(1e1, 1e-8, 55)
"""Ridges to choose from, in units of the largest eigenvalue of the kernel matrix."""


class LearnedKernelRidge(NetworkRegressor):
    """New tasks in closed form: ridge regression with the kernel of a network [18], [27].

    The neurons of a network of many tasks make a kernel, κ(x, x') = Σ_k ‖v_k‖ φ_k(x) φ_k(x') [24],
    and a further task hardly changes them. So further tasks, any number of them, cost one linear
    solve: minimise Σ_i w_i ½‖y_i − f(x_i)‖² + (alpha/2) ‖f‖², where the affine or constant part of
    f is free. What is fitted is a network again, with the neurons of the kernel.

    Parameters
    ----------
    kernel : {"infinite-task", "neurons"}, NeuronKernel or network, default="infinite-task"
        Where the neurons come from.

        - ``"infinite-task"``: `mtrelu.kernels.infinite_task.InfiniteTaskKernel` of the inputs, what
          remains of a network for more and more tasks of pure noise. It does not see the labels.
        - ``"neurons"``: the certified network of all tasks that are being fitted.
        - a `NeuronKernel`, or anything it can be made of, learned elsewhere: from other tasks, or
          by another library. For a grid search wrap a fitted model in `NeuronKernel`, since
          scikit-learn's ``clone`` would undo its fit.
    alphas : None, float or array-like of shape (A,), default=None
        The ridges to choose from by leave-one-out, ≥ 0; one number is taken as it is. By default 55
        over nine decades below ten times the largest eigenvalue of the kernel matrix.
    kernel_alpha : float or None, default=None
        Penalty of the network that makes the kernel, ≥ 0. By default a twentieth of (an estimate
        of) the least penalty from which that network has no neurons. Ignored if the kernel is
        given.
    skip : {"affine", "constant"}, default="affine"
        What is not penalised: A x + c, or c alone. A `NeuronKernel` brings its own.
    tol : float, default=1e-2
        Relative duality gap of the network that makes the kernel. The ridge is fitted exactly in
        any case, and on the shipped cars smaller gaps move the predictions' errors by below 0.2 %.
    time_limit : float or None, default=None
        Seconds after which that network is taken as it is, with an honest certificate.
    random_state : int, Generator or None, default=0
        Seed of the search for neurons where the inputs are too many for an exact one.

    Attributes
    ----------
    kernel_ : NeuronKernel
        The kernel.
    network_ : ReLUNetwork
        The fitted network: the neurons of `kernel_`, output weights of the tasks fitted.
    alpha_ : float
        The ridge chosen.
    alphas_ : ndarray of shape (A,)
        Those it was chosen from.
    loo_errors_ : ndarray of shape (A,)
        For each of them the mean squared error, over tasks and (weighted) samples, of predicting
        samples from all others: what refits would give, to rounding. NaN if no sample can be
        predicted, because the skip functions alone pass through all labels.
    kernel_alpha_ : float or None
        Penalty of the network that made the kernel; None if the kernel was given.
    certificate_ : Certificate or None
        How far that network can be from optimal; None if the kernel was given as mere neurons. With
        more than two inputs its status is often ``UNCERTIFIED``, likely but not proved. The ridge
        and its error are what they are said to be for any neurons, optimal or not.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when `X` was a data frame with text for column names.
    task_names_ : ndarray of shape (T,)
        Only when `y` was a data frame or a series with text for names.

    See Also
    --------
    ReLURegressor : All tasks together, neurons included.

    Notes
    -----
    The leave-one-out error **takes the kernel as given**. With a kernel from elsewhere it is what
    it says. With ``"infinite-task"`` the inputs that are left out have shaped the neurons, with
    ``"neurons"`` their labels too: then the error is too small, the more so the fewer tasks and
    samples there are, and the ridge that it chooses can be far too small. Choose `kernel_alpha`
    with care there, for example ``ReLURegressorCV().fit(X, y).alpha_``. For the error on new
    samples use ``cross_val_score``, which learns the kernel anew in every fold.

    The network of ``"infinite-task"`` has as many tasks as there are samples. That takes a second
    or two for 200 samples of two inputs and minutes for 200 of ten: set `time_limit`, or learn the
    kernel from a part of the samples and pass it on, since it is defined everywhere.

    Equal inputs are left out together, as one sample with the mean of their labels and the sum of
    their weights: otherwise each would be predicted from its own copy. The skip functions are
    refitted without the sample that is left out. A sample that alone determines one of them, say
    the only one with a nonzero entry in some column, cannot be predicted and does not count.

    All tasks share one ridge and one error, so bring labels in different units to one scale, and
    inputs too, for example by a ``StandardScaler`` and a ``TransformedTargetRegressor``.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, section 4. The inner product [23] and the penalty [27] are meant as in
    `NeuronKernel`, which says how the printed ones differ.

    Examples
    --------
    The kernel of fifty years of sea-surface temperature, then eleven more years in closed form from
    six months each:

    >>> import mtrelu
    >>> from mtrelu.datasets import load_el_nino
    >>> from mtrelu.estimators.learned_kernel import LearnedKernelRidge
    >>> from mtrelu.kernels import NeuronKernel
    >>> data = load_el_nino()
    >>> kernel = NeuronKernel(mtrelu.solve(data.X, data.Y[:, :50], alpha=1.0).network)
    >>> seen = [0, 2, 4, 6, 8, 11]
    >>> model = LearnedKernelRidge(kernel).fit(data.X[seen], data.Y[seen, 50:])
    >>> model.predict(data.X).shape
    (12, 11)
    """

    _stored: ClassVar[tuple[str, ...]] = (
        *NetworkRegressor._stored,
        "kernel_",
        "alpha_",
        "alphas_",
        "loo_errors_",
        "kernel_alpha_",
        "certificate_",
    )

    def __init__(
        self,
        kernel: Any = "infinite-task",
        *,
        alphas: Any = None,
        kernel_alpha: float | None = None,
        skip: str = "affine",
        tol: float = 1e-2,
        time_limit: float | None = None,
        random_state: Any = 0,
    ) -> None:
        self.kernel = kernel
        self.alphas = alphas
        self.kernel_alpha = kernel_alpha
        self.skip = skip
        self.tol = tol
        self.time_limit = time_limit
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the kernel, unless it is given, choose the ridge and fit all tasks.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order; equal inputs are allowed. A vector (N,) is one input.
        y : array-like of shape (N,) or (N, T)
            Labels, one column per task.
        sample_weight : array-like of shape (N,), optional
            Weight of each sample's loss, ≥ 0; whole numbers are repetitions, 0 is absence.

        Returns
        -------
        LearnedKernelRidge
            The fitted estimator itself.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used; the message says which, why and what to try.

        Warns
        -----
        ConvergenceWarning
            If the search for neurons ended before `tol` was reached: by `time_limit`, or by
            rounding, for a `kernel_alpha` near zero.
        """
        inputs, labels = self._data(X, y)
        given = Problem.make(inputs, labels, 1.0, skip=self._skip(), sample_weight=sample_weight)
        given.refuse_unshared_weights("ridge regression with one kernel")
        self._learn(given)
        if self.certificate_ is not None:
            warn_of_limit(self.certificate_)
        # Equal inputs are one sample, so that leaving it out leaves nothing of it behind.
        merged = Distinct.of(given)
        problem = merged.problem
        basis, to_coefficients = skip_basis(problem)
        features = self.kernel_.features(problem.X)
        strengths = self.kernel_.strengths
        path = RidgePath(problem.Y, problem.sample_weight, features, basis, np.ones_like(strengths))
        self.alphas_ = self._grid(path)
        self.loo_errors_ = _leave_one_out(path, self.alphas_, merged, given)
        best = 0 if np.isnan(self.loo_errors_).all() else int(np.nanargmin(self.loo_errors_))
        self.alpha_ = float(self.alphas_[best])
        ridge = path.fit(self.alpha_)
        neurons, coefficients = self.kernel_.network, to_coefficients @ ridge.theta
        self.network_ = ReLUNetwork(
            neurons.w, neurons.b, np.sqrt(strengths)[:, np.newaxis] * ridge.V,
            coefficients[1:].T, coefficients[0],
        )  # fmt: skip
        return self

    def _skip(self) -> str:
        skip = self.kernel.skip if isinstance(self.kernel, NeuronKernel) else self.skip
        if skip == "none" and isinstance(self.kernel, str):
            raise InvalidInputError(
                'skip is "none", but the neurons are found by a solver that needs a free constant; '
                'pass skip="constant" or "affine".'
            )
        return str(skip)

    def _learn(self, given: Problem) -> None:
        """Set `kernel_`, `kernel_alpha_` and `certificate_`."""
        kernel = self.kernel
        if not isinstance(kernel, str):
            self.kernel_ = (
                kernel if isinstance(kernel, NeuronKernel) else NeuronKernel(kernel, self.skip)
            )
            self.kernel_alpha_ = None
            known = isinstance(kernel, InfiniteTaskKernel)
            self.certificate_: Certificate | None = kernel.solution.certificate if known else None
        elif kernel == "infinite-task":
            inputs = np.unique(given.X, axis=0)
            white = Problem.make(inputs, np.eye(len(inputs)), 1.0, skip=given.skip)
            self.kernel_alpha_ = self._kernel_alpha(white)
            self.kernel_ = InfiniteTaskKernel(
                inputs, alpha=self.kernel_alpha_, skip=given.skip, tol=self.tol,
                time_limit=self.time_limit, random_state=self.random_state,
            )  # fmt: skip
            self.certificate_ = self.kernel_.solution.certificate
        elif kernel == "neurons":
            self.kernel_alpha_ = self._kernel_alpha(given)
            solution = solve(
                given.X, given.Y, self.kernel_alpha_, skip=given.skip, tol=self.tol,
                sample_weight=given.sample_weight, time_limit=self.time_limit,
                random_state=self.random_state,
            )  # fmt: skip
            self.kernel_ = NeuronKernel(solution.network, given.skip)
            self.certificate_ = solution.certificate
        else:
            raise InvalidInputError(
                f"kernel is {kernel!r}, which is not a known source of neurons; pass "
                '"infinite-task", "neurons", a NeuronKernel or a network.'
            )

    def _kernel_alpha(self, problem: Problem) -> float:
        if self.kernel_alpha is not None:
            return _as_penalty(self.kernel_alpha, "kernel_alpha")
        return some_alpha(problem, self.random_state)

    def _grid(self, path: RidgePath) -> FloatArray:
        if self.alphas is None:
            return np.asarray((path.alpha_scale or 1.0) * GRID)
        values = np.atleast_1d(np.asarray(self.alphas, dtype=object))
        if values.ndim != 1 or values.size == 0:
            raise InvalidInputError(
                f"alphas has shape {values.shape}, but ridges to choose from are a list; pass one "
                "number, or several in one dimension."
            )
        return np.array([_as_penalty(value, "alphas") for value in values.tolist()])


def _as_penalty(value: Any, name: str) -> float:
    try:
        return as_alpha(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name} cannot be used: {error}") from None


def _leave_one_out(
    path: RidgePath, alphas: FloatArray, merged: Distinct, given: Problem
) -> FloatArray:
    """Mean squared error of each ridge, over samples that the others predict; NaN without any."""
    spread = given.Y - merged.problem.Y[merged.group]
    errors = np.full(alphas.size, np.nan)
    for a in range(alphas.size):  # one by one: for many samples and tasks the residuals are large
        residuals = path.leave_one_out(alphas[a : a + 1])[0][merged.group]
        counted = ~np.isnan(residuals).any(axis=1)
        if counted.any():
            squares = np.mean((residuals + spread)[counted] ** 2, axis=1)
            errors[a] = np.average(squares, weights=given.sample_weight[counted])
    return errors
