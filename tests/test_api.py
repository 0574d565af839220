"""`solve` and `certify` as a user meets them: kinds of input, options, refusals."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import mtrelu
from mtrelu import InvalidInputError, ReLUNetwork, Status

X = [0.0, 1.0, 2.0, 3.0, 4.0]
Y = [0.0, 1.0, 2.0, 1.0, 0.0]
PLANE = [[0.0, 1.0], [1.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 5.0]]
NAN, INF = float("nan"), float("inf")


def network(n_inputs, n_tasks):
    """A network of one neuron and an affine skip connection, of the given shape."""
    A, c = np.ones((n_tasks, n_inputs)), np.zeros(n_tasks)
    return ReLUNetwork(np.ones((1, n_inputs)), [0.0], np.ones((1, n_tasks)), A, c)


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
    "missing input in a plane": (
        ([[0, 1], [1, NAN], [2, 0], [3, 1], [4, 2]], Y, 0.1),
        {},
        ["X", "row 1", "not finite"],
    ),
    "inputs of three axes": ((np.ones((5, 2, 2)), Y, 0.1), {}, ["X", "3"]),
    "unknown loss": ((X, Y, 0.1), {"loss": "absolute"}, ["'absolute'", "'quantile'"]),
    "logistic label": ((X, Y, 0.1), {"loss": "logistic"}, ["Y", "2.0", "row 2", "[0, 1]"]),
    "unknown skip": ((X, Y, 0.1), {"skip": "linear"}, ["skip", "linear"]),
    "no skip": ((X, Y, 0.1), {"skip": "none"}, ["skip", "none", "constant", "not attained"]),
    "no skip in a plane": ((PLANE, Y, 0.1), {"skip": "none"}, ["skip", "none", "not attained"]),
    "unknown method": ((X, Y, 0.1), {"method": "adam"}, ["method", "'adam'", "spline"]),
    "wrong method": ((X, Y, 0.1), {"method": "interpolation"}, ["interpolation", "alpha=0.1"]),
    "wrong method at 0": ((X, Y, 0.0), {"method": "spline"}, ["spline", "alpha=0"]),
    "spline in a plane": ((PLANE, Y, 0.1), {"method": "spline"}, ["spline", "2 input", "columns"]),
    "interpolation in a plane": (
        (PLANE, Y, 0.0),
        {"method": "interpolation"},
        ["interpolation", "2 input", "columns"],
    ),
    "spline with a constant skip": (
        (X, Y, 0.1),
        {"method": "spline", "skip": "constant"},
        ["spline", "constant", "columns"],
    ),
    "rounds as text": ((X, Y, 0.1), {"max_iter": "3"}, ["max_iter", "'3'", "whole number"]),
    "rounds with decimals": ((X, Y, 0.1), {"max_iter": 1.5}, ["max_iter", "1.5"]),
    "seconds as text": ((X, Y, 0.1), {"time_limit": "1"}, ["time_limit", "'1'", "seconds"]),
    "callback that is none": ((X, Y, 0.1), {"callback": 3}, ["callback", "3", "function"]),
    "warm start that is none": ((PLANE, Y, 0.1), {"warm_start": "a"}, ["warm_start", "str"]),
    "seed text": ((PLANE, Y, 0.1), {"random_state": "lucky"}, ["random_state", "'lucky'"]),
    "negative seed": ((PLANE, Y, 0.1), {"random_state": -1}, ["random_state", "-1", ">= 0"]),
    "seed with decimals": ((PLANE, Y, 0.1), {"random_state": 0.5}, ["random_state", "0.5"]),
    "warm start of other inputs": (
        (PLANE, Y, 0.1),
        {"warm_start": network(3, 1)},
        ["3 inputs", "have 2"],
    ),
    "warm start of other tasks": (
        (PLANE, Y, 0.1),
        {"warm_start": network(2, 4)},
        ["4 tasks", "have 2 and 1"],
    ),
    "warm start with slopes": (
        (PLANE, Y, 0.1),
        {"skip": "constant", "warm_start": network(2, 1)},
        ["linear part", "skip"],
    ),
    "tol negative in a plane": ((PLANE, Y, 0.1), {"tol": -1e-6}, ["tol is -1e-06", "> 0"]),
    "tol zero in a plane": ((PLANE, Y, 0.0), {"tol": 0.0}, ["tol is 0.0", "> 0"]),
    "negative time in a plane": ((PLANE, Y, 0.1), {"time_limit": -1.0}, ["time_limit is -1.0"]),
    "no iteration in a plane": ((PLANE, Y, 0.1), {"max_iter": 0}, ["max_iter is 0", "at least 1"]),
    "separable classes": (
        (PLANE, [0, 0, 0, 1, 1], 0.1),
        {"loss": "logistic"},
        ["logistic", "separate"],
    ),
    "tol zero": ((X, Y, 0.1), {"tol": 0.0}, ["tol is 0.0", "> 0"]),
    "tol NaN": ((X, Y, 0.1), {"tol": NAN}, ["tol is nan"]),
    "no iteration": ((X, Y, 0.1), {"max_iter": 0}, ["max_iter is 0", "at least 1"]),
    "negative time": ((X, Y, 0.1), {"time_limit": -1.0}, ["time_limit is -1.0"]),
    "time NaN": ((X, Y, 0.1), {"time_limit": NAN}, ["time_limit is nan"]),
    "weights": ((X, Y, 0.1), {"sample_weight": [1, 1, -1, 1, 1]}, ["sample_weight", "row 2"]),
    "no weight": ((X, Y, 0.1), {"sample_weight": np.zeros(5)}, ["sample_weight", "zero"]),
    "duplicates in a plane at 0": (
        ([[0, 1], [2, 3], [0, 1]], [[0, 1], [2, 3], [0, 2]], 0.0),
        {},
        ["rows 0 and 2", "alpha"],
    ),
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


# --- Several inputs ---------------------------------------------------------------------------


def surface(n=7, d=2, n_tasks=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, n_tasks))


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize(
    "convert", [lambda a: a.tolist(), np.float32, lambda a: a.astype(int), np.asfortranarray]
)
def test_every_kind_of_matrix_gives_the_same_network(alpha, convert):
    grid = np.array([[i, j] for i in range(3) for j in range(3)], dtype=float)
    labels = np.array([0, 1, 0, 2, 5, 1, 0, 1, 3], dtype=float)
    expected = mtrelu.solve(grid, labels, alpha)
    given = mtrelu.solve(convert(grid), convert(labels), alpha)
    assert given.status is Status.CERTIFIED
    np.testing.assert_array_equal(given.network.w, expected.network.w)
    np.testing.assert_array_equal(given.network(grid), expected.network(grid))


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_method_by_name_is_what_auto_picks(d, alpha, skip):
    inputs, labels = surface(d=d)
    auto = mtrelu.solve(inputs, labels, alpha, skip=skip)
    line = d == 1 and skip == "affine"
    method = ("interpolation" if alpha == 0 else "spline") if line else "columns"
    named = mtrelu.solve(inputs, labels, alpha, skip=skip, method=method)
    assert auto.status is named.status is Status.CERTIFIED
    np.testing.assert_array_equal(auto.network.w, named.network.w)
    np.testing.assert_array_equal(auto.network.v, named.network.v)


@pytest.mark.parametrize("random_state", [None, 0, 7, np.int64(3), np.random.default_rng(1)])
def test_seeds(random_state):
    inputs, labels = surface(d=3)
    solution = mtrelu.solve(inputs, labels, 0.5, random_state=random_state)
    assert solution.status is Status.CERTIFIED


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
@pytest.mark.parametrize(("d", "n_tasks"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_an_optimal_network_is_certified_on_its_own(d, n_tasks, alpha, skip):
    """From data and parameters alone, as after saving and loading."""
    inputs, labels = surface(n=12 if d == 2 else 7, d=d, n_tasks=n_tasks)
    solution = mtrelu.solve(inputs, labels, alpha, skip=skip)
    alone = mtrelu.certify(solution.network, inputs, labels, alpha, skip=skip)
    assert solution.status is alone.status is Status.CERTIFIED
    assert alone.primal == pytest.approx(solution.certificate.primal, rel=1e-12)
    assert alone.oracle == "exact"
    # The certificate does not depend on the order and the balance of the neurons.
    order = np.random.default_rng(0).permutation(solution.network.n_neurons)
    found = solution.network
    other = ReLUNetwork(
        3 * found.w[order], 3 * found.b[order], found.v[order] / 3, found.A, found.c
    )
    again = mtrelu.certify(other, inputs, labels, alpha, skip=skip)
    assert again.status is Status.CERTIFIED


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_a_network_that_is_not_optimal_is_not_certified(alpha, skip):
    inputs, labels = surface()
    found = mtrelu.solve(inputs, labels, alpha, skip=skip)
    optimum = found.certificate
    # A pair of neurons that cancel each other costs path norm and changes nothing.
    w = np.vstack([found.network.w, [[1.0, 0.0], [1.0, 0.0]]])
    v = np.vstack([found.network.v, [[0.1, 0.0], [-0.1, 0.0]]])
    b = np.append(found.network.b, [0.3, 0.3])
    worse = ReLUNetwork(w, b, v, found.network.A, found.network.c)
    certificate = mtrelu.certify(worse, inputs, labels, alpha, skip=skip)
    assert certificate.status is not Status.CERTIFIED
    cost = 0.2 * (alpha or 1.0)
    assert certificate.primal == pytest.approx(optimum.primal + cost, rel=1e-9)
    # The gap covers what is to be gained, and the bound holds.
    assert certificate.gap >= cost * (1 - 1e-6)
    assert certificate.dual <= optimum.primal * (1 + 1e-9)


def test_certify_interpolation_names_networks_that_miss_the_labels():
    inputs, labels = surface()
    found = mtrelu.solve(inputs, labels, 0.0).network
    missed = ReLUNetwork(found.w, found.b, found.v, found.A, found.c + 1e-6)
    certificate = mtrelu.certify(missed, inputs, labels, 0.0)
    assert certificate.status is Status.INFEASIBLE and certificate.gap == INF
    assert certificate.interpolation_error == pytest.approx(1e-6 / np.abs(labels).max(), rel=1e-3)


def trained(inputs, labels):
    model = MLPRegressor(hidden_layer_sizes=(6,), max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, labels)


def sequential(n_inputs, n_tasks):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(n_inputs, 5), torch.nn.ReLU(), torch.nn.Linear(5, n_tasks)
    )


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_certify_models_of_other_libraries(d, skip):
    inputs, labels = surface(d=d)
    alpha = 0.1
    optimum = mtrelu.solve(inputs, labels, alpha, skip=skip).certificate
    perceptron, module = trained(inputs, labels), sequential(d, 2)
    with torch.no_grad():
        outputs = module(torch.from_numpy(inputs).float()).numpy()
    first, last = (module[i].weight.detach().numpy().astype(float) for i in (0, 2))
    cases = [
        (perceptron, perceptron.predict(inputs), *perceptron.coefs_, 1e-12),
        (module, outputs, first.T, last.T, 1e-5),
    ]
    for model, predictions, w, v, rel in cases:
        certificate = mtrelu.certify(model, inputs, labels, alpha, skip=skip)
        path = np.sum(np.linalg.norm(w, axis=0) * np.linalg.norm(v, axis=1))
        expected = 0.5 * np.sum((predictions - labels) ** 2) + alpha * path
        assert certificate.primal == pytest.approx(expected, rel=rel)
        assert certificate.status is Status.NOT_OPTIMAL
        assert certificate.stationarity > 1e-3
        assert certificate.dual <= optimum.primal * (1 + 1e-9)
        assert certificate.primal >= optimum.dual


def test_certify_names_the_neuron_that_is_missing():
    """The ridge |x₁ + x₂| without its neuron: the most violated one points along it."""
    grid = np.array([[i, j] for i in range(-2, 3) for j in range(-2, 3)], dtype=float)
    labels = np.abs(grid.sum(axis=1))
    empty = mtrelu.solve(grid, labels, 1e6).network
    certificate = mtrelu.certify(empty, grid, labels, 0.1)
    assert certificate.status is Status.NOT_OPTIMAL and certificate.violation > 1
    w, b = certificate.most_violated
    np.testing.assert_allclose(np.abs(w), [0.5**0.5, 0.5**0.5], rtol=1e-9)
    assert w[0] * w[1] > 0 and b == pytest.approx(0.0, abs=1e-9)


# A network, other arguments of certify, and fragments of the message.
NOT_CERTIFIED = {
    "other inputs": (lambda: network(3, 1), {}, ["3 inputs", "2"]),
    "other tasks": (lambda: network(2, 5), {}, ["5 tasks", "1"]),
    "slopes with a constant skip": (lambda: network(2, 1), {"skip": "constant"}, ["linear part"]),
    "no skip": (lambda: network(2, 1), {"skip": "none"}, ["skip", "none", "not attained"]),
    "tol zero": (lambda: network(2, 1), {"tol": 0.0}, ["tol is 0.0", "> 0"]),
    "negative time": (lambda: network(2, 1), {"time_limit": -1.0}, ["time_limit is -1.0"]),
    "module of other inputs": (lambda: sequential(4, 1), {}, ["4 inputs", "2"]),
    "module of other tasks": (lambda: sequential(2, 3), {}, ["3 tasks", "1"]),
    "no network": (lambda: "network", {}, ["builtins.str", "ReLUNetwork"]),
    "two hidden layers": (
        lambda: torch.nn.Sequential(*sequential(2, 3), torch.nn.ReLU(), *sequential(3, 1)),
        {},
        ["4 Linear layers"],
    ),
    "another activation": (
        lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
        {},
        ["ReLU"],
    ),
    "parameters that are NaN": (
        lambda: torch.nn.Sequential(
            torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)
        ).apply(lambda part: [p.detach().fill_(NAN) for p in part.parameters()]),
        {},
        ["finite"],
    ),
}


@pytest.mark.parametrize("case", NOT_CERTIFIED)
def test_certify_refuses_with_the_reason(case):
    make, options, fragments = NOT_CERTIFIED[case]
    with pytest.raises(InvalidInputError) as raised:
        mtrelu.certify(make(), PLANE, Y, 0.1, **options)
    for fragment in fragments:
        assert fragment in str(raised.value), str(raised.value)


@pytest.mark.parametrize(("value", "name"), [(NAN, "w"), (INF, "w")])
def test_networks_with_parameters_that_are_not_finite_cannot_be_made(value, name):
    with pytest.raises(InvalidInputError, match=name):
        ReLUNetwork([[value, 1.0]], [0.0], [[1.0]], [[0.0, 0.0]], [0.0])


@pytest.mark.parametrize("alpha", [0, 0.1])
@pytest.mark.parametrize(("x_scale", "y_scale", "name"), [(1e307, 1, "X"), (1, 1e200, "Y")])
def test_matrices_too_large_to_square_are_refused_by_name(alpha, x_scale, y_scale, name):
    with pytest.raises(InvalidInputError, match=f"{name} has values up to"):
        mtrelu.solve(np.array(PLANE) * x_scale, np.array(Y) * y_scale, alpha)


def test_the_best_that_search_finds_is_not_called_certified():
    """Where no exact search is affordable, the status says what was proved."""
    inputs, labels = surface(n=60, d=8, n_tasks=1)
    alpha = 0.3 * mtrelu.alpha_max(inputs, labels, time_limit=0.2)
    solution = mtrelu.solve(inputs, labels, alpha, time_limit=0.5)
    certificate = solution.certificate
    assert certificate.oracle in ("bound", "exact")
    assert certificate.dual <= certificate.primal
    if certificate.relative_gap > certificate.tol:
        assert solution.status in (Status.UNCERTIFIED, Status.LIMIT_REACHED)
        assert certificate.estimated_relative_gap is not None


def test_columns_on_a_line_find_what_the_spline_method_finds():
    rng = np.random.default_rng(3)
    x, labels = rng.standard_normal(20), rng.standard_normal((20, 3))
    alpha = 0.05 * mtrelu.alpha_max(x, labels)
    spline = mtrelu.solve(x, labels, alpha, tol=1e-9)
    columns = mtrelu.solve(x, labels, alpha, method="columns", tol=1e-9)
    assert spline.status is columns.status is Status.CERTIFIED
    assert columns.certificate.primal == pytest.approx(spline.certificate.primal, rel=2e-9)
    assert np.allclose(columns.network(x), spline.network(x), rtol=0, atol=1e-4)
