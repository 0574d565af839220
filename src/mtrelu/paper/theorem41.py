"""Section 4: the two squares with 1 and 101 tasks, the kernel fit, and the rates of Theorem 4.1."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, colour_bar, plain
from mtrelu.optimal_set import Verdict
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import DIFFERENT, SAME
from mtrelu.regime.designs import DESIGNS, sup_points
from mtrelu.regime.leave_task_out import leave_task_out
from mtrelu.regime.measurement import BETAS
from mtrelu.regime.sweep import Plan, Sweep, lemma_promise, run_sweep

DESIGN = DESIGNS["two-squares"]
MANY = 101
"""The number of tasks in Figure 5(d)."""
TOL = 1e-12
PROVED = 1e-9
"""The solver's tolerance, and the gap up to which a network counts as the optimum.

Distances go like the root of a gap: 1e-9 is far below what separates different functions.
"""
RATE = -0.25

CLAIMS = (
    DIFFERENT(
        "many for one task",
        "For the squares alone (T = 1) there are several global minimisers that differ.",
        "Figure 5(a) to (c)",
        "largest difference on the square between two networks that are both certified, relative "
        "to the largest label",
        "single.apart",
    ),
    Claim(
        "both proved",
        "They are global minimisers.",
        "Figure 5(a) to (c)",
        "certified relative duality gap of each",
        "single.functions[*].gap",
        "at most", PROVED,
        "The solver is asked for 1e-12, and rounding adds to that. Distances between functions go "
        "like the root of the gap, here 3e-5, far below the differences in question.",
    ),
    Claim(
        "one for many tasks",
        "With 100 random tasks added (T = 101) every run ends at the same function, because there "
        "is only one minimiser.",
        "Figure 5(d), Figure 7, top row",
        "1 for a draw of the tasks whose optimal set is proved to be one function, 0 if it is "
        "proved to be several, else open",
        "many[*].unique",
        "at least", 1.0, "A yes or no, with a proof or left open.",
    ),
    SAME(
        "similar to the kernel fit",
        "The first output at T = 101 is similar to ridge regression of that task with the kernel "
        "of a network that was trained on the other 100.",
        "Figure 5(d) and (e), Figure 7",
        "largest difference on the square, relative to the largest output",
        "pairs[*].difference",
    ),
    SAME(
        "also with the paper's weight decay",
        "The same with the penalty that weight decay 1e-3 on the mean squared error amounts to, "
        "0.404 at T = 101.",
        "Figure 5(d) and (e), Appendix B",
        "largest difference on the square, relative to the largest output",
        "decayed[*].difference",
    ),
    Claim(
        "[17] falls fast enough",
        "J(v') − J(v*) falls at least like T^(-1/4).",
        "Theorem 4.1, equation [17]",
        "upper end of the 95 % interval of its exponent over the T that were measured",
        "rates.excess.high",
        "at most", RATE, "The exponent of the theorem; it is an upper bound.",
    ),
    Claim(
        "[16] falls fast enough",
        "The largest H − J within T^(1/16) of the optimal weights falls at least like T^(-1/4).",
        "Theorem 4.1, equation [16]",
        "upper end of the 95 % interval of its exponent over the T that were measured",
        "rates.surrogate_gap.high",
        "at most", RATE, "The exponent of the theorem; it is an upper bound.",
    ),
    Claim(
        "well defined",
        "The penalty of H is well defined with probability at least 1 − O(T^(-1/3)); the proof "
        "gives 1 − K(T^(2/3) + 1)/T for K neurons.",
        "Theorem 4.1 and its proof in A.2",
        "share of the draws in which it is not, minus what the proof allows; open for every T at "
        "which it allows everything",
        "defined[*].above",
        "at most", 0.0, "The bound of the proof itself.",
    ),
    Claim(
        "Lemma 4.2",
        "For all but a share T^(-β) of neurons and tasks, ‖v_k∖s‖² ≥ (1 − T^(β−1)) ‖v_k‖².",
        "Lemma 4.2, equation [20]",
        "share of neurons and tasks minus the promise, the least over draws, T and β",
        "shares[*].above",
        "at least", -1e-12,
        "Shares are counts divided by counts; only their division is rounded. For the draw at hand "
        "it is exact, not only probable: it is Markov's inequality over the tasks.",
    ),
    Claim(
        "one weight for all tasks",
        "The weights γ_ks of the ridge penalty become those of all tasks, 1/‖v_k‖, as T grows.",
        "equation [21]",
        "upper end of the 95 % interval of the exponent of the largest γ_ks/γ_k − 1",
        "rates.gamma_spread.high",
        "at most", 0.0,
        "The paper states a limit and no rate: any falling power will do, so that the exponent is "
        "below 0.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Measure the regime for growing T, and the optimal sets for T = 1 and T = 101."""
    plan = Plan.make(DESIGN, n_tasks=settings["n_tasks"], n_seeds=n_seeds)
    n_cells = len(plan.cells())
    total = n_cells + 2 * n_seeds + 1
    sweep = run_sweep(plan, checkpoint=kept, progress=lambda done, _: progress(done, total))
    data: Data = {"single": _single(settings["grid"])}
    progress(n_cells + 1, total)
    decay = mtrelu.alpha_from_weight_decay(1e-3, 8, MANY)
    for i, (name, alpha) in enumerate((("pairs", DESIGN.alpha), ("decayed", decay))):
        data[name] = []
        for seed in range(n_seeds):
            data[name].append(_pair(alpha, seed, settings["grid"] if seed == 0 else None))
            progress(n_cells + 2 + i * n_seeds + seed, total)
    return data | {
        "many": [_many(seed) for seed in range(n_seeds)],
        **_regime(sweep),
    }


