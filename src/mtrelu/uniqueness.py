"""What a duality gap proves about every optimal function of one input, α > 0 [beyond the paper].

All optimal functions share one dual optimum P* when the loss has a Lipschitz gradient, and the
dual objective curves there: a feasible P with duality gap G is within √(2G) of P*, in the norm
that weighs sample i by 1/(L w_i) (where tasks differ, with the largest weight of the sample; p = 0
for labels that are left out). Every sum U_i = Σ_j p_j (x_j − x_i)₊ is then known up to an
explicit error, and U* tells where knots can be: an optimal function bends at x only if
‖U*(x)‖ = α, in the direction U*(x)/α, and U* is linear between data points.

Nothing here depends on how the pair was found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mtrelu.problem import Problem
from mtrelu.solvers.interpolation import RTOL
from mtrelu.validation import TINY, FloatArray

_EPS = float(np.finfo(np.float64).eps)
# Tasks that are multiples of one up to this much of the labels count as such.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Proof:
    """What holds for every optimal function.

    Attributes
    ----------
    gap : float
        The duality gap that the statements rest on.
    straight : ndarray of shape (N - 1,), bool
        No optimal function has a knot strictly inside this segment between data points.
    absent : ndarray of shape (N - 2,), bool
        No optimal function has a knot at this data point.
    values_fixed : bool
        All optimal functions agree at the data points.
    bent : ndarray of shape (N - 2,), int8
        For one task, the sign of the slope change at this data point of the function that
        connects the optimal values; 0 where it is not proved to be nonzero. For several tasks
        that are multiples of one, its sign along ``axis``; otherwise 0.
    axis : ndarray of shape (T, 1), or None
        The direction of which all tasks are multiples up to affine functions and rounding.
    """

    gap: float
    straight: np.ndarray
    absent: np.ndarray
    values_fixed: bool
    bent: np.ndarray
    axis: FloatArray | None


def prove(
    problem: Problem,
    x: FloatArray,
    group: np.ndarray,
    predictions: FloatArray,
    changes: FloatArray,
    dual: FloatArray,
) -> Proof:
    """Derive from a nearly optimal pair what is true of all exactly optimal functions.

    Parameters
    ----------
    problem : Problem
        With one input, an affine skip connection and α > 0.
    x : ndarray of shape (N,)
        Its distinct inputs, ascending; N >= 2.
    group : ndarray of shape (n_samples,)
        Which of them each sample has.
    predictions : ndarray of shape (n_samples, T)
        Fitted values.
    changes : ndarray of shape (N - 2, T)
        Slope changes of the function that connects these values.
    dual : ndarray of shape (n_samples, T)
        Dual variable, feasible or not.

    Returns
    -------
    Proof
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows proves nothing
        return _prove(problem, x, group, predictions, changes, dual)


def _prove(
    problem: Problem,
    x: FloatArray,
    group: np.ndarray,
    predictions: FloatArray,
    changes: FloatArray,
    dual: FloatArray,
) -> Proof:
    n = x.size
    alpha, loss = problem.alpha, problem.loss
    P, U, Q = _feasible(problem, x, group, dual)
    gap = _gap(problem, predictions, changes, P, U)
    bent, axis = np.zeros(n - 2, dtype=np.int8), None
    if problem.n_tasks == 1:
        bent = _bends(problem, x, group, predictions, changes, gap)
    elif (axis := _common_axis(problem)) is not None:
        # After a rotation of the tasks only one is not affine, and the verdict is that task's.
        along = replace(problem, Y=problem.Y @ axis)
        bent = prove(along, x, group, predictions @ axis, changes @ axis, dual @ axis).bent
    straight = np.zeros(n - 1, dtype=bool)
    # Beyond the second data point from either end U* is too short: it vanishes at the end.
    straight[[0, -1]] = True
    if not (np.isfinite(loss.smoothness) and np.isfinite(gap)):
        return Proof(gap, straight, np.zeros(n - 2, dtype=bool), False, bent, axis)

    weight = _sum_by(group, problem.row_weight, n)
    hinge, step = _residual_norms(x, weight)
    radius = np.sqrt(2.0 * gap * loss.smoothness)
    rounding = 8.0 * _EPS * np.sqrt(n)
    size = _sum_by(group, np.linalg.norm(P, axis=1), n)
    absolute_U, absolute_Q = _moments(x, size[:, np.newaxis], absolute=True)
    error_U = radius * hinge + rounding * absolute_U[1:-1, 0]
    error_Q = radius * step + rounding * absolute_Q[:, 0]
    absent = np.linalg.norm(U[1:-1], axis=1) + error_U < alpha
    # Where U* attains α inside a segment it is constant there: then its slope Q* is zero.
    straight |= np.linalg.norm(Q, axis=1) > error_Q
    straight |= np.append(True, absent)
    straight |= np.append(absent, True)

    entry_error = radius * np.sqrt(problem.weights)
    low, high = problem.dual_bounds()
    fixed = (P - entry_error > low) & (P + entry_error < high)
    fixed |= loss.strictly_convex & problem.used
    values_fixed = bool(fixed.all()) or (
        bool(straight.all()) and _values_follow(x, group, fixed, _possible(problem, ~absent))
    )
    return Proof(gap, straight, absent, values_fixed, bent, axis)


