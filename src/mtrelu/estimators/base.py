"""What the estimators share: tables in, a certified fit, a network out, as in scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from mtrelu.api import Solution, solve
from mtrelu.certificate import Certificate
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles.ascent import AscentOracle
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import (
    FloatArray,
    InvalidInputError,
    as_generator,
    as_inputs,
    as_labels,
    as_weights,
)

NEURON_SHARE = 0.05
"""A penalty that leaves neurons, in units of the least that leaves none (an estimate)."""

FEW_STARTS = 64
"""An estimate of that penalty is all that is needed, and of many climbs most end at one top."""


class NetworkEstimator(BaseEstimator):
    """An estimator whose fit is a network; see its subclasses.

    Attributes
    ----------
    network_ : ReLUNetwork
        The fitted network.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when the inputs were a data frame with text for column names.
    """

    network_: ReLUNetwork

    # What a file of the fitted estimator holds, besides the parameters.
    _stored: ClassVar[tuple[str, ...]] = ("network_", "n_features_in_", "feature_names_in_")

    def _inputs(self, X: Any, *, reset: bool) -> FloatArray:
        """`X` as an array (N, d), checked and named as scikit-learn does."""
        try:
            values = np.asarray(X) if isinstance(X, list | tuple) else X
            if getattr(values, "ndim", 2) == 1 and (reset or self.n_features_in_ == 1):
                X = np.asarray(values)[:, np.newaxis]
            checked = validate_data(self, X, reset=reset)
        except ValueError as error:
            message = str(error)
            # scikit-learn lists names that differ in lines; its advice on NaN is of other models.
            if not message.startswith("The feature names"):
                message = one_line(error).partition(f" {type(self).__name__} does not accept")[0]
            raise InvalidInputError(f"X cannot be used: {message}") from None
        except TypeError as error:  # as scikit-learn wants it: sparse, or entries such as dicts
            raise TypeError(f"X cannot be used: {one_line(error)}") from None
        return as_inputs(checked)

    def _refuse_no_labels(self, y: Any) -> None:
        if y is None:
            raise InvalidInputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give "
                "one label, or one row of labels, a sample."
            )


class CertifiedEstimator(NetworkEstimator):
    """An estimator whose network is the optimum of one training problem, with its certificate.

    Attributes
    ----------
    certificate_ : Certificate
        How far `network_` can be from the global optimum.
    status_ : Status
        What the certificate amounts to.
    dual_gap_ : float
        Absolute duality gap of `network_`.
    n_iter_ : int
        Rounds of the solver.
    alpha_ : float
        The penalty of the fit.
    """

    skip: str
    tol: float
    max_iter: int | None
    time_limit: float | None
    random_state: Any

    _stored: ClassVar[tuple[str, ...]] = (
        *NetworkEstimator._stored,
        "certificate_",
        "status_",
        "dual_gap_",
        "n_iter_",
        "alpha_",
        "_solution",
    )

    def _fit_network(self, problem: Problem) -> None:
        """Solve the problem and set the fitted attributes."""
        solution = solve(
            problem.X,
            problem.Y,
            problem.alpha,
            loss=problem.loss,
            skip=problem.skip,
            tol=self.tol,
            sample_weight=problem.sample_weight,
            max_iter=self.max_iter,
            time_limit=self.time_limit,
            random_state=self.random_state,
        )
        self._solution: Solution | None = solution
        self.network_ = solution.network
        self.certificate_: Certificate | None = solution.certificate
        self.status_ = solution.status
        self.dual_gap_ = float(solution.certificate.gap)
        self.n_iter_ = int(solution.n_iter)
        self.alpha_ = float(problem.alpha)

    def _optimal_range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Range of the outputs of all optimal networks, each (M, T)."""
        check_is_fitted(self)
        solution: Solution | None = getattr(self, "_solution", None)
        if solution is None:
            raise InvalidInputError(
                "optimal_range needs the training data, which this model was loaded without: save "
                "it by save_model(path, model, with_data=True), or fit it again."
            )
        inputs = self._inputs(X, reset=False)
        optima = solution.optimal_set()
        if not optima.range_is_proved:
            warnings.warn(
                f"the range is not proved, other optimal networks may predict something else: "
                f"{optima.reason}",
                UserWarning,
                stacklevel=3,
            )
        return optima.range(inputs)