def _points(n_grid: int) -> np.ndarray:
    axis = np.linspace(-1.0, 1.0, n_grid)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def _single(n_grid: int) -> Data:
    """Two optimal functions of the first task alone, and the range of all of them."""
    X, Y = DESIGN.draw(1, 0)
    solution = mtrelu.solve(X, Y, DESIGN.alpha, tol=TOL)
    optima = solution.optimal_set()
    points = _points(n_grid)
    low, high = optima.range(points)
    networks = [solution.network]
    witness = optima.witness()
    if witness is not None:
        networks.append(witness)
    networks += optima.sample(1, random_state=0)
    values = [network(points)[:, 0] for network in networks]
    apart = max(np.abs(values[0] - each).max() for each in values)
    return {
        "verdict": optima.verdict.value,
        "reason": optima.reason,
        "functions": [
            {
                "gap": mtrelu.certify(network, X, Y, DESIGN.alpha).relative_gap,
                "n_neurons": network.n_neurons,
                "values": each,
            }
            for network, each in zip(networks, values, strict=True)
        ],
        "apart": apart / np.abs(Y).max(),
        "width": (high - low)[:, 0],
    }


def _many(seed: int) -> Data:
    """Whether 101 tasks leave one function."""
    X, Y = DESIGN.draw(MANY, seed)
    optima = mtrelu.solve(X, Y, DESIGN.alpha, tol=TOL).optimal_set()
    unique = {Verdict.UNIQUE: True, Verdict.NOT_UNIQUE: False}.get(optima.verdict)
    return {"seed": seed, "unique": unique, "verdict": optima.verdict.value}


def _pair(alpha: float, seed: int, n_grid: int | None) -> Data:
    """Figure 5(d) against 5(e), with their values on a grid if they are to be drawn."""
    X, Y = DESIGN.draw(MANY, seed)
    found = leave_task_out(X, Y, alpha, tol=TOL)
    proofs = [fit.certificate for fit in (found.solution, found.others)]
    proved = all(each.oracle == "exact" and each.relative_gap <= PROVED for each in proofs)
    pair: Data = {
        "seed": seed,
        "alpha": alpha,
        "gaps": [each.relative_gap for each in proofs],
        "difference": found.difference(sup_points(X)) if proved else None,
    }
    if n_grid is not None:
        points = _points(n_grid)
        pair["trained"] = found.solution.network(points)[:, 0]
        pair["kernel"] = found.network(points)[:, 0]
    return pair


