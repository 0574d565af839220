"""The module computes the network, and the network reads back from it bit for bit."""

import copy
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mtrelu.conversion import as_network
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.export import to_torch
from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError, MissingExtraError

ARRAYS = ("w", "b", "v", "A", "c")


def random_network(K, d, T, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((K, d), (K,), (K, T), (T, d), (T,))
    return ReLUNetwork(*(rng.standard_normal(shape) for shape in shapes))


def formula(network, X):
    """[1], written out."""
    hidden = np.maximum(np.einsum("md,kd->mk", X, network.w) + network.b, 0.0)
    return hidden @ network.v + X @ network.A.T + network.c


SIZES = [(K, d, T) for K in (0, 1, 2, 7) for d in (1, 2, 3) for T in (1, 2, 4)]


@pytest.mark.parametrize("size", SIZES)
def test_it_computes_the_network_and_reads_back(size):
    network = random_network(*size, seed=sum(size))
    module = to_torch(network)
    X = 3.0 * np.random.default_rng(1).standard_normal((50, size[1]))
    with torch.no_grad():
        values = module(torch.from_numpy(X)).numpy()
    assert values.shape == (50, size[2]) and values.dtype == np.float64
    assert_allclose(values, formula(network, X), rtol=1e-12, atol=1e-12)
    read = as_network(module)
    for name in ARRAYS:
        assert getattr(read, name).shape == getattr(network, name).shape
        assert getattr(read, name).tobytes() == getattr(network, name).tobytes()


def test_odd_numbers_read_back_bit_for_bit():
    w = [[5e-324, -0.0], [1e150, -1e-150], [0.0, 0.0]]
    network = ReLUNetwork(
        w, [-0.0, 1.0, 5e-324], [[-0.0, 1.0], [1.0, 0.1], [2.0, 0.0]],
        [[-0.0, 0.3], [1 / 3, 5e-324]], [-0.0, 1e-300],
    )  # fmt: skip
    read = as_network(to_torch(network))
    for name in ARRAYS:
        assert getattr(read, name).tobytes() == getattr(network, name).tobytes()


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2)])
def test_neurons_that_do_nothing_are_read_in_their_place(size):
    # Every order of the layers computes the same here.
    zero = ReLUNetwork(*(np.zeros_like(getattr(random_network(*size), name)) for name in ARRAYS))
    for name in ARRAYS:
        arrays = {other: getattr(zero, other) for other in ARRAYS}
        arrays[name] = np.ones_like(arrays[name])
        network = ReLUNetwork(**arrays)
        read = as_network(to_torch(network))
        for other in ARRAYS:
            np.testing.assert_array_equal(getattr(read, other), getattr(network, other))


def test_it_is_an_ordinary_module():
    network = random_network(5, 3, 2)
    state = torch.random.get_rng_state()
    module = to_torch(network)
    assert torch.equal(state, torch.random.get_rng_state())
    assert [name for name, _ in module.named_parameters()] == [
        "hidden.weight", "hidden.bias", "output.weight", "skip.weight", "skip.bias",
    ]  # fmt: skip
    X = torch.randn(4, 6, 3, dtype=torch.float64)
    assert module(X).shape == (4, 6, 2) and module(X[:0]).shape == (0, 6, 2)
    # Its state fits a module of the same layers that anyone can write down.
    other = to_torch(random_network(5, 3, 2, seed=1))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(X), module(X))
    assert module.float()(X.float()).dtype == torch.float32


def test_training_it_changes_neither_the_network_nor_its_copies():
    network = random_network(5, 3, 2)
    kept = {name: getattr(network, name).copy() for name in ARRAYS}
    module = to_torch(network)
    twin = copy.deepcopy(module)
    X, Y = torch.randn(30, 3, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-2)
    before = ((module(X) - Y) ** 2).mean()
    before.backward()
    assert all(values.grad is not None for values in module.parameters())
    optimiser.step()
    assert ((module(X) - Y) ** 2).mean() < before
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(network, name), kept[name])
    assert ((twin(X) - Y) ** 2).mean() == before


def test_it_can_be_exported_by_torch():
    module = to_torch(random_network(5, 3, 2))
    X = torch.randn(8, 3, dtype=torch.float64)
    program = torch.export.export(module, (X,))
    torch.testing.assert_close(program.module()(X), module(X), rtol=0, atol=0)


def test_estimators():
    X = np.linspace(-1, 1, 10)[:, None]
    regressor = ReLURegressor(alpha=0.1).fit(X, np.abs(X[:, 0]))
    classifier = ReLUClassifier(alpha=0.1).fit(X, X[:, 0] > 0.1)
    for model, values in (
        (regressor, regressor.predict(X)),
        (classifier, classifier.decision_function(X)),
    ):
        with torch.no_grad():
            outputs = to_torch(model)(torch.from_numpy(X)).numpy()
        assert_allclose(outputs, values[:, None], rtol=1e-12, atol=1e-12)
    with pytest.raises(InvalidInputError, match="not fitted"):
        to_torch(ReLURegressor())


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "mtrelu.export.torch_module", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r'torch, which is not.*"mtrelu\[torch\]"'):
        to_torch(random_network(1, 1, 1))
