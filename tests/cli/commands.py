"""What the tests of the commands share: a small table, and running the command line on it."""

import os
from pathlib import Path

from typer.testing import CliRunner

from mtrelu.cli import app

CURVES = "time,a,b,name\n" + "".join(
    f"{i},{abs(i - 4) + 0.1 * (i % 3)},{2 * abs(i - 4) - 0.2 * (i % 2)},n{i}\n" for i in range(10)
)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def fit(*words, data="a.csv", out="out"):
    result = run("fit", data, "--out", out, *words)
    assert result.exit_code == 0, result.output
    return result


def files(folder="."):
    return sorted(path.name for path in os.scandir(folder))


def text(path):
    return Path(path).read_text(encoding="utf-8")
