import datetime

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mtrelu.tables import read_table
from mtrelu.validation import InvalidInputError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


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


class TestMissingLabels:
    def test_they_stay_as_nan(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y,z\n1,,2\n2,2,\n3,nan,NA\n"))
        choice = table.choose(["x"], None, missing_labels=True)
        assert choice.left_out == [] and choice.X[:, 0].tolist() == [1.0, 2.0, 3.0]
        assert np.array_equal(choice.Y, [[np.nan, 2], [2, np.nan], [np.nan] * 2], equal_nan=True)

    def test_unknown_inputs_are_still_refused_or_left_out(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y\n1,\n,2\n3,3\n"))
        with pytest.raises(InvalidInputError, match=r"column 'x'.*data rows 2"):
            table.choose(["x"], None, missing_labels=True)
        choice = table.choose(["x"], None, missing_labels=True, drop_missing=True)
        assert choice.left_out == ["2"] and choice.X[:, 0].tolist() == [1.0, 3.0]
        assert np.isnan(choice.Y[0, 0])

    def test_the_message_tells_of_it(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", "x,y\n1,\n2,2\n"))
        with pytest.raises(InvalidInputError, match="--missing-labels"):
            table.choose(["x"], None)


class TestColumnsWithoutNames:
    def test_they_are_no_task_unless_named(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", ",x,y\n0,1,2\n1,2,3\n"))
        with pytest.raises(InvalidInputError, match=r"column 1 of a\.csv has no name"):
            table.choose(["x"], None)
        assert table.choose(["x"], ["y"]).tasks == ["y"]

    def test_the_index_of_a_data_frame_in_a_parquet_file(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}, index=[7, 9])
        frame.to_parquet(tmp_path / "a.parquet")
        table = read_table(tmp_path / "a.parquet")
        with pytest.raises(InvalidInputError, match="index of a data frame"):
            table.choose(["x"], None)


def test_long_names_and_many_columns_are_cut_short(tmp_path):
    header = ",".join([*(f"c{j}" for j in range(1000)), "n" * 5000])
    table = read_table(write(tmp_path / "a.csv", f"{header}\n{header.replace('c', '')}\n"))
    for column in ("x", "n" * 5000):
        with pytest.raises(InvalidInputError) as caught:
            table.choose([column], None) if column == "x" else table.numbers(column)
        assert len(str(caught.value)) < 500


def test_whole_numbers_that_float64_holds(tmp_path):
    table = read_table(write(tmp_path / "a.csv", f"x,y\n{2**60},{2**53}\n-{2**54},+{2**70}\n"))
    assert table.numbers("x").tolist() == [2.0**60, -(2.0**54)]
    assert table.numbers("y").tolist() == [2.0**53, 2.0**70]
