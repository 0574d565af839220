"""One input: a general convex solver, which knows no splines, against the theory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog

import mtrelu
from mtrelu.displays._style import BLUE, INK, RED, plain
from mtrelu.optimal_set import Verdict
from mtrelu.paper._line import aligned_pairs, cost, slopes, through
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.status import Status

TOL = 1e-10
"""Relative duality gap that both solvers are asked for."""
BETWEEN = 1e-3
"""How far functions may be apart, in units of the largest label."""

CLAIMS = (
    Claim(
        "interpolation: the cost",
        "The minimum of [3] is the cost of connecting the dots, Σ‖s_i − s_{i−1}‖.",
        "Theorem 3.1",
        "relative difference between the path norm that neuron generation finds and the formula; "
        "open where the network is not certified",
        "interpolation[*].cost_off",
        "at most", 1e-9,
        "Ten times the relative gap of 1e-10 that the solver is asked for.",
    ),
    Claim(
        "interpolation: the function",
        "For several tasks the network of least path norm that neuron generation finds is "
        "connecting the dots.",
        "Theorem 3.1, Corollary 1",
        "largest difference on [x_1, x_N], relative to the largest label; open where the network "
        "is not certified",
        "interpolation[*].function_off",
        "at most", BETWEEN,
        "Functions are apart by about the root of a gap, 1e-5 for 1e-10, times what the data make "
        "of it, for which two digits are left.",
    ),
    Claim(
        "interpolation: a linear program",
        "For one task the minimum of [3] over many knots on a grid, a linear program solved by "
        "SciPy's HiGHS, is the cost of connecting the dots: knots off the data do not help.",
        "follows from Lemma 3.2",
        "relative difference of the two",
        "linear_programs[*].off",
        "at most", 1e-6,
        "HiGHS works to a feasibility of 1e-7 per constraint.",
    ),
    Claim(
        "regularised: the objective",
        "The minimum of [9] is attained by a function that is linear between data points: a "
        "spline solver with knots at data points reaches the objective of neuron generation.",
        "Remark 1",
        "relative difference of the two objectives; open where one is not certified",
        "regularised[*].objective_off",
        "at most", 1e-9,
        "Ten times the relative gaps of 1e-10 that both are asked for.",
    ),
    Claim(
        "regularised: fitted values",
        "A spline solver with knots at data points and neuron generation, which may put them "
        "anywhere, have the same fitted values, which for the squared loss are unique.",
        "follows from Remark 1",
        "norm of their difference over the most that the two certified gaps G allow, "
        "(2G)^(1/2) + (2G')^(1/2), plus 1e-12 of the labels for rounding; open where one is not "
        "certified",
        "regularised[*].fitted_share",
        "at most", 1.0,
        "The squared loss is strongly convex with constant 1, from which the bound follows.",
    ),
    Claim(
        "regularised: the function",
        "Where the optimal function is unique, a spline solver and neuron generation find the same "
        "function.",
        "follows from Remark 1 and Theorem 3.1",
        "largest difference on [x_1, x_N], relative to the largest label, for several tasks; open "
        "where a network is not certified, or the optimum is not proved unique",
        "several_tasks[*].function_off",
        "at most", BETWEEN,
        "Functions are apart by about the root of a gap, 1e-5 for 1e-10, times what the data make "
        "of it, for which two digits are left.",
    ),
    Claim(
        "proved",
        "All networks behind the comparison of two solvers are certified.",
        "a check",
        "1 if both networks are proved optimal to 1e-10, else 0",
        "regularised[*].certified",
        "at least", 1.0, "A yes or no, by the certificate.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Solve random problems twice."""
    interpolation, regularised, programs = [], [], []
    steps = n_seeds * (1 + len(settings["regularised"]))
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        N, T = settings["interpolation"]
        interpolation.append({"seed": seed, "N": N, "T": T} | _interpolated(rng, N, T))
        programs.append({"seed": seed} | _program(rng, settings["program"]))
        for j, (N, T, alpha) in enumerate(settings["regularised"]):
            which = {"seed": seed, "N": N, "T": T, "alpha": alpha}
            regularised.append(which | _regularised(rng, N, T, alpha))
            progress(seed * (1 + len(settings["regularised"])) + j + 2, steps)
    return {
        "interpolation": interpolation,
        "linear_programs": programs,
        "regularised": regularised,
        "several_tasks": [each for each in regularised if each["T"] > 1],
        "example": _example(),
    }


def _data(rng: np.random.Generator, N: int, T: int) -> tuple[np.ndarray, np.ndarray]:
    return np.sort(rng.standard_normal(N)), rng.standard_normal((N, T))


def _interpolated(rng: np.random.Generator, N: int, T: int) -> Data:
    x, Y = _data(rng, N, T)
    found = mtrelu.solve(x, Y, 0.0, method="columns", tol=TOL)
    expected = cost(np.diff(slopes(x, Y), axis=0))
    grid = np.linspace(x[0], x[-1], 401)
    if found.status is not Status.CERTIFIED:
        return {"cost_off": None, "function_off": None}
    off = _off(found.network(grid), through(x, Y)(grid), Y)
    return {
        "cost_off": abs(found.network.path_cost() / expected - 1.0),
        "function_off": None if aligned_pairs(x, Y) else off,
    }


