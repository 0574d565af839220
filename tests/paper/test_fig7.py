"""Figure 7: the smallest run, and what its claims say of wrong data."""

import copy
import json

import numpy as np
import pytest

from mtrelu.paper import fig7
from mtrelu.paper._squares import DESIGN, grid
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain

TINY = {"width": 30, "many": {"steps": 50, "rate": 0.01}, "settling_steps": 20, "draws": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("torch")
    kept = tmp_path_factory.mktemp("fig7") / "kept.jsonl"
    return plain(fig7.FIGURE.measure(TINY, 2, lambda done, total: None, kept))


def verdict(data, name):
    return {each.claim.name: each for each in fig7.FIGURE.findings(data)}[name].verdict


def test_a_tiny_run_from_end_to_end(data):
    json.dumps(data, allow_nan=False)
    assert [trial["seed"] for trial in data["trials"]] == [1, 2]
    assert verdict(data, "one optimum") is Verdict.HOLDS
    assert verdict(data, "as good as optimal") is Verdict.OPEN  # after 50 steps


def test_distances_against_the_stored_surfaces(data, tmp_path):
    first = data["trials"][0]
    assert first["from_kernel"] is None and first["run"]["settled"] is None
    # A trial that was settled is measured.
    loose = {**TINY, "many": {"steps": 4000, "rate": 0.01}, "settling_steps": 3000, "draws": 0}
    trial = fig7.FIGURE.measure(loose, 1, lambda done, total: None, tmp_path / "kept")["trials"][0]
    values = np.array(trial["run"]["values"])
    assert trial["from_kernel"] == np.abs(values - np.array(trial["kernel"])).max()
    assert trial["from_optimum"] == np.abs(values - np.array(trial["optimum"])).max()


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
        ("as good as optimal", lambda d: d["trials"][0]["run"].update(settled_excess="inf")),
        ("converged", lambda d: d["trials"][0]["run"].update(settled="inf")),
        ("the optimal function", lambda d: d["trials"][1].update(from_optimum=0.11)),
        ("similar to the kernel fit", lambda d: d["trials"][1].update(from_kernel=0.11)),
        ("the same with other labels", lambda d: d["draws"][1].update(apart=0.11)),
    ],
)
def test_claims_fail_on_wrong_data(data, name, wrong):
    good = copy.deepcopy(data)
    for trial in good["trials"]:
        trial["run"].update(settled_excess=1e-7, settled=1e-3)
        trial.update(from_optimum=0.001, from_kernel=0.001)
    for each in good["draws"]:
        each["apart"] = 0.005
    assert verdict(good, name) is Verdict.HOLDS
    wrong(good)
    assert verdict(good, name) is Verdict.FAILS


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
