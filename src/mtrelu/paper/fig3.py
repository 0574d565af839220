"""Figure 3 and Lemma 3.2: removing a knot between data points does not raise the cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.knot_removal import remove_knot
from mtrelu.network import ReLUNetwork
from mtrelu.paper._line import cost, through
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas

ROUNDING = 1e-12
ROUNDED = (
    "Rounding: costs are sums of some ten norms, each right to 1e-15; segments are at least a "
    "twentieth as long as the inputs' range, which costs two digits more. 1e-12 leaves room."
)
STRICT = "Any fall is strict; what is below the rounding of costs, 1e-12, is left open."

CLAIMS = (
    Claim(
        "never dearer",
        "Removing a knot between two data points, and joining what is next to it by a straight "
        "line, does not raise the representational cost.",
        "Lemma 3.2",
        "cost after minus cost before, relative to the latter (mtrelu.remove_knot)",
        "random[*].growth",
        "at most", ROUNDING, ROUNDED,
    ),
    Claim(
        "strictly cheaper",
        "If a − b and b − c are not aligned, removing the knot makes the cost fall strictly; for "
        "random data of several tasks that is always so.",
        "Lemma 3.2",
        "cost before minus cost after, relative to the former, for more than one task",
        "several_tasks[*].fall",
        "at least", ROUNDING, STRICT, -ROUNDING,
    ),
    Claim(
        "equal when aligned",
        "If a − b, b − c and δ are aligned, and δ is not longer than the shorter of a − b and "
        "(1 − τ)/τ (b − c), removing the knot leaves the cost the same.",
        "Lemma 3.2, proof",
        "absolute change of the cost, relative",
        "aligned[*].change",
        "at most", ROUNDING, ROUNDED,
    ),
    Claim(
        "not equal beyond",
        "If a − b, b − c and δ are aligned, but δ is longer than the bound in Lemma 3.2, removing "
        "the knot makes the cost fall: the bound is sharp.",
        "follows from the proof of Lemma 3.2",
        "cost before minus cost after, relative to the former, for a δ of 1.5 times the bound",
        "beyond[*].fall",
        "at least", ROUNDING, STRICT, -ROUNDING,
    ),
    Claim(
        "labels are kept",
        "After a knot between two data points is removed the function still interpolates the data.",
        "Lemma 3.2",
        "largest change at a data point, relative to the largest label",
        "random[*].moved",
        "at most", ROUNDING, ROUNDED,
    ),
    Claim(
        "one after another",
        "Removing all knots between data points one after another ends at connecting the dots, at "
        "no higher cost; that is how the theorem follows.",
        "Section 3.1, below Lemma 3.2",
        "largest difference from connecting the dots between the data, relative to the largest "
        "label",
        "random[*].end_off",
        "at most", ROUNDING, ROUNDED,
    ),
    Claim(
        "cost of the knots",
        "The cost of a function is the sum of the lengths of its slope changes: ‖δ + b − a‖ + "
        "‖δ‖/(1 − τ) + ‖c − b + τδ/(1 − τ)‖ for the three knots of Figure 3.",
        "Section 3.1, proof of Lemma 3.2",
        "difference of this formula from the network's path norm, relative",
        "aligned[*].formula_off",
        "at most", ROUNDING, ROUNDED,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Remove knots from random functions, and from functions made to be the case of equality."""
    random, aligned, beyond = [], [], []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        for draw in range(settings["draws"]):
            for T in settings["n_tasks"]:
                which = {"seed": seed, "draw": draw, "T": T}
                random.append(which | _random(rng, T))
                aligned.append(which | _aligned(rng, T, rng.uniform(0.05, 0.95)))
                beyond.append(which | _aligned(rng, T, 1.5))
        progress(seed + 1, n_seeds)
    return {
        "random": random,
        "several_tasks": [each for each in random if each["T"] > 1],
        "aligned": aligned,
        "beyond": beyond,
        "example": _example(),
    }


def _change(network: ReLUNetwork, knot: int, x: np.ndarray) -> Data:
    removal = remove_knot(network, knot, x)
    growth = (removal.cost_after - removal.cost_before) / removal.cost_before
    return {"growth": growth, "change": abs(growth), "fall": -growth}


def _random(rng: np.random.Generator, T: int) -> Data:
    """Data with one more knot on each segment, and knots at the first and the last point."""
    x = np.cumsum(rng.uniform(0.5, 1.5, size=6))
    Y = rng.standard_normal((6, T))
    dots = through(x, Y)
    extra = x[:-1] + np.diff(x) * rng.uniform(0.2, 0.8, size=5)
    bent = dots(extra) + 0.5 * rng.standard_normal((5, T))
    at = np.concatenate([x, extra])
    order = np.argsort(at)
    values = np.vstack([Y, bent])[order]
    ends = np.array([at.min() - 1.0, at.max() + 1.0])
    network = through(
        np.concatenate([ends[:1], at[order], ends[1:]]),
        np.vstack([rng.standard_normal(T), values, rng.standard_normal(T)]),
    )
    largest = np.abs(Y).max()
    found = _change(network, _knot(network, extra[rng.integers(5)]), x)
    straight = network
    for each in extra[rng.permutation(5)]:
        straight = remove_knot(straight, _knot(straight, each), x).network
    inside = np.linspace(x[0], x[-1], 101)
    return found | {
        "moved": np.abs(straight(x) - Y).max() / largest,
        "end_off": np.abs(straight(inside) - dots(inside)).max() / largest,
    }


