"""Figure 4 and appendix B: one task trained from several seeds, and the same with a second task."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, new_figure, plain
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_set import OptimalSet, Verdict
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._training import if_settled, train_to_rest
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings
from mtrelu.paper.readings import CERTIFIED, CONVERGED, DIFFERENT, MINIMAL, SAME, SETTLED, VISIBLE

PLACE = "Figure 4 and Appendix B"
TOL = 1e-9
"""Relative duality gap of the solutions that training is compared with."""

CLAIMS = (
    CONVERGED(
        "trained to convergence",
        "All networks were trained to convergence.",
        "Appendix B",
        "violation of the stationarity conditions of [12], relative, with one task and with two; "
        "infinite for a seed that diverged, open for one that more steps might still settle",
        "trained[*].settled",
    ),
    MINIMAL(
        "one task: minimum cost",
        "All single-task networks have the minimum representational cost.",
        PLACE,
        "certified relative gap between the objective with weight decay and the optimum; infinite "
        "for a seed that diverged, open for one that is above and not settled",
        "single.networks[*].settled_gap",
    ),
    DIFFERENT(
        "one task: many optima",
        "With one task the optimal functions are many.",
        "Section 3, Figures 1 and 4",
        "width of the exact range of all optimal functions, relative to the largest label",
        "single.width",
    ),
    DIFFERENT(
        "one task: different functions",
        "Networks of one task that start differently learn different functions.",
        PLACE,
        "largest difference between two that have the minimum cost up to 1e-6, relative to "
        "the largest label",
        "single.apart",
    ),
    Claim(
        "one task: within the range",
        "What they learn is within the range of all optimal functions.",
        "follows from Theorem 3.1 and Remark 1",
        "largest distance from the exact range, over what the network's certified gap allows",
        "single.networks[*].outside_share",
        "at most", 1.0,
        "A gap G bounds fitted values by the strong convexity of the squared loss, (2G)^(1/2), and "
        "the cost above the least for them by G/alpha, which moves a function by at most that "
        "times the length of a segment.",
    ),
    MINIMAL(
        "two tasks: minimum cost",
        "All two-task networks have the minimum representational cost.",
        PLACE,
        "certified relative gap between the objective with weight decay and the optimum; infinite "
        "for a seed that diverged, open for one that is above and not settled",
        "two[*].networks[*].settled_gap",
    ),
    Claim(
        "two tasks: one optimum",
        "With a second task of Gaussian labels there is only one optimal function.",
        "Theorem 3.1, Figure 4",
        "1 where the certified solution with weight decay is proved to be the only one, else 0",
        "two[*].unique",
        "at least", 1.0, "A yes or no; undecided is neither.",
    ),
    SAME(
        "two tasks: connect-the-dots",
        "Whatever their start, all two-task networks learn the function that connects the dots.",
        PLACE,
        "largest distance from connecting the dots in either task between the first and the last "
        "data point, relative to the largest label; open for a network that is not settled",
        "two[*].networks[*].settled_off",
    ),
    SAME(
        "two tasks: optimal means connect-the-dots",
        "Those two-task networks that have the minimum cost connect the dots.",
        "Theorem 3.1",
        "the same, of networks with the minimum cost up to 1e-6",
        "reached[*].off",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train from all seeds with one task and, for each draw of a second task, with two."""
    x, y = np.array(settings["x"]), np.array(settings["y"])
    grid = np.unique(np.concatenate([np.linspace(x[0] - 0.15, x[-1] + 0.15, 301), x]))

    def of_draw(draw: int) -> Part:
        return lambda _: _two(x, y, grid, settings, n_seeds, draw)

    parts: dict[str, Part] = {"one task": lambda _: _single(x, y, grid, settings, n_seeds)}
    parts |= {f"draw {draw}": of_draw(draw) for draw in range(settings["draws"])}
    groups = in_parts(parts, settings, n_seeds, progress, kept)
    single, *two = groups.values()
    return {
        "x": x,
        "y": y,
        "grid": grid,
        "single": single,
        "two": two,
        "trained": [
            {"of": name, "seed": each["seed"], "status": each["status"],
             "settled": each["settled"]}
            for name, group in groups.items()
            for each in group["networks"]
        ],
        "reached": [
            {"draw": group["draw"], "seed": each["seed"], "off": each["off"]}
            for group in two
            for each in group["networks"]
            if _is_nearly_optimal(each)
        ],
    }  # fmt: skip


