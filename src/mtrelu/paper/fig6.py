"""Figure 6 and appendix A.1: a knot between the first two data points is never optimal."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.paper._line import cost, slopes, through
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas

PLACE = "Appendix A.1, Figure 6"
STRICT = 1e-9
STRICT_REASON = (
    "Any rise is strict; one that is not above the rounding of costs and slopes, 1e-9 with room, "
    "is left open."
)
RISE = partial(Claim, sense="at least", tolerance=STRICT, limit=-STRICT, reason=STRICT_REASON)
EQUAL = partial(
    Claim,
    sense="at most",
    tolerance=1e-12,
    limit=STRICT,
    reason="Rounding of some ten norms; only what is above 1e-9 cannot be that.",
)
ROUNDED = "Rounding of some ten norms, with six digits of room for close points and small gaps."

CLAIMS = (
    RISE(
        "strictly dearer",
        "A function with a knot between the first two (or the last two) data points costs strictly "
        "more than connecting the dots, in the case that Lemma 3.2 leaves: a − b, δ and b − c "
        "aligned.",
        PLACE,
        "cost above that of connecting the dots, relative to the latter",
        "aligned[*].rise",
    ),
    RISE(
        "in general",
        "A function with a knot between the first two (or the last two) data points costs strictly "
        "more than connecting the dots, also if nothing is aligned or some outputs have no knot "
        "there.",
        PLACE,
        "cost above that of connecting the dots, relative to the latter",
        "random[*].rise",
    ),
    EQUAL(
        "by removing the knot",
        "Removing the knot at x̃ between the first two data points does not raise the cost, "
        "R(g̃) ≤ R(g).",
        PLACE,
        "cost without the knot minus cost with it, relative",
        "aligned[*].removal",
    ),
    RISE(
        "and then the end's own knot",
        "Once the knot between the first two data points is removed, the bend at the first costs "
        "strictly more than connecting the dots: ‖c − a‖ > ‖c − b‖.",
        PLACE,
        "‖c − a‖/‖c − b‖ − 1",
        "aligned[*].longer",
    ),
    EQUAL(
        "the triangle inequality",
        "For the slopes a, b, c around the first two data points ‖b − a‖ + ‖c − b‖ ≥ ‖c − a‖.",
        PLACE,
        "(‖c − a‖ − ‖b − a‖ − ‖c − b‖)/‖c − a‖",
        "aligned[*].triangle",
    ),
    Claim(
        "certified",
        "The library's certificate sees exactly what a function with a knot between the first two "
        "data points costs more than connecting the dots.",
        "a check of Theorem 3.1",
        "difference between the duality gap of g (mtrelu.certify) and its excess, relative to the "
        "cost",
        "aligned[*].certificate_off",
        "at most", STRICT, ROUNDED,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Put a knot between the first two data points, or the last two, in every way."""
    aligned, random = [], []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        for draw in range(settings["draws"]):
            for T in settings["n_tasks"]:
                which = {"seed": seed, "draw": draw, "T": T, "mirrored": bool(draw % 2)}
                aligned.append(which | _one(rng, T, which["mirrored"], True))
                random.append(which | _one(rng, T, which["mirrored"], False))
        progress(seed + 1, n_seeds)
    return {"aligned": aligned, "random": random, "example": _example()}


