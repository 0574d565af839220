import datetime
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mtrelu.tables import read_table, write_csv
from mtrelu.validation import InvalidInputError, MissingExtraError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "x,u,v\n1,2,3.5\n4,5,-6e-3\n"),
        ("a.csv", "x;u;v\n1;2;3.5\n4;5;-6e-3\n"),
        ("a.csv", "\ufeffx,u,v\n1,2,3.5\n4,5,-6e-3\n"),
        ("a.csv", '"x","u","v"\r\n1,2,3.5\r\n4,5,-6e-3\r\n'),
        ("a.txt", "x\tu\tv\n1\t2\t3.5\n4\t5\t-6e-3\n"),
        ("a.tsv", "x\tu\tv\n1\t2\t3.5\n4\t5\t-6e-3\n"),
        ("A.CSV", "x,u,v\n1,2,3.5\n4,5,-6e-3\n"),
    ],
)
def test_text_tables(tmp_path, name, text):
    choice = read_table(write(tmp_path / name, text)).choose(["x"], None)
    assert choice.tasks == ["u", "v"]
    assert choice.X.tolist() == [[1.0], [4.0]]
    assert choice.Y.tolist() == [[2.0, 3.5], [5.0, -0.006]]
    assert choice.X.dtype == choice.Y.dtype == np.float64
    assert choice.left_out == []


