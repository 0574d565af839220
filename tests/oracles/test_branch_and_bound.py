import itertools
import time

import numpy as np
import pytest

from mtrelu import InvalidInputError
from mtrelu.oracles import branch_and_bound
from mtrelu.oracles.arrangement import ArrangementOracle
from mtrelu.oracles.branch_and_bound import BranchAndBoundOracle
from mtrelu.oracles.plane import PlaneOracle


def dual_variable(rng, X, n_tasks, skip):
    A = np.ones((len(X), 1)) if skip == "constant" else np.column_stack([np.ones(len(X)), X])
    P = rng.standard_normal((len(X), n_tasks))
    for _ in range(2):
        P -= A @ np.linalg.lstsq(A, P, rcond=None)[0]
    return P


def dual_function(X, P, w, b):
    return np.linalg.norm(np.maximum(w @ X.T + b[:, None], 0.0) @ P, axis=1)


def best_of_many(rng, X, P):
    """Random starts with the hyperplane through each point, then uphill: a lower bound."""
    N, d = X.shape
    w = rng.standard_normal((max(20 * N, 400), d))
    at = np.arange(len(w)) % N
    best = 0.0
    for step in range(30):
        w /= np.linalg.norm(w, axis=1)[:, None]
        b = -np.sum(w * X[at], axis=1)
        h = w @ X.T + b[:, None]
        s = np.maximum(h, 0.0) @ P
        best = max(best, np.linalg.norm(s, axis=1).max())
        uphill = np.einsum("mi,mid->md", (h > 0) * (s @ P.T), X - X[at][:, None])
        uphill /= np.linalg.norm(uphill, axis=1)[:, None] + 1e-300
        w = w + uphill / (1 + step)
    return best


def problems():
    rng = np.random.default_rng(2)
    lattice = np.array(list(itertools.product([0.0, 1.0, 2.0], repeat=2)))
    yield "line", rng.standard_normal((7, 1)), 2
    yield "plane", rng.standard_normal((12, 2)), 1
    yield "lattice", lattice, 3
    yield "duplicates", np.repeat(lattice, 2, axis=0), 2
    yield "space", rng.standard_normal((12, 3)), 20
    yield "cube", np.array(list(itertools.product([0.0, 1.0], repeat=3))), 1
    yield "five", rng.standard_normal((15, 5)), 4
    yield "eight", rng.standard_normal((20, 8)), 2
    yield "many_inputs", rng.standard_normal((25, 18)), 3
    yield "fewer_samples_than_inputs", rng.standard_normal((4, 9)), 3
    yield "rank_deficient", rng.standard_normal((12, 2)) @ rng.standard_normal((2, 6)), 2


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("name, X, n_tasks", [pytest.param(*c, id=c[0]) for c in problems()])
def test_no_neuron_is_above_the_bound(name, X, n_tasks, skip):
    rng = np.random.default_rng(5)
    P = dual_variable(rng, X, n_tasks, skip)
    if np.abs(P).max() < 1e-9:
        return
    best = best_of_many(rng, X, P)
    values = []
    for time_limit in (0.0, 0.02, 0.3):
        result = BranchAndBoundOracle(X, skip, time_limit=time_limit).search(P)
        assert result.exactness == "bound"
        assert result.value >= best
        assert np.isfinite(result.value)
        values.append(result.value)
        assert (result.g <= result.value).all()
        assert dual_function(X, P, result.w, result.b) == pytest.approx(result.g, rel=1e-9)
    assert values[2] <= values[0] * (1 + 1e-9)
    assert result.g[0] >= 0.9 * best


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("q, N, n_tasks", [(1, 9, 2), (2, 15, 1), (2, 20, 5), (3, 9, 3)])
def test_closes_on_the_maximum(q, N, n_tasks, skip):
    rng = np.random.default_rng(q)
    X = rng.standard_normal((N, q))
    P = dual_variable(rng, X, n_tasks, skip)
    exact = (PlaneOracle if q <= 2 else ArrangementOracle)(X, skip).search(P)
    result = BranchAndBoundOracle(X, skip, time_limit=30.0).search(P)
    assert exact.value * (1 - 1e-12) <= result.value <= exact.value * (1 + 2e-9)
    assert result.g[0] == pytest.approx(exact.value, rel=1e-11)


def test_closes_on_lattices():
    X = np.array(list(itertools.product([0.0, 1.0, 2.0], repeat=2)))
    P = dual_variable(np.random.default_rng(0), X, 2, "affine")
    exact = PlaneOracle(X, "affine").search(P).value
    value = BranchAndBoundOracle(X, "affine", time_limit=20.0).search(P).value
    assert exact * (1 - 1e-12) <= value <= exact * (1 + 2e-9)


def test_stops_at_the_target_and_at_the_time_limit():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3))
    P = dual_variable(rng, X, 2, "affine")
    exact = ArrangementOracle(X, "affine").search(P).value
    start = time.perf_counter()
    result = BranchAndBoundOracle(X, "affine", time_limit=60.0).search(P, target=1.2 * exact)
    assert time.perf_counter() - start < 20
    assert exact <= result.value <= 1.2 * exact * (1 + 1e-12) and result.g.size == 0
    X = rng.standard_normal((100, 8))
    P = dual_variable(rng, X, 10, "affine")
    oracle = BranchAndBoundOracle(X, "affine", time_limit=0.5)
    start = time.perf_counter()
    oracle.search(P)
    assert time.perf_counter() - start < 5


def test_full_memory_leaves_a_bound(monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((12, 4))
    P = dual_variable(rng, X, 3, "affine")
    exact = ArrangementOracle(X, "affine").search(P).value
    oracle = BranchAndBoundOracle(X, "affine", time_limit=0.7)
    free = oracle.search(P).value
    monkeypatch.setattr(branch_and_bound, "_MOST_NUMBERS", 16 * 200)
    assert exact * (1 - 1e-12) <= oracle.search(P).value
    monkeypatch.setattr(branch_and_bound, "_MOST_NUMBERS", 16)
    roots_only = oracle.search(P).value
    assert exact * (1 - 1e-12) <= free <= roots_only


@pytest.mark.parametrize("unit_x, unit_p", [(1e8, 1e-8), (1e-8, 1.0), (1e-100, 1e100)])
def test_units_do_not_matter(unit_x, unit_p):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((10, 2))
    P = dual_variable(rng, X, 2, "constant")
    exact = PlaneOracle(X, "constant").search(P).value
    value = BranchAndBoundOracle(X * unit_x, "constant").search(P * unit_p).value
    assert value / unit_x / unit_p == pytest.approx(exact, rel=3e-9)


@pytest.mark.parametrize("time_limit", [-1.0, float("nan")])
def test_refuses_impossible_time_limits(time_limit):
    with pytest.raises(InvalidInputError, match="time_limit"):
        BranchAndBoundOracle(np.eye(3), "affine", time_limit=time_limit)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_problems_stay_above_the_exact_maximum(seed):
    rng = np.random.default_rng(seed)
    q = int(rng.integers(2, 5))
    X = rng.standard_normal((int(rng.integers(q + 3, 14)), q)).round(int(rng.integers(0, 4)))
    skip = ("affine", "constant")[seed % 2]
    P = dual_variable(rng, X, int(rng.integers(1, 20)), skip)
    if np.abs(P).max() < 1e-9:
        return
    exact = ArrangementOracle(X, skip).search(P).value
    for time_limit in (0.0, 0.01, 0.1, 0.5):
        value = BranchAndBoundOracle(X, skip, time_limit=time_limit).search(P).value
        assert value >= exact * (1 - 1e-12)
