"""Figure 8: every neuron of the multi-task student works for all tasks or for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.paper._student_teacher import (
    CUTOFFS,
    DESIGN,
    FULL,
    MSE,
    N_TASKS,
    PROVED,
    PROVED_REASON,
    QUICK,
    off_by,
    optimum,
    train,
    without_network,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import ABOUT, NOT_ZERO

PLACE = "Appendix B.2, Figure 8"
SHARED = 150.0

CLAIMS = (
    NOT_ZERO(
        "all tasks or none, trained",
        "Every active neuron of the trained network contributes to all tasks.",
        PLACE,
        "smallest output weight of a neuron that costs 1e-4 of the largest or more, relative to "
        "the root mean square of the neuron's",
        "runs[*].least_entry",
    ),
    NOT_ZERO(
        "all tasks or none, optimum",
        "The same of the global optimum.",
        PLACE,
        "the same; open where the optimum is not proved",
        "optima[*].least_entry_if_proved",
    ),
    Claim(
        "optimum proved",
        "What is called the optimum is one.",
        "not in the paper",
        "certified relative duality gap",
        "optima[*].gap",
        "at most", PROVED, PROVED_REASON,
    ),
    ABOUT(
        "about 150 neurons, trained",
        "About 150 neurons of the trained network are shared by all tasks.",
        PLACE,
        "doublings between 150 and the number of neurons that cost 1e-1, 1e-2, 1e-3 or 1e-4 of the "
        "largest or more; open where these disagree, or training has not become stationary",
        "runs[*].off",
    ),
    ABOUT(
        "about 150 neurons, optimum",
        "The same of the global optimum.",
        PLACE,
        "doublings between 150 and the numbers of neurons of two proved optima, one with those "
        "left out that are not needed; open where they disagree, or the optimum is not proved",
        "optima[*].off",
    ),
    Claim(
        "nearly interpolated, trained",
        "The trained network nearly interpolates the data.",
        "Appendix B.2",
        "mean squared error over samples and tasks; infinite for a run that diverged",
        "runs[*].mse",
        "at most", MSE, "The paper's number.",
    ),
    Claim(
        "nearly interpolated, optimum",
        "So does the global optimum.",
        "Appendix B.2",
        "mean squared error over samples and tasks",
        "optima[*].mse",
        "at most", MSE, "The paper's number.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train from several seeds on one draw, and solve several draws."""
    total = n_seeds + 2
    optima, networks = [], []
    for draw_ in range(n_seeds):
        X, Y = DESIGN.draw(N_TASKS, draw_)
        found = optimum(X, Y)
        proved = found["proved"]
        networks.append(found["network"])
        optima.append(
            {"draw": draw_}
            | without_network(found)
            | {
                "least_entry_if_proved": found["least_entry"] if proved else None,
                "off": off_by([found["network"].n_neurons, found["n_found"]], SHARED)
                if proved
                else None,
                "n_neurons": found["network"].n_neurons,
            }
        )
        progress(draw_ + 1, total)
    X, Y = DESIGN.draw(N_TASKS, 0)
    runs = train(Y, list(range(min(n_seeds, settings["trained"]))), settings, kept)
    progress(n_seeds + 1, total)
    for run in runs:
        run["off"] = off_by(run["n_active"], SHARED) if run["converged"] else None
        run.setdefault("least_entry", None)
        run["above"] = run["objective"] / optima[0]["objective"] - 1.0
    best = min(runs, key=lambda run: run["objective"])["network"]
    constant = optimum(X, Y, "constant") if settings["constant"] else None
    progress(total, total)
    return {
        "runs": [without_network(run) for run in runs],
        "optima": optima,
        "without_linear_part": None if constant is None else without_network(constant),
        "patterns": {
            "trained": None if best is None else _pattern(best.v[_by_strength(best)]),
            "optimum": _pattern(networks[0].v[_by_strength(networks[0])]),
        },
    }


def _by_strength(network: Any) -> np.ndarray:
    sizes = np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1)
    return np.asarray(np.argsort(-sizes))


def _pattern(v: np.ndarray) -> np.ndarray:
    """|v_kt| by task and neuron, relative to the largest, with four digits."""
    return np.asarray(np.round(np.abs(v.T) / (np.abs(v).max(initial=0.0) or 1.0), 4))


def draw(data: Data) -> Any:
    """Draw the sparsity patterns of a trained network and of the optimum, and how many count."""
    figure = canvas((10.0, 5.6))
    grid = figure.add_gridspec(2, 5)
    names = (("trained", "trained: neurons in the order of their cost, all of them"),
             ("optimum", "certified optimum of the same problem"))  # fmt: skip
    for row, (name, title) in enumerate(names):
        axes = figure.add_subplot(grid[row, :3])
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_ylabel("task", fontsize=9)
        if data["patterns"][name] is not None:
            shown = np.array(data["patterns"][name])
            # The root makes small weights visible.
            axes.imshow(
                np.sqrt(shown), aspect="auto", cmap="Blues", interpolation="none",
                vmin=0.0, vmax=1.0, extent=(0.5, shown.shape[1] + 0.5, N_TASKS, 0),
            )  # fmt: skip
        plain(axes)
    axes.set_xlabel("neuron", fontsize=9)
    axes = figure.add_subplot(grid[:, 3:])
    for run in data["runs"]:
        if "strengths" in run:
            ranked = np.array(run["strengths"])
            axes.plot(np.arange(1, ranked.size + 1), np.maximum(ranked, 1e-8), color=BLUE, lw=1.3,
                      label="trained" if run is data["runs"][0] else None)  # fmt: skip
    for each in data["optima"]:
        ranked = np.array(each["strengths"])
        axes.plot(np.arange(1, ranked.size + 1), ranked, color=RED, lw=1.1,
                  label="optima, one a draw" if each is data["optima"][0] else None)  # fmt: skip
    for cutoff in CUTOFFS:
        axes.axhline(cutoff, color=GREY, lw=0.7, ls=(0, (4, 3)))
    axes.axvline(SHARED, color=GREY, lw=0.9, ls=(0, (1, 2)))
    axes.text(SHARED, 1.4, " 150", fontsize=8, color=INK, va="bottom")
    axes.set_yscale("log")
    axes.set_ylim(1e-8, 4.0)
    axes.set_title("what neurons cost, relative to the first", fontsize=9, color=INK, pad=12)
    axes.set_xlabel("neuron", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.93))
    plain(axes)
    return figure


FIGURE = Figure(
    name="fig8",
    title="Figure 8: neurons of the multi-task student, for all tasks or none",
    description="25 teacher neurons with five inputs and unit norm, 20 standard Gaussian inputs, "
    "one student network of 25 outputs with weight decay 1e-4 on the mean squared error, which is "
    "the penalty 0.025. Trained as the paper does, then by proximal gradient to rest, and solved to certified optimality; the "
    "students have a skip connection [1]. Trained runs share one draw of the data; the optima are "
    "of several. The paper states neither its width nor from which size on a neuron counts; optima "
    "with more neurons than the fewest exist too, and how many the solver found is in the data.",
    caption="Left: output weights by task and neuron, the root of their size. Right: what each "
    "neuron costs; dashed: from where on it may count as active; dotted: the paper's 150.",
    claims=CLAIMS,
    quick={**QUICK, "trained": 2, "constant": False},
    full={**FULL, "trained": 20, "constant": True},
    measure=measure,
    draw=draw,
)  # fmt: skip
