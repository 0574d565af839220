"""The limit kernel: cardinal functions, invariances, connect-the-dots, convergence in T."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge

import mtrelu
from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.validation import InvalidInputError


def off_affine(gram, X):
    """Project off affine functions on both sides."""
    basis = np.linalg.qr(np.column_stack([np.ones(len(X)), X]))[0]
    projector = np.eye(len(X)) - basis @ basis.T
    return projector @ gram @ projector


def distance(first, second, X):
    """Relative distance of two Gram matrices modulo affine functions."""
    a, b = off_affine(first, X), off_affine(second, X)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((9, 2))


@pytest.fixture(scope="module")
def there(X):
    """Points inside the hull of the data, where the places of neurons matter least."""
    return np.random.default_rng(1).dirichlet(np.full(9, 0.3), 40) @ X


@pytest.fixture(scope="module")
def kernel(X):
    return InfiniteTaskKernel(X, tol=1e-8)


@pytest.fixture(scope="module")
def sigma():
    root = np.random.default_rng(2).standard_normal((9, 9))
    return root @ root.T


# --- cardinal functions --------------------------------------------------------------------------


def test_white_labels_make_cardinal_functions(X, there, kernel):
    assert kernel.solution.status is mtrelu.Status.CERTIFIED
    functions = kernel.cardinal_functions()
    assert functions.n_tasks == 9
    np.testing.assert_allclose(functions(X), np.eye(9), atol=1e-10)
    # They are the interpolants of least norm of their own kernel, on the data and beyond.
    refitted = kernel.fit(X, np.eye(9), alpha=0)
    np.testing.assert_allclose(refitted(there), functions(there), atol=1e-3)
    squared = NeuronKernel(squared_strengths(kernel.network))
    assert np.abs(squared.fit(X, np.eye(9), alpha=0)(there) - functions(there)).max() > 0.05


def squared_strengths(network):
    size = np.linalg.norm(network.v, axis=1, keepdims=True)
    return mtrelu.ReLUNetwork(network.w, network.b, network.v * size, network.A, network.c)


def test_with_a_penalty_they_are_the_smoother_matrix(X, there):
    alpha = 0.02
    kernel = InfiniteTaskKernel(X, alpha=alpha, tol=1e-10)
    functions = kernel.cardinal_functions()
    gram = off_affine(kernel(X), X)
    affine = np.column_stack([np.ones(9), X])
    smoother = affine @ np.linalg.pinv(affine) + gram @ np.linalg.inv(gram + alpha * np.eye(9))
    np.testing.assert_allclose(functions(X), smoother, atol=1e-8)
    np.testing.assert_allclose(functions(X), functions(X).T, atol=1e-8)
    np.testing.assert_allclose(kernel.fit(X, np.eye(9), alpha)(there), functions(there), atol=1e-3)
    assert kernel.deviation(X, np.eye(9), alpha) < 1e-8
    assert kernel.deviation(X, np.eye(9), 1.1 * alpha) > 1e-3


def test_cardinal_functions_of_other_labels(X, there, sigma):
    kernel = InfiniteTaskKernel(X, sigma)
    functions = kernel.cardinal_functions()
    np.testing.assert_allclose(functions(X), np.eye(9), atol=1e-9)
    y = np.sin(X[:, :1])
    np.testing.assert_allclose(functions(there) @ y, kernel.fit(X, y, alpha=0)(there), atol=1e-8)


# --- what the kernel depends on ------------------------------------------------------------------


def test_any_root_of_the_covariance_gives_the_same_kernel(X, there, sigma):
    alpha = 0.05
    kernel = InfiniteTaskKernel(X, sigma, alpha=alpha, tol=1e-10)
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0][:9]
    root = np.linalg.cholesky(sigma) @ turn  # 12 tasks
    other = NeuronKernel(mtrelu.solve(X, root, alpha, tol=1e-10).network)
    assert distance(other(there), kernel(there), there) < 1e-3
    white = InfiniteTaskKernel(X, alpha=alpha)
    assert distance(white(there), kernel(there), there) > 0.1


def test_white_labels_by_name(X, there, kernel):
    named = InfiniteTaskKernel(X, np.eye(9), tol=1e-8)
    assert distance(named(there), kernel(there), there) < 1e-3
    np.testing.assert_array_equal(named.label_covariance, np.eye(9))
    assert kernel.label_covariance is None
    np.testing.assert_array_equal(kernel.X, X)


def test_order_of_the_samples_unit_and_place_of_the_inputs(X, there, kernel):
    order = np.random.default_rng(4).permutation(9)
    permuted = InfiniteTaskKernel(X[order], tol=1e-8)
    assert distance(permuted(there), kernel(there), there) < 1e-3
    # (w·(sx + t) + b)₊ with strengths n/s: the kernel is of the unit of x.
    moved = InfiniteTaskKernel(4.0 * X + 5.0, tol=1e-8)
    assert distance(moved(4.0 * there + 5.0), 4.0 * kernel(there), there) < 1e-3


def test_unit_of_the_labels(X, there, sigma):
    kernel = InfiniteTaskKernel(X, sigma, alpha=0.05, tol=1e-8)
    larger = InfiniteTaskKernel(X, 9.0 * sigma, alpha=0.15, tol=1e-8)
    assert distance(larger(there), 3.0 * kernel(there), there) < 2e-3


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("size", [1.0, 1e8])
def test_what_the_skip_functions_fit_plays_no_role(X, there, skip, size):
    functions = np.column_stack([np.ones(9), X]) if skip == "affine" else np.ones((9, 1))
    fitted = size * functions @ functions.T
    white = InfiniteTaskKernel(X, skip=skip, tol=1e-8)
    other = InfiniteTaskKernel(X, np.eye(9) + fitted, skip=skip, tol=1e-8)
    assert distance(other(there), white(there), there) < 2e-3
    # Rounding in labels that are skip functions is nothing to fit.
    for alpha in (0.0, 0.1):
        assert InfiniteTaskKernel(X, fitted, alpha=alpha, skip=skip).network.n_neurons == 0


@pytest.mark.parametrize("unit", [1e-200, 1e-100, 1e100, 1e200])
def test_a_covariance_in_any_unit(X, there, kernel, unit):
    other = InfiniteTaskKernel(X, unit * np.eye(9), tol=1e-8)
    assert other.solution.status is mtrelu.Status.CERTIFIED
    assert distance(other(there) / np.sqrt(unit), kernel(there), there) < 1e-3


def test_labels_of_one_task(X):
    y = np.random.default_rng(5).standard_normal(9)
    kernel = InfiniteTaskKernel(X, np.outer(y, y))
    assert kernel.solution.problem.n_tasks == 1
    expected = mtrelu.solve(X, y, alpha=0).certificate.primal
    assert kernel.strengths.sum() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InvalidInputError):  # too few neurons for all nine
        kernel.cardinal_functions()


# --- one input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("coloured", [False, True])
def test_one_input_connects_the_dots(coloured):
    rng = np.random.default_rng(6)
    x = np.sort(rng.uniform(0.0, 1.0, 20))
    root = rng.standard_normal((20, 20))
    kernel = InfiniteTaskKernel(x, root @ root.T if coloured else None)
    inside = np.linspace(x[0], x[-1], 333)
    functions = kernel.cardinal_functions()(inside)
    dots = np.column_stack([np.interp(inside, x, row) for row in np.eye(20)])
    np.testing.assert_allclose(functions, dots, atol=1e-9)
    # So do the interpolants of all other labels.
    Y = rng.standard_normal((20, 3)).cumsum(axis=0)
    expected = mtrelu.interpolate(x, Y).network()
    beyond = np.linspace(-1.0, 2.0, 333)
    np.testing.assert_allclose(kernel.fit(x, Y, alpha=0)(beyond), expected(beyond), atol=1e-8)


def test_strengths_of_white_labels_on_a_line():
    # The slope change at x_i is a row of the second differences; its norm is the strength.
    x = np.array([0.0, 1.0, 3.0, 3.5, 5.0])
    h = np.diff(x)
    rows = np.sqrt(h[:-1] ** -2 + (1 / h[:-1] + 1 / h[1:]) ** 2 + h[1:] ** -2)
    kernel = InfiniteTaskKernel(x)
    np.testing.assert_allclose(kernel.network.knots(), x[1:-1])
    np.testing.assert_allclose(kernel.strengths, rows, rtol=1e-9)


# --- beyond the data, scikit-learn ---------------------------------------------------------------


def test_goes_on_linearly_beyond_the_data(X, kernel):
    far = 100.0 * np.array([[1.0, 0.3]]) * np.array([[1.0], [2.0], [3.0]])
    values = kernel(far, X)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[2] - values[1], values[1] - values[0], rtol=1e-9)


def test_lives_in_scikit_learn_and_in_files(X, there, kernel):
    assert clone(kernel) is kernel
    Y = np.random.default_rng(7).standard_normal((9, 2))
    model = KernelRidge(alpha=0.3, kernel=kernel).fit(X, Y)
    expected = kernel(there, X) @ np.linalg.solve(kernel(X) + 0.3 * np.eye(9), Y)
    np.testing.assert_allclose(model.predict(there), expected, rtol=1e-6, atol=1e-8)
    for copied in (pickle.loads(pickle.dumps(kernel)), copy.deepcopy(kernel)):
        np.testing.assert_array_equal(copied(there), kernel(there))
        assert copied.solution.status is kernel.solution.status


# --- convergence ---------------------------------------------------------------------------------


def rate(X, sigma, alpha, n_tasks, n_seeds, n_inputs):
    """Fitted exponent of T in the distance to the limit, its standard error, and distances."""
    limit = InfiniteTaskKernel(X, sigma, alpha=alpha, tol=1e-7)(X)
    root = np.eye(len(X)) if sigma is None else np.linalg.cholesky(sigma)
    logs = np.empty((n_seeds, len(n_tasks)))
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        for column, T in enumerate(n_tasks):
            Y = root @ rng.standard_normal((len(X), T))
            network = mtrelu.solve(X, Y, alpha * np.sqrt(T)).network
            gram = NeuronKernel(network)(X) / np.sqrt(T)
            logs[seed, column] = np.log(distance(gram, limit, X.reshape(-1, n_inputs)))
    exponents = [np.polyfit(np.log(n_tasks), row, 1)[0] for row in logs]
    return np.mean(exponents), np.std(exponents, ddof=1) / np.sqrt(n_seeds), np.exp(logs)


@pytest.mark.parametrize("coloured", [False, True])
def test_random_tasks_converge_on_a_line(coloured):
    rng = np.random.default_rng(8)
    x = np.sort(rng.uniform(0.0, 1.0, 8))
    root = rng.standard_normal((8, 8))
    sigma = root @ root.T if coloured else None
    exponent, error, distances = rate(x, sigma, 0.0, [100, 1000, 10_000, 100_000], 12, 1)
    assert error < 0.06
    assert abs(exponent + 0.5) < 3.5 * error
    assert np.median(distances[:, -1]) < 0.01
    assert np.median(distances[:, 0]) > 0.01


@pytest.mark.parametrize("coloured", [False, True])
def test_random_tasks_converge_in_the_plane(coloured):
    rng = np.random.default_rng(9)
    points = rng.standard_normal((6, 2))
    root = rng.standard_normal((6, 6))
    sigma = root @ root.T if coloured else None
    exponent, error, distances = rate(points, sigma, 0.05, [100, 1600, 25_600], 5, 2)
    assert error < 0.12
    assert abs(exponent + 0.5) < 3.5 * error
    assert np.median(distances[:, -1]) < 0.03


# --- what is refused -----------------------------------------------------------------------------


def test_refuses_covariances_that_are_none(X):
    for covariance, message in (
        (np.eye(8), r"shape \(8, 8\), but the 9 samples need \(9, 9\)"),
        (np.ones(9), r"shape \(9, 1\)"),
        (np.triu(np.ones((9, 9))), r"not symmetric: entry \(0, 1\) is 1 and entry \(1, 0\) is 0"),
        (np.diag(np.r_[-0.5, np.ones(8)]), "negative eigenvalue -0.5 "),
        (-np.eye(9), "negative eigenvalue -1 "),
        (np.zeros((9, 9)), "is zero"),
        (np.full((9, 9), np.nan), "label_covariance"),
        (np.eye(9) * 1j, "label_covariance has complex"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            InfiniteTaskKernel(X, covariance)


def test_rounding_in_a_covariance_is_no_error(X, there):
    Y = np.random.default_rng(10).standard_normal((9, 4))
    covariance = Y @ Y.T / 4  # of rank 4, with eigenvalues of either sign around 1e-16
    noise = 1e-13 * np.triu(np.ones((9, 9)))
    kernel = InfiniteTaskKernel(X, covariance + noise, alpha=0.05, tol=1e-8)
    assert kernel.solution.problem.n_tasks <= 9
    exact = NeuronKernel(mtrelu.solve(X, Y / 2, 0.05, tol=1e-8).network)
    assert distance(kernel(there), exact(there), there) < 2e-3


def test_refuses_equal_inputs_with_labels_that_differ():
    with pytest.raises(InvalidInputError):
        InfiniteTaskKernel([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    # Labels that are the same for both are no contradiction.
    first = np.eye(5)[[0, 0, 2, 3, 4]]
    X = [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]
    kernel = InfiniteTaskKernel(X, first @ first.T, tol=1e-8)
    assert kernel.solution.status is mtrelu.Status.CERTIFIED
    # Nor are those whose covariance has a root that is equal for both up to rounding only.
    X, group = np.random.default_rng(11).standard_normal((7, 2)), [0, 0, 1, 1, 1, 2, 3, 4, 5, 6]
    root = np.random.default_rng(12).standard_normal((7, 9))
    once = InfiniteTaskKernel(X, root @ root.T, tol=1e-8)
    again = InfiniteTaskKernel(X[group], (root @ root.T)[np.ix_(group, group)], tol=1e-8)
    assert distance(again(X), once(X), X) < 1e-3
    apart = (root @ root.T)[np.ix_(group, group)] + 1e-3 * np.eye(10)
    with pytest.raises(InvalidInputError, match="different labels for the same input"):
        InfiniteTaskKernel(X[group], apart)


def test_what_is_not_proved_is_said():
    X = np.random.default_rng(13).standard_normal((30, 2))
    assert "status='certified'" in repr(InfiniteTaskKernel(X[:6]))
    stopped = InfiniteTaskKernel(X, time_limit=0.0, tol=1e-9)
    assert stopped.solution.status is mtrelu.Status.LIMIT_REACHED
    assert repr(stopped).endswith("skip='affine', status='limit reached')")
