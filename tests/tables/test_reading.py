import dataclasses
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtrelu.tables import parse_csv, read_table, write_table
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


def test_missing_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"mtrelu\[cli\]"):
        read_table(write(tmp_path / "a.csv", "x,y\n1,2\n"))


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


class TestNPZ:
    def test_columns_and_matrices(self, tmp_path):
        x, Y = np.array([3.0, 1.0, 2.0]), np.arange(6).reshape(3, 2)
        table = read_table(saved(tmp_path / "a.npz", x=x, Y=np.asfortranarray(Y)))
        assert list(table.columns) == ["x", "Y_0", "Y_1"]
        choice = table.choose(["x"], None)
        assert choice.X[:, 0].tolist() == x.tolist() and choice.Y.tolist() == Y.tolist()

    @pytest.mark.parametrize("kind", ["f2", "f4", ">f8", "<f4", "i1", "u8", ">i4", "longdouble"])
    def test_every_number_type(self, tmp_path, kind):
        values = np.array([1, 2, 3]).astype(kind)
        table = read_table(saved(tmp_path / "a.npz", x=values))
        assert table.numbers("x").tolist() == [1.0, 2.0, 3.0]

    def test_nan_is_unknown_and_words_name_the_rows(self, tmp_path):
        table = read_table(
            saved(tmp_path / "a.npz", name=np.array(["ann", "bob"]), y=np.array([1.0, np.nan]))
        )
        with pytest.raises(InvalidInputError, match=r"data rows 2 \(bob\)"):
            table.numbers("y")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.array([True, False]), "does not hold numbers"),
            (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), "2020-01-01"),
            (np.array([2**60 + 1, 1]), "beyond 2"),
        ],
    )
    def test_what_is_no_number(self, tmp_path, values, message):
        with pytest.raises(InvalidInputError, match=message):
            read_table(saved(tmp_path / "a.npz", y=values)).numbers("y")

    def test_nothing_pickled_is_loaded(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("it was loaded",))

        path = saved(tmp_path / "a.npz", x=np.array([Trap()], dtype=object))
        with pytest.raises(InvalidInputError, match="Object arrays cannot be loaded"):
            read_table(path)

    def test_two_arrays_that_become_one_name(self, tmp_path):
        path = saved(tmp_path / "a.npz", Y=np.ones((2, 1)), Y_0=np.ones(2))
        with pytest.raises(InvalidInputError, match="more than one column called 'Y_0'"):
            read_table(path)


class TestText:
    def test_types_are_not_guessed_from_the_first_rows(self, tmp_path):
        """Whole numbers for a megabyte, then halves: a reader by blocks takes them for integers."""
        n = 400_000
        lines = [f"{i},{i}\n" for i in range(n)]
        table = read_table(write(tmp_path / "a.csv", "x,y\n" + "".join(lines) + "0.5,1e-3\n"))
        assert table.numbers("x")[-1] == 0.5 and table.numbers("y")[n] == 1e-3

    def test_lines_longer_than_a_block(self, tmp_path):
        n = 60_000
        names = ",".join(f"c{j}" for j in range(n))
        row = ",".join(f"{j + 0.123456789012345:.15g}" for j in range(n))
        table = read_table(write(tmp_path / "a.csv", f"{names}\n{row}\n{row}\n"))
        assert len(table.columns) == n
        assert (
            table.numbers(f"c{n - 1}").tolist() == [float(f"{n - 1 + 0.123456789012345:.15g}")] * 2
        )

    def test_a_bad_cell_is_found_where_it_is(self, tmp_path):
        cells = [str(i) for i in range(5000)]
        cells[3210] = "12,5"
        table = read_table(write(tmp_path / "a.csv", "x;y\n" + "".join(f"{c};1\n" for c in cells)))
        with pytest.raises(InvalidInputError, match=r"'12,5' in data row 3211.*--decimal ,"):
            table.numbers("x")

    def test_commas_inside_quotes_do_not_count(self, tmp_path):
        text = '"a, b, c, d";y\n1;2\n'
        assert list(read_table(write(tmp_path / "a.csv", text)).columns) == ["a, b, c, d", "y"]

    def test_names_are_kept_as_they_are(self, tmp_path):
        text = 'NA,"1",π,"say ""x"""\n1,2,3,4\n'
        table = read_table(write(tmp_path / "a.csv", text))
        assert list(table.columns) == ["NA", "1", "π", 'say "x"']

    def test_a_line_break_in_quotes(self, tmp_path):
        table = read_table(write(tmp_path / "a.csv", 'x,note\n1,"two\nlines"\n2,one\n'))
        assert table.numbers("x").tolist() == [1.0, 2.0]

    def test_ragged_rows_are_named(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"data row 3: Expected 2 columns, got 1"):
            read_table(write(tmp_path / "a.csv", "x,y\n1,2\n2,3\n4\n"))

    @given(
        st.lists(
            st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1,
            max_size=5,
        ),
        st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(),
        st.booleans(),
    )  # fmt: skip
    def test_every_finite_number_however_it_is_written(self, rows, comma, end, quoted, mark):
        cell = '"{!r}"'.format if quoted else "{!r}".format
        lines = [comma.join(["x", "y"]), *(comma.join(map(cell, row)) for row in rows)]
        content = (b"\xef\xbb\xbf" if mark else b"") + end.join(lines).encode()
        table = parse_csv(content, "a.csv")
        for j, name in enumerate("xy"):
            expected = np.array([row[j] for row in rows])
            np.testing.assert_array_equal(table.numbers(name), expected)


def test_damaged_page_of_a_parquet_file(tmp_path):
    write_table(tmp_path / "a.parquet", {"x": np.arange(1000.0)})
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("content", "place"),
    [(b"x,h\xf6he\n1,2\n", "its first line"), (b"x,name\n1,a\n2,J\xf6rg\n3,b\n", "data row 2")],
)
def test_other_encodings_are_named(content, place):
    with pytest.raises(InvalidInputError, match=rf"{place}.*save it as UTF-8"):
        parse_csv(content, "a.csv")


class TestDecimalCommas:
    def test_they_are_read_where_that_was_asked_for(self):
        table = parse_csv(b"x;y\n1,5;2\n-0,25;\n1e3;3,0e-1\n", "a.csv")
        table = dataclasses.replace(table, decimal=",")
        assert table.numbers("x").tolist() == [1.5, -0.25, 1000.0]

    @pytest.mark.parametrize("cell", ["1.5", "1.000,5", "1,2,3"])
    def test_points_are_then_no_part_of_a_number(self, cell):
        table = parse_csv(f"x;y\n1,5;2\n{cell};1\n".encode(), "a.csv")
        table = dataclasses.replace(table, decimal=",")
        with pytest.raises(InvalidInputError, match="in data row 2"):
            table.numbers("x")
