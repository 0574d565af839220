"""A first look at depth: do seeds agree with two hidden layers too? An experiment, no proof."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, INK, RED, plain
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.validation import FloatArray

if TYPE_CHECKING:
    import torch

PLACE = "beyond the paper: Section 5 asks for an extension to deep networks"
X = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
FIRST = np.array([1.0, 0.1, 0.0, 0.3, 1.2])
"""Convex: alone, this task has many optimal functions with one hidden layer (Theorem 3.1)."""
ALPHA = 1e-2
RATE = 1e-2
HELD, FALL = 0.4, 1e-3
"""Adam's rate, the share of the steps for which it is held, and how far it falls after that."""

FALLS = partial(
    Claim,
    sense="at most",
    tolerance=0.5,
    limit=1.0,
    reason="A standard deviation over ten seeds is uncertain by a quarter, the ratio of two by a "
    "third; half is a fall beyond that, and 1 is none.",
)

CLAIMS = (
    FALLS(
        "seeds agree more with more tasks",
        "With two hidden layers, networks from different seeds differ less in the first task if "
        "they learn more tasks.",
        PLACE,
        "spread with the most tasks, divided by that of one task; spread is the largest standard "
        "deviation over seeds between the data; open if any of these networks diverged",
        "ratios.two hidden layers",
    ),
    FALLS(
        "the same with one hidden layer",
        "With one hidden layer too, networks from different seeds differ less in the first task if "
        "they learn more tasks.",
        "follows from Section 3 and Figure 4",
        "the same ratio, for networks with one hidden layer",
        "ratios.one hidden layer",
    ),
)  # fmt: skip
DEPTHS = {"one hidden layer": 1, "two hidden layers": 2}


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train networks of both depths for each number of tasks; finished ones are kept."""

    def cell(name: str, n_tasks: int) -> Part:
        return lambda _: _cell(name, n_tasks, settings, n_seeds)

    parts = {f"{name}, T = {n}": cell(name, n) for name in DEPTHS for n in settings["n_tasks"]}
    cells = list(in_parts(parts, settings, n_seeds, progress, kept).values())
    return {
        "x": X,
        "y": FIRST,
        "alpha": ALPHA,
        "grid": _grid(settings),
        "cells": cells,
        "ratios": {name: _ratio([c for c in cells if c["depth"] == name]) for name in DEPTHS},
    }


def _grid(settings: Settings) -> FloatArray:
    return np.linspace(X[0], X[-1], settings["grid"])


def _ratio(cells: list[Data]) -> float | None:
    """Spread with the most tasks over spread with the fewest."""
    few, many = cells[0]["spread"], cells[-1]["spread"]
    return None if few is None or many is None else many / few if few else None


def labels(n_tasks: int) -> FloatArray:
    """Return the labels: the first task, and standard Gaussian ones, the same at every T."""
    others = np.random.default_rng(0).standard_normal((n_tasks - 1, X.size)).T
    return np.column_stack([FIRST, others])


def _cell(name: str, n_tasks: int, settings: Settings, n_seeds: int) -> Data:
    """Networks of one depth for one number of tasks, with what the first output is."""
    n_networks = settings["networks"] * n_seeds
    sizes = [1, *[settings["width"]] * DEPTHS[name], n_tasks]
    Y = labels(n_tasks)
    outputs, objectives = trained(
        Y, sizes, n_networks, settings["steps"], _grid(settings), settings.get("device", "cpu")
    )
    diverged = ~np.isfinite(objectives) | ~np.isfinite(outputs).all(axis=1)
    judged = n_networks >= 2 and not diverged.any()
    return {
        "depth": name,
        "n_tasks": n_tasks,
        "n_networks": n_networks,
        "n_diverged": diverged.sum(),
        "objectives": objectives,
        "optimum": mtrelu.solve(X, Y, ALPHA).certificate.primal if DEPTHS[name] == 1 else None,
        "spread": outputs.std(axis=0, ddof=1).max() if judged else None,
        "values": [row if np.isfinite(row).all() else None for row in outputs],
    }


def trained(
    Y: FloatArray, sizes: list[int], n_networks: int, steps: int, grid: FloatArray, device: str
) -> tuple[FloatArray, FloatArray]:
    """Train fully connected ReLU networks from several seeds at once, with weight decay.

    What is descended is ½ Σ ‖f(x_i) − y_i‖² + (α/2) Σ ‖W‖² over all weight matrices, by Adam, in
    float64; biases and the skip connection A x + c are free.

    Parameters
    ----------
    Y : ndarray of shape (5, T)
        Labels.
    sizes : list of int
        Inputs, neurons of each hidden layer, tasks.
    n_networks : int
        How many; network s starts from seed s.
    steps : int
        Of Adam, with a learning rate that falls.
    grid : ndarray of shape (M,)
        Where to return the first output.
    device : str
        Where to compute.

    Returns
    -------
    outputs : ndarray of shape (n_networks, M)
        First outputs.
    objectives : ndarray of shape (n_networks,)
        At the end.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices are so small that threads would wait for each other
    try:
        layers = [(W.to(device), b.to(device)) for W, b in _started(sizes, n_networks)]
        return _descended(layers, Y, steps, grid)
    finally:
        torch.set_num_threads(threads)


