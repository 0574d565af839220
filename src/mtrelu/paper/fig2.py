"""Figure 2 and Theorem 3.1: connecting the dots is optimal, and nearly always uniquely so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.optimal_set import OptimalSet, Verdict
from mtrelu.paper._line import RESOLVED, aligned_pairs, dual_proof, slopes, through
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas

ROUNDING = 1e-12
CLOSE = 1e-8
APART = 1e-5
CLOSE_REASON = (
    "Rounding of 2e-16, enlarged by what divisions by the distance of the two nearest inputs cost, "
    "which are at least 1e-5 of their range apart, and by sums of up to 50 terms."
)
YES = "A yes or no. Cases closer to the border than rounding, 1e-13, are left open."

CLAIMS = (
    Claim(
        "always optimal",
        "Connecting the dots is a global minimiser of the interpolation problem [3], whatever the "
        "data.",
        "Theorem 3.1, first sentence",
        "path norm above a lower bound for all interpolants, relative; the bound is computed here "
        "from a dual variable and exact slope changes, apart from the library's",
        "draws[*].gap",
        "at most", ROUNDING,
        "Rounding of some hundred norms is 1e-14, however close inputs are.",
    ),
    Claim(
        "certified",
        "The library's certificate calls connecting the dots optimal too, for inputs that are at "
        "least 1e-5 of their range apart.",
        "a check of Theorem 3.1, first sentence",
        "relative duality gap of mtrelu.certify for alpha = 0",
        "certified[*]",
        "at most", CLOSE, CLOSE_REASON,
    ),
    Claim(
        "unique for several tasks",
        "With more than one task and random data of a continuous distribution, connecting the dots "
        "is the only minimiser: the exceptions have measure zero.",
        "Theorem 3.1, last sentence, and Corollary 1",
        "how far below 1 the dual function stays between the data points, which excludes knots "
        "there",
        "generic[*].margin",
        "at least", RESOLVED,
        "Any positive number is a proof; below 1e-13 it is not told from rounding, and left open.",
    ),
    Claim(
        "exactly when",
        "There are other minimisers if and only if, at two neighbouring inner data points, the "
        "slope changes are nonzero and aligned.",
        "Theorem 3.1, equations [7] and [8]",
        "1 where the verdict of mtrelu's optimal set is another than the condition in exact "
        "fractions, else 0",
        "draws[*].disagrees",
        "at most", 0.0, YES,
    ),
    Claim(
        "the dual agrees",
        "A dual variable, which is computed without the library, excludes other minimisers of [3] "
        "if and only if no neighbouring slope changes are aligned.",
        "Theorem 3.1, equations [7] and [8]",
        "1 where they contradict each other, else 0",
        "draws[*].dual_disagrees",
        "at most", 0.0, YES,
    ),
    Claim(
        "aligned data have others",
        "Where two neighbouring slope changes are aligned there are infinitely many minimisers, "
        "also with several tasks.",
        "Theorem 3.1, proof in appendix A.1",
        "relative duality gap of a second function, by mtrelu.certify, for inputs that are at "
        "least 1e-5 of their range apart",
        "many[*].witness_gap",
        "at most", CLOSE, CLOSE_REASON,
    ),
    Claim(
        "which differ",
        "The minimisers that the proof gives where slope changes are aligned are other functions "
        "than connecting the dots.",
        "Theorem 3.1, proof in appendix A.1",
        "largest difference from connecting the dots, relative to what it would be if the "
        "neighbouring lines were extended until they meet",
        "many[*].witness_apart",
        "at least", 0.5,
        "The proof gives functions at any share of that distance; half of it is far from none.",
    ),
    Claim(
        "a single task often has others",
        "With one task and one input minimisers of [3] are in general not unique.",
        "Section 3, before Figure 2",
        "share of random data sets of one task with other minimisers",
        "single_share",
        "at least", 0.5,
        "\"In general\" is read as: more often than not.",
    ),
    Claim(
        "minimum Sobolev norm",
        "Between the first and the last data point the solution of [3] is the interpolant of "
        "minimum norm for the kernel of the Sobolev space H1.",
        "equation [6]",
        "largest difference of the two, relative to the largest label and in units of rounding "
        "times the condition of the kernel matrix",
        "sobolev[*].off",
        "at most", 100.0,
        "Solving N equations loses as many units as the condition says, times a factor of at most "
        "some N = 10 in practice.",
    ),
    Claim(
        "few neurons, all shared",
        "At most N - 1 neurons represent the function that connects the dots.",
        "Section 3.1, below Remark 1",
        "number of neurons minus (N - 1)",
        "draws[*].neurons_above",
        "at most", 0.0, "A count, without rounding.",
    ),
    Claim(
        "neuron sharing",
        "All neurons of the function that connects the dots contribute to all outputs, although "
        "the tasks are unrelated.",
        "Section 3.1, below Remark 1",
        "share of the output weights of random data that are not zero",
        "generic[*].shared",
        "at least", 1.0, "A count, without rounding.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Draw many data sets: random ones, aligned ones, and ones of a single task."""
    cells = [(N, T, seed) for N, T in settings["sizes"] for seed in range(n_seeds)]
    generic: list[Data] = []
    for i, (N, T, seed) in enumerate(cells):
        rng = np.random.default_rng([seed, N, T])
        for draw in range(settings["draws"]):
            x, Y = np.sort(rng.standard_normal(N)), rng.standard_normal((N, T))
            generic.append(_judged(x, Y) | {"N": N, "T": T, "seed": seed, "draw": draw})
        progress(i + 1, len(cells))
    rng = np.random.default_rng(n_seeds)
    n_special = settings["draws"] * n_seeds
    aligned = [_judged(*_aligned(rng, T)) | {"T": T} for T in (2, 3, 5) for _ in range(n_special)]
    single = [
        _judged(np.sort(rng.standard_normal(8)), rng.standard_normal((8, 1))) | {"T": 1}
        for _ in range(n_special)
    ]
    draws = [*generic, *aligned, *single]
    return {
        "example": _example(settings["example"]),
        "generic": generic,
        "draws": draws,
        "certified": [each["certified_gap"] for each in draws if each["separation"] >= APART],
        "many": [
            each
            for each in [*aligned, *single]
            if each["pairs"] and each["separation"] >= APART
        ],
        "single_share": np.mean([bool(each["pairs"]) for each in single]),
        "sobolev": [_sobolev(np.random.default_rng(seed)) | {"seed": seed}
                    for seed in range(n_seeds)],
    }  # fmt: skip


