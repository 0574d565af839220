"""The oracle of one input against exact rational arithmetic and brute force."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.oracles import line

EPS = np.finfo(float).eps


def exact_squares(x, P, P_low=None):
    """g² at the data points, without any rounding."""
    low = np.zeros_like(P) if P_low is None else P_low
    x = [Fraction(value) for value in x.tolist()]
    columns = [
        [Fraction(h) + Fraction(e) for h, e in zip(a, b, strict=True)]
        for a, b in zip(P.T.tolist(), low.T.tolist(), strict=True)
    ]
    return [
        sum(sum((xj - x[i]) * p[i] for i in range(len(x)) if x[i] < xj) ** 2 for p in columns)
        for xj in x
    ]


def exact_sums(x, P, P_low):
    """The two skip constraints of every task, and the size of their terms."""
    for a, b in zip(P.T.tolist(), P_low.T.tolist(), strict=True):
        p = [Fraction(h) + Fraction(e) for h, e in zip(a, b, strict=True)]
        shifted = [Fraction(value) - Fraction(x[0]) for value in x.tolist()]
        yield (
            float(abs(sum(p))),
            float(abs(sum(q * d for q, d in zip(p, shifted, strict=True)))),
            float(sum(abs(q) for q in p)),
        )


GRIDS = {
    "plain": lambda r: np.sort(r.uniform(size=30)),
    "offset 1e10": lambda r: 1e10 + np.sort(r.uniform(0, 30, size=30)),
    "tiny scale": lambda r: 1e-8 * np.sort(r.uniform(size=30)),
    "huge scale": lambda r: 1e8 * np.sort(r.uniform(size=30)),
    "gaps of 1e-9": lambda r: np.sort(np.concatenate([np.arange(15.0), np.arange(15) + 1e-8])),
    "ties": lambda r: np.sort(r.integers(0, 8, size=30)).astype(float),
    "two points": lambda r: np.array([1.0, 2.0]),
    "one point": lambda r: np.array([3.0]),
    "all equal": lambda r: np.full(5, 2.0),
}


@pytest.fixture(params=GRIDS)
def x(request):
    return GRIDS[request.param](np.random.default_rng(7))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_values_are_exact(x, scale):
    rng = np.random.default_rng(0)
    P, low = line.project(x, scale * rng.standard_normal((x.size, 3)), np.ones((x.size, 1)))
    g = line.dual_function(x, P, low)
    exact = np.array([float(value) for value in exact_squares(x, P, low)]) ** 0.5
    np.testing.assert_allclose(g, exact, rtol=8 * EPS, atol=1e-25 * exact.max())


def test_cancellation_costs_nothing():
    # sum p = sum p x = 0 exactly, the partial sums nearly cancel, and x is far from zero
    x = 1e10 + np.array([0.0, 1.0, 2.0, 3.0])
    P = np.array([[1e8, 1.0], [-3e8, -2.0], [3e8, 1.0], [-1e8, 0.0]])
    exact = np.array([float(value) for value in exact_squares(x, P)]) ** 0.5
    np.testing.assert_allclose(line.dual_function(x, P), exact, rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("weights", ["uniform", "per entry", "per sample"])
def test_projection_satisfies_the_constraints(x, weights):
    rng = np.random.default_rng(1)
    P = rng.standard_normal((x.size, 2)) * 10.0 ** rng.integers(-3, 3, size=(x.size, 1))
    w = {
        "uniform": np.ones((x.size, 1)),
        "per entry": rng.uniform(0.1, 1.0, size=P.shape),
        "per sample": rng.uniform(0.1, 1.0, size=(x.size, 1)),
    }[weights]
    projected, low = line.project(x, P, w)
    reach = x[-1] - x[0]
    for total, tilt, size in exact_sums(x, projected, low):
        floor = 1e-25 * np.abs(P).sum()
        assert total <= max(1e-25 * size, floor)
        assert tilt <= max(1e-25 * size, floor) * reach


def test_projection_is_the_nearest_point():
    rng = np.random.default_rng(2)
    x, P = np.sort(rng.uniform(size=20)), rng.standard_normal((20, 4))
    basis = np.column_stack([np.ones(20), x])
    expected = P - basis @ np.linalg.lstsq(basis, P, rcond=None)[0]
    np.testing.assert_allclose(line.project(x, P, np.ones((20, 1)))[0], expected, atol=1e-14)


def test_projection_leaves_entries_of_weight_zero_alone():
    rng = np.random.default_rng(3)
    x, P = np.arange(9.0), rng.standard_normal((9, 2))
    weights = np.ones((9, 2))
    weights[[0, 4, 7]] = 0.0
    projected, low = line.project(x, P, weights)
    np.testing.assert_array_equal(projected[[0, 4, 7]], P[[0, 4, 7]])
    assert all(max(sums[:2]) < 1e-25 for sums in exact_sums(x, projected, low))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(1, 4))
def test_no_neuron_beats_the_data_points(seed, n, n_tasks):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.integers(-5, 6, size=n) + rng.choice([0.0, 0.25], size=n))
    P, low = line.project(x, rng.standard_normal((n, n_tasks)), np.ones((n, 1)))
    found = line.search(x, P, low)
    knots = np.concatenate([x, rng.uniform(x[0] - 3, x[-1] + 3, size=200)])
    for sign in (1.0, -1.0):
        hidden = np.maximum(sign * (x[:, None] - knots), 0.0)
        values = np.linalg.norm(P.T @ hidden, axis=0)
        assert values.max() <= found.value + 1e-12
    assert found.exactness == "exact"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(1, 200))
def test_the_maximum_is_never_rounded_down(seed, n, n_tasks):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.standard_normal(n)) * 10.0 ** rng.integers(-8, 9)
    P, low = line.project(x, rng.standard_normal((n, n_tasks)), np.ones((n, 1)))
    value, top = Fraction(line.search(x, P, low).value), max(exact_squares(x, P, low))
    assert top <= value**2 <= top * (1 + Fraction(1e-13))


def test_maximisers_are_local_sorted_and_distinct():
    rng = np.random.default_rng(4)
    x = np.sort(np.concatenate([np.arange(40.0), np.arange(0.0, 40.0, 3)]))
    P, low = line.project(x, rng.standard_normal((x.size, 1)), np.ones((x.size, 1)))
    g, found = line.dual_function(x, P, low), line.search(x, P, low)
    assert np.all(np.diff(found.g) <= 0)
    assert np.unique(found.b).size == found.b.size
    np.testing.assert_array_equal(found.w, np.ones((found.b.size, 1)))
    by_input = {float(t): float(v) for t, v in zip(x, g, strict=True)}
    inputs = sorted(by_input)
    peaks = {
        t
        for before, t, after in zip(inputs, inputs[1:], inputs[2:], strict=False)
        if by_input[t] > max(by_input[before], by_input[after])
    }
    assert set((-found.b).tolist()) == peaks
    for b, value in zip(found.b, found.g, strict=True):
        assert by_input[float(-b)] == value


@pytest.mark.parametrize(
    ("unit_x", "unit_p"),
    [(1e-200, 1.0), (1.0, 1e-200), (1e-120, 1e-160), (1e120, 1e160), (1e120, 1.0), (1.0, 1e160)],
)
def test_extreme_units_neither_vanish_nor_overflow(unit_x, unit_p):
    x, P = np.array([0.0, 1.0, 3.0]) * unit_x, np.array([[2.0], [-3.0], [1.0]]) * unit_p
    assert line.search(x, P).value == pytest.approx(2.0 * unit_x * unit_p, rel=1e-12)


def test_nothing_to_find():
    for x in (np.array([1.0]), np.array([1.0, 2.0]), np.full(4, 3.0)):
        found = line.search(x, np.zeros((x.size, 2)))
        assert found.value == 0.0 and found.w.shape == (0, 1)


def test_what_overflows_is_not_feasible():
    x, P = np.array([0.0, 1.0, 3.0]), np.array([[2.0], [np.inf], [1.0]])
    with np.errstate(invalid="ignore"):
        assert line.search(x, P).value == np.inf


def test_a_million_samples():
    # g of an alternating P has the closed form below
    n = 1_000_001
    x = np.arange(n, dtype=float)
    P = np.zeros((n, 1))
    P[0], P[-1], P[n // 2] = 0.5, 0.5, -1.0
    g = line.dual_function(x, P)
    np.testing.assert_allclose(g, 0.5 * np.minimum(x, n - 1 - x), rtol=4 * EPS)
