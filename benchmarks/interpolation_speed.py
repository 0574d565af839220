"""Connect-the-dots against a copy of the labels, `np.interp` and SciPy's B-splines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import make_interp_spline

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units


def run(quick: bool) -> list[Figure]:
    n, n_tasks = (100_000, 16) if quick else (1_000_000, 16)
    x, Y = harness.random_walks(n, n_tasks)
    rng = np.random.default_rng(2)
    between = np.sort(rng.uniform(x[0], x[-1], n))
    anywhere = rng.permutation(between)
    columns = np.ascontiguousarray(Y.T)  # np.interp is given each task in one piece
    fit = mtrelu.interpolate(x, Y)
    assert fit.cost > 0 and fit.verdict.value == "unique"
    bspline = make_interp_spline(x, Y, k=1)
    values = np.empty_like(Y)

    def refit() -> object:
        again = mtrelu.interpolate(x, Y, out=fit)
        return again.slopes, again.cost, again.verdict

    def fresh_fit() -> object:
        again = mtrelu.interpolate(x, Y)
        return again.slopes, again.cost, again.verdict

    def interp(queries: np.ndarray) -> Callable[[], object]:
        return lambda: [np.interp(queries, x, column) for column in columns]

    seconds = harness.medians(
        {
            "np.copyto of Y": lambda: np.copyto(values, Y),
            "fit, out=": refit,
            "fit, fresh arrays": fresh_fit,
            "make_interp_spline(k=1), no slopes, no cost": lambda: make_interp_spline(x, Y, k=1),
            "sorted prediction, out=": lambda: fit(between, out=values),
            "sorted prediction, fresh array": lambda: fit(between),
            "sorted prediction, BSpline": lambda: bspline(between),
            "random prediction, out=": lambda: fit(anywhere, out=values),
            "random prediction, fresh array": lambda: fit(anywhere),
        },
        repeat=9,
    )
    slow = {
        "sorted prediction, np.interp per task": interp(between),
        "random prediction, np.interp per task": interp(anywhere),
    }
    seconds |= harness.medians(slow, repeat=3, budget=30.0)
    copy = seconds["np.copyto of Y"]
    print(f"N={n:,} T={n_tasks:,}, predictions at {n:,} points")
    for name, time in seconds.items():
        print(f"  {name:<46}{in_time_units(time):>12}  {time / copy:8.2f} copies")
    np.testing.assert_allclose(fit(anywhere)[:, 0], np.interp(anywhere, x, columns[0]), atol=1e-8)
    random, interp_random = (
        seconds["random prediction, out="],
        "random prediction, np.interp per task",
    )
    return [
        Figure("interpolation: fit with slopes, cost, verdict (out=) / copy of Y",
               seconds["fit, out="] / copy, at_most=3),
        Figure("interpolation: the same into fresh arrays / copy of Y",
               seconds["fit, fresh arrays"] / copy),
        Figure("interpolation: prediction at sorted points (out=) / copy",
               seconds["sorted prediction, out="] / copy, at_most=3),
        Figure("interpolation: np.interp per task / prediction at random points (out=)",
               seconds[interp_random] / random, at_least=10),
        Figure("interpolation: np.interp per task / the same into a fresh array",
               seconds[interp_random] / seconds["random prediction, fresh array"]),
    ]  # fmt: skip


if __name__ == "__main__":
    harness.main(run, __doc__)
