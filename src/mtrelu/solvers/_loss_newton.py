"""Regression splines with a group penalty under any convex loss.

Piecewise quadratic losses (squared, Huber, quantile) go through an interior point method as in
`_group_newton`, with the dual variable p of each label as a further unknown: a prediction is
``z = -c'(p)`` for ``c(p) = l*(y, -p)``, and bounds on p carry multipliers,

    z = -c'(p) - above + below,    above (hi - p) = mu / w,    below (p - lo) = mu / w,

so that kinks need no smoothing.  Eliminating p leaves one tridiagonal Gram matrix a task, with
weights ``w / (c''(p) + above / (hi - p) + below / (p - lo))``.  A label left out (w = 0) has no
part in it; as that can make it singular, steps are then those of `_block_newton`.  Other smooth
losses (logistic) are solved by Newton's method: each quadratic model is such a problem, and a line
search on the true objective makes it converge from anywhere.
"""

# Compiled functions have no annotations: numba infers the types.
# mypy: allow-untyped-defs

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.losses import Loss, SquaredLoss
from mtrelu.solvers._block_newton import CoupledStep
from mtrelu.solvers._group_newton import largest_step, step_near_path
from mtrelu.solvers._spline_algebra import (
    block_assemble,
    block_factor,
    block_step,
    compiled,
    differences,
    saddle_block_factor,
    saddle_block_step,
    step_misfit,
    subtract_adjoint,
    tridiagonal_solve,
)
from mtrelu.validation import FloatArray

MAX_NEWTON = 200
MAX_MODELS = 100
SHORTEST = 1e-9
# A Newton model takes no loss to be flatter than one over this.
FLATTEST = 1e16
# With labels left out, knots up to which steps are at once solved for them all in one matrix, and
# knots up to which that is done where rounding spoils block elimination.  Beyond, a little on the
# diagonal, relative to the median, makes steps less exact but not where they lead.
FEW_KNOTS, MOST_COUPLED = 100, 1500
RIDGE = 1e-10


