"""Figure 1: one task, two optimal functions, and all convex combinations of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_set import OptimalSet
from mtrelu.paper._line import aligned_pairs, cost, dual_proof, mixture, slopes
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import DIFFERENT

PLACE = "Figure 1 and its caption"
ROUNDING = 1e-12
SEEN = 1e-9
ROUNDED = (
    "With one input the lower bound is a closed form, so that nothing but rounding is left: some "
    "1e-15 for a function with a handful of knots. 1e-12 leaves three digits of room; what is "
    "above 1e-9 is no rounding."
)
EXACT = partial(Claim, sense="at most", tolerance=ROUNDING, limit=SEEN, reason=ROUNDED)

CLAIMS = (
    EXACT(
        "both optimal",
        "Both functions in the picture are global minimisers of the interpolation problem [3].",
        PLACE,
        "relative duality gap of mtrelu.certify for alpha = 0",
        "functions[*].gap",
    ),
    DIFFERENT(
        "different",
        "The two functions in the picture differ.",
        PLACE,
        "largest difference of the two, relative to the largest label",
        "apart",
    ),
    EXACT(
        "as far as possible",
        "The optimal functions fill all the range between the two in the picture, and nothing "
        "outside of it.",
        "follows from Figure 1 and Theorem 3.1",
        "difference between the range of all optimal functions and that of the two, relative to "
        "the largest label",
        "range_off",
    ),
    EXACT(
        "convex combinations",
        "Every convex combination of the two functions in the picture is a global minimiser too.",
        PLACE,
        "relative duality gap of mtrelu.certify for alpha = 0",
        "mixtures[*].gap",
    ),
    Claim(
        "second-order total variation",
        "What the functions in the picture minimise is the second-order total variation: "
        "the path norm [3] is the total variation of the slope.",
        PLACE,
        "relative difference between the path norm and the sum of the slope changes that are seen "
        "in the values of the function",
        "functions[*].variation_off",
        "at most", 1e-9,
        "Slopes are differences of rounded values over steps of 1/57, at 400 places: 1e-15 times "
        "57 times 400 is some 2e-11, and 1e-9 leaves room.",
    ),
    EXACT(
        "weight decay",
        "Problems [2] and [3] have the same minimisers: rescaled to balanced weights, half the sum "
        "of squares is the path norm.",
        "equations [2], [3]",
        "relative difference of the two",
        "functions[*].balance_off",
    ),
    Claim(
        "a second task decides",
        "Together with a second task of other labels the optimal function of the data in the "
        "picture is unique, and it connects the dots of the first task.",
        "Section 1, below Figure 1",
        "1 for each second task with which connecting the dots is proved, by a dual variable that "
        "is computed here, to be the only optimal function; 0 where slope changes are aligned in "
        "exact fractions, open where rounding hides it",
        "second_task[*].unique",
        "at least", 1.0,
        "It is yes or no.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Certify the two functions, mixtures of them, and the case of a second task."""
    x, y = np.array(settings["x"]), np.array(settings["y"])
    largest = float(np.abs(y).max())
    optima = OptimalSet.of_interpolation(x, y)
    dots, corner = optima.extremes()
    grid = np.linspace(x[0] - 0.5, x[-1] + 0.5, 401)
    low, high = optima.range(grid)
    values = {"corner": corner(grid)[:, 0], "dots": dots(grid)[:, 0]}
    envelope = np.sort(list(values.values()), axis=0)
    off = max(np.abs(envelope[0] - low[:, 0]).max(), np.abs(envelope[1] - high[:, 0]).max())
    shares = np.linspace(0.0, 1.0, settings["mixtures"])
    rows = []
    for i, share in enumerate(shares):
        rows.append({"share": share, "gap": _gap(mixture(dots, corner, share), x, y)})
        progress(i + 1, len(shares))
    return {
        "x": x,
        "y": y,
        "functions": [
            {
                "name": name,
                "knots": network.knots(),
                "slope_changes": network.slope_changes()[:, 0],
                "cost": network.path_cost(),
                "gap": _gap(network, x, y),
                "variation_off": _variation_off(network, grid),
                "balance_off": abs(
                    network.balanced().weight_decay_cost() / network.path_cost() - 1
                ),
            }
            for name, network in (("corner", corner), ("dots", dots))
        ],
        "apart": np.abs(values["corner"] - values["dots"]).max() / largest,
        "range_off": off / largest,
        "mixtures": rows,
        "second_task": [_second_task(x, y, seed) for seed in range(n_seeds)],
        "grid": grid,
        "values": values,
        "low": low[:, 0],
        "high": high[:, 0],
    }


