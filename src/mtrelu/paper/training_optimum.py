"""Beyond the paper: whether gradient training reaches the global optimum, and seeds agree."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, new_figure, plain
from mtrelu.optimal_set import Verdict
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._training import if_settled, train_to_rest
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings
from mtrelu.paper.readings import CERTIFIED, DIFFERENT, SAME
from mtrelu.regime.designs import DESIGNS

BEYOND = "beyond the paper: Section 5 asks"
TOL = 1e-9
"""Relative duality gap of the optimum that training is compared with."""
WIDTHS = ("N", "2N", "N²")
PROBLEMS = {"line": "one input", "squares": "two squares"}
STILL = CERTIFIED**0.5
"""The stationarity at which what is left of the descent is about `CERTIFIED`."""
REACHED = partial(
    Claim,
    sense="at most",
    tolerance=CERTIFIED,
    reason="The tolerance up to which the library calls a network optimal. Networks are trained "
    "until what is left of the descent is far below it.",
)


def _reaches(problem: str, width: str) -> Claim:
    return REACHED(
        f"{PROBLEMS[problem]}, width {width}: reached",
        f"Training reaches the global optimum from every seed, for T = 1 to 101, with {width} "
        f"neurons ({PROBLEMS[problem]}).",
        BEYOND,
        "objective above the certified optimum, relative; infinite for a seed that diverged, open "
        "for one that is above the tolerance and not stationary, so that more steps might help",
        f"seeds.{problem}.{width}[*].settled_excess",
    )  # fmt: skip


CLAIMS = (
    *(_reaches(problem, width) for problem in PROBLEMS for width in WIDTHS),
    REACHED(
        "typical network, width N²",
        "With N² neurons the typical network reaches the global optimum.",
        BEYOND,
        "median over the seeds of the objective above the certified optimum, relative; open where "
        "seeds that are not stationary decide",
        "widest[*].settled_median",
    ),
    SAME(
        "seeds agree where the optimum is unique",
        "Where the optimal function is proved to be the only one, networks that reach the optimum "
        "agree.",
        BEYOND,
        "largest difference over tasks and inputs of networks of N² neurons that reached it, "
        "excess at most 1e-6, relative to the largest label",
        "unique[*].spread",
    ),
    DIFFERENT(
        "seeds spread where it is not",
        "Where optimal functions differ, networks that reach the optimum do: gradient descent has "
        "no bias towards one of them.",
        "Section 3.2",
        "largest difference of the networks of N² neurons that reached the optimum, over the width "
        "of the exact range of all optimal functions, at the place where it is widest; open if "
        "fewer than two did",
        "several[*].share",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train for every problem, number of tasks and width; each problem is stored."""

    def group(problem: str, T: int) -> Part:
        return lambda progress: _group(problem, T, settings, n_seeds, progress)

    parts = {f"{name}, T = {T}": group(name, T) for name in PROBLEMS for T in settings["n_tasks"]}
    groups = list(in_parts(parts, settings, n_seeds, progress, kept).values())
    return {"groups": groups, **_collected(groups)}


