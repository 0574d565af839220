"""How fast a task's fit becomes a kernel method as the number of tasks grows, and how sure that is.

Medians over five seeds, with 95 % intervals of the rates. Where a certificate in five dimensions
takes its time there are fewer, and so no intervals: three for Gaussian inputs, two for student and
teacher (``mtrelu regime student-teacher`` measures five, and more numbers of tasks, in about five
minutes on two cores). For the two squares at a fixed penalty they are held against figures that
were measured before this package could (first task 0 on the outer square and 1 on the inner one,
the others Bernoulli, α = 1e-3, affine skip connection).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import joblib
import numpy as np

from benchmarks import harness
from benchmarks.harness import Figure
from mtrelu.regime.designs import DESIGNS
from mtrelu.regime.sweep import FALLING, Plan, Sweep, run_sweep
from mtrelu.report.regime import RegimeReport

REFERENCE = {
    2: (6e-2, 2e-5, 0.38),
    11: (3e-3, 6e-8, 4e-2),
    101: (7e-6, 6e-13, 6e-5),
    1001: (2e-7, 6e-16, 1e-6),
}
"""By T: outputs against [18], J(v') − J(v*), outputs against the neurons of the other tasks."""
COMPARED = ("output_difference", "excess", "leave_task_out_difference")


@dataclass(frozen=True)
class Case:
    """A sweep with a name."""

    name: str
    plan: Plan


def case(
    name: str,
    design: str,
    n_tasks: tuple[int, ...],
    quick: bool,
    *,
    n_seeds: int = 5,
    weight_decay: float | None = None,
) -> Case:
    plan = Plan.make(
        DESIGNS[design],
        n_tasks=n_tasks[:3] if quick else n_tasks,
        n_seeds=2 if quick else n_seeds,
        weight_decay=weight_decay,
    )
    return Case(name, plan)


def cases(quick: bool) -> list[Case]:
    squares, gaussian = (1, 2, 5, 11, 31, 101, 301, 1001), (11, 31, 101, 1001)
    return [
        case("two squares", "two-squares", squares, quick),
        case("two squares, growing alpha", "two-squares", squares, quick, weight_decay=1e-3),
        case("student-teacher", "student-teacher", (2, 5, 25), quick, n_seeds=2),
        *(case(f"Gaussian d={d}", f"gaussian-{d}d", gaussian, quick) for d in (1, 2, 3)),
        case("Gaussian d=5", "gaussian-5d", gaussian, quick, n_seeds=3),
    ]


def run(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for each in cases(quick):
        begin = time.perf_counter()
        sweep = run_sweep(each.plan, n_jobs=joblib.cpu_count())
        show(each.name, sweep, time.perf_counter() - begin)
        figures += judged(each.name, sweep)
        if each.name == "two squares" and not quick:
            figures += against_reference(sweep)
    return figures


def show(name: str, sweep: Sweep, seconds: float) -> None:
    plan = sweep.plan
    penalty = f"alpha={plan.alpha:g}" if plan.weight_decay is None else "alpha=lambda N T / 2"
    cells = len(sweep.measurements)
    print(f"\n{name}, {penalty}, {plan.n_seeds} seeds: {cells} cells in {seconds:.1f} s")
    head, rows, rates = RegimeReport(sweep, "", "").rows()
    for row in [head, *rows, rates]:
        print("  " + "".join(f"{cell:>17}" for cell in row).rstrip())
    for quantity in FALLING:
        rate = sweep.rate(quantity)
        off = "" if math.isnan(rate.misfit) else f", off by a factor of up to {rate.misfit:.1f}"
        print(f"  {quantity}: {rate.in_words()}{off}", flush=True)


def judged(name: str, sweep: Sweep) -> list[Figure]:
    """What must hold for every design: proofs, and the rate of Theorem 4.1 for a fixed penalty."""
    fixed = sweep.plan.weight_decay is None
    certified = sum(sweep.n_certified()) / len(sweep.measurements)
    figures = [Figure(f"regime: {name}, share of certified cells", certified, at_least=1.0)]
    for quantity in ("excess", "surrogate_gap"):
        figures.append(
            Figure(
                f"regime: {name}, exponent of {quantity}",
                sweep.rate(quantity).exponent,
                at_most=-0.25 if fixed else None,
            )
        )
    for quantity in ("output_difference", "leave_task_out_difference"):
        figures.append(
            Figure(f"regime: {name}, exponent of {quantity}", sweep.rate(quantity).exponent)
        )
    return figures


def against_reference(sweep: Sweep) -> list[Figure]:
    """The largest factor between a median and the figure it is to reproduce, by quantity.

    The figures have one digit, so that they are off by up to a sixth themselves.
    """
    print("\n  measured / reference")
    figures = []
    for i, quantity in enumerate(COMPARED):
        median = dict(zip(sweep.plan.n_tasks, sweep.median(quantity), strict=True))
        ratios = {n: median[n] / REFERENCE[n][i] for n in REFERENCE}
        print(f"  {quantity}: " + ", ".join(f"T={n}: {ratio:.2f}" for n, ratio in ratios.items()))
        off = float(np.exp(np.abs(np.log(list(ratios.values()))).max()))
        figures.append(
            Figure(
                f"regime: two squares, {quantity} against the reference",
                off if math.isfinite(off) else math.nan,
                at_most=1.25,
            )
        )
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
