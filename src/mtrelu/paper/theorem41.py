"""Section 4: ℓ1 for one task, nearly ℓ2 for many; the rates of Theorem 4.1 and the kernel [27]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

import mtrelu
from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.network import ReLUNetwork
from mtrelu.paper._squares import DESIGN, MANY, TOL, on_grid, surface
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import CERTIFIED
from mtrelu.regime.measurement import BETAS, Measurement
from mtrelu.regime.quantities import KernelRegime
from mtrelu.regime.sweep import Plan, Sweep, lemma_promise, run_sweep
from mtrelu.validation import FloatArray

RATE = -0.25
FALLING = ("excess", "surrogate_gap", "gamma_spread")
MINIMISES = partial(
    Claim,
    sense="at most",
    tolerance=CERTIFIED,
    reason="The gap up to which the library calls a network optimal. Networks are solved to less, "
    "so that rounding and solver have room.",
)
FALLS = partial(
    Claim,
    sense="at most",
    tolerance=RATE,
    reason="The exponent of the theorem, which is an upper bound. A 95 % interval on either side "
    "of it decides; one that contains it leaves the claim open, and so do fewer than five seeds.",
)
_END = (
    "the end of the 95 % interval of its exponent that is nearer to the theorem's, over the T that "
    "were measured"
)

CLAIMS = (
    MINIMISES(
        "own weights minimise J",
        "The output weights of one task in a network that is optimal for T = 101 minimise J, the "
        "objective of that task with the weights of all others fixed.",
        "Section 4, equation [14]",
        "J above a lower bound for all weights, relative; the bound is the dual one, computed "
        "here; open where the network is not proved optimal",
        "minimiser[*].gap_of_J",
    ),
    MINIMISES(
        "one task: an l1 problem",
        "For T = 1 the fit of the labels over the optimal features with an ℓ1 penalty yields "
        "output weights that are optimal for the whole problem.",
        "Section 4, equation [19]",
        "the network's own objective above that of the ℓ1 fit over its features, relative; open "
        "where the network is not proved optimal",
        "single.above_l1",
    ),
    MINIMISES(
        "[27] as printed",
        "Finding a minimiser of H [18] is equivalent to ridge regression [27] with the penalty "
        "λ‖f‖² and the inner product of Q = diag(γ₁², …, γ_K²) [23], T = 101.",
        "Section 4, equations [23] and [27]",
        "[18] at the solution of [27] above its minimum, relative; with the γ_ks of [18] itself, "
        "so that the approximation [21] plays no part",
        "minimiser[*].printed",
    ),
    MINIMISES(
        "[27] corrected",
        "Finding a minimiser of H [18] is equivalent to ridge regression with the penalty "
        "(λ/2)‖f‖² and the inner product of Q = diag(γ₁, …, γ_K), T = 101.",
        "follows from equations [18] and [22]",
        "[18] at the solution of that above its minimum, relative; with the γ_ks of [18] itself, "
        "solved in the form of the kernel",
        "minimiser[*].corrected",
    ),
    FALLS(
        "[17] falls fast enough",
        "J(v') − J(v*) falls at least like T^(-1/4), v' being the minimiser of H.",
        "Theorem 4.1, equation [17]", _END, "rates.excess.decided",
    ),
    FALLS(
        "[16] falls fast enough",
        "The largest H − J within T^(1/16) of the optimal weights falls at least like T^(-1/4).",
        "Theorem 4.1, equation [16]", _END, "rates.surrogate_gap.decided",
    ),
    Claim(
        "well defined",
        "The penalty of H is well defined with probability at least 1 − O(T^(-1/3)); the proof "
        "gives 1 − K(T^(2/3) + 1)/T for K neurons.",
        "Theorem 4.1 and its proof in A.2",
        "probability of at least as many draws in which it is not, if the proof's bound were the "
        "probability of one, for each T at which that is below 1",
        "defined[*].chance",
        "at least", 0.05,
        "The customary level of a binomial test. Below one in a thousand it is no accident.",
        0.001,
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
        "Section 4, equation [21]",
        "the end nearer to 0 of the 95 % interval of the exponent of the largest γ_ks/γ_k − 1",
        "rates.gamma_spread.decided",
        "at most", 0.0,
        "The paper states a limit and no rate: any falling power will do. A 95 % interval on "
        "either side of 0 decides.",
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Measure the regime for growing T, and what [14], [19] and [27] say of single fits."""
    plan = Plan.make(DESIGN, n_tasks=settings["n_tasks"], n_seeds=n_seeds)
    n_cells = len(plan.cells())
    total = n_cells + n_seeds + 1
    sweep = run_sweep(plan, checkpoint=kept, progress=lambda done, _: progress(done, total))
    minimiser = []
    for seed in range(n_seeds):
        minimiser.append({"seed": seed} | _minimiser(*DESIGN.draw(MANY, seed), seed == 0))
        progress(n_cells + seed + 1, total)
    single = _single()
    progress(total, total)
    return {"minimiser": minimiser, "single": single, **_regime(sweep)}


