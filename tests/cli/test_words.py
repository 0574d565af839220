"""What the commands say: nothing that contradicts itself, and nothing a user does not know."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mtrelu.cli import app
from mtrelu.cli._compiled import VARIABLE, keep_compiled_code
from mtrelu.tables import read_table

ROWS = "x,y\n" + "".join(f"{i},{abs(i - 4) + 0.1 * (i % 3)}\n" for i in range(9))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(ROWS)


def run(*words, **options):
    return CliRunner().invoke(app, [str(word) for word in words], **options)


def fit(*words, data="a.csv", out="out", **options):
    result = run("fit", data, "--x", "x", "--out", out, *words, **options)
    assert result.exit_code == 0, result.output
    return result


def report(out="out"):
    return Path(out, "report.html").read_text(encoding="utf-8")


def test_an_undecided_range_is_left_empty():
    result = fit("--loss", "quantile", "--alpha", "0.3")
    assert "undecided" in result.stdout and "two optima differ" not in result.stdout
    table = read_table("out/predictions.csv")
    lines = Path("out/predictions.csv").read_text().splitlines()
    assert lines[0] == "x,y,y low,y high" and all(line.endswith(",,") for line in lines[1:])
    assert np.isfinite(table.numbers("y")).all()
    assert "are empty" in report() and report().count("That cannot be decided here.") == 1


def test_a_fit_that_is_exact_up_to_rounding():
    Path("line.csv").write_text("x,y\n" + "".join(f"{i},{0.1 * i + 0.3}\n" for i in range(9)))
    result = fit("--alpha", "1", data="line.csv")
    shown = result.stdout + report() + run("certify", "out", "line.csv").stdout
    shown += run("inspect", "out").stdout
    assert "exact up to rounding" in shown and "nothing can be gained" in shown
    assert "could still be gained" not in shown


def test_names_with_dollars_and_backslashes():
    names = ["$x^{", "a$b$\\frac", "c_$\\"]
    rows = [f"{i},{i % 3},{i % 4}" for i in range(9)]
    Path("b.csv").write_text("\n".join([",".join(names), *rows]))
    result = run("fit", "b.csv", "--x", names[0], "--alpha", "0.1", "--out", "out")
    assert result.exit_code == 0, result.output
    words = ("--x", names[0], "--x", names[1], "--alpha", "1", "--out", "out2")
    assert run("fit", "b.csv", *words).exit_code == 0


def test_inspect_repeats_the_options_of_the_fit():
    Path("b.csv").write_text("x;y;z\n" + "".join(f"{i};{i % 3},5;{'' if i == 2 else i}\n"
                                                 for i in range(9)))  # fmt: skip
    options = ("--missing-labels", "--decimal", ",")
    fit(*options, "--alpha", "0.1", data="b.csv")
    shown = run("inspect", "out").stdout
    assert "mtrelu certify out/model.safetensors b.csv --missing-labels --decimal ," in shown
    assert run("certify", "out", "b.csv", *options).exit_code == 0


def test_certify_says_that_the_data_differ():
    fit("--alpha", "0.1")
    Path("fewer.csv").write_text("".join(ROWS.splitlines(keepends=True)[:-2]))
    Path("other.csv").write_text(ROWS.replace("8,", "8,7"))
    for data, words in (("fewer.csv", "7 samples"), ("other.csv", "scored")):
        result = run("certify", "out", data)
        assert result.exit_code == 1
        assert "differ from those of the fit" in result.stdout and words in result.stdout
        assert "float64" not in result.stdout
    assert "differ" not in run("certify", "out", "a.csv").stdout


@pytest.mark.parametrize("kind", ["onnx", "torch", "csv", "npz"])
def test_an_export_is_no_model(kind, curves):
    pytest.importorskip({"onnx": "onnx", "torch": "torch"}.get(kind, "numpy"))
    ending = {"torch": "safetensors"}.get(kind, kind)
    words = ("--to", kind, "--out", f"e.{ending}")
    assert run("export", curves / "fitted", *words).exit_code == 0
    for command in (["inspect"], ["certify"], ["predict", "--out", "p.csv"]):
        data = [] if command == ["inspect"] else ["a.csv"]
        result = run(command[0], f"e.{ending}", *data, *command[1:])
        assert result.exit_code == 2 and "export" in result.stderr
        assert result.stderr.count("\n") == 1 and "damaged" not in result.stderr


def test_a_report_on_standard_input_says_so():
    fit("--alpha", "0.1", data="-", input=ROWS)
    assert "# the table that came from standard input" in report()


def test_rows_are_counted_alike_everywhere():
    Path("b.csv").write_text("x,y,z\n0,1,2\n1,,\n2,0,1\n3,1,\n4,2,2\n5,1,3\n")
    record = json.loads(fit("--missing-labels", "--alpha", "0.1", "--json", data="b.csv").stdout)
    assert (record["n_samples"], record["unknown_labels"], record["rows_without_label"]) == (
        6,
        3,
        1,
    )
    assert "6 values of" in report() and "3 of 12 labels are unknown" in report()
    assert "Rows in which no task has a label: 1" in report()


def test_contradictions_name_data_rows():
    Path("b.csv").write_text("x,y\n1,\n1,2\n2,3\n1,5\n")
    result = run("fit", "b.csv", "--x", "x", "--alpha", "0", "--drop-missing")
    assert result.exit_code == 2 and "data rows 2 and 4" in result.stderr


def test_rule():
    rng = np.random.default_rng(0)
    lines = [f"{i},{abs(i - 15) / 10 + 0.5 * rng.standard_normal()}" for i in range(30)]
    Path("b.csv").write_text("\n".join(["x,y", *lines]))
    chosen = {}
    for rule in ("min", "one_percent", "one_se"):
        shown = fit("--rule", rule, "--json", "--force", data="b.csv").stdout
        chosen[rule] = json.loads(shown)["alpha"]
        assert ("--rule" in report()) == (rule != "one_percent")
    assert chosen["min"] <= chosen["one_percent"] < chosen["one_se"]
    for option in ("--rule", "--skip", "--decimal"):
        result = run("fit", "b.csv", "--x", "x", option, "other")
        assert result.exit_code == 2 and f"{option} is 'other'" in result.stderr


def test_an_error_names_the_folder_that_was_asked_for(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    result = run("fit", "a.csv", "--x", "x", "--alpha", "1", "--out", "here/../out")
    assert result.exit_code == 2 and ".part" not in result.stderr
    assert "here/../out" in result.stderr or "out: Permission" in result.stderr


class TestCompiledCode:
    @pytest.fixture
    def registered(self, monkeypatch, tmp_path):
        calls = []
        monkeypatch.setattr("atexit.register", lambda *call, **options: calls.append(call))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no" / "such"))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.delenv(VARIABLE, raising=False)
        return calls

    def test_where_nothing_can_be_written(self, registered, monkeypatch, capsys):
        monkeypatch.setattr("mtrelu.cli._compiled._can_be_written", lambda folder: False)
        monkeypatch.setenv(VARIABLE, "")
        keep_compiled_code()
        (call,) = registered
        assert os.environ[VARIABLE] == call[1] and os.path.isdir(call[1])
        assert VARIABLE in capsys.readouterr().err

    def test_where_the_home_can_be(self, registered, monkeypatch):
        keep_compiled_code()
        assert VARIABLE not in os.environ and registered == []
