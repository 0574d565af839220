"""Figure 10: students of one task each, along the same line, and whether they are the teachers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._student_teacher import (
    CUTOFFS,
    FULL,
    MSE,
    N_TASKS,
    PROVED,
    PROVED_REASON,
    QUICK,
    TASKS,
    WIDTH,
    along,
    alpha,
    compared,
    labelled,
    lines_of,
    off_by,
    optimum,
    teachers,
    train,
    without_network,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import ABOUT, PLAIN, SAME, VISIBLE

PLACE = "Appendix B.2, Figure 10"
FOLLOWS = "follows from Figure 10"
SPARSE = 5.0
SHOWN = 12
_SOLVED = "; open where the optimum is not proved"
_SETTLED = (
    "; open unless all 25 tasks are trained, with 800 neurons, and where training has not become "
    "stationary"
)
_RIDGE = (
    "largest over directions of the root mean square distance to the nearest function "
    "c + a(s − b)₊ or c + a(b − s)₊, relative to that of all teachers on the line, for each task"
)
_FRESH = (
    "root mean square distance to the teacher on 2,000 Gaussian points, relative to that of all "
    "teachers there, for each task"
)
_COUNT = (
    "doublings between 5 and the mean number of neurons that cost 1e-1, 1e-2, … or 1e-6 of the "
    "largest or more; open where these disagree"
)

CLAIMS = (
    SAME(
        "ridge functions, trained",
        "The trained single-task networks look like a ReLU ridge function in every direction.",
        PLACE, _RIDGE + _SETTLED, "trained[*].judged.ridge",
    ),
    SAME(
        "ridge functions, optima",
        "The global optimum that is found for each single task looks like a ReLU ridge function in "
        "every direction.",
        FOLLOWS, _RIDGE + _SOLVED, "optima[*].judged.ridge",
    ),
    SAME(
        "teachers recovered, trained",
        "The trained single-task networks recover the teachers.",
        PLACE, _FRESH + _SETTLED, "trained[*].judged.fresh",
    ),
    SAME(
        "teachers recovered, optima",
        "The global optimum that is found for each single task recovers the teacher.",
        FOLLOWS, _FRESH + _SOLVED, "optima[*].judged.fresh",
    ),
    ABOUT(
        "about five neurons, trained",
        "On average, five neurons of a trained single-task network are active.",
        "Appendix B.2", _COUNT + _SETTLED, "trained_off",
    ),
    ABOUT(
        "about five neurons, optima",
        "On average, five neurons of the global optimum that is found for a single task are "
        "active.",
        "follows from Appendix B.2",
        _COUNT + ", with and without the neurons that are not needed" + _SOLVED, "optima_off",
    ),
    Claim(
        "nearly interpolated, trained",
        "All trained single-task networks nearly interpolate the data.",
        "Appendix B.2",
        "mean squared error over samples" + _SETTLED,
        "trained[*].judged.mse", "at most", MSE, "The paper's number.",
    ),
    Claim(
        "nearly interpolated, optima",
        "The global optimum of each single task nearly interpolates the data.",
        "follows from Appendix B.2", "mean squared error over samples" + _SOLVED,
        "optima[*].judged.mse", "at most", MSE, "The paper's number.",
    ),
    Claim(
        "optima proved",
        "What Figure 10 is compared with is optimal, also with neurons left out.",
        "a check", "certified relative duality gap",
        "optima[*].gap", "at most", PROVED, PROVED_REASON,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train and solve each task for itself; finished tasks are kept."""

    def part(make: Any, t: int) -> Part:
        return lambda _: make(t, settings)

    parts = {f"solve {t}": part(_solved, t) for t in TASKS}
    parts |= {f"train {t}": part(_trained, t) for t in TASKS[: settings["trained"]]}
    done = in_parts(parts, settings, n_seeds, progress, kept)
    optima, trained = (
        [row for name, row in done.items() if name.startswith(what)] for what in ("solve", "train")
    )
    as_in_the_paper = len(trained) == N_TASKS and settings["width"] == WIDTH
    for row in trained:
        row["valid"] = row["valid"] and as_in_the_paper
    for row in [*optima, *trained]:
        row["judged"] = dict.fromkeys(("ridge", "fresh", "mse"))
        if row["valid"]:
            row["judged"] = {
                "ridge": row["worst_ridge"][0], "fresh": row["fresh"][0], "mse": row["mse"]
            }  # fmt: skip
    lines, s = lines_of(settings)
    return {
        "s": s,
        "teacher": along(teachers(), lines[0], s).T,
        "optima": optima,
        "trained": trained,
        "optima_off": _mean_off(optima),
        "trained_off": _mean_off(trained),
    }


def _mean_off(rows: Sequence[Data]) -> float | None:
    """Distance of the mean count from five; None if readings disagree or one is not known."""
    if not all(row["valid"] for row in rows):
        return None
    return off_by([*np.mean([row["counts"] for row in rows], axis=0)], SPARSE)


