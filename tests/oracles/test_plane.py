from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mtrelu.oracles.plane import PlaneOracle, _leading
from mtrelu.validation import InvalidInputError

both_skips = pytest.mark.parametrize("skip", ["affine", "constant"])


def onto_constraints(X, P, skip):
    """Project P onto Σ p_i = 0 (and Σ p_i x_iᵀ = 0), as dual variables are."""
    columns = [np.ones(len(X))]
    if skip == "affine":
        columns += list((X - X.mean(axis=0)).T)
    U, singular, _ = np.linalg.svd(np.column_stack(columns), full_matrices=False)
    U = U[:, singular > 1e-12 * singular[0]]
    for _ in range(3):
        P = P - U @ (U.T @ P)
    return P


def dual_variable(X, skip, n_tasks, seed):
    P = np.random.default_rng(seed).standard_normal((len(X), n_tasks))
    return onto_constraints(X, P, skip)


def value_around(X, P, j, angles):
    """The dual function for lines through x_j, by its definition."""
    w = np.column_stack([np.cos(angles), np.sin(angles)])
    return np.linalg.norm(np.maximum(w @ (X - X[j]).T, 0.0) @ P, axis=1)


def breakpoints(X, j):
    u = X - X[j]
    u = u[np.linalg.norm(u, axis=1) > 0]
    angles = np.arctan2(u[:, 1], u[:, 0])
    return np.unique(np.concatenate([angles - np.pi / 2, angles + np.pi / 2]) % (2 * np.pi))


def brute_maximum(X, P):
    """The largest value over all pivots and directions, arc by arc, by bounded minimisation."""
    best = 0.0
    for j in range(len(X)):
        ends = breakpoints(X, j)
        ends = np.append(ends, ends[0] + 2 * np.pi)
        best = max(best, value_around(X, P, j, ends).max())
        for low, high in pairwise(ends):
            grid = np.linspace(low, high, 9)
            values = value_around(X, P, j, grid)
            best = max(best, values.max())
            for k in np.flatnonzero(values >= values.max() * (1 - 1e-9))[:2]:
                found = minimize_scalar(
                    lambda angle, j=j: -value_around(X, P, j, np.array([angle]))[0],
                    bounds=(grid[max(k - 1, 0)], grid[min(k + 1, 8)]),
                    method="bounded",
                    options={"xatol": 1e-10},
                )
                best = max(best, -found.fun)
    return best


def brute_local_maximisers(X, P, skip, per_arc=2000):
    """Neurons (w, b, g) where g on a dense grid of directions around a point is largest nearby."""
    distinct = []
    for j in range(len(X)):
        ends = breakpoints(X, j)
        ends = np.append(ends, ends[0] + 2 * np.pi)
        grid = np.concatenate([np.linspace(a, b, per_arc)[:-1] for a, b in pairwise(ends)])
        g = value_around(X, P, j, grid)
        top = (g >= np.roll(g, 1)) & (g > np.roll(g, -1)) & (g > 1e-9 * g.max())
        for k in np.flatnonzero(top):
            low = grid[k - 1] if k else grid[-1] - 2 * np.pi
            high = grid[k + 1] if k + 1 < grid.size else ends[-1]
            angle = minimize_scalar(
                lambda angle, j=j: -value_around(X, P, j, np.array([angle]))[0],
                bounds=(low, high),
                method="bounded",
                options={"xatol": 1e-10},
            ).x
            w = np.array([np.cos(angle), np.sin(angle)])
            neuron = np.array([*w, -w @ X[j]])
            signs = (1, -1) if skip == "affine" else (1,)
            if not any(
                np.abs(sign * neuron - other[:3]).max() < 1e-5
                for sign in signs
                for other in distinct
            ):
                distinct.append(np.append(neuron, value_around(X, P, j, np.array([angle]))))
    return np.array(distinct)


def value_of(X, P, w, b):
    return np.linalg.norm(np.maximum(X @ w.T + b, 0.0).T @ P, axis=1)


def gaussian(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 2))


