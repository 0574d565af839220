import copy
import json

import pytest

from mtrelu.paper import _student_teacher as shared
from mtrelu.paper import fig8
from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig8 import FIGURE
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


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    kept = tmp_path_factory.mktemp("kept") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fig8, "N_TASKS", 4)
        return stored(FIGURE, {"width": 60, "steps": 60, "trained": 1}, kept)


def test_figure_8_leaves_open_what_short_training_cannot_decide(found):
    data = found
    said = verdicts(FIGURE, data)
    assert said["about 150 neurons, trained"] is Verdict.OPEN
    assert said["optimum proved"] is said["all tasks or none, optimum"] is Verdict.HOLDS
    assert data["runs"][0]["above"] > -1e-6  # nothing is better than the optimum
    assert png(FIGURE.draw(data))


def test_claims_of_figure_8_can_fail(found):
    data = copy.deepcopy(found)
    run, best = data["runs"][0], data["optima"][0]
    run |= {"converged": True, "off": shared.off_by(301, 150.0), "least_entry": 0.0, "mse": "inf"}
    best |= {"off": shared.off_by(74, 150.0), "least_entry_if_proved": 0.0, "mse": 2e-4, "gap": 1.0}
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def test_a_run_that_diverged_is_reported_and_drawn(found):
    data = copy.deepcopy(found)
    data["runs"] = [
        {"seed": 0, "converged": False, "diverged": True, "mse": "inf", "off": None,
         "least_entry": None}
    ]  # fmt: skip
    data["patterns"]["trained"] = None
    assert verdicts(FIGURE, data)["nearly interpolated, trained"] is Verdict.FAILS
    assert png(FIGURE.draw(data))
