"""What Figures 8, 9 and 10 share: teachers, students, optima, and what is measured of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.paper._training import train_to_rest
from mtrelu.paper.figure import Data
from mtrelu.paper.readings import ABOUT, SETTLED
from mtrelu.regime.designs import DESIGNS
from mtrelu.validation import FloatArray

DESIGN = DESIGNS["student-teacher"]
DECAY = 1e-4
N_TASKS = 25
MSE = 1e-4
"""Appendix B.2: weight decay on the mean squared error, tasks, and what all networks stay below."""

PROVED = 1e-6
PROVED_REASON = "The tolerance that the solver is asked for."
QUICK = {"width": 800, "steps": 20_000, "rate": 3e-3, "settling_steps": 5_000}
FULL = {"width": 800, "steps": 60_000, "rate": 3e-3, "settling_steps": 50_000}
"""How to train at the two scales; the paper does not say for how long."""
CUTOFFS = (1e-1, 1e-2, 1e-3, 1e-4)
"""From which cost on, relative to the largest, a neuron is active: the paper does not say, so what
is said of their number has to be true of all of these."""

Function = Callable[[FloatArray], FloatArray]


def alpha(n_tasks: int) -> float:
    """Return the penalty that the paper's weight decay amounts to.

    Examples
    --------
    >>> alpha(1), alpha(25)
    (0.001, 0.025)
    """
    return mtrelu.alpha_from_weight_decay(DECAY, 20, n_tasks)


@functools.cache
def teachers(n_tasks: int) -> ReLUNetwork:
    """Return the teacher neurons of draw 0, found from what they do to data.

    The design gives labels only. At data points where a teacher is active it is linear, so that
    five of them tell its weights.
    """
    X, Y = DESIGN.draw(n_tasks, 0)
    W = np.stack([np.linalg.lstsq(X[y > 0], y[y > 0], rcond=None)[0] for y in Y.T])
    return ReLUNetwork(W, np.zeros(n_tasks), np.eye(n_tasks), np.zeros((n_tasks, 5)),
                       np.zeros(n_tasks))  # fmt: skip


def train(Y: FloatArray, seeds: list[int], settings: Any, kept: Path | None = None) -> list[Data]:
    """Train students of draw 0 from several seeds; each with its network, or None if it diverged.

    Parameters
    ----------
    Y : ndarray of shape (20, T)
        Labels.
    seeds : list of int
        Where to start from.
    settings : mapping
        See `train_to_rest`.
    kept : Path, optional
        File from which an interrupted training goes on.

    Returns
    -------
    list of dict
        Numbers of each network, and the network itself under ``"network"``.
    """
    X, _ = DESIGN.draw(1, 0)
    training = train_to_rest(X, Y, alpha(Y.shape[1]), seeds, settings, kept=kept)
    found = []
    for i, network in enumerate(training.networks):
        run: Data = {
            "seed": seeds[i],
            "network": network,
            "converged": bool(training.stationarity[i] <= SETTLED),
            "diverged": bool(training.diverged[i]),
            "stationarity": training.stationarity[i],
            "objective": training.objectives[i],
            "steps": training.steps[i],
            "mse": np.inf,
        }
        if network is not None:
            run |= _size(network) | {"mse": _mse(network, X, Y)}
        found.append(run)
    return found


def optimum(X: FloatArray, Y: FloatArray, skip: str = "affine") -> Data:
    """Solve to proved optimality, and leave out neurons that are not needed.

    Returns
    -------
    dict
        Numbers, and under ``"network"`` the network with the neurons left out where that is proved
        optimal too, as it should be.
    """
    solution = mtrelu.solve(X, Y, alpha(Y.shape[1]), tol=PROVED, skip=skip)
    proof = solution.certificate
    fewer = mtrelu.reduce_neurons(solution.network, X, skip=skip)
    return {
        "network": fewer,
        "proved": proof.oracle == "exact" and proof.relative_gap <= PROVED,
        "gap": proof.relative_gap,
        "objective": proof.primal,
        "n_found": solution.network.n_neurons,
        "mse": _mse(fewer, X, Y),
        **_size(fewer),
    }


def strengths(network: ReLUNetwork) -> FloatArray:
    """Return ‖v_k‖‖w_k‖, relative to the largest, largest first."""
    size = np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1)
    return np.asarray(np.sort(size)[::-1] / (size.max(initial=0.0) or 1.0))


def off_by(counts: Sequence[float], expected: float) -> float | None:
    """Return how many doublings counts are from a number; None if only some of them are about it.

    Parameters
    ----------
    counts : sequence of float
        All the ways to count.
    expected : float
        What is claimed.

    Examples
    --------
    >>> off_by([120.0, 200.0], 150.0), off_by([75.0, 0.0], 150.0), off_by([60.0, 160.0], 150.0)
    (0.4150374992788438, inf, None)
    """
    off = [float(abs(np.log2(count / expected))) if count else np.inf for count in counts]
    within = [each <= ABOUT.keywords["limit"] for each in off]
    return max(off) if all(within) or not any(within) else None


def directions(n: int) -> FloatArray:
    """Return unit vectors, uniform on the sphere in R^5; always the same."""
    found = np.random.default_rng(0).standard_normal((n, 5))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def along(network: Function, direction: FloatArray, s: FloatArray) -> FloatArray:
    """Return the outputs on the line through the origin, shape (len(s), T)."""
    return network(s[:, np.newaxis] * direction)


def ridge_distance(s: FloatArray, values: FloatArray) -> float:
    """Return how far a function of one variable is from c + a(s − b)₊ and c + a(b − s)₊.

    Parameters
    ----------
    s : ndarray of shape (M,)
        An even grid.
    values : ndarray of shape (M,)
        The function.

    Returns
    -------
    float
        Root mean square of what the nearest such function leaves, relative to that of the function
        minus its mean; 0 for constants. All b on the grid and halfway between are tried.

    Examples
    --------
    >>> s = np.linspace(-3.0, 3.0, 61)
    >>> ridge_distance(s, np.maximum(0.5 - 2.0 * s, 0.0)) < 1e-7
    True
    >>> ridge_distance(s, np.abs(s)) > 0.5
    True
    """
    centred = values - values.mean()
    total = float(centred @ centred)
    if total <= (1e-12 * float(np.abs(values).max())) ** 2 * s.size:
        return 0.0
    b = np.linspace(s[0], s[-1], 2 * s.size - 1)[:, np.newaxis]
    hinges = np.vstack([np.maximum(s - b[:-1], 0.0), np.maximum(b[1:] - s, 0.0)])
    hinges -= hinges.mean(axis=1, keepdims=True)
    explained = (hinges @ centred) ** 2 / (hinges**2).sum(axis=1)
    return float(np.sqrt(max(total - explained.max(), 0.0) / total))


def distance(values: FloatArray, truth: FloatArray) -> FloatArray:
    """Return the root mean square difference, relative to that of the truth, column by column."""
    off = np.sqrt(np.mean((values - truth) ** 2, axis=0))
    return np.asarray(off / np.sqrt(np.mean(truth**2, axis=0)))


def fresh_points() -> FloatArray:
    """Return 2,000 standard Gaussian points that nothing was trained on."""
    return np.random.default_rng(1).standard_normal((2000, 5))


def without_network(row: Data) -> Data:
    """Return the numbers, as JSON can hold them."""
    return {name: value for name, value in row.items() if name != "network"}


def _size(network: ReLUNetwork) -> Data:
    sizes = strengths(network)
    unit = network.unit_norm()
    shown = unit.pruned(CUTOFFS[-1] * float(np.linalg.norm(unit.v, axis=1).max(initial=0.0)))
    return {
        "n_active": [int(np.sum(sizes >= cutoff)) for cutoff in CUTOFFS],
        "least_entry": least_entry(shown.v),
        "strengths": sizes,
    }


def least_entry(v: FloatArray) -> float:
    """Return the smallest |v_kt|, relative to the root mean square of its row."""
    rows = np.abs(v) / np.sqrt(np.mean(v**2, axis=1, keepdims=True))
    return float(rows.min(initial=np.inf))


def _mse(network: ReLUNetwork, X: FloatArray, Y: FloatArray) -> float:
    return float(np.mean((network(X) - Y) ** 2))