def _solved(t: int, settings: Settings) -> Data:
    """Solve a task, and compare what is found with its teacher."""
    found = optimum((t,))
    few, all_ = found["networks"][-1], found["networks"][0]
    return {
        "task": t,
        "valid": found["proved"],
        "gap": max(row["gap"] for row in found["networks"]),
        "mse": few["mse"],
        "n_neurons": few["n_neurons"],
        "counts": [*few["n_active"], *all_["n_active"]],
        # The teacher itself, with its weight scaled for the penalty, is no better than this.
        "teacher_above": _best_scaled(*labelled((t,))) / found["objective"] - 1.0,
        **compared(few["network"], (t,), *lines_of(settings)),
    }


def _trained(t: int, settings: Settings) -> Data:
    """Train on a task, and compare what is found with its teacher."""
    run = train((t,), 0, settings)
    row = without_network(run) | {"task": t, "valid": run["settled"], "values": None}
    if run["network"] is None:
        return row
    return row | {"counts": run["n_active"]} | compared(run["network"], (t,), *lines_of(settings))


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
    optima = {row["task"]: row for row in data["optima"]}
    trained = {row["task"]: row for row in data["trained"]}
    for t, axes in enumerate(panels):
        axes.plot(s, data["teacher"][t], color=GREY, lw=2.6, label="teacher")
        if t in optima:
            axes.plot(s, optima[t]["values"][0], color=RED, lw=1.4, label="certified optimum")
        if t in trained and trained[t]["values"] is not None:
            axes.plot(s, trained[t]["values"][0], color=BLUE, lw=1.4, ls=(0, (4, 2)),
                      label="trained")  # fmt: skip
        axes.set_title(f"task {t + 1}", fontsize=8.5, color=INK)
        plain(axes)
    handles, names = panels[0].get_legend_handles_labels()
    above.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    above.supxlabel("along the direction, s", fontsize=9)
    left, right = below.subplots(1, 2)
    _draw_distances(left, data)
    _draw_counts(right, data)
    return figure


def _draw_distances(axes: Any, data: Data) -> None:
    """Every task's distances, open ones too."""
    quantities = (("fresh", "teacher, fresh data"), ("worst_teacher", "teacher, worst line"),
                  ("worst_ridge", "ridge function, worst line"))  # fmt: skip
    for i, (name, _) in enumerate(quantities):
        for rows, colour, shift in ((data["optima"], RED, -0.15), (data["trained"], BLUE, 0.15)):
            values = [row[name][0] for row in rows if name in row]
            axes.plot(np.maximum(values, 1e-7), np.full(len(values), i + shift), "o", color=colour,
                      ms=4, alpha=0.6)  # fmt: skip
    for bound in (VISIBLE, PLAIN):
        axes.axvline(bound, color=GREY, lw=0.9, ls=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_yticks(range(len(quantities)), [label for _, label in quantities])
    axes.invert_yaxis()
    axes.set_title("relative distance to …, one dot a task", fontsize=9, color=INK)
    plain(axes)


def _draw_counts(axes: Any, data: Data) -> None:
    """Neurons of every task's networks."""
    axes.plot([row["task"] + 1 for row in data["optima"]],
              [row["n_neurons"] for row in data["optima"]], "o", color=RED, ms=4,
              label="certified optimum")  # fmt: skip
    counted = [row for row in data["trained"] if "counts" in row]
    for cutoff, marker in ((1e-2, "o"), (1e-6, "^")):
        axes.plot([row["task"] + 1 for row in counted],
                  [row["counts"][CUTOFFS.index(cutoff)] for row in counted], marker, color=BLUE,
                  ms=4, label=f"trained, above {cutoff:g} of the largest")  # fmt: skip
    axes.axhline(SPARSE, color=GREY, lw=0.9, ls=(0, (1, 2)))
    axes.set_ylim(0.0, None)
    axes.set_xlabel("task", fontsize=9)
    axes.set_title("neurons; dotted: the paper's five", fontsize=9, color=INK)
    axes.legend(fontsize=7.5, frameon=False)
    plain(axes)


FIGURE = Figure(
    name="fig10",
    title="Figure 10: single-task students along the same direction",
    description="The 25 tasks of Figure 8, each for itself, with the same weight decay 1e-4, which "
    "for one task is the penalty 0.001, and the skip connection of [1]. Optima of a single task "
    "need not be unique: what is said of them holds of the one that was found, with the neurons "
    "left out that are not needed. Distances are relative to the picture, which is the root mean "
    "square of all teachers' outputs on the same points. The quick scale trains four tasks for a "
    "short time, for the picture only.",
    caption="The first twelve tasks along the direction of Figure 9. Below: distances of all, also "
    "of networks that are not settled; dashed: what can be seen and what anybody sees. Right: the "
    "neurons of each.",
    claims=CLAIMS,
    quick={**QUICK, "steps": 2500, "settling_steps": 300, "trained": 4, "grid": 241,
           "directions": 10},
    full={**FULL, "trained": N_TASKS, "grid": 601, "directions": 100},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
