"""Fits with the logistic loss: probabilities, log-odds, and classes that a cut tells apart."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app
from mtrelu.io import load_network
from mtrelu.tables import read_table

CURED = [0, 0, 1, 0, 1, 0, 1, 1, 1, 1]
FIT = ("--x", "dose", "--loss", "logistic")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{i + 1},{y},{int(i > 4)}\n" for i, y in enumerate(CURED))
    Path("yes.csv").write_text("dose,cured,late\n" + lines)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_probabilities_log_odds_and_scores():
    words = ("--tasks", "cured", "--alpha", "0.5", "--skip", "affine", "--json")
    result = run("fit", "yes.csv", *FIT, *words, "--out", "out")
    assert result.exit_code == 0, result.output
    x, y = np.arange(1.0, 11.0), np.array(CURED, dtype=float)
    odds = mtrelu.solve(x, y, 0.5, loss="logistic").network(x)[:, 0]
    probability = np.array([1 / (1 + math.exp(-z)) for z in odds])
    table = read_table("out/predictions.csv")
    assert list(table.columns) == ["dose", "cured", "cured low", "cured high", "cured_log_odds"]
    np.testing.assert_allclose(table.numbers("cured"), probability, atol=1e-9)
    np.testing.assert_allclose(table.numbers("cured_log_odds"), odds, atol=1e-9)
    np.testing.assert_allclose(table.numbers("cured low"), probability, atol=1e-4)
    record = json.loads(result.stdout)
    of_the_labels = np.where(y == 1, probability, 1 - probability)
    assert record["log_loss"]["cured"] == pytest.approx(-np.log(of_the_labels).mean())
    assert record["accuracy"] == {"cured": (of_the_labels > 0.5).mean()}
    assert "rmse" not in record
    report = Path("out/report.html").read_text(encoding="utf-8")
    assert "log-loss" in report and "accuracy" in report
    assert "RMSE" not in report and "R²" not in report
    assert run("predict", "out", "yes.csv", "--out", "p.csv").exit_code == 0
    again = read_table("p.csv")
    assert list(again.columns) == ["dose", "cured", "cured_log_odds"]
    np.testing.assert_array_equal(again.numbers("cured"), table.numbers("cured"))


def test_classes_that_a_cut_tells_apart_have_a_fit_by_default():
    words = ("--tasks", "late", "--alpha", "1")
    assert run("fit", "yes.csv", *FIT, *words, "--out", "out").exit_code == 0
    network, metadata = load_network("out/model.safetensors")
    assert metadata["skip"] == "constant" and not network.A.any()
    assert run("certify", "out", "yes.csv").exit_code == 0
    assert "constant" in run("inspect", "out").stdout
    table = read_table("out/predictions.csv")
    assert ((table.numbers("late") > 0.5) == (np.arange(10) > 4)).all()


@pytest.mark.parametrize("alpha", ["auto", "1"])
def test_with_an_affine_skip_the_message_names_the_column(alpha):
    result = run("fit", "yes.csv", *FIT, "--alpha", alpha, "--skip", "affine", "--out", "out")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "column 'late'" in result.stderr and "--skip constant" in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["yes.csv"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [("0 0 2 1 0 1", "column 'y' holds 2"), ("1 1 1 1 1 1", "column 'y' is 1 in every row")],
)
def test_labels_that_are_no_two_classes(cells, words):
    Path("b.csv").write_text("x,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(cells.split())))
    result = run("fit", "b.csv", "--x", "x", "--loss", "logistic")
    assert result.exit_code == 2 and words in result.stderr


def test_a_column_called_like_the_log_odds():
    text = Path("yes.csv").read_text().replace("late", "cured_log_odds")
    Path("b.csv").write_text(text)
    result = run("fit", "b.csv", *FIT, "--alpha", "1")
    assert result.exit_code == 2 and "'cured_log_odds'" in result.stderr


def test_two_inputs():
    rows = [f"{i % 5},{i % 3},{int((i * 7) % 11 > 4)}" for i in range(15)]
    Path("b.csv").write_text("\n".join(["p,q,y", *rows]))
    words = ("--x", "p", "--x", "q", "--loss", "logistic", "--alpha", "1")
    result = run("fit", "b.csv", *words, "--out", "out")
    assert result.exit_code == 0, result.output
    assert "median accuracy" in result.stdout
    table = read_table("out/predictions.csv")
    assert list(table.columns) == ["p", "q", "y", "y_log_odds"]
    np.testing.assert_allclose(
        table.numbers("y"), 1 / (1 + np.exp(-table.numbers("y_log_odds"))), rtol=1e-12
    )
