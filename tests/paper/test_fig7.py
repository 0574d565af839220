"""Figure 7: the smallest run, and what its claims say of wrong data."""

import copy
import json

import numpy as np
import pytest

from mtrelu.paper import fig7
from mtrelu.paper._squares import DESIGN, grid
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain

TINY = {"width": 30, "steps_many": 50, "rate_many": 0.01, "most_trials": 2, "draws": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("torch")
    kept = tmp_path_factory.mktemp("fig7") / "kept.jsonl"
    return plain(fig7.FIGURE.measure(TINY, 5, lambda done, total: None, kept))


def verdict(data, name):
    return {each.claim.name: each for each in fig7.FIGURE.findings(data)}[name].verdict


def test_a_tiny_run_from_end_to_end(data):
    json.dumps(data, allow_nan=False)
    assert [trial["seed"] for trial in data["trials"]] == [1, 2]
    assert [pair["trials"] for pair in data["pairs"]] == [[1, 2]]
    assert verdict(data, "one optimum") is Verdict.HOLDS
    assert verdict(data, "as good as optimal") is Verdict.FAILS  # after 50 steps


def test_distances_against_the_stored_surfaces(data):
    first, second = data["trials"]
    values = [np.array(trial["run"]["values"]) for trial in (first, second)]
    assert data["pairs"][0]["trained"] == np.abs(values[0] - values[1]).max()
    assert first["from_kernel"] == np.abs(values[0] - np.array(first["kernel"])).max()
    assert first["from_optimum"] == np.abs(values[0] - np.array(first["optimum"])).max()


def test_the_optimum_is_near_the_first_labels_and_symmetric_only_in_the_data(data):
    points = grid()
    X, Y = DESIGN.draw(1, 0)
    at = [int(np.abs(points - x).sum(axis=1).argmin()) for x in X]
    for trial in data["trials"]:
        assert np.abs(np.array(trial["optimum"])[at] - Y[:, 0]).max() < 0.15


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("one optimum", lambda d: d["trials"][1].update(unique=False)),
        ("as good as optimal", lambda d: d["trials"][0]["run"].update(excess="inf")),
        ("converged", lambda d: d["trials"][0]["run"].update(stationarity="inf")),
        ("the optimal function", lambda d: d["trials"][1].update(from_optimum=0.06)),
        ("similar to the kernel fit", lambda d: d["trials"][1].update(from_kernel=0.06)),
        ("consistent, trained", lambda d: d["pairs"][0].update(trained=0.11)),
        ("consistent, certified", lambda d: d["draws"][1].update(apart=0.11)),
    ],
)
def test_claims_fail_on_wrong_data(data, name, wrong):
    good = copy.deepcopy(data)
    for trial in good["trials"]:
        trial["run"].update(excess=1e-4, stationarity=1e-3)
        trial.update(from_optimum=0.01, from_kernel=0.01)
    good["pairs"][0]["trained"] = 0.05
    for each in good["draws"]:
        each["apart"] = 0.05
    assert verdict(good, name) is Verdict.HOLDS
    wrong(good)
    assert verdict(good, name) is Verdict.FAILS


def test_one_trial_has_nothing_to_be_consistent_with(data):
    alone = copy.deepcopy(data)
    alone["pairs"] = []
    assert verdict(alone, "consistent, trained") is Verdict.OPEN


def test_the_picture_shows_a_diverged_trial_too(data):
    from matplotlib import pyplot

    for changed in (data, copy.deepcopy(data)):
        if changed is not data:
            changed["trials"][0]["run"]["values"] = None
            changed["trials"][0]["from_kernel"] = None
        figure = fig7.draw(json.loads(json.dumps(changed)))
        assert len(figure.axes) == 4
        figure.canvas.draw()
        pyplot.close(figure)
