"""Every fitted estimator comes back from its file as it was, and nothing else comes out of one."""

import builtins
import dataclasses
import marshal
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mtrelu.api import solve
from mtrelu.estimators.base import NetworkEstimator
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.cv import ReLURegressorCV
from mtrelu.estimators.features import NeuronFeatures
from mtrelu.estimators.learned_kernel import LearnedKernelRidge
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.io import load_model, load_network, save_model, save_network
from mtrelu.io.container import Container, read_container, write_container
from mtrelu.io.model import _ESTIMATORS
from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.losses import HuberLoss, SquaredLoss
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError

RNG = np.random.default_rng(0)
X1 = np.linspace(-1.0, 1.0, 12)[:, np.newaxis]
X2 = RNG.uniform(-1, 1, size=(14, 2))
Y1 = np.column_stack([np.abs(X1[:, 0]), np.maximum(X1[:, 0] - 0.3, 0.0)])
Y2 = np.abs(X2 @ [[1.0, 0.5, 0.0], [0.2, -1.0, 1.0]])
FRAME = pd.DataFrame(X2, columns=["Öl, €", "b"])
LABELS = pd.DataFrame(Y2, columns=["one", "two", "三"])
NETWORK = solve(X2, Y2, 0.5).network

MODELS = {
    "one label": lambda: ReLURegressor(alpha=0.1).fit(X1, Y1[:, 0]),
    "two inputs": lambda: ReLURegressor(alpha=0.5, skip="constant", max_iter=50).fit(X2, Y2),
    "data frames": lambda: ReLURegressor(alpha=0.5).fit(FRAME, LABELS),
    "knots": lambda: ReLURegressor(n_knots=1).fit(X1, Y1),
    "interpolation": lambda: ReLURegressor(alpha=0).fit(X1, Y1),
    "a loss": lambda: ReLURegressor(alpha=0.1, loss=HuberLoss(delta=0.5)).fit(X1, Y1),
    "no neurons": lambda: ReLURegressor(alpha=1e6).fit(X2, Y2),
    "weights": lambda: ReLURegressor(alpha=0.1).fit(X1, Y1, sample_weight=np.arange(12.0)),
    "missing labels": lambda: ReLURegressor(
        alpha=0.1, nan_policy="omit", task_weight=[1.0, 2.5]
    ).fit(X1, np.where(np.arange(24).reshape(12, 2) % 5 == 2, np.nan, Y1)),
    "cross-validation": lambda: ReLURegressorCV(alphas=[0.5, 0.1], cv=3).fit(X1, Y1),
    "two classes": lambda: ReLUClassifier(alpha=0.2).fit(X1, np.where(X1[:, 0] > 0, "up", "ab")),
    "three classes": lambda: ReLUClassifier(alpha=0.2).fit(X1, np.arange(12) // 4 - 1),
    "several labels": lambda: ReLUClassifier(alpha=0.2).fit(X1, Y1 > 0.4),
    "features": lambda: NeuronFeatures(alpha=0.1).fit(X2, Y2),
    "learned kernel": lambda: LearnedKernelRidge(kernel_alpha=0.5).fit(X2, Y2),
    "its own kernel": lambda: LearnedKernelRidge("neurons", kernel_alpha=0.5).fit(X2, Y2[:, 0]),
    "given kernel": lambda: LearnedKernelRidge(NeuronKernel(NETWORK), alphas=[0.1, 1]).fit(X2, Y2),
    "given network": lambda: LearnedKernelRidge(NETWORK, alphas=(0.1, 1.0)).fit(X2, Y2),
    "given infinite-task kernel": lambda: LearnedKernelRidge(
        InfiniteTaskKernel(X2, alpha=0.5), alphas=np.array([0.1, 1.0])
    ).fit(X2, Y2),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


def same(one, other, where="model"):
    """Equal down to the last bit, and of the same types."""
    if isinstance(one, NeuronKernel):
        assert isinstance(other, NeuronKernel), where
        one, other = (one.network, one.skip), (other.network, other.skip)
    assert type(one) is type(other), where
    if isinstance(one, np.ndarray):
        assert (one.shape, one.dtype.kind) == (other.shape, other.dtype.kind), where
        assert one.dtype.kind in "OU" or one.tobytes() == other.tobytes(), where
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), where
    elif dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{where}[{i}]")
    elif isinstance(one, float) and math.isnan(one):
        assert math.isnan(other), where
    else:
        assert one == other, where


def outputs(model, X):
    names = ("predict", "predict_proba", "decision_function", "transform")
    return {name: getattr(model, name)(X) for name in names if hasattr(model, name)}


def points(model):
    X = 3.0 * np.random.default_rng(1).standard_normal((40, model.n_features_in_))
    return pd.DataFrame(X, columns=FRAME.columns) if hasattr(model, "feature_names_in_") else X


def test_a_model_comes_back_as_it_was(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    loaded = load_model(path)
    same(outputs(model, points(model)), outputs(loaded, points(model)))
    kept = {name: value for name, value in vars(model).items() if name != "_solution"}
    there = {name: value for name, value in vars(loaded).items() if name != "_solution"}
    same(kept, there)
    save_model(tmp_path / "again", loaded)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_optimal_range_needs_the_data(model, tmp_path):
    if not hasattr(model, "optimal_range"):
        return
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    if vars(model)["_solution"] is None:  # fitted by n_knots
        with pytest.raises(InvalidInputError, match="n_knots"):
            load_model(path).optimal_range(points(model))
        return
    with pytest.raises(InvalidInputError, match=r"loaded without: .*with_data=True"):
        load_model(path).optimal_range(points(model))
    save_model(path, model, with_data=True)
    loaded = load_model(path)
    same(vars(model)["_solution"].problem, vars(loaded)["_solution"].problem)
    if vars(model)["_solution"].optimal_set().range_is_proved:
        same(model.optimal_range(points(model)), loaded.optimal_range(points(model)))
        return
    with pytest.warns(UserWarning, match="the range is not proved"):
        here = model.optimal_range(points(model))
    with pytest.warns(UserWarning, match="the range is not proved"):
        same(here, loaded.optimal_range(points(model)))


def test_a_model_of_version_2_loads():
    # Written by `save_model` when the schema had its second version; never to be made again.
    #     ReLURegressor(alpha=0.25, loss=HuberLoss(delta=0.5)).fit(
    #         DataFrame({"Öl": [0.0, 1.0, 2.0, 3.0, 4.0]}),
    #         DataFrame({"a": [0.0, 1.0, 2.0, 1.0, 0.0], "b": [1.0, 1.0, 1.0, 2.0, 3.0]}))
    path = Path(__file__).parent / "data" / "version_2.safetensors"
    loaded = load_model(path)
    assert isinstance(loaded, ReLURegressor)
    assert (loaded.alpha, loaded.loss, loaded.alpha_) == (0.25, HuberLoss(delta=0.5), 0.25)
    assert loaded.feature_names_in_.tolist() == ["Öl"]
    assert loaded.task_names_.tolist() == ["a", "b"]
    assert loaded.status_ is Status.CERTIFIED and loaded.certificate_.relative_gap < 1e-6
    inputs = pd.DataFrame({"Öl": [-1.0, 0.5, 2.0, 3.25]})
    stated = [
        [-0.712505545750455, 0.8562527728752429],
        [0.5479157423749202, 0.9760421288125408],
        [1.8083370305002955, 1.0958314847498387],
        [0.7579859570624827, 2.246007021468757],
    ]
    np.testing.assert_allclose(loaded.predict(inputs), stated, rtol=1e-12)
    low, high = loaded.optimal_range(inputs)
    np.testing.assert_allclose(low, stated, rtol=1e-5)
    np.testing.assert_allclose(high, stated, rtol=1e-5)


def test_data_stay_out_of_the_file_unless_asked_for(tmp_path):
    secret = np.array([0.0, 0.123456789, 1.987654321, 3.0])
    model = ReLURegressor(alpha=1e6).fit(secret, [0.111222333, 1.0, 0.0, 2.0])
    for with_data in (False, True):
        save_model(tmp_path / "model", model, with_data=with_data)
        content = (tmp_path / "model").read_bytes()
        for number in (secret[1], secret[2], 0.111222333):
            assert (np.float64(number).tobytes() in content) is with_data


def test_damage_to_a_model_is_noticed(tmp_path):
    path = tmp_path / "model"
    model = MODELS["two classes"]()
    save_model(path, model)
    content = path.read_bytes()
    bits = np.random.default_rng(0).integers(0, 8, size=len(content))
    with open(path, "r+b", buffering=0) as file:
        for position, (byte, bit) in enumerate(zip(content, bits, strict=True)):
            file.seek(position)
            file.write(bytes([byte ^ (1 << int(bit))]))
            try:
                loaded = load_model(path)
            except InvalidInputError as error:
                assert str(path) in str(error)
            else:
                same({**vars(model), "_solution": None}, {**vars(loaded), "_solution": None})
            file.seek(position)
            file.write(bytes([byte]))
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(InvalidInputError, match="damaged or not a model"):
            load_model(path)


def test_every_estimator_has_a_file():
    known = {name for name, cls in _subclasses(NetworkEstimator) if name in _public()}
    assert known == _ESTIMATORS.keys()
    for name, cls in _subclasses(NetworkEstimator):
        if name in _ESTIMATORS:
            assert cls.__module__ == _ESTIMATORS[name]


def _public():
    import mtrelu

    return set(mtrelu.__all__)


def _subclasses(cls):
    for below in cls.__subclasses__():
        yield below.__name__, below
        yield from _subclasses(below)


@pytest.mark.parametrize("name", ["random_state", "alpha", "loss", "tol"])
@pytest.mark.parametrize("value", [np.random.default_rng(0), object(), len, 3j, {1, 2}, b"x"])
def test_parameters_that_a_file_cannot_hold_are_named(tmp_path, name, value):
    model = MODELS["one label"]().set_params(**{name: value})
    with pytest.raises(InvalidInputError, match=rf"{name} is of type .*{type(value).__name__}"):
        save_model(tmp_path / "model", model)
    assert list(tmp_path.iterdir()) == []


def test_the_way_out_that_the_message_names(tmp_path):
    model = ReLURegressorCV(alphas=[0.5, 0.1], cv=KFold(3)).fit(X1, Y1)
    with pytest.raises(InvalidInputError, match=r"cv is of type .*KFold.* set_params"):
        save_model(tmp_path / "model", model)
    save_model(tmp_path / "model", model.set_params(cv=3))
    same(model.predict(X1), load_model(tmp_path / "model").predict(X1))


def test_own_losses_are_code_and_not_stored(tmp_path):
    class MyLoss(SquaredLoss):
        """The same, but anything could be in it."""

    model = ReLURegressor(alpha=0.1, loss=MyLoss()).fit(X1, Y1)
    with pytest.raises(InvalidInputError, match=r"loss is of type .*MyLoss"):
        save_model(tmp_path / "model", model)


def test_other_objects_are_refused(tmp_path):
    class Mine(ReLURegressor):
        """Code of its own."""

    fitted = MODELS["one label"]()
    for model in (
        Mine(alpha=0.1).fit(X1, Y1),
        LinearRegression().fit(X1, Y1),
        make_pipeline(StandardScaler(), ReLURegressor(alpha=0.1)).fit(X1, Y1),
        fitted.network_,
        ReLURegressor,
        None,
    ):
        with pytest.raises(InvalidInputError, match="a file cannot hold; pass a fitted"):
            save_model(tmp_path / "model", model)
    with pytest.raises(InvalidInputError, match="ReLURegressor that is not fitted; call fit first"):
        save_model(tmp_path / "model", ReLURegressor())
    assert list(tmp_path.iterdir()) == []


def test_models_and_networks_are_told_apart(tmp_path):
    model = MODELS["one label"]()
    save_model(tmp_path / "model", model)
    save_network(tmp_path / "network", model.network_)
    with pytest.raises(InvalidInputError, match="holds a model, not a network; read it by load_mo"):
        load_network(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="holds a network, not a model; read it by load_ne"):
        load_model(tmp_path / "network")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "model"
    save_model(path, MODELS["one label"](), with_data=True)
    return read_container(path, "model")


def rewritten(tmp_path, stored, **changes):
    """A file with a right checksum whose description says something else."""
    path = tmp_path / "rewritten"
    write_container(path, Container("model", stored.arrays, stored.metadata | changes))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": None},
        {"parameters": []},
        {"attributes": "network_"},
        {"attributes": {"network_": {}}},
        {"attributes": {"network_": 3}},
        {"attributes": {"network_": {"type": "status", "parts": {"value": "certified"}}}},
        {"attributes": {"network_": {"type": "array", "name": "missing"}}},
        {"attributes": {"network_": {"type": "network", "parts": {}}}},
        {"attributes": {"network_": {"type": "network", "parts": {"w": 1}}}},
        {"attributes": {"network_": {"type": ["network"], "parts": {}}}},
        {"attributes": {"network_": {"type": "os.system", "parts": {"command": "true"}}}},
        {"attributes": {"status_": {"type": "status", "parts": {"value": "proved"}}}},
        {"attributes": {"status_": {"type": "certificate", "parts": {"primal": 1.0}}}},
        {"attributes": {"status_": {"type": "dict", "items": [[[], 1]]}}},
        {"attributes": {"status_": {"type": "words", "dtype": "str", "shape": [3], "values": []}}},
        {"attributes": {"status_": {"type": "words", "shape": [-1], "values": ["a"]}}},
        {"attributes": {"status_": {"type": "words", "shape": [10**12], "values": ["a"]}}},
        {"attributes": {"status_": {"type": "loss", "parts": {"name": "eval"}}}},
        {"attributes": {"status_": {"type": "problem", "parts": {"X": 1, "Y": 2}}}},
    ],
)
def test_descriptions_that_make_no_sense_are_refused(tmp_path, stored, changes):
    if isinstance(changes.get("attributes"), dict):
        changes = {"attributes": stored.metadata["attributes"] | changes["attributes"]}
    with pytest.raises(InvalidInputError, match="checksum is right, but which does not describe"):
        load_model(rewritten(tmp_path, stored, **changes))


