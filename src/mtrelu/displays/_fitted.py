"""What pictures need of a fitted estimator: its network, its problem, and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import is_classifier

from mtrelu.api import Solution
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.validation import InvalidInputError
from mtrelu.verify import verify


def network_of(estimator: Any) -> ReLUNetwork:
    """Return the network of a fitted estimator."""
    network = getattr(estimator, "network_", None)
    if not isinstance(network, ReLUNetwork):
        raise InvalidInputError(
            f"estimator is a {type(estimator).__name__} without a fitted network; call fit(X, y) "
            "first. Of a pipeline or a search pass the fitted network estimator inside, with X as "
            "it comes to it."
        )
    return network


def solution_of(
    estimator: Any, X: Any = None, y: Any = None, sample_weight: Any = None
) -> Solution:
    """Return the solution behind a fitted estimator, judged on other data if there are any.

    With data the certificate is made anew. The dual variable of the fit is offered to it where it
    can be one for these data, too: it can tighten the bound, never make it wrong.
    """
    network = network_of(estimator)
    fitted = getattr(estimator, "_solution", None)
    if (X is None) != (y is None):
        raise InvalidInputError(
            "X and y were not given together; pass both, or neither for the data of the fit."
        )
    if X is not None:
        problem = problem_of(estimator, X, y, sample_weight)
        dual = None if fitted is None else fitted.dual
        if dual is not None and dual.shape != problem.Y.shape:
            dual = None
        certificate = verify(problem, network, dual=dual, tol=estimator.certificate_.tol)
        return Solution(problem, network, certificate, 0, dual)
    if not isinstance(fitted, Solution):
        raise InvalidInputError(
            "estimator does not hold the data of a fit by alpha; pass X and y if it was loaded "
            "from a file, and fit with alpha if it was fitted with n_knots."
        )
    return fitted


def problem_of(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> Problem:
    """Return the problem that an estimator fitted by alpha would solve for these data."""
    network_of(estimator)
    by_alpha = getattr(estimator, "certificate_", None) is not None
    if not (by_alpha and hasattr(estimator, "_problem")):
        raise InvalidInputError(
            f"estimator is a {type(estimator).__name__} that was not fitted by alpha, so there is "
            "no optimum to compare it with; pass a ReLURegressor(alpha=...), for example."
        )
    problem: Problem = estimator._problem(X, y, sample_weight)
    return problem


def labels_of(estimator: Any, X: Any, y: Any) -> np.ndarray:
    """Return the labels (N, T) as the network of a fitted estimator sees them, NaN allowed."""
    if is_classifier(estimator):
        labels: np.ndarray = estimator._problem(X, y).Y
    else:
        labels = np.asarray(y, dtype=np.float64)
        labels = labels.reshape(len(labels), -1)
    n_tasks = network_of(estimator).n_tasks
    if labels.shape[1] != n_tasks:
        raise InvalidInputError(
            f"y has {labels.shape[1]} columns, but estimator was fitted to {n_tasks} tasks; pass "
            "the labels of those."
        )
    return labels


def outputs(estimator: Any, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return what to draw of the network's values (M, T), and its name.

    For a classifier that is a probability; of three classes or more, of each against all others.
    """
    if not is_classifier(estimator):
        return values, ""
    return _probabilities(values)


def outputs_of_loss(loss: Loss, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return what to draw of values (M, T) that were fitted by a loss, and its name."""
    return _probabilities(values) if loss.name == "logistic" else (values, "")


def _probabilities(values: np.ndarray) -> tuple[np.ndarray, str]:
    return expit(values), "probability" if values.shape[1] == 1 else "probability, each alone"


def input_names(estimator: Any, X: Any, n_inputs: int) -> list[str]:
    """Return the names of the inputs: those of the fit, those of a table, or x1, x2, ..."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = columns_of(X)
    if names is None or len(names) != n_inputs:
        return ["x"] if n_inputs == 1 else [f"x{j + 1}" for j in range(n_inputs)]
    return [str(name) for name in names]


def columns_of(table: Any) -> list[str] | None:
    """Return the names of the columns of a data frame or series; None for what has none."""
    columns = getattr(table, "columns", None)
    if columns is not None:
        return [str(name) for name in columns]
    name = getattr(table, "name", None)
    return [name] if isinstance(name, str) and name else None


def tasks_of(
    estimator: Any, y: Any, tasks: Sequence[str] | None, n_tasks: int
) -> Sequence[str] | None:
    """Return the names given, or those of the classes, of the columns of y, or of the fit."""
    if tasks is not None:
        return tasks
    if is_classifier(estimator):
        classes = estimator.classes_[1:] if n_tasks == 1 else estimator.classes_
        return [f"class {name}" for name in classes]
    candidates = (columns_of(y), getattr(estimator, "task_names_", None))
    for names in candidates:
        if names is not None and len(names) == n_tasks:
            return [str(name) for name in names]
    return None


def refuse_unless_plane(n_inputs: int, for_one: str = "FittedCurvesDisplay") -> None:
    """Raise an error for a picture over two inputs when there is another number of them.

    `for_one` is the display to use instead where there is one.
    """
    if n_inputs == 1:
        raise InvalidInputError(
            f"there is one input, but this picture is drawn over two; use {for_one}."
        )
    if n_inputs != 2:
        raise InvalidInputError(
            f"there are {n_inputs} inputs, but this picture is drawn over two; there is none for "
            "so many."
        )
