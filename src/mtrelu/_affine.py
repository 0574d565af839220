"""The best affine fit for any loss, with a dual variable that satisfies the skip constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtrelu.validation import FloatArray, InvalidInputError

if TYPE_CHECKING:
    from mtrelu.problem import Problem

_MAX_STEPS = 500
# A step that fails with a ridge this much above the smoothness fails by rounding alone.
_STUCK = 1e3
# Logits beyond this mean that the fit is running away, or that one sample is nearly certain.
_SUSPICIOUS_LOGIT = 15.0


def fit_affine(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return slopes A (T, d), constants c (T,) and dual variable P (N, T); see `Problem`."""
    if problem.shares_weights:
        return _fit_shared(problem, np.arange(problem.n_tasks))
    # Without neurons tasks have nothing in common.
    A, c = np.zeros((problem.n_tasks, problem.n_inputs)), np.zeros(problem.n_tasks)
    P = np.zeros_like(problem.Y)
    for tasks, rows, part in problem.by_weights():
        A[tasks], c[tasks], P[np.ix_(rows, tasks)] = _fit_shared(part, tasks)
    return A, c, P


def _fit_shared(
    problem: Problem, names: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit tasks that have the same weights; ``names`` are their columns for error messages."""
    basis, to_coefficients = skip_basis(problem)
    if basis.shape[1] == 0:
        predictions = np.zeros_like(problem.Y)
        theta = np.zeros((0, problem.n_tasks))
        P = problem.dual_variable(predictions)
    elif problem.alpha == 0.0 or problem.loss.name == "squared":
        theta, P = _least_squares(problem, basis)
    elif np.isfinite(problem.loss.smoothness):
        theta, P = _newton(problem, basis, names)
    else:
        theta, P = _linear_program(problem, basis)
    coefficients = to_coefficients @ theta
    return np.ascontiguousarray(coefficients[1:].T), coefficients[0], P


def skip_basis(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return a basis (N, q) of the skip functions on the data, and its coefficients (1 + d, q).

    The basis is orthonormal with respect to the sample weights (where tasks differ, to the largest
    of each sample). Row 0 of the coefficients is the constant and the other rows are the slopes.
    """
    n_samples, n_inputs = problem.X.shape
    if problem.skip == "none":
        return np.empty((n_samples, 0)), np.empty((1 + n_inputs, 0))
    weights = problem.row_weight
    root = np.sqrt(weights)[:, np.newaxis]
    # Centred and scaled, so that neither the offset nor the unit of x costs any digits.
    centre = problem.X[0] + (weights @ (problem.X - problem.X[0])) / weights.sum()
    shifted = problem.X - centre
    scale = np.abs(shifted).max(axis=0)
    scale[scale == 0.0] = 1.0
    columns = np.column_stack([np.ones(n_samples), shifted / scale])
    if problem.skip == "constant":
        columns[:, 1:] = 0.0
    _, singular, right = np.linalg.svd(root * columns, full_matrices=False)
    kept = singular > singular[0] * max(columns.shape) * np.finfo(np.float64).eps
    to_scaled = right[kept].T / singular[kept]
    basis = columns @ to_scaled
    slopes = to_scaled[1:] / scale[:, np.newaxis]
    return basis, np.vstack([to_scaled[:1] - centre @ slopes, slopes])


def _onto_constraints(P: FloatArray, basis: FloatArray, freedom: FloatArray) -> FloatArray:
    """Change P (N, T) as little as possible so that basisᵀ P = 0, each entry by its freedom.

    Entries with zero freedom stay, so that bounds that P has reached stay reached.
    """
    for _ in range(2):  # the second round removes the rounding of the first
        excess = basis.T @ P
        hessian = np.einsum("ni,nt,nj->tij", basis, freedom, basis, optimize=True)
        step = np.einsum("tij,jt->it", np.linalg.pinv(hessian, hermitian=True), excess)
        P = P - freedom * (basis @ step)
    return P


def _least_squares(problem: Problem, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit the squared loss, with one step of refinement."""
    weights = problem.sample_weight[:, np.newaxis]
    theta = basis.T @ (weights * problem.Y)
    residual = problem.Y - basis @ theta
    correction = basis.T @ (weights * residual)
    return theta + correction, weights * (residual - basis @ correction)


def _newton(
    problem: Problem, basis: FloatArray, names: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Fit a loss with a Lipschitz gradient, all tasks at once.

    Newton's method with a ridge that falls while steps succeed and grows when they fail. With
    the ridge at the smoothness of the loss a step cannot fail.
    """
    weights = problem.sample_weight[:, np.newaxis]
    loss, Y = problem.loss, problem.Y
    identity = np.eye(basis.shape[1])

    theta = np.zeros((basis.shape[1], problem.n_tasks))
    if loss.name == "huber":  # labels can be far from zero, in units of delta
        theta = basis.T @ (weights * Y)
    predictions = basis @ theta
    values = np.sum(weights * loss.value(Y, predictions), axis=0)
    ridge = np.full(problem.n_tasks, 1e-3)
    has_minimum = np.full(problem.n_tasks, loss.name != "logistic")
    for _ in range(_MAX_STEPS):
        terms = weights * loss.gradient(Y, predictions)
        gradient = basis.T @ terms
        rounding = 4.0 * np.finfo(np.float64).eps * (np.abs(basis).T @ np.abs(terms))
        if np.all((np.abs(gradient) <= rounding).all(axis=0) | (ridge > _STUCK)):
            break
        curvature = weights * _curvature(problem, predictions)
        hessian = np.einsum("ni,nt,nj->tij", basis, curvature, basis, optimize=True)
        hessian += (ridge * loss.smoothness)[:, np.newaxis, np.newaxis] * identity
        step = -np.linalg.solve(hessian, gradient.T[:, :, np.newaxis])[:, :, 0].T
        new_predictions = basis @ (theta + step)
        new_values = np.sum(weights * loss.value(Y, new_predictions), axis=0)
        good = new_values <= values + 1e-4 * np.sum(gradient * step, axis=0)
        # Near the optimum values differ by rounding only: then judge by the gradient.
        new_gradient = basis.T @ (weights * loss.gradient(Y, new_predictions))
        level = np.abs(new_values - values) <= 1e-13 * np.abs(values)
        good |= level & (np.linalg.norm(new_gradient, axis=0) < np.linalg.norm(gradient, axis=0))
        theta = np.where(good, theta + step, theta)
        predictions = np.where(good, new_predictions, predictions)
        values = np.where(good, new_values, values)
        ridge = np.where(good, np.maximum(0.1 * ridge, 1e-16), np.minimum(10.0 * ridge, 1e6))
        for task in np.flatnonzero(
            ~has_minimum & (np.abs(predictions).max(axis=0) > _SUSPICIOUS_LOGIT)
        ):
            _refuse_separable(problem, int(task), int(names[task]))
            has_minimum[task] = True
    P = _onto_constraints(
        problem.dual_variable(predictions), basis, weights * _curvature(problem, predictions)
    )
    lo, hi = loss.dual_bounds(Y)
    return theta, np.clip(P, weights * lo, weights * hi)


def _curvature(problem: Problem, predictions: FloatArray) -> FloatArray:
    """Return the second derivative of the loss; zero where its gradient has reached a bound."""
    p = -problem.loss.gradient(problem.Y, predictions)
    lo, hi = problem.loss.dual_bounds(problem.Y)
    inside = (p > lo) & (p < hi)
    _, slope = problem.loss.dual_fit(problem.Y, np.where(inside, p, 0.5 * (lo + hi)))
    return np.where(inside, 1.0 / slope, 0.0)


def _linear_program(problem: Problem, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a piecewise-linear loss with kinks at the labels: the dual is a linear program a task."""
    from scipy.optimize import linprog

    weights = problem.sample_weight[:, np.newaxis]
    lo, hi = problem.loss.dual_bounds(problem.Y)
    unit = weights.max()
    lower, upper = weights * lo / unit, weights * hi / unit
    # The solver's tolerances are absolute, so everything is brought to size one. Subtracting an
    # affine function from the labels changes nothing, because basisᵀ P = 0.
    start = basis.T @ (weights * problem.Y)
    labels = problem.Y - basis @ start
    size = np.abs(labels).max(axis=0)
    size[size == 0.0] = 1.0
    labels /= size
    stretch = np.abs(basis).max()
    theta = np.empty((basis.shape[1], problem.n_tasks))
    P = np.empty_like(labels)
    for task in range(problem.n_tasks):
        result = linprog(
            -labels[:, task],
            A_eq=basis.T / stretch,
            b_eq=np.zeros(basis.shape[1]),
            bounds=np.column_stack([lower[:, task], upper[:, task]]),
            method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if result.x is None:
            raise RuntimeError(f"linear program of the affine fit failed: {result.message}")
        P[:, task] = np.clip(result.x, lower[:, task], upper[:, task])
        theta[:, task] = -result.eqlin.marginals / stretch
    P = _onto_constraints(P, basis, np.minimum(P - lower, upper - P))
    # Undoing the division by the largest weight can round a bound past itself.
    P = np.clip(unit * P, weights * lo, weights * hi)
    return start + size * theta, P


def _refuse_separable(problem: Problem, task: int, name: int) -> None:
    """Raise an error when an affine function separates the two classes of one task.

    Then the logistic loss falls along that function for ever. Labels strictly between 0 and 1
    stop it, unless the function is zero there.
    """
    y = problem.Y[:, task]
    ones, zeros = y == 1.0, y == 0.0
    between = ~(ones | zeros)
    if problem.skip == "constant":
        separable = bool(ones.all() or zeros.all())
    elif problem.n_inputs == 1:
        x = problem.X[:, 0]
        separable = _separable_on_line(x[ones], x[zeros], x[between])
    else:
        separable = _separable_in_space(problem.X, ones, zeros, between)
    if separable:
        raise InvalidInputError(
            f"Y has a task (column {name}) whose classes the skip connection alone separates, so "
            "the logistic loss has no minimum; leave that task out, use labels strictly between 0 "
            "and 1 (for example 0.02 and 0.98), or choose another loss."
        )


def _separable_on_line(ones: FloatArray, zeros: FloatArray, between: FloatArray) -> bool:
    """Tell whether some nonzero a x + c is >= 0 on ones, <= 0 on zeros, and 0 on between."""
    for left, right in ((ones, zeros), (zeros, ones)):
        pivots = np.unique(between)
        if pivots.size > 1:
            return False
        if pivots.size == 1:
            cut = pivots[0]
        elif left.size == 0 or right.size == 0:
            return True
        else:
            cut = right.min()
        beyond = np.concatenate([left, right]) != cut
        if (left <= cut).all() and (right >= cut).all() and beyond.any():
            return True
    return False


def _separable_in_space(
    X: FloatArray, ones: FloatArray, zeros: FloatArray, between: FloatArray
) -> bool:
    """As `_separable_on_line`, for any number of inputs, by a linear program."""
    from scipy.optimize import linprog

    shifted = X - X.mean(axis=0)
    scale = np.abs(shifted).max(axis=0)
    rows = np.column_stack([np.ones(X.shape[0]), shifted / np.where(scale > 0.0, scale, 1.0)])
    decided = np.vstack([rows[ones], -rows[zeros]])
    if decided.shape[0] == 0:
        return False
    fixed = rows[between]
    result = linprog(
        -decided.sum(axis=0),
        A_ub=-decided,
        b_ub=np.zeros(decided.shape[0]),
        A_eq=fixed if fixed.size else None,
        b_eq=np.zeros(fixed.shape[0]) if fixed.size else None,
        bounds=(-1.0, 1.0),
    )
    return bool(result.status == 0 and -result.fun > 1e-6)
