"""Figure 8: every neuron of the multi-task student works for all tasks or for none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.network import ReLUNetwork
from mtrelu.paper._parts import Part, in_parts
from mtrelu.paper._student_teacher import (
    CUTOFFS,
    FULL,
    MSE,
    PROVED,
    PROVED_REASON,
    QUICK,
    TASKS,
    agreed,
    off_by,
    optimum,
    shared_by_all,
    train,
    without_network,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import ABOUT, NOT_ZERO

PLACE = "Appendix B.2, Figure 8"
SHARED = 150.0
TRAINED = ("affine", "none")
SOLVED = ("affine", "constant")
"""Skip connections: [1] has one, [11] has none; without a constant nothing can be certified."""
_COUNTED = (
    "that cost 1e-1, 1e-2, … or 1e-6 of the largest or more; open where these readings disagree"
)
_TRAINED = ", with the skip connection of [1] or none as in [11]"
_SOLVED = (
    ", with an affine skip connection or a constant, with the neurons left out that are not needed "
    "or not"
)

CLAIMS = (
    NOT_ZERO(
        "all tasks or none, trained",
        "Every active neuron of the trained network contributes to all tasks.",
        PLACE,
        "smallest output weight, relative to the root mean square of its neuron's, among neurons "
        f"{_COUNTED}, or training has not become stationary{_TRAINED}",
        "trained[*].least_entry",
    ),
    NOT_ZERO(
        "all tasks or none, optimum",
        "Every active neuron of the global optimum contributes to all tasks.",
        "follows from Figure 8",
        "smallest output weight, relative to the root mean square of its neuron's, among neurons "
        f"{_COUNTED}, or the optimum is not proved{_SOLVED}",
        "optima[*].least_entry",
    ),
    Claim(
        "optimum proved",
        "What Figure 8 is compared with is optimal, also with the neurons left out.",
        "a check",
        "certified relative duality gap, the largest of a draw",
        "optima[*].gap",
        "at most", PROVED, PROVED_REASON,
    ),
    ABOUT(
        "about 150 neurons, trained",
        "About 150 neurons of the trained network are shared by all tasks.",
        PLACE,
        f"doublings between 150 and the number of neurons {_COUNTED}, or training has not become "
        f"stationary{_TRAINED}",
        "trained[*].off",
    ),
    ABOUT(
        "about 150 neurons, optimum",
        "About 150 neurons of the global optimum are shared by all tasks.",
        "follows from Figure 8",
        f"doublings between 150 and the number of neurons {_COUNTED}, or the optimum is not "
        f"proved{_SOLVED}",
        "optima[*].off",
    ),
    Claim(
        "nearly interpolated, trained",
        "The trained multi-task network nearly interpolates the data.",
        "Appendix B.2",
        "mean squared error over samples and tasks; open where training has not become "
        f"stationary{_TRAINED}",
        "trained[*].mse",
        "at most", MSE, "The paper's number.",
    ),
    Claim(
        "nearly interpolated, optimum",
        "The global optimum of the multi-task problem nearly interpolates the data.",
        "follows from Appendix B.2",
        f"mean squared error over samples and tasks; open where it is not proved{_SOLVED}",
        "optima[*].mse",
        "at most", MSE, "The paper's number.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train from several seeds on one draw, and solve several draws; finished ones are kept."""

    def solve(draw: int, skip: str) -> Part:
        return lambda _: _solved(draw, skip)

    def descend(seed: int, skip: str) -> Part:
        return lambda _: _trained(seed, skip, settings)

    draws, seeds = (range(min(n_seeds, settings[name])) for name in ("draws", "trained"))
    parts = {f"optimum {i} {skip}": solve(i, skip) for i in draws for skip in SOLVED}
    parts |= {f"trained {i} {skip}": descend(i, skip) for i in seeds for skip in TRAINED}
    done = in_parts(parts, settings, n_seeds, progress, kept)
    optima = [
        {"draw": i} | _read([row for skip in SOLVED for row in done[f"optimum {i} {skip}"]["rows"]])
        for i in draws
    ]
    trained: list[Data] = [
        {"seed": i} | _read([done[f"trained {i} {skip}"] for skip in TRAINED]) for i in seeds
    ]
    for row in trained:
        for run in row["readings"]:
            bound = done[f"optimum 0 {run['skip']}"]["objective"] if run["skip"] in SOLVED else None
            run["above"] = None if bound is None else run["objective"] / bound - 1.0
    return {"optima": optima, "trained": trained}


def _solved(draw: int, skip: str) -> Data:
    found = optimum(TASKS, draw, skip)
    rows = [without_network(row) | {"valid": found["proved"]} for row in found["networks"]]
    rows[0]["pattern"] = _pattern(found["networks"][0]["network"]) if draw == 0 else None
    return {"objective": found["objective"], "rows": rows}


