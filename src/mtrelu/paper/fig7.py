"""Figure 7: more trials of Figure 5 with 101 tasks, each with other labels and another start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mtrelu
from mtrelu.displays._style import new_figure
from mtrelu.paper._parts import Part, in_parts
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
from mtrelu.paper.readings import CONVERGED, MINIMAL, SAME, SETTLED

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
        "Training with 101 tasks reaches the only global minimiser in each trial.",
        PLACE, "objective above the certified lower bound, relative; infinite for a diverged seed",
        "trials[*].run.settled_excess",
    ),
    CONVERGED(
        "converged",
        "The networks of all trials are trained to convergence.",
        "Appendix B", "relative violation of the stationarity conditions of [12]",
        "trials[*].run.settled",
    ),
    SAME(
        "the optimal function",
        "The first output that is learned is that of the optimum of its trial.",
        PLACE, "largest difference on the square, relative to the label range",
        "trials[*].from_optimum",
    ),
    SAME(
        "similar to the kernel fit",
        "In each trial the first output is similar to the solution of [27] over neurons trained "
        "on the other 100 tasks: any one task contributes little to the neurons.",
        PLACE, "largest difference on the square, relative to the label range",
        "trials[*].from_kernel",
    ),
    SAME(
        "the same with other labels",
        "With 100 other random tasks the optimal network has the same first output.",
        "beyond the paper, which speaks of other initialisations",
        "largest difference of the first outputs of the certified optima of two draws of the "
        "labels on the square, relative to the label range",
        "draws[*].apart",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train in each trial on all tasks and on all but the first."""

    # Trial 0 would repeat the labels of Figure 5.
    def trial(seed: int) -> Part:
        return lambda progress: _trial(seed, settings, progress)

    parts: dict[str, Part] = {f"trial {seed}": trial(seed) for seed in range(1, n_seeds + 1)}
    parts["draws"] = lambda _: {"draws": _draws(settings["draws"])}
    *done, further = in_parts(parts, settings, n_seeds, progress, kept).values()
    return {"alpha": alpha_of(MANY), "trials": done, **further}


def _trial(seed: int, settings: Settings, progress: Progress) -> Data:
    """One draw of the labels and of the start."""
    X, Y = DESIGN.draw(MANY, seed)
    alpha = alpha_of(MANY)
    optimum = mtrelu.solve(X, Y, alpha, tol=TOL)
    everything = trained(X, Y, alpha, [seed], settings, lambda now, n: progress(now, 2 * n))
    others = trained(
        X, Y[:, 1:], alpha_of(MANY - 1), [seed], settings, lambda now, n: progress(n + now, 2 * n)
    )
    run = runs(everything, optimum)[0]
    network = others.networks[0]
    fit = None if network is None else on_grid(kernel_fit(network, alpha))
    best = on_grid(optimum.network)
    still = run["settled"] is not None and bool(others.stationarity[0] <= SETTLED)
    return {
        "seed": seed,
        "unique": is_unique(optimum),
        "gap": optimum.certificate.relative_gap,
        "run": run,
        "optimum": best,
        "kernel": fit,
        "from_optimum": apart(run["values"], best) if still else None,
        "from_kernel": apart(run["values"], fit) if still else None,
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
    "optima of further draws of the labels are apart says what is due to the labels alone.",
    caption="Each column a trial. Above: the first output of the trained network. Below: the "
    "kernel fit of the first task, and the largest difference of the two in percent of the label "
    "range. Red: the data.",
    claims=CLAIMS,
    quick={"width": 800, "many": {"steps": 4000, "rate": 0.01}, "settling_steps": 2000,
           "draws": 20},
    full={"width": 800, "many": {"steps": 12_000, "rate": 0.003}, "settling_steps": 10_000,
          "draws": 200},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
