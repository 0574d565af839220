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
    name = f"scaling: largest relative gap at N={largest:,}, T=10"
    figures.append(Figure(name, max(gaps), at_most=1e-6))
    moderate = (1000,) if quick else (1000, 10_000)
    gap = max(_tight_gap(n, fraction) for n in moderate for fraction in ALL_FRACTIONS)
    name = f"scaling: largest relative gap up to N={moderate[-1]:,}, tol=1e-9"
    figures.append(Figure(name, gap, at_most=1e-9))
    for loss in OTHER_LOSSES:
        gap = max(_gap_of_loss(loss, n, f) for n in moderate for f in ALL_FRACTIONS[:3])
        name = f"scaling: largest relative gap up to N={moderate[-1]:,}, {loss} loss"
        figures.append(Figure(name, gap, at_most=1e-6))
    return figures


def _growth(sizes: np.ndarray, fraction: float) -> tuple[float, float]:
    """Exponent of N by least squares over all sizes, and the certified gap at the largest."""
    seconds, gap = [], math.nan
    for n in sizes:
        x, Y = harness.random_walks(int(n), N_TASKS)
        alpha = fraction * mtrelu.alpha_max(x, Y)
        found = mtrelu.solve(x, Y, alpha)
        solve = partial(mtrelu.solve, x, Y, alpha)
        seconds.append(harness.medians({"solve": solve}, repeat=5, budget=4.0)["solve"])
        gap = mtrelu.certify(found.network, x, Y, alpha).relative_gap
        print(
            f"N={n:,} T={N_TASKS} alpha={fraction:g} alpha_max: {in_time_units(seconds[-1])}, "
            f"{found.network.n_neurons} knots, gap {gap:.1e}",
            flush=True,
        )
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), gap


def _tight_gap(n: int, fraction: float) -> float:
    x, Y = harness.random_walks(n, N_TASKS)
    alpha = fraction * mtrelu.alpha_max(x, Y)
    start = time.perf_counter()
    found = mtrelu.solve(x, Y, alpha, tol=1e-9)
    seconds = time.perf_counter() - start
    gap = found.certificate.relative_gap
    print(
        f"N={n:,} T={N_TASKS} alpha={fraction:g} alpha_max tol=1e-9: {in_time_units(seconds)}, "
        f"{found.network.n_neurons} knots, gap {gap:.1e}",
        flush=True,
    )
    return gap


def _gap_of_loss(loss: str, n: int, fraction: float) -> float:
    """Certified gap with labels that suit the loss; NaN, with the reason, when there is none."""
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
        # The certificate uses the dual that comes with the network: a prediction on a kink of
        # the loss does not determine one.
        found = mtrelu.solve(x, labels, alpha, loss=loss, time_limit=30)
        seconds = time.perf_counter() - start
    except Exception as error:
        print(f"{label}: {type(error).__name__}: {str(error)[:120]}", flush=True)
        return math.nan
    gap = found.certificate.relative_gap
    print(
        f"{label}: {in_time_units(seconds)}, {found.network.n_neurons} knots, gap {gap:.1e}",
        flush=True,
    )
    return gap


if __name__ == "__main__":
    harness.main(run, __doc__)
