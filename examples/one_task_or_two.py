"""
One task or two
===============

One task leaves the network a choice. A second task takes it away.

Six points are interpolated with as little weight decay as possible. With the first task alone,
infinitely many networks are optimal: the orange area is what they fill, exactly (Theorem 3.1 of
`arXiv:2410.21696 <https://arxiv.org/abs/2410.21696>`_). Four of them are drawn.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import mtrelu

x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
y = np.array([0.0, 0.2, 1.2, 2.9, 3.1, 2.6])
second = np.array([1.0, 2.0, 0.5, 1.0, 2.5, 2.0])
grid = np.linspace(-0.3, 5.3, 561)


def draw(axes: plt.Axes, labels: np.ndarray, title: str) -> None:
    """Draw the first task with the exact range of all optimal networks."""
    optima = mtrelu.solve(x, labels, alpha=0).optimal_set()
    low, high = optima.range(grid)
    axes.fill_between(grid, low[:, 0], high[:, 0], color="#f4a259", alpha=0.7, lw=0)
    for network in optima.sample(4, random_state=0):
        axes.plot(grid, network(grid)[:, 0], color="#5b6ee1", lw=1)
    axes.plot(x, labels[:, 0], "o", color="#c1292e", ms=6, zorder=3)
    width = float((high - low).max())
    axes.set_title(
        f"{title}\n{optima.verdict}; two optima differ by up to {width:.2f}", fontsize=10
    )
    axes.set_xlabel("x")


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
draw(left, y[:, np.newaxis], "One task")
draw(right, np.column_stack([y, second]), "The same task, trained with a second one")
left.set_ylabel("first task")
plt.show()
