import json

import numpy as np
import pytest

from mtrelu.paper import _student_teacher as shared
from mtrelu.paper import fig9
from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig9 import FIGURE
from mtrelu.paper.figure import plain
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


def test_figure_9_end_to_end_and_its_claims_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(fig9, "SHOWN", 6)
    settings = {"width": 60, "steps": 60, "grid": 61, "directions": 2}
    data = stored(FIGURE, settings, tmp_path / "kept")
    said = verdicts(FIGURE, data)
    assert said["no ridge functions, trained"] is Verdict.OPEN
    assert said["teachers not recovered, optimum"] is Verdict.HOLDS
    assert said["optimum proved"] is Verdict.HOLDS
    assert png(FIGURE.draw(data))
    for what in ("trained", "optimum"):
        for row in data[what]["directions"]:
            row |= {"ridge": 0.0, "teacher": 0.0}
    data["optimum"] |= {"fresh": 0.0, "gap": 1.0}
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def test_teachers_themselves_would_refute_figure_9():
    s = np.linspace(-3.0, 3.0, 61)
    found = fig9._judged(shared.teachers(25), shared.directions(3), s, True)
    assert all(row["teacher"] == 0.0 and row["ridge"] < 1e-6 for row in found["directions"])
    assert found["fresh"] == 0.0
