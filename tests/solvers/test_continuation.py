"""Interpolation with several inputs against cone solvers on dictionaries and closed forms."""

import warnings

import cvxpy as cp
import numpy as np
import pytest

import mtrelu
from mtrelu import InvalidInputError, Status

CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
SQUARES = np.vstack([CORNERS, CORNERS / 2])
INNER = np.repeat([0.0, 1.0], 4)[:, None]
LABELS_101 = np.hstack([INNER, np.random.default_rng(0).integers(0, 2, size=(8, 100))])
both_skips = pytest.mark.parametrize("skip", ["affine", "constant"])


def random(n, d, n_tasks, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, n_tasks))


CASES = {
    "two squares": (SQUARES, INNER),
    "two squares, 101 tasks": (SQUARES, LABELS_101),
    "one task": random(9, 2, 1),
    "some tasks": random(10, 2, 3, seed=1),
    "many more tasks than samples": random(7, 2, 50, seed=2),
    "three samples": random(3, 2, 2, seed=3),
    "four samples": random(4, 2, 2, seed=3),
    "three inputs": random(9, 3, 2, seed=4),
    "constant column": (np.column_stack([random(8, 2, 1)[0], np.full(8, 3.0)]), random(8, 1, 2)[1]),
    "rows that come twice": tuple(np.repeat(part, 2, axis=0) for part in random(6, 2, 2, seed=5)),
    "lattice": (np.array([[i, j] for i in range(3) for j in range(3)], float), random(9, 1, 2)[1]),
    "large labels": (random(8, 2, 2)[0], 1e6 * random(8, 2, 2)[1] + 1e6),
    "small inputs far away": (1e-3 * random(8, 2, 2)[0] + 5.0, random(8, 2, 2)[1]),
}


def path_norm(network):
    return np.sum(np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1))


