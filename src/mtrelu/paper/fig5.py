"""Figure 5: the two squares trained with one task, with 101 tasks, and the kernel fit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, new_figure, plain
from mtrelu.optimal_polytope import OptimalPolytope
from mtrelu.paper._parts import in_parts
from mtrelu.paper._squares import (
    DESIGN,
    MANY,
    TOL,
    alpha_of,
    apart,
    grid,
    is_unique,
    kernel_fit,
    on_grid,
    residual,
    roughness,
    runs,
    surface,
    trained,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings
from mtrelu.paper.readings import CONVERGED, DIFFERENT, MINIMAL, PLAIN, SAME, SETTLED, agreed
from mtrelu.regime.leave_task_out import leave_task_out

TOP = "Figure 5(a) to (c)"
BOTTOM = "Figure 5(d) and (e)"
SMALL = DESIGN.alpha
PROVED = 1e-9
SMOOTHER = partial(
    Claim,
    sense="at most",
    tolerance=0.5,
    limit=1.0,
    reason="'Often much smoother' is read as: in at least half of the cases the sharpest bend is "
    "at most half as sharp; it is not smoother if it is as sharp. The path norm is no measure of "
    "it, for among functions with these values the single-task optimum has the least by "
    "definition.",
)

CLAIMS = (
    MINIMAL(
        "single task: as good as optimal",
        "Single-task networks trained from different seeds are all global minimisers.",
        TOP, "objective above the certified lower bound, relative; infinite for a diverged seed",
        "single.runs[*].settled_excess",
    ),
    CONVERGED(
        "single task: converged",
        "Single-task networks are trained to convergence.",
        "Appendix B", "relative violation of the stationarity conditions of [12]",
        "single.runs[*].settled",
    ),
    SAME(
        "single task: they interpolate",
        "Single-task networks trained from different seeds interpolate the data.",
        TOP, "largest residual, relative to the label range",
        "single.runs[*].residual",
    ),
    Claim(
        "single task: several optima",
        "The single-task problem has several global minimisers.",
        TOP, "1 if the optimum is proved to be unique, 0 if two optima are proved, else open",
        "optima.single[*].unique", "at most", 0.0, "It is yes or no.",
    ),
    DIFFERENT(
        "single task: how far optima differ",
        "Global minimisers of the single-task problem are highly variable.",
        TOP, "greatest width of the exact range of all optima on the square, relative to the "
        "label range",
        "optima.single[*].width",
    ),
    DIFFERENT(
        "single task: seeds show it",
        "Training from different seeds ends at visibly different functions.",
        TOP, "largest difference of two trained networks on the square, relative to the label "
        "range",
        "single.spread",
    ),
    Claim(
        "101 tasks: one optimum",
        "With 100 random tasks there is only one global minimiser.",
        BOTTOM, "1 if the optimum is proved to be unique, 0 if two optima are proved, else open; "
        "at the paper's decay and near interpolation",
        "optima.many[*].unique", "at least", 1.0, "It is yes or no.",
    ),
    MINIMAL(
        "101 tasks: as good as optimal",
        "Multi-task networks trained from different seeds are global minimisers.",
        BOTTOM, "objective above the certified lower bound, relative; infinite for a diverged seed",
        "many.runs[*].settled_excess",
    ),
    CONVERGED(
        "101 tasks: converged",
        "Multi-task networks are trained to convergence.",
        "Appendix B", "relative violation of the stationarity conditions of [12]",
        "many.runs[*].settled",
    ),
    SAME(
        "101 tasks: the optimal function",
        "The first output of multi-task networks trained from different seeds is that of the "
        "optimum.",
        BOTTOM, "largest difference from the certified optimum on the square, relative to the "
        "label range",
        "many.runs[*].from_optimum",
    ),
    SAME(
        "101 tasks: nearly identical",
        "Multi-task networks from different seeds are nearly identical.",
        BOTTOM, "largest difference of the first outputs of two trained networks on the square, "
        "relative to the label range",
        "many.spread",
    ),
    SAME(
        "101 tasks: λ ≈ 0",
        "The multi-task solution was obtained with λ ≈ 0 and interpolates; weight decay 1e-3 on "
        "the mean squared error gives it.",
        "Figure 5, Appendix B",
        "largest residual of the first output of the certified optimum at α = 0.404, relative to "
        "the label range",
        "optima.many[0].residual",
    ),
    SAME(
        "kernel fit of trained neurons",
        "Ridge regression [27] over neurons trained on the other 100 tasks is similar to the first "
        "output of the network trained on all 101.",
        BOTTOM, "largest difference on the square from each seed's network, relative to the label "
        "range",
        "many.runs[*].from_kernel",
    ),
    SAME(
        "kernel fit of optimal neurons",
        "Ridge regression [27] over the neurons of the certified optimum for the other 100 tasks "
        "is similar to the first output of that for all 101.",
        BOTTOM, "largest difference on the square, relative to the label range; at the paper's "
        "decay and near interpolation",
        "optima.many[*].from_kernel",
    ),
    SMOOTHER(
        "smoother, trained",
        "Trained multi-task solutions are often much smoother than single-task ones.",
        "Section 4, last paragraph",
        "median, over pairs of a trained T = 101 and a trained T = 1 network, of the ratio of "
        "their largest and root mean square change of slope, and slope; open where these four "
        "disagree on which is smoother, or a network is not settled",
        "smoother.trained",
    ),
    SMOOTHER(
        "smoother, optimal",
        "Optimal multi-task solutions are often much smoother than single-task ones, at the same "
        "penalty α = 1e-3, where neither is smooth merely because it fits less.",
        "Section 4, last paragraph",
        "the same of the optimal T = 101 function over random optimal T = 1 functions",
        "smoother.optimal",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train with one task and with 101, solve both, and fit the first task over other neurons."""
    seeds = list(range(n_seeds))
    X, Y = DESIGN.draw(MANY, 0)
    alpha = alpha_of(MANY)

    def optima(progress: Progress) -> Data:
        return {
            "single": [_single(each) for each in (alpha_of(1), SMALL)],
            "many": [_many(each) for each in (alpha, SMALL)],
        }

    def single(progress: Progress) -> Data:
        return _runs(X, Y[:, :1], alpha_of(1), seeds, settings, progress)

    def many(progress: Progress) -> Data:
        return _runs(X, Y, alpha, seeds, settings, progress)

    def kernel(progress: Progress) -> Data:
        training = trained(X, Y[:, 1:], alpha_of(MANY - 1), [n_seeds], settings, progress)
        others = training.networks[0]
        # The penalty of the 101 tasks: [27] is their problem with the neurons fixed.
        fit = None if others is None else on_grid(kernel_fit(others, alpha))
        left = float(training.stationarity[0])
        return {"values": fit, "stationarity": left, "settled": left <= SETTLED}

    parts = {"optima": optima, "single": single, "many": many, "kernel": kernel}
    data = in_parts(parts, settings, n_seeds, progress, kept)
    optimum, fit = data["optima"]["many"][0]["values"], data["kernel"]["values"]
    for run in data["many"]["runs"]:
        still = run["settled"] is not None and data["kernel"]["settled"]
        run["from_optimum"] = None if run["settled"] is None else apart(run["values"], optimum)
        run["from_kernel"] = apart(run["values"], fit) if still else None
    return data | {"alpha": {"T = 1": alpha_of(1), "T = 101": alpha}, "smoother": _smoother(data)}