def _knot(network: ReLUNetwork, at: float) -> int:
    """The number of the knot next to a place."""
    return int(np.argmin(np.abs(network.knots() - at)))


def _points(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, delta: np.ndarray, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """The function of Figure 3 with ends at 0 and 1: slopes a, b + δ, b − τδ/(1 − τ), c."""
    at = np.array([-1.0, 0.0, tau, 1.0, 2.0])
    return at, np.vstack([-a, np.zeros_like(a), tau * (b + delta), b, b + c])


def _aligned(rng: np.random.Generator, T: int, share: float) -> Data:
    """The case of equality, or the same with a longer δ: share is its length over the bound."""
    u = rng.standard_normal(T)
    u /= np.linalg.norm(u)
    lengths, tau = rng.uniform(0.5, 2.0, size=2), rng.uniform(0.2, 0.8)
    b = rng.standard_normal(T)
    a, c = b + lengths[0] * u, b - lengths[1] * u
    delta = share * min(lengths[0], (1.0 - tau) / tau * lengths[1]) * u
    network = through(*_points(a, b, c, delta, tau))
    formula = cost(
        np.array([delta + b - a, delta / (1.0 - tau), c - b + tau * delta / (1.0 - tau)])
    )
    found = _change(network, _knot(network, tau), np.array([-1.0, 0.0, 1.0, 2.0]))
    return found | {"formula_off": abs(formula / network.path_cost() - 1.0)}


def _example() -> Data:
    """Cost over the size of δ, along the aligned direction and along another one."""
    tau, b = 0.4, np.array([0.2, 0.1])
    ways = {"aligned": np.array([0.6, 0.8]), "not aligned": np.array([0.8, -0.6])}
    a, c = b + 1.0 * ways["aligned"], b - 1.2 * ways["aligned"]
    sizes = np.linspace(0.0, 2.0, 81)
    at, values = _points(a, b, c, 0.9 * ways["aligned"], tau)
    return {
        "sizes": sizes,
        "costs": {
            name: [through(*_points(a, b, c, size * way, tau)).path_cost() for size in sizes]
            for name, way in ways.items()
        },
        "bound": min(1.0, (1.0 - tau) / tau * 1.2),
        "tau": tau,
        "at": at,
        "values": values[:, 1],
    }


def draw(data: Data) -> Any:
    """Draw a knot and its removal, and the cost over its size."""
    figure = canvas((9.5, 3.4))
    left, right = figure.subplots(1, 2)
    example = data["example"]
    at, values = np.array(example["at"]), np.array(example["values"])
    left.plot(at, values, color=BLUE, lw=2, label="with the knot")
    left.plot(at[[1, 3]], values[[1, 3]], color=RED, lw=1.8, ls=(0, (5, 2)), label="removed")
    left.plot(at[[1, 3]], values[[1, 3]], "o", color=INK, ms=5)
    left.plot(at[2], values[2], "o", mfc="white", mec=BLUE, ms=6)
    labels = ("$a_t$", r"$b_t+\delta_t$", r"$b_t-\frac{\tau}{1-\tau}\delta_t$", "$c_t$")
    shifts = ((-14, 4), (-34, 6), (8, 6), (6, 4))
    for i, (text, shift) in enumerate(zip(labels, shifts, strict=True)):
        middle = 0.5 * (at[i] + at[i + 1]), 0.5 * (values[i] + values[i + 1])
        left.annotate(text, middle, shift, textcoords="offset points", color=BLUE, fontsize=10)
    left.annotate("$b_t$", (0.62, 0.5 * values[3] - 0.06), color=RED, fontsize=10)
    left.set_xticks([0.0, example["tau"], 1.0], [r"$\tilde x_1$", r"$\tilde x$", r"$\tilde x_2$"])
    left.set_yticks([])
    left.set_title("one output around the knot", fontsize=9, color=INK)
    left.legend(fontsize=8, frameon=False, loc="lower right")
    sizes = example["sizes"]
    for (name, costs), colour in zip(example["costs"].items(), (BLUE, RED), strict=True):
        right.plot(sizes, costs, color=colour, lw=2, label=name)
    right.axvline(example["bound"], color=GREY, lw=1.0, ls=(0, (3, 2)))
    right.annotate("bound of the lemma ", (example["bound"], 0.97), ha="right", va="top",
                   xycoords=("data", "axes fraction"), fontsize=8, color=INK)  # fmt: skip
    right.set_xlabel("‖δ‖", fontsize=9)
    right.set_ylabel("cost of the three knots", fontsize=9)
    right.set_title("the cost of a knot between data points", fontsize=9, color=INK)
    right.legend(fontsize=8, frameon=False, loc="center left")
    plain(left)
    plain(right)
    return figure


FIGURE = Figure(
    name="fig3",
    title="Figure 3 and Lemma 3.2: removing a knot between data points",
    description="The lemma behind the theorem: a knot away from the data can be straightened "
    "without raising the cost, and costs strictly less afterwards unless everything is aligned. "
    "Checked on random functions, on the lemma's case of equality, and just beyond it.",
    caption="Left: the notation of Figure 3. Right: the cost of the three knots over the size of "
    "δ. Along the aligned direction it stays the same up to the bound; along any other it grows "
    "at once.",
    claims=CLAIMS,
    quick={"draws": 25, "n_tasks": [1, 2, 3, 5]},
    full={"draws": 500, "n_tasks": [1, 2, 3, 5, 20]},
    measure=measure,
    draw=draw,
)
