"""Fits that several tests look at: they take seconds, so each is made once."""

import pytest
from tests.cli.commands import CURVES
from typer.testing import CliRunner

from mtrelu.cli import app

PLANE = "p,q,u,v\n" + "".join(
    f"{i % 5},{100 * (i % 3) + i},{abs(i % 5 - 2)},{i % 3 + 0.01 * i * i}\n" for i in range(15)
)


def fitted(folder, name, content, *words):
    (folder / name).write_text(content)
    command = ["fit", str(folder / name), *words, "--out", str(folder / "fitted")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder_with_a_table(tmp_path, monkeypatch):
    """A folder to work in, with a.csv."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(CURVES)


@pytest.fixture(scope="session")
def curves(tmp_path_factory):
    """A folder with curves.csv, and a model of its tasks a and b in the folder fitted."""
    folder = tmp_path_factory.mktemp("curves")
    words = ("--x", "time", "--tasks", "a,b", "--alpha", "0.1")
    return fitted(folder, "curves.csv", CURVES, *words)


@pytest.fixture(scope="session")
def plane(tmp_path_factory):
    """A folder with plane.csv, and a model of two inputs in the folder fitted."""
    words = ("--x", "p", "--x", "q", "--alpha", "0.5")
    return fitted(tmp_path_factory.mktemp("plane"), "plane.csv", PLANE, *words)
