"""How often the optimum is unique, over input dimension, number of tasks and their correlation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, new_figure, plain
from mtrelu.optimal_set import Verdict
from mtrelu.paper._line import slopes
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings
from mtrelu.regime.correlation import correlated_tasks, fit_price
from mtrelu.regime.designs import DESIGNS

TOL = 1e-12
LEVEL = 0.05
MANY = 101
"""The number of tasks of Figure 5(d)."""
RISES = partial(
    Claim,
    sense="at least",
    tolerance=0.0,
    reason="More frequent is a difference above 0. It counts only if McNemar's exact test finds it "
    "at the customary level of 5 %, with every undecided case counted against it; else it is open.",
)
_RISE = (
    "share of draws proved unique at the most tasks minus share not proved to have several optima "
    "at one, over the same draws"
)
LAW = partial(
    Claim,
    sense="at most",
    tolerance=0.0,
    limit=0.1,
    reason="The 95 % interval over the draws, five or more, has to contain the exponent. It says "
    "nothing of how near to 1 a ρ has to be for the power alone to be left, so that only what is a "
    "tenth off refutes the law; a tenth tells ½ from 1 with room.",
)
FREE = ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 1.0, 3.0, 2.0, 2.5])
"""A task of one input with many optima: it bends twice in the same direction."""

CLAIMS = (
    Claim(
        "one input, several tasks",
        "With T > 1 tasks of one input the optimal function is almost surely unique.",
        "Theorem 3.1, Corollary 1; regularised: Remark 1",
        "1 if the optimum is proved to be unique, 0 if two optima are proved, else open",
        "line_many[*].unique", "at least", 1.0,
        "A yes or no: labels from a density are such that it holds with probability 1.",
    ),
    Claim(
        "one input, one task",
        "For one task of one input the optimal interpolant is unique exactly if no two "
        "neighbouring slope changes have the same sign.",
        "Theorem 3.1",
        "1 if the certified verdict for α = 0 is what the signs of the slope changes say, 0 if it "
        "is the opposite, open if it is undecided",
        "line_one[*].agrees", "at least", 1.0, "It is yes or no.",
    ),
    RISES(
        "squares: more tasks help",
        "At the corners of two squares uniqueness becomes more frequent with the number of tasks.",
        "follows from Section 4 and Figure 5", _RISE + ", random labels",
        "trends.squares.rise",
    ),
    Claim(
        "squares: many tasks",
        "With 101 random tasks at the corners of two squares the optimal function is unique.",
        "follows from Section 4 and Figure 5(d)",
        "1 for each draw of 101 tasks that is proved to have a unique optimum, 0 if two are "
        "proved, else open",
        "squares_most[*].unique", "at least", 1.0, "It is yes or no.",
    ),
    RISES(
        "Gaussian data in the plane: more tasks help",
        "For Gaussian inputs in the plane and Gaussian labels uniqueness becomes more frequent "
        "with the number of tasks.",
        "beyond the paper", _RISE, "trends.plane.rise",
    ),
    RISES(
        "Gaussian data in space: more tasks help",
        "For Gaussian inputs in three dimensions and Gaussian labels uniqueness becomes more "
        "frequent with the number of tasks.",
        "beyond the paper", _RISE, "trends.space.rise",
    ),
    Claim(
        "one input, nearly equal tasks",
        "A second task of one input makes the optimum unique however near its correlation ρ with "
        "the first is to ±1.",
        "follows from Theorem 3.1",
        "1 for each draw of a second task with |ρ| < 1 that is proved to make it unique, 0 if two "
        "optima are proved, else open",
        "correlation.line.between[*].unique", "at least", 1.0,
        "A yes or no; ρ comes as near to 1 as 1e-6, far from what rounding hides.",
    ),
    Claim(
        "one input, equal tasks",
        "A second task of one input whose correlation with the first is ±1, so that all slope "
        "changes are aligned, does not make the optimum unique.",
        "follows from Theorem 3.1",
        "1 if the optimum is proved to be unique, 0 if two are proved, else open",
        "correlation.line.ends[*].unique", "at most", 0.0, "It is yes or no.",
    ),
    LAW(
        "price of values inside",
        "With two tasks of correlation ρ, how much dearer a function is that takes other values "
        "inside the range of the optima of one falls like 1 − ρ.",
        "beyond the paper",
        "distance of 1 from the 95 % interval of the fitted exponent, middle half of the range",
        "correlation.line.off.inside",
    ),
    LAW(
        "price of the ends",
        "With two tasks of correlation ρ, how much dearer a function is that takes values at the "
        "ends of the range of the optima of one falls like √(1 − ρ).",
        "beyond the paper",
        "distance of ½ from the 95 % interval of the fitted exponent",
        "correlation.line.off.ends",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Solve small random problems and ask for every optimum."""
    n_draws = n_seeds * settings["draws"]

    def group(each: Settings) -> Part:
        counts = [*settings["n_tasks"], *each.get("more", [])]
        return lambda progress: _group(each, counts, n_draws, progress)

    parts: dict[str, Part] = {each["name"]: group(each) for each in settings["groups"]}
    x, y = (np.array(each) for each in FREE)
    parts["correlation line"] = lambda _: _correlation(x, y, settings["rho"], n_seeds, 0.0)
    if settings["rho_plane"]:
        X, Y = DESIGNS["two-squares"].draw(1, 0)
        parts["correlation squares"] = lambda _: _correlation(
            X, Y[:, 0], settings["rho_plane"], n_seeds, DESIGNS["two-squares"].alpha
        )
    done = in_parts(parts, settings, n_seeds, progress, kept)
    groups = {each["name"]: done[each["name"]] for each in settings["groups"]}
    line = [cell for cell in groups["line"]["cells"] if cell["T"] > 1]
    line += [cell for cell in groups["line, α = 0"]["cells"] if cell["T"] > 1]
    return {
        "groups": groups,
        "line_many": line,
        "line_one": [cell for cell in groups["line, α = 0"]["cells"] if cell["T"] == 1],
        "squares_most": [cell for cell in groups["squares"]["cells"] if cell["T"] == MANY],
        "trends": {
            name: _trend(*_paired(groups[name]["cells"])) for name in ("squares", "plane", "space")
        },
        "correlation": {
            name.removeprefix("correlation "): each
            for name, each in done.items()
            if name.startswith("correlation ")
        },
    }