def _descended(
    layers: list[tuple[torch.Tensor, torch.Tensor]], Y: FloatArray, steps: int, grid: FloatArray
) -> tuple[FloatArray, FloatArray]:
    import torch

    weights = [matrix for matrix, _ in layers[:-1]]
    parameters = [each.requires_grad_() for layer in layers for each in layer]
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    device = parameters[0].device
    points, targets = (torch.from_numpy(each).to(device) for each in (X[:, np.newaxis], Y))

    def objective() -> torch.Tensor:
        loss = 0.5 * (_outputs(layers, points) - targets).square().sum((1, 2))
        return loss + 0.5 * ALPHA * sum(matrix.square().sum((1, 2)) for matrix in weights)

    for step in range(steps):
        passed = max(step / steps - HELD, 0.0) / (1.0 - HELD)
        optimiser.param_groups[0]["lr"] = RATE * FALL**passed
        optimiser.zero_grad()
        # Networks have no parameters in common, so the sum's gradient is that of each.
        objective().sum().backward()
        optimiser.step()
    with torch.no_grad():
        places = torch.from_numpy(grid[:, np.newaxis]).to(device)
        outputs = _outputs(layers, places)[..., 0]
        return outputs.cpu().numpy(), objective().cpu().numpy()


def _started(sizes: list[int], n_networks: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and biases of each layer and, last, the skip connection; as torch.nn.Linear does."""
    import torch

    shapes = [*pairwise(sizes), (sizes[0], sizes[-1])]
    layers: list[tuple[list[FloatArray], list[FloatArray]]] = [([], []) for _ in shapes]
    for seed in range(n_networks):
        rng = np.random.default_rng(seed)
        for (rows, columns), (matrices, biases) in zip(shapes, layers, strict=True):
            bound = rows**-0.5
            matrices.append(rng.uniform(-bound, bound, (rows, columns)))
            biases.append(rng.uniform(-bound, bound, (1, columns)))
    return [
        (torch.from_numpy(np.stack(matrices)), torch.from_numpy(np.stack(biases)))
        for matrices, biases in layers
    ]


def _outputs(layers: list[tuple[torch.Tensor, torch.Tensor]], points: torch.Tensor) -> torch.Tensor:
    """Outputs of all networks, shape (S, M, T)."""
    *hidden, (last, last_bias), (skip, skip_bias) = layers
    values = points.expand(last.shape[0], -1, -1)
    for matrix, bias in hidden:
        values = (values @ matrix + bias).relu()
    return values @ last + last_bias + points @ skip + skip_bias


def draw(data: Data) -> Any:
    """Draw the first output of all seeds by depth and number of tasks, and the spread over T."""
    counts = sorted({cell["n_tasks"] for cell in data["cells"]})
    from matplotlib.ticker import NullLocator

    figure = canvas((11.0, 5.0))
    panels = figure.subplots(
        len(DEPTHS), len(counts) + 1, width_ratios=[1.0] * len(counts) + [1.35], squeeze=False
    )
    grid = np.array(data["grid"])
    for row, name in enumerate(DEPTHS):
        cells = [cell for cell in data["cells"] if cell["depth"] == name]
        for column, cell in enumerate(cells):
            axes = panels[row, column]
            for values in cell["values"]:
                if values is not None:
                    axes.plot(grid, values, color=BLUE, lw=0.9, alpha=0.7)
            axes.plot(data["x"], data["y"], "o", color=RED, ms=4, zorder=3)
            axes.set_ylim(-0.4, 1.4)
            lost = f", {cell['n_diverged']} diverged" if cell["n_diverged"] else ""
            axes.set_title(f"T = {cell['n_tasks']}{lost}", fontsize=8.5, color=INK)
            if column:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel(name, fontsize=9)
            plain(axes)
    for axes in panels[:, -1]:
        axes.remove()
    axes = figure.add_subplot(panels[0, 0].get_gridspec()[:, -1])
    for name, colour in zip(DEPTHS, (INK, RED), strict=True):
        known = [(cell["n_tasks"], cell["spread"]) for cell in data["cells"]
                 if cell["depth"] == name and cell["spread"] is not None]  # fmt: skip
        axes.plot([n for n, _ in known], [max(spread, 1e-12) for _, spread in known], "o-",
                  color=colour, ms=4, lw=1.5, label=name)  # fmt: skip
    axes.set_xscale("log")
    if any(cell["spread"] is not None for cell in data["cells"]):
        axes.set_yscale("log")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("number of tasks T", fontsize=9)
    axes.set_title("spread over the seeds", fontsize=9, color=INK)
    axes.legend(fontsize=8, frameon=False)
    plain(axes)
    return figure


FIGURE = Figure(
    name="depth",
    title="A first look at depth: an experiment, without a certificate",
    description="Five points, one to many tasks, and networks with one and with two hidden layers, "
    "trained from several seeds with weight decay on all weight matrices. What trained networks "
    "do proves nothing about optimal ones: seeds can agree because the optimiser is biased, and "
    "differ because it ends in several local minima, of which networks with two hidden layers have "
    "many. All networks count.",
    caption="The first output, one curve a seed. Right: the largest standard deviation over the "
    "seeds between the data.",
    claims=CLAIMS,
    quick={"n_tasks": [1, 2, 5, 20], "width": 40, "steps": 5000, "networks": 2, "grid": 161},
    full={"n_tasks": [1, 2, 5, 20], "width": 100, "steps": 30000, "networks": 20, "grid": 401},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
