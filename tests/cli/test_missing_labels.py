import json
import os
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from typer.testing import CliRunner

from mtrelu.cli import app
from mtrelu.tables import read_table

NAN = np.nan
X = np.array([0.0, 1, 2, 3, 5, 6, 7, 8, 9])
Y = np.array([[4, 8], [3.1, NAN], [2.2, 4], [NAN, 1.8], [0, 0], [1.1, 1.8], [2.2, 4], [3, NAN],
              [NAN, NAN]])  # fmt: skip


def cell(value):
    return "" if np.isnan(value) else repr(float(value))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [",".join(map(cell, [x, *y])) for x, y in zip(X, Y, strict=True)]
    Path("a.csv").write_text("\n".join(["x,u,v", *rows]))


def run(*words, code=0):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result


def least_objective(x, labels, alpha):
    """Group trend filtering over the known labels, by a conic solver."""
    values = cp.Variable(labels.shape)
    slopes = cp.multiply(cp.diff(values, axis=0), 1 / np.diff(x)[:, None])
    known = ~np.isnan(labels)
    misses = cp.multiply(known, values - np.where(known, labels, 0))
    penalty = cp.sum(cp.norm(cp.diff(slopes, axis=0), axis=1))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(misses) / 2 + alpha * penalty))
    return problem.solve(solver=cp.CLARABEL)


def test_each_task_is_fitted_to_its_own_rows():
    words = ("fit", "a.csv", "--x", "x", "--alpha", "0.1", "--missing-labels", "--out", "m")
    record = json.loads(run(*words, "--json").stdout)
    expected = least_objective(X[:-1], Y[:-1], 0.1)
    assert record["certificate"]["primal"] == pytest.approx(expected, rel=1e-5)
    assert record["certificate"]["status"] == "certified"
    assert record["unknown_labels"] == 5 and record["rows_left_out"] == []
    written = read_table("m/predictions.csv")
    assert written.numbers("x").tolist() == X.tolist()  # every row, also those without labels
    for t, name in enumerate("uv"):
        misses = Y[:, t] - written.numbers(name)
        rmse = np.sqrt(np.nanmean(misses**2))
        assert record["rmse"][name] == pytest.approx(rmse, rel=1e-9)
    report = Path("m/report.html").read_text(encoding="utf-8")
    assert "--missing-labels" in report and "labels are unknown" in report


def test_it_is_shown():
    words = ("fit", "a.csv", "--x", "x", "--alpha", "0.1", "--missing-labels", "--out", "m")
    assert "5 of 18" in run(*words).stdout


def test_certify_with_the_same_labels():
    run("fit", "a.csv", "--x", "x", "--alpha", "0.1", "--missing-labels", "--out", "m")
    assert "proved" in run("certify", "m", "a.csv", "--missing-labels").stdout
    assert "--missing-labels" in run("certify", "m", "a.csv", code=2).stderr
    # On other rows it is optimal for nothing.
    assert run("certify", "m", "a.csv", "--drop-missing", code=1).stdout


def test_alpha_chosen_and_tasks_standardized():
    words = ("fit", "a.csv", "--x", "x", "--missing-labels", "--standardize", "--out", "m")
    record = json.loads(run(*words, "--json").stdout)
    spread = np.nanstd(Y, axis=0)
    expected = least_objective(X[:-1], Y[:-1] / spread, record["alpha"])
    assert record["alpha_chosen"] is True
    assert record["certificate"]["primal"] == pytest.approx(expected, rel=1e-4)
    run("certify", "m", "a.csv", "--missing-labels")


def test_two_inputs_and_unknown_inputs_left_out():
    rows = [f"{i % 4},{i // 4},{abs(i % 4 - 1.5)},{i % 5 if i % 3 else ''}" for i in range(16)]
    Path("b.csv").write_text("\n".join(["p,q,u,v", *rows, ",3,1,1"]))
    words = ("fit", "b.csv", "--x", "p", "--x", "q", "--alpha", "1", "--missing-labels")
    assert "column 'p'" in run(*words, "--out", "m", code=2).stderr
    result = run(*words, "--drop-missing", "--out", "m")
    assert "rows left out" in result.stdout and "6 of 32" in result.stdout
    assert run("certify", "m", "b.csv", "--missing-labels", "--drop-missing").exit_code == 0


BAD = {
    "a task without labels": (
        "x,u,v\n0,1,\n1,2,\n2,3,\n",
        ("--alpha", "1"),
        "column 'v' of a.csv has no known label",
    ),
    "no labels at all": ("x,u\n0,\n1,\n2,\n", ("--alpha", "1"), ""),
    "interpolation": (None, ("--alpha", "0"), "alpha"),
    "an infinite label": ("x,u\n0,1\n1,inf\n2,3\n", ("--alpha", "1"), "infinite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case):
    content, words, message = BAD[case]
    if content is not None:
        Path("a.csv").write_text(content)
    result = run("fit", "a.csv", "--x", "x", *words, "--missing-labels", code=2)
    assert result.stdout == "" and message in result.stderr
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert os.listdir() == ["a.csv"]