def _regime(sweep: Sweep) -> Data:
    """The numbers of Section 4 over T."""
    cells = sweep.measurements
    defined = []
    for n in sweep.plan.n_tasks:
        of_n = [cell for cell in cells if cell.n_tasks == n]
        failing = float(np.mean([math.isinf(cell.surrogate_gap) for cell in of_n]))
        K = max(cell.n_neurons for cell in of_n)
        allowed = K * (n ** (2 / 3) + 1.0) / n
        # A bound of 1 or more is met by anything, so that such a T decides nothing.
        above = failing - allowed if allowed < 1.0 else None
        defined.append({"T": n, "failing": failing, "allowed": allowed, "above": above})
    return {
        "rates": {
            name: sweep.rate(name).to_dict() for name in ("excess", "surrogate_gap", "gamma_spread")
        },
        "medians": {
            name: sweep.median(name)
            for name in ("excess", "surrogate_gap", "gamma_spread", "leave_task_out_difference")
        },
        "n_tasks": sweep.plan.n_tasks,
        "defined": defined,
        "shares": [
            {"T": cell.n_tasks, "seed": cell.seed, "beta": beta, "share": share,
             "above": share - float(lemma_promise(cell.n_tasks, beta)) if cell.certified else None}
            for cell in cells
            for beta, share in zip(BETAS, cell.lemma_shares, strict=True)
        ],
        "cells": [cell.to_dict() for cell in cells],
    }  # fmt: skip


def draw(data: Data) -> Any:
    """Draw Figure 5, and what Theorem 4.1 and Lemma 4.2 say, over the number of tasks."""
    figure = canvas((10.0, 10.0))
    above, below = figure.subfigures(2, 1, height_ratios=(1.95, 1.0))
    single, pair = data["single"], data["pairs"][0]
    found = single["functions"]
    trained, kernel = np.array(pair["trained"]), np.array(pair["kernel"])
    rows = (
        ((found[0]["values"], "T = 1: one optimum"), (found[1]["values"], "T = 1: another optimum"),
         (single["width"], "T = 1: how far optima differ")),
        ((trained, "T = 101, first output: Figure 5(d)"), (kernel, "kernel of the other 100: 5(e)"),
         (np.abs(trained - kernel), "difference of (d) and (e)")),
    )  # fmt: skip
    for i, (*surfaces, heights) in enumerate(rows):
        for j, (values, title) in enumerate(surfaces):
            axes = above.add_subplot(2, 3, 3 * i + j + 1, projection="3d")
            _draw_surface(axes, np.array(values))
            axes.set_title(title, fontsize=9, color=INK)
        axes = above.add_subplot(2, 3, 3 * i + 3)
        _draw_heights(axes, np.array(heights[0]))
        axes.set_title(heights[1], fontsize=9, color=INK)
    left, right = below.subplots(1, 2)
    _draw_rates(left, data)
    _draw_shares(right, data)
    return figure


def _draw_surface(axes: Any, values: np.ndarray) -> None:
    """One function over the square, with the data."""
    X, Y = DESIGN.draw(1, 0)
    n = math.isqrt(values.size)
    axis = np.linspace(-1.0, 1.0, n)
    axes.plot_surface(
        *np.meshgrid(axis, axis), values.reshape(n, n), color="#7aa6d6", lw=0.15,
        edgecolor="#5b83b0", rcount=n, ccount=n, alpha=0.75,
    )  # fmt: skip
    axes.scatter(X[:, 0], X[:, 1], Y[:, 0], color=RED, s=16, depthshade=False)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.tick_params(labelsize=6, pad=-2)
    axes.locator_params(axis="z", nbins=4)
    axes.view_init(24, -55)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.1)