class NetworkRegressor(MultiOutputMixin, RegressorMixin, NetworkEstimator):
    """A network whose outputs are the predictions.

    Attributes
    ----------
    network_ : ReLUNetwork
        The fitted network.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when the inputs were a data frame with text for column names.
    task_names_ : ndarray of shape (T,)
        Only when the labels were a data frame or a series with text for names.
    """

    _stored: ClassVar[tuple[str, ...]] = (
        *NetworkEstimator._stored,
        "task_names_",
        "_labels_are_1d",
    )

    def predict(self, X: Any) -> FloatArray:
        """Evaluate the network.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs; far beyond the fitted ones every task is a straight line along each ray.

        Returns
        -------
        ndarray of shape (M,) or (M, T), float64
            Predictions, 1-D if `y` was.
        """
        check_is_fitted(self)
        return self._as_fitted(self.network_(self._inputs(X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        return tags

    def _data(self, X: Any, y: Any, nan_policy: str | None = None) -> tuple[FloatArray, FloatArray]:
        """`X` (N, d) and `y` (N, T) as arrays, checked; their form and names are remembered."""
        self._refuse_no_labels(y)
        inputs = self._inputs(X, reset=True)
        labels = as_labels(y, len(inputs), name="y", nan_policy=nan_policy)
        self._labels_are_1d = np.asarray(y).ndim == 1
        names = column_names(y)
        if names is not None:
            self.task_names_ = names
        elif hasattr(self, "task_names_"):
            del self.task_names_
        return inputs, labels

    def _as_fitted(self, predictions: FloatArray) -> FloatArray:
        return predictions[:, 0] if self._labels_are_1d else predictions


class PenalisedRegressor(CertifiedEstimator, NetworkRegressor):
    """What `ReLURegressor` and `ReLURegressorCV` share."""

    loss: str | Loss
    nan_policy: str
    task_weight: Any

    _stored: ClassVar[tuple[str, ...]] = (
        *CertifiedEstimator._stored,
        *NetworkRegressor._stored[len(NetworkEstimator._stored) :],
    )

    @property
    def knots_(self) -> FloatArray:
        """Where the slopes change, ascending, shape (K,); only for one input."""
        check_is_fitted(self)
        if self.n_features_in_ != 1:
            raise AttributeError(
                f"knots_ exists for one input only; this model has {self.n_features_in_}, and its "
                "neurons are in network_."
            )
        return self.network_.knots()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R², averaged over the tasks.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.
        y : array-like of shape (M,) or (M, T)
            Labels. With ``nan_policy="omit"`` some may be NaN: each task is then scored on the
            samples where it has a label, and tasks with fewer than two labels do not count.
        sample_weight : array-like of shape (M,), optional
            Weight of each sample.

        Returns
        -------
        float
            At most 1; 0 is as good as the mean of the labels.

        Raises
        ------
        InvalidInputError
            If no task has two labels.
        """
        if self.nan_policy == "raise":
            return float(super().score(X, y, sample_weight))
        predictions = np.atleast_2d(self.predict(X).T).T
        labels = as_labels(y, len(predictions), name="y", nan_policy=self.nan_policy)
        scores = []
        for label, prediction in zip(labels.T, predictions.T, strict=True):
            seen = ~np.isnan(label)
            weight = None if sample_weight is None else np.asarray(sample_weight)[seen]
            if seen.sum() > 1:
                scores.append(r2_score(label[seen], prediction[seen], sample_weight=weight))
        if not scores:
            raise InvalidInputError(
                "y has no task with at least two labels, so there is nothing to compare with; "
                "score on samples that have labels."
            )
        return float(np.mean(scores))

    def optimal_range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Return the least and the greatest prediction among all globally optimal networks.

        No fit of these data with this penalty, whatever its seed or its solver, can be optimal and
        predict anything outside this range, unless there is a warning that the range is not
        proved. Then it is the range of the optimal networks that are known, and where ``low``
        equals ``high`` others may still differ; ``range_is_proved`` of the optimal set says the
        same.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        low, high : ndarray of shape (M,) or (M, T), float64
            The smallest and the largest prediction over all globally optimal networks; infinite
            where nothing holds them.

        Warns
        -----
        UserWarning
            If the verdict on these networks is open, so that the range is not proved.

        Raises
        ------
        InvalidInputError
            If the model was loaded from a file without its data.
        """
        low, high = self._optimal_range(X)
        return self._as_fitted(low), self._as_fitted(high)

    def _problem(self, X: Any, y: Any, sample_weight: Any = None) -> Problem:
        """What `fit` solves for these data, at `alpha_`; the fitted estimator stays as it is."""
        check_is_fitted(self)
        inputs = self._inputs(X, reset=False)
        labels = as_labels(y, len(inputs), name="y", nan_policy=self.nan_policy)
        return self._make_problem(inputs, labels, self.alpha_, sample_weight)

    def _make_problem(
        self, inputs: FloatArray, labels: FloatArray, alpha: float, sample_weight: Any
    ) -> Problem:
        return Problem.make(
            inputs,
            labels,
            alpha,
            loss=self.loss,
            skip=self.skip,
            sample_weight=entry_weights(sample_weight, self.task_weight, labels.shape),
            nan_policy=self.nan_policy,
        )


def entry_weights(sample_weight: Any, task_weight: Any, shape: tuple[int, ...]) -> Any:
    """Return the weights of samples, or of samples and tasks (N, T) where tasks have some too.

    Raises
    ------
    InvalidInputError
        If `task_weight` is not one positive number a task.

    Examples
    --------
    >>> entry_weights([1.0, 2.0], [1.0, 3.0], (2, 2))
    array([[1., 3.],
           [2., 6.]])
    """
    if task_weight is None:
        return sample_weight
    tasks = np.asarray(task_weight)
    if not (tasks.dtype.kind in "iuf" and tasks.shape == shape[1:]):
        raise InvalidInputError(
            f"task_weight has shape {tasks.shape} and type {tasks.dtype}, but y has {shape[1]} "
            f"task(s); pass one number a task, shape ({shape[1]},)."
        )
    if not np.all((tasks > 0) & np.isfinite(tasks)):
        raise InvalidInputError(
            f"task_weight is {tasks.tolist()}, but weights of tasks are finite and positive; leave "
            "a task that should not count out of y."
        )
    rows = as_weights(sample_weight, *shape)
    return np.asarray(rows.reshape(shape[0], -1) * tasks)


def some_alpha(problem: Problem, random_state: Any) -> float:
    """Return a penalty for which a network has neurons, unless the labels need none.

    Examples
    --------
    >>> round(some_alpha(Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], 1.0), 0), 6)
    0.016667
    """
    seed = int(as_generator(random_state).integers(2**31))
    oracle = AscentOracle(problem.X, problem.skip, n_starts=FEW_STARTS, random_state=seed)
    return NEURON_SHARE * (oracle.search(problem.affine_fit()[2]).value or 1.0)


def column_names(y: Any) -> np.ndarray | None:
    """Return the names that a data frame or a series gives its columns, if all of them are text.

    Examples
    --------
    >>> column_names([[1.0, 2.0]]) is None
    True
    """
    columns = getattr(y, "columns", None)
    names = [getattr(y, "name", None)] if columns is None else list(columns)
    if all(isinstance(name, str) and name for name in names):
        return np.array(names, dtype=object)
    return None


def one_line(error: Exception) -> str:
    r"""Return the message of an error without line breaks.

    Examples
    --------
    >>> one_line(ValueError("Expected 2D array, got 1D array instead:\narray=[1.]."))
    'Expected 2D array, got 1D array instead: array=[1.].'
    """
    return " ".join(str(error).split())


def warn_of_limit(certificate: Certificate) -> None:
    """Say it as scikit-learn does, on behalf of `fit`, if the solver stopped before its goal."""
    if certificate.status in (Status.LIMIT_REACHED, Status.NOT_OPTIMAL):
        warnings.warn(
            f"{certificate.status.meaning} The relative gap is {certificate.relative_gap:.1e}, "
            f"asked for was {certificate.tol:.1e}. {certificate.status.advice}",
            ConvergenceWarning,
            stacklevel=3,
        )