def _program(rng: np.random.Generator, settings: Settings) -> Data:
    """Minimise Σ|v_k| over neurons at fixed knots: the data points, and a grid between them."""
    x, Y = _data(rng, settings["N"], 1)
    knots = np.union1d(x[1:-1], np.linspace(x[0], x[-1], settings["grid"])[1:-1])
    hinges = np.maximum(x[:, np.newaxis] - knots, 0.0)
    line = np.column_stack([np.ones_like(x), x])
    weights = np.concatenate([np.ones(2 * knots.size), np.zeros(2)])
    found = linprog(
        weights, A_eq=np.hstack([hinges, -hinges, line]), b_eq=Y[:, 0], method="highs",
        bounds=[(0.0, None)] * (2 * knots.size) + [(None, None)] * 2,
    )  # fmt: skip
    expected = cost(np.diff(slopes(x, Y), axis=0))
    off = abs(found.fun / expected - 1.0) if found.status == 0 else None
    return {"n_knots": knots.size, "off": off}


def _regularised(rng: np.random.Generator, N: int, T: int, alpha: float) -> Data:
    x, Y = _data(rng, N, T)
    columns, spline = (
        mtrelu.solve(x, Y, alpha, method=method, tol=TOL) for method in ("columns", "spline")
    )
    if any(each.status is not Status.CERTIFIED for each in (columns, spline)):
        open_ = ("objective_off", "fitted_share", "function_off")
        return {"certified": False} | dict.fromkeys(open_)
    grid = np.linspace(x[0], x[-1], 401)
    gaps = [each.certificate.gap for each in (columns, spline)]
    objectives = [each.certificate.primal for each in (columns, spline)]
    apart = float(np.linalg.norm(columns.network(x) - spline.network(x)))
    allowed = sum(np.sqrt(2.0 * gap) for gap in gaps) + 1e-12 * float(np.linalg.norm(Y))
    unique = spline.optimal_set().verdict is Verdict.UNIQUE
    off = _off(columns.network(grid), spline.network(grid), Y)
    return {
        "certified": True,
        "objective_off": abs(objectives[0] / objectives[1] - 1.0),
        "fitted_share": apart / allowed,
        "function_off": off if unique else None,
    }


def _off(one: np.ndarray, other: np.ndarray, Y: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(Y).max())


def _example() -> Data:
    """One problem to draw: two tasks, three penalties, both methods."""
    rng = np.random.default_rng(7)
    x = np.linspace(0.0, 1.0, 12)
    Y = np.column_stack([np.sin(5.0 * x), np.cos(7.0 * x)]) + 0.15 * rng.standard_normal((12, 2))
    grid = np.linspace(-0.05, 1.05, 221)
    curves = [
        {
            "alpha": alpha,
            "columns": mtrelu.solve(x, Y, alpha, method="columns", tol=TOL).network(grid)[:, 0],
            "spline": mtrelu.solve(x, Y, alpha, tol=TOL).network(grid)[:, 0],
        }
        for alpha in (1e-4, 0.02, 0.1)
    ]
    return {"x": x, "y": Y[:, 0], "grid": grid, "curves": curves}


def draw(data: Data) -> Any:
    """Draw both solutions over each other, and their differences."""
    figure = canvas((9.5, 3.4))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    example = data["example"]
    for each, width in zip(example["curves"], (1.0, 1.8, 2.6), strict=True):
        label = f"α = {each['alpha']:g}"
        left.plot(example["grid"], each["columns"], color=BLUE, lw=width, alpha=0.6, label=label)
        left.plot(example["grid"], each["spline"], color=INK, lw=1.0, ls=(0, (2, 3)))
    left.plot(example["x"], example["y"], "o", color=RED, ms=5, zorder=3)
    left.set_title("first of two tasks; dotted: the spline", fontsize=9, color=INK)
    left.legend(fontsize=8, frameon=False)
    quantities = (
        ("objective", "regularised", "objective_off"),
        ("function", "several_tasks", "function_off"),
        ("cost, α = 0", "interpolation", "cost_off"),
        ("function, α = 0", "interpolation", "function_off"),
        ("linear program", "linear_programs", "off"),
    )
    for i, (_, place, name) in enumerate(quantities):
        values = np.array([each[name] for each in data[place] if each[name] is not None])
        spread = np.linspace(-0.2, 0.2, values.size) if values.size > 1 else np.zeros(values.size)
        right.plot(np.maximum(values, 1e-17), i + spread, "o", color=BLUE, ms=3.5)
    right.set_xscale("log")
    right.set_xlim(3e-18, 1.0)
    right.set_yticks(range(len(quantities)), [each[0] for each in quantities])
    right.invert_yaxis()
    right.set_xlabel("relative difference (1e-17 for none)", fontsize=9)
    right.set_title("every problem twice", fontsize=9, color=INK)
    plain(left)
    plain(right)
    return figure


FIGURE = Figure(
    name="univariate",
    title="One input: the convex problem against the theory",
    description="Training is a convex problem over measures of neurons. Here neuron generation, "
    "which looks for the most violated neuron and knows neither splines nor Theorem 3.1, is "
    "compared with connecting the dots for alpha = 0 and with a spline solver for alpha > 0; and "
    "for one task a linear program over many knots is solved by other software.",
    caption="Left: one problem with three penalties, solved by neuron generation (blue) and by the "
    "spline solver (dotted). Right: the relative differences in all problems.",
    claims=CLAIMS,
    quick={"interpolation": [6, 3], "program": {"N": 10, "grid": 201},
           "regularised": [[10, 1, 0.05], [10, 3, 0.05], [30, 3, 0.2], [30, 10, 0.02]]},
    full={"interpolation": [8, 3], "program": {"N": 20, "grid": 1001},
          "regularised": [[10, 1, 0.05], [10, 3, 0.05], [30, 3, 0.2], [30, 10, 0.02],
                          [100, 1, 0.2], [100, 20, 0.05], [300, 5, 0.2]]},
    measure=measure,
    draw=draw,
)  # fmt: skip
