import builtins
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtrelu.cli import app
from mtrelu.paper import fig6
from mtrelu.paper.figure import NAMES


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(app, ["reproduce", *(str(word) for word in words)])


def files(folder="."):
    return sorted(path.name for path in os.scandir(folder))


def test_a_figure_is_made_and_judged():
    result = run("fig6", "--seeds", 1, "--out", "out")
    assert result.exit_code == 0, result.output
    assert files("out") == ["fig6.json", "fig6.png", "report.html", "run.json"]
    assert "out/report.html" in result.stdout and result.stderr == ""
    assert result.stdout.count("holds") == len(fig6.CLAIMS)
    record = json.loads(Path("out/fig6.json").read_text())
    assert record["settings"] == fig6.FIGURE.quick and record["seeds"] == 1
    for claim in record["claims"]:
        assert claim["verdict"] == "holds", claim


def test_the_same_command_goes_on(monkeypatch):
    assert run("fig6", "--seeds", 1).exit_code == 0
    assert files() == ["mtrelu-paper"]

    def again(*args):
        raise AssertionError("measured again")

    monkeypatch.setattr(fig6, "_one", again)
    assert run("fig6", "--seeds", 1).exit_code == 0


def test_an_interruption_says_how_to_go_on(monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(fig6, "_one", stop)
    result = run("fig3", "fig6", "--seeds", 1)
    assert result.exit_code == 130
    assert "goes on from there" in result.stderr and "mtrelu-paper" in result.stderr
    assert files("mtrelu-paper") == ["fig3.json", "fig3.png", "report.html", "run.json"]


def bad(*words):
    before = files()
    result = run(*words)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert files() == before
    return result.stderr


def test_unknown_figures_are_answered_with_the_list():
    message = bad("fig1", "fig99")
    assert "fig99" in message and all(name in message for name in NAMES)


@pytest.mark.parametrize("seeds", [0, -3])
def test_no_seeds(seeds):
    assert "seeds" in bad("fig6", "--seeds", seeds)


def test_a_folder_with_another_run_in_it():
    assert run("fig6", "--seeds", 1, "--out", "out").exit_code == 0
    before = Path("out/fig6.json").read_bytes()
    assert "another run" in bad("fig6", "--seeds", 2, "--out", "out")
    assert "another run" in bad("fig6", "--seeds", 1, "--full", "--out", "out")
    assert Path("out/fig6.json").read_bytes() == before


def test_a_folder_with_other_things():
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("do not touch")
    assert "never replaced" in bad("fig6", "--out", "mine")
    assert files("mine") == ["notes.txt"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("mtrelu.paper.run.find_spec", lambda name: None)
    assert 'pip install "mtrelu[reproduce]"' in bad("fig6")


def test_figures_are_loaded_only_when_they_are_made(monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        assert not name.startswith("matplotlib")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("--help")
    assert result.exit_code == 0 and "--full" in result.output
