"""Figure 9: along a line, the outputs of the multi-task student are no ReLU ridge functions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._student_teacher import (
    FULL,
    N_TASKS,
    PROVED,
    PROVED_REASON,
    QUICK,
    TASKS,
    along,
    compared,
    lines_of,
    more_often,
    optimum,
    teachers,
    train,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas

PLACE = "Appendix B.2, Figure 9"
SHOWN = 12
MORE = partial(
    Claim,
    sense="at most",
    tolerance=0.05,
    limit=0.95,
    reason="The paper contrasts pictures, without a number. A sign test over the tasks, at the "
    "customary level of 5 % for the claim, or for the opposite of it.",
)
_CHANCE = (
    "chance that in as many of the 25 tasks the multi-task student exceeds the certified optimum "
    "of the single task, if each were as probable: in "
)
_RIDGE = (
    _CHANCE + "the median over directions of the root mean square distance to the nearest function "
    "c + a(s − b)₊ or c + a(b − s)₊"
)
_TEACHER = _CHANCE + "the median over directions of the root mean square distance to the teacher"
_SHARE = (
    _CHANCE + "the share of Σ ∇f ∇fᵀ over 2,000 Gaussian points outside its leading direction, "
    "which is 0 for every ridge function"
)
_FRESH = _CHANCE + "the root mean square distance to the teacher on 2,000 Gaussian points"
_SETTLED = "; open where training has not become stationary, or an optimum is not proved"
_SOLVED = "; open where an optimum is not proved"

CLAIMS = (
    MORE(
        "no ridge functions, trained",
        "Along a line, the outputs of the trained multi-task network look very different from a "
        "ReLU ridge function, unlike single-task networks.",
        PLACE, _RIDGE + _SETTLED, "chances.trained.ridge",
    ),
    MORE(
        "no ridge functions, optimum",
        "Along a line, the outputs of the optimal multi-task network look very different from a "
        "ReLU ridge function, unlike those of optimal single-task networks.",
        "follows from Figure 9", _RIDGE + _SOLVED, "chances.optimum.ridge",
    ),
    MORE(
        "several directions, trained",
        "The outputs of the trained multi-task network have variation in multiple directions, "
        "unlike single-task networks.",
        "Figure 9, caption", _SHARE + _SETTLED, "chances.trained.share",
    ),
    MORE(
        "several directions, optimum",
        "The outputs of the optimal multi-task network have variation in multiple directions, "
        "unlike optimal single-task networks.",
        "follows from the caption of Figure 9", _SHARE + _SOLVED, "chances.optimum.share",
    ),
    MORE(
        "teachers not recovered, trained",
        "The trained multi-task network does not recover the teachers, unlike single-task "
        "networks.",
        PLACE, _TEACHER + _SETTLED, "chances.trained.teacher",
    ),
    MORE(
        "teachers not recovered, optimum",
        "The optimal multi-task network does not recover the teachers, unlike optimal single-task "
        "networks.",
        "follows from Figure 9", _TEACHER + _SOLVED, "chances.optimum.teacher",
    ),
    MORE(
        "not on fresh data either",
        "On new inputs of the same kind the optimal multi-task network is further from the "
        "teachers than optimal single-task networks.",
        "follows from Figure 9", _FRESH + _SOLVED, "chances.optimum.fresh",
    ),
    Claim(
        "optima proved",
        "What Figure 9 is compared with is optimal.",
        "a check",
        "certified relative duality gap",
        "gaps[*]",
        "at most", PROVED, PROVED_REASON,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train and solve the same problem, solve each task alone, and look at all along lines."""

    def part(what: str, t: int) -> Part:
        return lambda _: _student(what, t, settings)

    parts = {"optimum": part("optimum", 0), "trained": part("trained", 0)}
    parts |= {f"single {t}": part("single", t) for t in TASKS}
    done = in_parts(parts, settings, n_seeds, progress, kept)
    single = [done[f"single {t}"] for t in TASKS]
    known = all(row["valid"] for row in single)
    chances: dict[str, Data] = {}
    for name in ("trained", "optimum"):
        many = done[name]
        chances[name] = {
            quantity: more_often(many[quantity], [row[quantity][0] for row in single])
            if known and many["valid"]
            else None
            for quantity in ("ridge", "share", "teacher", "fresh")
        }
    lines, s = lines_of(settings)
    return {
        "s": s,
        "teacher": along(teachers(), lines[0], s).T,
        "trained": done["trained"],
        "optimum": done["optimum"],
        "single": single,
        "chances": chances,
        "gaps": [row["gap"] for row in [done["optimum"], *single]],
    }