def _single(alpha: float) -> Data:
    """The optima of the first task alone."""
    X, Y = DESIGN.draw(1, 0)
    optimum = mtrelu.solve(X, Y, alpha, tol=TOL)
    optima = optimum.optimal_set()
    assert isinstance(optima, OptimalPolytope)  # as for any problem with two inputs
    low, high = optima.range(grid())
    values = [on_grid(network) for network in optima.sample(20, random_state=0)]
    return {
        "alpha": alpha,
        "gap": optimum.certificate.relative_gap,
        "unique": is_unique(optimum),
        "width": (high - low)[:, 0].max() if optima.complete else None,
        "residual": residual(optimum.network),
        "low": low[:, 0],
        "high": high[:, 0],
        "roughness": [roughness(each) for each in values],
    }


def _many(alpha: float) -> Data:
    """The optimum of all tasks, and the kernel fit over neurons that are optimal for the others."""
    X, Y = DESIGN.draw(MANY, 0)
    found = leave_task_out(X, Y, alpha, tol=TOL)
    values, fit = on_grid(found.solution.network), on_grid(found.network)
    gaps = [each.certificate.relative_gap for each in (found.solution, found.others)]
    return {
        "alpha": alpha,
        "gaps": gaps,
        "unique": is_unique(found.solution),
        "residual": residual(found.solution.network),
        "from_kernel": apart(values, fit) if max(gaps) <= PROVED else None,
        "roughness": roughness(values),
        "n_neurons": found.solution.network.n_neurons,
        "values": values,
        "kernel": fit,
    }


