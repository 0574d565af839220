"""Peak memory and time of fitting, predicting and loading a model with very many samples or tasks.

Every row is a process of its own, which reports the most memory that it ever held: interpreter,
imports and labels included. Labels are random walks; the penalty is 0.1 of `mtrelu.alpha_max`. A
process that asks for more than the machine has ends, and its row says so.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.io import load_model, save_model

FRACTION = 0.1
GB = 1e9


def run(quick: bool) -> list[Figure]:
    large = 100_000 if quick else 1_000_000
    figures = []
    columns = ("peak", "/ labels", "fit", "predict", "neurons", "file", "load", "peak")
    print(f"{'':<28}" + "".join(f"{name:>10}" for name in columns))
    for n, n_tasks in ((large, 1), (large, 10), (500, large)):
        labels = 8.0 * n * n_tasks
        name = f"N={n:,} T={n_tasks:,}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            fitted = _in_a_process("fit", str(n), str(n_tasks), str(path))
            if fitted is None:
                print(
                    f"  {name:<26} does not fit into {memory() / GB:.0f} GB of memory", flush=True
                )
                figures.append(Figure(f"size, {name}: relative gap", np.nan, at_most=1e-6))
                continue
            file_size = path.stat().st_size
            loaded = _in_a_process("load", str(path))
            assert loaded is not None
        print(
            f"  {name:<26}{fitted['peak'] / GB:>7.2f} GB{fitted['peak'] / labels:>10.1f}"
            f"{in_time_units(fitted['fit']):>10}{in_time_units(fitted['predict']):>10}"
            f"{fitted['neurons']:>10.0f}{file_size / GB:>7.2f} GB"
            f"{in_time_units(loaded['load']):>10}{loaded['peak'] / GB:>7.2f} GB",
            flush=True,
        )
        figures += [
            Figure(f"size, {name}: peak memory of fit and predict", fitted["peak"] / GB, "GB"),
            Figure(f"size, {name}: fit with certificate", fitted["fit"], "s"),
            Figure(f"size, {name}: relative gap", fitted["gap"], at_most=1e-6),
            Figure(f"size, {name}: predict at the samples", fitted["predict"], "s"),
            Figure(f"size, {name}: load_model", loaded["load"], "s"),
        ]
    return figures


def fit(n_samples: int, n_tasks: int, path: Path) -> dict[str, float]:
    """Fit, predict and save, all in this process."""
    x, Y = harness.random_walks(1000, 2)
    ReLURegressor(1.0).fit(x[:, None], Y).predict(x[:, None])  # reads compiled code
    rng = np.random.default_rng(1)
    X = np.cumsum(rng.uniform(0.5, 1.5, n_samples))[:, None]
    Y = rng.standard_normal((n_samples, n_tasks))
    np.cumsum(Y, axis=0, out=Y)  # in place, for the peak is to be that of the fit
    model = ReLURegressor(FRACTION * mtrelu.alpha_max(X, Y))
    start = time.perf_counter()
    model.fit(X, Y)
    fitted = time.perf_counter()
    model.predict(X)
    predicted = time.perf_counter()
    save_model(path, model)
    return {
        "fit": fitted - start,
        "predict": predicted - fitted,
        "gap": float(model.certificate_.relative_gap) if model.certificate_ else np.nan,
        "neurons": model.network_.n_neurons,
        "peak": peak_memory(),
    }


def load(path: Path) -> dict[str, float]:
    start = time.perf_counter()
    load_model(path)
    return {"load": time.perf_counter() - start, "peak": peak_memory()}


def peak_memory() -> float:
    """Most memory that this process held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # where resource usage includes that of the process which started this one
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return float(line.split()[1]) * 1024.0
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory() -> float:
    """Physical memory of the machine, in bytes."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _in_a_process(*arguments: str) -> dict[str, float] | None:
    """Run this file with these arguments in a fresh interpreter.

    Returns what it measured, or None if it ran out of memory.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.size", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ,
        text=True,
    )
    measured: dict[str, float] | None = json.loads(done.stdout)
    return measured


def _report(arguments: list[str]) -> dict[str, float] | None:
    """What the fresh interpreter does. It asks for no more memory than there is: others need it."""
    most = int(0.9 * memory())
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        match arguments:
            case ["fit", n_samples, n_tasks, path]:
                return fit(int(n_samples), int(n_tasks), Path(path))
            case [_, path]:
                return load(Path(path))
    except MemoryError:
        return None
    raise AssertionError(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] in (["fit"], ["load"]):
        print(json.dumps(_report(sys.argv[1:])))
    else:
        harness.main(run, __doc__)
