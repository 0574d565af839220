"""Run every benchmark and print one table: each figure, its target, PASS or MISS."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import traceback
from pathlib import Path

from benchmarks import (
    batched_training,
    columns_scaling,
    columns_vs_adam,
    columns_vs_scnn,
    comparison,
    correlated_tasks,
    hard_set,
    harness,
    infinite_task_kernel,
    interpolation_speed,
    kernel_regime,
    learned_kernel,
    many_tasks,
    size,
    spline_scaling,
    spline_vs_peers,
    startup,
)
from benchmarks.harness import Figure

# The comparison with peers forks processes, so it comes before threads are started.
BENCHMARKS = (
    spline_vs_peers,
    startup,
    interpolation_speed,
    spline_scaling,
    many_tasks,
    columns_scaling,
    columns_vs_adam,
    columns_vs_scnn,
    hard_set,
    kernel_regime,
    infinite_task_kernel,
    correlated_tasks,
    learned_kernel,
    comparison,
    size,
    batched_training,
)


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    options = parser.parse_args()
    print(harness.machine())
    start = time.perf_counter()
    figures: list[Figure] = []
    for benchmark in BENCHMARKS:
        name = benchmark.__name__.rpartition(".")[2]
        question = (benchmark.__doc__ or "").partition("\n")[0]
        print(f"\n== {name}: {question} (load {harness.load()})", flush=True)
        try:
            figures += benchmark.run(options.quick)
        except Exception:
            # One benchmark that breaks must not hide the others.
            traceback.print_exc()
            figures.append(Figure(f"{name}: did not run to its end", math.nan, at_most=0))
    print(f"\n{time.perf_counter() - start:.0f} s, load {harness.load()}")
    if options.quick:
        print("--quick: not the sizes that the targets are for")
    print(f"\n{harness.table(figures)}")
    if options.out:
        rows = [
            dataclasses.asdict(figure) | {"verdict": figure.verdict or None} for figure in figures
        ]
        record = {"machine": harness.machine(), "quick": options.quick, "figures": rows}
        options.out.write_text(json.dumps(record, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