def _judged(x: np.ndarray, Y: np.ndarray) -> Data:
    """Everything about one data set."""
    dots = through(x, Y)
    pairs = aligned_pairs(x, Y)
    proof = dual_proof(x, Y)
    optima = OptimalSet.of_interpolation(x, Y)
    open_case = optima.verdict is Verdict.UNDECIDED
    found: Data = {
        "pairs": pairs,
        "verdict": optima.verdict.value,
        "disagrees": None if open_case else (optima.verdict is Verdict.NOT_UNIQUE) != bool(pairs),
        "dual_disagrees": _contradiction(proof.margin, bool(pairs)),
        "separation": np.diff(x).min() / np.ptp(x),
        "gap": dots.path_cost() / proof.bound - 1.0,
        "margin": proof.margin,
        "certified_gap": mtrelu.certify(dots, x, Y, 0.0).relative_gap,
        "neurons_above": dots.n_neurons - (x.size - 1),
        "shared": np.mean(dots.v != 0.0) if dots.n_neurons else 1.0,
    }
    if pairs:
        found |= _witness(x, Y, pairs[0])
    return found


def _contradiction(margin: float | None, aligned: bool) -> bool | None:
    """Whether the dual excludes other minimisers where the condition promises some.

    A margin that is not told from zero is what the condition promises, but no proof against it.
    """
    if margin is None:
        return False if aligned else None
    return aligned


def _witness(x: np.ndarray, Y: np.ndarray, i: int) -> Data:
    """Another minimiser: on segment i, extend both neighbouring lines until they meet.

    In direction u both lines leave the chord, at rates ‖δ_i‖ and ‖δ_{i+1}‖. Made by hand here, for
    the library's own would follow from the theorem.
    """
    s = slopes(x, Y)
    before, after = s[i] - s[i - 1], s[i + 1] - s[i]
    rates = np.linalg.norm(before), np.linalg.norm(after)
    share = rates[1] / (rates[0] + rates[1])
    at = x[i] + share * (x[i + 1] - x[i])
    meeting = Y[i] + s[i - 1] * (at - x[i])
    chord = Y[i] + s[i] * (at - x[i])
    corner = 0.75 * meeting + 0.25 * chord
    witness = through(np.insert(x, i + 1, at), np.insert(Y, i + 1, corner, axis=0))
    apart = np.abs(witness(np.array([at])) - chord).max() / np.abs(meeting - chord).max()
    return {
        "witness_gap": mtrelu.certify(witness, x, Y, 0.0).relative_gap,
        "witness_apart": apart,
    }


def _aligned(rng: np.random.Generator, T: int) -> tuple[np.ndarray, np.ndarray]:
    """Data with two neighbouring slope changes along one direction, without any rounding."""
    x = np.cumsum(2.0 ** rng.integers(0, 3, size=7))
    changes = rng.integers(-8, 9, size=(5, T)).astype(np.float64)
    changes[:, 0] += changes[:, 0] >= 0  # none is zero
    i = int(rng.integers(0, 4))
    changes[i + 1] = changes[i] * float(rng.integers(1, 4))
    s = np.vstack([np.zeros(T), np.cumsum(changes, axis=0)])
    return x, np.vstack([np.zeros(T), np.cumsum(s * np.diff(x)[:, np.newaxis], axis=0)])


