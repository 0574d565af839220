"""The verdict where labels are left out, or tasks differ in their weights."""

from __future__ import annotations

import numpy as np

from mtrelu._flat_tasks import FlatTasks
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope.duality import nearest_dual
from mtrelu.optimal_polytope.family import Family, Support
from mtrelu.optimal_polytope.judgement import (
    Case,
    Judgement,
    Standard,
    affordable_oracle,
    peaks_of,
    tilted,
    why_undecided,
    why_unique,
)
from mtrelu.optimal_polytope.proof import Used, prove_unique
from mtrelu.optimal_polytope.support import largest_features
from mtrelu.problem import Problem
from mtrelu.solvers.interpolation import Verdict
from mtrelu.validation import FloatArray


def judge_unshared(problem: Problem, network: ReLUNetwork, dual: FloatArray | None) -> Judgement:
    """As `judge` for tasks that differ in their weights.

    What is proved is the same, for the labels that are used. Other optima are shown only where
    the labels of a task leave its slope free.
    """
    X, group = np.unique(problem.X, axis=0, return_inverse=True)
    group = group.reshape(-1)
    oracle = affordable_oracle(X, problem.skip)
    weight = np.bincount(group, problem.row_weight).astype(np.float64)
    point = nearest_dual(problem, network, dual, oracle, X, group)
    field, peaks, exhaustive = peaks_of(
        problem, point, oracle, weight, largest_features(oracle, weight)
    )
    parts = [(tasks, rows, part.sample_weight) for tasks, rows, part in problem.by_weights()]
    proof = prove_unique(field, peaks, Used(group, parts))
    values = np.zeros_like(point.summed)
    values[group] = network(problem.X)
    known = Support.of_network(oracle.hull, network)
    family = Family.of(oracle.hull, field, known, values)[0].fixed()
    case = Case(problem, network, point, field, peaks, exhaustive, values, family, 0.0)
    standard = Standard.of(problem, network, point.P)
    gap = standard.gap if point.proved else np.inf
    flat = FlatTasks.of(problem, problem.n_inputs)
    verdict, witness = Verdict.UNDECIDED, None
    if flat:
        tasks = flat[0].tasks
        reason = (
            f"The inputs of the labels of {'a task' if tasks.size == 1 else 'some tasks'} (column "
            f"{tasks[0]}) span only {flat[0].hull.axes.shape[1]} of {problem.n_inputs} dimensions, "
            "so its slope across them is free: it changes neither the loss nor the path norm."
        )
        if gap <= standard.room:
            witness = tilted(network, flat[0].hull, problem, standard, tasks)
        if witness is not None:
            verdict = Verdict.NOT_UNIQUE
        else:
            reason += f" But no second network could be shown at the relative gap of {gap:.1g}."
    elif proof.holds and exhaustive and point.fixes_values(problem):
        verdict = Verdict.UNIQUE
        reason = why_unique(proof, case)
    else:
        reason = why_undecided(proof, case, gap)
    unique = verdict is Verdict.UNIQUE
    return Judgement(
        verdict, reason, network, gap / case.primal, unique, unique, family, None, witness,
        standard, flat,
    )  # fmt: skip