def _student(what: str, t: int, settings: Settings) -> Data:
    """Train or solve for all tasks, or solve for one, and look at what was found."""
    tasks = (t,) if what == "single" else TASKS
    if what == "trained":
        run = train(tasks, 0, settings)
        network, facts = run["network"], {name: run[name] for name in ("stationarity", "steps")}
        facts["valid"] = run["settled"]
    else:
        found = optimum(tasks)
        network = found["networks"][-1]["network"]
        facts = {"gap": max(row["gap"] for row in found["networks"]), "valid": found["proved"]}
    if network is None:
        return facts | {"values": None}
    return facts | compared(network, tasks, *lines_of(settings))


def draw(data: Data) -> Any:
    """Draw tasks along one direction, and the contrast with single-task optima for all."""
    figure = canvas((10.0, 8.6))
    above, below = figure.subfigures(2, 1, height_ratios=(2.1, 1.0))
    panels = above.subplots(3, SHOWN // 3, sharex=True, sharey=True).ravel()
    s = np.array(data["s"])
    curves = (("teacher", data["teacher"], GREY, 2.6, "-"),
              ("certified optimum", data["optimum"]["values"], RED, 1.4, "-"),
              ("trained", data["trained"]["values"], BLUE, 1.4, (0, (4, 2))))  # fmt: skip
    for t, axes in enumerate(panels):
        for name, values, colour, width, style in curves:
            if values is not None and t < len(values):
                axes.plot(s, values[t], color=colour, lw=width, ls=style, label=name)
        axes.set_title(f"task {t + 1}", fontsize=8.5, color=INK)
        plain(axes)
    handles, names = panels[0].get_legend_handles_labels()
    above.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    above.supxlabel("along the direction, s", fontsize=9)
    quantities = (("ridge", "distance to ridge functions"), ("teacher", "distance to the teacher"),
                  ("share", "variation in other directions"))  # fmt: skip
    for axes, (name, title) in zip(below.subplots(1, 3), quantities, strict=True):
        single = np.array([row[name][0] for row in data["single"]])
        top = float(single.max())
        for label, student, colour in (("optimum", data["optimum"], RED),
                                       ("trained", data["trained"], BLUE)):  # fmt: skip
            if student["values"] is not None:
                many = np.array(student[name])
                top = max(top, float(many.max()))
                axes.plot(single, many, "o", color=colour, ms=4, alpha=0.7, label=label)
        axes.plot([0, top], [0, top], color=GREY, lw=0.9, ls=(0, (4, 3)))
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlabel("single-task optimum", fontsize=8.5)
        axes.set_ylabel("multi-task", fontsize=8.5)
        plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


FIGURE = Figure(
    name="fig9",
    title="Figure 9: the multi-task student along a direction",
    description=f"The {N_TASKS}-output student of Figure 8 along lines through the origin. A ReLU "
    "ridge function is flat on one side of one kink there; what it is not is measured as the "
    "distance to the nearest such function, wherever its kink is. The paper sets these pictures "
    "against those of single-task networks (Figure 10), and so do the claims: for each task the "
    "student of all tasks against the certified optimum of that task alone, with the median over "
    "several directions, of which the paper draws one and says that others look alike. Optima of a "
    "single task need not be unique; the one that was found is meant.",
    caption="The first twelve of 25 outputs along one direction at random; teachers in grey. "
    "Below: all tasks, multi-task students over single-task optima; above the dashed line the "
    "former are further off.",
    claims=CLAIMS,
    quick={**QUICK, "grid": 241, "directions": 10},
    full={**FULL, "grid": 601, "directions": 100},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
