import json

import numpy as np
import pytest

from mtrelu.network import ReLUNetwork
from mtrelu.scaling import Scaling
from mtrelu.validation import InvalidInputError


def make(seed=0, d=3, T=2, K=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((9, d)) * [1.0, 1e3, 1e-4][:d] + [5.0, -2e3, 0.0][:d]
    Y = rng.standard_normal((9, T)) * [1e-3, 50.0][:T]
    network = ReLUNetwork(
        rng.standard_normal((K, d)), rng.standard_normal(K), rng.standard_normal((K, T)),
        rng.standard_normal((T, d)), rng.standard_normal(T),
    )  # fmt: skip
    return X, Y, network


def test_columns_get_standard_deviation_one():
    X, Y, _ = make()
    scaling = Scaling.of(X, Y, inputs=True, tasks=True)
    Z = scaling.inputs(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), 1.0)
    np.testing.assert_allclose(scaling.labels(Y).std(axis=0), 1.0)
    np.testing.assert_allclose(scaling.labels(Y) * Y.std(axis=0), Y)
    assert scaling.scales_inputs and scaling.scales_tasks


def test_what_is_not_scaled_stays_bit_for_bit():
    X, Y, network = make()
    scaling = Scaling.of(X, Y, inputs=False, tasks=False)
    assert np.array_equal(scaling.inputs(X), X) and np.array_equal(scaling.labels(Y), Y)
    assert not scaling.scales_inputs and not scaling.scales_tasks
    same = scaling.in_own_units(network)
    for name in ("w", "b", "v", "A", "c"):
        assert np.array_equal(getattr(same, name), getattr(network, name))


def test_constant_columns_are_not_divided():
    scaling = Scaling.of(np.full((4, 2), 3.0), np.zeros((4, 1)), inputs=True, tasks=True)
    assert scaling.spread.tolist() == [1.0, 1.0] and scaling.task_spread.tolist() == [1.0]


def test_the_folded_network_predicts_the_same_in_own_units():
    X, Y, network = make()
    scaling = Scaling.of(X, Y, inputs=True, tasks=True)
    expected = network(scaling.inputs(X)) * scaling.task_spread
    np.testing.assert_allclose(scaling.in_own_units(network)(X), expected, rtol=1e-9, atol=1e-15)


def test_folding_can_be_undone():
    X, Y, network = make()
    scaling = Scaling.of(X, Y, inputs=True, tasks=True)
    back = scaling.as_fitted(scaling.in_own_units(network))
    for name in ("w", "b", "v", "A", "c"):
        np.testing.assert_allclose(getattr(back, name), getattr(network, name), rtol=1e-12)


def test_json_and_back():
    X, Y, _ = make()
    scaling = Scaling.of(X, Y, inputs=True, tasks=True)
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    for name in ("centre", "spread", "task_spread"):
        assert np.array_equal(getattr(again, name), getattr(scaling, name))


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"centre": [0.0], "spread": [0.0], "task_spread": [1.0]},
        {"centre": [0.0], "spread": ["wide"], "task_spread": [1.0]},
        {"centre": [float("nan")], "spread": [1.0], "task_spread": [1.0]},
    ],
)
def test_something_else_is_refused(plain):
    with pytest.raises(InvalidInputError, match="not a stored scaling"):
        Scaling.from_dict(plain)
