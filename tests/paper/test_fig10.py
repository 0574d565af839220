import json

import numpy as np
import pytest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.paper import _student_teacher as shared
from mtrelu.paper import fig10
from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig10 import FIGURE
from mtrelu.paper.figure import plain
from mtrelu.regime.designs import DESIGNS
from mtrelu.report.page import png

pytest.importorskip("torch")


def verdicts(figure, data):
    return {found.claim.name: found.verdict for found in figure.findings(data)}


def stored(figure, settings, kept, n_seeds=1):
    steps = []
    data = figure.measure(
        {**figure.quick, **settings}, n_seeds, lambda *step: steps.append(step), kept
    )
    assert steps[-1][0] == steps[-1][1] == max(step[0] for step in steps)
    return json.loads(json.dumps(plain(data), allow_nan=False))


def network(w, v, b=None, n_tasks=1):
    w, v = np.asarray(w, float), np.asarray(v, float)
    b = np.zeros(len(w)) if b is None else b
    return ReLUNetwork(w, b, v, np.zeros((n_tasks, w.shape[1])), np.zeros(n_tasks))


def test_figure_10_end_to_end_resumes_and_its_claims_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(fig10, "N_TASKS", 3)
    monkeypatch.setattr(fig10, "SHOWN", 3)
    settings = {"width": 30, "steps": 60, "trained": 1, "grid": 61, "directions": 2}
    data = stored(FIGURE, settings, tmp_path / "kept")
    monkeypatch.setattr(fig10, "_task", None)  # nothing is done again
    assert stored(FIGURE, settings, tmp_path / "kept") == data
    said = verdicts(FIGURE, data)
    assert said["optima proved"] is said["nearly interpolated, optima"] is Verdict.HOLDS
    assert said["ridge functions, trained"] is said["about five neurons, trained"] is Verdict.OPEN
    # The teacher is a network too, so that none is better than the optimum.
    assert all(row["teacher_above"] > -1e-6 for row in data["optima"])
    assert png(FIGURE.draw(data))
    for rows in (data["trained"], data["optima"]):
        rows[0] |= {"ridge": 1.0, "fresh": 1.0, "mse": 1.0, "gap": 1.0}
    data |= {"optima_off": 1.1, "trained_off": 1.1}
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def test_the_best_scaled_teacher_against_the_objective_of_that_network():
    X, Y = DESIGNS["student-teacher"].draw(25, 0)
    w = shared.teachers(25).w[[3]]
    problem = mtrelu.Problem.make(X, Y[:, 3], 0.001)
    found = [problem.objective(network(w, [[a]])) for a in np.linspace(0.99, 1.0, 2001)]
    assert fig10._best_scaled(X, Y[:, [3]]) == pytest.approx(min(found), rel=1e-6)