def lattice(n):
    return np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2).astype(float)


def cases():
    rng = np.random.default_rng(7)
    yield "gaussian", gaussian(12)
    yield "four points", gaussian(4, 3)
    yield "lattice", lattice(4)
    yield "fine lattice", 0.1 * lattice(4) + 0.3
    yield "lattice on its edge", lattice(3) @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    yield "lattice turned", lattice(4) @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    yield "two lines", np.vstack([np.outer(np.arange(6), [1, 2]), np.outer(np.arange(6), [3, -1])])
    yield "all but one on a line", np.vstack([np.outer(np.arange(7), [1.0, 3.0]), [[1.0, 1.0]]])
    yield "duplicates", gaussian(6, 4)[rng.integers(0, 6, 14)]
    yield "close pairs", np.vstack([gaussian(6, 5), gaussian(6, 5) + 1e-9])
    yield "closer pairs", np.vstack([gaussian(6, 5), gaussian(6, 5) + 1e-14])
    yield "circle", np.column_stack([np.cos(np.arange(12) / 2), np.sin(np.arange(12) / 2)])
    yield "thin", gaussian(10, 6) * np.array([1.0, 1e-6])
    yield "outlier", np.vstack([gaussian(9, 8), [[1e4, -3e3]]])


@both_skips
@pytest.mark.parametrize("n_tasks", [1, 3, 40])
@pytest.mark.parametrize("X", [pytest.param(X, id=name) for name, X in cases()])
def test_value_is_the_maximum_that_brute_force_finds(X, n_tasks, skip):
    P = dual_variable(X, skip, n_tasks, 1)
    result = PlaneOracle(X, skip).search(P)
    brute = brute_maximum(X, P)
    assert result.exactness == "exact"
    reach = np.linalg.norm(P, axis=1).sum() * np.abs(X - X.mean(axis=0)).max()
    assert brute * (1 - 4e-16) <= result.value <= brute * (1 + 1e-12) + 1e-14 * reach
    assert result.g[0] == pytest.approx(brute, rel=1e-12)


@both_skips
@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_units_and_offsets_do_not_matter(scale, offset, skip):
    X = scale * (gaussian(10) + offset)
    P = 1e-5 / scale**2 * dual_variable(X - X.mean(axis=0), skip, 3, 2)
    P = onto_constraints(X, P, skip)
    result = PlaneOracle(X, skip).search(P)
    brute = brute_maximum(X, P)
    assert brute * (1 - 4e-16) <= result.value <= brute * (1 + 1e-12)
    # The bias carries the offset, so only the difference to a data point can be checked.
    heights = np.abs(X @ result.w.T + result.b).min(axis=0)
    assert heights.max() <= 8e-16 * np.abs(X).max()
    np.testing.assert_allclose(np.linalg.norm(result.w, axis=1), 1.0, rtol=1e-14)