def _gaussian(N: int, d: int) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Gaussian inputs and labels; the tasks of fewer are among those of more."""

    def sample(n_tasks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((N, d)), rng.standard_normal((n_tasks, N)).T

    return sample


def _squares(n_tasks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners of two squares, every label 0 or 1."""
    X, _ = DESIGNS["two-squares"].draw(1, 0)
    return X, np.random.default_rng(seed).integers(0, 2, size=(n_tasks, 8)).T.astype(np.float64)


def _group(group: Settings, n_tasks: list[int], n_draws: int, progress: Progress) -> Data:
    """Verdicts of one kind of data over the number of tasks."""
    sample = _squares if group["name"] == "squares" else _gaussian(group["N"], group["d"])
    cells, counts = [], []
    for i, T in enumerate(n_tasks):
        column = []
        for seed in range(n_draws):
            X, Y = sample(T, seed)
            optima = mtrelu.solve(X, Y, group["alpha"], tol=TOL).optimal_set()
            cell = {"T": T, "seed": seed} | _verdict(optima.verdict)
            if T == 1 and group["d"] == 1 and group["alpha"] == 0.0:
                agrees = cell["unique"] == _alternates(X[:, 0], Y)
                cell["agrees"] = None if cell["unique"] is None else agrees
            column.append(cell)
            progress(i * n_draws + seed + 1, len(n_tasks) * n_draws)
        cells += column
        verdicts = [cell["unique"] for cell in column]
        counts.append({
            "T": T,
            "unique": sum(each is True for each in verdicts),
            "several": sum(each is False for each in verdicts),
            "undecided": sum(each is None for each in verdicts),
        })  # fmt: skip
    return {**group, "cells": cells, "counts": counts}


