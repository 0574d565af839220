import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mtrelu.certificate import Certificate
from mtrelu.io import load_network, save_network
from mtrelu.io.container import SCHEMA_VERSION
from mtrelu.network import ReLUNetwork
from mtrelu.scaling import Scaling
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError

ARRAYS = ("w", "b", "v", "A", "c")


def some_network(n_neurons=5, n_inputs=2, n_tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    return ReLUNetwork(
        rng.standard_normal((n_neurons, n_inputs)),
        rng.standard_normal(n_neurons),
        rng.standard_normal((n_neurons, n_tasks)),
        rng.standard_normal((n_tasks, n_inputs)),
        rng.standard_normal(n_tasks),
    )


@pytest.mark.parametrize("n_neurons", [0, 1, 7])
def test_round_trip_is_bit_for_bit(tmp_path, n_neurons):
    network = some_network(n_neurons)
    metadata = {"alpha": 0.1, "tasks": ["a", "ü"], "nested": {"n": 3, "none": None}, "tiny": 5e-324}
    save_network(tmp_path / "model.safetensors", network, metadata)
    loaded, read = load_network(tmp_path / "model.safetensors")
    for name in ARRAYS:
        assert getattr(loaded, name).tobytes() == getattr(network, name).tobytes()
        assert getattr(loaded, name).shape == getattr(network, name).shape
    assert read == metadata
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_metadata_is_optional_and_takes_numpy_values(tmp_path):
    path = str(tmp_path / "model.safetensors")
    save_network(path, some_network())
    assert load_network(path)[1] == {}
    save_network(path, some_network(), {"n": np.int64(3), "x": np.arange(2.0), "ok": np.True_})
    assert load_network(path)[1] == {"n": 3, "x": [0.0, 1.0], "ok": True}


@pytest.mark.parametrize("value", [np.nan, float("inf"), object(), {1, 2}])
def test_metadata_that_json_cannot_store_is_refused(tmp_path, value):
    with pytest.raises(InvalidInputError, match="metadata cannot be stored as JSON"):
        save_network(tmp_path / "model", some_network(), {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    old, new = some_network(seed=0), some_network(seed=1)
    save_network(path, old)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InvalidInputError, match=r"cannot be written.*No space left on device"):
        save_network(path, new)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert load_network(path)[0].same_function(old)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    old = some_network(seed=0)
    save_network(path, old)

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_network(path, some_network(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert load_network(path)[0].same_function(old)


def test_paths_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"cannot be written \(No such file or directory"):
        save_network(tmp_path / "missing" / "model", some_network())
    with pytest.raises(InvalidInputError, match="is no file"):
        save_network(tmp_path, some_network())
    with pytest.raises(InvalidInputError, match=r"missing'.*cannot be read \(No such file"):
        load_network(tmp_path / "missing")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_network(tmp_path)


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other"
    save_file({"w": np.ones((1, 1))}, path)
    with pytest.raises(InvalidInputError, match="not a model of mtrelu"):
        load_network(path)
    for header in ("[]", "null", "{}", '{"schema_version": 1}', "not json"):
        save_file({"w": np.ones((1, 1))}, path, metadata={"mtrelu": header})
        with pytest.raises(InvalidInputError, match="not a model of mtrelu"):
            load_network(path)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InvalidInputError, match="not a model of mtrelu"):
        load_network(path)


def test_a_file_of_a_newer_version_says_so(tmp_path):
    path = tmp_path / "new"
    header = json.dumps({"schema_version": SCHEMA_VERSION + 1})
    save_file({"w": np.ones((1, 1))}, path, metadata={"mtrelu": header})
    with pytest.raises(InvalidInputError, match=r"newer mtrelu wrote.*upgrade mtrelu"):
        load_network(path)


def test_a_file_of_version_1_loads():
    # Written by `save_network` when the schema had its first version; never to be made again.
    network, metadata = load_network(Path(__file__).parent / "data" / "version_1.safetensors")
    stated = {
        "w": [[1.0, -2.0], [0.1, 5e-324], [-0.0, 3.0]],
        "b": [0.5, -0.25, 1e300],
        "v": [[1.0, -1.0], [0.3333333333333333, 2.0], [-7.0, 0.0]],
        "A": [[0.125, -0.0], [2.0, 3.0]],
        "c": [1.5, -2.5],
    }
    for name, values in stated.items():
        assert getattr(network, name).tobytes() == np.array(values).tobytes()
    assert metadata.keys() == {
        "mtrelu", "data", "inputs", "tasks", "scaling", "alpha", "loss", "certificate",
    }  # fmt: skip
    assert metadata["data"] == "Tabelle für Öl.csv"
    assert (metadata["inputs"], metadata["tasks"]) == (["Öl", "x,y"], ["a", "b"])
    assert (metadata["alpha"], metadata["loss"]) == (0.5, {"name": "squared"})
    certificate = Certificate.from_dict(metadata["certificate"])
    assert certificate.status is Status.CERTIFIED and certificate.primal == 0.45
    assert Scaling.from_dict(metadata["scaling"]).centre.tolist() == [0.0, 0.0]


def test_keys_that_are_numbers_become_text_in_any_order(tmp_path):
    # Sorted as numbers and as text, these differ.
    save_network(tmp_path / "model", some_network(), {"sizes": {2: "a", 10: "b"}})
    assert load_network(tmp_path / "model")[1] == {"sizes": {"2": "a", "10": "b"}}


@pytest.mark.slow
def test_metadata_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="metadata is 101 MB of JSON"):
        save_network(tmp_path / "model", some_network(), {"names": "x" * 101_000_000})
    assert list(tmp_path.iterdir()) == []
