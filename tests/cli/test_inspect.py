import json

import numpy as np
import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app
from mtrelu.cli.inspect import USES


def run(*words):
    result = CliRunner().invoke(app, ["inspect", *(str(word) for word in words)])
    assert result.exit_code == 0 and result.stderr == "", result.output
    return result.stdout


def test_curves(curves):
    shown = run(curves / "fitted")
    network, metadata = mtrelu.load_network(curves / "fitted" / "model.safetensors")
    for knot, change in zip(network.knots(), network.slope_changes(), strict=True):
        line = next(line for line in shown.splitlines() if line.split()[:1] == [f"{knot:.6g}"])
        assert f"{change[np.argmax(np.abs(change))]:+.4g}" in line
    assert "a and b" in shown and "time" in shown and f"{metadata['alpha']:.6g}" in shown
    assert "certified, relative gap" in shown and "It is proved that no network" in shown


def test_machine_readable(curves):
    record = json.loads(run(curves / "fitted", "--json"))
    network, metadata = mtrelu.load_network(curves / "fitted" / "model.safetensors")
    changes = network.slope_changes()
    norms = np.linalg.norm(changes, axis=1)
    neurons = record["neurons"]
    assert [-n["b"] / n["w"][0] for n in neurons] == network.knots().tolist()
    np.testing.assert_allclose([n["share"] for n in neurons], norms / norms.sum(), rtol=1e-12)
    for neuron, change in zip(neurons, np.abs(changes), strict=True):
        users = [name for name, c in zip("ab", change, strict=True) if c >= USES * change.max()]
        assert neuron["tasks"] == users
    assert record["certificate"] == metadata["certificate"] and record["alpha"] == 0.1
    assert record["inputs"] == ["time"] and record["tasks"] == ["a", "b"]


def test_several_inputs_with_shares_in_the_units_of_the_fit(plane):
    record = json.loads(run(plane / "fitted", "--json"))
    X = np.array([[i % 5, 100 * (i % 3) + i] for i in range(15)], dtype=float)
    Y = np.array([[abs(i % 5 - 2), i % 3 + 0.01 * i * i] for i in range(15)])
    fit = mtrelu.solve((X - X.mean(0)) / X.std(0), Y / Y.std(0), 0.5).network.merged()
    norms = np.linalg.norm(fit.v, axis=1)
    found = sorted(neuron["share"] for neuron in record["neurons"])
    np.testing.assert_allclose(found, np.sort(norms / norms.sum()), rtol=1e-3, atol=1e-4)
    for neuron in record["neurons"]:
        assert np.linalg.norm(neuron["w"]) == pytest.approx(1)
    shown = run(plane / "fitted")
    assert "standard deviations" in shown and " p " in shown and " q " in shown


def test_a_network_without_neurons(tmp_path):
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{i},{2 * i}\n" for i in range(6)))
    out = str(tmp_path / "out")
    words = ["fit", str(tmp_path / "line.csv"), "--x", "x", "--alpha", "1", "--out", out]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert "No neurons" in run(out)
    assert json.loads(run(out, "--json"))["neurons"] == []


def test_a_saved_estimator(tmp_path):
    X, Y = np.arange(8.0)[:, None], np.abs(np.arange(8.0) - 3)[:, None] * [1.0, 2.0]
    model = mtrelu.ReLURegressor(alpha=0.1).fit(X, Y)
    from mtrelu.io import save_model

    save_model(tmp_path / "model.safetensors", model)
    shown = run(tmp_path / "model.safetensors")
    assert "ReLURegressor" in shown and "certified" in shown and "y0 and y1" in shown


def test_quiet(curves):
    assert run(curves / "fitted", "--quiet") == ""


def test_bad_models(tmp_path, curves):
    content = (curves / "fitted" / "model.safetensors").read_bytes()
    for name, bad in {
        "cut": content[:-10], "changed": content[:-1] + b"\x01", "empty": b"", "other": b"x" * 99,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(bad)
        result = CliRunner().invoke(app, ["inspect", str(tmp_path / name)])
        assert result.exit_code == 2 and result.stdout == "" and name in result.stderr
        assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
