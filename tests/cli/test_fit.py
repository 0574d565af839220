import os
from pathlib import Path

import numpy as np
import pytest
from tests.cli.commands import CURVES, files, fit, run, text

import mtrelu
from mtrelu.datasets import load_el_nino, load_macrodata
from mtrelu.io import load_network
from mtrelu.tables import read_table

pytestmark = pytest.mark.usefixtures("folder_with_a_table")


class TestFit:
    def test_everything_is_written_and_nothing_else(self):
        result = fit("--x", "time", "--tasks", "a,b")
        assert files("out") == [
            "alpha.png", "curves.png", "knots.png", "model.safetensors", "predictions.csv",
            "report.html",
        ]  # fmt: skip
        assert files() == ["a.csv", "out"]
        assert "certified" in result.stdout and "unique" in result.stdout
        assert "out/report.html" in result.stdout

    def test_model_predictions_and_report_are_those_of_the_library(self):
        fit("--x", "time", "--tasks", "b, a", "--alpha", "0.5")
        table = read_table("a.csv")
        choice = table.choose(["time"], ["b", "a"])
        x = choice.X
        expected = mtrelu.solve(x, choice.Y, 0.5).network(x)
        written = read_table("out/predictions.csv")
        assert list(written.columns) == ["time", "b", "b low", "b high", "a", "a low", "a high"]
        got = np.column_stack([written.numbers(name) for name in ("b", "a")])
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
        assert (written.numbers("a low") <= written.numbers("a") + 1e-12).all()
        assert (written.numbers("a") <= written.numbers("a high") + 1e-12).all()
        network, metadata = load_network("out/model.safetensors")
        np.testing.assert_array_equal(network(x), got)
        assert metadata["tasks"] == ["b", "a"] and metadata["alpha"] == 0.5
        command = "mtrelu fit a.csv --x time --tasks &#x27;b, a&#x27; --alpha 0.5"
        assert command in text("out/report.html")

    def test_rows_keep_the_order_of_the_file(self):
        lines = CURVES.splitlines()
        Path("b.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
        fit("--x", "time", "--tasks", "a", "--alpha", "0.5", data="b.csv")
        written = read_table("out/predictions.csv").numbers("time")
        assert written.tolist() == list(range(9, -1, -1))

    def test_a_row_twice_is_allowed(self):
        Path("b.csv").write_text(CURVES + CURVES.splitlines()[3] + "\n")
        fit("--x", "time", "--tasks", "a,b", data="b.csv")
        assert len(read_table("out/predictions.csv").numbers("time")) == 11

    def test_standardize(self):
        rows = [f"{i},{(i % 3) * 1e6},{(i % 4) * 1e-3},5" for i in range(8)]
        Path("b.csv").write_text("\n".join(["x,u,v,w", *rows]))
        fit("--x", "x", "--alpha", "0.1", "--standardize", data="b.csv")
        choice = read_table("b.csv").choose(["x"], None)
        x, Y = choice.X, choice.Y
        scale = np.array([Y[:, 0].std(), Y[:, 1].std(), 1.0])
        expected = mtrelu.solve(x, Y / scale, 0.1).network(x) * scale
        written = read_table("out/predictions.csv")
        for t, name in enumerate("uvw"):
            np.testing.assert_allclose(
                written.numbers(name), expected[:, t], rtol=1e-6, atol=1e-6 * scale[t]
            )
        assert run("certify", "out", "b.csv").exit_code == 0

    def test_shipped_data(self):
        fit(data="el-nino")
        _, metadata = load_network("out/model.safetensors")
        assert metadata["tasks"] == list(load_el_nino().tasks)
        assert "tasks.png" in files("out")

    def test_some_tasks_of_shipped_data(self):
        fit("--tasks", "realgdp,unemp", "--standardize", "--alpha", "1", data="macrodata")
        network, metadata = load_network("out/model.safetensors")
        assert metadata["tasks"] == ["realgdp", "unemp"] and metadata["inputs"] == ["year"]
        assert network.n_tasks == 2 and len(load_macrodata().X) == 203

    def test_default_folder(self):
        assert run("fit", "a.csv", "--x", "time", "--tasks", "a").exit_code == 0
        assert "mtrelu-a" in files()

    def test_no_progress_bar_where_there_is_no_terminal(self):
        assert fit("--x", "time", "--tasks", "a").stderr == ""


PLANE = "car,power,weight,mpg,secs\n" + "".join(
    f"n{i},{50 + 7 * (i % 6) + i},{2000 + 500 * (i % 4)},"
    f"{40 - abs(i % 6 - 3) * 4 + 37 * i % 11},{10 + i % 4 + 23 * i % 7}\n"
    for i in range(24)
)
HOLES = PLANE + "x1,,2000,10,10\nx2,60,2100,,11\n"
TWO = ("--x", "power", "--x", "weight", "--tasks", "mpg,secs")


class TestSeveralInputs:
    @pytest.fixture(autouse=True)
    def plane_csv(self, tmp_path):
        (tmp_path / "plane.csv").write_text(PLANE)
        (tmp_path / "holes.csv").write_text(HOLES)

    def test_everything_is_written_and_nothing_else(self):
        result = fit(*TWO, data="plane.csv")
        expected = [
            "alpha.png", "contours.png", "dual.png", "model.safetensors", "predictions.csv",
            "report.html",
        ]  # fmt: skip
        assert set(files("out")) - {"width.png"} == set(expected)
        assert "certified" in result.stdout and "neurons" in result.stdout

    def test_scales_are_folded_into_the_stored_network(self):
        fit(*TWO, "--alpha", "1", data="plane.csv")
        choice = read_table("plane.csv").choose(["power", "weight"], ["mpg", "secs"])
        X, Y = choice.X, choice.Y
        scaled = (X - X.mean(axis=0)) / X.std(axis=0)
        expected = mtrelu.solve(scaled, Y / Y.std(axis=0), 1.0).network(scaled) * Y.std(axis=0)
        network, metadata = load_network("out/model.safetensors")
        np.testing.assert_allclose(network(X), expected, rtol=1e-6, atol=1e-6)
        assert metadata["inputs"] == ["power", "weight"] and metadata["alpha"] == 1.0
        written = read_table("out/predictions.csv")
        assert list(written.columns) == ["power", "weight", "mpg", "secs"]
        got = np.column_stack([written.numbers(name) for name in ("mpg", "secs")])
        np.testing.assert_array_equal(got, network(X))

    def test_own_units_on_request(self):
        fit(*TWO, "--alpha", "3000", "--no-standardize", data="plane.csv")
        choice = read_table("plane.csv").choose(["power", "weight"], ["mpg", "secs"])
        expected = mtrelu.solve(choice.X, choice.Y, 3000.0).certificate.primal
        _, metadata = load_network("out/model.safetensors")
        assert metadata["certificate"]["primal"] == pytest.approx(expected, rel=1e-5)
        assert "--no-standardize" in text("out/report.html")

    def test_the_units_of_the_columns_do_not_matter(self):
        lines = [line.split(",") for line in PLANE.splitlines()]
        rows = [[*r[:2], str(float(r[2]) / 1e3), str(float(r[3]) * 1e4), r[4]] for r in lines[1:]]
        Path("b.csv").write_text("\n".join(",".join(r) for r in [lines[0], *rows]))
        fit(*TWO, "--alpha", "1", data="plane.csv")
        fit(*TWO, "--alpha", "1", data="b.csv", out="out2")
        one, other = (load_network(f"{o}/model.safetensors")[1] for o in ("out", "out2"))
        assert one["certificate"]["primal"] == pytest.approx(other["certificate"]["primal"])

    def test_input_is_another_name_of_x(self):
        fit("--input", "power", "--input", "weight", *TWO[4:], "--alpha", "1", data="plane.csv")
        command = "mtrelu fit plane.csv --x power --x weight --tasks mpg,secs --alpha 1"
        assert command in text("out/report.html")

    def test_unknown_values_are_named_and_left_out_on_request_only(self):
        before = files()
        result = run("fit", "holes.csv", *TWO, "--alpha", "1", "--out", "out")
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        assert "data rows 25 (x1)" in result.stderr and "--drop-missing" in result.stderr
        assert files() == before
        result = fit(*TWO, "--alpha", "1", "--drop-missing", data="holes.csv")
        assert "25 (x1), 26 (x2)" in result.stdout
        assert "2 rows with unknown values left out" in text("out/report.html")
        assert len(read_table("out/predictions.csv").numbers("power")) == 24

    def test_predict_and_certify(self):
        fit(*TWO, "--alpha", "1", data="plane.csv")
        assert run("certify", "out", "plane.csv").exit_code == 0
        assert run("certify", "out", "holes.csv").exit_code == 2
        result = run("certify", "out", "holes.csv", "--drop-missing")
        assert result.exit_code == 0 and "left out" in result.stdout and "25 (x1)" in result.stdout
        Path("new.csv").write_text("w,p\n2500,80\n3100,95.5\n")
        result = run("predict", "out", "new.csv", "--x", "p", "--x", "w", "--out", "p.csv")
        assert result.exit_code == 0, result.output
        written = read_table("p.csv")
        assert list(written.columns) == ["power", "weight", "mpg", "secs"]
        network, _ = load_network("out/model.safetensors")
        expected = network([[80.0, 2500.0], [95.5, 3100.0]])
        assert np.array_equal(written.numbers("secs"), expected[:, 1])
        result = run("predict", "out", "holes.csv", "--out", "h.csv", "--drop-missing")
        assert "25 rows written" in result.stdout and "25 (x1)" in result.stdout

    def test_predict_with_another_number_of_inputs(self):
        fit(*TWO, "--alpha", "1", data="plane.csv")
        result = run("predict", "out", "plane.csv", "--x", "power", "--out", "p.csv")
        assert result.exit_code == 2 and "the model has 2 inputs: power, weight" in result.stderr

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((*TWO[:2], *TWO), "input 'power' is named twice"),
            ((*TWO[:4], "--tasks", "mpg,power"), "'power' is named as the input too"),
            ((*TWO[:2], "--x", "wait", "--tasks", "mpg"), "'wait' is not in plane.csv"),
            ((*TWO, "--loss", "logistic"), "column 'mpg' holds"),
            ((*TWO, "--loss", "logistic", "--standardize"), "logistic"),
        ],
    )
    def test_bad_input_is_one_line_and_writes_nothing(self, words, message):
        before = files()
        result = run("fit", "plane.csv", *words, "--alpha", "1")
        assert result.exit_code == 2 and message in result.stderr
        assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
        assert files() == before

    def test_the_shipped_cars_name_what_is_unknown(self):
        result = run("fit", "cars", "--alpha", "10")
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        assert "(row 11)" in result.stderr and "--drop-missing" in result.stderr

    def test_the_shipped_cars(self):
        fit("--drop-missing", "--alpha", "10", data="cars")
        assert "contours.png" in files("out")
        assert run("certify", "out", "cars", "--drop-missing").exit_code == 0