@both_skips
@pytest.mark.parametrize("n_tasks", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_neurons_are_the_local_maximisers(n_tasks, seed, skip):
    X = gaussian(7, seed)
    P = dual_variable(X, skip, n_tasks, seed + 10)
    result = PlaneOracle(X, skip).search(P)
    expected = brute_local_maximisers(X, P, skip)
    np.testing.assert_allclose(value_of(X, P, result.w, result.b), result.g, atol=1e-13)
    assert np.all(np.diff(result.g) <= 0)
    assert result.g.size == len(expected)
    np.testing.assert_allclose(result.g, np.sort(expected[:, 3])[::-1], rtol=1e-6, atol=1e-7)
    ours = np.column_stack([result.w, result.b])
    if skip == "affine":
        ours = np.vstack([ours, -ours])
    for neuron in expected:
        assert np.abs(ours - neuron[:3]).max(axis=1).min() < 1e-5


@both_skips
@pytest.mark.parametrize("X", [lattice(3), gaussian(5, 4)[[0, 1, 2, 3, 4, 0, 1, 1]]])
def test_neurons_of_lattices_and_duplicates(X, skip):
    P = dual_variable(X, skip, 2, 3)
    result = PlaneOracle(X, skip).search(P)
    expected = brute_local_maximisers(X, P, skip)
    assert result.g.size == len(expected)
    np.testing.assert_allclose(result.g, np.sort(expected[:, 3])[::-1], rtol=1e-6, atol=1e-7)


@both_skips
@pytest.mark.parametrize("seed", range(5))
def test_labels_that_contradict_each_other_leave_no_trace(seed, skip):
    # Equal inputs with dual variables that are large and opposite, besides small ones that matter.
    X = gaussian(9, seed)
    P = dual_variable(X, skip, 3, seed)
    noise = 1e6 * np.random.default_rng(seed).standard_normal((9, 3))
    alone = PlaneOracle(X, skip).search(P)
    twice = PlaneOracle(np.vstack([X, X]), skip).search(np.vstack([noise, P - noise]))
    reach = np.abs(noise).sum() * np.abs(X).max()
    assert alone.value <= twice.value + 1e-15 * reach
    assert twice.value <= alone.value + 2e-14 * reach
    np.testing.assert_allclose(twice.g[:3], alone.g[:3], atol=1e-15 * reach)


@both_skips
def test_target_leaves_out_what_is_below(skip):
    X = gaussian(30)
    P = dual_variable(X, skip, 4, 5)
    oracle = PlaneOracle(X, skip)
    everything = oracle.search(P)
    target = 0.8 * everything.value
    above = oracle.search(P, target=target)
    n = np.count_nonzero(everything.g > target)
    assert 0 < n < everything.g.size
    np.testing.assert_array_equal(above.g, everything.g[:n])
    np.testing.assert_array_equal(above.w, everything.w[:n])
    assert above.value == everything.value
    nothing = oracle.search(P, target=1.01 * everything.value)
    assert nothing.g.size == 0
    assert nothing.value <= 1.01 * everything.value


@both_skips
@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize("X", [gaussian(15, 1), lattice(4)], ids=["gaussian", "lattice"])
def test_peaks_are_maximisers_also_in_the_bias(X, n_tasks, skip):
    P = dual_variable(X, skip, n_tasks, 6)
    oracle = PlaneOracle(X, skip)
    everything, peaks = oracle.search(P), oracle.peaks(P)
    step = 1e-6
    aside = [value_of(X, P, everything.w, everything.b + side * step) for side in (1, -1)]
    falls = np.maximum(*aside) <= everything.g + 1e-9 * step * np.abs(P).sum()
    assert 0 < np.count_nonzero(falls) < falls.size
    np.testing.assert_array_equal(peaks.g, everything.g[falls])
    np.testing.assert_array_equal(peaks.w, everything.w[falls])
    assert peaks.value == everything.value
    assert peaks.g[0] == everything.g[0]


@both_skips
def test_a_plateau_in_the_bias_is_kept(skip):
    # Two groups far apart, each of which satisfies the constraints: in between, the bias of a
    # neuron that has one group active does not matter.
    group = gaussian(5, 2)
    X = np.vstack([group, group + np.array([50.0, 0.0])])
    P = dual_variable(group, "affine", 2, 1)
    P = np.vstack([P, dual_variable(group, "affine", 2, 2)])
    peaks = PlaneOracle(X, skip).peaks(P)
    for w, b, g in zip(peaks.w, peaks.b, peaks.g, strict=True):
        near = value_of(X, P, np.array([w, w]), np.array([b - 1e-6, b + 1e-6]))
        assert near.max() <= g * (1 + 1e-12)


def test_a_circle_of_equal_values_gives_its_corners():
    # Around the origin Φ = (±w_1, ±w_2) in each quadrant, so g = 1 whatever the direction.
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    P = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-2.0, -2.0]])
    for skip, n_corners in (("affine", 2), ("constant", 4)):
        result = PlaneOracle(X, skip).search(P, target=1 - 1e-9)
        assert result.value == pytest.approx(1.0, rel=1e-13)
        axes = np.isclose(np.abs(result.w).max(axis=1), 1.0)
        through_origin = np.abs(result.b) < 1e-12
        assert np.count_nonzero(axes & through_origin) == n_corners