def _sobolev(rng: np.random.Generator) -> Data:
    """Solve [6] as it is printed, and compare."""
    x, Y = np.sort(rng.uniform(-1.0, 1.0, size=10)), rng.standard_normal((10, 3))
    grid = np.linspace(x[0], x[-1], 301)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a[:, np.newaxis], b[np.newaxis]
        terms = 1.0 - np.maximum(a - b, 0.0) + np.maximum(a - x[0], 0.0)
        return np.asarray(terms + np.maximum(x[0] - b, 0.0))

    gram = kernel(x, x)
    condition = float(np.linalg.cond(gram))
    fitted = kernel(grid, x) @ np.linalg.solve(gram, Y)
    off = float(np.abs(fitted - through(x, Y)(grid)).max() / np.abs(Y).max())
    return {"off": off / (condition * float(np.finfo(np.float64).eps))}


def _example(settings: Settings) -> Data:
    """Three tasks to draw."""
    x, Y = np.array(settings["x"]), np.array(settings["Y"])
    grid = np.linspace(x[0] - 0.6, x[-1] + 0.6, 301)
    return _judged(x, Y) | {"x": x, "Y": Y, "grid": grid, "values": through(x, Y)(grid)}


def draw(data: Data) -> Any:
    """Draw the three functions, and what proves that there is no other for random data."""
    figure = canvas((9.5, 3.4))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    example = data["example"]
    Y, values = np.array(example["Y"]), np.array(example["values"])
    for t, colour in enumerate((BLUE, RED, INK)):
        left.plot(example["grid"], values[:, t], color=colour, lw=1.6)
        left.plot(example["x"], Y[:, t], "o", color=colour, ms=5)
        left.annotate(
            f"$f_{t + 1}$", (example["grid"][-1], values[-1, t]), (4, 0), color=colour,
            textcoords="offset points", va="center",
        )  # fmt: skip
    for at in example["x"]:
        left.axvline(at, color=GREY, lw=0.5, ls=(0, (2, 3)), zorder=0)
    left.set_title("three tasks, every knot at a data point", fontsize=9, color=INK)
    by_tasks = sorted({each["T"] for each in data["generic"]})
    edges = np.linspace(-12.0, 0.0, 37)
    for T, colour in zip(by_tasks, (RED, BLUE, INK, GREY), strict=False):
        margins = [
            np.log10(max(each["margin"] or 1e-12, 1e-12))
            for each in data["generic"]
            if each["T"] == T
        ]
        right.hist(margins, edges, histtype="step", color=colour, lw=1.4, label=f"T = {T}",
                   weights=np.full(len(margins), 1.0 / len(margins)))  # fmt: skip
    right.set_xlabel("margin of uniqueness, power of ten", fontsize=9)
    right.set_ylabel("share of random data sets", fontsize=9)
    right.set_title("random data: how far from an exception", fontsize=9, color=INK)
    right.legend(fontsize=8, frameon=False, loc="upper left")
    plain(left)
    plain(right)
    return figure


_EXAMPLE = {
    "x": [0.0, 1.0, 2.2, 3.0, 4.3, 5.0],
    "Y": [
        [1.0, -0.5, 2.6], [1.6, 0.4, 2.2], [0.7, 0.1, 3.1],
        [1.2, -0.9, 2.4], [0.4, -0.2, 2.9], [1.1, 0.3, 2.0],
    ],
}  # fmt: skip
FIGURE = Figure(
    name="fig2",
    title="Figure 2 and Theorem 3.1: connecting the dots of several tasks",
    description="Several tasks over one input. The theorem says that connecting the dots is always "
    "optimal, and the only optimum unless two neighbouring slope changes are aligned, which has "
    "probability zero for more than one task. Checked on random data, on data made aligned "
    "without rounding, and on single tasks; alignment is decided in exact fractions, optimality "
    "and uniqueness by a dual variable that is computed here from exact slope changes. Inputs come "
    "as close as random numbers do; what needs the library's floating point is asked of those at "
    "least 1e-5 of their range apart.",
    caption="Left: three tasks and the function that connects their dots. Right: for random data "
    "sets, how far below 1 the dual function stays between data points; at 0 (far left) there "
    "would be a second optimum.",
    claims=CLAIMS,
    quick={"sizes": [[6, 2], [6, 3], [20, 2], [20, 5]], "draws": 40, "example": _EXAMPLE},
    full={"sizes": [[4, 2], [6, 2], [6, 3], [20, 2], [20, 5], [50, 2], [50, 10]], "draws": 400,
          "example": _EXAMPLE},
    measure=measure,
    draw=draw,
)  # fmt: skip
