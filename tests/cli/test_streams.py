"""Standard streams, JSON for machines, and silence."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app
from mtrelu.cli._help import EPILOGS
from mtrelu.tables import read_table

COMMAND = [sys.executable, "-c", "from mtrelu.cli import main; main()"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words, stdin=None, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, result.output
    return result


class TestStandardInput:
    def test_fit(self, curves):
        table = (curves / "curves.csv").read_text()
        run("fit", "-", "--x", "time", "--tasks", "a,b", "--alpha", "0.1", stdin=table)
        assert os.listdir() == ["mtrelu-stdin"]
        network, metadata = mtrelu.load_network("mtrelu-stdin/model.safetensors")
        expected, _ = mtrelu.load_network(curves / "fitted" / "model.safetensors")
        assert network.same_function(expected) and metadata["data"] == "-"
        assert "standard input" in Path("mtrelu-stdin/report.html").read_text(encoding="utf-8")

    def test_predict_from_pipe_to_pipe(self, curves):
        result = run("predict", curves / "fitted", "-", "--out", "-", stdin="time\n0.5\n7\n")
        network, _ = mtrelu.load_network(curves / "fitted" / "model.safetensors")
        written = np.loadtxt(io.StringIO(result.stdout), delimiter=",", skiprows=1)
        assert result.stdout.startswith("time,a,b\n") and result.stderr == ""
        np.testing.assert_array_equal(written[:, 1:], network([0.5, 7.0]))

    def test_certify(self, curves):
        run("certify", curves / "fitted", "-", stdin=(curves / "curves.csv").read_text())

    def test_regime(self, curves):
        run("regime", "-", "--x", "time", "--tasks", "a,b", "--seeds", 1, "--jobs", 1,
            stdin=(curves / "curves.csv").read_text())  # fmt: skip
        assert os.listdir() == ["mtrelu-regime-stdin"]


class TestStandardOutput:
    def test_left_out_rows_are_told_elsewhere(self, curves):
        words = ("predict", curves / "fitted", "-", "--out", "-", "--drop-missing")
        result = run(*words, stdin="time\n1\nnan\n")
        assert result.stdout.count("\n") == 2 and "rows 2" in result.stderr
        assert run(*words, "--quiet", stdin="time\n1\nnan\n").stderr == ""

    def test_names_that_need_quotes(self, tmp_path):
        (tmp_path / "a.csv").write_text('"x, y",π\n' + "".join(f"{i},{i % 3}\n" for i in range(6)))
        run("fit", "a.csv", "--x", "x, y", "--alpha", "1", "--out", "m")
        assert run("predict", "m", "a.csv", "--out", "-").stdout.startswith('"x, y",π\n')

    @pytest.mark.skipif(os.name != "posix", reason="pipes as a shell makes them")
    def test_a_reader_that_stops(self, curves):
        (Path("many.csv")).write_text("time\n" + "".join(f"{i}\n" for i in range(50_000)))
        words = ["predict", str(curves / "fitted"), "many.csv", "--out", "-"]
        with subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"time,a,b\n"
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141

    @pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
    @pytest.mark.parametrize("command", ["predict", "certify", "inspect"])
    def test_a_full_disk(self, curves, command):
        import resource

        words = [command, str(curves / "fitted")]
        words += [] if command == "inspect" else [str(curves / "curves.csv")]
        words += ["--out", "-"] if command == "predict" else []
        with open("answer", "w") as full:
            done = subprocess.run(
                [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
            )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == "mtrelu: standard output: File too large.\n"


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "parquet", "pq", "npz"])
def test_every_kind_of_table_in_and_out(curves, ending):
    network, _ = mtrelu.load_network(curves / "fitted" / "model.safetensors")
    first, again = f"first.{ending}", f"again.{ending}"
    run("predict", curves / "fitted", curves / "curves.csv", "--out", first)
    run("predict", curves / "fitted", first, "--out", again)
    table = read_table(again)
    assert list(table.columns) == ["time", "a", "b"]
    got = np.column_stack([table.numbers("a"), table.numbers("b")])
    np.testing.assert_array_equal(got, network(np.arange(10.0)))
    assert sorted(os.listdir()) == sorted([first, again])


class TestJson:
    """What --json prints is what the help says, and it is all that is printed."""

    def document(self, *words, code=0, stdin=None):
        result = run(*words, "--json", code=code, stdin=stdin)
        assert result.stderr == ""
        record = json.loads(result.stdout, parse_constant=pytest.fail)
        assert record.pop("mtrelu") == mtrelu.__version__ and record.pop("command") == words[0]
        promised = EPILOGS[words[0]].partition("--json prints")[2]
        for key in record:
            assert re.search(rf"\b{key}\b", promised), key
        return record

    def test_fit(self, curves):
        words = ("fit", curves / "curves.csv", "--x", "time", "--tasks", "a,b", "--out", "m")
        record = self.document(*words)
        network, metadata = mtrelu.load_network("m/model.safetensors")
        assert record["files"] == sorted(os.listdir("m")) and record["out"] == "m"
        assert record["knots"] == network.knots().tolist()
        assert record["certificate"] == metadata["certificate"]
        assert record["certificate"]["status"] == "certified" and record["verdict"] == "unique"
        assert record["alpha"] == metadata["alpha"] and record["alpha_chosen"] is True
        table = read_table(curves / "curves.csv")
        for t, name in enumerate("ab"):
            misses = table.numbers(name) - network(np.arange(10.0))[:, t]
            assert record["rmse"][name] == pytest.approx(np.sqrt(np.mean(misses**2)))

    def test_predict(self, curves):
        record = self.document(
            "predict", curves / "fitted", "-", "--out", "p.csv", "--drop-missing",
            stdin="time\n1\nnan\n2\n",
        )  # fmt: skip
        assert record == {
            "out": "p.csv", "rows": 2, "columns": ["time", "a", "b"], "rows_left_out": ["2"],
        }  # fmt: skip

    def test_certify(self, curves):
        record = self.document("certify", curves / "fitted", curves / "curves.csv")
        assert record["certified"] is True
        other = "time,a,b\n" + "".join(f"{i},{i % 2},{i % 3}\n" for i in range(6))
        record = self.document("certify", curves / "fitted", "-", stdin=other, code=1)
        assert record["certified"] is False
        assert record["certificate"]["status"] == "not optimal"

    def test_inspect_and_export(self, curves):
        self.document("inspect", curves / "fitted")
        self.document("export", curves / "fitted", "--to", "npz")

    def test_regime(self):
        words = ("gaussian-1d", "--n-tasks", "1,2", "--seeds", 1, "--jobs", 1, "--out", "m")
        record = self.document("regime", *words)
        kept = json.loads(Path("m/measurements.json").read_text())
        assert record["cells"] == kept["cells"] and record["command_line"] == kept["command"]

    def test_reproduce(self):
        record = self.document("reproduce", "fig6", "--seeds", 1, "--out", "m")
        (figure,) = record["figures"]
        assert figure["name"] == "fig6"
        assert {claim["verdict"] for claim in figure["claims"]} == {"holds"}

    def test_bad_input_prints_no_json(self, curves):
        result = run("certify", curves / "fitted", "nowhere.csv", "--json", code=2)
        assert result.stdout == "" and result.stderr.count("\n") == 1

    def test_two_things_on_standard_output(self, curves):
        words = ("predict", curves / "fitted", "-", "--out", "-", "--json")
        assert "--json" in run(*words, stdin="time\n1\n", code=2).stderr


def test_quiet(curves):
    table = curves / "curves.csv"
    for words in (
        ("fit", table, "--x", "time", "--tasks", "a", "--alpha", "1", "--out", "m"),
        ("predict", curves / "fitted", table, "--out", "p.csv"),
        ("certify", curves / "fitted", table),
        ("regime", "gaussian-1d", "--n-tasks", "1", "--seeds", 1, "--jobs", 1, "--out", "r"),
        ("reproduce", "fig6", "--seeds", 1, "--out", "f"),
    ):
        result = run(*words, "--quiet")
        assert result.stdout == "" and result.stderr == ""
    result = run("certify", curves / "fitted", "nowhere.csv", "--quiet", code=2)
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of its own")
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_on_a_terminal_and_never_in_the_answer(curves, quiet):
    import pty

    controller, terminal = pty.openpty()
    words = ["fit", str(curves / "curves.csv"), "--x", "time", "--tasks", "a,b", "--out", "m"]
    process = subprocess.Popen(
        [*COMMAND, *words, "--json", *(["--quiet"] if quiet else [])],
        stdout=subprocess.PIPE, stderr=terminal, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(controller)
    answer = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert json.loads(answer)["verdict"] == "unique"
    assert (shown == b"") if quiet else (b"choosing alpha" in shown)