def _verdict(verdict: str) -> Data:
    return {"unique": {Verdict.UNIQUE: True, Verdict.NOT_UNIQUE: False}.get(Verdict(verdict))}


def _alternates(x: np.ndarray, Y: np.ndarray) -> bool:
    """Whether no two neighbouring slope changes have the same sign."""
    order = np.argsort(x)
    bends = np.diff(slopes(x[order], Y[order])[:, 0])
    return bool(np.all(bends[1:] * bends[:-1] <= 0.0))


def _paired(cells: list[Data]) -> tuple[list[bool | None], list[bool | None]]:
    """The verdicts at the fewest and at the most tasks, draw by draw; they share the first task."""
    counts = sorted({cell["T"] for cell in cells})
    few, many = (
        {cell["seed"]: cell["unique"] for cell in cells if cell["T"] == T}
        for T in (counts[0], counts[-1])
    )
    return [few[seed] for seed in few], [many[seed] for seed in few]


def _trend(few: list[bool | None], many: list[bool | None]) -> Data:
    """Rise of the share of unique optima, each undecided case counted against it."""
    before, after = np.array([each is not False for each in few]), np.array([*map(bool, many)])
    p, rise = _mcnemar(before, after)
    # A fall would have to be proved in the same way: with the undecided ones on the other side.
    before, after = np.array([*map(bool, few)]), np.array([each is not False for each in many])
    p_fall, fall = _mcnemar(after, before)
    found = rise if p <= LEVEL else -fall if p_fall <= LEVEL else None
    return {"p": p, "p_fall": p_fall, "rise": found}


def _mcnemar(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """McNemar's exact test of a rise, one-sided, and the rise of the share."""
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    p = float(binom.sf(gained - 1, gained + lost, 0.5))
    return p, (gained - lost) / before.size


def _correlation(X: np.ndarray, y: np.ndarray, rho: list[float], n: int, alpha: float) -> Data:
    """Verdicts and prices of disagreement over the correlation of a second task."""
    rho = [1.0, -1.0, *rho]
    found = correlated_tasks(X, y, rho, alpha=alpha, n_draws=n, random_state=0)
    cells = [
        {"rho": each, "draw": s} | _verdict(found.verdicts[i, s])
        for i, each in enumerate(rho)
        for s in range(n)
    ]
    laws, exponents = {}, {}
    for q, (name, law) in enumerate((("inside", 1.0), ("ends", 0.5))):
        rate = fit_price(rho, found.price_low[:, :, q], found.price_high[:, :, q])
        # Of x = 1/(1 − ρ), so that its sign is the other one. NaN with fewer than five draws.
        laws[name] = float(np.maximum(0.0, np.maximum(rate.low + law, -law - rate.high)))
        exponents[name] = rate.to_dict()
    price = 0.5 * (found.price_low + found.price_high)
    return {
        "between": [cell for cell in cells if abs(cell["rho"]) < 1.0],
        "ends": [cell for cell in cells if abs(cell["rho"]) == 1.0],
        "off": laws,
        "exponents": exponents,
        "rho": rho,
        "price": {
            "inside": np.median(price[:, :, 0], axis=1),
            "ends": np.median(price[:, :, 1], axis=1),
        },
    }


def draw(data: Data) -> Any:
    """Draw the shares of the verdicts for each kind of data, and the price over correlation."""
    figure = new_figure(None, (10.0, 6.2))
    panels = figure.subplots(2, 3).ravel()
    for axes, (name, group) in zip(panels, data["groups"].items(), strict=False):
        _draw_counts(axes, group)
        alpha = "0" if group["alpha"] == 0.0 else f"{group['alpha']:g}"
        kind = "two squares" if name == "squares" else "Gaussian"
        axes.set_title(f"{kind}, d = {group['d']}, N = {group['N']}, α = {alpha}", fontsize=9,
                       color=INK)  # fmt: skip
    panels[0].legend(fontsize=7.5, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.12),
                     ncols=3, columnspacing=1.0)  # fmt: skip
    _draw_price(panels[len(data["groups"])], data["correlation"])
    return figure


