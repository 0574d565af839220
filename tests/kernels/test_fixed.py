"""Every fixed kernel in scikit-learn's estimators, against its Gram matrix and dense solves."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR

from mtrelu import InvalidInputError, NeuronKernel, ReLUNetwork, SobolevKernel


def neuron_kernel(n_neurons=20, skip="none"):
    rng = np.random.default_rng(n_neurons)
    w, b, v = (rng.standard_normal((n_neurons, size)) for size in (1, 1, 3))
    return NeuronKernel(ReLUNetwork(w, b[:, 0], v, np.zeros((3, 1)), np.zeros(3)), skip)


@pytest.fixture(params=["sobolev", "neuron"])
def kernel(request):
    return SobolevKernel(-4.0, 4.0) if request.param == "sobolev" else neuron_kernel()


@pytest.fixture
def table():
    rng = np.random.default_rng(13)
    X = rng.uniform(-2.0, 2.0, (25, 1))
    return X, np.abs(X) @ [[1.0, 2.0]] + 0.1 * rng.standard_normal((25, 2))


FAR = np.random.default_rng(14).uniform(-4.0, 4.0, (30, 1))


def dense_ridge(kernel, X, Y, noise):
    """k(FAR, X) (K + diag(noise))⁻¹ Y."""
    return kernel(FAR, X) @ np.linalg.solve(kernel(X) + np.diag(noise), Y)


def test_kernel_ridge(kernel, table):
    X, Y = table
    weights = np.random.default_rng(15).uniform(0.5, 2.0, 25)
    for sample_weight, noise in ((None, np.full(25, 0.5)), (weights, 0.5 / weights)):
        model = KernelRidge(alpha=0.5, kernel=kernel).fit(X, Y, sample_weight=sample_weight)
        expected = dense_ridge(kernel, X, Y, noise)
        np.testing.assert_allclose(model.predict(FAR), expected, rtol=1e-8, atol=1e-9)


def test_kernel_ridge_is_the_fit_without_skip(table):
    X, Y = table
    kernel = neuron_kernel()
    model = KernelRidge(alpha=0.5, kernel=kernel).fit(X, Y)
    np.testing.assert_allclose(model.predict(FAR), kernel.fit(X, Y, 0.5)(FAR), atol=1e-9)


def test_gaussian_process(kernel, table):
    X, Y = table
    process = GaussianProcessRegressor(kernel=kernel, alpha=0.5).fit(X, Y)
    mean, deviation = process.predict(FAR, return_std=True)
    np.testing.assert_allclose(mean, dense_ridge(kernel, X, Y, np.full(25, 0.5)), atol=1e-9)
    shrinkage = dense_ridge(kernel, X, kernel(X, FAR), np.full(25, 0.5))
    np.testing.assert_allclose(deviation[:, 0] ** 2, np.diag(kernel(FAR) - shrinkage), atol=1e-9)


def test_support_vector_regression(kernel, table):
    X, Y = table
    direct = SVR(kernel=kernel, C=2.0).fit(X, Y[:, 0])
    precomputed = SVR(kernel="precomputed", C=2.0).fit(kernel(X), Y[:, 0])
    np.testing.assert_allclose(direct.predict(FAR), precomputed.predict(kernel(FAR, X)), atol=1e-9)


def test_a_sum_with_noise_learns_the_noise(kernel, table):
    X, Y = table
    y = Y[:, 0]
    noisy = kernel + WhiteKernel(1.0)
    assert noisy.theta.shape == (1,)
    process = GaussianProcessRegressor(kernel=noisy, alpha=0.0).fit(X, y)
    learned = process.kernel_.k2.noise_level
    assert process.kernel_.k1 is kernel and abs(learned - 1.0) > 0.1
    likelihoods = [  # by its formula, at what was learned and to both sides of it
        -0.5 * y @ np.linalg.solve(gram, y) - 0.5 * np.linalg.slogdet(gram)[1]
        for gram in (kernel(X) + learned * factor * np.eye(25) for factor in (0.8, 1.0, 1.25))
    ]
    assert np.argmax(likelihoods) == 1


def test_sums_products_and_powers(kernel, table):
    X, _ = table
    both = ConstantKernel(2.0) * kernel + kernel * RBF(0.7)
    gram, gradient = both(X, eval_gradient=True)
    np.testing.assert_allclose(gram, 2.0 * kernel(X) + kernel(X) * RBF(0.7)(X))
    assert gradient.shape == (25, 25, 2)
    np.testing.assert_allclose(both.diag(X), np.diag(gram))
    np.testing.assert_allclose(((3.0 * kernel) ** 2)(X), 9.0 * kernel(X) ** 2)
    assert not both.is_stationary() and both.requires_vector_input


def test_contract(kernel, table):
    X, _ = table
    gram, gradient = kernel(X, eval_gradient=True)
    np.testing.assert_array_equal(gram, kernel(X))
    assert gradient.shape == (25, 25, 0)
    np.testing.assert_allclose(kernel.diag(X), np.diag(gram), rtol=1e-14)
    assert kernel.theta.shape == (0,) and kernel.n_dims == 0 and kernel.bounds.size == 0
    assert kernel.hyperparameters == [] and kernel.get_params() == {}
    assert not kernel.is_stationary() and kernel.requires_vector_input
    assert kernel.clone_with_theta(np.empty(0)) is kernel and clone(kernel) is kernel
    with pytest.raises(ValueError, match="theta"):
        kernel.clone_with_theta(np.ones(1))
    with pytest.raises(InvalidInputError, match="leave Y out"):
        kernel(X, X, eval_gradient=True)
    for copied in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        assert copied is not kernel and repr(copied) == repr(kernel)
        np.testing.assert_array_equal(copied(X), gram)
    assert kernel == kernel and len({kernel, kernel}) == 1


def test_equality():
    assert SobolevKernel(0.0, 1.0) == SobolevKernel(0.0, 1.0) != SobolevKernel(0.0, 2.0)
    assert neuron_kernel(3) != neuron_kernel(4)


def test_can_be_searched_over(table):
    X, Y = table
    kernels = [neuron_kernel(1), neuron_kernel(20)]
    search = GridSearchCV(KernelRidge(alpha=0.1), {"kernel": kernels}, cv=3).fit(X, Y)
    assert search.best_params_["kernel"] is kernels[1]


def test_cannot_be_changed():
    with pytest.raises(AttributeError, match="make another kernel"):
        neuron_kernel().strengths = np.ones(20)
    with pytest.raises(AttributeError, match="make another kernel"):
        SobolevKernel(0.0, 1.0).stop = 2.0
    with pytest.raises(ValueError, match="Invalid parameter"):
        neuron_kernel().set_params(skip="affine")
