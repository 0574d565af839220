import csv
import io
import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app
from mtrelu.tables import read_table

X = np.array([-2.0, 0.3, 4.0, 4.7, 20.0])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(app, ["export", *(str(word) for word in words)])


def export(*words):
    result = run(*words)
    assert result.exit_code == 0 and result.stderr == "", result.output
    return result.stdout


@pytest.fixture
def network(curves):
    return mtrelu.load_network(curves / "fitted" / "model.safetensors")[0]


def test_onnx(curves, network):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert "fitted.onnx" in export(curves / "fitted", "--to", "onnx")
    session = onnxruntime.InferenceSession("fitted.onnx")
    (values,) = session.run(["Y"], {"X": X[:, None]})
    np.testing.assert_allclose(values, network(X), rtol=1e-12, atol=1e-12)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["inputs"]) == ["time"]
    assert json.loads(metadata["outputs"]) == ["a", "b"]
    assert metadata["conclusion"] == "certified"


def test_onnx_of_scaled_data_carries_no_certificate(plane):
    onnxruntime = pytest.importorskip("onnxruntime")
    export(plane / "fitted", "--to", "onnx")
    session = onnxruntime.InferenceSession("fitted.onnx")
    assert "conclusion" not in session.get_modelmeta().custom_metadata_map


def test_torch_as_the_help_says(curves, network):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    export(curves / "fitted", "--to", "torch", "--out", "t.safetensors")
    K, T = network.v.shape
    module = torch.nn.Module()
    module.hidden = torch.nn.Linear(1, K, dtype=torch.float64)
    module.output = torch.nn.Linear(K, T, bias=False, dtype=torch.float64)
    module.skip = torch.nn.Linear(1, T, dtype=torch.float64)
    module.load_state_dict(load_file("t.safetensors"))
    x = torch.tensor(X[:, None])
    with torch.no_grad():
        values = module.output(torch.relu(module.hidden(x))) + module.skip(x)
    np.testing.assert_allclose(values.numpy(), network(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables(curves, network, ending):
    export(curves / "fitted", "--to", "csv", "--out", f"c.{ending}")
    table = read_table(f"c.{ending}")
    terms = table.columns["term"].to_pylist()
    assert terms == ["constant", "slope", *["knot"] * len(network.knots())]
    knots = [float(x) for x in table.columns["knot"].to_pylist()[2:]]
    assert knots == network.knots().tolist()
    for t, name in enumerate("ab"):
        constant, slope, *changes = table.numbers(name)
        values = constant + slope * X + np.maximum(X[:, None] - knots, 0) @ changes
        np.testing.assert_allclose(values, network(X)[:, t], rtol=1e-9, atol=1e-9)


def test_table_on_standard_output(curves):
    rows = list(csv.reader(io.StringIO(export(curves / "fitted", "--to", "csv", "--out", "-"))))
    assert rows[0] == ["term", "knot", "a", "b"] and os.listdir() == []


def test_arrays(plane):
    network = mtrelu.load_network(plane / "fitted" / "model.safetensors")[0]
    export(plane / "fitted", "--to", "npz")
    with np.load("fitted.npz", allow_pickle=False) as arrays:
        for name in ("w", "b", "v", "A", "c"):
            assert np.array_equal(arrays[name], getattr(network, name))
        assert arrays["inputs"].tolist() == ["p", "q"] and arrays["tasks"].tolist() == ["u", "v"]


def test_json_and_quiet(curves):
    record = json.loads(export(curves / "fitted", "--to", "npz", "--json"))
    assert record["to"] == "npz" and record["out"] == "fitted.npz"
    assert export(curves / "fitted", "--to", "npz", "--force", "--quiet") == ""


def test_a_saved_estimator(tmp_path):
    from mtrelu.io import save_model

    model = mtrelu.ReLURegressor(alpha=0.1).fit(X[:, None], np.abs(X))
    save_model("m.safetensors", model)
    export("m.safetensors", "--to", "csv")
    assert list(read_table("m.csv").columns) == ["term", "knot", "y0"]


BAD = {
    "no such model": (("nowhere", "--to", "csv"), "nowhere does not exist"),
    "another ending": (("{}", "--to", "onnx", "--out", "m.csv"), "does not end in .onnx"),
    "exists": (("{}", "--to", "npz", "--out", "there.npz"), "exists already"),
    "no such folder": (("{}", "--to", "npz", "--out", "no/m.npz"), "is not a folder"),
    "a folder": (("{}", "--to", "npz", "--out", "folder.npz"), "is no file"),
    "binary to standard output": (("{}", "--to", "onnx", "--out", "-"), "--to csv"),
    "two things on standard output": (("{}", "--to", "csv", "--out", "-", "--json"), "--json"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, curves):
    with open("there.npz", "w") as file:
        file.write("mine")
    os.mkdir("folder.npz")
    words, message = BAD[case]
    result = run(*(word.format(curves / "fitted") for word in words))
    assert result.exit_code == 2 and result.stdout == "" and message in result.stderr
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert sorted(os.listdir()) == ["folder.npz", "there.npz"]
    with open("there.npz") as file:
        assert file.read() == "mine"


def test_an_unknown_kind_names_the_known_ones(curves):
    result = run(curves / "fitted", "--to", "pickle")
    assert result.exit_code == 2 and "onnx" in result.stderr and "torch" in result.stderr


def test_a_missing_package_is_named(curves, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "mtrelu.export.onnx_graph", raising=False)
    result = run(curves / "fitted", "--to", "onnx")
    assert result.exit_code == 2 and 'pip install "mtrelu[onnx]"' in result.stderr
    assert os.listdir() == []
