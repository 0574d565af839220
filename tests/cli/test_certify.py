import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import app

CURVES = "time,a,b,name\n" + "".join(
    f"{i},{abs(i - 4) + 0.1 * (i % 3)},{2 * abs(i - 4) - 0.2 * (i % 2)},n{i}\n" for i in range(10)
)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(CURVES)
    return tmp_path


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


OK = ("--x", "time", "--tasks", "a", "--alpha", "1")


class TestCertify:
    def test_the_data_of_the_fit(self):
        fit(*OK)
        result = run("certify", "out", "a.csv")
        assert result.exit_code == 0
        assert "proved" in result.stdout

    def test_shipped_data(self):
        fit("--alpha", "2", data="el-nino")
        assert run("certify", "out", "el-nino").exit_code == 0

    def test_other_data(self):
        fit(*OK)
        Path("b.csv").write_text("time,a\n0,1\n1,5\n2,-3\n3,1\n")
        result = run("certify", "out", "b.csv")
        assert result.exit_code == 1

    def test_a_network_without_its_story(self):
        from mtrelu.io import save_network

        network = mtrelu.solve([0.0, 1, 2], [0.0, 1, 0], 0).network
        save_network("plain.safetensors", network, {})
        result = run("certify", "plain.safetensors", "a.csv")
        assert result.exit_code == 2 and "not what it was fitted to" in result.stderr