def least_path_norm(X, Y, skip, extra, n_directions=48):
    """Equality-constrained group lasso over a dictionary and extra neurons, by Clarabel."""
    mean, size = X.mean(axis=0), np.abs(X - X.mean(axis=0)).max()
    Z, spread = (X - mean) / size, np.abs(Y - Y.mean(axis=0)).max()
    labels = (Y - Y.mean(axis=0)) / spread
    if labels.shape[1] > labels.shape[0]:  # rotated tasks have the same path norm
        labels = np.linalg.qr(labels.T, mode="r").T
    rank = np.linalg.matrix_rank(Z, tol=1e-9)
    axes = np.linalg.svd(Z, full_matrices=False)[2][:rank]
    if rank == 2:
        angle = 2 * np.pi * np.arange(n_directions) / n_directions
        u = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        u = np.random.default_rng(7).standard_normal((2 * n_directions, rank))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
    w = u @ axes
    dictionary = (w[:, None, :] @ (Z[None] - Z[:, None]).reshape(-1, Z.shape[1]).T).reshape(
        -1, len(Z)
    )
    unit = extra.unit_norm()
    own = (X @ unit.w.T + unit.b).T / size
    features = np.unique(np.maximum(np.vstack([dictionary, own]), 0.0), axis=0).T
    functions = np.column_stack([np.ones(len(Z)), Z @ axes.T])
    functions = functions if skip == "affine" else functions[:, :1]
    V = cp.Variable((features.shape[1], labels.shape[1]))
    theta = cp.Variable((functions.shape[1], labels.shape[1]))
    task = cp.Problem(
        cp.Minimize(cp.sum(cp.norm(V, 2, axis=1))),
        [features @ V + functions @ theta == labels],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": to 1e-8
        task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(task.value) * spread / size


def check_interpolates(network, X, Y):
    # Rounding of the parameters, as many units of the last digit as terms that are added up.
    hidden = np.maximum(X @ network.w.T + network.b, 0.0)
    inside = np.abs(X) @ np.abs(network.w.T) + np.abs(network.b)
    terms = (inside @ np.abs(network.v)).max() + np.abs(X @ network.A.T).max() + np.abs(Y).max()
    fitted = hidden @ network.v + X @ network.A.T + network.c
    assert np.abs(fitted - Y).max() <= 16 * np.finfo(float).eps * terms


@both_skips
@pytest.mark.parametrize("case", CASES)
def test_the_path_norm_is_the_least_of_all_that_pass_through_the_labels(case, skip):
    X, Y = CASES[case]
    solution = mtrelu.solve(X, Y, 0.0, skip=skip)
    assert solution.status is Status.CERTIFIED
    assert solution.certificate.oracle == "exact"
    network = solution.network
    check_interpolates(network, X, Y)
    path = path_norm(network)
    assert path == pytest.approx(solution.certificate.primal, rel=1e-12)
    if path < 1e-12 * np.abs(Y).max():
        return
    # Over its own neurons and a dictionary nothing better exists, to the tolerances of both.
    least = least_path_norm(X, Y, skip, network)
    assert path * (1 - 1e-6 - 1e-7) <= least <= path * (1 + 1e-7)


def test_two_squares_have_path_norm_four():
    # The limit of (4α − 4α²)/α.
    for skip in ("affine", "constant"):
        assert path_norm(mtrelu.solve(SQUARES, INNER, 0.0, skip=skip).network) == pytest.approx(
            4.0, rel=1e-6
        )


@both_skips
@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize("d", [2, 3])
def test_points_on_a_line_are_one_input(d, n_tasks, skip):
    """With unit direction, the path norm is that of the coordinate along the line."""
    rng = np.random.default_rng(d)
    direction = rng.standard_normal(d)
    direction /= np.linalg.norm(direction)
    t = np.sort(rng.uniform(-2, 2, 8))
    X, Y = np.outer(t, direction) + rng.standard_normal(d), rng.standard_normal((8, n_tasks))
    solution = mtrelu.solve(X, Y, 0.0, skip=skip)
    assert solution.status is Status.CERTIFIED
    check_interpolates(solution.network, X, Y)
    if skip == "affine":
        slopes = np.diff(Y, axis=0) / np.diff(t)[:, None]
        expected = np.linalg.norm(np.diff(slopes, axis=0), axis=1).sum()
        along = mtrelu.solve(t, Y, 0.0)
        assert path_norm(along.network) == pytest.approx(expected, rel=1e-12)
    else:
        along = mtrelu.solve(t, Y, 0.0, skip="constant")
        expected = path_norm(along.network)
        # All neurons of one input, in a dictionary of both directions through all samples.
        assert least_path_norm(t[:, None], Y, "constant", along.network) == pytest.approx(
            expected, rel=1e-6
        )
    assert path_norm(solution.network) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("n_tasks", [1, 4])
def test_affine_labels_cost_nothing_with_an_affine_skip(n_tasks):
    X = random(12, 3, 1)[0]
    Y = X @ random(3, 1, n_tasks)[1] + 3.0
    solution = mtrelu.solve(X, Y, 0.0)
    assert solution.status is Status.CERTIFIED
    assert solution.network.n_neurons == 0 and solution.certificate.primal == 0.0
    check_interpolates(solution.network, X, Y)


@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize(("n", "rank"), [(5, 1), (15, 1), (15, 2)])
def test_affine_labels_with_a_constant_skip_cost_at_most_the_nuclear_norm(n, rank, offset):
    """Neurons that are active on all samples are the linear part."""
    X = random(n, 2, 1)[0]
    slopes = np.array([[1.0], [2.0]]) if rank == 1 else np.array([[1.0, 3.0], [2.0, 1.0]])
    Y = X @ slopes + offset
    solution = mtrelu.solve(X, Y, 0.0, skip="constant")
    assert solution.status is Status.CERTIFIED
    check_interpolates(solution.network, X, Y)
    nuclear = np.linalg.svd(slopes, compute_uv=False).sum()
    path = path_norm(solution.network)
    assert path <= nuclear * (1 + 1e-6)
    if rank == 1:  # no function of these slopes is cheaper than its slope
        assert path == pytest.approx(nuclear, rel=1e-6)


@both_skips
def test_constant_labels_cost_nothing(skip):
    X = random(7, 2, 1)[0]
    solution = mtrelu.solve(X, np.full((7, 3), 4.0), 0.0, skip=skip)
    assert solution.status is Status.CERTIFIED
    assert path_norm(solution.network) == 0.0
    np.testing.assert_allclose(solution.network(X), 4.0, rtol=1e-15)


@both_skips
def test_one_and_two_samples(skip):
    X, Y = random(2, 2, 3)
    one = mtrelu.solve(X[:1], Y[:1], 0.0, skip=skip)
    assert one.status is Status.CERTIFIED and one.network.n_neurons == 0
    np.testing.assert_allclose(one.network(X[:1]), Y[:1], rtol=1e-14)
    two = mtrelu.solve(X, Y, 0.0, skip=skip)
    assert two.status is Status.CERTIFIED
    check_interpolates(two.network, X, Y)
    slope = np.linalg.norm(Y[1] - Y[0]) / np.linalg.norm(X[1] - X[0])
    expected = 0.0 if skip == "affine" else slope
    assert path_norm(two.network) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_contradictions_are_refused_and_repetitions_are_not():
    X, Y = random(6, 2, 2)
    doubled, labels = np.vstack([X, X[2:4]]), np.vstack([Y, Y[2:4]])
    solution = mtrelu.solve(doubled, labels, 0.0)
    assert solution.status is Status.CERTIFIED
    alone = mtrelu.solve(X, Y, 0.0)
    assert path_norm(solution.network) == pytest.approx(path_norm(alone.network), rel=2e-6)
    labels[7, 1] += 1e-3
    with pytest.raises(InvalidInputError, match="rows 3 and 7"):
        mtrelu.solve(doubled, labels, 0.0)


@both_skips
def test_sample_weights_mean_nothing(skip):
    X, Y = random(8, 2, 2, seed=6)
    plain = mtrelu.solve(X, Y, 0.0, skip=skip)
    weights = 10.0 ** np.arange(-4.0, 4.0)
    weighted = mtrelu.solve(X, Y, 0.0, skip=skip, sample_weight=weights)
    assert weighted.status is Status.CERTIFIED
    assert path_norm(weighted.network) == pytest.approx(path_norm(plain.network), rel=1.1e-6)


@both_skips
@pytest.mark.parametrize(("in_x", "in_y"), [(1e6, 1.0), (1.0, 1e-6), (1e-5, 1e7)])
def test_units(in_x, in_y, skip):
    X, Y = random(8, 2, 2, seed=7)
    base = path_norm(mtrelu.solve(X, Y, 0.0, skip=skip).network)
    scaled = mtrelu.solve(in_x * X, in_y * Y, 0.0, skip=skip)
    assert scaled.status is Status.CERTIFIED
    assert path_norm(scaled.network) == pytest.approx(base * in_y / in_x, rel=2e-6)


@both_skips
@pytest.mark.parametrize("limit", [{"max_iter": 1}, {"max_iter": 8}, {"time_limit": 0.0}])
def test_limits_are_honest(limit, skip):
    X, Y = CASES["some tasks"]
    optimum = mtrelu.solve(X, Y, 0.0, skip=skip).certificate
    seen = []
    solution = mtrelu.solve(X, Y, 0.0, skip=skip, callback=seen.append, **limit)
    assert len(seen) == solution.n_iter <= limit.get("max_iter", 1)
    # It passes through the labels in any case.
    check_interpolates(solution.network, X, Y)
    assert solution.status in (Status.LIMIT_REACHED, Status.CERTIFIED)
    assert solution.certificate.primal >= optimum.dual
    assert solution.certificate.primal == pytest.approx(path_norm(solution.network), rel=1e-12)
    assert solution.certificate.dual <= optimum.primal * (1 + 1e-9)


def test_the_callback_can_interrupt_and_sees_every_round():
    X, Y = CASES["some tasks"]
    seen = []
    solution = mtrelu.solve(X, Y, 0.0, callback=seen.append)
    assert solution.n_iter == len(seen)
    assert all(each.relative_gap >= 0 for each in seen)

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mtrelu.solve(X, Y, 0.0, callback=interrupt)


@both_skips
def test_warm_start(skip):
    X, Y = CASES["some tasks"]
    cold = mtrelu.solve(X, Y, 0.0, skip=skip)
    warm = mtrelu.solve(X, Y, 0.0, skip=skip, warm_start=cold.network)
    assert warm.status is Status.CERTIFIED
    assert path_norm(warm.network) == pytest.approx(path_norm(cold.network), rel=1.1e-6)


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("alpha", [1e-8, 1e-11, 1e-15])
def test_a_penalty_that_float64_cannot_tell_from_zero_costs_its_share_of_the_path_norm(alpha, skip):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    path_norm = mtrelu.solve(X, Y, 0.0, skip=skip).certificate.primal
    solution = mtrelu.solve(X, Y, alpha, skip=skip)
    assert solution.status is Status.CERTIFIED
    assert solution.certificate.primal == pytest.approx(alpha * path_norm, rel=1e-6)
