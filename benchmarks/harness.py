"""What every benchmark shares: timing, the description of the machine, the table of figures."""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import mtrelu

PACKAGES = (
    "mtrelu",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "clarabel",
    "cvxpy",
    "skglm",
    "pyscnn",
    "torch",
    "celer",
    "pwlf",
)


@dataclass(frozen=True)
class Figure:
    """One measured number and what it is held against; without a target it is information."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def verdict(self) -> str:
        """``PASS``, ``MISS`` (also for a number that could not be measured), or nothing."""
        if not self.target:
            return ""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return "PASS" if low <= self.value <= high else "MISS"

    def line(self, width: int) -> str:
        measured = f"{self.value:.3g}{self.unit and ' '}{self.unit}"
        return f"{self.name:<{width}}{measured:>10}  {self.target:>8}  {self.verdict}".rstrip()


Benchmark = Callable[[bool], list[Figure]]
"""Takes ``quick``, prints as it goes, returns its figures."""


def medians(
    actions: Mapping[str, Callable[[], object]],
    repeat: int = 7,
    budget: float = math.inf,
    warm_up: bool = True,
) -> dict[str, float]:
    """Median seconds of each action, taken in turns so that a busy machine disturbs all alike.

    A round that is not counted comes first (compilation, page faults, caches). After ``budget``
    seconds no further round starts.
    """
    for action in actions.values() if warm_up else ():
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    start = time.perf_counter()
    for done in range(repeat):
        if done and time.perf_counter() - start > budget:
            break
        for name, action in actions.items():
            before = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - before)
    return {name: statistics.median(times) for name, times in seconds.items()}


def random_walks(n_samples: int, n_tasks: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels that are random walks over a jittered grid: curvature on every scale.

    They look alike at every N, so that a fraction of ``alpha_max`` means the same everywhere.
    """
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.5, 1.5, n_samples))
    return x, rng.standard_normal((n_samples, n_tasks)).cumsum(axis=0)


def proved_gaps(solution: mtrelu.Solution) -> tuple[float, float]:
    """Relative gap by the certificate of `solve`, which knows the solver's dual, and by `certify`.

    The second judges the network as it would be judged after loading it from a file.
    """
    given = solution.problem
    alone = mtrelu.certify(solution.network, given.X, given.Y, given.alpha, loss=given.loss)
    return solution.certificate.relative_gap, alone.relative_gap


def in_time_units(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def machine() -> str:
    """Processor, load and versions: what the numbers depend on."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    installed = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            installed.append(f"{package} (not installed as a package)")
    return f"{name}, {os.cpu_count()} cores, load {load()}\n{', '.join(installed)}"


def load() -> str:
    """Load average of the last minute; above 0 at the start, others were using the machine."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def table(figures: Sequence[Figure]) -> str:
    width = max(len(figure.name) for figure in figures)
    head = f"{'figure':<{width}}{'measured':>10}  {'target':>8}"
    return "\n".join((head, "-" * (len(head) + 6), *(f.line(width) for f in figures)))


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes, to see that everything runs; the targets are for the full sizes",
    )
    return parser


def main(benchmark: Benchmark, description: str | None) -> None:
    """Run one benchmark from the command line."""
    options = arguments(description).parse_args()
    print(machine(), end="\n\n")
    figures = benchmark(options.quick)
    print(f"\n{table(figures)}")
