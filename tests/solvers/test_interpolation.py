"""Connect-the-dots against numpy, exact rational arithmetic, and itself on other block sizes."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.solvers import polyline
from mtrelu.solvers.interpolation import Verdict, interpolate
from mtrelu.validation import InvalidInputError


def random_data(seed, n, n_tasks):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.uniform(0.5, 1.5, n)), rng.standard_normal((n, n_tasks))


def exact_verdict(x, Y):
    """Theorem 3.1 in rational arithmetic."""
    x = [Fraction(float(value)) for value in x]
    Y = [[Fraction(float(value)) for value in row] for row in Y]
    slopes = [
        [(b - a) / (x[i + 1] - x[i]) for a, b in zip(Y[i], Y[i + 1], strict=True)]
        for i in range(len(x) - 1)
    ]
    changes = [
        [b - a for a, b in zip(slopes[i], slopes[i + 1], strict=True)]
        for i in range(len(slopes) - 1)
    ]
    for d, e in itertools.pairwise(changes):
        dot = sum(a * b for a, b in zip(d, e, strict=True))
        sizes = sum(a * a for a in d) * sum(b * b for b in e)
        if dot > 0 and dot * dot == sizes:
            return Verdict.NOT_UNIQUE
    return Verdict.UNIQUE


@pytest.mark.parametrize("n_tasks", [1, 2, 16])
def test_slopes_changes_and_cost_match_differences(n_tasks):
    x, Y = random_data(0, 50, n_tasks)
    fit = interpolate(x, Y)
    slopes = [(Y[i + 1] - Y[i]) / (x[i + 1] - x[i]) for i in range(49)]
    norms = [np.linalg.norm(slopes[i + 1] - slopes[i]) for i in range(48)]
    np.testing.assert_array_equal(fit.slopes, slopes)
    np.testing.assert_allclose(fit.changes, norms, rtol=1e-14)
    assert fit.cost == pytest.approx(math.fsum(norms), rel=1e-14)


def test_values_match_numpy_inside_and_continue_linearly_outside():
    x, Y = random_data(1, 200, 3)
    rng = np.random.default_rng(2)
    fit = interpolate(x, Y)
    queries = rng.uniform(x[0], x[-1], 5000)
    expected = np.column_stack([np.interp(queries, x, Y[:, t]) for t in range(3)])
    np.testing.assert_allclose(fit(queries), expected, rtol=0, atol=1e-13)
    order = np.argsort(queries)
    np.testing.assert_array_equal(fit(queries[order]), fit(queries)[order])
    left, right = fit([x[0] - 2.0, x[-1] + 3.0])
    np.testing.assert_allclose(left, Y[0] - 2.0 * (Y[1] - Y[0]) / (x[1] - x[0]))
    np.testing.assert_allclose(right, Y[-1] + 3.0 * (Y[-1] - Y[-2]) / (x[-1] - x[-2]))


@pytest.mark.parametrize(
    "x",
    [
        np.geomspace(1e-12, 1.0, 300),
        np.concatenate([np.linspace(0, 1e-9, 200), [1.0]]),
        1e10 + np.arange(100.0),
        np.array([-1e8, 0.0, 1e-8, 1e8]),
    ],
    ids=["geometric", "cluster", "offset", "scales"],
)
def test_bucket_search_finds_the_segment_on_any_grid(x):
    Y = np.random.default_rng(3).standard_normal((x.size, 2))
    fit = interpolate(x, Y)
    np.testing.assert_array_equal(fit(x), Y)
    shuffled = np.random.default_rng(4).permutation(x.size)
    np.testing.assert_array_equal(fit(x[shuffled]), Y[shuffled])
    middles = x[:-1] + 0.5 * np.diff(x)
    expected = np.column_stack([np.interp(middles, x, Y[:, t]) for t in range(2)])
    np.testing.assert_allclose(fit(middles), expected, atol=1e-7)


@pytest.mark.parametrize("entries", [3, 7, 30, 64])
def test_results_do_not_depend_on_how_the_rows_are_divided(monkeypatch, entries):
    rng = np.random.default_rng(5)
    # Aligned, zero and generic slope changes, so that every branch is crossed by a boundary.
    changes = rng.standard_normal((200, 3))
    changes[20:30] = changes[20] * rng.uniform(1, 2, (10, 1))
    changes[50:60] = 0.0
    x = np.cumsum(rng.uniform(0.5, 1.5, 202))
    slopes = np.vstack([np.zeros(3), np.cumsum(changes, axis=0)])
    Y = np.vstack([np.zeros(3), np.cumsum(slopes * np.diff(x)[:, None], axis=0)])
    queries = rng.uniform(x[0] - 1, x[-1] + 1, 500)
    whole = interpolate(x, Y)
    values = whole(queries)
    monkeypatch.setattr(polyline, "_ENTRIES_A_BLOCK", entries)
    parts = interpolate(x, Y)
    for name in ("slopes", "changes", "errors", "knots", "pairs"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name)
    assert parts.cost == pytest.approx(whole.cost, rel=1e-15)
    np.testing.assert_array_equal(parts(queries), values)
    assert np.count_nonzero(whole.pairs == polyline.ALIGNED) == 9
    assert np.count_nonzero(whole.knots == polyline.ZERO) == 10


def test_a_range_of_rows_needs_nothing_from_the_ranges_before_it():
    x, Y = random_data(12, 60, 3)
    whole = interpolate(x, Y)
    for start in (1, 2, 3, 30):
        slopes = np.full((59, 3), np.nan)
        changes, errors = np.full((2, 58), np.nan)
        knots, pairs = np.full(58, 9, dtype=np.uint8), np.full(57, 9, dtype=np.uint8)
        polyline.connect_the_dots(
            x, Y, whole.precision, 1e-9, 5e-8, slopes, changes, errors, knots, pairs, start, 59
        )
        np.testing.assert_array_equal(slopes[start:], whole.slopes[start:])
        np.testing.assert_array_equal(errors[start:], whole.errors[start:])
        np.testing.assert_array_equal(changes[start:], whole.changes[start:])
        np.testing.assert_array_equal(pairs[start:], whole.pairs[start:])


def test_cost_of_a_long_sum_does_not_lose_digits():
    n = 200_000
    x = np.arange(float(n))
    Y = np.where(np.arange(n) % 2, 0.1, 0.0)[:, None]
    exact = math.fsum(np.abs(np.diff(np.diff(Y[:, 0]))))
    assert interpolate(x, Y).cost == pytest.approx(exact, rel=4e-16)


def test_no_fresh_arrays_when_buffers_are_reused():
    x, Y = random_data(6, 20_000, 8)
    other = np.random.default_rng(7).standard_normal(Y.shape)
    fit, values = interpolate(x, Y), np.empty_like(Y)
    fit(x, out=values)
    expected = interpolate(x, other)
    tracemalloc.start()
    reused = interpolate(x, other, out=fit)
    returned = fit(x, out=values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert returned is values
    assert peak < Y.nbytes / 4
    assert reused.slopes is fit.slopes
    assert reused.cost == expected.cost
    assert reused.verdict is expected.verdict
    np.testing.assert_array_equal(reused.pairs, expected.pairs)


def test_sorts_merges_equal_points_and_keeps_the_function():
    x, Y = random_data(8, 30, 2)
    order = np.random.default_rng(9).permutation(np.append(np.arange(30), [3, 3, 17]))
    fit = interpolate(x[order], Y[order])
    np.testing.assert_array_equal(fit.x, x)
    np.testing.assert_array_equal(fit.Y, Y)
    assert fit.cost == interpolate(x, Y).cost


def test_refuses_contradictions_and_names_the_rows():
    with pytest.raises(InvalidInputError, match=r"rows 0 and 3 \(X = 2\).*alpha > 0"):
        interpolate([2.0, 1.0, 3.0, 2.0], [1.0, 0.0, 0.0, 1.5])


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        ([[0.0, 1.0], [1.0, 2.0]], [0.0, 1.0], "2 columns.*one column"),
        ([0.0, 1.0, 2.0], [0.0, 1.0], "2 rows"),
        ([0.0, np.nan, 2.0], [0.0, 1.0, 2.0], "X has 1 entry that is not finite"),
        ([0.0, 1.0, np.inf], [0.0, 1.0, 2.0], "not finite"),
        ([], [], "no rows"),
        ([0.0, 1.0, 2.0], np.zeros((3, 0)), "no columns"),
        ([0.0, 1.0, 2.0], ["a", "b", "c"], "not numeric"),
        ([0.0, 1.0, 2.0, 3.0], np.array([[0.0], [1e200], [0.0], [1.0]]), "rescale"),
    ],
)  # fmt: skip
def test_refuses_invalid_data(X, Y, message):
    with pytest.raises(InvalidInputError, match=message):
        interpolate(X, Y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 1, 5, 9])
def test_finds_labels_that_are_not_finite_wherever_they_are(bad, row):
    Y = np.random.default_rng(10).standard_normal((10, 3))
    Y[row, 1] = bad
    with pytest.raises(InvalidInputError, match=f"row {row} of column 1"):
        interpolate(np.arange(10.0), Y)


def test_refuses_invalid_options():
    fit = interpolate([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    with pytest.raises(InvalidInputError, match="precision is 0"):
        interpolate([0.0, 1.0], [0.0, 1.0], precision=0)
    with pytest.raises(InvalidInputError, match="out is for 3 distinct inputs"):
        interpolate([0.0, 1.0], [0.0, 1.0], out=fit)
    with pytest.raises(InvalidInputError, match=r"shape \(2, 1\)"):
        fit([0.0, 1.0], out=np.empty((3, 1)))
    with pytest.raises(InvalidInputError, match="not finite"):
        fit([np.nan])


def test_one_two_and_three_points():
    one = interpolate([2.0], [[5.0, 6.0]])
    assert one.verdict is Verdict.NOT_UNIQUE
    np.testing.assert_array_equal(one([0.0, 9.0]), [[5.0, 6.0]] * 2)
    np.testing.assert_array_equal(one.network()([0.0]), [[5.0, 6.0]])
    two = interpolate([1, 3], [[0, 1], [2, 5]])
    assert (two.verdict, two.cost) == (Verdict.UNIQUE, 0.0)
    np.testing.assert_allclose(two.network()([0.0, 4.0]), [[-1.0, -1.0], [3.0, 7.0]])
    three = interpolate([0, 1, 2], [0, 1, 4])
    assert (three.verdict, three.cost, three.network().n_neurons) == (Verdict.UNIQUE, 2.0, 1)


@pytest.mark.parametrize("n_tasks", [1, 4])
def test_network_is_the_same_function_with_n_minus_2_neurons(n_tasks):
    x, Y = random_data(11, 40, n_tasks)
    fit = interpolate(x, Y)
    network = fit.network()
    queries = np.linspace(x[0] - 5, x[-1] + 5, 997)
    assert network.n_neurons == 38
    assert network.path_cost() == pytest.approx(fit.cost, rel=1e-13)
    np.testing.assert_allclose(network(queries), fit(queries), rtol=1e-11, atol=1e-11)


def test_collinear_points_give_no_neuron():
    x = np.arange(12) * 0.1
    y = 0.3 * x + np.maximum(x - 0.5, 0) - 3 * np.maximum(x - 0.8, 0)
    network = interpolate(x, y).network()
    np.testing.assert_allclose(network.knots(), [0.5, 0.8])
    np.testing.assert_allclose(network(x)[:, 0], y, atol=1e-15)


def test_a_bend_of_many_invisible_slope_changes_is_kept():
    # At an inflection every slope change is below the rounding of the labels, but 2,000 are not.
    x = np.linspace(-1e-3, 1e-3, 200_001)
    y = np.sin(x) * 1e3
    fit = interpolate(x, y)
    assert np.count_nonzero(fit.knots == polyline.ZERO) > 1000
    network = fit.network()
    np.testing.assert_allclose(network(x)[:, 0], y, rtol=0, atol=1e-14)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_verdict_agrees_with_rational_arithmetic(data):
    n_tasks = data.draw(st.integers(1, 3))
    n = data.draw(st.integers(4, 9))
    small = st.integers(-3, 3)
    x = np.cumsum(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))).astype(float)
    Y = np.array(
        data.draw(
            st.lists(st.lists(small, min_size=n_tasks, max_size=n_tasks), min_size=n, max_size=n)
        ),
        dtype=float,
    )
    scale_x = 2.0 ** data.draw(st.integers(-26, 26))
    scale_y = 2.0 ** data.draw(st.integers(-26, 26))
    truth = exact_verdict(x, Y)
    assert interpolate(x * scale_x, Y * scale_y).verdict is truth
    # Integers this large are still exact, so only the stated precision of the data grows.
    shifted = interpolate(x + 2.0**33, Y + 2.0**33).verdict
    assert shifted in (truth, Verdict.UNDECIDED)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-8, 1.0, 1e8]),
    st.sampled_from([1e-8, 1.0, 1e8]),
)
def test_symmetries(seed, scale_x, scale_y):
    rng = np.random.default_rng(seed)
    n, n_tasks = int(rng.integers(4, 20)), int(rng.integers(1, 5))
    x, Y = random_data(seed, n, n_tasks)
    fit = interpolate(x, Y)
    rotation = np.linalg.qr(rng.standard_normal((n_tasks, n_tasks)))[0]
    line = rng.standard_normal(n_tasks)
    order = rng.permutation(n)
    moved = interpolate(
        (scale_x * (x - 3.0))[order], (scale_y * (Y @ rotation + np.outer(x, line)))[order]
    )
    assert moved.cost == pytest.approx(fit.cost * scale_y / scale_x, rel=1e-11)
    mirrored = interpolate(-x, Y)
    assert mirrored.cost == pytest.approx(fit.cost, rel=1e-13)
    np.testing.assert_array_equal(mirrored.pairs[::-1], fit.pairs)
    np.testing.assert_array_equal(moved.pairs, fit.pairs)
    assert moved.verdict is fit.verdict