def test_an_arc_of_equal_values_gives_both_ends():
    # Only between the two axes M is the identity; elsewhere g is smaller.
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-0.5, 0.0], [0.0, -0.5], [0.0, 0.0], [3.0, 3.0]])
    P = np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.0], [0.0, 0.3], [-1.3, -1.3], [0.0, 0.0]])
    result = PlaneOracle(X, "constant").search(P)
    ends = result.w[np.abs(result.g - 1.0) < 1e-9]
    for end in ([1.0, 0.0], [0.0, 1.0]):
        assert np.abs(ends - end).max(axis=1).min() < 1e-12


@both_skips
def test_a_smooth_maximum_on_a_breakpoint_is_one_neuron(skip):
    # Mirror images: every maximum is on the axis of symmetry, where the line meets the last point.
    half = np.array([[1.0, 2.0], [1.0, -1.0], [2.0, 0.5]])
    X = np.vstack([half, half * [-1.0, 1.0], [[0.0, 0.0], [0.0, 3.0], [5.0, 0.0], [-5.0, 0.0]]])
    P = dual_variable(X, skip, 3, 4)
    P[:3] = P[3:6] = (P[:3] + P[3:6]) / 2
    P[8] = P[9] = (P[8] + P[9]) / 2
    P = onto_constraints(X, P, skip)
    result = PlaneOracle(X, skip).search(P)
    assert result.g.size == len(brute_local_maximisers(X, P, skip))
    assert result.value == pytest.approx(brute_maximum(X, P), rel=1e-13)


@both_skips
@pytest.mark.parametrize("direction", [[1.0], [2.0, -1.0], [0.3, 0.4, -0.1]])
def test_inputs_on_a_line(direction, skip):
    position = np.random.default_rng(0).standard_normal(20)
    position[5:8] = position[4]
    X = np.outer(position, direction) + 2.0
    P = dual_variable(position[:, None], skip, 3, 1)
    result = PlaneOracle(X, skip).search(P)
    unit = np.array(direction) / np.linalg.norm(direction)
    knots = np.unique(X @ unit)
    sides = (1,) if skip == "affine" else (1, -1)
    expected, best = [], 0.0
    for side in sides:
        # Falling both ways; between two neighbours that do, the dual function dips.
        around = [
            value_of(X, P, np.tile(side * unit, (knots.size, 1)), step - side * knots)
            for step in (-1e-7, 0.0, 1e-7)
        ]
        g = around[1]
        tops = (g > 1e-9) & (g >= around[0] - 1e-12) & (g >= around[2] - 1e-12)
        expected.extend(g[tops & np.append(True, np.diff(knots) > 1e-9)])
        best = max(best, g.max())
    np.testing.assert_allclose(np.sort(result.g), np.sort(expected), rtol=1e-12)
    assert best <= result.value <= best * (1 + 1e-12)
    np.testing.assert_allclose(value_of(X, P, result.w, result.b), result.g, rtol=1e-12)
    np.testing.assert_array_equal(PlaneOracle(X, skip).peaks(P).g, result.g)


def test_neighbours_on_a_line_can_both_be_maximisers():
    # g(b) at the knots −2, −1, 0, 1, 2: 0, 1, 1.01, 1, 0 in two tasks that turn, with dips between.
    X = np.arange(-2.0, 3.0)[:, None]
    angles = np.array([0.0, 0.9, 1.8])
    inside = np.array([1.0, 1.01, 1.0])[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=1
    )
    padded = np.vstack([np.zeros((2, 2)), inside, np.zeros((2, 2))])
    P = padded[2:] - 2 * padded[1:-1] + padded[:-2]  # Φ has these values and no others
    result = PlaneOracle(X, "affine").search(P)
    np.testing.assert_allclose(result.g, [1.01, 1.0, 1.0], rtol=1e-14)
    np.testing.assert_allclose(np.sort(result.b), [-1.0, 0.0, 1.0], atol=1e-14)


