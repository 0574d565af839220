from pathlib import Path

import pytest
from tests.cli.commands import fit, run

import mtrelu

pytestmark = pytest.mark.usefixtures("folder_with_a_table")
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
