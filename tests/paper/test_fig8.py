import copy
import json

import numpy as np
import pytest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.paper import _student_teacher as shared
from mtrelu.paper import fig8
from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig8 import FIGURE
from mtrelu.paper.figure import plain
from mtrelu.report.page import png

pytest.importorskip("torch")

TINY = {"width": 60, "steps": 60, "settling_steps": 5, "trained": 1, "draws": 1}


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
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "kept"


@pytest.fixture(scope="module")
def found(kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fig8, "TASKS", (0, 1, 2))
        return stored(FIGURE, TINY, kept)


def test_figure_8_leaves_open_what_short_training_cannot_decide(found):
    said = verdicts(FIGURE, found)
    assert said["about 150 neurons, trained"] is Verdict.OPEN
    assert said["nearly interpolated, trained"] is Verdict.OPEN
    assert said["all tasks or none, trained"] is Verdict.OPEN
    assert said["optimum proved"] is said["all tasks or none, optimum"] is Verdict.HOLDS
    # Nothing is better than the optimum, with which only the same skip connection is compared.
    affine, none = found["trained"][0]["readings"]
    assert affine["skip"] == "affine" and affine["above"] > -1e-6
    assert none["skip"] == "none" and none["above"] is None
    assert png(FIGURE.draw(found))


def test_an_interrupted_run_goes_on_after_the_last_draw_or_training(found, kept, monkeypatch):
    monkeypatch.setattr(fig8, "TASKS", (0, 1, 2))
    for part in ("_solved", "_trained"):
        monkeypatch.setattr(fig8, part, None)  # nothing is done again
    assert stored(FIGURE, TINY, kept) == found


def test_three_tasks_are_far_from_150_neurons(found):
    assert verdicts(FIGURE, found)["about 150 neurons, optimum"] is Verdict.FAILS


def test_claims_of_figure_8_can_fail(found):
    data = copy.deepcopy(found)
    data["trained"][0] |= {"off": shared.off_by([301], 150.0), "least_entry": 0.0, "mse": 2e-4}
    data["optima"][0] |= {"off": 1.1, "least_entry": 0.0, "mse": 2e-4, "gap": 1.0}
    assert set(verdicts(FIGURE, data).values()) == {Verdict.FAILS}


def reading(**changes):
    """A student of 25 tasks with 150 active neurons, whichever way one counts."""
    counts = {"n_active": [140, 150, 150, 150, 150, 160], "least_entry": [0.1] * 6, "mse": 1e-5}
    return {"skip": "affine", "valid": True, "gap": 0.0} | counts | changes


def test_a_verdict_needs_all_readings_to_agree():
    same = fig8._read([reading(), reading(skip="constant")])
    assert same["off"] == pytest.approx(np.log2(150 / 140)) and same["mse"] == 1e-5
    assert same["least_entry"] == 0.1
    # One skip connection, one cut-off or one unsettled run is enough to leave it open.
    other = fig8._read([reading(), reading(n_active=[20] * 6)])
    assert other["off"] is None and other["mse"] == 1e-5
    assert fig8._read([reading(n_active=[150, 150, 150, 150, 150, 800])])["off"] is None
    assert fig8._read([reading(), reading(least_entry=[0.0] * 6)])["least_entry"] is None
    assert fig8._read([reading(), reading(mse=1.0)])["mse"] is None
    unsettled = fig8._read([reading(), reading(valid=False)])
    assert unsettled["off"] is unsettled["least_entry"] is unsettled["mse"] is None
    # All against it refutes.
    assert fig8._read([reading(n_active=[20] * 6), reading(n_active=[10] * 6)])["off"] > 1.0


def test_a_neuron_of_one_task_refutes_all_or_none():
    v = np.ones((5, 25))
    v[0, 1:] = 0.0
    network = ReLUNetwork(np.eye(5), np.zeros(5), v, np.zeros((25, 5)), np.zeros(25))
    numbers = shared.numbers(network, np.eye(5), np.ones((5, 25)))
    # That neuron costs a fifth of the others, so that it counts from the first cut-off on.
    assert numbers["n_active"] == [5] * 6
    read = fig8._read([reading(**numbers)])
    assert read["least_entry"] == 0.0
    claim = next(each for each in fig8.CLAIMS if each.name == "all tasks or none, optimum")
    assert claim.judge({"optima": [read]}).verdict is Verdict.FAILS
    # At a hundredth, some readings count it and some do not.
    v[0, 0] = 0.25
    numbers = shared.numbers(network, np.eye(5), np.ones((5, 25)))
    assert numbers["n_active"] == [4, 5, 5, 5, 5, 5]
    assert fig8._read([reading(**numbers)])["least_entry"] is None


def test_a_run_that_diverged_is_reported_and_drawn(found):
    data = copy.deepcopy(found)
    run = {"skip": "affine", "valid": False, "diverged": True, "pattern": None}
    data["trained"] = [{"seed": 0} | fig8._read([run])]
    assert verdicts(FIGURE, data)["nearly interpolated, trained"] is Verdict.OPEN
    assert png(FIGURE.draw(data))


def test_a_reduced_network_that_is_not_proved_is_not_called_an_optimum(monkeypatch):
    careful = mtrelu.reduce_neurons

    def careless(network, X, **options):
        fewer = careful(network, X, **options)
        return ReLUNetwork(fewer.w[1:], fewer.b[1:], fewer.v[1:], fewer.A, fewer.c)

    monkeypatch.setattr(shared.mtrelu, "reduce_neurons", careless)
    shared._optimum.cache_clear()
    found = shared.optimum((5,))
    shared._optimum.cache_clear()
    assert [row["reduced"] for row in found["networks"]] == [False] and found["proved"]
