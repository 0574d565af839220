"""How often the optimum is unique, over input dimension, number of tasks and their correlation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

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
TREND_REASON = (
    "More frequent is a difference above 0. It counts only if Fisher's exact test finds it at the "
    "customary level of 5 %, with every undecided case counted against it; else it is open."
)
LAW = 0.1
LAW_REASON = "Exponents from a decade or two of 1 − ρ; a tenth tells ½ from 1 with room."
FREE = ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 1.0, 3.0, 2.0, 2.5])
"""A task of one input with many optima: it bends twice in the same direction."""

CLAIMS = (
    Claim(
        "one input, several tasks",
        "With T > 1 tasks of one input the optimal function is almost surely unique.",
        "Theorem 3.1, Corollary 1",
        "1 if the optimum is proved to be unique, 0 if two optima are proved, else open",
        "line_many[*].unique", "at least", 1.0,
        "A yes or no: labels from a density are such that it holds with probability 1.",
    ),
    Claim(
        "one input, one task",
        "For T = 1 it is unique exactly if no two neighbouring slope changes have the same sign, "
        "where Theorem 3.1 finds them aligned.",
        "Theorem 3.1",
        "1 if the certified verdict for α = 0 is what the signs of the slope changes say, else 0",
        "line_one[*].agrees", "at least", 1.0, "It is yes or no.",
    ),
    Claim(
        "squares: more tasks help",
        "With two inputs uniqueness becomes more frequent with the number of tasks.",
        "Section 4, Figure 5",
        "share of draws proved unique at the most tasks minus share not proved to have several "
        "optima at one, random labels at the corners of two squares",
        "trends.squares.rise", "at least", 0.0, TREND_REASON,
    ),
    Claim(
        "squares: many tasks",
        "With many tasks it is unique.",
        "Section 4, Figure 5",
        "1 for each draw at the most tasks that is proved to have a unique optimum, 0 if two are "
        "proved, else open",
        "squares_most[*].unique", "at least", 1.0, "It is yes or no.",
    ),
    Claim(
        "Gaussian data in the plane: more tasks help",
        "The same for Gaussian inputs and labels.",
        "Section 4",
        "as for the squares",
        "trends.plane.rise", "at least", 0.0, TREND_REASON,
    ),
    Claim(
        "Gaussian data in space: more tasks help",
        "The same with three inputs.",
        "Section 4",
        "as for the squares",
        "trends.space.rise", "at least", 0.0, TREND_REASON,
    ),
    Claim(
        "one input, nearly equal tasks",
        "A second task makes the optimum unique however near its correlation ρ is to ±1.",
        "Theorem 3.1",
        "1 for each draw of a second task with |ρ| < 1 that is proved to make it unique, 0 if two "
        "optima are proved, else open",
        "correlation.line.between[*].unique", "at least", 1.0,
        "A yes or no; ρ comes as near to 1 as 1e-6, far from what rounding hides.",
    ),
    Claim(
        "one input, equal tasks",
        "At ρ = ±1, where all slope changes are aligned, it does not.",
        "Theorem 3.1",
        "1 if the optimum is proved to be unique, 0 if two are proved, else open",
        "correlation.line.ends[*].unique", "at most", 0.0, "It is yes or no.",
    ),
    Claim(
        "price of values inside",
        "How much dearer a function is that takes other values of the old range falls like 1 − ρ "
        "inside the range.",
        "beyond the paper",
        "distance of the fitted exponent from 1, for the middle half of the range",
        "correlation.line.off.inside", "at most", LAW, LAW_REASON,
    ),
    Claim(
        "price of the ends",
        "At the ends of the range it falls like √(1 − ρ).",
        "beyond the paper",
        "distance of the fitted exponent from ½",
        "correlation.line.off.ends", "at most", LAW, LAW_REASON,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Solve small random problems and ask for every optimum."""
    n_draws = n_seeds * settings["draws"]

    def group(each: Settings) -> Part:
        return lambda progress: _group(each, settings["n_tasks"], n_draws, progress)

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
    most = max(settings["n_tasks"])
    return {
        "n_tasks": settings["n_tasks"],
        "groups": groups,
        "line_many": line,
        "line_one": [cell for cell in groups["line, α = 0"]["cells"] if cell["T"] == 1],
        "squares_most": [cell for cell in groups["squares"]["cells"] if cell["T"] == most],
        "trends": {
            name: _trend(groups[name]["counts"][0], groups[name]["counts"][-1])
            for name in ("squares", "plane", "space")
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
                cell["agrees"] = cell["unique"] == _alternates(X[:, 0], Y)
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


def _trend(first: Data, last: Data) -> Data:
    """Rise of the share of unique optima, each undecided case counted against it."""
    n = sum(first[name] for name in ("unique", "several", "undecided"))
    few, many = n - first["several"], last["unique"]
    rise = (many - few) / n
    p = float(fisher_exact([[many, n - many], [few, n - few]], alternative="greater").pvalue)
    # A fall would have to be proved in the same way: with the undecided ones on the other side.
    least, most = first["unique"], n - last["several"]
    fall = fisher_exact([[least, n - least], [most, n - most]], alternative="greater").pvalue
    worst = (most - least) / n
    return {"p": p, "rise": rise if p <= LEVEL else worst if fall <= LEVEL else None}


def _correlation(X: np.ndarray, y: np.ndarray, rho: list[float], n: int, alpha: float) -> Data:
    """Verdicts and prices of disagreement over the correlation of a second task."""
    rho = [1.0, -1.0, *rho]
    found = correlated_tasks(X, y, rho, alpha=alpha, n_draws=n, random_state=0)
    cells = [
        {"rho": each, "draw": s} | _verdict(found.verdicts[i, s])
        for i, each in enumerate(rho)
        for s in range(n)
    ]
    laws = {}
    for q, (name, law) in enumerate((("inside", 1.0), ("ends", 0.5))):
        exponent = fit_price(rho, found.price_low[:, :, q], found.price_high[:, :, q]).exponent
        laws[name] = abs(-exponent - law)
    price = 0.5 * (found.price_low + found.price_high)
    return {
        "alpha": alpha,
        "range": [found.low, found.high],
        "between": [cell for cell in cells if abs(cell["rho"]) < 1.0],
        "ends": [cell for cell in cells if abs(cell["rho"]) == 1.0],
        "off": laws,
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
        "n_tasks": [1, 2, 5, 20], "draws": 2, "rho": [0.999999, 0.9999, 0.999, 0.9, 0.0, -0.9],
        "rho_plane": [],
        "groups": [
            {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0},
            {"name": "line", "d": 1, "N": 6, "alpha": 1e-3},
            {"name": "squares", "d": 2, "N": 8, "alpha": 1e-3},
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
            {"name": "squares", "d": 2, "N": 8, "alpha": 1e-3},
            {"name": "plane", "d": 2, "N": 12, "alpha": 1e-1},
            {"name": "space", "d": 3, "N": 8, "alpha": 1e-1},
        ],
    },
    measure=measure,
    draw=draw,
)  # fmt: skip
