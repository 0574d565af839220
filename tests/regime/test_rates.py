import numpy as np
import pytest

from mtrelu.regime.rates import fit_rate, medians
from mtrelu.validation import InvalidInputError

T = np.array([2, 5, 11, 31, 101, 301, 1001])


def test_an_exact_power_law_is_found_exactly():
    rate = fit_rate(T, [3.0 * T**-0.7] * 5)
    assert rate.exponent == pytest.approx(-0.7, abs=1e-12)
    assert rate.constant == pytest.approx(3.0, rel=1e-12)
    assert rate.low == rate.high == pytest.approx(-0.7)
    assert rate.misfit == pytest.approx(1.0, abs=1e-12)
    assert rate.n_tasks == tuple(T)
    np.testing.assert_allclose(rate(T), 3.0 * T**-0.7, rtol=1e-12)


def test_it_is_least_squares_of_the_logarithms_of_medians():
    values = np.exp(np.random.default_rng(1).standard_normal((4, T.size)))
    values[0, 2] = np.nan  # the median there is over the other three seeds
    middle = [np.median(column[~np.isnan(column)]) for column in values.T]
    slope, height = np.polyfit(np.log(T), np.log(middle), 1)
    rate = fit_rate(T, values)
    assert rate.exponent == pytest.approx(slope, rel=1e-9)
    assert rate.constant == pytest.approx(np.exp(height), rel=1e-9)
    off = np.exp(np.abs(np.log(middle) - slope * np.log(T) - height).max())
    assert rate.misfit == pytest.approx(off, rel=1e-9)


def test_the_interval_covers_the_truth_and_shrinks_with_seeds():
    rng, exponent = np.random.default_rng(0), -0.25
    hits, widths = 0, {10: 0.0, 160: 0.0}
    for _ in range(30):
        for n_seeds in widths:
            noise = np.exp(0.3 * rng.standard_normal((n_seeds, T.size)))
            rate = fit_rate(T, noise * T**exponent)
            widths[n_seeds] += rate.high - rate.low
            hits += rate.low <= exponent <= rate.high
    # 95 % of 60, less what chance and ten seeds may take.
    assert hits >= 51
    # Four times narrower for 16 times the seeds.
    assert 2.5 < widths[10] / widths[160] < 6.0


def test_the_fit_does_not_depend_on_the_order_of_seeds_or_tasks_and_is_reproducible():
    values = np.exp(np.random.default_rng(2).standard_normal((5, T.size)))
    rate = fit_rate(T, values)
    assert rate == fit_rate(T, values)
    assert rate.exponent == pytest.approx(fit_rate(T, values[::-1]).exponent, rel=1e-12)
    assert rate.exponent == pytest.approx(fit_rate(T[::-1], values[:, ::-1]).exponent, rel=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1e-20, np.nan, np.inf])
def test_medians_without_a_logarithm_are_left_out_and_this_is_told(bad):
    values = np.tile(2.0 * T**-0.5, (3, 1))
    values[:, 4] = bad
    rate = fit_rate(T, values)
    assert 101 not in rate.n_tasks and len(rate.n_tasks) == T.size - 1
    assert rate.exponent == pytest.approx(-0.5, abs=1e-12)


@pytest.mark.parametrize("n_usable", [0, 1, 2])
def test_too_few_medians_have_no_rate(n_usable):
    values = np.full((5, T.size), np.nan)
    values[:, :n_usable] = 1.0
    rate = fit_rate(T, values)
    assert np.isnan([rate.exponent, rate.low, rate.high, rate.constant, rate.misfit]).all()
    assert rate.n_tasks == () and rate.in_words() == "no rate"
    assert rate.to_dict()["exponent"] is None


def test_no_numbers_of_tasks_have_no_rate():
    assert np.isnan(fit_rate([], np.empty((2, 0))).exponent)


@pytest.mark.parametrize("n_seeds", [1, 2, 4])
def test_few_seeds_have_an_exponent_without_interval(n_seeds):
    rate = fit_rate(T, [T**-1.0] * n_seeds)
    assert rate.exponent == pytest.approx(-1.0) and np.isnan([rate.low, rate.high]).all()
    assert rate.in_words() == "T^(-1.00)"


def test_the_interval_of_five_seeds_is_not_too_short():
    rng = np.random.default_rng(4)
    rates = [fit_rate(T, np.exp(rng.standard_normal((5, T.size)))) for _ in range(60)]
    hits = sum(rate.low <= 0.0 <= rate.high for rate in rates)
    # 57 of 60 are expected, and 53 or fewer in one case of twenty.
    assert hits >= 52


def test_seeds_that_often_give_no_rate_give_no_interval():
    # Two of three numbers of tasks are measured by one seed in five: drawn anew, they are
    # missing with probability (4/5)^5 = 0.33.
    values = np.full((5, 3), np.nan)
    values[:, 0], values[0] = 1.0, [1.0, 0.5, 0.25]
    rate = fit_rate([1, 2, 4], values)
    assert rate.exponent == pytest.approx(-1.0) and np.isnan([rate.low, rate.high]).all()


def test_a_curve_that_is_no_power_law_is_told_by_the_misfit():
    values = np.tile(np.exp(-T / 100.0), (5, 1))
    rate = fit_rate(T, values)
    assert rate.high - rate.low < 1e-9  # the seeds agree, so that the interval says nothing
    assert rate.misfit > 5.0


def test_words():
    rate = fit_rate(T, [T**-0.5, T**-0.7] * 3)
    assert rate.in_words() == f"T^({rate.exponent:.2f}) (95 %: {rate.low:.2f} … {rate.high:.2f})"
    assert rate.in_words(interval=False) == f"T^({rate.exponent:.2f})"


def test_medians_leave_out_what_was_not_measured():
    table = np.array([[1.0, np.nan, np.inf], [3.0, np.nan, 2.0], [np.nan, np.nan, 5.0]])
    np.testing.assert_array_equal(medians(table), [2.0, np.nan, 5.0])


@pytest.mark.parametrize(
    ("counts", "values", "message"),
    [
        ([1, 2], [[1.0]], "one row a seed"),
        ([1, 2], [1.0, 2.0], "one row a seed"),
        ([1, 2], np.empty((0, 2)), "one row a seed"),
        ([0, 1, 2], [[1.0] * 3], "from 1"),
        ([1, 2, 2], [[1.0] * 3], "once"),
    ],
)
def test_bad_input(counts, values, message):
    with pytest.raises(InvalidInputError, match=message):
        fit_rate(counts, values)
