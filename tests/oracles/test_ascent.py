"""The ascent against brute force over all faces, and against what local maxima must satisfy."""

from itertools import combinations, product

import numpy as np
import pytest

from mtrelu import InvalidInputError
from mtrelu.oracles.ascent import AscentOracle


def project(X, P, skip):
    """P with Σ p_i = 0, and Σ p_i x_iᵀ = 0 for an affine skip."""
    centred = X - X.mean(axis=0)
    columns = [np.ones((len(X), 1))] + ([centred] if skip == "affine" else [])
    basis, singular, _ = np.linalg.svd(np.hstack(columns), full_matrices=False)
    basis = basis[:, singular > 1e-10 * singular[0]]
    for _ in range(3):
        P = P - basis @ (basis.T @ P)
    return P


def g(X, P, w, b):
    """The dual function at rows of w (M, d) and b (M,)."""
    return np.linalg.norm(np.maximum(X @ w.T + b, 0.0).T @ P, axis=1)


def maximum(X, P):
    """The maximum of g: on every face with every pattern of sides, the leading eigenvector.

    X in general position.
    """
    n, d = X.shape
    directions = []
    for n_pinned in range(1, d + 1):
        for pinned in combinations(range(n), n_pinned):
            others = [i for i in range(n) if i not in pinned]
            D = X - X[pinned[0]]
            free = np.linalg.svd(D[list(pinned)], full_matrices=True)[2][n_pinned - 1 :].T
            for border in combinations(others, free.shape[1] - 1):
                normal = free @ np.linalg.svd(D[list(border)] @ free, full_matrices=True)[2][-1]
                for sign, sides in product((1.0, -1.0), product((0.0, 1.0), repeat=len(border))):
                    active = (D @ (sign * normal) > 0).astype(float)
                    active[list(pinned)] = 0.0
                    active[list(border)] = sides
                    G = (P * active[:, np.newaxis]).T @ D @ free
                    top = free @ np.linalg.svd(G)[2][0]
                    directions += [(pinned[0], sign * normal), (pinned[0], top), (pinned[0], -top)]
    pivots = np.array([pivot for pivot, _ in directions])
    w = np.array([direction for _, direction in directions])
    return g(X, P, w, -np.sum(w * X[pivots], axis=1)).max()


