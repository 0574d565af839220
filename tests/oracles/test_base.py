import numpy as np
import pytest

from mtrelu.oracles import OracleResult
from mtrelu.oracles.base import Hull, Oracle
from mtrelu.validation import InvalidInputError


class OneNeuron(Oracle):
    """Evaluates one neuron of the hull's coordinates, so that only what is shared is tested."""

    def _search(self, P, target):
        self.seen = P, target
        q = self.hull.Z.shape[1]
        w, b = np.full((1, q), q**-0.5), np.array([0.1])
        g = np.linalg.norm(np.maximum(self.hull.Z @ w.T + b, 0.0).T @ P, axis=1)
        return OracleResult(float(g[0]), "estimate", w, b, g)


def centred(n, n_tasks, seed=0):
    P = np.random.default_rng(seed).standard_normal((n, n_tasks))
    return P - P.mean(axis=0)


def inputs(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3))
    return {
        "general": X,
        "constant column": np.column_stack([X, np.full(12, 7.0)]),
        "dependent column": np.column_stack([X, X @ [1.0, -2.0, 0.5]]),
        "few samples": rng.standard_normal((3, 8)),
        "line": np.outer(rng.standard_normal(9), [3.0, 4.0]) + 1.0,
        "offset": X + 1e6,
        "tiny": 1e-8 * X,
        "huge": 1e8 * X - 1e9,
        "unequal units": X * [1e-4, 1.0, 1e4],
        "two equal and one": np.array([[1.0, 2.0], [1.0, 2.0], [4.0, -2.0]]),
    }[kind]


dimensions = {
    "general": 3, "constant column": 3, "dependent column": 3, "few samples": 2, "line": 1,
    "offset": 3, "tiny": 3, "huge": 3, "unequal units": 3, "two equal and one": 1,
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", dimensions)


@each_kind
def test_hull_gives_the_inputs_back(kind):
    X = inputs(kind)
    hull = Hull.of(X)
    q = dimensions[kind]
    assert hull.Z.shape == (len(X), q)
    assert np.abs(hull.Z).max() <= np.sqrt(X.shape[1])
    np.testing.assert_allclose(hull.axes.T @ hull.axes, np.eye(q), atol=1e-14)
    back = hull.centre + hull.scale * hull.Z @ hull.axes.T
    error = np.linalg.norm(back - X, axis=1) / hull.scale
    # What is left over is stated, and is rounding of the inputs only.
    assert np.all(error <= hull.left_over + 4e-16 * np.abs(X).max() / hull.scale)
    assert np.all(hull.left_over <= 1e-14 + 1e-15 * np.abs(X).max() / hull.scale)
    assert np.log2(hull.scale) == np.round(np.log2(hull.scale))
    assert 0.25 * hull.scale <= np.abs(X - X.mean(axis=0)).max() <= hull.scale


@each_kind
def test_lift_keeps_the_values_of_neurons(kind):
    X = inputs(kind)
    hull = Hull.of(X)
    rng = np.random.default_rng(1)
    w = rng.standard_normal((5, hull.Z.shape[1]))
    w /= np.linalg.norm(w, axis=1)[:, None]
    b = rng.uniform(-1.0, 1.0, 5)
    lifted_w, lifted_b = hull.lift(w, b)
    np.testing.assert_allclose(np.linalg.norm(lifted_w, axis=1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(
        X @ lifted_w.T + lifted_b,
        hull.scale * (hull.Z @ w.T + b),
        atol=1e-14 * (np.abs(X).max() + hull.scale),
    )


def test_hull_of_equal_inputs_is_a_point():
    hull = Hull.of(np.full((4, 3), 5.0))
    assert hull.Z.shape == (4, 0)
    assert hull.scale == 1.0
    np.testing.assert_array_equal(hull.centre, 5.0)


@each_kind
@pytest.mark.parametrize("n_tasks", [1, 4, 30])
def test_search_answers_in_the_units_of_the_inputs(kind, n_tasks):
    X = inputs(kind)
    for unit in (1.0, 1e-30, 1e30):
        P = unit * centred(len(X), n_tasks)
        oracle = OneNeuron(X, "constant")
        result = oracle.search(P, target=3.0)
        seen, _ = oracle.seen
        assert np.abs(seen).max() <= np.sqrt(n_tasks)
        assert seen.shape[1] <= len(X)
        hidden = np.maximum((X - oracle.hull.centre) @ result.w.T + 0.1 * oracle.hull.scale, 0.0)
        np.testing.assert_allclose(result.g, np.linalg.norm(hidden.T @ P, axis=1), rtol=1e-8)
        # The value has room for rounding, and not much more.
        reach = np.linalg.norm(P, axis=1).sum() * oracle.hull.scale
        blur = np.abs(X).max() / oracle.hull.scale
        assert result.g[0] < result.value <= result.g[0] + (1e-13 + 1e-14 * blur) * reach
        assert result.exactness == "estimate"


def test_target_is_passed_in_the_units_of_the_hull():
    X = inputs("huge")
    P = 1e-3 * centred(12, 2)
    oracle = OneNeuron(X, "constant")
    everything = oracle.search(P)
    inner = OneNeuron._search(oracle, oracle.seen[0], 0.0)
    oracle.search(P, target=0.5 * everything.g[0])
    assert oracle.seen[1] == pytest.approx(0.5 * inner.g[0], rel=1e-14)


@pytest.mark.parametrize("P", [np.zeros((12, 2)), np.zeros((12, 0))])
def test_zero_has_the_value_zero(P):
    result = OneNeuron(inputs("general"), "affine").search(P)
    assert result.value == 0.0
    assert result.exactness == "exact"
    assert result.w.shape == (0, 3)


def test_equal_inputs_have_the_value_zero():
    result = OneNeuron(np.full((4, 3), 5.0), "constant").search(centred(4, 2))
    assert result.value == 0.0
    assert result.w.shape == (0, 3)


@pytest.mark.parametrize(
    "P", [np.zeros((11, 2)), np.zeros(12), np.full((12, 1), np.nan), np.full((12, 1), np.inf)]
)
def test_dual_variables_that_cannot_work_are_refused(P):
    with pytest.raises(InvalidInputError, match=r"P has shape .* needs shape \(12, T\) and finite"):
        OneNeuron(inputs("general"), "affine").search(P)
