"""Figure 10: students of one task each, along the same line, and whether they are the teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.network import ReLUNetwork
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._student_teacher import (
    DESIGN,
    FULL,
    MSE,
    N_TASKS,
    PROVED,
    PROVED_REASON,
    QUICK,
    along,
    alpha,
    directions,
    distance,
    fresh_points,
    off_by,
    optimum,
    ridge_distance,
    teachers,
    train,
    without_network,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import ABOUT, PLAIN, SAME, VISIBLE

PLACE = "Appendix B.2, Figure 10"
SPARSE = 5.0
SHOWN = 12
_SOLVED = "; open where the optimum is not proved"
_SETTLED = "; open where training has not become stationary"
_RIDGE = (
    "largest over directions of the root mean square distance to the nearest function "
    "c + a(s − b)₊ or c + a(b − s)₊, relative to the function's own variation, for each task"
)
_FRESH = (
    "root mean square distance to the teacher on 2,000 Gaussian points, relative to the teacher, "
    "for each task"
)

CLAIMS = (
    SAME(
        "ridge functions, trained",
        "The trained single-task networks look like a ReLU ridge function in every direction.",
        PLACE, _RIDGE + _SETTLED, "trained[*].ridge",
    ),
    SAME(
        "ridge functions, optima",
        "The same of the global optimum of each task.",
        PLACE, _RIDGE + _SOLVED, "optima[*].ridge",
    ),
    SAME(
        "teachers recovered, trained",
        "The trained single-task networks recover the teachers.",
        PLACE, _FRESH + _SETTLED, "trained[*].fresh",
    ),
    SAME(
        "teachers recovered, optima",
        "The same of the global optimum of each task.",
        PLACE, _FRESH + _SOLVED, "optima[*].fresh",
    ),
    ABOUT(
        "about five neurons, trained",
        "On average, five neurons of a trained single-task network are active.",
        "Appendix B.2",
        "doublings between 5 and the mean number of neurons that cost 1e-1, 1e-2, 1e-3 or 1e-4 of "
        "the largest or more; open where these disagree, or training of any is not stationary",
        "trained_off",
    ),
    ABOUT(
        "about five neurons, optima",
        "The same of the global optima.",
        "Appendix B.2",
        "doublings between 5 and the mean number of neurons of proved optima, with and without "
        "those that are not needed; open where these disagree, or any optimum is not proved",
        "optima_off",
    ),
    Claim(
        "nearly interpolated, trained",
        "All trained networks nearly interpolate the data.",
        "Appendix B.2",
        "mean squared error over samples; infinite for a run that diverged",
        "trained[*].mse", "at most", MSE, "The paper's number.",
    ),
    Claim(
        "nearly interpolated, optima",
        "So do the global optima.",
        "Appendix B.2", "mean squared error over samples",
        "optima[*].mse", "at most", MSE, "The paper's number.",
    ),
    Claim(
        "optima proved",
        "What is called an optimum is one.",
        "not in the paper", "certified relative duality gap",
        "optima[*].gap", "at most", PROVED, PROVED_REASON,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train and solve each task for itself; finished tasks are kept."""
    s = np.linspace(-3.0, 3.0, settings["grid"])
    lines = directions(settings["directions"])

    def part(what: str, t: int) -> Part:
        return lambda _: _task(what, t, settings, lines, s)

    parts = {f"{what} {t}": part(what, t) for what, n in (("solve", N_TASKS),
             ("train", settings["trained"])) for t in range(n)}  # fmt: skip
    done = in_parts(parts, settings, n_seeds, progress, kept)
    optima, trained = (
        [row for name, row in done.items() if name.startswith(what)] for what in ("solve", "train")
    )
    return {
        "s": s,
        "teacher": along(teachers(N_TASKS), lines[0], s).T,
        "optima": optima,
        "trained": trained,
        "optima_off": _mean_off(
            [[row["n_neurons"], row["n_found"]] if row["valid"] else None for row in optima]
        ),
        "trained_off": _mean_off([row["n_active"] if row["valid"] else None for row in trained]),
    }


def _mean_off(counts: list[list[int] | None]) -> float | None:
    known = [each for each in counts if each is not None]
    return off_by(np.mean(known, axis=0), SPARSE) if len(known) == len(counts) else None


def _task(what: str, t: int, settings: Settings, lines: np.ndarray, s: np.ndarray) -> Data:
    """Solve a task, or train on it, and compare what is found with its teacher."""
    X, Y = DESIGN.draw(N_TASKS, 0)
    y = Y[:, [t]]
    if what == "solve":
        row = optimum(X, y)
        row["valid"] = row["proved"]
        # The teacher itself, with its weight scaled for the penalty, is no better than this.
        row["teacher_above"] = _best_scaled(X, y) / row["objective"] - 1.0
    else:
        row = train(y, [0], settings)[0]
        row["valid"] = row["converged"]
    network: ReLUNetwork | None = row["network"]
    row |= {"task": t, "ridge": None, "along": None, "fresh": None, "values": None}
    if network is not None:
        row["n_neurons"] = network.n_neurons
        row["values"] = along(network, lines[0], s)[:, 0]
        if row["valid"]:
            row |= _compared(network, t, lines, s)
    return without_network(row)