def _features(network: ReLUNetwork, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Neurons on the data (N, K), and the functions of the skip connection (N, 1 + d)."""
    neurons = np.maximum(X @ network.w.T + network.b, 0.0)
    return neurons, np.column_stack([np.ones(len(X)), X])


def _proved(solution: mtrelu.Solution) -> bool:
    proof = solution.certificate
    return proof.oracle == "exact" and proof.relative_gap <= CERTIFIED


def _minimiser(X: FloatArray, Y: FloatArray, shown: bool) -> Data:
    """What [14] and [27] say of the first task of an optimal network."""
    solution = mtrelu.solve(X, Y, DESIGN.alpha, tol=TOL)
    regime = KernelRegime.of_solution(solution)
    found: Data = {"gap_of_J": None, "printed": None, "corrected": None}
    if not _proved(solution) or not regime.strengths_without[:, 0].all():
        return found  # nothing is proved, or H is infinite
    network, y = regime.network, Y[:, :1]
    gamma = regime.gamma_without[:, 0]
    others = ReLUNetwork(network.w, network.b, network.v[:, 1:], network.A[1:], network.c[1:])
    fits = {
        "least": regime.ridge(0),
        "printed": _ridge(network, X, y, DESIGN.alpha * gamma**2),
        "corrected": NeuronKernel(others).fit(X, y, DESIGN.alpha),
    }
    costs = {name: _weighted(fit, X, y, 0.5 * DESIGN.alpha * gamma) for name, fit in fits.items()}
    found["gap_of_J"] = _gap_of_J(regime, X, y[:, 0])
    for name in ("printed", "corrected"):
        found[name] = costs[name] / costs["least"] - 1.0
    if shown:
        found["values"] = {
            "own": on_grid(network), "printed": on_grid(fits["printed"]),
            "corrected": on_grid(fits["corrected"]),
        }  # fmt: skip
    return found


def _gap_of_J(regime: KernelRegime, X: FloatArray, y: FloatArray) -> float:
    """J(v*) above a lower bound on J, relative.

    For residuals p that the skip connection does not see, and z = Φᵀp with |z_k| ≤ α,

        J(v) ≥ p·y − ‖p‖²/2 + Σ_k n_k (α² − z_k²)^½,   n_k = ‖v_k∖s‖,

    because ½r² ≥ pr − ½p² and α(v² + n²)^½ ≥ zv + n(α² − z²)^½.
    """
    alpha, own = regime.problem.alpha, regime.task_network(0)
    neurons, skip = _features(own, X)
    p = y - own(X)[:, 0]
    p = p - skip @ np.linalg.lstsq(skip, p, rcond=None)[0]
    largest = float(np.abs(neurons.T @ p).max())
    p = p * min(1.0, alpha / largest)
    z = neurons.T @ p
    kept = regime.strengths_without[:, 0] @ np.sqrt(np.maximum(alpha**2 - z**2, 0.0))
    J = regime.J(0, own)
    return (J - float(p @ y - 0.5 * p @ p + kept)) / J


def _ridge(network: ReLUNetwork, X: FloatArray, y: FloatArray, penalty: FloatArray) -> ReLUNetwork:
    """Minimise ½‖y − f‖² + Σ_k penalty_k v_k² over output weights and skip connection."""
    neurons, skip = _features(network, X)
    bent = np.hstack([neurons, skip])
    held = np.hstack([np.diag(np.sqrt(2.0 * penalty)), np.zeros((len(penalty), skip.shape[1]))])
    labels = np.vstack([y, np.zeros((len(penalty), 1))])
    found = np.linalg.lstsq(np.vstack([bent, held]), labels, rcond=None)[0]
    v, theta = found[: len(penalty)], found[len(penalty) :]
    return ReLUNetwork(network.w, network.b, v, theta[1:].T, theta[0])


def _weighted(fit: ReLUNetwork, X: FloatArray, y: FloatArray, penalty: FloatArray) -> float:
    """½‖y − f‖² + Σ_k penalty_k v_k², of which [18] is the case αγ_ks/2."""
    return float(0.5 * np.sum((y - fit(X)) ** 2) + penalty @ fit.v[:, 0] ** 2)


def _single() -> Data:
    """What [19] says of one task alone."""
    X, Y = DESIGN.draw(1, 0)
    solution = mtrelu.solve(X, Y, DESIGN.alpha, tol=TOL)
    regime = KernelRegime.of_solution(solution)

    def cost(fit: ReLUNetwork) -> float:
        fitted = 0.5 * float(np.sum((Y - fit(X)) ** 2))
        return fitted + DESIGN.alpha * float(np.abs(fit.v).sum())

    above = cost(regime.network) / cost(regime.l1(0)) - 1.0
    return {"above_l1": above if _proved(solution) else None}


def _regime(sweep: Sweep) -> Data:
    """The numbers of Section 4 over T."""
    cells = sweep.measurements
    rates = {}
    for name in FALLING:
        rate = sweep.rate(name).to_dict()
        border = 0.0 if name == "gamma_spread" else RATE
        rates[name] = rate | {"decided": decided(rate["low"], rate["high"], border)}
    return {
        "rates": rates,
        "medians": {name: sweep.median(name) for name in FALLING},
        "n_tasks": sweep.plan.n_tasks,
        "defined": [
            row
            for n in sweep.plan.n_tasks
            if (row := _defined([cell for cell in cells if cell.n_tasks == n]))["allowed"] < 1.0
        ],
        "shares": [
            {"T": cell.n_tasks, "seed": cell.seed, "beta": beta, "share": share,
             "above": share - float(lemma_promise(cell.n_tasks, beta)) if cell.certified else None}
            for cell in cells
            for beta, share in zip(BETAS, cell.lemma_shares, strict=True)
        ],
        "cells": [cell.to_dict() for cell in cells],
    }  # fmt: skip


def decided(low: float | None, high: float | None, border: float) -> float | None:
    """Return the end of an interval nearer to a border; None if there is none or it contains it.

    Examples
    --------
    >>> decided(-2.0, -1.0, -0.25), decided(0.0, 1.0, -0.25), decided(-1.0, 0.0, -0.25)
    (-1.0, 0.0, None)
    """
    if low is None or high is None:
        return None
    return high if high <= border else low if low > border else None


def _defined(cells: Sequence[Measurement]) -> Data:
    """How many draws of one T lack a penalty, and how probable that is if the bound is right."""
    n, K = cells[0].n_tasks, max(cell.n_neurons for cell in cells)
    allowed = K * (n ** (2 / 3) + 1.0) / n
    failing = sum(math.isinf(cell.surrogate_gap) for cell in cells)
    known = all(cell.certified for cell in cells)
    chance = float(binom.sf(failing - 1, len(cells), min(allowed, 1.0)))
    return {"T": n, "failing": failing, "allowed": allowed, "chance": chance if known else None}


def draw(data: Data) -> Any:
    """Draw the first output for T = 101 and two kernel fits of it, and the rates over T."""
    figure = canvas((10.0, 7.2))
    above, below = figure.subfigures(2, 1, height_ratios=(1.05, 1.0))
    shown = data["minimiser"][0].get("values", {})
    names = (("own", "T = 101, first output"), ("corrected", "minimiser of H [18]"),
             ("printed", "[27] with [23] as printed"))  # fmt: skip
    for i, (name, title) in enumerate(names):
        axes = above.add_subplot(1, 3, i + 1, projection="3d")
        if name in shown:
            surface(axes, np.array(shown[name]), title)
        else:
            axes.set_axis_off()
    left, right = below.subplots(1, 2)
    _draw_rates(left, data)
    _draw_shares(right, data)
    return figure


def _draw_rates(axes: Any, data: Data) -> None:
    counts = np.array(data["n_tasks"], dtype=np.float64)
    shown = (
        ("excess", "J(v') − J(v*) [17]", BLUE),
        ("surrogate_gap", "largest H − J [16]", INK),
        ("gamma_spread", "largest γ_ks/γ_k − 1 [21]", GREY),
    )
    for name, label, colour in shown:
        values = np.array([np.nan if each in (None, "inf") else each
                           for each in data["medians"][name]], dtype=np.float64)  # fmt: skip
        exponent = data["rates"][name]["exponent"]
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
    title="Section 4: for many tasks the penalty is nearly quadratic, and the fit a kernel method",
    description="The two squares of Figure 5 with 1 to many tasks, of which all but the first are "
    "random. What one task sees while the others are fixed [14] is an ℓ1 penalty for T = 1 [19] "
    "and nearly a weighted ℓ2 penalty for large T [15], [18]; Theorem 4.1 says how nearly. The "
    "kernel form [27] is compared with [18] twice, with the factors that the paper prints and with "
    "those that follow from [18]. Networks here are certified optima, not trained ones; the "
    "penalty is 1e-3, near interpolation as in the paper.",
    caption="The first task over the square, data in red: the optimal network of 101 tasks, the "
    "minimiser of H over its neurons, and the kernel ridge regression as printed. Graphs: how fast "
    "the quantities of Theorem 4.1 fall, and the shares of Lemma 4.2.",
    claims=CLAIMS,
    quick={"n_tasks": [2, 5, 11, 31, 101, 301]},
    full={"n_tasks": [2, 3, 5, 11, 31, 101, 301, 1001, 3001, 10001]},
    measure=measure,
    draw=draw,
)
