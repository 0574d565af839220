"""What a fresh process takes to import, to print its help, and to fit something."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial

from benchmarks import harness
from benchmarks.harness import Figure, in_time_units

FIT = """
import numpy as np, mtrelu
rng = np.random.default_rng(1)
x = np.cumsum(rng.uniform(.5, 1.5, 200))
Y = rng.standard_normal((200, 5)).cumsum(axis=0)
"""
SOLVE = f"{FIT}assert mtrelu.solve(x, Y, 10.0).status.name == 'CERTIFIED'"
INTERPOLATE = f"{FIT}mtrelu.solve(x, Y, 0.0)"
ESTIMATOR = f"{FIT}mtrelu.ReLURegressor(alpha=10.0).fit(x[:, None], Y).predict(x[:, None])"


def run(quick: bool) -> list[Figure]:
    help_text = "import sys; sys.argv = ['mtrelu', '--help']; from mtrelu.cli import main; main()"
    programs = {
        "python -c pass": "pass",
        "import mtrelu": "import mtrelu",
        "import sklearn.base": "import sklearn.base",
        "mtrelu --help": help_text,
        "solve": SOLVE,
        "solve, alpha=0": INTERPOLATE,
        "ReLURegressor.fit": ESTIMATOR,
    }
    actions = {name: partial(_python, program) for name, program in programs.items()}
    seconds = harness.medians(actions, repeat=3 if quick else 9)
    for name, median in seconds.items():
        print(f"  {name:<28}{in_time_units(median):>12}")
    bare = seconds["python -c pass"]
    ratio = (seconds["import mtrelu"] - bare) / (seconds["import sklearn.base"] - bare)
    fits = {name: seconds[name] for name in ("solve", "solve, alpha=0", "ReLURegressor.fit")}
    slowest = max(fits, key=fits.__getitem__)
    figures = [
        Figure("startup: import mtrelu / import sklearn.base (interpreter taken off)",
               ratio, at_most=1),
        Figure("startup: mtrelu --help", seconds["mtrelu --help"], "s", at_most=1),
        Figure(f"startup: first fit of a process, code cached (slowest: {slowest})",
               fits[slowest], "s", at_most=2),
    ]  # fmt: skip
    if not quick:
        with tempfile.TemporaryDirectory() as empty:
            start = time.perf_counter()
            _python(SOLVE, NUMBA_CACHE_DIR=empty)
            first = time.perf_counter() - start
        print(f"  {'solve, nothing compiled yet':<28}{in_time_units(first):>12}")
        figures.append(Figure("startup: the very first fit after installing", first, "s"))
    return figures


def _python(program: str, **environment: str) -> None:
    """Run a program in a fresh interpreter, as the installed command would."""
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | environment,
    )


if __name__ == "__main__":
    harness.main(run, __doc__)