def _runs(
    X: Any, Y: Any, alpha: float, seeds: list[int], settings: Settings, progress: Progress
) -> Data:
    training = trained(X, Y, alpha, seeds, settings, progress)
    rows = runs(training, mtrelu.solve(X, Y, alpha, tol=TOL))
    spread = None
    if len(rows) > 1 and all(row["values"] is not None and row["settled"] is not None
                             for row in rows):  # fmt: skip
        spread = float(np.ptp([row["values"] for row in rows], axis=0).max())
    return {"alpha": alpha, "runs": rows, "spread": spread, "seconds": training.seconds}


def _smoother(data: Data) -> Data:
    runs = data["single"]["runs"] + data["many"]["runs"]
    ready = all(run["roughness"] is not None and run["settled"] is not None for run in runs)
    one, many = ([run["roughness"] for run in data[name]["runs"]] for name in ("single", "many"))
    near = data["optima"]
    return {
        "trained": _ratio(one, many) if ready else None,
        "optimal": _ratio(near["single"][1]["roughness"], [near["many"][1]["roughness"]]),
    }


def _ratio(one: list[list[float]], many: list[list[float]]) -> float | None:
    """Medians of the ratios of all pairs, one a measure, as far as the measures agree."""
    ratios = np.array(many)[:, np.newaxis] / np.array(one)
    return agreed(np.median(ratios, axis=(0, 1)).tolist(), limit=SMOOTHER.keywords["limit"])


def draw(data: Data) -> Any:
    """Draw the paper's five surfaces, the certified ones, and how far everything is apart."""
    figure = new_figure(None, (10.0, 10.2))
    above, below = figure.subfigures(2, 1, height_ratios=(2.1, 1.0))
    single = data["single"]["runs"]
    many = data["optima"]["many"]
    surfaces = [
        (run["values"], f"({letter}) T = 1, trained, seed {run['seed']}")
        for letter, run in zip("abc", single, strict=False)
    ]
    surfaces += [(None, "")] * (3 - len(surfaces))
    surfaces += [
        (data["many"]["runs"][0]["values"], "(d) T = 101, trained, α = 0.404"),
        (data["kernel"]["values"], "(e) kernel of the other 100, trained"),
        (many[1]["values"], "T = 101, certified optimum, α = 0.001"),
    ]
    for i, (values, title) in enumerate(surfaces):
        axes = above.add_subplot(2, 3, i + 1, projection="3d")
        if title:
            surface(axes, values, title)
        else:
            axes.set_axis_off()
    left, right = below.subplots(1, 2)
    _draw_diagonal(left, data)
    _draw_runs(right, data)
    return figure