INPUTS = {
    "Gaussian": lambda rng, n, d: rng.standard_normal((n, d)),
    "lattice": lambda rng, n, d: rng.integers(-1, 2, size=(n, d)).astype(float),
    "duplicates": lambda rng, n, d: np.repeat(rng.standard_normal((n // 2 + 1, d)), 2, axis=0),
    "in a plane": lambda rng, n, d: rng.standard_normal((n, 2)) @ rng.standard_normal((2, d)) + 3.0,
    "far away": lambda rng, n, d: 1e3 + 1e-2 * rng.standard_normal((n, d)),
}


@pytest.mark.parametrize("d, n, n_cases", [(2, 12, 20), (3, 10, 20), (4, 8, 6)])
def test_finds_nearly_always_the_maximum(d, n, n_cases):
    ratios = []
    for seed in range(n_cases):
        rng = np.random.default_rng(seed)
        skip = ("affine", "constant")[seed % 2]
        X = rng.standard_normal((n, d))
        P = project(X, rng.standard_normal((n, (1, 2, 5)[seed % 3])), skip)
        found = AscentOracle(X, skip).search(P)
        assert found.exactness == "estimate"
        ratios.append(found.g[0] / maximum(X, P))
    assert max(ratios) <= 1 + 1e-12  # of the brute force, too
    assert np.mean(np.array(ratios) >= 0.99) >= 0.95


@pytest.mark.parametrize("n_tasks", [1, 3, 40])
@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("kind", INPUTS)
def test_results_are_local_maximisers(kind, skip, n_tasks):
    for d, n in ((2, 12), (3, 25), (5, 25)):
        rng = np.random.default_rng(d)
        X = INPUTS[kind](rng, n, d)
        P = project(X, rng.standard_normal((len(X), n_tasks)), skip)
        found = AscentOracle(X, skip, n_starts=30).search(P)
        assert found.g.size > 0
        assert np.all(np.diff(found.g) <= 0)
        assert found.g[0] <= found.value <= found.g[0] * (1 + 1e-9)
        np.testing.assert_allclose(np.linalg.norm(found.w, axis=1), 1.0, rtol=0, atol=1e-14)
        np.testing.assert_allclose(g(X, P, found.w, found.b), found.g, rtol=1e-9)
        size = np.abs(X - X.mean(axis=0)).max()
        rounding = 1e-14 * np.abs(X).max()
        for w, b, value in zip(found.w, found.b, found.g, strict=True):
            height = np.abs(X @ w + b)
            assert height.min() <= rounding
            # Close by, in all directions and about each point on the hyperplane: nothing higher.
            on = X[height <= 100 * rounding]
            for step in (1e-5, 1e-7):
                turned = w + step * rng.standard_normal((600, d))
                length = np.linalg.norm(turned, axis=1)
                offset = -np.sum(turned * on[rng.integers(len(on), size=600)], axis=1)
                offset[300:] += step * size * rng.standard_normal(300)
                around = g(X, P, turned / length[:, np.newaxis], offset / length)
                assert around.max() <= value + 1e-10 * found.g[0]


def test_converges_to_rounding():
    # Within a cell the maximiser is an eigenvector: compare with it, at every result.
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 4))
    P = project(X, rng.standard_normal((40, 6)), "affine")
    found = AscentOracle(X, "affine").search(P)
    for w, b, value in zip(found.w, found.b, found.g, strict=True):
        height = X @ w + b
        pinned = np.abs(height) < 1e-13
        assert pinned.any()
        D = X - X[pinned][0]
        free = np.linalg.svd(D[pinned], full_matrices=True)[2][pinned.sum() - 1 :].T
        G = (P * (height > 1e-13)[:, np.newaxis]).T @ D @ free
        _, singular, rows = np.linalg.svd(G)
        assert value == pytest.approx(singular[0], rel=1e-13)
        if singular.size == 1 or singular[1] < 0.99 * singular[0]:
            assert abs((w @ free) @ rows[0]) == pytest.approx(1.0, abs=1e-14)
            np.testing.assert_allclose(np.abs(free.T @ w), np.abs(rows[0]), atol=1e-11)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("n_tasks", [1, 4])
def test_climbing_never_leads_down(kind, n_tasks):
    for d in (2, 4):
        rng = np.random.default_rng(d)
        X = INPUTS[kind](rng, 30, d)
        P = project(X, rng.standard_normal((len(X), n_tasks)), "constant")
        oracle = AscentOracle(X, "constant")
        for _ in range(40):
            w = rng.standard_normal((1, d)) * 10.0 ** rng.integers(-3, 4)
            b = -w @ (X.mean(axis=0) + 0.3 * X.std(axis=0) * rng.standard_normal(d))
            before = g(X, P, w, b)[0] / np.linalg.norm(w)
            found = oracle.climb(P, w, b)
            assert found.g.size == 1 or before <= 1e-10
            assert found.value >= before * (1 - 1e-11)


def test_local_maximisers_stay_where_they_are():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    P = project(X, rng.standard_normal((30, 3)), "affine")
    oracle = AscentOracle(X, "affine")
    found = oracle.search(P)
    again = oracle.climb(P, found.w, found.b)
    np.testing.assert_allclose(again.w, found.w, atol=1e-9)
    np.testing.assert_allclose(again.g, found.g, rtol=1e-12)
    # For a nearby dual variable they are found again nearby.
    nearby = oracle.climb(P + project(X, 1e-6 * rng.standard_normal(P.shape), "affine"),
                          found.w[:1], found.b[:1])  # fmt: skip
    np.testing.assert_allclose(nearby.w, found.w[:1], atol=1e-3)
    np.testing.assert_allclose(nearby.g, found.g[:1], rtol=1e-4)


def test_results_are_distinct_and_above_the_target():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((20, 3))
    P = project(X, rng.standard_normal((20, 2)), "affine")
    everything = AscentOracle(X, "affine").search(P)
    target = float(everything.g[2])
    found = AscentOracle(X, "affine").search(P, target=target * (1 + 1e-12))
    np.testing.assert_array_equal(found.g, everything.g[:2])
    assert found.value == everything.value
    assert AscentOracle(X, "affine").search(P, target=10 * target).g.size == 0
    for k, (w, b) in enumerate(zip(everything.w, everything.b, strict=True)):
        for w2, b2 in zip(everything.w[:k], everything.b[:k], strict=True):
            for sign in (1.0, -1.0):  # for an affine skip both orientations are the same
                assert max(np.abs(w - sign * w2).max(), abs(b - sign * b2)) > 1e-9


def test_equal_seeds_and_units_give_equal_results():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((15, 3))
    P = project(X, rng.standard_normal((15, 2)), "constant")
    first = AscentOracle(X, "constant", random_state=7).search(P)
    second = AscentOracle(X, "constant", random_state=7).search(P)
    np.testing.assert_array_equal(first.w, second.w)
    scaled = AscentOracle(2.0**70 * X, "constant", random_state=7).search(2.0**-200 * P)
    np.testing.assert_allclose(scaled.g * 2.0**130, first.g, rtol=1e-10)


def test_more_tasks_than_samples_and_one_input():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((10, 3))
    P = project(X, rng.standard_normal((10, 300)), "affine")
    found = AscentOracle(X, "affine").search(P)
    np.testing.assert_allclose(g(X, P, found.w, found.b), found.g, rtol=1e-12)
    x = np.arange(8.0)[:, np.newaxis]
    p = project(x, rng.standard_normal((8, 1)), "affine")
    on_line = max(g(x, p, np.array([[1.0]]), -t).item() for t in x)
    assert AscentOracle(x, "affine").search(p).g[0] == pytest.approx(on_line, rel=1e-12)


def test_nothing_to_find():
    X = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    assert AscentOracle(X, "affine").search(np.zeros((3, 2))).value == 0.0
    equal = AscentOracle(X, "affine").search(np.array([[1.0], [1.0], [-2.0]]))
    assert (equal.value, equal.w.shape) == (0.0, (0, 2))
    plane = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    across = AscentOracle(plane, "affine").climb(
        np.array([[2.0], [-3.0], [1.0]]), np.array([[0.0, 1.0]]), np.array([1.0])
    )
    assert across.w.shape == (0, 2)


def test_bad_arguments_are_refused():
    X = np.zeros((4, 2))
    with pytest.raises(InvalidInputError, match="n_starts is 0"):
        AscentOracle(X, "affine", n_starts=0)
    with pytest.raises(InvalidInputError, match="shape"):
        AscentOracle(X, "affine").search(np.zeros((3, 1)))
    with pytest.raises(InvalidInputError, match="finite"):
        AscentOracle(X, "affine").search(np.full((4, 1), np.nan))
