"""What onnxruntime computes from the files, against the formula and against scikit-learn's face."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mtrelu.api import solve
from mtrelu.certificate import Certificate
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.features import NeuronFeatures
from mtrelu.estimators.learned_kernel import LearnedKernelRidge
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.export import onnx_file, to_onnx
from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError, MissingExtraError

RNG = np.random.default_rng(0)
X2 = RNG.uniform(-1, 1, size=(20, 2))
Y2 = np.abs(X2 @ [[1.0, 0.5], [0.2, -1.0]])


def random_network(K, d, T, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((K, d), (K,), (K, T), (T, d), (T,))
    return ReLUNetwork(*(rng.standard_normal(shape) for shape in shapes))


def formula(network, X, dtype=np.longdouble):
    """[1], written out, and the size of what is added up."""
    w, b, v, A, c = (getattr(network, name).astype(dtype) for name in ("w", "b", "v", "A", "c"))
    X = X.astype(dtype)
    values = np.maximum(X @ w.T + b, 0) @ v + X @ A.T + c
    size = (abs(X) @ abs(w).T + abs(b)) @ abs(v) + abs(X) @ abs(A).T + abs(c)
    return values, size


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path, X):
    session = session_of(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X}), strict=True))


def metadata_of(path):
    return session_of(path).get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("K", [0, 1, 9])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("T", [1, 4])
def test_random_networks_compute_the_same(path, K, d, T, dtype):
    network = random_network(K, d, T, seed=K + d + T)
    to_onnx(network, path, dtype=dtype)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = session_of(path)
    eps = np.finfo(dtype).eps
    for n in (0, 1, 2, 57):
        X = (3.0 * np.random.default_rng(n).standard_normal((n, d))).astype(dtype)
        (values,) = session.run(["Y"], {"X": X})
        assert values.shape == (n, T) and values.dtype == dtype
        expected, size = formula(network, X)
        assert np.all(abs(values - expected) <= 4 * (K + d + 4) * eps * size)


def test_one_float_is_not_like_the_other(path):
    network = random_network(5, 2, 1)
    to_onnx(network, path)
    with pytest.raises(Exception, match=r"Unexpected input data type.*tensor.float."):
        session_of(path).run(None, {"X": X2.astype(np.float32)})


def test_old_runtimes_can_read_it(path):
    to_onnx(random_network(5, 2, 3), path)
    model = onnx.load(path)
    # Both of 2020.
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version == 7


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_neurons_near_the_ends_of_float32_are_balanced(path, scale):
    network = random_network(5, 2, 3)
    lopsided = ReLUNetwork(
        scale * 1e-12 * network.w, scale * 1e-12 * network.b, network.v / scale * 1e12,
        network.A, network.c,
    )  # fmt: skip
    to_onnx(lopsided, path, dtype="float32")
    X = X2.astype(np.float32)
    expected, size = formula(network, X)
    assert np.all(abs(run(path, X)["Y"] - expected) <= 1e-5 * size)


def test_parameters_beyond_float32_are_refused(path):
    network = ReLUNetwork([[1.0]], [0.0], [[1.0]], [[1.0]], [1e39])
    with pytest.raises(InvalidInputError, match=r"entries of c up to 1.0e\+39, which float32 can"):
        to_onnx(network, path, dtype="float32")
    assert not path.exists()
    to_onnx(network, path)
    assert run(path, np.zeros((1, 1)))["Y"] == 1e39


def test_names_of_columns_stand_in_the_metadata(path):
    frame = pd.DataFrame(X2, columns=["Öl, €", "b"])
    labels = pd.DataFrame(Y2, columns=["one", "二"])
    model = ReLURegressor(alpha=0.3).fit(frame, labels)
    to_onnx(model, path)
    metadata = metadata_of(path)
    assert json.loads(metadata["inputs"]) == ["Öl, €", "b"]
    assert json.loads(metadata["outputs"]) == ["one", "二"]
    to_onnx(model, path, inputs=["p", "q"], tasks=["r", "s"])
    metadata = metadata_of(path)
    assert json.loads(metadata["inputs"]) == ["p", "q"]
    assert json.loads(metadata["outputs"]) == ["r", "s"]
    to_onnx(model.network_, path)
    metadata = metadata_of(path)
    assert json.loads(metadata["inputs"]) == ["x0", "x1"]
    assert json.loads(metadata["outputs"]) == ["y0", "y1"]
    (X,), (Y,) = session_of(path).get_inputs(), session_of(path).get_outputs()
    assert (X.name, X.shape, Y.name, Y.shape) == ("X", ["M", 2], "Y", ["M", 2])


@pytest.mark.parametrize(
    "names, message",
    [
        ({"inputs": ["a"]}, r"inputs is \['a'\], but the network has 2 inputs"),
        ({"inputs": ["a", "a"]}, "inputs has the name 'a' twice"),
        ({"tasks": "ab"}, "tasks is 'ab', but the network has 2 tasks"),
        ({"tasks": ["a", 3]}, "tasks has the name 3, which is not text"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"dtype": np.float32}, "dtype is <class"),
    ],
)
def test_options_that_cannot_work_are_refused(path, names, message):
    with pytest.raises(InvalidInputError, match=message):
        to_onnx(random_network(3, 2, 2), path, **names)
    assert not path.exists()


def test_the_conclusion_of_the_certificate_travels_along(path):
    model = ReLURegressor(alpha=0.3).fit(X2, Y2)
    to_onnx(model, path)
    metadata = metadata_of(path)
    assert metadata["conclusion"] == model.status_.value == "certified"
    stored = Certificate.from_dict(json.loads(metadata["certificate"]))
    assert (stored.primal, stored.dual) == (model.certificate_.primal, model.certificate_.dual)
    assert metadata["certificate_in_words"] == model.certificate_.in_words()
    # Another certificate, of a network that has none of its own.
    solution = solve(X2, Y2, 0.3, max_iter=1)
    to_onnx(solution.network, path, certificate=solution.certificate)
    assert metadata_of(path)["conclusion"] == solution.status.value == "limit reached"


def test_nothing_is_called_certified_that_is_not(path):
    model = ReLURegressor(alpha=0.3).fit(X2, Y2)
    to_onnx(model, path, dtype="float32")
    metadata = metadata_of(path)
    assert metadata["conclusion"] == "certified, before the parameters were rounded to float32"
    assert "rounded to float32" in metadata["certificate_in_words"]
    # A bare network, and one whose certificate is about another network.
    ridge = LearnedKernelRidge("neurons", kernel_alpha=0.5).fit(X2, Y2)
    assert ridge.certificate_ is not None
    for other in (model.network_, ridge):
        to_onnx(other, path)
        assert metadata_of(path).keys() == {"inputs", "outputs"}


def test_labels_of_one_dimension_give_a_column(path):
    model = ReLURegressor(alpha=0.3).fit(X2, Y2[:, 0])
    to_onnx(model, path)
    assert model.predict(X2).shape == (20,)
    assert_allclose(run(path, X2)["Y"], model.predict(X2)[:, None], rtol=1e-12, atol=1e-12)


CLASSES = {
    "two": np.where(X2[:, 0] > 0, "up", "down"),
    "three": np.digitize(X2 @ [1.0, 2.0], [-0.5, 0.7]) * 10,
    "several labels": Y2 > 0.4,
}


@pytest.mark.parametrize("dtype, atol", [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("kind", CLASSES)
def test_classifiers_give_logits_and_probabilities(path, kind, dtype, atol):
    model = ReLUClassifier(alpha=0.2).fit(X2, CLASSES[kind])
    assert model.network_.n_neurons > 0
    to_onnx(model, path, dtype=dtype)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    for X in (X2, 1e3 * X2, X2[:0]):  # at 1e3 all probabilities are 0 or 1, or all are small
        X = X.astype(dtype)
        outputs = run(path, X)
        if len(X) == 0:
            assert outputs["probabilities"].shape == (0, len(model.classes_))
            continue
        logits = model.decision_function(X).reshape(len(X), -1)
        assert_allclose(outputs["logits"], logits, rtol=atol, atol=atol * abs(logits).max())
        assert_allclose(outputs["probabilities"], model.predict_proba(X), atol=500 * atol)
    metadata = metadata_of(path)
    assert json.loads(metadata["classes"]) == model.classes_.tolist()
    assert len(json.loads(metadata["outputs"])) == model.network_.n_tasks
    assert metadata["conclusion"].startswith("certified")


def test_probabilities_of_classes_that_are_all_unlikely(path):
    model = ReLUClassifier(alpha=0.2).fit(X2, CLASSES["three"])
    network = model.network_
    model.network_ = ReLUNetwork(network.w, network.b, network.v, network.A, network.c - 3000.0)
    for dtype, atol in (("float64", 1e-10), ("float32", 1e-2)):
        to_onnx(model, path, dtype=dtype)
        probabilities = run(path, X2.astype(dtype))["probabilities"]
        assert_allclose(probabilities, model.predict_proba(X2), atol=atol)
        assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_neuron_features_are_the_neurons(path):
    model = NeuronFeatures(alpha=0.3).fit(X2, Y2)
    for dtype, atol in (("float64", 1e-14), ("float32", 1e-6)):
        to_onnx(model, path, dtype=dtype)
        outputs = run(path, X2.astype(dtype))
        assert outputs.keys() == {"features"}
        assert_allclose(outputs["features"], model.transform(X2), atol=atol)
    assert json.loads(metadata_of(path)["outputs"]) == model.get_feature_names_out().tolist()


def test_files_beyond_two_gigabytes_are_refused_before_they_are_made(path, monkeypatch):
    network = random_network(2000, 2, 3)  # 6000 + 4000 + 2000 numbers and 9 more
    needed = 8 * 12_009 + 10_000
    monkeypatch.setattr(onnx_file, "MOST_BYTES", needed + 100)
    to_onnx(network, path)
    assert path.stat().st_size <= needed
    path.unlink()
    monkeypatch.setattr(onnx_file, "MOST_BYTES", needed - 1)
    with pytest.raises(InvalidInputError, match=r'GB in float64, but .* 2 GB; .*dtype="float32"'):
        to_onnx(network, path)
    to_onnx(network, path, dtype="float32")
    monkeypatch.setattr(onnx_file, "MOST_BYTES", needed // 2)
    with pytest.raises(InvalidInputError, match=r"in float32, but .*save_network\.$"):
        to_onnx(network, path, dtype="float32")


@pytest.mark.slow
def test_a_network_of_two_gigabytes_is_refused(path):
    zeros = np.zeros((300, 10**6))
    network = ReLUNetwork([[1.0]] * 300, [0.0] * 300, zeros, zeros[:1].T, zeros[0])
    with pytest.raises(InvalidInputError, match=r"2\.4 GB in float64"):
        to_onnx(network, path)


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    to_onnx(random_network(1, 1, 1), path)
    old = path.read_bytes()

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        to_onnx(random_network(2, 2, 2), path)
    assert path.read_bytes() == old and len(list(path.parent.iterdir())) == 1


def test_folders_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"cannot be written \(No such file or directory\)"):
        to_onnx(random_network(1, 1, 1), tmp_path / "missing" / "model.onnx")


def test_without_onnx_the_extra_is_named(path, monkeypatch):
    monkeypatch.delitem(sys.modules, "mtrelu.export.onnx_graph", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'onnx, which is not.*"mtrelu\[onnx\]"'):
        to_onnx(random_network(1, 1, 1), path)
