"""`mtrelu.solve` against convex solvers at the same relative gap of the same objective.

A peer's gap is measured against the certified bound of mtrelu, not believed. A peer that does not
reach it within the time limit is reported and not counted, and not run again at the same
``alpha / alpha_max`` with at least as many samples and tasks. CVXPY is not run where the solver
that it calls has missed the limit on its own.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units
from benchmarks.peers import (
    Celer,
    Clarabel,
    ConvexProblem,
    CvxpyClarabel,
    Outcome,
    Peer,
    Skglm,
    attempt,
)

SIZES = ((200, 5), (1000, 5), (1000, 50), (10_000, 10), (100_000, 10))
FRACTIONS = (0.1, 0.01, 1e-4, 1e-6)
GAP = 1e-6
LIMIT = 20.0
"""Seconds for one run of a peer."""

Case = tuple[float, int, int]
"""``alpha / alpha_max``, N, T."""


def run(quick: bool) -> list[Figure]:
    sizes, fractions = (SIZES[:2], FRACTIONS[:2]) if quick else (SIZES, FRACTIONS)
    limit = 2.0 if quick else LIMIT
    clarabel, cvxpy = Clarabel(), CvxpyClarabel()
    peers: tuple[Peer, ...] = (clarabel, cvxpy, Skglm(), Celer())
    for peer in peers:
        peer.warm_up()
    missed: dict[str, dict[Case, str]] = {peer.name: {} for peer in peers}
    ratios: dict[str, list[float]] = {peer.name: [] for peer in peers}
    alone: list[float] = []
    fastest: list[tuple[float, str]] = []
    gaps: list[tuple[float, float]] = []
    for n_samples, n_tasks in sizes:
        x, Y = harness.random_walks(n_samples, n_tasks)
        alpha_max = mtrelu.alpha_max(x, Y)
        for fraction in fractions:
            case = (fraction, n_samples, n_tasks)
            label = f"N={n_samples:,} T={n_tasks} alpha={fraction:g} alpha_max"
            ours, solver_alone, both_gaps, problem = _ours(x, Y, fraction * alpha_max, label)
            gaps.append(both_gaps)
            times = {}
            for peer in peers:
                outcome = _theirs(peer, problem, case, missed[peer.name], limit)
                _report(peer, outcome, ours)
                if outcome.reason and peer is clarabel:
                    missed[cvxpy.name][case] = clarabel.name
                if not outcome.reason:
                    times[peer.name] = outcome.seconds
                    ratios[peer.name].append(outcome.seconds / ours)
            if clarabel.name in times:
                alone.append(times[clarabel.name] / solver_alone)
            if times:
                name = min(times, key=times.__getitem__)
                fastest.append((times[name] / ours, f"{label}, {name}"))
                verdict = Figure("  fastest peer / mtrelu.solve", fastest[-1][0], at_least=1)
                print(verdict.line(30), flush=True)
    return _figures(ratios, alone, fastest, gaps)


def _ours(
    x: np.ndarray, Y: np.ndarray, alpha: float, label: str
) -> tuple[float, float, tuple[float, float], ConvexProblem]:
    """Seconds of `solve` and of the solver alone, gaps (`proved_gaps`), the problem for peers."""
    from mtrelu.problem import Problem
    from mtrelu.solvers.spline import fit_spline

    tight = mtrelu.solve(x, Y, alpha, tol=1e-9, time_limit=60)
    solution = mtrelu.solve(x, Y, alpha, tol=GAP)
    given = Problem.make(x, Y, alpha)
    seconds = harness.medians(
        {
            "solve": partial(mtrelu.solve, x, Y, alpha, tol=GAP),
            "solver": partial(fit_spline, given, tol=GAP),
        },
        budget=3.0,
    )
    gaps = harness.proved_gaps(solution)
    print(
        f"\n{label}: {solution.network.n_neurons} knots\n"
        f"  {'mtrelu.solve':<18}{in_time_units(seconds['solve']):>12}  gap {gaps[0]:.1e}, "
        f"{gaps[1]:.1e} from the network alone; solver without certificate "
        f"{in_time_units(seconds['solver'])}",
        flush=True,
    )
    bound = max(tight.certificate.dual, solution.certificate.dual)
    return seconds["solve"], seconds["solver"], gaps, ConvexProblem.scaled(x, Y, alpha, bound)


def _theirs(
    peer: Peer, problem: ConvexProblem, case: Case, missed: dict[Case, str], limit: float
) -> Outcome:
    for (fraction, n_samples, n_tasks), who in missed.items():
        if fraction == case[0] and n_samples <= case[1] and n_tasks <= case[2]:
            return Outcome(reason=f"not run: {who} missed at N={n_samples:,} T={n_tasks}")
    outcome = attempt(peer, problem, GAP, limit)
    if outcome.reason:
        missed[case] = peer.name
    return outcome


def _report(peer: Peer, outcome: Outcome, ours: float) -> None:
    if outcome.reason:
        print(f"  {peer.name:<18}{'—':>12}  {outcome.reason}", flush=True)
    else:
        print(
            f"  {peer.name:<18}{in_time_units(outcome.seconds):>12}  gap {outcome.gap:.1e}, "
            f"{outcome.seconds / ours:.3g} times mtrelu.solve",
            flush=True,
        )


def _figures(
    ratios: dict[str, list[float]],
    alone: list[float],
    fastest: list[tuple[float, str]],
    gaps: list[tuple[float, float]],
) -> list[Figure]:
    slowest, where = min(fastest, default=(math.nan, "no case"))
    lost = sum(ratio < 1 for ratio, _ in fastest)
    proved, alone_proved = np.max(gaps, axis=0)
    figures = [
        Figure(f"spline: largest relative gap of solve, {len(gaps)} cases", proved, at_most=GAP),
        Figure("spline: … by certify, from the network alone", alone_proved, at_most=GAP),
        Figure(f"spline: fastest peer / solve, least ({where})", slowest, at_least=1),
        Figure(f"spline: cases of {len(fastest)} where a peer is faster", lost, at_most=0),
    ]
    for name, values in ratios.items():
        label = f"spline: {name} / solve, geometric mean of the {len(values)} it finishes"
        target = 30.0 if name == Clarabel.name else None
        figures.append(Figure(label, _geometric_mean(values), at_least=target))
    figures.insert(5, Figure("spline: … the same for the solver alone", _geometric_mean(alone)))
    return figures


def _geometric_mean(values: list[float]) -> float:
    return math.exp(np.mean(np.log(values))) if values else math.nan


if __name__ == "__main__":
    harness.main(run, __doc__)