def _one(rng: np.random.Generator, T: int, mirrored: bool, aligned: bool) -> Data:
    """The construction of the proof, from either end."""
    x = np.cumsum(rng.uniform(0.5, 1.5, size=5))
    Y = rng.standard_normal((5, T))
    s = slopes(x, Y)
    b, c = s[0], s[1]
    tau = rng.uniform(0.2, 0.8)
    if aligned:
        a = b + rng.uniform(0.2, 2.0) * (b - c)
        ends = np.linalg.norm(a - b), (1.0 - tau) / tau * np.linalg.norm(b - c)
        delta = rng.uniform(0.1, 0.9) * min(ends) * (b - c) / np.linalg.norm(b - c)
    else:
        # Some outputs have no knot; the first one always has.
        bent = rng.random(T) < 0.7
        bent[0] = True
        a, delta = b + bent * rng.standard_normal(T), bent * rng.standard_normal(T)
    at = x[0] + tau * (x[1] - x[0])
    knot = Y[0] + (b + delta) * (at - x[0])
    with_knot = np.insert(x, 1, at), np.insert(Y, 1, knot, axis=0)
    g, dots = through(*with_knot, first=a), through(x, Y)
    without = through(x, Y, first=a)
    if mirrored:
        x = -x[::-1]
        Y = Y[::-1]
        g, dots, without = (_mirrored(each) for each in (g, dots, without))
    costs = {name: each.path_cost() for name, each in (("g", g), ("dots", dots), ("g~", without))}
    rise = costs["g"] / costs["dots"] - 1.0
    certificate = mtrelu.certify(g, x, Y, 0.0)
    ab, bc, ac = (float(np.linalg.norm(each)) for each in (b - a, c - b, c - a))
    return {
        "rise": rise,
        "removal": (costs["g~"] - costs["g"]) / costs["g"],
        "longer": ac / bc - 1.0,
        "triangle": (ac - ab - bc) / ac,
        "certificate_off": abs(certificate.gap - (costs["g"] - costs["dots"])) / costs["dots"],
    }


def _mirrored(network: Any) -> Any:
    """The function of −x."""
    return mtrelu.ReLUNetwork(-network.w, network.b, network.v, -network.A, network.c)


def _example() -> Data:
    """Two tasks to draw, one with a knot at x̃ and one without."""
    x = np.array([0.0, 1.0, 2.0, 3.2])
    Y = np.array([[0.0, 1.5], [1.0, 1.8], [0.9, 1.4], [1.6, 2.2]])
    s = slopes(x, Y)
    a = s[0] + np.array([0.9, 0.0]) * (s[0] - s[1])
    at = 0.5
    knot = Y[0] + (s[0] + np.array([0.6, 0.0])) * at
    g = through(np.insert(x, 1, at), np.insert(Y, 1, knot, axis=0), first=a)
    dots = through(x, Y)
    grid = np.unique(np.concatenate([np.linspace(-0.8, 3.6, 221), x, [at]]))
    return {
        "x": x, "Y": Y, "at": at, "grid": grid, "g": g(grid), "dots": dots(grid),
        "cost_g": cost(g.slope_changes()), "cost_dots": cost(dots.slope_changes()),
    }  # fmt: skip


def draw(data: Data) -> Any:
    """Draw g and connect-the-dots side by side."""
    figure = canvas((9.5, 3.2))
    example = data["example"]
    x, Y, grid = (np.array(example[name]) for name in ("x", "Y", "grid"))
    panels = (
        ("g", f"(a) g, a knot between the first two points: cost {example['cost_g']:.3f}"),
        ("dots", f"(b) connecting the dots: cost {example['cost_dots']:.3f}"),
    )
    for axes, (name, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        values = np.array(example[name])
        for t, colour in enumerate((BLUE, INK)):
            axes.plot(grid, values[:, t], color=colour, lw=1.8)
            axes.plot(x, Y[:, t], "o", color=RED, ms=5, zorder=3)
        if name == "g":
            axes.axvline(example["at"], color=GREY, lw=1.0, ls=(0, (3, 2)), zorder=0)
        axes.set_xticks(
            [example["at"], *x] if name == "g" else x,
            ([r"$\tilde x$"] if name == "g" else []) + [f"$x_{i + 1}$" for i in range(x.size)],
        )
        axes.set_title(title, fontsize=9, color=INK)
        plain(axes)
    return figure


FIGURE = Figure(
    name="fig6",
    title="Figure 6: the proof's end interval",
    description="The last step of the proof of Theorem 3.1: between the first two data points (and "
    "the last two) Lemma 3.2 alone does not exclude a knot, since it may cost nothing; but then "
    "the function bends at the end as well, and that costs. Made with random data, from both ends.",
    caption="Left: a function with a knot between the first two points, which must then also bend "
    "at the first. Right: connecting the dots, which costs less. Red: the data.",
    claims=CLAIMS,
    quick={"draws": 20, "n_tasks": [1, 2, 3, 5]},
    full={"draws": 400, "n_tasks": [1, 2, 3, 5, 20]},
    measure=measure,
    draw=draw,
)
