from pathlib import Path

import numpy as np
import pytest
from tests.cli.commands import CURVES, files, fit, run, text

from mtrelu.io import load_network
from mtrelu.tables import read_table

pytestmark = pytest.mark.usefixtures("folder_with_a_table")
OK = ("--x", "time", "--tasks", "a", "--alpha", "1")


class TestPredict:
    def test_at_new_inputs(self):
        fit(*OK)
        Path("new.csv").write_text("when,other\n-3,x\n4.5,y\n100,z\n")
        result = run("predict", "out", "new.csv", "--x", "when", "--out", "p.csv")
        assert result.exit_code == 0 and "3 rows" in result.stdout
        written = read_table("p.csv")
        assert list(written.columns) == ["time", "a"]
        network, _ = load_network("out/model.safetensors")
        assert np.array_equal(written.numbers("a"), network([-3.0, 4.5, 100.0])[:, 0])

    def test_model_file_or_folder(self):
        fit(*OK)
        for i, model in enumerate(("out", "out/model.safetensors")):
            assert run("predict", model, "a.csv", "--out", f"p{i}.csv").exit_code == 0
        assert text("p0.csv") == text("p1.csv")

    def test_bad_input(self):
        fit(*OK)
        Path("other.safetensors").write_text("not a model")
        for words, message in (
            (("out", "a.csv", "--x", "when", "--out", "p.csv"), "'when' is not in"),
            (("nowhere", "a.csv", "--out", "p.csv"), "nowhere does not exist"),
            (("other.safetensors", "a.csv", "--out", "p.csv"), "other.safetensors"),
            (("out", "a.csv", "--out", "a.csv"), "exists already"),
            (("out", "a.csv", "--out", "out"), "is no file"),
            (("out", "a.csv", "--out", "no/p.csv"), "is not a folder"),
        ):
            result = run("predict", *words)
            assert result.exit_code == 2, words
            assert message in result.stderr and result.stderr.count("\n") == 1
        assert text("a.csv") == CURVES
        assert files() == ["a.csv", "other.safetensors", "out"]

    def test_force_replaces_a_file(self):
        fit(*OK)
        assert run("predict", "out", "a.csv", "--out", "p.csv").exit_code == 0
        assert run("predict", "out", "a.csv", "--out", "p.csv", "--force").exit_code == 0