def _draw_heights(axes: Any, values: np.ndarray) -> None:
    """A difference over the square, from above."""
    X, _ = DESIGN.draw(1, 0)
    n = math.isqrt(values.size)
    drawn = axes.imshow(
        values.reshape(n, n), origin="lower", extent=(-1, 1, -1, 1), cmap="Blues", vmin=0.0,
        interpolation="bilinear",
    )  # fmt: skip
    bar = colour_bar(drawn, axes)
    bar.formatter.set_powerlimits((-2, 3))
    bar.ax.yaxis.get_offset_text().set_size(7)
    axes.plot(X[:, 0], X[:, 1], "o", color=RED, ms=4, clip_on=False)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    plain(axes)


def _draw_rates(axes: Any, data: Data) -> None:
    counts = np.array(data["n_tasks"], dtype=np.float64)
    shown = (
        ("excess", "J(v') − J(v*) [17]", BLUE),
        ("surrogate_gap", "largest H − J [16]", INK),
        ("leave_task_out_difference", "(d) against (e)", GREY),
    )
    for name, label, colour in shown:
        values = np.array([np.nan if each in (None, "inf") else each
                           for each in data["medians"][name]], dtype=np.float64)  # fmt: skip
        exponent = (data["rates"].get(name) or {}).get("exponent")
        label += f": $T^{{{exponent:.2f}}}$" if exponent is not None else ""
        axes.plot(counts, values, "o-", color=colour, ms=4, lw=1.5, label=label)
    start = data["medians"]["excess"][0]
    if isinstance(start, float):
        axes.plot(counts, start * (counts / counts[0]) ** RATE, color=RED, lw=1.3,
                  ls=(0, (5, 2)), label="the theorem, $T^{-1/4}$")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("number of tasks T", fontsize=9)
    axes.set_title("medians over the seeds", fontsize=9, color=INK)
    axes.legend(fontsize=7.5, frameon=False)
    plain(axes)


def _draw_shares(axes: Any, data: Data) -> None:
    counts = np.array(data["n_tasks"], dtype=np.float64)
    for beta, colour in zip(BETAS, (GREY, BLUE, INK, RED), strict=True):
        least = [
            min(each["share"] for each in data["shares"] if each["T"] == n and each["beta"] == beta)
            for n in data["n_tasks"]
        ]
        axes.plot(counts, least, "o-", color=colour, ms=4, lw=1.5, label=f"β = {beta:.2g}")
        axes.plot(counts, lemma_promise(counts, beta), color=colour, lw=1.0, ls=(0, (3, 2)))
    axes.set_xscale("log")
    axes.set_xlabel("number of tasks T", fontsize=9)
    axes.set_title("Lemma 4.2: least share of neurons and tasks; dashed: promised", fontsize=9,
                   color=INK)  # fmt: skip
    axes.legend(fontsize=7.5, frameon=False, loc="lower right")
    plain(axes)


FIGURE = Figure(
    name="theorem41",
    title="Section 4 and Figure 5: many tasks make a kernel method",
    description="Eight points at the corners of two squares. Alone, the first task has many "
    "optimal networks; with 100 random tasks the optimal network is nearly kernel ridge regression "
    "with neurons that never saw the first task. Networks here are certified optima, not trained "
    "ones; the penalty is 1e-3, near interpolation as in the paper, unless another is named.",
    caption="The first task over the square, data in red: with T = 1 two optima and the width of "
    "the range of all; with T = 101 the network, the kernel fit, and how far they differ. Graphs: "
    "how fast the quantities of Theorem 4.1 fall, and the shares of Lemma 4.2.",
    claims=CLAIMS,
    quick={"n_tasks": [2, 5, 11, 31, 101, 301], "grid": 33},
    full={"n_tasks": [2, 3, 5, 11, 31, 101, 301, 1001, 3001, 10001], "grid": 65},
    measure=measure,
    draw=draw,
)