def _feasible(
    problem: Problem, x: FloatArray, group: np.ndarray, P: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a dual-feasible point near P, its U (N, T) at the inputs and Q (N - 1, T) between."""
    inputs = x[group] - x[group].mean()
    inputs /= np.abs(inputs).max()
    lines = np.column_stack([np.ones_like(inputs), inputs])
    feasible = np.zeros_like(P)
    for tasks, rows, _ in problem.by_weights():
        own, basis = P[np.ix_(rows, tasks)], _orthonormal(lines[rows])
        for _ in range(2):  # the second time removes what rounding left behind
            own = own - basis @ (basis.T @ own)
        feasible[np.ix_(rows, tasks)] = own
    P = feasible
    low, high = problem.dual_bounds()
    if np.isfinite(low).any() or np.isfinite(high).any():
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(P > 0, high / P, np.where(P < 0, low / P, np.inf))
        P = P * max(min(1.0, float(room.min())), 0.0)
    summed = np.zeros((x.size, P.shape[1]))
    np.add.at(summed, group, P)
    U, Q = _moments(x, summed)
    largest = float(np.linalg.norm(U, axis=1).max())
    scale = problem.alpha / largest if largest > problem.alpha else 1.0
    return scale * P, scale * U, scale * Q


def _orthonormal(lines: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the columns 1 and x, one column where all x are equal."""
    basis = np.linalg.qr(lines)[0]
    return basis if np.ptp(lines[:, 1]) > 0.0 else basis[:, :1]


def _possible(problem: Problem, possible: np.ndarray) -> np.ndarray:
    """Return at which inner inputs each task can bend, (N - 2, T).

    With labels at two inputs or fewer, Σ p = 0 and Σ p x = 0 leave no dual variable, so that
    U* = 0, and the task does not bend.
    """
    each = np.repeat(possible[:, np.newaxis], problem.n_tasks, axis=1)
    if not problem.shares_weights:
        for tasks, _, part in problem.by_weights():
            if np.unique(part.X[:, 0]).size <= 2:
                each[:, tasks] = False
    return each


def _sum_by(group: np.ndarray, values: FloatArray, n: int) -> FloatArray:
    """Return the sum of the values (n_samples,) of each of the n groups."""
    return np.bincount(group, values, minlength=n).astype(np.float64, copy=False)


def _moments(x: FloatArray, P: FloatArray, absolute: bool = False) -> tuple[FloatArray, FloatArray]:
    """Return U_i = Σ_{j<i} p_j (x_i − x_j) and its slope Q between the inputs.

    Both come from the nearer end, where less has been rounded; for P orthogonal to 1 and x that
    is the same. ``absolute`` adds the two ends up the same way for sizes, which are not.
    """
    steps = np.diff(x)[:, np.newaxis]
    half = x.size // 2
    from_left = np.cumsum(P[:-1], axis=0)
    from_right = np.cumsum(P[:0:-1], axis=0)[::-1]
    zero = np.zeros((1, P.shape[1]))
    left = np.concatenate([zero, np.cumsum(steps * from_left, axis=0)])
    right = np.concatenate([np.cumsum((steps * from_right)[::-1], axis=0)[::-1], zero])
    sign = 1.0 if absolute else -1.0
    U = np.concatenate([left[:half], right[half:]])
    Q = np.concatenate([from_left[:half], sign * from_right[half:]])
    return U, Q


def _gap(
    problem: Problem,
    predictions: FloatArray,
    changes: FloatArray,
    P: FloatArray,
    U: FloatArray,
) -> float:
    """Return primal minus dual as a sum of terms >= 0, plus what rounding and underflow can hide.

    For P orthogonal to 1 and x, Σ ⟨p_i, ŷ_i⟩ = Σ ⟨δ_k, U_k⟩, so the gap is the sum over entries of
    w (ℓ(y, ŷ) + ℓ*(y, −p/w)) + pŷ and over knots of α‖δ‖ − ⟨δ, U⟩.
    """
    weights = problem.weights
    y, z = problem.Y, predictions
    if problem.loss.of_residual:  # then the gap can be summed without cancellation
        y, z = y - z, np.zeros_like(z)
    value = weights * problem.loss.value(y, z)
    conjugate = weights * problem.loss.conjugate(y, -problem.per_weight(P))
    product = P * z
    norms = np.linalg.norm(changes, axis=1)
    knots = problem.alpha * norms - np.einsum("kt,kt->k", changes, U[1:-1])
    gap = float(np.sum(np.maximum(value + conjugate + product, 0.0)) + np.maximum(knots, 0.0).sum())
    size = np.sum(np.abs(value) + np.abs(conjugate) + np.abs(product)) + problem.alpha * norms.sum()
    underflow = TINY if problem.Y.any() or predictions.any() else 0.0
    return gap + 8.0 * _EPS * float(size) + underflow


def _residual_norms(x: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted norms of what affine functions leave of hinges and of steps.

    The hinges are (x − x_i)₊ at the inner inputs, shape (N - 2,); the steps are the indicators of
    the inputs right of each segment, shape (N - 1,). A hinge and its mirror image differ by an
    affine function, so the shorter of the two is taken.
    """
    # In units of the width, a power of two: squares of products must not overflow.
    exponent = int(np.frexp(x[-1] - x[0])[1])
    x = np.ldexp(x - x[0], -exponent)
    total = weight.sum()
    centred = x - weight @ x / total
    spread = weight @ centred**2
    squares = []
    for side in (1, -1):
        w, c, h = weight[::side], centred[::side], np.diff(x)[::side]
        mass = np.cumsum(w[:-1])
        moment = np.cumsum((w * c)[:-1])
        first = np.cumsum(h * mass)
        second = np.cumsum(h * (2.0 * np.append(0.0, first[:-1]) + h * mass))
        product = np.cumsum(h * moment)
        left_over = second - first**2 / total - product**2 / spread
        # Rounding may only make the bound larger.
        hinge = np.maximum(left_over, 0.0) + 1e-12 * second
        step = mass - mass**2 / total - moment**2 / spread
        step = np.maximum(step, 0.0) + 1e-12 * mass
        squares.append((hinge[:-1][::side], step[::side]))
    hinges = np.minimum(squares[0][0], squares[1][0])
    steps = np.minimum(squares[0][1], squares[1][1])
    return np.ldexp(np.sqrt(hinges), exponent), np.sqrt(steps)


def _bends(
    problem: Problem,
    x: FloatArray,
    group: np.ndarray,
    predictions: FloatArray,
    changes: FloatArray,
    gap: float,
) -> np.ndarray:
    """Return the proved signs of the slope changes of the optimal values, for one task."""
    steps = np.diff(x)
    before, after = 1.0 / steps[:-1], 1.0 / steps[1:]
    if problem.loss.name == "squared":
        # ½ Σ w (ŷ − y*)² <= gap bounds all three values together.
        inverse = 2.0 * gap / _sum_by(group, problem.sample_weight, x.size)
        error = np.sqrt(
            inverse[:-2] * before**2
            + inverse[1:-1] * (before + after) ** 2
            + inverse[2:] * after**2
        )
    else:
        radius = problem.loss.prediction_radius(
            problem.Y[:, 0], predictions[:, 0], gap / problem.sample_weight
        )
        nearest = np.full(x.size, np.inf)
        np.minimum.at(nearest, group, radius)
        error = nearest[:-2] * before + nearest[1:-1] * (before + after) + nearest[2:] * after
    change = changes[:, 0]
    return np.where(np.abs(change) > error, np.sign(change), 0.0).astype(np.int8)


def _values_follow(
    x: FloatArray, group: np.ndarray, fixed: np.ndarray, possible: np.ndarray
) -> bool:
    """Tell whether the values that are fixed determine all others, task by task.

    A spline with the possible knots is determined by its values at a set of points iff each of
    its hat functions can be given a point of its own inside its support (Schoenberg, Whitney).
    """
    for t in range(fixed.shape[1]):
        nodes = np.concatenate(([0], np.flatnonzero(possible[:, t]) + 1, [x.size - 1]))
        starts = np.concatenate(([-1], nodes[:-1]))
        stops = np.concatenate((nodes[1:], [x.size]))
        known = np.unique(group[fixed[:, t]])
        following = 0
        for start, stop in zip(starts, stops, strict=True):
            following = max(following, int(np.searchsorted(known, start, side="right")))
            if following == known.size or known[following] >= stop:
                return False
            following += 1
    return True


def _common_axis(problem: Problem) -> FloatArray | None:
    """Return the direction (T, 1) of which all tasks are multiples, up to affine functions.

    None when there is no such direction, or when the problem depends on the axes of the tasks.
    """
    if problem.loss.name != "squared" or problem.n_tasks == 1 or not problem.shares_weights:
        return None
    residual = problem.affine_fit()[2] / problem.sample_weight[:, np.newaxis]
    longest = residual[np.argmax(np.linalg.norm(residual, axis=1))]
    size = float(np.linalg.norm(longest))
    if size == 0.0:
        return None
    axis = (longest / size)[:, np.newaxis]
    rest = float(np.abs(residual - residual @ axis @ axis.T).max())
    negligible = rest <= min(_ROUNDING * float(np.abs(problem.Y).max()), RTOL * size)
    return axis if negligible else None
