import json

import numpy as np
import pytest

from mtrelu.network import ReLUNetwork
from mtrelu.paper import _student_teacher as shared
from mtrelu.paper import fig9
from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig9 import FIGURE
from mtrelu.paper.figure import plain
from mtrelu.report.page import png

pytest.importorskip("torch")

TASKS = (0, 1, 2, 3, 4)
TINY = {"width": 60, "steps": 60, "settling_steps": 5, "grid": 61, "directions": 2}


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
    monkeypatch.setattr(fig9, "TASKS", TASKS)


def test_figure_9_end_to_end_and_its_claims_can_fail(tmp_path, few, monkeypatch):
    data = stored(FIGURE, TINY, tmp_path / "kept")
    said = verdicts(FIGURE, data)
    for name in ("no ridge functions", "several directions", "teachers not recovered"):
        assert said[f"{name}, trained"] is Verdict.OPEN  # not settled
    assert said["optima proved"] is Verdict.HOLDS
    assert data["trained"]["valid"] is False and data["optimum"]["valid"] is True
    assert png(FIGURE.draw(data))
    monkeypatch.setattr(fig9, "_student", None)  # nothing is done again
    assert stored(FIGURE, TINY, tmp_path / "kept") == data
    for chances in data["chances"].values():
        chances |= dict.fromkeys(chances, 0.96)
    data["gaps"][2] = 1.0
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def student(network, tasks, valid=True):
    lines, s = shared.directions(3), np.linspace(-3.0, 3.0, 61)
    return shared.compared(network, tasks, lines, s) | {"valid": valid, "gap": 0.0}


def chances(monkeypatch, tmp_path, many, single):
    """What the figure says if these were the students."""
    networks = {"trained": many, "optimum": many}
    monkeypatch.setattr(
        fig9,
        "_student",
        lambda what, t, settings: (
            student(single[t], (t,)) if what == "single" else student(networks[what], TASKS)
        ),
    )
    data = stored(FIGURE, {"grid": 61, "directions": 3}, tmp_path / "kept")
    return verdicts(FIGURE, data)


def bent(tasks):
    """Two kinks in different directions for each of the tasks."""
    w = np.random.default_rng(5).standard_normal((2 * len(tasks), 5))
    v = np.repeat(np.eye(len(tasks)), 2, axis=0)
    # Off the origin, for both could bend there, as one neuron does along a line.
    return ReLUNetwork(
        w, np.tile([1.0, -0.5], len(tasks)), v, np.zeros((len(tasks), 5)), np.zeros(len(tasks))
    )


def teacher(tasks):
    all_ = shared.teachers()
    chosen = list(tasks)
    return ReLUNetwork(all_.w[chosen], all_.b[chosen], np.eye(len(chosen)),
                       np.zeros((len(chosen), 5)), np.zeros(len(chosen)))  # fmt: skip


CONTRASTS = [claim.name for claim in fig9.CLAIMS if claim.name != "optima proved"]


def test_bent_outputs_against_teachers_are_what_the_paper_shows(monkeypatch, tmp_path, few):
    said = chances(monkeypatch, tmp_path, bent(TASKS), {t: teacher((t,)) for t in TASKS})
    assert {said[name] for name in CONTRASTS} == {Verdict.HOLDS}


def test_teachers_themselves_would_refute_figure_9(monkeypatch, tmp_path, few):
    said = chances(monkeypatch, tmp_path, teacher(TASKS), {t: bent((t,)) for t in TASKS})
    assert {said[name] for name in CONTRASTS} == {Verdict.FAILS}


def test_what_is_not_proved_decides_nothing(monkeypatch, tmp_path, few):
    monkeypatch.setattr(
        fig9,
        "_student",
        lambda what, t, settings: student(
            teacher((t,) if what == "single" else TASKS),
            (t,) if what == "single" else TASKS,
            valid=(what, t) != ("single", 3),
        ),
    )
    data = stored(FIGURE, {"grid": 61, "directions": 3}, tmp_path / "kept")
    assert set(data["chances"]["optimum"].values()) == {None}
