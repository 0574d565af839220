import copy
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture

from mtrelu.paper.claim import Verdict
from mtrelu.paper.fig4 import FIGURE, _allowed
from mtrelu.paper.figure import plain

pytest.importorskip("torch")

# A larger penalty settles in a few steps.
SMALL = {"weight_decay": 1e-3, "steps": 1500, "settling_steps": 3000, "draws": 1}


def measured(**changed):
    steps = []
    settings = {**FIGURE.quick, **SMALL, **changed}
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.jsonl"
        data = FIGURE.measure(settings, 3, lambda *step: steps.append(step), kept)
        again = FIGURE.measure(settings, 3, lambda *step: None, kept)
        assert plain(again) == plain(data)
    assert steps == [(100, 200), (200, 200)]
    return json.loads(json.dumps(plain(data), allow_nan=False))


@cache
def stored():
    return measured()


@pytest.fixture
def data():
    return copy.deepcopy(stored())


def verdicts(data):
    return {found.claim.name: found.verdict for found in FIGURE.findings(data)}


def test_small_training_reaches_the_optimum_of_one_task(data):
    found = verdicts(data)
    for name in ("minimum cost", "many optima", "within the range"):
        assert found[f"one task: {name}"] is Verdict.HOLDS
    assert found["two tasks: one optimum"] is Verdict.HOLDS
    assert data["single"]["verdict"] == "not unique"
    assert all(each["gap"] <= each["own_gap"] + 1e-9 for each in data["single"]["networks"])


def test_objectives_are_those_of_the_problem_written_out(data):
    """The bound is below the objective of connecting the dots, evaluated by hand."""
    x, y = np.array(data["x"]), np.array(data["y"])
    alpha = 1e-3 * y.size / 2
    assert data["single"]["alpha"] == pytest.approx(alpha)
    cost = np.abs(np.diff(np.diff(y) / np.diff(x))).sum()
    optimum = data["single"]["optimum"]
    assert optimum["bound"] <= optimum["objective"] < alpha * cost
    two = data["two"][0]
    assert two["alpha"] == pytest.approx(2 * alpha)
    assert two["labels"] == np.random.default_rng(0).standard_normal(5).tolist()


def test_the_range_of_interpolants_is_bounded_by_extended_lines(data):
    x, y, grid = (np.array(data[name]) for name in ("x", "y", "grid"))
    s = np.diff(y) / np.diff(x)
    chord = np.interp(grid, x, y)
    corner = np.minimum(y[1] + s[0] * (grid - x[1]), y[2] + s[2] * (grid - x[2]))
    inside = (grid > x[1]) & (grid < x[2])
    limits = data["single"]["interpolants"]
    np.testing.assert_allclose(np.array(limits["low"])[inside], chord[inside], atol=1e-9)
    np.testing.assert_allclose(np.array(limits["high"])[inside], corner[inside], atol=1e-9)


@pytest.mark.parametrize(
    ("claim", "spoil"),
    [
        ("trained to convergence", lambda d: d["trained"][0].update(settled="inf")),
        (
            "one task: minimum cost",
            lambda d: d["single"]["networks"][1].update(settled_gap=0.02),
        ),
        ("one task: many optima", lambda d: d["single"].update(width=0.0)),
        ("one task: different functions", lambda d: d["single"].update(apart=0.001)),
        (
            "one task: within the range",
            lambda d: d["single"]["networks"][2].update(outside_share=1.5),
        ),
        (
            "two tasks: minimum cost",
            lambda d: d["two"][0]["networks"][0].update(settled_gap=0.5),
        ),
        ("two tasks: one optimum", lambda d: d["two"][0].update(unique=False)),
        (
            "two tasks: connect-the-dots",
            lambda d: d["two"][0]["networks"][0].update(settled_off=0.2),
        ),
        (
            "two tasks: optimal means connect-the-dots",
            lambda d: d["reached"].append({"draw": 0, "seed": 0, "off": 0.2}),
        ),
    ],
)
def test_every_claim_can_fail(data, claim, spoil):
    spoil(data)
    assert verdicts(data)[claim] is Verdict.FAILS


def test_seeds_that_diverge_are_reported():
    data = measured(rate=1e38, steps=50)
    groups = [data["single"], data["two"][0]]
    for group in groups:
        assert {each["status"] for each in group["networks"]} == {"diverged"}
        assert all(each["values"] is None for each in group["networks"])
    assert len(data["trained"]) == 6
    found = verdicts(data)
    for name in ("trained to convergence", "one task: minimum cost", "two tasks: minimum cost"):
        assert found[name] is Verdict.FAILS
    assert found["one task: different functions"] is Verdict.OPEN
    assert isinstance(FIGURE.draw(data), Picture)


def test_seeds_that_did_not_settle_leave_claims_open():
    found = verdicts(measured(steps=2, settling_steps=1))
    for name in ("trained to convergence", "one task: minimum cost", "two tasks: minimum cost"):
        assert found[name] is Verdict.OPEN


def test_what_a_gap_allows_covers_functions_made_to_use_it_up():
    """A knot off the data costs, and moves the function: by no more than is allowed."""
    x = np.array([-1.0, -0.6, 0.2, 0.6, 1.0])
    y = np.array([0.0, 1.0, 0.0, 1.0, 0.0])  # only one interpolant is optimal
    rng = np.random.default_rng(0)
    dots = np.abs(np.diff(np.diff(y) / np.diff(x))).sum()
    for _ in range(300):
        at = rng.uniform(-0.99, 0.99)
        off = rng.normal() * 10.0 ** rng.uniform(-4, 0)
        knots = np.sort(np.append(x, at))
        values = np.interp(knots, x, y) + off * (knots == at)
        cost = np.abs(np.diff(np.diff(values) / np.diff(knots))).sum()
        assert abs(off) <= _allowed(x, 0.1, 0.1 * (cost - dots)) + 1e-9


def test_draws_what_is_stored(data):
    picture = FIGURE.draw(data)
    assert isinstance(picture, Picture)
    left, right = picture.axes
    assert "one task" in left.get_title() and "second task" in right.get_title()
    # One line a network, and the data.
    assert len(left.lines) == 4
