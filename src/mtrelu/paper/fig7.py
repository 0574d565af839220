"""Figure 7: more trials of Figure 5 with 101 tasks, each with other labels and another start."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import mtrelu
from mtrelu.displays._style import new_figure
from mtrelu.paper._parts import in_parts
from mtrelu.paper._squares import (
    DESIGN,
    MANY,
    TOL,
    alpha_of,
    apart,
    is_unique,
    kernel_fit,
    on_grid,
    runs,
    surface,
    trained,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings
from mtrelu.paper.readings import CONVERGED, MINIMAL, SAME

PLACE = "Appendix B.1, Figure 7"
CLAIMS = (
    Claim(
        "one optimum",
        "Each trial has only one global minimiser.",
        PLACE, "1 if the optimum is proved to be unique, 0 if two optima are proved, else open",
        "trials[*].unique", "at least", 1.0, "It is yes or no.",
    ),
    MINIMAL(
        "as good as optimal",
        "Training reaches it in each trial.",
        PLACE, "objective above the certified lower bound, relative; infinite for a diverged seed",
        "trials[*].run.excess",
    ),
    CONVERGED(
        "converged",
        "The networks are trained to convergence.",
        "Appendix B", "relative violation of the stationarity conditions of [12]",
        "trials[*].run.stationarity",
    ),
    SAME(
        "the optimal function",
        "The first output that is learned is that of the optimum of its trial.",
        PLACE, "largest difference on the square, relative to the label range",
        "trials[*].from_optimum",
    ),
    SAME(
        "similar to the kernel fit",
        "In each trial it is similar to the solution of [27] over neurons trained on the other "
        "100 tasks: any one task contributes little to the neurons.",
        PLACE, "largest difference on the square, relative to the label range",
        "trials[*].from_kernel",
    ),
    SAME(
        "consistent, trained",
        "The learned function is consistent across trials.",
        PLACE, "largest difference of the first outputs of two trials on the square, relative to "
        "the label range",
        "pairs[*].trained",
    ),
    SAME(
        "consistent, certified",
        "So are the optimal functions: it is no accident of training.",
        PLACE, "largest difference of the first outputs of the certified optima of two draws of "
        "the labels on the square, relative to the label range",
        "draws[*].apart",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train in each trial on all tasks and on all but the first."""
    # Trial 0 would repeat the labels of Figure 5.
    trials = range(1, min(n_seeds, settings["most_trials"]) + 1)

    def trial(seed: int) -> Any:
        return lambda progress: _trial(seed, settings, progress)

    parts = {f"trial {seed}": trial(seed) for seed in trials}
    done = list(in_parts(parts, settings, n_seeds, progress, kept).values())
    pairs = [
        {"trials": [one["seed"], other["seed"]],
         "trained": apart(one["run"]["values"], other["run"]["values"])}
        for one, other in combinations(done, 2)
    ]  # fmt: skip
    return {"alpha": alpha_of(MANY), "trials": done, "pairs": pairs,
            "draws": _draws(settings["draws"])}  # fmt: skip


def _trial(seed: int, settings: Settings, progress: Progress) -> Data:
    """One draw of the labels and of the start."""
    X, Y = DESIGN.draw(MANY, seed)
    alpha = alpha_of(MANY)
    optimum = mtrelu.solve(X, Y, alpha, tol=TOL)
    everything = trained(X, Y, alpha, [seed], settings, lambda now, n: progress(now, 2 * n))
    others = trained(X, Y[:, 1:], alpha, [seed], settings, lambda now, n: progress(n + now, 2 * n))
    run = runs(everything, optimum)[0]
    network = others.networks[0]
    fit = None if network is None else on_grid(kernel_fit(network, alpha))
    best = on_grid(optimum.network)
    return {
        "seed": seed,
        "unique": is_unique(optimum),
        "gap": optimum.certificate.relative_gap,
        "run": run,
        "optimum": best,
        "kernel": fit,
        "from_optimum": apart(run["values"], best),
        "from_kernel": apart(run["values"], fit),
        "seconds": everything.seconds + others.seconds,
    }


def _draws(n: int) -> list[Data]:
    """How far the optima of many draws of the labels are from that of the first."""
    optima = []
    for seed in range(n + 1):
        X, Y = DESIGN.draw(MANY, seed)
        optima.append(on_grid(mtrelu.solve(X, Y, alpha_of(MANY), tol=TOL).network))
    return [{"seed": seed, "apart": apart(optima[seed], optima[0])} for seed in range(1, n + 1)]


def draw(data: Data) -> Any:
    """Draw up to four trials: the network above, the kernel fit below."""
    shown = data["trials"][:4]
    figure = new_figure(None, (3.3 * max(len(shown), 2), 6.4))
    for i, trial in enumerate(shown):
        for row, (values, title) in enumerate((
            (trial["run"]["values"], f"T = 101, trained, trial {trial['seed']}"),
            (trial["kernel"], f"kernel of the other 100: {_percent(trial['from_kernel'])} apart"),
        )):  # fmt: skip
            axes = figure.add_subplot(2, len(shown), row * len(shown) + i + 1, projection="3d")
            surface(axes, values, title)
            axes.set_zlim(-0.1, 1.2)
    return figure


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100.0 * value:.2g} %"


FIGURE = Figure(
    name="fig7",
    title="Figure 7: more trials with 101 tasks, and the kernel fit",
    description="The experiment of Figure 5(d) and (e) with other random labels and other starts. "
    "In each trial 800 neurons are trained on all 101 tasks, and again on the 100 without the "
    "first, whose neurons make the kernel. Weight decay 1e-3 is α = 0.404. How far the certified "
    "optima of further draws of the labels are apart says what is due to the labels alone. The "
    "quick scale makes three trials at most, as the paper; the full scale one a seed, of 12,000 "
    "steps.",
    caption="Each column a trial. Above: the first output of the trained network. Below: the "
    "kernel fit of the first task, and the largest difference of the two in percent of the label "
    "range. Red: the data.",
    claims=CLAIMS,
    quick={"width": 800, "many": {"steps": 4000, "rate": 0.01}, "settling_steps": 2000,
           "most_trials": 3, "draws": 20},
    full={"width": 800, "many": {"steps": 12_000, "rate": 0.003}, "settling_steps": 10_000,
          "most_trials": 100, "draws": 200},
    measure=measure,
    draw=draw,
)  # fmt: skip