def problem_of(name: str, T: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels: 8 points of a line, or the two squares.

    On the line the first task is a cosine, which has many optimal functions, and the others are
    Gaussian.

    Examples
    --------
    >>> [each.shape for each in problem_of("line", 3)]
    [(8, 1), (8, 3)]
    """
    if name == "squares":
        return DESIGNS["two-squares"].draw(T, seed=0)
    x = np.linspace(-1.0, 1.0, 8)
    others = [np.random.default_rng([0, t]).standard_normal(8) for t in range(1, T)]
    return x[:, np.newaxis], np.column_stack([np.cos(np.pi * x), *others])


def _group(name: str, T: int, settings: Settings, n_seeds: int, progress: Progress) -> Data:
    """One problem: the certified optimum, how far optima differ, and all that was trained."""
    X, Y = problem_of(name, T)
    N = len(X)
    alpha = settings["alpha"] * T**0.5
    solution = mtrelu.solve(X, Y, alpha, tol=TOL)
    optima = solution.optimal_set()
    axes = np.linspace(X.min(axis=0), X.max(axis=0), settings["grid"])
    points = np.stack(np.meshgrid(*axes.T), axis=-1).reshape(-1, X.shape[1])
    size = np.abs(Y).max()
    low, high = optima.range(points)
    known = optima.verdict is not Verdict.UNDECIDED and getattr(optima, "complete", True)
    width = float(np.max(high - low)) if known else None
    widest = np.argmax(high - low)
    bound = solution.certificate.dual
    cells = []
    for i, (label, neurons) in enumerate(zip(WIDTHS, (N, 2 * N, N * N), strict=True)):
        training = train_to_rest(
            X, Y, alpha, list(range(n_seeds * settings["networks"])), {**settings, "width": neurons}
        )
        excess = np.maximum(training.objectives / bound - 1.0, 0.0)
        settled = training.stationarity <= STILL
        seeds = [
            {
                "seed": seed,
                "excess": above,
                "settled_excess": if_settled(above, stationarity, CERTIFIED, STILL),
                "stationarity": stationarity,
                "status": "diverged" if lost else "settled" if still else "not settled",
            }
            for seed, above, stationarity, lost, still in zip(
                training.settings.seeds, excess, training.stationarity,
                training.diverged, settled, strict=True,
            )
        ]  # fmt: skip
        values = [
            network(points)
            for network, above in zip(training.networks, excess, strict=True)
            if network is not None and above <= CERTIFIED
        ]
        spread = np.ptp(values, axis=0) if len(values) > 1 else None
        share = None if spread is None or not width else spread.flat[widest] / width
        cells.append({
            "width": label, "neurons": neurons, "seeds": seeds,
            "median_excess": np.median(excess), "settled_median": _settled_median(seeds),
            "reached": int(np.sum(excess <= CERTIFIED)),
            "spread": None if spread is None else spread.max() / size,
            "share": share, "seconds": training.seconds,
        })  # fmt: skip
        progress(i + 1, len(WIDTHS))
    return {
        "problem": name, "T": T, "N": N, "alpha": alpha, "verdict": optima.verdict.value,
        "range_width": None if width is None else width / size,
        "objective": solution.certificate.primal, "bound": bound,
        "cells": cells,
    }  # fmt: skip


def _settled_median(seeds: list[Data]) -> float | None:
    """The median excess; None if seeds that are not settled could bring it to the optimum."""
    median = np.median([seed["excess"] for seed in seeds])
    least = np.median([seed["settled_excess"] or 0.0 for seed in seeds])
    return float(median) if median <= CERTIFIED or least > CERTIFIED else None


def _collected(groups: list[Data]) -> Data:
    """The numbers that the claims are about, in lists of their own."""
    rows = [(group, cell) for group in groups for cell in group["cells"]]
    seeds = {
        problem: {
            label: [
                {"T": group["T"]} | seed
                for group, cell in rows
                if (group["problem"], cell["width"]) == (problem, label)
                for seed in cell["seeds"]
            ]
            for label in WIDTHS
        }
        for problem in PROBLEMS
    }
    names = ("median_excess", "settled_median", "reached", "spread", "share")
    widest = [
        {key: group[key] for key in ("problem", "T", "verdict", "range_width")}
        | {name: cell[name] for name in names}
        for group, cell in rows
        if cell["width"] == WIDTHS[-1]
    ]
    return {
        "seeds": seeds,
        "widest": widest,
        "unique": [each for each in widest if each["verdict"] == Verdict.UNIQUE.value],
        "several": [each for each in widest if each["verdict"] == Verdict.NOT_UNIQUE.value],
    }


def draw(data: Data) -> Any:
    """Draw the excess of every seed, and the spread over seeds against the range of optima."""
    figure = new_figure(None, (9.5, 6.0))
    panels = figure.subplots(2, 2, sharey="row", height_ratios=(3, 2))
    for (upper, lower), (problem, title) in zip(panels.T, PROBLEMS.items(), strict=True):
        groups = [group for group in data["groups"] if group["problem"] == problem]
        _draw_excess(upper, groups)
        upper.set_title(title, fontsize=9, color=INK)
        _draw_spread(lower, groups)
        names = [f"{group['T']}" for group in groups]
        for axes in (upper, lower):
            axes.set_xticks(range(len(groups)), names)
            plain(axes)
        lower.set_xlabel("tasks T", fontsize=9)
    panels[0, 0].set_ylabel("objective above the optimum", fontsize=9)
    panels[1, 0].set_ylabel("difference of functions", fontsize=9)
    panels[0, 0].legend(fontsize=8, frameon=False, loc="upper left", ncols=4)
    panels[1, 1].legend(fontsize=8, frameon=False, loc="upper right")
    return figure


_FLOOR, _CEILING = 1e-8, 10.0


def _draw_excess(axes: Any, groups: list[Data]) -> None:
    """A dot a seed; those that diverged are crosses at the top."""
    for j, (label, colour) in enumerate(zip(WIDTHS, (RED, GREY, BLUE), strict=True)):
        at, above = [], []
        for i, group in enumerate(groups):
            for cell in group["cells"]:
                if cell["width"] == label:
                    n = len(cell["seeds"])
                    at += list(i + 0.26 * (j - 1) + np.linspace(-0.08, 0.08, n))
                    above += [float(seed["excess"]) for seed in cell["seeds"]]
        places, values = np.array(at), np.array(above)
        lost = ~np.isfinite(values)
        shown = np.clip(values[~lost], _FLOOR, _CEILING)
        axes.plot(places[~lost], shown, "o", ms=3.5, color=colour, alpha=0.75, mew=0, label=label)
        axes.plot(places[lost], np.full(lost.sum(), _CEILING), "x", ms=6, color=colour)
    axes.axhline(CERTIFIED, color=INK, lw=0.8, ls=(0, (3, 2)), label="counts as reached")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_ylim(_FLOOR, 30 * _CEILING)


def _draw_spread(axes: Any, groups: list[Data]) -> None:
    """Bars for the range of optimal functions, dots for the networks of N² neurons."""
    widths = [group["range_width"] or 0.0 for group in groups]
    axes.bar(range(len(groups)), widths, 0.5, color=BLUE, alpha=0.2, label="of all optimal ones")
    found = [
        (i, cell["spread"])
        for i, group in enumerate(groups)
        for cell in group["cells"]
        if cell["width"] == WIDTHS[-1]
    ]
    known = [each for each in found if each[1] is not None]
    axes.plot([i for i, _ in known], [each for _, each in known], "o", ms=6, color=BLUE,
              label="over seeds, N² neurons", clip_on=False, zorder=3)  # fmt: skip
    for i, each in found:
        if each is None:
            axes.annotate(
                "too few\nreached it", (i, 0.0), (0, 3), textcoords="offset points", fontsize=7,
                color=INK, ha="center", va="bottom",
            )  # fmt: skip


_PROBLEM = {"alpha": 0.01, "n_tasks": [1, 2, 5, 20, 101], "rate": 1e-2}
FIGURE = Figure(
    name="training_optimum",
    title="Beyond the paper: does gradient training reach the global optimum?",
    description="Eight points: on a line, the first task a cosine and the others Gaussian, and in "
    "two squares with the labels of Figure 5. T = 1 to 101 tasks and 8, 16 and 64 neurons, that "
    "is N, 2N and N². The penalty is alpha = 0.01·√T, so that it is as strong for many tasks as "
    "for one. Every trained network is compared with the certified optimum for networks of any "
    "width. Seeds that agree may do so because there is one optimal function only, or because the "
    "optimiser prefers one: the exact range of all optimal functions tells. Training is by Adam, "
    "and by proximal gradient from where Adam leads.",
    caption="Top: every seed, by tasks and width. Below: how far networks of N² neurons that "
    "reached the optimum are apart, and how far optimal functions are; relative to the labels.",
    claims=CLAIMS,
    quick={**_PROBLEM, "networks": 2, "grid": 21, "steps": 8000, "settling_steps": 8000},
    full={**_PROBLEM, "networks": 10, "grid": 41, "steps": 60_000, "settling_steps": 100_000},
    measure=measure,
    draw=draw,
    trains=True,
)