def _gap(network: ReLUNetwork, x: np.ndarray, y: np.ndarray) -> float:
    return mtrelu.certify(network, x, y, 0.0).relative_gap


def _variation_off(network: ReLUNetwork, grid: np.ndarray) -> float:
    """Compare the path norm with the variation of the slope that values on a grid show.

    A knot between two grid points shares its slope change between them, with one sign, so that the
    sum is exact while knots are further apart than grid points.
    """
    seen = cost(np.diff(slopes(grid, network(grid)), axis=0))
    return abs(seen / network.path_cost() - 1.0)


def _second_task(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Add a task of standard Gaussian labels, as for Figure 4."""
    second = np.random.default_rng(seed).standard_normal(x.size)
    Y = np.column_stack([y, second])
    proof = dual_proof(x, Y)
    gap = cost(np.diff(slopes(x, Y), axis=0)) / proof.bound - 1.0
    if aligned_pairs(x, Y):
        unique: bool | None = False
    else:
        unique = None if proof.margin is None or gap > ROUNDING else proof.margin > 0.0
    return {"seed": seed, "labels": second, "gap": gap, "margin": proof.margin, "unique": unique}


def draw(data: Data) -> Any:
    """Draw the two functions side by side, and between them their convex combinations."""
    figure = canvas((9.5, 3.0))
    left, middle, right = figure.subplots(1, 3, sharey=True)
    grid = np.array(data["grid"])
    corner, dots = (np.array(data["values"][name]) for name in ("corner", "dots"))
    left.plot(grid, corner, color=BLUE, lw=2)
    middle.fill_between(grid, data["low"], data["high"], color=BLUE, alpha=0.15, lw=0)
    for share in np.linspace(0.0, 1.0, 9):
        middle.plot(grid, (1 - share) * dots + share * corner, color=BLUE, lw=0.8, alpha=0.7)
    right.plot(grid, dots, color=BLUE, lw=2)
    costs = {each["name"]: each["cost"] for each in data["functions"]}
    titles = (
        f"as far as an optimum goes, cost {costs['corner']:.4g}",
        "convex combinations",
        f"connecting the dots, cost {costs['dots']:.4g}",
    )
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.plot(data["x"], data["y"], "o", color=RED, ms=6, zorder=3)
        axes.set_title(title, fontsize=9, color=INK)
        axes.axhline(0.0, color=GREY, lw=0.6, zorder=0)
        plain(axes)
    return figure


# Numbers with digits, for rounding to show.
_POINTS = {
    "x": [-2.9, -2.0, -0.9, 1.1, 2.1, 3.1],
    "y": [0.1, 0.1, 1.0, 1.1, 0.1, 0.0],
}
FIGURE = Figure(
    name="fig1",
    title="Figure 1: two optimal functions of a single task",
    description="One task over one input. The paper draws two functions through the same points "
    "that are both global minimisers, and says that all their convex combinations are. Here both "
    "are taken from the set of all optimal functions, and every one of them is certified anew. "
    "The paper does not print its data; these have the same shape.",
    caption="Red: the data. Left and right: the two extremes of the optimal set. Middle: some of "
    "their convex combinations, over the exact range of all optimal functions.",
    claims=CLAIMS,
    quick={**_POINTS, "mixtures": 21},
    full={**_POINTS, "mixtures": 1001},
    measure=measure,
    draw=draw,
)  # fmt: skip
