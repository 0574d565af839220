"""Interpolation with several inputs: follow the optimum as α falls to zero.

For α → 0 the optimal network tends to an interpolating one of least path norm, and P/α to a dual
variable that proves it. From a tiny α the labels are then met exactly, by the smallest change of
the output weights, neurons with large weights changing most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mtrelu._affine import skip_basis
from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.solvers._neurons import Neurons
from mtrelu.solvers.columns import ColumnsFit, fit_columns
from mtrelu.solvers.faces import Face
from mtrelu.solvers.interpolation import interpolate
from mtrelu.solvers.pricing import Pricing
from mtrelu.solvers.progress import Progress
from mtrelu.validation import FloatArray

_FACTOR = 0.1  # by which α falls
_NEWTON_STEPS = 5
_DIRECTIONS = 50
_LEAST = 1e-9  # of the largest α: below, rounding of the residual spoils the dual variable
_REFINEMENTS = 3
_ROUNDING = 8 * np.finfo(np.float64).eps  # of the terms that add up to a prediction
_LARGEST_SYSTEM = 3e6  # entries of a Jacobian that Newton's method on positions can still afford


def fit_interpolant(
    problem: Problem,
    pricing: Pricing,
    *,
    tol: float = 1e-6,
    max_iter: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Progress], None] | None = None,
    start: ReLUNetwork | None = None,
) -> ColumnsFit:
    """Fit an interpolating network of least path norm [3], any number of inputs.

    Parameters
    ----------
    problem : Problem
        With ``alpha = 0``, or so small that `interpolates` is true.
    pricing, tol, max_iter, time_limit, callback, start
        As in `fit_columns`; rounds and seconds are those of all α together. What `callback` sees
        is the objective for the current α.

    Returns
    -------
    ColumnsFit
        The network passes through the labels to rounding, whatever the limits.
    """
    begin = time.monotonic()
    # Sample weights mean nothing where every label is met.
    equal = replace(
        problem, loss=SquaredLoss(), sample_weight=np.ones(problem.n_samples), alpha=1.0
    )
    P = equal.affine_fit()[2]
    alpha = top = _large_alpha(P, pricing.hull)
    network = start
    n_iter = 0
    best = _ridge_interpolant(problem, pricing.hull)
    least, proved, dual = best.path_cost(), -np.inf, P
    while True:
        alpha *= _FACTOR
        last = alpha <= _LEAST * top
        fit = fit_columns(
            replace(equal, alpha=alpha),
            pricing,
            tol=max(0.1 * tol, 1e-10) if alpha < 1e-3 * top else 1e-3,
            max_iter=None if max_iter is None else max_iter - n_iter,
            time_limit=None if time_limit is None else time_limit - (time.monotonic() - begin),
            callback=callback,
            start=network,
        )
        n_iter += fit.n_iter
        network = fit.network
        P = fit.dual / alpha
        met = _meet_labels(equal, network)
        late = time_limit is not None and time.monotonic() - begin >= time_limit
        if not late and not (
            _meets(problem, met) and met.path_cost() <= 1.01 * network.path_cost()
        ):
            met = min(
                (met, _meet_labels(equal, _moved_to_labels(equal, network, pricing.hull))),
                key=lambda each: each.path_cost() if _meets(problem, each) else np.inf,
            )
        cost = met.path_cost()
        if cost < least and _meets(problem, met):
            least, best = cost, met
        value = float(np.sum(P * problem.Y))
        if value > proved:
            proved, dual = value, P
        spent = max_iter is not None and n_iter >= max_iter
        if fit.stopped or spent or last or least - proved <= 0.3 * tol * least:
            best = _exact_where_constant(problem, best)
            dual = dual * problem.alpha if problem.alpha > 0.0 else dual
            return ColumnsFit(best, dual, n_iter, fit.stopped or spent)


def interpolates(problem: Problem, pricing: Pricing) -> bool:
    """Whether α is so small that float64 cannot tell the optimum from an interpolating network.

    Then `fit_interpolant` serves: its path norm times α is the objective up to a relative 1e-9 or
    so, and α times its dual variable proves that.
    """
    if problem.alpha == 0.0:
        return True
    if not (isinstance(problem.loss, SquaredLoss) and problem.shares_weights):
        return False
    return problem.alpha <= _LEAST * _large_alpha(problem.affine_fit()[2], pricing.hull)


def _large_alpha(P: FloatArray, hull: Hull) -> float:
    """A typical value of the dual function; only its order of magnitude matters."""
    spread = float(np.linalg.norm(hull.Z)) * hull.scale
    return max(float(np.linalg.norm(P)) * spread, 1e-300)


def _ridge_interpolant(problem: Problem, hull: Hull) -> ReLUNetwork:
    """A network that meets the labels: connect the dots along one direction; not a good one."""
    inputs = np.unique(hull.Z, axis=0, return_index=True)[1]
    Z, Y = hull.Z[inputs], problem.Y[inputs]
    none = np.zeros((0, problem.n_inputs))
    if len(inputs) == 1:
        v = np.zeros((0, problem.n_tasks))
        return ReLUNetwork(
            none, none[:, 0], v, np.zeros((problem.n_tasks, hull.axes.shape[0])), Y[0]
        )
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((_DIRECTIONS, Z.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    spacing = np.diff(np.sort(Z @ directions.T, axis=0), axis=0).min(axis=0)
    w = directions[int(np.argmax(spacing))]
    spline = interpolate(Z @ w, Y).network()
    lifted, b = hull.lift(np.tile(w, (spline.n_neurons, 1)), spline.b)
    along, offset = hull.lift(w[np.newaxis], np.zeros(1))
    slope = spline.A / hull.scale
    c = spline.c + slope[:, 0] * offset[0]
    if problem.skip == "affine":
        return ReLUNetwork(lifted, b, spline.v / hull.scale, slope @ along, c)
    # The slope becomes a neuron that is active on all samples.
    low = float((Z @ w).min())
    first, b_first = hull.lift(w[np.newaxis], np.array([-low]))
    return ReLUNetwork(
        np.vstack([lifted, first]),
        np.concatenate([b, b_first]),
        np.vstack([spline.v / hull.scale, slope.T]),
        np.zeros((problem.n_tasks, problem.n_inputs)),
        spline.c + spline.A[:, 0] * low,
    )


def _meet_labels(problem: Problem, network: ReLUNetwork) -> ReLUNetwork:
    """Change output weights and skip connection as little as it takes to meet the labels."""
    basis, to_coefficients = skip_basis(problem)
    strengths = np.linalg.norm(network.v, axis=1)
    if not strengths.any():  # without neurons, or with weights whose squares underflow
        return network
    strengths = strengths / strengths.max()
    Phi = np.maximum(problem.X @ network.w.T + network.b, 0.0)
    size = np.maximum(np.linalg.norm(Phi, axis=0), 1e-300)
    # The skip connection is free, so it comes first; what it leaves is for the neurons.
    weighted = Phi * (np.sqrt(strengths) / size)
    off_skip = weighted - basis @ (basis.T @ weighted)
    for _ in range(_REFINEMENTS):
        left = problem.Y - network(problem.X)
        part = basis.T @ left
        rest = left - basis @ part
        change, *_ = np.linalg.lstsq(off_skip, rest, rcond=1e-13)
        part = part - basis.T @ (weighted @ change)
        coefficients = to_coefficients @ part
        network = replace(
            network,
            v=network.v + (np.sqrt(strengths) / size)[:, np.newaxis] * change,
            A=network.A + coefficients[1:].T,
            c=network.c + coefficients[0],
        )
    return network


def _moved_to_labels(problem: Problem, network: ReLUNetwork, hull: Hull) -> ReLUNetwork:
    """Move positions and output weights of the neurons until the labels are met.

    Fewer neurons than equations can meet them only so. Newton's method for Σ_k A_k y_k z_kᵀ = Y
    (see `mtrelu.solvers.sliding`), each step the shortest in the balanced weights (y, z).
    """
    small, back = problem.compressed()
    unknowns = network.n_neurons * (hull.Z.shape[1] + small.n_tasks)
    if small.Y.size * unknowns > _LARGEST_SYSTEM or network.n_neurons == 0:
        return network
    neurons = Neurons.at(hull, network.w, network.b)
    if len(neurons) != network.n_neurons:
        return network
    basis, to_coefficients = skip_basis(problem)
    V = network.v if back is None else network.v @ back
    V = V * hull.scale
    root = np.sqrt(np.linalg.norm(V, axis=1))
    blocks = [face.features(hull.Z) for face in neurons.faces]
    blocks = [A - basis @ (basis.T @ A) for A in blocks]
    y = [face.basis.T @ (r * w) for face, w, r in zip(neurons.faces, neurons.w, root, strict=True)]
    z = V / root[:, np.newaxis]
    labels = small.Y - basis @ (basis.T @ small.Y)
    n, r = labels.shape
    for _ in range(_NEWTON_STEPS):
        psi = np.column_stack([A @ part for A, part in zip(blocks, y, strict=True)])
        left = labels - psi @ z
        turns = [
            np.einsum("im,t->itm", A, zk).reshape(n * r, -1)
            for A, zk in zip(blocks, z, strict=True)
        ]
        jacobian = np.hstack([*turns, np.kron(psi, np.eye(r))])
        step, *_ = np.linalg.lstsq(jacobian, left.ravel(), rcond=1e-12)
        sizes = [part.size for part in y]
        moves = np.split(step[: sum(sizes)], np.cumsum(sizes)[:-1])
        y = [part + move for part, move in zip(y, moves, strict=True)]
        z = z + step[sum(sizes) :].reshape(z.shape)
    lengths = np.array([float(np.linalg.norm(part)) for part in y])
    units = np.array(
        [f.basis @ part / n for f, part, n in zip(neurons.faces, y, lengths, strict=True)]
    )
    anchors = np.array(
        [
            Face.everywhere(hull.Z, u).anchor if face.active.all() else face.anchor
            for face, u in zip(neurons.faces, units, strict=True)
        ]
    )
    w, b = hull.lift(units, -np.einsum("kq,kq->k", units, anchors))
    V = z * lengths[:, np.newaxis]
    Phi = np.maximum(hull.Z @ units.T - np.sum(units * anchors, axis=1), 0.0)
    left = small.Y - Phi @ V
    coefficients = to_coefficients @ (basis.T @ left)
    A, c, V = coefficients[1:].T, coefficients[0], V / hull.scale
    if back is not None:
        V, A, c = V @ back.T, back @ A, back @ c
    return ReLUNetwork(w, b, V, A, c)


def _exact_where_constant(problem: Problem, network: ReLUNetwork) -> ReLUNetwork:
    """Leave tasks with constant labels to the skip connection, which rounding had not."""
    labels = problem.Y[0]
    varies = (problem.Y != labels).any(axis=0)
    return replace(
        network,
        v=network.v * varies,
        A=network.A * varies[:, np.newaxis],
        c=np.where(varies, network.c, labels),
    ).pruned()


def _meets(problem: Problem, network: ReLUNetwork) -> bool:
    """Whether a network passes through the labels up to the rounding of its parameters."""
    reach = float(np.linalg.norm(problem.X, axis=1).max())
    sizes = np.linalg.norm(network.w, axis=1) * reach + np.abs(network.b)
    scale = (
        np.abs(problem.Y).max(axis=0)
        + sizes @ np.abs(network.v)
        + np.linalg.norm(network.A, axis=1) * reach
        + np.abs(network.c)
    )
    errors = np.abs(problem.Y - network(problem.X)).max(axis=0)
    spread = np.ptp(problem.Y, axis=0)
    varies = spread > 0  # the others are left to the skip connection in the end
    return bool(np.all(errors[varies] <= np.minimum(_ROUNDING * scale, 1e-4 * spread)[varies]))