OK = ("--x", "time", "--tasks", "a", "--alpha", "1")
BAD = {
    "missing file": (("nowhere.csv", *OK), "nowhere.csv does not exist"),
    "missing input column": (("a.csv", "--x", "when"), "'when' is not in a.csv"),
    "missing task": (("a.csv", "--x", "time", "--tasks", "a,z"), "'z' is not in a.csv"),
    "no --x": (("a.csv",), "--x is missing"),
    "text column": (("a.csv", "--x", "time"), "'name' of a.csv does not hold numbers"),
    "alpha is text": (("a.csv", *OK[:4], "--alpha", "some"), "--alpha is 'some'"),
    "negative alpha": (("a.csv", *OK[:4], "--alpha", "-1"), "alpha"),
    "alpha NaN": (("a.csv", *OK[:4], "--alpha", "nan"), "alpha"),
    "unknown loss": (("a.csv", *OK, "--loss", "cubic"), "loss"),
    "unknown shipped set": (("elnino", *OK), "elnino"),
    "logistic needs labels in [0, 1]": (("a.csv", *OK, "--loss", "logistic"), "column 'a' holds"),
    "standardized logistic": (("a.csv", *OK, "--loss", "logistic", "--standardize"), "logistic"),
    "gap": (("gap.csv", "--x", "x"), "data rows 2"),
    "contradiction": (("twice.csv", "--x", "x", "--alpha", "0"), "row"),
    "few points": (("few.csv", "--x", "x"), "too few"),
    "all inputs equal": (("equal.csv", "--x", "x"), "distinct"),
    "empty": (("empty.csv", "--x", "x"), "is empty"),
    "no such parent": (("a.csv", *OK, "--out", "no/such/out"), "is not a folder"),
    "parent is a file": (("a.csv", *OK, "--out", "a.csv/out"), "is not a folder"),
    "clash": (("clash.csv", "--x", "x", "--alpha", "1"), "Rename it"),
}
OTHER_FILES = {
    "gap.csv": "x,y\n1,2\n2,\n3,4\n",
    "twice.csv": "x,y\n1,2\n1,3\n2,4\n",
    "few.csv": "x,y\n1,2\n2,3\n3,3\n",
    "equal.csv": "x,y\n1,2\n1,3\n1,3\n1,5\n1,6\n",
    "empty.csv": "",
    "clash.csv": "x,y,y low\n1,2,3\n2,3,3\n3,3,4\n4,1,4\n",
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, tmp_path):
    words, message = BAD[case]
    for name, content in OTHER_FILES.items():
        (tmp_path / name).write_text(content)
    before = files()
    result = run("fit", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert files() == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    result = run("fit", "a.csv", *OK, "--out", "locked/out")
    assert result.exit_code == 2 and "locked" in result.stderr


def test_folder_that_cannot_be_made(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    result = run("fit", "a.csv", *OK, "--out", "out")
    assert result.exit_code == 2 and "Permission denied" in result.stderr
    assert result.stderr.count("\n") == 1