def test_parquet_of_every_number_type(tmp_path):
    table = pyarrow.table(
        {
            "x": pyarrow.array([3, 1, 2], pyarrow.int8()),
            "single": pyarrow.array([0.5, 1.5, 2.5], pyarrow.float32()),
            "double": [1.0, 2.0, 3.0],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    choice = read_table(tmp_path / "t.parquet").choose(["x"], ["double", "single"])
    assert choice.X[:, 0].tolist() == [3, 1, 2]  # the order of the file
    assert choice.Y.tolist() == [[1.0, 0.5], [2.0, 1.5], [3.0, 2.5]]


BAD_FILES = {
    "missing": ("nowhere.csv", None, "does not exist"),
    "empty": ("a.csv", "", "is empty"),
    "blank": ("a.csv", "\n", "is empty"),
    "header only": ("a.csv", "x,y\n", "no rows"),
    "duplicate names": ("a.csv", "x,y,y\n1,2,3\n", "more than one column called 'y'"),
    "ragged": ("a.csv", "x,y\n1,2\n3\n", "cannot be read as a table"),
    "unknown kind": ("a.xlsx", "x", "ends in '.xlsx'"),
    "no parquet": ("a.parquet", "x,y\n1,2\n", "cannot be read as a table"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(tmp_path, case):
    name, text, message = BAD_FILES[case]
    path = tmp_path / name
    if text is not None:
        write(path, text)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_table(path)
    assert name in str(caught.value)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InvalidInputError, match="is a folder"):
        read_table(tmp_path)


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes("x,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        read_table(tmp_path / "a.csv")


BAD_COLUMNS = {
    "missing task": ("x,y\n1,2\n", ["z"], "column 'z' is not in"),
    "text": ("x,y\n1,2\n2,abc\n", ["y"], "'abc' in data row 2"),
    "text among the others": ("x,y,name\n1,2,ann\n", None, "'name' .* does not hold numbers"),
    "empty cell": ("x,y\n1,2\n2,\n3,4\n4,\n", ["y"], "2 empty or .* in data rows 2, 4"),
    "NaN": ("x,y\n1,2\n2,nan\n", ["y"], "data rows 2"),
    "infinity": ("x,y\n1,inf\n2,3\n", ["y"], "data rows 1"),
    "all empty": ("x,y\n1,\n2,\n", ["y"], "data rows 1, 2"),
    "gap in the input": ("x,y\n1,2\n,3\n", ["y"], "column 'x' .* data rows 2"),
    "no task": ("x\n1\n", None, "no column besides 'x'"),
    "task twice": ("x,y\n1,2\n", ["y", "y"], "'y' is named twice"),
    "input as task": ("x,y\n1,2\n", ["y", "x"], "'x' is named as the input too"),
    "dates": ("x,y\n1,2024-01-01\n", ["y"], "does not hold numbers"),
    "truth values": ("x,y\n1,true\n2,false\n", ["y"], "does not hold numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns(tmp_path, case):
    text, tasks, message = BAD_COLUMNS[case]
    table = read_table(write(tmp_path / "a.csv", text))
    with pytest.raises(InvalidInputError, match=message):
        table.choose(["x"], tasks)


def test_missing_input_column_names_the_others(tmp_path):
    table = read_table(write(tmp_path / "a.csv", "time,y\n1,2\n"))
    with pytest.raises(InvalidInputError, match=r"column 'x' is not in a.csv. .* time, y"):
        table.choose(["x"], None)


def test_whole_numbers_that_float64_cannot_hold(tmp_path):
    table = read_table(write(tmp_path / "a.csv", f"x,y\n1,{2**53 + 1}\n"))
    with pytest.raises(InvalidInputError, match="beyond 2"):
        table.choose(["x"], None)


def test_parquet_dates_are_refused(tmp_path):
    table = pyarrow.table({"x": [datetime.date(2024, 1, 1)], "y": [1.0]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="2024-01-01"):
        read_table(tmp_path / "t.parquet").choose(["x"], None)


def test_write_csv_keeps_every_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-25, 25)
    write_csv(tmp_path / "a.csv", {"x, y": np.arange(50.0), "v": values})
    choice = read_table(tmp_path / "a.csv").choose(["x, y"], None)
    assert choice.tasks == ["v"]
    assert np.array_equal(choice.Y[:, 0], values)
    assert np.array_equal(choice.X[:, 0], np.arange(50.0))


def test_missing_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"mtrelu\[cli\]"):
        read_table(write(tmp_path / "a.csv", "x,y\n1,2\n"))


CARS = "name,power,weight,mpg\na,1,2,3\nb,,3,4\nc,2,4,\nd,3,5,6\n"


class TestMissing:
    def test_rows_are_named_by_number_and_text(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", CARS))
        with pytest.raises(
            InvalidInputError, match=r"'power' .* data rows 2 \(b\).*--drop-missing"
        ):
            table.choose(["power", "weight"], ["mpg"])

    def test_rows_are_left_out_on_request_and_named(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", CARS))
        choice = table.choose(["power", "weight"], ["mpg"], drop_missing=True)
        assert choice.left_out == ["2 (b)", "3 (c)"]
        assert choice.X.tolist() == [[1.0, 2.0], [3.0, 5.0]] and choice.Y.tolist() == [[3.0], [6.0]]

    def test_columns_that_were_not_chosen_may_be_incomplete(self, tmp_path):
        choice = read_table(write(tmp_path / "a.csv", CARS)).choose(["weight"], ["power"],
                                                                  drop_missing=True)  # fmt: skip
        assert choice.left_out == ["2 (b)"] and len(choice.X) == 3

    def test_inputs_alone(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", CARS))
        X, left_out = table.inputs(["weight", "power"], drop_missing=True)
        assert X.tolist() == [[2.0, 1.0], [4.0, 2.0], [5.0, 3.0]] and left_out == ["2 (b)"]
        with pytest.raises(InvalidInputError, match="data rows 2"):
            table.inputs(["weight", "power"])

    def test_infinite_is_not_missing(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y\n1,2\n2,inf\n"))
        with pytest.raises(InvalidInputError, match="infinite cells, in data rows 2"):
            table.choose(["x"], ["y"], drop_missing=True)

    def test_nothing_left(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y,z\n1,,2\n,2,3\n"))
        with pytest.raises(InvalidInputError, match="every row"):
            table.choose(["x"], ["y"], drop_missing=True)

    def test_several_inputs(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y,z\n1,4,2\n2,2,3\n"))
        choice = table.choose(["z", "x"], None)
        assert choice.X.tolist() == [[2.0, 1.0], [3.0, 2.0]] and choice.tasks == ["y"]
        with pytest.raises(InvalidInputError, match="input 'x' is named twice"):
            table.choose(["x", "x"], None)
