"""Which known kernel is nearest to that of infinitely many tasks, and how fast tasks converge."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure
from mtrelu.kernels.comparison import Nearness, alignment, compare, points_inside
from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel

MEASURES = ("cardinal_difference", "typical_difference", "alignment", "alignment_at_points")
N_POINTS = 400
SEEDS = 5
ON_HYPERPLANE = 1e-6  # of the largest coordinate


@dataclass(frozen=True)
class Design:
    """Inputs to compare on; ``draw`` takes the generator."""

    name: str
    draw: Callable[[np.random.Generator], np.ndarray]
    n_seeds: int = SEEDS


def _gaussian(n: int, d: int) -> Design:
    return Design(f"Gaussian d={d} N={n}", lambda rng: rng.standard_normal((n, d)))


def _cube(n: int, d: int) -> Design:
    return Design(f"cube d={d} N={n}", lambda rng: rng.uniform(-1.0, 1.0, (n, d)))


def _grid(n: int, d: int) -> np.ndarray:
    axes = np.meshgrid(*[np.linspace(-1.0, 1.0, n)] * d, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, d)


def _circle(n: int) -> np.ndarray:
    angles = 2.0 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _sphere(rng: np.random.Generator, n: int) -> np.ndarray:
    X = rng.standard_normal((n, 3))
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


DESIGNS = (
    _gaussian(30, 1),
    _gaussian(30, 2),
    _gaussian(25, 3),
    _gaussian(16, 5),
    _cube(30, 1),
    _cube(30, 2),
    _cube(25, 3),
    _cube(16, 5),
    Design("grid d=2 5x5", lambda rng: _grid(5, 2), 1),
    Design("circle d=2 N=24", lambda rng: _circle(24), 1),
    Design("sphere d=3 N=24", lambda rng: _sphere(rng, 24)),
)
QUICK = (_gaussian(12, 1), _gaussian(10, 2), _gaussian(10, 3))


@dataclass
class Measured:
    """What one design gave, an entry a seed with a certified limit network."""

    rows: list[list[Nearness]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)
    """Share of the strengths that belongs to hyperplanes through d data points or more."""

    def median(self, name: str, measure: str) -> float:
        found = (row for rows in self.rows for row in rows if row.name == name)
        return float(statistics.median(getattr(row, measure) for row in found))

    def nearest(self) -> list[str]:
        """Names of the kernels, that with the smallest median difference first."""
        names = [row.name for row in self.rows[0]]
        return sorted(names, key=lambda name: self.median(name, "cardinal_difference"))


def measure(design: Design, n_seeds: int) -> Measured:
    found = Measured()
    for seed in range(min(n_seeds, design.n_seeds)):
        X = design.draw(np.random.default_rng(seed))
        start = time.perf_counter()
        kernel = InfiniteTaskKernel(X, time_limit=60.0)
        found.seconds.append(time.perf_counter() - start)
        status = kernel.solution.status
        found.statuses[status.value] += 1
        if status is not mtrelu.Status.CERTIFIED:
            continue
        found.through.append(_share_through(kernel, X.shape[1]))
        found.rows.append(compare(kernel, X, points_inside(X, N_POINTS, seed)))
    return found


def _share_through(kernel: InfiniteTaskKernel, n_points: int) -> float:
    network, X = kernel.network, kernel.X
    on = np.abs(X @ network.w.T + network.b) <= ON_HYPERPLANE * np.abs(X).max()
    return float(kernel.strengths[on.sum(axis=0) >= n_points].sum() / kernel.strengths.sum())


def table(measured: dict[str, Measured]) -> str:
    """Medians over the seeds, one design a block, in order of the cardinal functions."""
    lines = []
    for design, found in measured.items():
        statuses = ", ".join(f"{count} {status}" for status, count in found.statuses.items())
        if not found.rows:
            lines.append(f"{design}: {statuses}; nothing to compare")
            continue
        lines.append(
            f"{design}: {statuses}; {100 * statistics.median(found.through):.0f} % of the strength "
            f"on hyperplanes through d points; {statistics.median(found.seconds):.1f} s a solve"
        )
        for name in found.nearest():
            medians = "".join(f"{found.median(name, measure):>10.3f}" for measure in MEASURES)
            best = [row.scale for rows in found.rows for row in rows if row.name == name]
            scales = [scale for scale in best if scale is not None]
            scale = f"{statistics.median(scales):.2f}" if scales else ""
            wins = sum(rows[0].name == name for rows in found.rows)
            lines.append(f"  {name:<24}{scale:>6}{medians}{wins:>6}/{len(found.rows)}")
    head = (
        f"  {'kernel':<24}{'scale':>6}{'cardinal':>10}{'typical':>10}{'on data':>10}"
        f"{'at points':>10}{'nearest':>8}"
    )
    return "\n".join([head, *lines])


def convergence(n_tasks: Sequence[int], n_seeds: int) -> tuple[float, float]:
    """Exponent of T in the distance of T random tasks to the limit, with its standard error."""
    X = np.random.default_rng(0).standard_normal((8, 2))
    basis = np.linalg.qr(np.column_stack([np.ones(8), X]))[0]
    off = np.eye(8) - basis @ basis.T

    def gram(kernel: NeuronKernel) -> np.ndarray:
        return np.asarray(off @ kernel(X) @ off)

    alpha = 0.05
    kernel = InfiniteTaskKernel(X, alpha=alpha, tol=1e-9)
    limit, statuses = gram(kernel), {kernel.solution.status}
    exponents = []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        apart = []
        for T in n_tasks:
            Y = rng.standard_normal((8, T)) / np.sqrt(T)
            solution = mtrelu.solve(X, Y, alpha, tol=1e-9)
            statuses.add(solution.status)
            last = gram(NeuronKernel(solution.network))
            apart.append(np.linalg.norm(last - limit))
        exponents.append(np.polyfit(np.log(n_tasks), np.log(apart), 1)[0])
    assert statuses == {mtrelu.Status.CERTIFIED}, statuses
    print(f"alignment of the last with the limit: {alignment(last, limit)}")
    return float(np.mean(exponents)), float(np.std(exponents, ddof=1) / np.sqrt(n_seeds))


def run(quick: bool) -> list[Figure]:
    measured = {}
    for design in QUICK if quick else DESIGNS:
        measured[design.name] = measure(design, 2 if quick else SEEDS)
        print(f"  {design.name} done", flush=True)
    print(table(measured))
    exponent, error = convergence((100, 1000, 10_000), 3 if quick else 10)
    print(f"random tasks converge like T^({exponent:.2f} +- {error:.2f})")
    solves = sum(sum(found.statuses.values()) for found in measured.values())
    certified = sum(found.statuses["certified"] for found in measured.values())
    line = [found for name, found in measured.items() if "d=1" in name]
    dots = max(found.median("linear -r", "cardinal_difference") for found in line)
    return [
        Figure("infinite tasks: share of the limit networks certified", certified / solves,
               at_least=1),
        Figure("infinite tasks: d=1, difference from connect-the-dots", dots, at_most=1e-8),
        Figure("infinite tasks: exponent of T, distance to -1/2", abs(exponent + 0.5),
               at_most=0.1),
        *(
            Figure(f"infinite tasks: {name}, cardinal difference to {found.nearest()[0]}",
                   found.median(found.nearest()[0], "cardinal_difference"))
            for name, found in measured.items() if found.rows
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    harness.main(run, __doc__)