def _single(
    x: np.ndarray, y: np.ndarray, grid: np.ndarray, settings: Settings, n_seeds: int
) -> Data:
    """One task: whether the networks are optimal, and how different they are."""
    found, solution, networks = _trained(x, y[:, np.newaxis], settings, n_seeds)
    optima = solution.optimal_set()
    low, high = (each[:, 0] for each in optima.range(grid))
    limits = OptimalSet.of_interpolation(x, y).range(grid)
    inside = (grid >= x[0]) & (grid <= x[-1])
    size = np.abs(y).max()
    curves = []
    for each, network in zip(found["networks"], networks, strict=True):
        if network is None:
            each |= {"values": None, "outside": None, "outside_share": None}
            continue
        values = network(grid)[:, 0]
        outside = float(np.max(np.maximum(low - values, values - high)[inside], initial=0.0))
        allowed = _allowed(x, solution.problem.alpha, each["excess"])
        each |= {"values": values, "outside": outside, "outside_share": outside / allowed}
        if _is_nearly_optimal(each):
            curves.append(values[inside])
    return found | {
        "verdict": optima.verdict.value,
        "low": low,
        "high": high,
        "interpolants": {"low": limits[0][:, 0], "high": limits[1][:, 0]},
        "width": np.max((high - low)[inside]) / size,
        "apart": np.ptp(curves, axis=0).max() / size if len(curves) > 1 else None,
    }


def _two(
    x: np.ndarray, y: np.ndarray, grid: np.ndarray, settings: Settings, n_seeds: int, draw: int
) -> Data:
    """Two tasks: whether the networks are optimal, and connect the dots."""
    Y = np.column_stack([y, np.random.default_rng(draw).standard_normal(y.size)])
    found, solution, networks = _trained(x, Y, settings, n_seeds)
    verdict = solution.optimal_set().verdict
    inside = (grid >= x[0]) & (grid <= x[-1])
    dots = np.column_stack([np.interp(grid, x, labels) for labels in Y.T])
    for each, network in zip(found["networks"], networks, strict=True):
        values = None if network is None else network(grid)
        off = None if values is None else np.abs(values - dots)[inside].max() / np.abs(Y).max()
        each |= {
            "values": None if values is None else values[:, 0],
            "off": off,
            "settled_off": np.inf
            if off is None
            else if_settled(off, each["stationarity"], VISIBLE),
        }
    return found | {
        "draw": draw,
        "labels": Y[:, 1],
        "verdict": verdict.value,
        "unique": None if verdict is Verdict.UNDECIDED else verdict is Verdict.UNIQUE,
    }


def _trained(
    x: np.ndarray, Y: np.ndarray, settings: Settings, n_seeds: int
) -> tuple[Data, mtrelu.Solution, list[ReLUNetwork | None]]:
    """Train as in Appendix B, and compare every network with the certified optimum."""
    alpha = mtrelu.alpha_from_weight_decay(settings["weight_decay"], *Y.shape)
    solution = mtrelu.solve(x, Y, alpha, tol=TOL)
    training = train_to_rest(x, Y, alpha, list(range(n_seeds)), settings)
    certificate = solution.certificate
    found = {
        "alpha": alpha,
        "optimum": {
            "objective": certificate.primal,
            "bound": certificate.dual,
            "relative_gap": certificate.relative_gap,
        },
        "networks": [
            {"seed": seed} | _judged(network, float(training.stationarity[seed]), solution)
            for seed, network in enumerate(training.networks)
        ],
    }
    return found, solution, training.networks


def _judged(network: ReLUNetwork | None, stationarity: float, solution: mtrelu.Solution) -> Data:
    """One network: what became of it, and its gap; None without a network.

    ``own_gap`` is by the certificate that the network's own residuals give; ``gap`` is by the
    solution's lower bound too, and sharper. Both are proofs.
    """
    problem = solution.problem
    if network is None:
        nothing = dict.fromkeys(("objective", "excess", "gap", "own_gap"))
        return {
            "status": "diverged",
            "stationarity": np.inf,
            "settled": np.inf,
            "settled_gap": np.inf,
            **nothing,
        }
    own = mtrelu.certify(network, problem.X, problem.Y, problem.alpha)
    excess = max(own.primal - max(own.dual, solution.certificate.dual), 0.0)
    judged = {
        "status": "converged" if stationarity <= SETTLED else "not converged",
        "stationarity": stationarity,
        "objective": own.primal,
        "excess": excess,
        "gap": excess / own.primal,
        "own_gap": own.relative_gap,
    }
    return judged | {
        "settled": if_settled(stationarity, stationarity, SETTLED),
        "settled_gap": if_settled(excess / own.primal, stationarity, CERTIFIED),
    }


