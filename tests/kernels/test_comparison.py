"""Comparison of kernels against scipy's interpolators, dense systems and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline, RBFInterpolator
from scipy.spatial import Delaunay
from sklearn.gaussian_process.kernels import RBF, Matern

from mtrelu.kernels.comparison import (
    KnownKernel,
    alignment,
    compare,
    interpolation_matrix,
    known_kernels,
    points_inside,
)
from mtrelu.kernels.known import polyharmonic
from mtrelu.validation import InvalidInputError


def power(exponent):
    return lambda A, B: polyharmonic(A, B, exponent=exponent)


@pytest.fixture
def plane():
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 2)), rng.standard_normal((50, 2))


def only(name, gram):
    return [KnownKernel(name, lambda A, B, _: gram(A, B))]


@pytest.mark.parametrize(
    ("name", "exponent"), [("linear", 1.0), ("thin_plate_spline", 2.0), ("cubic", 3.0)]
)
@pytest.mark.parametrize("d", [2, 3])
def test_polyharmonic_interpolants_are_those_of_scipy(name, exponent, d):
    rng = np.random.default_rng(d)
    X, points = rng.standard_normal((20, d)), 2.0 * rng.standard_normal((50, d))
    expected = RBFInterpolator(X, np.eye(20), kernel=name, degree=1)(points)
    found = interpolation_matrix(power(exponent), X, points)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_one_dimension_is_connect_the_dots_and_natural_splines():
    x = np.sort(np.random.default_rng(0).uniform(0.0, 1.0, 12))
    inside = np.linspace(x[0], x[-1], 100)
    dots = np.column_stack([np.interp(inside, x, row) for row in np.eye(12)])
    natural = CubicSpline(x, np.eye(12), bc_type="natural")(inside)
    arc = next(k for k in known_kernels(x) if k.name == "arc-cosine at the data").at(None)
    np.testing.assert_allclose(interpolation_matrix(power(1.0), x, inside), dots, atol=1e-10)
    np.testing.assert_allclose(interpolation_matrix(arc, x, inside), dots, atol=1e-9)
    np.testing.assert_allclose(interpolation_matrix(power(3.0), x, inside), natural, atol=1e-8)


def test_kernels_that_differ_by_affine_parts_and_a_factor_are_the_same(plane):
    X, points = plane
    kernel = power(1.5)

    def disguised(A, B):
        left = np.column_stack([np.ones(len(A)), A])
        right = np.column_stack([np.ones(len(B)), B])
        mixed = np.outer(np.sin(3 * A[:, 0]), right @ [1.0, 2.0, -3.0])
        mixed_too = np.outer(left @ [1.0, 2.0, -3.0], np.sin(3 * B[:, 0]))
        return 7.0 * kernel(A, B) + 0.5 * (left @ right.T) + mixed + mixed_too

    (row,) = compare(kernel, X, points, only("disguised", disguised))
    assert row.alignment == pytest.approx(1.0, abs=1e-12)
    assert row.alignment_at_points == pytest.approx(1.0, abs=1e-12)
    assert row.cardinal_difference < 1e-9


def test_no_kernel_at_all_has_difference_one(plane):
    X, points = plane
    (row,) = compare(power(1.0), X, points, only("zero", lambda A, B: np.zeros((len(A), len(B)))))
    assert row.cardinal_difference == pytest.approx(1.0, rel=1e-12)
    assert row.typical_difference == pytest.approx(1.0, rel=1e-12)
    assert row.alignment == row.alignment_at_points == 0.0


def test_measures_by_brute_force(plane):
    X, points = plane
    first, second = power(1.2), Matern(0.7, nu=0.5)
    (row,) = compare(first, X, points, only("Laplace", second))

    def cardinal(kernel):
        affine = np.column_stack([np.ones(20), X])
        saddle = np.block([[kernel(X, X), affine], [affine.T, np.zeros((3, 3))]])
        weights = np.linalg.solve(saddle, np.eye(23)[:, :20])
        there = np.column_stack([kernel(points, X), np.ones(50), points])
        return there @ weights

    def gram(kernel, at):
        affine = np.column_stack([np.ones(len(at)), at])
        off = np.eye(len(at)) - affine @ np.linalg.pinv(affine)
        return off @ kernel(at, at) @ off

    for at, found in ((X, row.alignment), (points, row.alignment_at_points)):
        a, b = gram(first, at).ravel(), gram(second, at).ravel()
        assert found == pytest.approx(np.corrcoef(np.r_[a, -a], np.r_[b, -b])[0, 1], rel=1e-9)
    ols = np.column_stack([np.ones(50), points]) @ np.linalg.pinv(np.column_stack([np.ones(20), X]))
    apart, size = cardinal(second) - cardinal(first), cardinal(first) - ols
    relative = np.linalg.norm(apart) / np.linalg.norm(size)
    assert row.cardinal_difference == pytest.approx(relative, rel=1e-7)
    typical = np.median(np.sum(apart**2, axis=0)) / np.median(np.sum(size**2, axis=0))
    assert row.typical_difference == pytest.approx(np.sqrt(typical), rel=1e-7)


def test_scales_are_found_and_the_nearest_comes_first(plane):
    X, points = plane
    for name, make in (("Laplace", lambda s: Matern(s, nu=0.5)), ("Gaussian", RBF)):
        scale = next(k for k in known_kernels(X) if k.name == name).scales[6]
        rows = compare(make(scale), X, points)
        assert (rows[0].name, rows[0].scale) == (name, scale)
        assert rows[0].cardinal_difference < 1e-8
        assert rows[0].alignment_at_points == pytest.approx(1.0, abs=1e-12)
        differences = [row.cardinal_difference for row in rows]
        assert differences == sorted(differences) and len(rows) == 9
    row = next(r for r in compare(power(1.3), X, points) if r.name == "r^β, best β")
    assert row.scale == 1.3 and row.cardinal_difference < 1e-9


def test_moving_and_stretching_the_space_changes_nothing(plane):
    X, points = plane
    rows = compare(power(1.5), X, points)
    moved = compare(power(1.5), 5.0 * X + 3.0, 5.0 * points + 3.0)
    for before, after in zip(rows, moved, strict=True):
        assert before.name == after.name
        assert after.cardinal_difference == pytest.approx(before.cardinal_difference, abs=1e-6)
        assert after.alignment == pytest.approx(before.alignment, abs=1e-9)
        assert after.alignment_at_points == pytest.approx(before.alignment_at_points, abs=1e-9)


def test_inputs_on_a_line_in_the_plane():
    t = np.random.default_rng(0).standard_normal(12)
    line = np.column_stack([t, 1.0 - 2.0 * t])
    found = interpolation_matrix(power(1.0), line, line[:5] * 0.5 + line[1:6] * 0.5)
    expected = interpolation_matrix(power(1.0), t, t[:5] * 0.5 + t[1:6] * 0.5)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_points_are_inside(plane):
    X, _ = plane
    points = points_inside(X, 2000, random_state=0)
    assert points.shape == (2000, 2)
    assert (Delaunay(X).find_simplex(points) >= 0).all()
    np.testing.assert_array_equal(points, points_inside(X, 2000, random_state=0))
    # Means of three random data points have the mean of the data.
    assert np.linalg.norm(points.mean(axis=0) - X.mean(axis=0)) < 0.1


def test_alignment_of_nothing_is_zero():
    assert alignment(np.zeros((2, 2)), np.eye(2)) == 0.0
    assert alignment(-np.eye(3), 2 * np.eye(3)) == pytest.approx(-1.0)


def test_errors(plane):
    X, points = plane
    with pytest.raises(InvalidInputError, match="zero modulo affine"):
        compare(lambda A, B: np.zeros((len(A), len(B))), X, points)
    with pytest.raises(InvalidInputError, match="all its rows equal"):
        known_kernels([[0.1, 0.2]] * 3)  # whose mean is another by rounding
    for call in (
        lambda P: compare(polyharmonic, X, P),
        lambda P: interpolation_matrix(polyharmonic, X, P),
    ):
        with pytest.raises(InvalidInputError, match="points has 1 columns, but X has 2"):
            call(points[:, :1])
    with pytest.raises(InvalidInputError, match=r"points has 3 rows.*fewer than 4"):
        compare(polyharmonic, X, points[:3])
    for n_points in (0, -1, 2.5):
        with pytest.raises(InvalidInputError, match=f"n_points is {n_points}"):
            points_inside(X, n_points)
    with pytest.raises(InvalidInputError, match="it takes 3 points"):
        points_inside([[0.0, 0.0], [1.0, 1.0]], 5)
