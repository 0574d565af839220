"""Networks of other libraries compute the same after the conversion, or are refused."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from mtrelu import InvalidInputError, LearnedKernelRidge, ReLUNetwork, ReLURegressor
from mtrelu.conversion import as_network
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.features import NeuronFeatures


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class WithSkip(nn.Module):
    """hidden, ReLU, output, and a linear skip connection."""

    def __init__(self, d, width, n_tasks, activation=torch.relu):
        super().__init__()
        self.skip = nn.Linear(d, n_tasks)
        self.output = nn.Linear(width, n_tasks, bias=False)
        self.hidden = nn.Linear(d, width)
        self.activation = activation

    def forward(self, x):
        return self.output(self.activation(self.hidden(x))) + self.skip(x)


def outputs(module, X):
    with torch.no_grad():
        return module.double()(torch.from_numpy(X)).numpy()


def points(d, n=200):
    return 3.0 * np.random.default_rng(0).standard_normal((n, d))


def sequential(d=3, width=7, n_tasks=2, **options):
    return nn.Sequential(
        nn.Linear(d, width, **options), nn.ReLU(), nn.Linear(width, n_tasks, **options)
    )


MODULES = {
    "sequential": lambda: sequential(),
    "no biases": lambda: sequential(bias=False),
    "one input, one task": lambda: sequential(1, 5, 1),
    "all sizes equal": lambda: sequential(4, 4, 4),
    "wide": lambda: sequential(2, 1000, 3),
    "float64": lambda: sequential(dtype=torch.float64),
    "bfloat16": lambda: sequential(dtype=torch.bfloat16),
    "half": lambda: sequential(dtype=torch.float16),
    "skip": lambda: WithSkip(3, 7, 2),
    "skip, all sizes equal": lambda: WithSkip(4, 4, 4),
    "skip, as many neurons as tasks": lambda: WithSkip(2, 3, 3),
    "nested": lambda: nn.Sequential(nn.Identity(), nn.Sequential(sequential(), nn.Flatten())),
    "dropout": lambda: nn.Sequential(
        nn.Linear(3, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 2)
    ).eval(),
    "frozen": lambda: sequential().requires_grad_(False),
    "dead neuron": lambda: _with_dead_neuron(sequential()),
}


def _with_dead_neuron(module):
    with torch.no_grad():
        module[0].weight[2] = 0.0
    return module


@pytest.mark.parametrize("kind", MODULES)
def test_torch_modules_compute_the_same(kind):
    module = MODULES[kind]()
    first = next(module.parameters())
    kept = {name: values.clone() for name, values in module.state_dict().items()}
    network = as_network(module)
    assert next(module.parameters()) is first
    for name, values in module.state_dict().items():
        assert values.dtype == first.dtype
        torch.testing.assert_close(values, kept[name], rtol=0, atol=0)
    X = points(network.n_inputs)
    np.testing.assert_allclose(network(X), outputs(module, X), rtol=1e-12, atol=1e-12)


def test_parameters_are_read_neuron_by_neuron():
    module = WithSkip(3, 7, 2)
    network = as_network(module, n_inputs=3)
    np.testing.assert_array_equal(network.w, module.hidden.weight.detach().double())
    np.testing.assert_array_equal(network.b, module.hidden.bias.detach().double())
    np.testing.assert_array_equal(network.v.T, module.output.weight.detach().double())
    np.testing.assert_array_equal(network.A, module.skip.weight.detach().double())
    np.testing.assert_array_equal(network.c, module.skip.bias.detach().double())
    # A copy: training on does not change it.
    with torch.no_grad():
        module.hidden.weight.zero_()
    assert network.w.any()


@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, True), (False, False)])
def test_the_constant_is_the_sum_of_what_biases_there_are(biases):
    module = WithSkip(3, 7, 2)
    module.output = nn.Linear(7, 2, bias=biases[0])
    module.skip = nn.Linear(3, 2, bias=biases[1])
    network = as_network(module)
    parts = [part.bias for part in (module.output, module.skip) if part.bias is not None]
    expected = sum((part.detach().double().numpy() for part in parts), np.zeros(2))
    np.testing.assert_array_equal(network.c, expected)
    X = points(3)
    np.testing.assert_allclose(network(X), outputs(module, X), rtol=1e-12, atol=1e-12)


def test_training_mode_is_left_alone_and_not_evaluated():
    module = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 2))
    network = as_network(module)
    assert module.training
    X = points(3)
    np.testing.assert_allclose(network(X), outputs(module.eval(), X), rtol=1e-12, atol=1e-12)


def test_a_squeezed_output_is_one_task():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = sequential(2, 5, 1)

        def forward(self, x):
            return self.inner(x).squeeze(-1)

    assert as_network(Squeezed()).n_tasks == 1


class Wrong(nn.Module):
    """Two linear layers with something between them."""

    def __init__(self, between, d=3, width=7, after=None):
        super().__init__()
        self.hidden, self.output = nn.Linear(d, width), nn.Linear(width, 2)
        self.between = between
        self.after = after or (lambda values: values)

    def forward(self, x):
        return self.after(self.output(self.between(self.hidden(x))))


WRONG = {
    "tanh": torch.tanh,
    "nothing": lambda h: h,
    "leaky": lambda h: torch.nn.functional.leaky_relu(h, 1e-6),
    "clipped": torch.nn.functional.relu6,
    "clipped far away": lambda h: torch.clamp(h, 0.0, 500.0),
    "smooth": lambda h: torch.nn.functional.softplus(h, beta=500.0),
    "absolute value": torch.abs,
    "turned": lambda h: torch.relu(-h),
    "shifted": lambda h: torch.relu(h + 1e-6),
    "normalised": lambda h: torch.relu(h / h.norm(dim=1, keepdim=True)),
    "fails": lambda h: h.no_such_method(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_functions_that_are_not_such_a_network_are_refused(kind):
    for width in (1, 7, 300):
        with pytest.raises(InvalidInputError, match="does not compute"):
            as_network(Wrong(WRONG[kind], width=width))
        with pytest.raises(InvalidInputError, match="does not compute"):
            as_network(WithSkip(3, width, 2, activation=WRONG[kind]))


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_clipping_is_seen_whatever_the_size_of_the_weights(size):
    module = Wrong(WRONG["clipped"])
    with torch.no_grad():
        module.hidden.weight.mul_(size)
    with pytest.raises(InvalidInputError, match="does not compute"):
        as_network(module)


def test_transformed_inputs_and_outputs_are_refused():
    for after in (torch.sigmoid, torch.relu, lambda y: y[:, :1], lambda y: (y, y)):
        with pytest.raises(InvalidInputError, match="does not compute"):
            as_network(Wrong(torch.relu, after=after))
    scaled = nn.Sequential(nn.BatchNorm1d(3, affine=False), sequential())
    scaled(torch.randn(20, 3))
    with pytest.raises(InvalidInputError, match=r"BatchNorm1d.*does not compute"):
        as_network(scaled)


REFUSED = {
    "activation Tanh": lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)),
    "activation ReLU6": lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU6(), nn.Linear(3, 1)),
    "has 1 Linear layer,": lambda: nn.Linear(2, 3),
    "has 0 Linear layers": lambda: nn.ReLU(),
    "has 4 Linear layers": lambda: nn.Sequential(sequential(), sequential(2, 3, 2)),
    "3 Linear layers with 2 → 3, 3 → 4, 4 → 1 units": lambda: nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)
    ),
    "does not compute .* 3 Linear layers": lambda: nn.Sequential(
        nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)
    ),
    r"parameters outside its Linear layers \(1.weight, 1.bias\)": lambda: nn.Sequential(
        nn.Linear(2, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 1)
    ),
    "0.weight without values": lambda: nn.Sequential(
        nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 1)
    ),
    "real floating type": lambda: sequential(dtype=torch.complex64),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_other_modules_are_refused_by_name(message):
    with pytest.raises(InvalidInputError, match=message):
        as_network(REFUSED[message]())


@pytest.mark.parametrize("name", ["hidden.weight", "hidden.bias", "output.weight", "skip.bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_named(name, value):
    module = WithSkip(3, 7, 2)
    with torch.no_grad():
        module.get_parameter(name).view(-1)[1] = value
    with pytest.raises(InvalidInputError, match=f"{name} that are NaN or infinite"):
        as_network(module)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("d, n_tasks", [(1, 1), (3, 1), (2, 4)])
def test_perceptrons_compute_the_same(d, n_tasks):
    X = points(d)
    Y = np.sin(X @ np.ones((d, n_tasks)) + np.arange(n_tasks))
    model = MLPRegressor(hidden_layer_sizes=(9,), max_iter=20, random_state=0).fit(
        X, Y if n_tasks > 1 else Y[:, 0]
    )
    network = as_network(model, n_inputs=d)
    predicted = model.predict(X).reshape(len(X), n_tasks)
    np.testing.assert_allclose(network(X), predicted, rtol=1e-12, atol=1e-12)
    assert network.n_neurons == 9
    model.coefs_[1][2, 0] = np.nan
    with pytest.raises(InvalidInputError, match=r"coefs_\[1\] that are NaN"):
        as_network(model)


def test_other_perceptrons_are_refused():
    X, y = points(2, 30), points(1, 30)[:, 0]
    with pytest.raises(InvalidInputError, match="not fitted"):
        as_network(MLPRegressor())
    for options, message in (
        ({"hidden_layer_sizes": (3, 4)}, "2 hidden layers"),
        ({"hidden_layer_sizes": ()}, "0 hidden layers"),
        ({"hidden_layer_sizes": (3,), "activation": "tanh"}, "activation='tanh'"),
    ):
        with pytest.warns(ConvergenceWarning):
            model = MLPRegressor(max_iter=2, **options).fit(X, y)
        with pytest.raises(InvalidInputError, match=message):
            as_network(model)
    with pytest.warns(ConvergenceWarning):
        model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(X, y)
    model.out_activation_ = "exp"  # as scikit-learn's Poisson loss sets it
    with pytest.raises(InvalidInputError, match="outputs through 'exp'"):
        as_network(model)
    with pytest.raises(InvalidInputError, match="MLPClassifier"):
        as_network(MLPClassifier())


def test_own_networks_and_regressors():
    network = ReLUNetwork([[1.0, 0.0]], [0.0], [[1.0]], [[0.0, 0.0]], [0.0])
    assert as_network(network) is network
    with pytest.raises(InvalidInputError, match="model has 2 inputs, but the data have 3"):
        as_network(network, n_inputs=3)
    model = ReLURegressor(alpha=0.1)
    with pytest.raises(InvalidInputError, match="not fitted"):
        as_network(model)
    assert as_network(model.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])) is model.network_


def test_a_learned_kernel_ridge_is_the_network_of_its_predictions():
    X, Y = points(2, 12), points(3, 12)
    model = LearnedKernelRidge(kernel_alpha=0.5)
    with pytest.raises(InvalidInputError, match="LearnedKernelRidge that is not fitted; call fit"):
        as_network(model)
    network = as_network(model.fit(X, Y), n_inputs=2)
    assert network is model.network_ and network.n_neurons > 0
    np.testing.assert_array_equal(network(X), model.predict(X))
    with pytest.raises(InvalidInputError, match="model has 2 inputs, but the data have 3"):
        as_network(model, n_inputs=3)


def test_classifiers_and_features_are_the_networks_that_they_fitted():
    X, Y = points(2, 15), points(3, 15)
    classifier = ReLUClassifier(alpha=0.3).fit(X, np.arange(15) % 3)
    np.testing.assert_allclose(
        as_network(classifier)(X), classifier.decision_function(X), rtol=1e-12, atol=1e-12
    )
    features = NeuronFeatures(alpha=0.3).fit(X, Y)
    assert as_network(features) is features.network_
    for model in (ReLUClassifier(), NeuronFeatures()):
        with pytest.raises(InvalidInputError, match=f"{type(model).__name__} that is not fitted"):
            as_network(model)


@pytest.mark.parametrize(
    "model", [None, 3.0, "network", LinearRegression(), ReLUNetwork, np.eye(2)]
)
def test_anything_else_is_refused_by_type(model):
    with pytest.raises(InvalidInputError, match=type(model).__name__):
        as_network(model)


def test_torch_is_not_imported_for_other_models():
    code = (
        "import sys, mtrelu; from mtrelu.conversion import as_network\n"
        "as_network(mtrelu.ReLUNetwork([[1.0]], [0.0], [[1.0]], [[0.0]], [0.0]))\n"
        "try: as_network(3)\nexcept mtrelu.InvalidInputError: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_module_without_values_is_refused():
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 3, device="meta"), torch.nn.ReLU(), torch.nn.Linear(3, 1, device="meta")
    )
    with pytest.raises(InvalidInputError, match="without values"):
        as_network(module)


def test_a_module_without_hidden_neurons_is_a_constant():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that nothing is initialised
        module = torch.nn.Sequential(torch.nn.Linear(2, 0), torch.nn.ReLU(), torch.nn.Linear(0, 1))
    network = as_network(module)
    assert network.n_neurons == 0
    with torch.no_grad():
        expected = module(torch.zeros(1, 2)).numpy()
    np.testing.assert_allclose(network(np.zeros((1, 2))), expected, rtol=1e-6, atol=1e-7)