def _compared(network: ReLUNetwork, t: int, lines: np.ndarray, s: np.ndarray) -> Data:
    truth, points = teachers(N_TASKS), fresh_points()
    values = [along(network, line, s) for line in lines]
    return {
        "ridge": max(ridge_distance(s, each[:, 0]) for each in values),
        "along": max(
            float(distance(each, along(truth, line, s)[:, [t]])[0])
            for each, line in zip(values, lines, strict=True)
        ),
        "fresh": float(distance(network(points), truth(points)[:, [t]])[0]),
    }


def _best_scaled(X: np.ndarray, y: np.ndarray) -> float:
    """Objective of the teacher neuron with the best output weight, a = 1 − α/Σy², no skip part."""
    penalty, total = alpha(1), float(np.sum(y**2))
    a = max(1.0 - penalty / total, 0.0)
    return 0.5 * (1.0 - a) ** 2 * total + penalty * a


def draw(data: Data) -> Any:
    """Draw tasks along the direction of Figure 9, and how far each network is from its teacher."""
    figure = canvas((10.0, 8.6))
    above, below = figure.subfigures(2, 1, height_ratios=(2.1, 1.0))
    panels = above.subplots(3, SHOWN // 3, sharex=True, sharey=True).ravel()
    s = np.array(data["s"])
    trained = {row["task"]: row for row in data["trained"]}
    for t, axes in enumerate(panels):
        axes.plot(s, data["teacher"][t], color=GREY, lw=2.6, label="teacher")
        axes.plot(s, data["optima"][t]["values"], color=RED, lw=1.4, label="certified optimum")
        if t in trained and trained[t]["values"] is not None:
            axes.plot(s, trained[t]["values"], color=BLUE, lw=1.4, ls=(0, (4, 2)), label="trained")
        axes.set_title(f"task {t + 1}", fontsize=8.5, color=INK)
        plain(axes)
    handles, names = panels[0].get_legend_handles_labels()
    above.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    above.supxlabel("along the direction, s", fontsize=9)
    left, right = below.subplots(1, 2)
    quantities = (("fresh", "teacher, fresh data"), ("along", "teacher, worst line"),
                  ("ridge", "ridge function, worst line"))  # fmt: skip
    for i, (name, _) in enumerate(quantities):
        for rows, colour, shift in ((data["optima"], RED, -0.15), (data["trained"], BLUE, 0.15)):
            values = [row[name] for row in rows if row[name] is not None]
            left.plot(np.maximum(values, 1e-7), np.full(len(values), i + shift), "o", color=colour,
                      ms=4, alpha=0.6)  # fmt: skip
    for bound in (VISIBLE, PLAIN):
        left.axvline(bound, color=GREY, lw=0.9, ls=(0, (4, 3)))
    left.set_xscale("log")
    left.set_yticks(range(len(quantities)), [label for _, label in quantities])
    left.invert_yaxis()
    left.set_title("relative distance to …, one dot a task", fontsize=9, color=INK)
    right.plot([row["task"] + 1 for row in data["optima"]],
               [row["n_neurons"] for row in data["optima"]], "o", color=RED, ms=4,
               label="certified optimum")  # fmt: skip
    counted = [row for row in data["trained"] if "n_active" in row]
    right.plot([row["task"] + 1 for row in counted], [row["n_active"][1] for row in counted],
               "o", color=BLUE, ms=4, label="trained, above 1 % of the largest")  # fmt: skip
    right.axhline(SPARSE, color=GREY, lw=0.9, ls=(0, (1, 2)))
    right.set_ylim(0.0, None)
    right.set_xlabel("task", fontsize=9)
    right.set_title("neurons; dotted: the paper's five", fontsize=9, color=INK)
    right.legend(fontsize=7.5, frameon=False)
    plain(left)
    plain(right)
    return figure


FIGURE = Figure(
    name="fig10",
    title="Figure 10: single-task students along the same direction",
    description="The 25 tasks of Figure 8, each for itself, with the same weight decay 1e-4, which "
    "for one task is the penalty 0.001. Optima of a single task need not be unique: what is said "
    "of them holds of the one that was found, with the neurons left out that are not needed. "
    "Distances along a line are relative to what happens on that line, so that directions nearly "
    "orthogonal to a teacher, on which it hardly varies, weigh as much as others.",
    caption="The first twelve tasks along the direction of Figure 9. Below: distances of all, open "
    "ones left out, and the neurons of each.",
    claims=CLAIMS,
    quick={**QUICK, "trained": 25, "grid": 241, "directions": 10},
    full={**FULL, "trained": 25, "grid": 601, "directions": 100},
    measure=measure,
    draw=draw,
)  # fmt: skip
