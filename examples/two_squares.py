"""
The paper's two squares
=======================

One task has many optimal networks. A hundred more leave one.

The labels are 0 at the corners of the outer square and 1 at those of the inner one. The tasks that
are added have random labels. Each network is proved optimal; the right column is the exact width of
the range of the first task over all optimal networks.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import mtrelu

ALPHA = 1e-3
square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
X = np.vstack([square, 0.5 * square])
y = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
others = np.random.default_rng(0).integers(0, 2, size=(8, 100))
axis = np.linspace(-1.0, 1.0, 81)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def draw(row: np.ndarray, Y: np.ndarray) -> str:
    """Draw two optima of the first task and how far optima differ; return a line of the table."""
    n_tasks = Y.shape[1]
    solution = mtrelu.solve(X, Y, ALPHA, tol=1e-9)
    optima = solution.optimal_set()
    low, high = optima.range(grid)
    width = (high - low)[:, 0].reshape(axis.size, axis.size)
    second = optima.witness() or optima.sample(1, random_state=0)[0]
    pictures = (
        ("an optimal network", solution.network(grid)[:, 0], (-1.0, 1.1)),
        ("another one", second(grid)[:, 0], (-1.0, 1.1)),
        ("how far optima differ", width.ravel(), (0.0, 2.0)),
    )
    for axes, (title, values, (least, most)) in zip(row, pictures, strict=True):
        colours = "magma" if title.startswith("how") else "viridis"
        image = axes.pcolormesh(
            axis, axis, values.reshape(width.shape), vmin=least, vmax=most, cmap=colours,
            shading="gouraud", rasterized=True,
        )  # fmt: skip
        axes.scatter(*X.T, c=y, cmap="gray", edgecolors="white", s=36, clip_on=False, zorder=3)
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal")
        axes.set_xticks([-1, 0, 1])
        axes.set_yticks([-1, 0, 1])
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
    tasks = "1 task" if n_tasks == 1 else f"{n_tasks} tasks"
    row[0].set_ylabel(f"{tasks}: {optima.verdict}", fontsize=11)
    certificate = solution.certificate
    gap = (
        f"{min(certificate.relative_gap, 1.0):.0e}" if certificate.relative_gap > 1e-9 else "≤ 1e-9"
    )
    return (
        f"| {n_tasks} | {optima.verdict} | {width.max():.3f} | {optima.sparsest().n_neurons} "
        f"| {certificate.primal:.9f} | {gap} |"
    )


figure, rows = plt.subplots(2, 3, figsize=(9.6, 5.6), layout="constrained")
print("| tasks | verdict | optima differ by up to | fewest neurons | optimum | proved gap |")
print("|---|---|---|---|---|---|")
for row, labels in zip(rows, (y[:, np.newaxis], np.column_stack([y, others])), strict=True):
    print(draw(row, labels))
plt.show()
