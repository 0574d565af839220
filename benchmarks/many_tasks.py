"""Solving for very many tasks against the thin SVD and the Gram matrix of their labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units

FRACTIONS = (0.1, 0.01)


def run(quick: bool) -> list[Figure]:
    n, n_tasks = (200, 10_000) if quick else (500, 100_000)
    x, Y = harness.random_walks(n, n_tasks)
    alpha_max = mtrelu.alpha_max(x, Y)
    solutions: dict[float, mtrelu.Solution] = {}

    def solve(fraction: float, labels: np.ndarray = Y) -> None:
        solutions[fraction] = mtrelu.solve(x, labels, fraction * alpha_max)

    solve(0.1, Y[:, : n + 1])  # compiles
    actions: dict[str, Callable[[], object]] = {
        "thin SVD": lambda: np.linalg.svd(Y, full_matrices=False),
        "Gram matrix": lambda: Y @ Y.T,
    }
    actions |= {f"solve, alpha={f:g} alpha_max": partial(solve, f) for f in FRACTIONS}
    seconds = harness.medians(actions, repeat=3, budget=60.0, warm_up=False)
    print(f"N={n:,} T={n_tasks:,}")
    for name, time in seconds.items():
        print(f"  {name:<28}{in_time_units(time):>12}")
    figures = []
    for fraction in FRACTIONS:
        found = solutions[fraction]
        gap = found.certificate.relative_gap
        print(f"  alpha={fraction:g} alpha_max: {found.network.n_neurons} knots, gap {gap:.1e}")
        time = seconds[f"solve, alpha={fraction:g} alpha_max"]
        label = f"many tasks: solve at {fraction:g} alpha_max"
        figures += [
            Figure(f"{label} / thin SVD of Y", time / seconds["thin SVD"], at_most=3),
            Figure(f"{label} / Gram matrix of Y", time / seconds["Gram matrix"]),
            Figure(f"{label}, relative gap", gap, at_most=1e-6),
        ]
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
