"""Which kernel do infinitely many tasks make? The nearest of the known ones, in numbers."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import ConvexHull, Delaunay

import mtrelu
from mtrelu.kernels.comparison import (
    compare,
    interpolation_matrix,
    known_kernels,
    points_inside,
)
from mtrelu.kernels.infinite_task import InfiniteTaskKernel

SIZES = {1: 30, 2: 30, 3: 25, 5: 16}  # samples in each dimension
N_SEEDS = 5
SHOWN = 4  # of the designs in the plane, one whose samples keep apart: easy to see, not typical
COLOURS = {
    "arc-cosine at the data": "#1d5fa6",
    "r^β, best β": "#c2410c",
    "NTK": "#2f855a",
    "Laplace": "#805ad5",
    "thin plate r² log r": "#d69e2e",
    "arc-cosine": "#9aa5b1",
}


def draw(d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (SIZES[d], d))


def rows_of(d: int) -> tuple[dict[str, np.ndarray], int]:
    """Medians over the designs of each known kernel's measures, and how many designs count."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    certified = 0
    for seed in range(N_SEEDS):
        X = draw(d, seed)
        kernel = InfiniteTaskKernel(X)
        if kernel.solution.status is not mtrelu.Status.CERTIFIED:
            continue
        certified += 1
        for row in compare(kernel, X, points_inside(X, 400, seed)):
            measures = (row.cardinal_difference, row.typical_difference, row.alignment_at_points)
            found.setdefault(row.name, []).append(measures)
    medians = {name: np.median(measures, axis=0) for name, measures in found.items()}
    return medians, certified


def draw_neurons(axes: plt.Axes, kernel: InfiniteTaskKernel) -> None:
    """Draw the lines along which the neurons bend, as wide as they are strong."""
    network = kernel.network
    along = np.column_stack([-network.w[:, 1], network.w[:, 0]])
    for w, b, t, n in zip(network.w, network.b, along, kernel.strengths, strict=True):
        ends = -b * w + np.array([[-3.0], [3.0]]) * t
        axes.plot(*ends.T, color="#1d5fa6", alpha=0.5, lw=2.5 * n / kernel.strengths.max())
    axes.scatter(*kernel.X.T, color="#1f2933", s=14, zorder=3)
    on = np.abs(kernel.X @ network.w.T + network.b) < 1e-6
    share = kernel.strengths[on.sum(axis=0) >= 2].sum() / kernel.strengths.sum()
    axes.set_title(
        f"where its neurons bend: {100 * share:.0f} % of\n"
        "their strength on lines through two samples"
    )


def draw_section(axes: plt.Axes, values: np.ndarray, X: np.ndarray, j: int, title: str) -> None:
    """Draw one cardinal function inside the hull of the data."""
    image = axes.contourf(
        *GRID, values, np.linspace(-0.45, 1.05, 31), cmap="RdBu_r", extend="both",
        norm=matplotlib.colors.TwoSlopeNorm(0.0, -1.0, 1.0),
    )  # fmt: skip
    image.set_rasterized(True)
    axes.contour(*GRID, values, np.linspace(-0.4, 1.0, 15), colors="#1f2933", linewidths=0.3)
    hull = X[ConvexHull(X).vertices]
    axes.fill(*hull.T, fill=False, ec="#9aa5b1", lw=0.8)
    axes.scatter(*X.T, color="white", ec="#1f2933", s=14, lw=0.6, zorder=3)
    axes.scatter(*X[j], color="#1f2933", s=30, zorder=4)
    axes.set_title(title)


figure = plt.figure(figsize=(12.0, 7.0), layout="constrained")
plt.rcParams.update({"font.size": 9, "axes.titlesize": 9.5})
layout = figure.subplot_mosaic(
    [["lines", "limit", "first", "second"], ["cardinal", "cardinal", "aligned", "aligned"]],
    height_ratios=(1.0, 1.05),
)

medians: dict[int, dict[str, np.ndarray]] = {}
proofs = {}
for d in SIZES:
    medians[d], proofs[d] = rows_of(d)

X = draw(2, SHOWN)
kernel = InfiniteTaskKernel(X)
grid_axis = np.linspace(-1.0, 1.0, 201)
GRID = np.meshgrid(grid_axis, grid_axis)
grid = np.stack(GRID, axis=-1).reshape(-1, 2)
outside = Delaunay(X).find_simplex(grid) < 0
j = int(np.argmin(np.linalg.norm(X, axis=1)))
draw_neurons(layout["lines"], kernel)
best = {row.name: row for row in compare(kernel, X, points_inside(X, 400, SHOWN))}
known = {each.name: each for each in known_kernels(X)}


def section(values: np.ndarray) -> np.ndarray:
    return np.where(outside, np.nan, values[:, j]).reshape(GRID[0].shape)


draw_section(
    layout["limit"], section(kernel.cardinal_functions()(grid)), X, j,
    "infinitely many tasks: the cardinal\nfunction of the black sample",
)  # fmt: skip
for place, name in (("first", "arc-cosine at the data"), ("second", "r^β, best β")):
    row = best[name]
    values = section(interpolation_matrix(known[name].at(row.scale), X, grid))
    title = (
        "arc-cosine kernels centred at the data"
        if row.scale is None
        else f"best power of the distance, r^{row.scale:g}"
    )
    title += f"\ndifference (all samples) {row.cardinal_difference:.2f}"
    draw_section(layout[place], values, X, j, title)
for place in ("lines", "limit", "first", "second"):
    layout[place].set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    layout[place].set_aspect("equal")

for place, entry, label in (
    (
        "cardinal",
        0,
        "difference of the cardinal functions (1: as far as no kernel)\n"
        "solid: root mean square over samples, dashed: median",
    ),
    ("aligned", 2, "alignment of the Gram matrices at new points (1: the same)"),
):
    axes = layout[place]
    for name, colour in COLOURS.items():
        values = [medians[d][name][entry] for d in SIZES]
        axes.plot(range(len(SIZES)), values, "o-", color=colour, label=name, lw=1.6, ms=4)
        if place == "cardinal":
            typical = [medians[d][name][1] for d in SIZES]
            axes.plot(range(len(SIZES)), typical, "--", color=colour, lw=1.0)
    axes.set_xticks(range(len(SIZES)), [f"d = {d}\nN = {n}" for d, n in SIZES.items()])
    axes.set_title(label)
    axes.spines[["top", "right"]].set_visible(False)
layout["cardinal"].set_ylim(-0.02, 1.1)
layout["cardinal"].legend(frameon=False, fontsize=8.5)
figure.savefig(Path(__file__).parent.parent / "docs" / "which_kernel.png", dpi=100)

print("| known kernel | " + " | ".join(f"d = {d}, N = {n}" for d, n in SIZES.items()) + " |")
print("|---|" + "---|" * len(SIZES))
for name in sorted(medians[2], key=lambda name: medians[2][name][0]):
    cells = (" / ".join(f"{value:.3f}" for value in medians[d][name]) for d in SIZES)
    print(f"| {name} | " + " | ".join(cells) + " |")
counts = ", ".join(f"{count} of {N_SEEDS} for d = {d}" for d, count in proofs.items())
print(
    "\nDifference of the cardinal functions, root mean square / median over the samples / alignment"
    "\nof the Gram matrices at new points. Scales and exponents are the best for the first."
    f"\nMedians over the designs whose limit network is certified: {counts}."
)
