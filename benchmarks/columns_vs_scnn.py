"""`mtrelu.solve` against `pyscnn`, which solves convex reformulations, where they compare.

Where they can: one task, squared loss, a constant skip connection. `pyscnn` penalises the bias with
the weights and has no skip connection; with a constant column of size ``COLUMN`` next to inputs of
size 1 its bias, and with it a constant, cost next to nothing, and the objective of its network is
taken as mtrelu defines it. Its own first-order method (AL) suffers from that column; the cone
program (SCS) does not. It works with the activation patterns that it is given: here all of
them, whose enumeration is not part of its time. It has no certificate; with a sample of the
patterns, its default, nothing is known about the distance to the optimum.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import logging
import math
import time
import warnings
from typing import Any

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.columns_scaling import gaussian, two_squares
from benchmarks.harness import Figure, in_time_units
from mtrelu.status import Status

TOL = 1e-9
COLUMN = 10.0


def run(quick: bool) -> list[Figure]:
    if importlib.util.find_spec("scnn") is None:
        return [Figure("columns: pyscnn is not installed", math.nan, at_least=1)]
    logging.getLogger("scnn").setLevel(logging.ERROR)  # that it stops early is measured
    X, Y = gaussian(20, 1)
    fraction = 0.1 * mtrelu.alpha_max(X, Y, skip="constant")
    cases = [("two squares", *two_squares(1), 1e-3), ("Gaussian N=20", X, Y, fraction)]
    mtrelu.solve(*gaussian(20, 3), 0.1, skip="constant")  # loads compiled code
    figures = []
    for name, X, Y, alpha in cases:
        begin = time.perf_counter()
        solution = mtrelu.solve(X, Y, alpha, skip="constant", tol=TOL)
        ours = time.perf_counter() - begin
        certificate = solution.certificate
        optimum = certificate.primal if solution.status is Status.CERTIFIED else math.nan
        gates = patterns(X)
        print(
            f"{name} T=1: solve {in_time_units(ours)}, gap {certificate.relative_gap:.1e}, "
            f"{solution.network.n_neurons} neurons; {gates.shape[1]} activation patterns",
            flush=True,
        )
        for method in ("SCS",) if quick else ("SCS", "AL"):
            network, seconds = convex_reformulation(X, Y, alpha, gates, method)
            end = mtrelu.certify(network, X, Y, alpha, skip="constant")
            above = (end.primal - optimum) / optimum
            print(
                f"  pyscnn {method}: {in_time_units(seconds)}, ends {above:.1e} above the optimum, "
                f"{network.n_neurons} neurons",
                flush=True,
            )
            label = f"pyscnn {method}, {name} T=1"
            figures += [
                Figure(f"columns: time of {label} / solve", seconds / ours, at_least=1),
                Figure("columns: … ends above the certified optimum by", above),
            ]
    return figures


def patterns(X: np.ndarray) -> np.ndarray:
    """Gates (3, P) of (w, b / COLUMN), one for each way in which a line can divide the points.

    Every cell of lines has a corner where two points lie on the line; nearby are all its sides.
    """
    rng = np.random.default_rng(0)
    gates = []
    for i, j in itertools.permutations(range(len(X)), 2):
        normal = np.array([X[i, 1] - X[j, 1], X[j, 0] - X[i, 0]])
        w = normal + 1e-6 * rng.standard_normal((40, 2))
        b = -w @ X[i] + 1e-6 * rng.standard_normal(40)
        gates.append(np.vstack((w.T, b / COLUMN)))
    candidates = np.hstack(gates)
    active = with_column(X) @ candidates > 0
    return np.asarray(candidates[:, np.unique(active, axis=1, return_index=True)[1]])


def with_column(X: np.ndarray) -> np.ndarray:
    return np.hstack((X, np.full((len(X), 1), COLUMN)))


def convex_reformulation(
    X: np.ndarray, Y: np.ndarray, alpha: float, gates: np.ndarray, method: str
) -> tuple[mtrelu.ReLUNetwork, float]:
    """Train by pyscnn; its squared error is divided by 2 N, so alpha is by N."""
    scnn: Any = importlib.import_module("scnn.optimize")
    model = scnn.ConvexReLU(gates, c=1)
    solvers: Any = importlib.import_module("scnn.solvers")
    solver = solvers.AL(model) if method == "AL" else solvers.CVXPYSolver(model, "scs")
    penalty = importlib.import_module("scnn.regularizers").NeuronGL1(alpha / len(X))
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _ = scnn.optimize_model(
            model, solver, scnn.Metrics(), with_column(X), Y, regularizer=penalty,
            unitize_data=False, dtype="float64",
        )  # fmt: skip
    seconds = time.perf_counter() - begin
    weights, output = (np.asarray(each, dtype=np.float64) for each in found.parameters)
    network = mtrelu.ReLUNetwork(
        weights[:, :2], COLUMN * weights[:, 2], output.T, np.zeros((1, 2)), np.zeros(1)
    )
    return network, seconds


if __name__ == "__main__":
    harness.main(run, __doc__)
