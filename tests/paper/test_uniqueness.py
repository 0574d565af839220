"""Uniqueness over dimension, tasks and correlation: a tiny run, and its claims on wrong data."""

import copy
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import linprog

from mtrelu.paper import uniqueness
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain

TINY = {
    "n_tasks": [1, 2, 8], "draws": 1, "rho": [0.99999, 0.9999, 0.999, 0.0], "rho_plane": [],
    "groups": [
        {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0},
        {"name": "line", "d": 1, "N": 6, "alpha": 1e-3},
        {"name": "squares", "d": 2, "N": 8, "alpha": 1e-2, "more": [101]},
        {"name": "plane", "d": 2, "N": 6, "alpha": 1e-1},
        {"name": "space", "d": 3, "N": 5, "alpha": 1e-1},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    kept = tmp_path_factory.mktemp("uniqueness") / "kept.jsonl"
    return plain(uniqueness.FIGURE.measure(TINY, 5, lambda done, total: None, kept))


def verdict(data, name):
    return {each.claim.name: each for each in uniqueness.FIGURE.findings(data)}[name].verdict


def test_a_tiny_run_from_end_to_end(data):
    json.dumps(data, allow_nan=False)
    for name in ("one input, several tasks", "one input, one task", "one input, equal tasks",
                 "one input, nearly equal tasks", "squares: many tasks",
                 "price of values inside", "price of the ends"):  # fmt: skip
        assert verdict(data, name) is Verdict.HOLDS
    for group in data["groups"].values():
        assert [each["T"] for each in group["counts"]] == [1, 2, 8, *group.get("more", [])]
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


YES, NO, OPEN = True, False, None


@pytest.mark.parametrize(
    ("few", "many", "sign"),
    [
        ([NO] * 10, [YES] * 10, 1),
        ([YES] * 10, [NO] * 10, -1),
        ([NO] * 5 + [YES] * 20, [YES] * 25, 1),  # five gained and none lost: 1/32
        ([NO] * 4 + [YES] * 20, [YES] * 24, None),  # four: 1/16
        ([NO] * 5 + [YES] * 5, [YES] * 5 + [NO] * 5, None),
        ([NO] * 8 + [YES] * 4, [YES] * 8 + [NO] * 4, None),
        ([OPEN] * 10, [YES] * 10, None),  # nothing was decided for one task
        ([NO] * 10, [OPEN] * 10, None),
        ([NO] * 5 + [OPEN], [YES] * 6, 1),  # an open one counts as unique before
        ([NO] * 5 + [YES], [YES] * 5 + [OPEN], None),  # and as several after
        ([YES] * 10, [YES] * 10, None),
    ],
)
def test_a_trend_has_to_be_proved(few, many, sign):
    trend = uniqueness._trend(few, many)
    assert trend["rise"] is None if sign is None else sign * trend["rise"] > 0
    data = {"trends": {"squares": trend}}
    claim = next(c for c in uniqueness.CLAIMS if c.source == "trends.squares.rise")
    expected = {1: Verdict.HOLDS, -1: Verdict.FAILS, None: Verdict.OPEN}[sign]
    assert claim.judge(data).verdict is expected


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (7, 2), (3, 6)])
def test_mcnemar_against_all_ways_to_toss_coins(gained, lost):
    before = np.array([False] * gained + [True] * lost + [True] * 3)
    after = np.array([True] * gained + [False] * lost + [True] * 3)
    n = gained + lost
    tosses = [sum(bits) for bits in itertools.product((0, 1), repeat=n)]
    p, rise = uniqueness._mcnemar(before, after)
    assert p == pytest.approx(np.mean([heads >= gained for heads in tosses]))
    assert rise == pytest.approx((gained - lost) / before.size)


def test_pairs_are_of_the_same_draw():
    cells = [{"T": T, "seed": seed, "unique": (T, seed)} for T in (8, 1, 2) for seed in (1, 0)]
    assert uniqueness._paired(cells) == ([(1, 1), (1, 0)], [(8, 1), (8, 0)])


def test_an_undecided_verdict_neither_agrees_nor_disagrees(monkeypatch):
    monkeypatch.setattr(uniqueness, "_verdict", lambda verdict: {"unique": None})
    group = {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0}
    found = uniqueness._group(group, [1], 2, lambda done, total: None)
    assert [cell["agrees"] for cell in found["cells"]] == [None, None]


def test_the_wrong_condition_is_found_out(monkeypatch):
    right = uniqueness._alternates
    monkeypatch.setattr(uniqueness, "_alternates", lambda x, Y: not right(x, Y))
    group = {"name": "line, α = 0", "d": 1, "N": 6, "alpha": 0.0}
    found = uniqueness._group(group, [1], 2, lambda done, total: None)
    claim = next(c for c in uniqueness.CLAIMS if c.name == "one input, one task")
    assert claim.judge({"line_one": found["cells"]}).verdict is Verdict.FAILS


@pytest.mark.parametrize(
    ("exponent", "spread", "verdict"),
    [(1.0, 0.05, Verdict.HOLDS), (1.05, 0.01, Verdict.OPEN), (1.5, 0.01, Verdict.FAILS)],
)
def test_exponents_by_their_interval(monkeypatch, exponent, spread, verdict):
    """Prices that follow another power, with draws that scatter around it."""
    rho = [0.999999, 0.9999, 0.999]
    powers = exponent + spread * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    gap = 1.0 - np.array([1.0, -1.0, *rho])
    price = np.maximum(gap, 1e-9)[:, np.newaxis] ** powers
    price = np.repeat(price[:, :, np.newaxis], 2, axis=2)
    verdicts = np.full(price.shape[:2], "unique")
    found = SimpleNamespace(price_low=price, price_high=price, verdicts=verdicts)
    monkeypatch.setattr(uniqueness, "correlated_tasks", lambda *args, **options: found)
    data = uniqueness._correlation(np.zeros((6, 1)), np.zeros(6), rho, 5, 0.0)
    claim = next(c for c in uniqueness.CLAIMS if c.name == "price of values inside")
    assert claim.judge(plain({"correlation": {"line": data}})).verdict is verdict


def test_few_draws_give_no_interval(monkeypatch):
    rho, price = [0.999999, 0.9999, 0.999], np.array([[0.0, 1.99, 1e-6, 1e-4, 1e-3]]).T
    price = np.repeat(price[:, :, np.newaxis], 2, axis=2)
    found = SimpleNamespace(price_low=price, price_high=price,
                            verdicts=np.full((5, 1), "unique"))  # fmt: skip
    monkeypatch.setattr(uniqueness, "correlated_tasks", lambda *args, **options: found)
    data = plain(uniqueness._correlation(np.zeros((6, 1)), np.zeros(6), rho, 1, 0.0))
    assert data["off"] == {"inside": None, "ends": None}


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
