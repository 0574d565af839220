"""Ctrl-C as a terminal sends it, and disks that take no more: nothing half is left."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mtrelu.cli import app
from mtrelu.tables import write_table

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")
COMMAND = [sys.executable, "-c", "from mtrelu.cli import main; main()"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files(folder="."):
    return sorted(os.listdir(folder))


def interrupt(words, begun, after=0.0, by=signal.SIGINT):
    """Start a command, send a signal once `begun()`, and return what became of it."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not begun() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after)
    os.killpg(process.pid, by)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("after", [0.0, 0.5])
@pytest.mark.parametrize(
    ("by", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_fit(after, by, code, word):
    rng = np.random.default_rng(0)
    columns = {f"y{t}": rng.standard_normal(600).cumsum() for t in range(20)}
    write_table("big.csv", {"x": np.arange(600.0)} | columns)
    result = interrupt(
        ["fit", "big.csv", "--x", "x", "--out", "out"],
        lambda: any(name.startswith(".out.part-") for name in files()), after, by,
    )  # fmt: skip
    assert result == (code, "", f"mtrelu: {word}; nothing was written.\n")
    assert files() == ["big.csv"]


def test_while_standard_input_is_awaited(curves):
    process = subprocess.Popen(
        [*COMMAND, "certify", str(curves / "fitted"), "-"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    with process:
        time.sleep(3.0)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.read() == b"mtrelu: interrupted; nothing was written.\n"
    assert process.returncode == 130


def limited(words, size):
    """Run a command that may write no file beyond `size` bytes, as on a disk that is full."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, preexec_fn=limit
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npz"])
def test_predict_on_a_full_disk(curves, ending):
    write_table("big.npz", {"time": np.linspace(0, 9, 5000)})
    Path(f"p.{ending}").write_text("mine")
    done = limited(
        ["predict", curves / "fitted", "big.npz", "--out", f"p.{ending}", "--force"], 10_000
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("mtrelu: ") and done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert files() == sorted(["big.npz", f"p.{ending}"])
    assert Path(f"p.{ending}").read_text() == "mine"


def test_fit_on_a_full_disk(curves):
    words = ["fit", curves / "curves.csv", "--x", "time", "--tasks", "a", "--alpha", "1"]
    done = limited([*words, "--out", "out"], 10_000)  # the pictures are larger
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "nothing was written" in done.stderr and files() == []


def test_export_on_a_full_disk(curves):
    done = limited(["export", curves / "fitted", "--to", "npz"], 500)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and files() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(curves):
    os.mkdir("locked", mode=0o555)
    for words in (
        ["predict", curves / "fitted", curves / "curves.csv", "--out", "locked/p.csv"],
        ["export", curves / "fitted", "--to", "csv", "--out", "locked/c.csv"],
        ["fit", curves / "curves.csv", "--x", "time", "--tasks", "a", "--out", "locked/out"],
    ):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 2 and "locked" in result.stderr and files("locked") == []
        assert result.stderr.count("\n") == 1


def test_what_is_no_file_is_never_replaced(curves):
    os.mkfifo("pipe.csv")  # stands for devices such as /dev/null, which must not be put at risk
    for words in (
        ["predict", curves / "fitted", curves / "curves.csv", "--out", "pipe.csv", "--force"],
        ["export", curves / "fitted", "--to", "csv", "--out", "pipe.csv", "--force"],
        ["fit", curves / "curves.csv", "--x", "time", "--tasks", "a", "--out", "pipe.csv",
         "--alpha", "1", "--force"],
    ):  # fmt: skip
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 2 and "never replaced" in result.stderr
    assert stat.S_ISFIFO(os.stat("pipe.csv").st_mode) and files() == ["pipe.csv"]


def test_links_are_followed(curves):
    os.mkdir("there")
    os.symlink("there/p.csv", "link.csv")
    words = ["predict", curves / "fitted", curves / "curves.csv", "--out", "link.csv"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    assert os.path.islink("link.csv") and files("there") == ["p.csv"]