def _draw_counts(axes: Any, group: Data) -> None:
    at = np.arange(len(group["counts"]))
    bottom = np.zeros(at.size)
    n = sum(group["counts"][0][name] for name in ("unique", "several", "undecided"))
    for name, colour in (("unique", BLUE), ("undecided", "#d9dee3"), ("several", RED)):
        share = np.array([each[name] for each in group["counts"]]) / n
        axes.bar(at, share, bottom=bottom, color=colour, width=0.75, label=name)
        bottom += share
    axes.set_xticks(at, [f"T = {each['T']}" for each in group["counts"]])
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "½", "1"])
    plain(axes)


def _draw_price(axes: Any, correlation: Data) -> None:
    for place, style in (("line", "o-"), ("squares", "s--")):
        found = correlation.get(place)
        if found is None:
            continue
        rho = np.array(found["rho"])
        for name, colour in (("inside", BLUE), ("ends", INK)):
            price = np.array(found["price"][name], dtype=np.float64)
            shown = (np.abs(rho) < 1.0) & (rho > 0.0)
            axes.plot(1.0 - rho[shown], price[shown], style, color=colour, ms=4, lw=1.3,
                      label=f"{name} the range, {place}" if name == "inside"
                      else f"ends of the range, {place}")  # fmt: skip
    known = np.array([1e-6, 1e-2])
    for power, size in ((1.0, 0.3), (0.5, 0.06)):
        axes.plot(known, size * known**power, color=GREY, lw=1.0, ls=(0, (3, 2)), zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("1 − ρ; dashed: its powers 1 and ½", fontsize=9)
    axes.set_title("price of another value, two tasks", fontsize=9, color=INK)
    axes.legend(fontsize=7, frameon=False)
    plain(axes)


FIGURE = Figure(
    name="uniqueness",
    title="Uniqueness over input dimension, number of tasks and correlation",
    description="Small random problems, solved to a certified gap, and the verdict on whether "
    "their optimum is the only one: proved unique, proved several, or undecided. Few points and "
    "small penalties leave neurons that only a few points fix, and there the verdict is often "
    "undecided with several inputs, which is why the Gaussian data there have a larger penalty; "
    "the squares of Figure 5 with random labels are the data that "
    "are nearly always decided. For one input also a second task of a given correlation with one "
    "that has many optima.",
    caption="Share of the draws whose optimum is proved unique (blue), undecided (grey), and "
    "proved to be one of several (red). Last: how much more than the optimum, relatively, a "
    "function must cost to take other values of the range that the first task alone leaves open.",
    claims=CLAIMS,
    quick={
        "n_tasks": [1, 5, 20], "draws": 3, "rho": [0.999999, 0.9999, 0.999, 0.9, 0.0, -0.9],
        "rho_plane": [],
        "groups": [
            {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0},
            {"name": "line", "d": 1, "N": 6, "alpha": 1e-3},
            {"name": "squares", "d": 2, "N": 8, "alpha": 1e-3, "more": [MANY]},
            {"name": "plane", "d": 2, "N": 8, "alpha": 1e-1},
            {"name": "space", "d": 3, "N": 6, "alpha": 1e-1},
        ],
    },
    full={
        "n_tasks": [1, 2, 3, 5, 10, 20, 50], "draws": 20,
        "rho": [0.999999, 0.99999, 0.9999, 0.999, 0.99, 0.9, 0.5, 0.0, -0.5, -0.9, -0.999],
        "rho_plane": [0.9999, 0.999, 0.9, 0.0],
        "groups": [
            {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0},
            {"name": "line", "d": 1, "N": 6, "alpha": 1e-3},
            {"name": "squares", "d": 2, "N": 8, "alpha": 1e-3, "more": [MANY]},
            {"name": "plane", "d": 2, "N": 12, "alpha": 1e-1},
            {"name": "space", "d": 3, "N": 8, "alpha": 1e-1},
        ],
    },
    measure=measure,
    draw=draw,
)  # fmt: skip
