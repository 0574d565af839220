"""Uniqueness over dimension, tasks and correlation: a tiny run, and its claims on wrong data."""

import copy
import json

import numpy as np
import pytest
from scipy.optimize import linprog

from mtrelu.paper import uniqueness
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain

TINY = {
    "n_tasks": [1, 2, 8], "draws": 2, "rho": [0.99999, 0.9999, 0.999, 0.0], "rho_plane": [],
    "groups": [
        {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0},
        {"name": "line", "d": 1, "N": 6, "alpha": 1e-3},
        {"name": "squares", "d": 2, "N": 8, "alpha": 1e-2},
        {"name": "plane", "d": 2, "N": 6, "alpha": 1e-1},
        {"name": "space", "d": 3, "N": 5, "alpha": 1e-1},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    kept = tmp_path_factory.mktemp("uniqueness") / "kept.jsonl"
    return plain(uniqueness.FIGURE.measure(TINY, 1, lambda done, total: None, kept))


def verdict(data, name):
    return {each.claim.name: each for each in uniqueness.FIGURE.findings(data)}[name].verdict


def test_a_tiny_run_from_end_to_end(data):
    json.dumps(data, allow_nan=False)
    for name in ("one input, several tasks", "one input, one task", "one input, equal tasks",
                 "one input, nearly equal tasks", "price of values inside",
                 "price of the ends"):  # fmt: skip
        assert verdict(data, name) is Verdict.HOLDS
    for group in data["groups"].values():
        assert [each["T"] for each in group["counts"]] == [1, 2, 8]
        for each in group["counts"]:
            verdicts = [cell["unique"] for cell in group["cells"] if cell["T"] == each["T"]]
            assert each["unique"] == verdicts.count(True)
            assert each["several"] == verdicts.count(False)
            assert each["undecided"] == verdicts.count(None)


def test_single_task_verdicts_against_a_linear_program():
    sample = uniqueness._gaussian(6, 1)
    for seed in range(6):
        X, Y = sample(1, seed)
        assert uniqueness._alternates(X[:, 0], Y) == (_freedom(X[:, 0], Y[:, 0]) < 1e-7)


def _freedom(x, y):
    """How much interpolants of least Σ|v_k| with knots on a fine grid differ."""
    x, y = x[np.argsort(x)], y[np.argsort(x)]
    knots = np.unique(np.concatenate([x[1:-1], np.linspace(x[0], x[-1], 150)[1:-1]]))
    hinges = np.maximum(x[:, np.newaxis] - knots, 0.0)
    A = np.hstack([hinges, -hinges, np.ones((x.size, 1)), x[:, np.newaxis]])
    bounds = [(0.0, None)] * (2 * knots.size) + [(None, None)] * 2
    cost = np.concatenate([np.ones(2 * knots.size), np.zeros(2)])
    best = linprog(cost, A_eq=A, b_eq=y, bounds=bounds).fun
    width = 0.0
    for at in 0.5 * (x[1:-2] + x[2:-1]):
        row = np.maximum(at - knots, 0.0)
        row = np.concatenate([row, -row, [1.0, at]])
        ends = [
            linprog(sign * row, A_eq=A, b_eq=y, bounds=bounds, A_ub=cost[np.newaxis],
                    b_ub=[best * (1 + 1e-9)]).fun
            for sign in (1.0, -1.0)
        ]  # fmt: skip
        width = max(width, -ends[0] - ends[1])
    return width / np.ptp(y)


@pytest.mark.parametrize(
    ("first", "last", "sign"),
    [
        ((0, 10, 0), (10, 0, 0), 1),
        ((10, 0, 0), (0, 10, 0), -1),
        ((5, 5, 0), (6, 4, 0), None),  # 6 of 10 against 5 of 10 is chance
        ((0, 0, 10), (10, 0, 0), None),  # nothing was decided for one task
        ((0, 10, 0), (0, 0, 10), None),
        ((10, 0, 0), (10, 0, 0), None),
    ],
)
def test_a_trend_has_to_be_proved(first, last, sign):
    names = ("unique", "several", "undecided")
    trend = uniqueness._trend(*(dict(zip(names, each, strict=True)) for each in (first, last)))
    assert trend["rise"] is None if sign is None else sign * trend["rise"] > 0
    data = {"trends": {"squares": trend}}
    claim = next(c for c in uniqueness.CLAIMS if c.source == "trends.squares.rise")
    expected = {1: Verdict.HOLDS, -1: Verdict.FAILS, None: Verdict.OPEN}[sign]
    assert claim.judge(data).verdict is expected


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("one input, several tasks", lambda d: d["line_many"][0].update(unique=False)),
        ("one input, one task", lambda d: d["line_one"][1].update(agrees=False)),
        ("squares: many tasks", lambda d: d["squares_most"][0].update(unique=False)),
        ("one input, nearly equal tasks",
         lambda d: d["correlation"]["line"]["between"][0].update(unique=False)),
        ("one input, equal tasks",
         lambda d: d["correlation"]["line"]["ends"][0].update(unique=True)),
        ("price of values inside", lambda d: d["correlation"]["line"]["off"].update(inside=0.2)),
        ("price of the ends", lambda d: d["correlation"]["line"]["off"].update(ends=0.2)),
    ],
)  # fmt: skip
def test_claims_fail_on_wrong_data(data, name, wrong):
    changed = copy.deepcopy(data)
    wrong(changed)
    assert verdict(changed, name) is Verdict.FAILS


def test_the_picture_is_drawn_from_stored_data(data):
    from matplotlib import pyplot

    figure = uniqueness.draw(json.loads(json.dumps(data)))
    figure.canvas.draw()
    assert len(figure.axes) == 6
    pyplot.close(figure)
