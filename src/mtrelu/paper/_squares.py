"""The two squares of Figures 5 and 7: points, pictures, and the kernel of trained neurons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import INK, RED
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.network import ReLUNetwork
from mtrelu.paper._training import if_settled, train_to_rest
from mtrelu.paper.figure import Data, Progress, Settings
from mtrelu.paper.readings import CERTIFIED, SETTLED, VISIBLE
from mtrelu.regime.designs import DESIGNS
from mtrelu.solvers.gradient import Training

DESIGN = DESIGNS["two-squares"]
MANY = 101
DECAY = 1e-3
"""The number of tasks of Figure 5(d), and the weight decay of Appendix B."""
TOL = 1e-12
N_GRID = 33
SPACING = 2.0 / (N_GRID - 1)
"""The square is looked at on a grid of 33 x 33 points, which contains the data."""


def alpha_of(n_tasks: int) -> float:
    """The penalty that the paper's weight decay on the mean squared error amounts to [2], [12].

    Examples
    --------
    >>> round(alpha_of(1), 12), round(alpha_of(101), 12)
    (0.004, 0.404)
    """
    return mtrelu.alpha_from_weight_decay(DECAY, 8, n_tasks)


def grid() -> np.ndarray:
    """Points of the square, (33², 2)."""
    axis = np.linspace(-1.0, 1.0, N_GRID)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def on_grid(network: Any) -> np.ndarray:
    """The first output on the grid, (33²,)."""
    return np.asarray(network(grid())[:, 0])


def apart(first: Any, second: Any) -> float | None:
    """Largest difference of two functions on the grid, None if there is one only.

    The labels range from 0 to 1, so this is also relative to their range.
    """
    if first is None or second is None:
        return None
    return float(np.abs(np.subtract(first, second)).max())


def roughness(values: Any) -> list[float]:
    """Return four measures of how rough a function on the grid is; smooth means small.

    They are the largest change of slope from one grid step to the next, its root mean square, the
    largest slope, and its root mean square, along axes and diagonals. All add up neurons whose
    hyperplanes are much closer than a grid step, so that it does not matter that training splits
    one bend into many neurons.

    Examples
    --------
    >>> bend, _, slope, _ = roughness(np.abs(grid()[:, 0]))
    >>> round(bend, 12), round(slope, 12)
    (2.0, 1.0)
    """
    f = np.reshape(values, (N_GRID, N_GRID))
    slopes, bends = [], []
    for g in (f, f.T):
        slopes.append(np.diff(g, axis=0) / SPACING)
        bends.append(np.diff(g, 2, axis=0) / SPACING)
    step = math.sqrt(2.0) * SPACING
    for g in (f, f[:, ::-1]):
        slopes.append((g[1:, 1:] - g[:-1, :-1]) / step)
        bends.append((g[2:, 2:] - 2.0 * g[1:-1, 1:-1] + g[:-2, :-2]) / step)
    measures = []
    for parts in (bends, slopes):
        flat = np.concatenate([np.ravel(part) for part in parts])
        measures += [float(np.abs(flat).max()), float(np.sqrt(np.mean(flat**2)))]
    return measures


def trained(
    X: Any, Y: Any, alpha: float, seeds: list[int], settings: Settings, progress: Progress
) -> Training:
    """Train as Appendix B: Adam, 800 neurons; steps and rate are ours, which it does not give."""
    own = settings["many" if Y.shape[1] > 1 else "one"]
    return train_to_rest(X, Y, alpha, seeds, {**settings, **own}, progress)


def runs(training: Training, optimum: mtrelu.Solution) -> list[Data]:
    """What became of each seed, against the certified optimum; nothing is left out.

    The excess is proved: it is above the optimum's certified lower bound. A seed that diverged has
    an infinite one, and no values. See `if_settled` for what is None.
    """
    rows = []
    for i, network in enumerate(training.networks):
        row: Data = {
            "seed": training.settings.seeds[i],
            "diverged": training.diverged[i],
            "converged": training.converged[i],
            "steps": training.steps[i],
            "stationarity": training.stationarity[i],
            "objective": training.objectives[i],
            "excess": training.objectives[i] / optimum.certificate.dual - 1.0,
        }
        stationarity = row["stationarity"]
        row["settled"] = if_settled(stationarity, stationarity, SETTLED)
        row["settled_excess"] = if_settled(row["excess"], stationarity, CERTIFIED)
        values = None if network is None else on_grid(network)
        row["values"] = values
        row["roughness"] = None if values is None else roughness(values)
        left = np.inf if network is None else residual(network)
        row["residual"] = if_settled(left, stationarity, VISIBLE)
        rows.append(row)
    return rows


def residual(network: Any) -> float:
    """Largest difference of the first output and its labels at the eight points."""
    X, Y = DESIGN.draw(1, 0)
    return float(np.abs(network(X)[:, :1] - Y).max())


def kernel_fit(others: ReLUNetwork, alpha: float) -> ReLUNetwork:
    """The first task fitted over neurons that never saw it [27]."""
    X, Y = DESIGN.draw(1, 0)
    return NeuronKernel(others).fit(X, Y, alpha)


def is_unique(optimum: mtrelu.Solution) -> bool | None:
    """Whether the optimal function is proved to be the only one; None where it is open."""
    return {"unique": True, "not unique": False}.get(optimum.optimal_set().verdict.value)


def surface(axes: Any, values: Any, title: str) -> None:
    """Draw one function over the square, with the data; one that does not exist as a gap."""
    X, Y = DESIGN.draw(1, 0)
    axes.set_title(title, fontsize=9, color=INK)
    if values is None:
        axes.set_axis_off()
        axes.text2D(0.5, 0.5, "diverged", transform=axes.transAxes, ha="center", color=RED)
        return
    axis = np.linspace(-1.0, 1.0, N_GRID)
    axes.plot_surface(
        *np.meshgrid(axis, axis), np.reshape(values, (N_GRID, N_GRID)), color="#7aa6d6", lw=0.15,
        edgecolor="#5b83b0", rcount=N_GRID, ccount=N_GRID, alpha=0.75,
    )  # fmt: skip
    axes.scatter(X[:, 0], X[:, 1], Y[:, 0], color=RED, s=16, depthshade=False)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.tick_params(labelsize=6, pad=-2)
    axes.locator_params(axis="z", nbins=4)
    axes.view_init(24, -55)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.1)
