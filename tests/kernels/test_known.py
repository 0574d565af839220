"""Known kernels against integrals over random neurons, and their signs modulo affine functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.distance import cdist

from mtrelu.kernels.known import arc_cosine, arc_cosine_at, ntk, polyharmonic
from mtrelu.validation import InvalidInputError


def off_affine(gram, X):
    """Project off affine functions on both sides."""
    basis = np.linalg.qr(np.column_stack([np.ones(len(X)), X]))[0]
    projector = np.eye(len(X)) - basis @ basis.T
    return projector @ gram @ projector


def assert_proportional(first, second, rtol=1e-9):
    cosine = np.vdot(first, second) / np.linalg.norm(first) / np.linalg.norm(second)
    assert cosine == pytest.approx(1.0, abs=rtol)


def over_directions(a, b):
    """Integrate over random w ~ N(0, I): mean of (w·a)₊(w·b)₊, and chance that both are on."""
    # Only the two coordinates of w in the plane of a and b matter; the mean of their r² is 2.
    first = a / np.linalg.norm(a)
    rest = b - (b @ first) * first
    at = np.arctan2(np.linalg.norm(rest), b @ first)
    on = (at - np.pi / 2, np.pi / 2)  # both cos(t) and cos(t − at) are positive between
    size = np.linalg.norm(a) * np.linalg.norm(b)
    values = quad(lambda t: size * np.cos(t) * np.cos(t - at), *on)[0] / np.pi
    return values, (on[1] - on[0]) / (2 * np.pi)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_arc_cosine_and_ntk_are_means_over_random_neurons(d):
    rng = np.random.default_rng(d)
    X, Y = rng.standard_normal((4, d)), rng.standard_normal((3, d))
    for bias in (0.3, 2.0):
        outputs, inputs = np.empty((4, 3)), np.empty((4, 3))
        for i, x in enumerate(X):
            for j, y in enumerate(Y):
                a, b = np.append(x, bias), np.append(y, bias)
                mean, both = over_directions(a, b)
                outputs[i, j], inputs[i, j] = mean, (a @ b) * both
        np.testing.assert_allclose(arc_cosine(X, Y, bias=bias), outputs, rtol=1e-10)
        np.testing.assert_allclose(ntk(X, Y, bias=bias), outputs + inputs, rtol=1e-10)
        np.testing.assert_array_equal(ntk(X, bias=bias), ntk(X, X, bias=bias))


def test_small_angles_lose_no_digits():
    # With arccos(cos θ) the angle of 2e-8 would be off by a fifth, and with it this distance.
    x = np.array([[1.0, 2.0], [1.0, 2.0 + 1e-7]])
    gram = ntk(x, bias=1.0)
    distance = gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]
    theta = 1e-7 * np.sqrt(2) / 6  # ‖z × z'‖ / ‖z‖‖z'‖
    np.testing.assert_allclose(distance, 6 * theta / np.pi, rtol=1e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_arc_cosine_at_pivots_is_the_mean_over_them(d):
    rng = np.random.default_rng(d)
    pivots, X, Y = (rng.standard_normal((n, d)) for n in (5, 4, 3))
    expected = np.array(
        [[np.mean([over_directions(x - p, y - p)[0] for p in pivots]) for y in Y] for x in X]
    )
    np.testing.assert_allclose(arc_cosine_at(pivots, X, Y), expected, rtol=1e-10)
    assert arc_cosine_at(X, X)[0, 0] > 0  # x − p = 0 is no trouble


def test_arc_cosine_at_pivots_in_one_dimension():
    rng = np.random.default_rng(0)
    pivots, x = rng.standard_normal(6), rng.standard_normal(15)
    features = np.maximum(x[:, None] - pivots, 0.0)
    expected = off_affine(features @ features.T / 6, x)
    np.testing.assert_allclose(off_affine(arc_cosine_at(pivots, x), x), expected, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.9, 2.0, 2.1, 3.0, 3.5])
def test_polyharmonic_is_positive_modulo_affine_functions(d, exponent):
    X = np.random.default_rng(d).standard_normal((15, d))
    gram = off_affine(polyharmonic(X, exponent=exponent), X)
    values = np.linalg.eigvalsh(gram)
    assert np.all(np.abs(values[: d + 1]) < 1e-13 * values[-1])
    assert values[d + 1] > 1e-9 * values[-1]
    r = cdist(X, X)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = {1.0: -r, 2.0: np.where(r > 0, r**2 * np.log(r), 0.0)}.get(exponent)
    if known is None:
        known = np.sign(exponent - 2.0) * r**exponent
    assert_proportional(gram, off_affine(known, X))


def test_polyharmonic_is_continuous_at_the_thin_plate():
    X = np.random.default_rng(0).standard_normal((10, 2))
    limit = polyharmonic(X, exponent=2.0)
    np.testing.assert_allclose(polyharmonic(X, exponent=2.0 + 1e-9), limit, rtol=1e-7)
    np.testing.assert_allclose(polyharmonic(X, exponent=2.0 - 1e-9), limit, rtol=1e-7)


def test_cubic_is_what_evenly_spread_hyperplanes_make():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (12, 2))
    angles = 2 * np.pi * np.arange(400) / 400
    w = np.column_stack([np.cos(angles), np.sin(angles)])
    biases = np.linspace(-2.0, 2.0, 801)
    gram = np.zeros((12, 12))
    for b in biases:
        neurons = np.maximum(X @ w.T + b, 0.0)
        gram += neurons @ neurons.T
    assert_proportional(off_affine(gram, X), off_affine(polyharmonic(X), X), rtol=1e-7)


def test_arc_cosine_with_large_biases_is_cubic():
    X = np.random.default_rng(1).uniform(-1.0, 1.0, (12, 2))
    gram = off_affine(arc_cosine(X, bias=30.0), X)
    assert_proportional(gram, off_affine(polyharmonic(X), X), rtol=1e-5)


def test_errors():
    with pytest.raises(InvalidInputError, match="bias is 0"):
        arc_cosine([1.0], bias=0.0)
    with pytest.raises(InvalidInputError, match="bias is nan"):
        ntk([1.0], bias=np.nan)
    with pytest.raises(InvalidInputError, match="bias is 'wide'"):
        arc_cosine([1.0], bias="wide")
    for exponent in (0.0, 4.0, -1.0, np.nan, "three"):
        with pytest.raises(InvalidInputError, match="between 0 and 4"):
            polyharmonic([1.0], exponent=exponent)
    with pytest.raises(InvalidInputError, match="Y has 1 columns, but X has 2"):
        polyharmonic([[1.0, 2.0]], [1.0])
    with pytest.raises(InvalidInputError, match="pivots"):
        arc_cosine_at([np.inf], [1.0])
    with pytest.raises(InvalidInputError, match="pivots has 2 columns, but X has 1"):
        arc_cosine_at([[1.0, 2.0]], [1.0])
