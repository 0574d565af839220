import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mtrelu.cli import app
from mtrelu.datasets import load_el_nino
from mtrelu.regime.designs import DESIGNS
from mtrelu.regime.sweep import Plan, run_sweep
from mtrelu.tables import read_table

WRITTEN = ["measurements.json", "regime.png", "report.html", "table.csv"]
SMALL = ("gaussian-1d", "--n-tasks", "1,2,8", "--seeds", "2", "--jobs", "1", "--out", "out")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{i % 3},{i % 4},{(7 * i) % 5},n{i}" for i in range(9)]
    (tmp_path / "a.csv").write_text("\n".join(["time,a,b,c,name", *rows]))
    (tmp_path / "holes.csv").write_text("\n".join(["time,a,b", *(r[:5] for r in rows), "9,,1"]))


@pytest.fixture(autouse=True)
def a_small_picture(monkeypatch):
    """The picture has tests of its own, and takes a second."""
    monkeypatch.setattr("mtrelu.report.regime.RegimeReport.figure", b"picture")


def run(*words):
    return CliRunner().invoke(app, ["regime", *(str(word) for word in words)])


def good(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def files(folder="."):
    return sorted(path.name for path in os.scandir(folder))


def record(folder="out"):
    return json.loads((Path(folder) / "measurements.json").read_text(encoding="utf-8"))


class TestDesigns:
    def test_everything_is_written_and_nothing_else(self):
        result = good(*SMALL)
        assert files("out") == WRITTEN and files() == ["a.csv", "holes.csv", "out"]
        assert "out/report.html" in result.stdout and "White labels" in result.stdout
        assert "2/2" in result.stdout and result.stderr == ""
        assert "rate" not in result.stdout and "?" not in result.stdout
        assert Path("out/regime.png").read_bytes() == b"picture"

    def test_rates_and_what_two_solutions_explain_are_shown(self, monkeypatch):
        monkeypatch.setattr("mtrelu.regime.sweep.Sweep.unresolved", lambda self: [8])
        shown = good("gaussian-1d", "--n-tasks", "2,4,8,16", "--seeds", "1", "--jobs", "1").stdout
        assert "T^-" in shown and shown.count("?") == 2 and "two solutions" in shown

    def test_numbers_are_those_of_the_library(self):
        good(*SMALL)
        plan = Plan.make(DESIGNS["gaussian-1d"], n_tasks=[1, 2, 8], n_seeds=2)
        sweep = run_sweep(plan)
        cells = record()["cells"]
        for cell, expected in zip(cells, sweep.measurements, strict=True):
            plain = expected.to_dict()
            assert cell.pop("seconds") > 0 and plain.pop("seconds") > 0
            assert cell == plain
        table = read_table("out/table.csv")
        assert table.numbers("n_tasks").tolist() == [1, 2, 8]
        medians = table.columns["excess"].to_pylist()
        assert medians[0] == ""
        assert [float(m) for m in medians[1:]] == sweep.median("excess")[1:].tolist()
        assert record()["rates"]["excess"]["exponent"] is None  # two numbers of tasks are too few

    def test_the_command_in_the_report_measures_the_same(self):
        good(*SMALL, "--alpha", "0.5", "--skip", "constant")
        words = record()["command"].split()
        assert words[:2] == ["mtrelu", "regime"]
        good(*words[2:], "--out", "again", "--jobs", 1)
        first, again = record()["cells"], record("again")["cells"]
        assert [c["alpha"] for c in first] == [0.5] * 6
        for one, other in zip(first, again, strict=True):
            assert one | {"seconds": 0} == other | {"seconds": 0}

    def test_a_penalty_that_grows(self):
        good(*SMALL, "--weight-decay", "1e-3")
        assert [cell["alpha"] for cell in record()["cells"][::2]] == pytest.approx(
            [0.01, 0.02, 0.08]
        )
        assert "α grows with T" in good(*SMALL, "--weight-decay", "1e-3", "--force").stdout
        assert "--weight-decay 0.001" in record()["command"]

    def test_default_folder_and_processes(self):
        good("gaussian-1d", "--n-tasks", "2", "--seeds", "1")
        assert files("mtrelu-regime-gaussian-1d") == WRITTEN


class TestTables:
    def test_the_tasks_of_a_table(self):
        good("a.csv", "--x", "time", "--tasks", "a,b,c", "--seeds", "2", "--jobs", "1",
             "--out", "out")  # fmt: skip
        cells = record()["cells"]
        assert [cell["n_tasks"] for cell in cells] == [1, 1, 2, 2, 3, 3]
        assert {cell["alpha"] for cell in cells} == {0.09}
        assert "--x time --tasks a,b,c" in record()["command"]
        assert "standard deviation" in record()["description"]

    def test_shipped_data_with_tasks_on_one_scale(self):
        good("el-nino", "--n-tasks", "1,61", "--seeds", "1", "--jobs", "1", "--out", "out")
        data = load_el_nino()
        Y = data.Y / data.Y.std(axis=0)
        order = np.random.default_rng(0).permutation(61)
        from mtrelu.regime.measurement import measure

        expected = measure(data.X, np.ascontiguousarray(Y[:, order]), 0.12, "affine", 0)
        assert record()["cells"][1]["output_difference"] == expected.output_difference

    def test_unknown_values(self):
        words = ("holes.csv", "--x", "time", "--n-tasks", "2", "--seeds", "1", "--out", "out")
        result = run(*words)
        assert result.exit_code == 2 and "--drop-missing" in result.stderr
        result = good(*words, "--drop-missing", "--jobs", "1")
        assert "1 rows" in result.stdout


BAD = {
    "unknown design": (("three-squares",), "no design"),
    "missing file": (("nowhere.csv", "--x", "x"), "does not exist"),
    "columns of a design": (("two-squares", "--x", "time"), "design with data of its own"),
    "no --x": (("a.csv",), "--x is missing"),
    "both penalties": ((*SMALL, "--alpha", "1", "--weight-decay", "1"), "one of them"),
    "alpha 0": ((*SMALL, "--alpha", "0"), "positive"),
    "alpha negative": ((*SMALL, "--alpha", "-1"), "negative"),
    "words for numbers": ((*SMALL, "--n-tasks", "1,two"), "--n-tasks"),
    "no tasks": ((*SMALL, "--n-tasks", "0,2"), "from 1"),
    "too many tasks": (("a.csv", "--x", "time", "--tasks", "a,b", "--n-tasks", "3"), "up to 2"),
    "no seeds": ((*SMALL, "--seeds", "0"), "seed"),
    "no processes": ((*SMALL, "--jobs", "0"), "n_jobs"),
    "unknown skip": ((*SMALL, "--skip", "linear"), "skip"),
    "no such parent": ((*SMALL, "--out", "no/such"), "is not a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case):
    words, message = BAD[case]
    result = run(*words)
    assert result.exit_code == 2 and result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert files() == ["a.csv", "holes.csv"]


class TestFolders:
    def test_an_earlier_run_needs_force(self):
        good(*SMALL)
        before = record()
        result = run(*SMALL)
        assert result.exit_code == 2 and "--force" in result.stderr
        assert record() == before
        good(*SMALL, "--alpha", "0.5", "--force")
        assert record() != before

    @pytest.mark.parametrize("name", ["notes.txt", "report.html"])
    def test_other_things_are_never_replaced(self, tmp_path, name):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).write_text("mine")
        result = run(*SMALL, "--force")
        assert result.exit_code == 2 and "never replaced" in result.stderr
        assert (tmp_path / "out" / name).read_text() == "mine"

    def test_a_fit_is_not_replaced(self, tmp_path):
        fitted = CliRunner().invoke(
            app, ["fit", "a.csv", "--x", "time", "--tasks", "a", "--alpha", "1", "--out", "out"]
        )
        assert fitted.exit_code == 0
        result = run(*SMALL, "--force")
        assert result.exit_code == 2 and "never replaced" in result.stderr


class TestInterruption:
    UNFINISHED = "out.unfinished.jsonl"

    def interrupted(self, monkeypatch, after, error=None):
        from mtrelu.regime import sweep

        measure, calls = sweep._cell, []

        def stops(*cell):
            calls.append(cell)
            if len(calls) > after:
                raise error or KeyboardInterrupt
            return measure(*cell)

        with monkeypatch.context() as patch:
            patch.setattr(sweep, "_cell", stops)
            return run(*SMALL)

    @pytest.mark.parametrize("compiled", [False, True])
    def test_the_same_command_goes_on(self, monkeypatch, compiled):
        error = SystemError("returned a result with an exception set") if compiled else None
        if compiled:  # what numba makes of Ctrl-C
            error.__cause__ = KeyboardInterrupt()
        result = self.interrupted(monkeypatch, 4, error)
        assert result.exit_code == 130 and result.stderr.count("\n") == 1
        assert self.UNFINISHED in result.stderr and "goes on from there" in result.stderr
        assert files() == ["a.csv", "holes.csv", self.UNFINISHED]
        good(*SMALL)
        assert files() == ["a.csv", "holes.csv", "out"]
        cells = [cell | {"seconds": 0} for cell in record()["cells"]]
        good(*SMALL, "--force")
        assert cells == [cell | {"seconds": 0} for cell in record()["cells"]]

    def test_before_anything_was_measured(self, monkeypatch):
        result = self.interrupted(monkeypatch, 0)
        assert result.exit_code == 130
        assert result.stderr == "mtrelu: interrupted; nothing was written.\n"
        assert files() == ["a.csv", "holes.csv"]

    def test_another_command_does_not_take_the_cells(self, monkeypatch):
        self.interrupted(monkeypatch, 4)
        kept = Path(self.UNFINISHED).read_text()
        result = run(*SMALL, "--alpha", "0.5")
        assert result.exit_code == 2 and "another run" in result.stderr
        assert result.stderr.count("\n") == 1 and Path(self.UNFINISHED).read_text() == kept
        assert "out" not in files()

    def test_a_failure_while_writing_keeps_the_cells(self, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(28, "No space left on device", "out/table.csv")

        with monkeypatch.context() as patch:
            patch.setattr("mtrelu.tables.write_table", full)
            result = run(*SMALL)
        assert result.exit_code == 2 and "No space left" in result.stderr
        assert files() == ["a.csv", "holes.csv", self.UNFINISHED]

    @pytest.mark.skipif(os.name != "posix", reason="sends a signal as a terminal does")
    def test_a_real_ctrl_c_with_several_processes(self):
        words = ["regime", "gaussian-1d", "--n-tasks", "2", "--seeds", "2000", "--jobs", "2"]
        code = "from mtrelu.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words, "--out", "out"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not Path(self.UNFINISHED).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130 and out == ""
        assert re.fullmatch(r"mtrelu: interrupted; .*goes on from there\.\n", err)
        assert files() == ["a.csv", "holes.csv", self.UNFINISHED]


def test_help_loads_nothing_heavy():
    heavy = (
        "{'numpy', 'scipy', 'numba', 'sklearn', 'matplotlib', 'pyarrow', 'joblib', 'rich.table'}"
    )
    code = (
        "import sys\nfrom mtrelu.cli import main\nsys.argv = ['mtrelu', 'regime', '--version']\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
    assert "--weight-decay" in re.sub(r"\x1b\[[\d;]*m", "", run("--help").output)
