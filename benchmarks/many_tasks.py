"""Solving for very many tasks against the thin SVD and the Gram matrix of their labels."""

from __future__ import annotations

from functools import partial

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units


def run(quick: bool) -> list[Figure]:
    n, n_tasks = (200, 10_000) if quick else (500, 100_000)
    x, Y = harness.random_walks(n, n_tasks)
    alpha_max = mtrelu.alpha_max(x, Y)
    fractions = (0.1, 0.01)
    actions = {
        "thin SVD": lambda: np.linalg.svd(Y, full_matrices=False),
        "Gram matrix": lambda: Y @ Y.T,
    } | {
        f"solve, alpha={fraction:g} alpha_max": partial(mtrelu.solve, x, Y, fraction * alpha_max)
        for fraction in fractions
    }
    seconds = harness.medians(actions, repeat=3, budget=60.0)
    print(f"N={n:,} T={n_tasks:,}")
    for name, time in seconds.items():
        print(f"  {name:<28}{in_time_units(time):>12}")
    figures = []
    for fraction in fractions:
        found = mtrelu.solve(x, Y, fraction * alpha_max)
        gap = found.certificate.relative_gap
        print(f"  alpha={fraction:g} alpha_max: {found.network.n_neurons} knots, gap {gap:.1e}")
        solve = seconds[f"solve, alpha={fraction:g} alpha_max"]
        label = f"many tasks: solve at {fraction:g} alpha_max"
        figures += [
            Figure(f"{label} / thin SVD of Y", solve / seconds["thin SVD"], at_most=3),
            Figure(f"{label} / Gram matrix of Y", solve / seconds["Gram matrix"]),
            Figure(f"{label}, relative gap", gap, at_most=1e-6),
        ]
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
