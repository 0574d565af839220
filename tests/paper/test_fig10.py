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

TINY = {"width": 30, "steps": 60, "settling_steps": 5, "trained": 1, "grid": 61, "directions": 2}


def verdicts(figure, data):
    return {found.claim.name: found.verdict for found in figure.findings(data)}


def stored(figure, settings, kept, n_seeds=1):
    steps = []
    data = figure.measure(
        {**figure.quick, **settings}, n_seeds, lambda *step: steps.append(step), kept
    )
    assert steps[-1][0] == steps[-1][1] == max(step[0] for step in steps)
    return json.loads(json.dumps(plain(data), allow_nan=False))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(fig10, "TASKS", (0, 1, 2))


def network(w, v, b=None, n_tasks=1):
    w, v = np.asarray(w, float), np.asarray(v, float)
    b = np.zeros(len(w)) if b is None else b
    return ReLUNetwork(w, b, v, np.zeros((n_tasks, w.shape[1])), np.zeros(n_tasks))


def test_figure_10_end_to_end_resumes_and_its_claims_can_fail(tmp_path, few, monkeypatch):
    data = stored(FIGURE, TINY, tmp_path / "kept")
    for part in ("_solved", "_trained"):
        monkeypatch.setattr(fig10, part, None)  # nothing is done again
    assert stored(FIGURE, TINY, tmp_path / "kept") == data
    said = verdicts(FIGURE, data)
    assert said["optima proved"] is said["nearly interpolated, optima"] is Verdict.HOLDS
    assert {said[name] for name in said if name.endswith("trained")} == {Verdict.OPEN}
    # The teacher is a network too, so that none is better than the optimum.
    assert all(row["teacher_above"] > -1e-6 for row in data["optima"])
    assert png(FIGURE.draw(data))
    for rows in (data["trained"], data["optima"]):
        rows[0] |= {"judged": {"ridge": 1.0, "fresh": 1.0, "mse": 1.0}, "gap": 1.0}
    data |= {"optima_off": 1.1, "trained_off": 1.1}
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def student(t, trained, settings, far=0.0):
    """The teacher of task t, or something else, as if it had been found."""
    w = shared.teachers().w[[t]]
    found = network(np.vstack([w, w[:, ::-1]]), [[1.0], [far]])
    lines, s = shared.lines_of(settings)
    return {"task": t, "valid": True, "gap": 0.0, "mse": 0.0, "n_neurons": 5, "counts": [5] * 12,
            **shared.compared(found, (t,), lines, s)}  # fmt: skip


def run(monkeypatch, kept, width, trained, far=0.0):
    for name, which in (("_solved", False), ("_trained", True)):
        monkeypatch.setattr(
            fig10, name, lambda t, settings, which=which: student(t, which, settings, far)
        )
    settings = {**TINY, "width": width, "trained": trained}
    return verdicts(FIGURE, stored(FIGURE, settings, kept))


def test_trained_networks_count_only_as_the_paper_trained_them(tmp_path, monkeypatch):
    said = run(monkeypatch, tmp_path / "all", 800, 25)
    assert set(said.values()) == {Verdict.HOLDS}
    for name, width, trained in (("narrow", 30, 25), ("few", 800, 24)):
        said = run(monkeypatch, tmp_path / name, width, trained)
        assert said["ridge functions, optima"] is Verdict.HOLDS
        assert {said[each] for each in said if each.endswith("trained")} == {Verdict.OPEN}


def test_students_with_another_neuron_are_no_teachers(tmp_path, monkeypatch):
    said = run(monkeypatch, tmp_path / "kept", 800, 25, far=0.5)
    for what in ("trained", "optima"):
        assert said[f"ridge functions, {what}"] is Verdict.FAILS
        assert said[f"teachers recovered, {what}"] is Verdict.FAILS


def test_the_mean_of_all_tasks_is_about_five_only_if_every_reading_says_so():
    def rows(*counts):
        return [{"valid": True, "counts": each} for each in counts]

    assert fig10._mean_off(rows([4, 5], [6, 5])) == 0.0
    assert fig10._mean_off(rows([1, 5], [1, 5])) is None
    assert fig10._mean_off(rows([1, 1], [1, 1])) > 1.0
    assert fig10._mean_off([*rows([5, 5]), {"valid": False}]) is None


def test_the_best_scaled_teacher_against_the_objective_of_that_network():
    X, Y = DESIGNS["student-teacher"].draw(25, 0)
    w = shared.teachers().w[[3]]
    problem = mtrelu.Problem.make(X, Y[:, 3], 0.001)
    found = [problem.objective(network(w, [[a]])) for a in np.linspace(0.99, 1.0, 2001)]
    assert fig10._best_scaled(X, Y[:, [3]]) == pytest.approx(min(found), rel=1e-6)