@pytest.mark.parametrize(
    "part, name",
    [
        ("estimator", "ReLUTransformer"),
        ("estimator", "os.system"),
        ("estimator", "NetworkEstimator"),
        ("estimator", None),
        ("estimator", ["ReLURegressor"]),
        ("parameters", "temperature"),
        ("parameters", "__class__"),
        ("attributes", "temperature_"),
        ("attributes", "__class__"),
        ("attributes", "predict"),
    ],
)
def test_names_that_this_version_does_not_know_are_refused(tmp_path, stored, part, name):
    changed = name if part == "estimator" else stored.metadata[part] | {name: 1}
    path = rewritten(tmp_path, stored, mtrelu="99.0", **{part: changed})
    with pytest.raises(
        InvalidInputError, match=rf"99.0 wrote and .*\({re.escape(str(name))}\); up"
    ):
        load_model(path)


def test_parameters_that_a_file_lacks_have_their_defaults(tmp_path, stored):
    path = rewritten(tmp_path, stored, parameters={"alpha": 0.25})
    assert load_model(path).get_params() == ReLURegressor(alpha=0.25).get_params()


def test_loading_reads_no_pickle(tmp_path, monkeypatch):
    save_model(tmp_path / "model", MODELS["one label"](), with_data=True)
    load_model(tmp_path / "model")  # imports everything; numba caches its code by pickle

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(marshal, "loads", refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    monkeypatch.setattr(builtins, "exec", refuse)
    load_model(tmp_path / "model")


def test_loading_needs_no_optional_package(tmp_path):
    save_model(tmp_path / "model", MODELS["one label"]())
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'onnx', 'pandas', 'matplotlib', 'typer', 'pyarrow'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from mtrelu.io import load_model\n"
        "print(load_model(sys.argv[1]).predict([[0.5]]).shape)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "(1,)\n"), run.stderr