def _trained(seed: int, skip: str, settings: Settings) -> Data:
    run = train(TASKS, seed, settings, skip)
    network = run["network"]
    pattern = _pattern(network) if network is not None and seed == 0 else None
    return without_network(run) | {"valid": run["settled"], "pattern": pattern}


def _read(readings: Sequence[Data]) -> Data:
    """What the readings of one student have in common; None where they disagree."""
    found: Data = {"readings": list(readings), "least_entry": None, "off": None, "mse": None}
    found["gap"] = max((row["gap"] for row in readings if "gap" in row), default=None)
    if all(row["valid"] for row in readings):
        entries = [float(each) for row in readings for each in row["least_entry"]]
        found["least_entry"] = shared_by_all(entries)
        found["off"] = off_by([n for row in readings for n in row["n_active"]], SHARED)
        found["mse"] = agreed([row["mse"] for row in readings], MSE)
    return found


def _pattern(network: ReLUNetwork) -> np.ndarray:
    """|v_kt| by task and neuron, the dearest first, relative to the largest, with four digits."""
    v = network.unit_norm().v
    size = np.abs(v[np.argsort(-np.linalg.norm(v, axis=1))]).T
    return np.asarray(np.round(size / (size.max(initial=0.0) or 1.0), 4))


def draw(data: Data) -> Any:
    """Draw the sparsity patterns of a trained network and of the optimum, and how many count."""
    figure = canvas((10.0, 5.6))
    grid = figure.add_gridspec(2, 5)
    trained, solved = (
        [run for row in data[name] for run in row["readings"]] for name in ("trained", "optima")
    )
    names = ((trained, "trained: neurons in the order of their cost, all of them"),
             (solved, "certified optimum of the same problem"))  # fmt: skip
    for row, (runs, title) in enumerate(names):
        axes = figure.add_subplot(grid[row, :3])
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_ylabel("task", fontsize=9)
        if runs[0]["pattern"] is not None:
            shown = np.array(runs[0]["pattern"])
            # The root makes small weights visible.
            axes.imshow(
                np.sqrt(shown), aspect="auto", cmap="Blues", interpolation="none",
                vmin=0.0, vmax=1.0, extent=(0.5, shown.shape[1] + 0.5, len(shown), 0),
            )  # fmt: skip
        plain(axes)
    axes.set_xlabel("neuron", fontsize=9)
    axes = figure.add_subplot(grid[:, 3:])
    styles = {"affine": "-", "none": (0, (4, 2)), "constant": (0, (1, 1))}
    seen = set()
    for runs, colour, what in ((trained, BLUE, "trained"), (solved, RED, "optimum")):
        for run in runs:
            if "strengths" in run:
                ranked = np.array(run["strengths"])
                label = f"{what}, skip {run['skip']}"
                axes.plot(np.arange(1, ranked.size + 1), np.maximum(ranked, 1e-8), color=colour,
                          lw=1.2, ls=styles[run["skip"]],
                          label=None if label in seen else label)  # fmt: skip
                seen.add(label)
    for cutoff in CUTOFFS:
        axes.axhline(cutoff, color=GREY, lw=0.7, ls=(0, (4, 3)))
    axes.axvline(SHARED, color=GREY, lw=0.9, ls=(0, (1, 2)))
    axes.text(SHARED, 1.4, " 150", fontsize=8, color=INK, va="bottom")
    axes.set_yscale("log")
    axes.set_ylim(1e-8, 4.0)
    axes.set_title("what neurons cost, relative to the first", fontsize=9, color=INK, pad=12)
    axes.set_xlabel("neuron", fontsize=9)
    axes.legend(fontsize=7.5, loc="upper right", bbox_to_anchor=(1.0, 0.93), framealpha=0.9,
                edgecolor="none")  # fmt: skip
    plain(axes)
    return figure


FIGURE = Figure(
    name="fig8",
    title="Figure 8: neurons of the multi-task student, for all tasks or none",
    description="25 teacher neurons with five inputs and unit norm, 20 standard Gaussian inputs, "
    "one student network of 25 outputs and, as Appendix B says, 800 neurons, with weight decay "
    "1e-4 on the mean squared error, which is the penalty 0.025. Trained by Adam and then by "
    "proximal gradient to rest, and solved to certified optimality. The paper says neither for how "
    "long it trained, nor from which size on a neuron counts as active, nor whether the students "
    "have a skip connection, which its equation [1] has and [11] has not; so that a claim about "
    "neurons is decided only where all these readings agree. Trained networks share one draw of "
    "the data; optima are of several.",
    caption="Left: output weights by task and neuron, the root of their size, with the skip "
    "connection of [1]. Right: what each neuron costs, for all readings; dashed: from where on it "
    "may count as active; dotted: the paper's 150.",
    claims=CLAIMS,
    quick={**QUICK, "trained": 1, "draws": 1},
    full={**FULL, "trained": 20, "draws": 20},
    measure=measure,
    draw=draw,
    trains=True,
)  # fmt: skip
