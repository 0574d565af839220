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
from mtrelu.problem import Problem
from mtrelu.solvers.columns import ColumnsFit, fit_columns
from mtrelu.solvers.pricing import Pricing
from mtrelu.solvers.progress import Progress

_FACTOR = 0.1  # by which α falls
_LEAST = 1e-9  # of the largest α: below, rounding of the residual spoils the dual variable
_REFINEMENTS = 3


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
        With ``alpha = 0``.
    pricing, tol, max_iter, time_limit, callback, start
        As in `fit_columns`; rounds and seconds are those of all α together. What `callback` sees
        is the objective for the current α.

    Returns
    -------
    ColumnsFit
        The network passes through the labels to rounding, if the neurons found can.
    """
    begin = time.monotonic()
    # Sample weights mean nothing where every label is met.
    equal = replace(
        problem, loss=SquaredLoss(), sample_weight=np.ones(problem.n_samples), alpha=1.0
    )
    P = equal.affine_fit()[2]
    # A typical value of the dual function; only the order of magnitude matters.
    spread = float(np.linalg.norm(pricing.hull.Z)) * pricing.hull.scale
    alpha = top = max(float(np.linalg.norm(P)) * spread, 1e-300)
    network = start
    n_iter = 0
    best: ColumnsFit | None = None
    smallest = np.inf
    while True:
        alpha *= _FACTOR
        last = alpha <= _LEAST * top
        fit = fit_columns(
            replace(equal, alpha=alpha),
            pricing,
            tol=max(0.1 * tol, 1e-10) if alpha < 1e-3 * top else 1e-3,
            max_iter=None if max_iter is None else max(max_iter - n_iter, 1),
            time_limit=None if time_limit is None else time_limit - (time.monotonic() - begin),
            callback=callback,
            start=network,
        )
        n_iter += fit.n_iter
        network = fit.network
        P = fit.dual / alpha
        met = _meet_labels(problem, network)
        # P is feasible up to the tolerance of the fit, so this is nearly the duality gap.
        gap = met.path_cost() - float(np.sum(P * problem.Y))
        if _misses(problem, met) > 1e-9:
            gap = np.inf
        if best is None or gap < smallest:
            smallest = gap
            best = ColumnsFit(met, P, n_iter, False)
        if fit.stopped or last or smallest <= 0.3 * tol * met.path_cost():
            return replace(best, n_iter=n_iter, stopped=fit.stopped)


def _meet_labels(problem: Problem, network: ReLUNetwork) -> ReLUNetwork:
    """Change output weights and skip connection as little as it takes to meet the labels."""
    basis, to_coefficients = skip_basis(replace(problem, alpha=1.0))
    strengths = np.linalg.norm(network.v, axis=1)
    strengths = strengths / strengths.max(initial=0.0) if strengths.size else strengths
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


def _misses(problem: Problem, network: ReLUNetwork) -> float:
    """Largest error, relative to the spread of the labels."""
    spread = float(np.ptp(problem.Y, axis=0).max())
    error = float(np.abs(problem.Y - network(problem.X)).max())
    return error / spread if spread > 0 else error