@both_skips
def test_a_plane_in_more_dimensions(skip):
    flat = gaussian(14)
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 2)))[0]
    X = flat @ axes.T + np.arange(5.0)
    P = dual_variable(flat, skip, 3, 2)
    lifted, plain = PlaneOracle(X, skip).search(P), PlaneOracle(flat, skip).search(P)
    assert lifted.value == pytest.approx(plain.value, rel=1e-12)
    np.testing.assert_allclose(lifted.g, plain.g, rtol=1e-10)
    np.testing.assert_allclose(value_of(X, P, lifted.w, lifted.b), lifted.g, rtol=1e-10, atol=1e-12)


def test_what_spans_more_than_a_plane_is_refused():
    with pytest.raises(InvalidInputError, match=r"X has 9 samples that span 3 dimensions, but"):
        PlaneOracle(np.random.default_rng(0).standard_normal((9, 3)), "affine")


@both_skips
def test_many_samples_keep_their_digits(skip):
    # Blocks and threads, and a sweep of 700 additions: no less exact.
    X = gaussian(700, 3)
    P = dual_variable(X, skip, 4, 3)
    result = PlaneOracle(X, skip).search(P)
    again = value_of(X, P, result.w[:200], result.b[:200])
    np.testing.assert_allclose(again, result.g[:200], rtol=1e-12)
    assert result.g[0] <= result.value <= result.g[0] * (1 + 1e-11)
    rng = np.random.default_rng(5)
    angles = rng.uniform(0, 2 * np.pi, 4000)
    w = np.column_stack([np.cos(angles), np.sin(angles)])
    b = -np.einsum("ij,ij->i", w, X[rng.integers(0, 700, 4000)])
    assert value_of(X, P, w, b).max() <= result.value


@both_skips
def test_the_order_found_again_at_each_search_is_the_same(skip, monkeypatch):
    X = np.vstack([gaussian(40), gaussian(3)])
    P = dual_variable(X, skip, 3, 3)
    expected = PlaneOracle(X, skip).search(P)
    monkeypatch.setattr("mtrelu.oracles.plane._LARGEST_KEPT", 10)
    monkeypatch.setattr("mtrelu.oracles.plane._BLOCK", 300)
    monkeypatch.setattr("mtrelu.oracles.plane._WORTH_THREADS", 0)
    oracle = PlaneOracle(X, skip)
    for _ in range(2):
        found = oracle.search(P)
        assert found.value == expected.value
        np.testing.assert_array_equal(found.w, expected.w)
        np.testing.assert_array_equal(found.b, expected.b)


@pytest.mark.slow
@both_skips
@pytest.mark.parametrize("seed", range(60))
def test_random_small_sets_against_brute_force(seed, skip):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    X = rng.integers(0, 4, (n, 2)).astype(float) if seed % 2 else rng.standard_normal((n, 2))
    X = np.vstack([X, [[7.0, 1.0], [2.0, 9.0]]])
    P = dual_variable(X, skip, int(rng.integers(1, 6)), seed)
    if np.abs(P).max() < 1e-12:
        return
    result, brute = PlaneOracle(X, skip).search(P), brute_maximum(X, P)
    reach = np.linalg.norm(P, axis=1).sum() * np.abs(X - X.mean(axis=0)).max()
    assert brute * (1 - 4e-16) <= result.value <= brute * (1 + 1e-12) + 1e-14 * reach


@pytest.mark.parametrize("toward", [(0.6, 0.8), (-3.0, 4.0), (0.0, 0.0)])
@pytest.mark.parametrize("size", [2.0, 1e-300, 0.0])
def test_every_vector_leads_a_multiple_of_the_identity(size, toward):
    """Met where g is constant on a whole arc: there is no eigenvector to compute."""
    value, x, y = _leading(size, 0.0, size, *toward)
    assert value == size and np.hypot(x, y) == pytest.approx(1.0)
    length = np.hypot(*toward)
    assert x * toward[0] + y * toward[1] == pytest.approx(length)