def _draw_diagonal(axes: Any, data: Data) -> None:
    """Every trained network along a diagonal, over the range of all single-task optima."""
    n = int(np.sqrt(len(data["optima"]["many"][0]["values"])))
    at = np.linspace(-1.0, 1.0, n)

    def diagonal(values: Any) -> np.ndarray:
        return np.diagonal(np.reshape(values, (n, n)))

    single = data["optima"]["single"][0]
    axes.fill_between(at, diagonal(single["low"]), diagonal(single["high"]), color="#e4e7eb", lw=0,
                      label="T = 1, all optima")  # fmt: skip
    for name, colour, label in (("single", GREY, "T = 1, trained"), ("many", BLUE, "T = 101")):
        for i, run in enumerate(data[name]["runs"]):
            if run["values"] is not None:
                axes.plot(at, diagonal(run["values"]), color=colour, lw=1.3, alpha=0.8,
                          label=label if i == 0 else None)  # fmt: skip
    optimum = diagonal(data["optima"]["many"][0]["values"])
    axes.plot(at, optimum, color=INK, lw=1.2, ls=(0, (2, 3)), label="T = 101, certified")
    axes.plot([-1, -0.5, 0.5, 1], [0, 1, 1, 0], "o", color=RED, ms=5, zorder=3)
    axes.set_xlabel("along the diagonal $x_1 = x_2$", fontsize=9)
    axes.set_title("first output, all seeds", fontsize=9, color=INK)
    axes.legend(fontsize=7.5, frameon=False)
    plain(axes)


def _draw_runs(axes: Any, data: Data) -> None:
    """Excess and distances, seed by seed."""
    rows = (
        ("T = 1: excess", "single", "excess", GREY),
        ("T = 101: excess", "many", "excess", BLUE),
        ("T = 101: from optimum", "many", "from_optimum", BLUE),
        ("T = 101: from kernel fit", "many", "from_kernel", BLUE),
    )
    for i, (_, name, key, colour) in enumerate(rows):
        known = [run[key] for run in data[name]["runs"] if run[key] not in (None, "inf")]
        shift = np.linspace(-0.18, 0.18, len(known)) if len(known) > 1 else np.zeros(len(known))
        axes.plot(np.maximum(np.array(known, dtype=np.float64), 1e-12), i + shift, "o",
                  color=colour, ms=4)  # fmt: skip
        reading = (MINIMAL if key == "excess" else SAME).keywords
        axes.plot([reading["tolerance"]] * 2, [i - 0.35, i + 0.35], color=RED, lw=1.5)
    labels = [row[0] for row in rows]
    spread = data["single"]["spread"]
    if spread is not None:
        axes.plot(spread, len(rows), "o", color=GREY, ms=4)
        axes.plot(data["optima"]["single"][0]["width"], len(rows), "D", color=INK, ms=4)
        axes.plot([PLAIN] * 2, [len(rows) - 0.35, len(rows) + 0.35], color=RED, lw=1.5)
        labels.append("T = 1: spread (range: ◆)")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_title("every seed; red: the tolerance", fontsize=9, color=INK)
    plain(axes)


FIGURE = Figure(
    name="fig5",
    title="Figure 5: the two squares, trained with one and with 101 tasks",
    description="Eight points at the corners of two squares, labels 0 outside and 1 inside, and "
    "100 random tasks. Trained as in Appendix B: 800 neurons, Adam, weight decay 1e-3 on the mean "
    "squared error. That is α = 0.004 for T = 1 but α = 0.404 for T = 101, which is not near "
    "interpolation; certified optima are therefore shown for α = 0.001 too. Every trained network "
    "is compared with the certified optimum of its problem. The seeds differ in initialisation, "
    "not in labels (for which see Figure 7). The full scale takes 60,000 steps for T = 1 and "
    "12,000 for T = 101.",
    caption="(a) to (e) as in the paper, then the optimum nearer to interpolation. Below: the "
    "first output along the diagonal, and how far training and kernel fit are from the optimum "
    "(relative objective, or largest difference on the square).",
    claims=CLAIMS,
    quick={"width": 800, "settling_steps": 2000, "one": {"steps": 30_000, "rate": 0.003},
           "many": {"steps": 5000, "rate": 0.01}},
    full={"width": 800, "settling_steps": 10_000, "one": {"steps": 60_000, "rate": 0.003},
          "many": {"steps": 12_000, "rate": 0.003}},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
