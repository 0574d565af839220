"""`solve` and `certify` as a user meets them: kinds of input, options, refusals."""

import re

import numpy as np
import pytest

import mtrelu
from mtrelu import InvalidInputError, Status

X = [0.0, 1.0, 2.0, 3.0, 4.0]
Y = [0.0, 1.0, 2.0, 1.0, 0.0]
NAN, INF = float("nan"), float("inf")

# What is passed instead of X, Y, alpha, and fragments of the message.
REFUSED = {
    "missing label": ((X, [0, NAN, 2, 1, 0], 0.1), {}, ["Y", "row 1", "not finite"]),
    "infinite label": ((X, [0, 1, INF, 1, 0], 0.1), {}, ["Y", "row 2"]),
    "missing input": (([0, 1, NAN, 3, 4], Y, 0.1), {}, ["X", "row 2"]),
    "infinite input": (([0, 1, 2, 3, -INF], Y, 0.1), {}, ["X", "row 4"]),
    "no rows": (([], [], 0.1), {}, ["X", "no rows"]),
    "no tasks": ((X, np.empty((5, 0)), 0.1), {}, ["Y", "no columns"]),
    "rows that disagree": ((X, Y[:4], 0.1), {}, ["4 rows", "5"]),
    "text inputs": ((["a", "b", "c", "d", "e"], Y, 0.1), {}, ["X", "not numeric", "'a'"]),
    "text labels": ((X, ["0", "1", "two", "1", "0"], 0.1), {}, ["Y", "not numeric", "row 0"]),
    "negative alpha": ((X, Y, -1.0), {}, ["alpha is -1.0", "negative"]),
    "alpha NaN": ((X, Y, NAN), {}, ["alpha", "finite"]),
    "infinite alpha": ((X, Y, INF), {}, ["alpha", "finite", "alpha_max"]),
    "alpha text": ((X, Y, "much"), {}, ["alpha", "'much'"]),
    "several columns": ((np.ones((5, 2)), Y, 0.1), {}, ["X has 2 columns", "one input"]),
    "unknown loss": ((X, Y, 0.1), {"loss": "absolute"}, ["'absolute'", "'quantile'"]),
    "logistic label": ((X, Y, 0.1), {"loss": "logistic"}, ["Y", "2.0", "row 2", "[0, 1]"]),
    "unknown skip": ((X, Y, 0.1), {"skip": "linear"}, ["skip", "linear"]),
    "no skip": ((X, Y, 0.1), {"skip": "none"}, ["skip", "none", "affine"]),
    "constant skip": ((X, Y, 0.1), {"skip": "constant"}, ["skip", "constant", "affine"]),
    "unknown method": ((X, Y, 0.1), {"method": "adam"}, ["method", "'adam'", "spline"]),
    "wrong method": ((X, Y, 0.1), {"method": "interpolation"}, ["interpolation", "alpha=0.1"]),
    "wrong method at 0": ((X, Y, 0.0), {"method": "spline"}, ["spline", "alpha=0"]),
    "tol zero": ((X, Y, 0.1), {"tol": 0.0}, ["tol is 0.0", "> 0"]),
    "tol NaN": ((X, Y, 0.1), {"tol": NAN}, ["tol is nan"]),
    "no iteration": ((X, Y, 0.1), {"max_iter": 0}, ["max_iter is 0", "at least 1"]),
    "negative time": ((X, Y, 0.1), {"time_limit": -1.0}, ["time_limit is -1.0"]),
    "time NaN": ((X, Y, 0.1), {"time_limit": NAN}, ["time_limit is nan"]),
    "weights": ((X, Y, 0.1), {"sample_weight": [1, 1, -1, 1, 1]}, ["sample_weight", "row 2"]),
    "no weight": ((X, Y, 0.1), {"sample_weight": np.zeros(5)}, ["sample_weight", "zero"]),
    "duplicates at 0": (([0, 1, 1, 2], [0, 1, 2, 3], 0.0), {}, ["alpha", "1", "2", "same"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_the_reason(case):
    arguments, options, fragments = REFUSED[case]
    with pytest.raises(InvalidInputError) as raised:
        mtrelu.solve(*arguments, **options)
    for fragment in fragments:
        assert re.search(re.escape(fragment), str(raised.value)), str(raised.value)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize(
    "convert",
    [list, np.float32, np.int64, lambda a: np.asarray(a)[:, None], lambda a: tuple(map(int, a))],
)
def test_every_kind_of_number_gives_the_same_network(alpha, convert):
    expected = mtrelu.solve(np.array(X), np.array(Y), alpha)
    given = mtrelu.solve(convert(X), convert(Y), alpha)
    assert given.network.same_function(expected.network)
    assert given.status is Status.CERTIFIED


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 0.3, 1e9])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("n_tasks", [1, 4])
def test_few_samples(alpha, n, n_tasks):
    rng = np.random.default_rng(n)
    x, labels = np.arange(n) + 0.5, rng.standard_normal((n, n_tasks))
    solution = mtrelu.solve(x, labels, alpha)
    assert solution.status is Status.CERTIFIED
    assert solution.network.n_neurons == (n == 3 and alpha < 1)
    if n < 3 or alpha == 0:
        np.testing.assert_allclose(solution.network(x), labels, atol=1e-12)


def test_one_sample_leaves_every_slope_open():
    optimal = mtrelu.solve([2.0], [[1.0, 3.0]], 0.0).optimal_set()
    assert optimal.verdict.value == "not unique"


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile", "logistic"])
def test_all_inputs_equal(loss):
    solution = mtrelu.solve([2.0, 2.0, 2.0], [0.0, 1.0, 1.0], 0.5, loss=loss)
    assert solution.status is Status.CERTIFIED
    assert solution.network.n_neurons == 0
    if loss == "squared":
        np.testing.assert_allclose(solution.network([2.0]), [[2 / 3]])


def test_equal_rows_interpolate_and_unequal_ones_average():
    assert mtrelu.solve([0, 1, 1, 2], [0, 1, 1, 0], 0.0).status is Status.CERTIFIED
    solution = mtrelu.solve([0, 1, 1, 2], [0.0, 0.0, 4.0, 4.0], 1e-6, tol=1e-9)
    np.testing.assert_allclose(solution.network([1.0]), [[2.0]], atol=1e-4)


def test_methods_name_what_is_done_anyway():
    for alpha, method in ((0.0, "interpolation"), (0.2, "spline")):
        named = mtrelu.solve(X, Y, alpha, method=method)
        assert named.network.same_function(mtrelu.solve(X, Y, alpha).network)


def test_the_certificate_is_that_of_verify():
    solution = mtrelu.solve(X, Y, 0.1)
    again = mtrelu.certify(solution.network, X, Y, 0.1)
    assert again.primal == solution.certificate.primal
    assert again.status is Status.CERTIFIED
    worse = mtrelu.certify(solution.network, X, Y, 0.5)
    assert worse.status is not Status.CERTIFIED


def test_a_hint_from_the_solver_certifies_what_parameters_alone_cannot():
    """At tiny alpha the residuals are rounding of the labels, and so is the network's own dual."""
    rng = np.random.default_rng(0)
    x = 1e3 + np.cumsum(10.0 ** rng.uniform(-6, 0, 60))
    labels = 1e3 + rng.standard_normal((60, 2))
    alpha = 1e-7 * mtrelu.alpha_max(x, labels)
    solution = mtrelu.solve(x, labels, alpha)
    assert solution.status is Status.CERTIFIED
    alone = mtrelu.certify(solution.network, x, labels, alpha)
    assert alone.relative_gap >= solution.certificate.relative_gap
    assert solution.dual is None or solution.dual.shape == labels.shape


def test_a_fit_is_solved_again_when_uniqueness_needs_more_digits():
    rng = np.random.default_rng(3)
    x, labels = np.arange(30.0), rng.standard_normal((30, 3)).cumsum(axis=0)
    optimal = mtrelu.solve(x, labels, 1.0, tol=1e-3).optimal_set()
    assert optimal.verdict.value == "unique"


@pytest.mark.parametrize("alpha", [0, 0.1])
@pytest.mark.parametrize(("x_scale", "y_scale", "name"), [(1e307, 1, "X"), (1, 1e200, "Y")])
def test_numbers_too_large_to_square_are_refused_by_name(alpha, x_scale, y_scale, name):
    x, y = np.arange(5.0) * x_scale, np.array([0.0, 1.0, 0.0, 2.0, 1.0]) * y_scale
    with pytest.raises(mtrelu.InvalidInputError, match=f"{name} has values up to"):
        mtrelu.solve(x, y, alpha)


@pytest.mark.parametrize("fraction", [0.1, 0.01, 1e-4, 1e-6])
@pytest.mark.parametrize(("n", "n_tasks"), [(200, 5), (400, 30)])
def test_the_network_alone_proves_what_solve_certified(n, n_tasks, fraction):
    # As after saving and loading: no hint of the solver's dual variable.
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.uniform(0.5, 1.5, n))
    Y = rng.standard_normal((n, n_tasks)).cumsum(axis=0)
    alpha = fraction * mtrelu.alpha_max(x, Y)
    solution = mtrelu.solve(x, Y, alpha)
    assert solution.status is mtrelu.Status.CERTIFIED
    assert mtrelu.certify(solution.network, x, Y, alpha).relative_gap <= 1e-6