def locate(x: FloatArray, at: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Segment between the nodes ``at`` and share of the way along it, for every ``x``."""
    segment = np.minimum(np.searchsorted(at, x, side="right") - 1, len(at) - 2)
    return segment, (x - at[segment]) / (at[segment + 1] - at[segment])


@compiled
def rows_from_nodes(segment, up, C):
    """``H C``: values at the rows; row ``i`` lies in ``segment[i]``, a share ``up[i]`` along it."""
    out = np.empty((segment.shape[0], C.shape[1]))
    for i in range(out.shape[0]):
        j, share = segment[i], up[i]
        for t in range(out.shape[1]):
            out[i, t] = (1.0 - share) * C[j, t] + share * C[j + 1, t]
    return out


@compiled
def nodes_from_rows(segment, up, P, m):
    """``H^T P`` (m, T)."""
    out = np.zeros((m, P.shape[1]))
    for i in range(P.shape[0]):
        j, share = segment[i], up[i]
        for t in range(P.shape[1]):
            out[j, t] += (1.0 - share) * P[i, t]
            out[j + 1, t] += share * P[i, t]
    return out


@compiled
def gram_of_rows(segment, up, weight, m):
    """Diagonals (m, T) and off-diagonals (m-1, T) of ``H^T diag(weight_t) H``."""
    diagonal = np.zeros((m, weight.shape[1]))
    off = np.zeros((m - 1, weight.shape[1]))
    for i in range(weight.shape[0]):
        j, share = segment[i], up[i]
        rest = 1.0 - share
        for t in range(weight.shape[1]):
            diagonal[j, t] += weight[i, t] * rest * rest
            off[j, t] += weight[i, t] * rest * share
            diagonal[j + 1, t] += weight[i, t] * share * share
    return diagonal, off


@compiled
def dual_norms(x, P):
    """Norms of ``U_i = sum_{j<i} (x_i - x_j) P_j`` at sorted distinct ``x``; 0 at the ends."""
    n, n_tasks = P.shape
    total = np.zeros(n_tasks)
    moment = np.zeros(n_tasks)
    norms = np.zeros(n)
    for i in range(n - 2):
        norm2 = 0.0
        for t in range(n_tasks):
            total[t] += P[i, t]
            moment[t] += (x[i + 1] - x[i]) * total[t]
            norm2 += moment[t] * moment[t]
        norms[i + 1] = np.sqrt(norm2)
    return norms


@dataclass
class _Bounds:
    """Multipliers of the bounds on p, where these can bind."""

    above: FloatArray
    below: FloatArray


def fit_loss(
    loss: Loss,
    y: FloatArray,
    weight: FloatArray,
    segment: np.ndarray,
    up: FloatArray,
    rows: FloatArray,
    penalty: float,
    tol: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Minimise ``sum w l(y, H C) + sum_k ||D_k C||`` over node values ``C`` (m, T).

    Parameters and result are those of :func:`quadratic_interior_point`, for any loss; ``penalty``
    is the number that ``rows`` are scaled by, for nodes in [0, 1].
    """
    if loss.piecewise_quadratic:
        return quadratic_interior_point(loss, y, weight, segment, up, rows, tol)
    model = SquaredLoss()
    d = np.empty((rows.shape[0], y.shape[1]))

    def objective(C: FloatArray) -> float:
        differences(rows, C, d)
        misfit = float(np.sum(weight * loss.value(y, rows_from_nodes(segment, up, C))))
        return misfit + float(np.linalg.norm(d, axis=1).sum())

    C = np.zeros((rows.shape[0] + 2, y.shape[1]))
    value = objective(C)
    accuracy = 1e-3 * value
    for _ in range(MAX_MODELS):
        z = rows_from_nodes(segment, up, C)
        p = -loss.gradient(y, z)
        slope = np.minimum(_inverse_curvature(loss, z), FLATTEST)
        accuracy = max(0.1 * tol, accuracy)
        towards, u, e, p = quadratic_interior_point(
            model, z + slope * p, weight / slope, segment, up, rows, accuracy
        )
        # A model's p can be outside its bounds.  Moving it onto them moves no dual norm by more
        # than the sum of the moves, and shrinking all of p mends that.
        outside = p / slope
        p = np.clip(outside, *loss.dual_bounds(y))
        excess = value * float(np.sum(weight * np.abs(outside - p))) / penalty
        change, step = towards - C, 1.0
        while not (moved := objective(C + step * change)) <= value and step > SHORTEST:
            step *= 0.5
        if step > SHORTEST:
            C, value = C + step * change, moved
        elif accuracy <= 0.1 * tol:
            break
        differences(rows, C, d)
        gap = float(np.linalg.norm(d, axis=1).sum() - np.sum(u * d))
        gap += fenchel_gap(loss, y, weight, rows_from_nodes(segment, up, C), p)
        if gap + excess <= tol:
            break
        # A model that is solved too loosely does not lead down.
        accuracy = 1e-3 * (min(gap, value) if step > SHORTEST else accuracy)
    return C, u, e, p


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def quadratic_interior_point(
    loss: Loss,
    y: FloatArray,
    weight: FloatArray,
    segment: np.ndarray,
    up: FloatArray,
    rows: FloatArray,
    tol: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Minimise ``sum w l(y, H C) + sum_k ||D_k C||`` over node values ``C`` (m, T).

    Parameters
    ----------
    loss : Loss
        Piecewise quadratic, with labels ``y`` (n, T) and ``weight`` (n, 1) or (n, T).
    segment, up : ndarray of shape (n,)
        Where each row lies among the nodes.
    rows : ndarray of shape (K, 2)
        Scaled second differences.
    tol : float
        Absolute duality gap.

    Returns
    -------
    C, u, e, p
        Node values (m, T), multipliers (K, T), group weights (K,), dual variables (n, T).
    """
    n_tasks = y.shape[1]
    n_knots = rows.shape[0]
    m = n_knots + 2
    u = np.zeros((n_knots, n_tasks))
    d = np.empty((n_knots, n_tasks))
    dd, du, dC = np.empty_like(d), np.zeros_like(d), np.empty((m, n_tasks))
    de = np.zeros(n_knots)
    A0, A1, A2 = (np.empty((m, n_tasks, n_tasks)) for _ in range(3))
    saddle = np.empty((0, 4, n_tasks, n_tasks))
    in_order = False
    lo, hi = np.broadcast_arrays(*loss.dual_bounds(y))
    bounded = bool(np.isfinite(lo).any())
    used = np.broadcast_to(weight > 0.0, y.shape)
    gaps = not used.all()
    divisor = np.where(used, weight, 1.0) if gaps else weight
    coupled = gaps and n_knots <= FEW_KNOTS
    p = np.where(np.isfinite(lo + hi), 0.5 * (lo + hi), 0.0) + 0.0 * y
    # Start from least squares on the loss to second order at p.
    fitted, slope = loss.dual_fit(y, p)
    even = np.broadcast_to(weight, y.shape)
    C = nodes_from_rows(segment, up, even * (fitted + slope * p), m)
    diagonal, off = gram_of_rows(segment, up, even, m)
    if gaps:
        diagonal += 0.1 * diagonal.max(axis=0)
    tridiagonal_solve(diagonal, off, C)
    differences(rows, C, d)
    e = np.linalg.norm(d, axis=1)
    misfit = y - rows_from_nodes(segment, up, C)
    if not bounded:
        p = misfit.copy()  # only the squared loss has no bounds: feasible together with u = 0
    tiny = float(np.finfo(float).tiny)
    e = np.maximum(e, max(0.1 * e.mean() if n_knots else 0.0, tol / max(n_knots, 1), tiny))
    start = max(float(np.abs(misfit).mean()), tol / (weight.sum() * n_tasks), tiny)
    bounds = _Bounds(np.full(y.shape, start), np.full(y.shape, start))
    penalty = 1.0 / (np.sum(1.0 / rows[:, 0]) + 1.0 / rows[-1, 1]) if n_knots else math.inf
    n_products = max(1, n_knots + (2 * np.count_nonzero(used) if bounded else 0))
    for _ in range(MAX_NEWTON):
        z = rows_from_nodes(segment, up, C)
        differences(rows, C, d)
        s = 0.5 * (1.0 - np.einsum("kt,kt->k", u, u))
        r1 = nodes_from_rows(segment, up, weight * p, m)
        subtract_adjoint(rows, u, r1)
        primal = float(np.sum(weight * loss.value(y, z)) + np.linalg.norm(d, axis=1).sum())
        dual = -float(np.sum(weight * loss.conjugate(y, -p)))
        gap = primal - dual
        fitted, slope = loss.dual_fit(y, p)
        r3 = fitted - z
        products = float(e @ s)
        if bounded:
            room_above, room_below = hi - p, p - lo
            r3 = r3 - bounds.above + bounds.below
            slope = slope + bounds.above / room_above + bounds.below / room_below
            products += float(
                np.sum(weight * (bounds.above * room_above + bounds.below * room_below))
            )
        gram, off = gram_of_rows(segment, up, weight / slope, m)
        diagonal = gram
        if gaps:
            diagonal = gram + RIDGE * np.nanmedian(np.where(gram > 0.0, gram, np.nan), axis=0)
        infeasible = float(np.sum(r1 * r1 / np.maximum(diagonal, tiny)))
        excess = 0.0
        if gaps:
            # Where a task has no label, p has no part in what is left of r_1.  It moves a dual norm
            # by no more than it adds up to, and shrinking all of p mends that.
            gap += float(np.sum(r1 * C))
            excess = primal * float(np.linalg.norm(r1, axis=1).sum()) / penalty
        if gap + infeasible + excess <= tol and infeasible <= 1e-2 * tol:
            break
        if not (products > 0.0 and np.isfinite(gap + infeasible)):
            break
        if coupled:
            try:
                newton = CoupledStep(gram, off, np.arange(n_tasks), rows, u, e, s, d)
            except np.linalg.LinAlgError:
                break
        elif not in_order:
            block_assemble(gram, off, rows, u, e, s, A0, A1, A2)
            if not block_factor(A0, A1, A2):
                if gaps and n_knots <= MOST_COUPLED:
                    coupled = True
                    continue
                in_order = True
        if in_order and not coupled:
            if not len(saddle):
                saddle = np.empty((2 * m - 2, 4, n_tasks, n_tasks))
            if not saddle_block_factor(diagonal, off, rows, u, e, s, saddle):
                break
        target, trust, dp = 0.0, 0.0, np.zeros_like(p)
        d_above, d_below = np.zeros_like(p), np.zeros_like(p)
        for phase in range(2):
            inner = np.einsum("kt,kt->k", u, du) if trust else 0.0
            second = trust * (0.5 * e * np.einsum("kt,kt->k", du, du) if trust else 0.0)
            if trust:
                second = second + de * (inner + 0.5 * np.einsum("kt,kt->k", du, du))
            r2 = e[:, None] * u - d
            if trust:
                r2 += de[:, None] * du
            centre = (target - e * s + second) / s
            shift = r3
            if bounded:
                goal_above = target / divisor + trust * d_above * dp
                goal_below = target / divisor - trust * d_below * dp
                shift = (
                    r3
                    - goal_above / room_above
                    + bounds.above
                    + goal_below / room_below
                    - bounds.below
                )
            right = nodes_from_rows(segment, up, weight * (p + shift / slope), m)
            subtract_adjoint(rows, u, right)
            if coupled:
                dC, du, de = newton.towards(right, target, trust * du, trust * de)
                rounding = 0.0
            elif in_order:
                saddle_block_step(saddle, u, e, s, right, r2, centre, dC, du, de)
            else:
                block_step(A0, A1, A2, rows, u, e, s, right, r2, centre, dC, du, de)
                rounding = step_misfit(diagonal, off, rows, right, dC, du)
                if not rounding <= 0.1 * max(infeasible, 1e-2 * tol):
                    break
            dp = (shift - rows_from_nodes(segment, up, dC)) / slope
            if gaps:
                dp[~used] = 0.0
            step = largest_step(u, du, e, de)
            if bounded:
                step = min(step, _room(dp, room_above), _room(-dp, room_below))
                d_above = (goal_above + bounds.above * dp) / room_above - bounds.above
                d_below = (goal_below - bounds.below * dp) / room_below - bounds.below
                if gaps:
                    d_above[~used] = d_below[~used] = 0.0
                step = min(step, _room(-d_above, bounds.above), _room(-d_below, bounds.below))
            if phase == 0:
                moved = u + step * du
                reached = float(
                    (e + step * de) @ (0.5 * (1.0 - np.einsum("kt,kt->k", moved, moved)))
                )
                if bounded:
                    above, below = bounds.above + step * d_above, bounds.below + step * d_below
                    reached += float(
                        np.sum(
                            weight
                            * (above * (room_above - step * dp) + below * (room_below + step * dp))
                        )
                    )
                decrease = max(1e-4, min(1.0, max(reached, 0.0) / products) ** 3)
                target = decrease * min(max(gap, products), 1e3 * products) / n_products
                trust = 1.0 if step > 0.3 else 0.0
        if not in_order and not rounding <= 0.1 * max(infeasible, 1e-2 * tol):
            # Rounding spoilt the step: take it again with the other elimination.
            coupled = gaps and n_knots <= MOST_COUPLED
            in_order = not coupled
            continue
        if coupled and not (np.isfinite(dC).all() and np.isfinite(du).all()):
            break
        differences(rows, dC, dd)
        step = 0.9999 if step == 1.0 else 0.95 * step
        step = step_near_path(u, du, e, de, d, dd, step)
        C += step * dC
        u += step * du
        e = e + step * de
        p = p + step * dp
        if bounded:
            bounds = _Bounds(bounds.above + step * d_above, bounds.below + step * d_below)
    # What is left of r1 can be much beside a small penalty: give it to p where p has room.
    tridiagonal_solve(diagonal, off, r1)
    mended = p - rows_from_nodes(segment, up, r1) / slope
    return C, u, e, np.where((mended > lo) & (mended < hi), mended, p)


def _inverse_curvature(loss: Loss, z: FloatArray) -> FloatArray:
    """One over the second derivative of a smooth loss at ``z``.

    The labels of such a loss enter linearly, so any label will do: the one that ``z`` points to
    keeps the digits of a saturated prediction.
    """
    side = np.where(z > 0, 1.0, 0.0)
    return loss.dual_fit(side, -loss.gradient(side, z))[1]


def fenchel_gap(
    loss: Loss, y: FloatArray, weight: FloatArray, z: FloatArray, p: FloatArray
) -> float:
    """``sum w (l(y, z) + l*(y, -p) + p z)``, the loss's share of a duality gap; never negative."""
    return float(np.sum(weight * (loss.value(y, z) + loss.conjugate(y, -p) + p * z)))


def _room(change: FloatArray, room: Any) -> float:
    """Largest step in [0, 1] along ``change`` that stays within ``room``."""
    growing = change > 0
    return min(1.0, float(np.min(room[growing] / change[growing], initial=1.0)))
