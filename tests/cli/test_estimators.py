"""Estimators that `save_model` wrote, through the commands that take a model."""

import csv
import io

import numpy as np
import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.features import NeuronFeatures
from mtrelu.io import save_model

pandas = pytest.importorskip("pandas")
X = pandas.DataFrame({"p": np.arange(9.0), "q": np.arange(9.0) % 3})
Y = pandas.DataFrame({"u": np.abs(np.arange(9.0) - 4), "v": np.arange(9.0) % 2})
CLASSES = np.array(list("abcabcabb"))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pandas.concat([X, Y], axis=1).to_csv("a.csv", index=False)


def run(*words, code=0):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result


def predicted():
    result = run("predict", "m.safetensors", "a.csv", "--out", "-")
    assert result.stderr == ""  # no word of scikit-learn about names either
    return list(csv.reader(io.StringIO(result.stdout)))


def test_regressor():
    model = mtrelu.ReLURegressor(alpha=0.1).fit(X, Y)
    save_model("m.safetensors", model)
    head, *rows = predicted()
    assert head == ["p", "q", "u", "v"]
    assert np.array_equal(np.array(rows, dtype=float)[:, 2:], model.predict(X))
    assert "proved" in run("certify", "m.safetensors", "a.csv").stdout
    X.assign(u=Y["u"], v=np.arange(9.0)).to_csv("b.csv", index=False)
    run("certify", "m.safetensors", "b.csv", code=1)


def test_weights_of_tasks_are_part_of_the_problem():
    model = mtrelu.ReLURegressor(alpha=0.1, task_weight=[1.0, 5.0]).fit(X, Y)
    save_model("m.safetensors", model)
    run("certify", "m.safetensors", "a.csv")


def test_one_dimensional_labels_and_no_names():
    model = mtrelu.ReLURegressor(alpha=0.1).fit(X.to_numpy()[:, :1], Y["u"].to_numpy())
    save_model("m.safetensors", model)
    X.rename(columns={"p": "x0"}).assign(y0=Y["u"]).to_csv("a.csv", index=False)
    assert predicted()[0] == ["x0", "y0"]
    run("certify", "m.safetensors", "a.csv")


@pytest.mark.parametrize("labels", [CLASSES, np.where(CLASSES == "c", "b", CLASSES)])
def test_classifier(labels):
    model = ReLUClassifier(alpha=0.1).fit(X, labels)
    save_model("m.safetensors", model)
    head, *rows = predicted()
    assert head == ["p", "q", "class"]
    assert [row[2] for row in rows] == model.predict(X).tolist()
    assert "ReLUClassifier" in run("inspect", "m.safetensors").stdout


def test_what_cannot_be_done_is_one_line():
    save_model("m.safetensors", NeuronFeatures(alpha=0.1).fit(X, Y))
    assert (
        "predicts nothing" in run("predict", "m.safetensors", "a.csv", "--out", "-", code=2).stderr
    )
    save_model("m.safetensors", ReLUClassifier(alpha=0.1).fit(X, CLASSES))
    result = run("certify", "m.safetensors", "a.csv", code=2)
    assert result.stderr.count("\n") == 1
    model = mtrelu.ReLURegressor(n_knots=2).fit(X[["p"]], Y)
    save_model("m.safetensors", model)
    run("certify", "m.safetensors", "a.csv", code=1)  # chosen for its knots, not for a penalty
    run("inspect", "m.safetensors")
