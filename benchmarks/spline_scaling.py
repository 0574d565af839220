"""Growth of the time of `mtrelu.solve` with N, and the certified gaps that it reaches."""

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units

N_TASKS = 10
FRACTIONS = (0.01, 1e-4)
ALL_FRACTIONS = (0.1, 0.01, 1e-4, 1e-6)
OTHER_LOSSES = ("huber", "logistic", "quantile")


Gaps = tuple[float, float]
"""As `harness.proved_gaps` returns them."""


def run(quick: bool) -> list[Figure]:
    largest = 10_000 if quick else 1_000_000
    sizes = np.unique(np.geomspace(1000, largest, 4 if quick else 7).round().astype(int))
    figures = []
    gaps = []
    for fraction in FRACTIONS:
        exponent, gap = _growth(sizes, fraction)
        name = f"scaling: exponent of N, 1,000 to {largest:,}, T=10, {fraction:g} alpha_max"
        figures.append(Figure(name, exponent, at_most=1.15))
        gaps.append(gap)
    figures += _gap_figures(f"at N={largest:,}, T=10", gaps, 1e-6)
    moderate = (1000,) if quick else (1000, 10_000)
    gaps = [_tight_gaps(n, fraction) for n in moderate for fraction in ALL_FRACTIONS]
    figures += _gap_figures(f"up to N={moderate[-1]:,}, T=10, tol=1e-9", gaps, 1e-9)
    for loss in OTHER_LOSSES:
        gaps = [_gaps_of_loss(loss, n, f) for n in moderate for f in ALL_FRACTIONS[:3]]
        figures += _gap_figures(f"up to N={moderate[-1]:,}, T=5, {loss} loss", gaps, 1e-6)
    return figures


def _gap_figures(where: str, gaps: list[Gaps], target: float) -> list[Figure]:
    proved, alone = np.max(gaps, axis=0)
    return [
        Figure(f"scaling: largest relative gap of solve {where}", proved, at_most=target),
        Figure("scaling: … by certify, from the network alone", alone, at_most=target),
    ]


def _growth(sizes: np.ndarray, fraction: float) -> tuple[float, Gaps]:
    """Exponent of N by least squares over all sizes, and the gaps at the largest."""
    seconds, gaps = [], (math.nan, math.nan)
    for n in sizes:
        x, Y = harness.random_walks(int(n), N_TASKS)
        alpha = fraction * mtrelu.alpha_max(x, Y)
        found = mtrelu.solve(x, Y, alpha)
        solve = partial(mtrelu.solve, x, Y, alpha)
        seconds.append(harness.medians({"solve": solve}, repeat=5, budget=4.0)["solve"])
        gaps = _report(f"N={n:,} T={N_TASKS} alpha={fraction:g} alpha_max", found, seconds[-1])
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), gaps


def _tight_gaps(n: int, fraction: float) -> Gaps:
    x, Y = harness.random_walks(n, N_TASKS)
    alpha = fraction * mtrelu.alpha_max(x, Y)
    start = time.perf_counter()
    found = mtrelu.solve(x, Y, alpha, tol=1e-9)
    label = f"N={n:,} T={N_TASKS} alpha={fraction:g} alpha_max tol=1e-9"
    return _report(label, found, time.perf_counter() - start)


def _report(label: str, found: mtrelu.Solution, seconds: float) -> Gaps:
    gaps = harness.proved_gaps(found)
    print(
        f"{label}: {in_time_units(seconds)}, {found.network.n_neurons} knots, "
        f"gap {gaps[0]:.1e}, {gaps[1]:.1e} from the network alone",
        flush=True,
    )
    return gaps


def _gaps_of_loss(loss: str, n: int, fraction: float) -> Gaps:
    """Gaps with labels that suit the loss; NaN, with the reason printed, when there are none."""
    x, walks = harness.random_walks(n, 5)
    rng = np.random.default_rng(2)
    signal = walks / walks.std()
    if loss == "logistic":
        labels = (rng.uniform(size=signal.shape) < 1 / (1 + np.exp(-2 * signal))).astype(float)
    else:
        labels = signal + 0.1 * rng.standard_t(2, signal.shape)
    label = f"N={n:,} T=5 alpha={fraction:g} alpha_max {loss}"
    try:
        alpha = fraction * mtrelu.alpha_max(x, labels, loss=loss)
        start = time.perf_counter()
        found = mtrelu.solve(x, labels, alpha, loss=loss, time_limit=30)
    except Exception as error:
        print(f"{label}: {type(error).__name__}: {str(error)[:120]}", flush=True)
        return math.nan, math.nan
    return _report(label, found, time.perf_counter() - start)


if __name__ == "__main__":
    harness.main(run, __doc__)