def _is_nearly_optimal(judged: Data) -> bool:
    return judged["gap"] is not None and judged["gap"] <= CERTIFIED


def _allowed(x: np.ndarray, alpha: float, excess: float) -> float:
    """How far a function can be from the range of the optimal ones, given its objective.

    The fitted values are within (2G)^(1/2) of the optimal ones. That moves the range, which is
    made of chords and extended neighbouring chords, by at most 1 + 2 h_i/h_{i±1} times as much.
    And a function that is t outside of the range for its own fitted values, on a segment of length
    h, costs at least t/h more than the least for them.
    """
    steps = np.diff(x)
    stretch = max(max(a / b, b / a) for a, b in pairwise(steps))
    rounding = 1e-9
    fitted = (1.0 + 2.0 * stretch) * np.sqrt(2.0 * excess)
    return float(fitted + steps.max() * excess / alpha + rounding)


def draw(data: Data) -> Any:
    """Draw single-task and two-task networks, each over the range of what is optimal."""
    figure = new_figure(None, (9.5, 3.6))
    left, right = figure.subplots(1, 2, sharey=True)
    grid, single, two = np.array(data["grid"]), data["single"], data["two"][0]
    limits = single["interpolants"]
    left.fill_between(
        grid, limits["low"], limits["high"], color=BLUE, alpha=0.16, lw=0, label="all optimal"
    )
    right.plot(data["x"], data["y"], color=GREY, lw=5, alpha=0.5, label="the only optimal")
    for axes, group, title in (
        (left, single, "one task"),
        (right, two, "with a second task"),
    ):
        _curves(axes, grid, group["networks"])
        axes.plot(data["x"], data["y"], "o", color=RED, ms=6, zorder=4)
        reached = sum(_is_nearly_optimal(each) for each in group["networks"])
        count = f"{reached} of {len(group['networks'])} seeds at the minimum cost"
        axes.set_title(f"{title}: {count}", fontsize=9, color=INK)
        axes.legend(fontsize=8, frameon=False, loc="lower center")
        plain(axes)
    low, high = np.min(limits["low"]), np.max(limits["high"])
    left.set_ylim(low - 0.55 * (high - low), high + 0.15 * (high - low))
    return figure


def _curves(axes: Any, grid: np.ndarray, networks: list[Data]) -> None:
    """Every network, in a colour that says whether it is nearly optimal."""
    named = set()
    for each in networks:
        if each["values"] is None:
            continue
        optimal = _is_nearly_optimal(each)
        name = "trained" if optimal else "trained, not at the minimum"
        axes.plot(
            grid, each["values"], lw=1.2, color=BLUE if optimal else INK,
            ls="-" if optimal else (0, (4, 2)), label=None if name in named else name,
        )  # fmt: skip
        named.add(name)


_POINTS = {
    "x": [-1.0, -0.6, 0.2, 0.6, 1.0],
    "y": [0.1, 1.0, 1.1, 0.0, 0.2],
    "weight_decay": 1e-5,
    "width": 20,
    "rate": 3e-3,
}
FIGURE = Figure(
    name="fig4",
    title="Figure 4: training with one task and with two, from several seeds",
    description="Networks of 20 neurons, Adam, the mean of the squared errors and a weight decay "
    "of 1e-5, as in Appendix B. For one task the paper shows three seeds that learn three "
    "functions, and with a second task of Gaussian labels three that learn the same one. The paper "
    "does not print its points; these have the same number and a segment where optimal functions "
    "differ. Adam is followed by proximal gradient, since Adam alone does not settle in any "
    "reasonable time at this weight decay. Every network is compared with the certified optimum "
    "for the same weight decay.",
    caption="The first task, in red. Left: trained on it alone, over the exact range of all "
    "optimal interpolants. Right: trained with a second task, over the function that connects the "
    "dots. Dashed: networks that are not at the minimum.",
    claims=CLAIMS,
    quick={**_POINTS, "draws": 1, "steps": 20_000, "settling_steps": 30_000},
    full={**_POINTS, "draws": 5, "steps": 300_000, "settling_steps": 100_000},
    measure=measure,
    draw=draw,
    trains=True,
)
