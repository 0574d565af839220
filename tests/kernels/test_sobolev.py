"""The Sobolev kernel against its formula in the paper, dense solves, and the network."""

from __future__ import annotations

import numpy as np
import pytest

from mtrelu.kernels import SobolevKernel
from mtrelu.solvers.interpolation import interpolate
from mtrelu.validation import InvalidInputError


def positive(values):
    return np.maximum(values, 0.0)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return np.sort(rng.uniform(-3.0, 5.0, 25)), rng.standard_normal((25, 4))


def test_equals_the_formula_of_the_paper(data):
    x, _ = data
    kernel = SobolevKernel(x[0], x[-1])
    rng = np.random.default_rng(1)
    a, b = rng.uniform(x[0], x[-1], 30), rng.uniform(x[0], x[-1], 40)
    A, B = a[:, None], b[None, :]
    paper = 1.0 - positive(A - B) + positive(A - x[0]) + positive(x[0] - B)
    np.testing.assert_allclose(kernel(a, b), paper, atol=1e-14)
    np.testing.assert_array_equal(kernel(a[:, None]), kernel(a, a))
    np.testing.assert_array_equal(kernel.diag(a), np.diag(kernel(a)))
    assert np.linalg.eigvalsh(kernel(x)).min() > 0


def test_reproduces_point_evaluation_in_its_norm(data):
    # <f, k(., z)> = f(start) k(start, z) + ∫ f' k'(., z) must be f(z).
    x, _ = data
    kernel = SobolevKernel(x[0], x[-1])
    grid = np.linspace(x[0], x[-1], 200_001)
    f = np.sin(grid) + grid**2
    z = grid[123_456]
    k = kernel(grid, [z])[:, 0]
    step = grid[1] - grid[0]
    inner = f[0] * k[0] + np.sum(np.diff(f) * np.diff(k)) / step
    assert inner == pytest.approx(f[123_456], rel=1e-9)


def test_interpolant_solves_the_gram_system(data):
    x, Y = data
    kernel = SobolevKernel(x[0] - 0.7, x[-1] + 0.1)
    fit = kernel.interpolant(x, Y)
    np.testing.assert_allclose(fit.coefficients, np.linalg.solve(kernel(x), Y), rtol=1e-8)
    norm = np.einsum("it,it->t", Y, np.linalg.solve(kernel(x), Y))
    np.testing.assert_allclose(fit.squared_norm(), norm, rtol=1e-9)


def test_equals_the_optimal_network_on_the_interval(data):
    x, Y = data
    order = np.random.default_rng(2).permutation(25)
    fit = SobolevKernel(x[0], x[-1]).interpolant(x[order], Y[order])
    queries = np.linspace(x[0], x[-1], 1001)
    network = interpolate(x, Y).network()
    np.testing.assert_allclose(fit(queries), network(queries), atol=1e-11)


def test_norm_is_least_among_interpolants(data):
    x, Y = data
    kernel = SobolevKernel(x[0], x[-1])
    fit = kernel.interpolant(x, Y)
    more = np.append(x, np.random.default_rng(3).uniform(x[0], x[-1], 10))
    for shift in (0.0, 0.01, -0.3):
        values = np.vstack([Y, fit(more[25:]) + shift])
        norm = kernel.interpolant(more, values).squared_norm()
        if shift:
            assert np.all(norm > fit.squared_norm())
        else:
            np.testing.assert_allclose(norm, fit.squared_norm(), rtol=1e-9)


def test_one_point_and_errors(data):
    x, Y = data
    kernel = SobolevKernel(x[0], x[-1])
    one = kernel.interpolant([x[3]], Y[:1])
    np.testing.assert_allclose(one([x[3]]), Y[:1])
    with pytest.raises(InvalidInputError, match="defined on"):
        kernel([x[0] - 1.0])
    with pytest.raises(InvalidInputError, match="Y reaches from"):
        kernel([x[0]], [x[-1] + 1.0])
    with pytest.raises(InvalidInputError, match="defined on"):
        kernel.diag([x[-1] + 1.0])
    with pytest.raises(InvalidInputError, match="different labels"):
        kernel.interpolant([0.0, 0.0], [1.0, 2.0])
    with pytest.raises(InvalidInputError, match="not the ends of an interval"):
        SobolevKernel(1.0, 0.0)
