"""Files that are no table, or none that can be fitted, through every command that reads one."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mtrelu.cli import app

GOOD = "x,y,z\n" + "".join(f"{i},{i % 3},{i * i % 5}\n" for i in range(8))


def parquet(columns, **options):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


X = np.arange(8.0)
WIDE = ",".join(f"c{j}" for j in range(100_000))
PARQUET = parquet({"x": X, "y": X, "z": X})

# name: the file's ending, its content, what the message says; the columns x, y and z are asked for
BAD = {
    "bars between columns": ("csv", GOOD.replace(",", "|"), "separate columns"),
    "spaces between columns": ("txt", GOOD.replace(",", " "), "separate columns"),
    "commas in a TSV file": ("tsv", GOOD, "separate columns"),
    "decimal commas": ("csv", "x;y;z\n0,5;1;2\n1,5;2;3\n", "--decimal ,"),
    "decimal commas among commas": ("csv", "x,y,z\n0,5,1,2\n", "Expected 3 columns"),
    "thousands": ("csv", 'x,y,z\n"1,000",1,2\n"2,000,000",2,3\n', "does not hold numbers"),
    "UTF-16": ("csv", GOOD.encode("utf-16"), "UTF-16"),
    "UTF-16 without its mark": ("csv", GOOD.encode("utf-16-le"), "NUL bytes"),
    "UTF-32": ("csv", GOOD.encode("utf-32"), "UTF-16"),
    "Latin-1": ("csv", "x,y,größe\n1,2,3\n".encode("latin-1"), "save it as UTF-8"),
    "Latin-1 in a cell": ("csv", "x,y,z\n1,2,gr\xfc\n".encode("latin-1"), "save it as UTF-8"),
    "empty": ("csv", "", "is empty"),
    "a mark and nothing": ("csv", b"\xef\xbb\xbf", "is empty"),
    "blank lines": ("csv", "\n\r\n\n", "is empty"),
    "header only": ("csv", "x,y,z\n", "no rows"),
    "header and blank lines": ("csv", "x,y,z\n\n \n", "no rows"),
    "10^5 other columns": ("csv", f"{WIDE}\n{WIDE.replace('c', '')}\n", "99992 more"),
    "mixed types": ("csv", GOOD + "eight,n/a,three\n", "'eight' in data row 9"),
    "dates": ("csv", "x,y,z\n2020-01-01,1,2\n", "'2020-01-01'"),
    "truth values": ("csv", "x,y,z\ntrue,true,2\n", "'true'"),
    "duplicate names": ("csv", "x,y,y\n1,2,3\n", "more than one column called 'y'"),
    "no header": ("csv", "1,2,3\n4,5,6\n", "'x' is not in"),
    "NaN": ("csv", GOOD + "nan,nan,1\n", "--drop-missing"),
    "empty cell": ("csv", GOOD + ",1,1\n", "--drop-missing"),
    "all unknown": ("csv", "x,y,z\n,,\n,,\n", "empty or non-finite"),
    "infinity": ("csv", GOOD + "-inf,1,-inf\n", "infinite"),
    "beyond float64": ("csv", GOOD + "1e999,1,1e999\n", "infinite"),
    "beyond 2**53": ("csv", GOOD + f"{2**60 + 1},1,1\n", "2**53"),
    "NUL bytes": ("csv", GOOD + "9\x00,1,1\n", "x00"),
    "ragged, longer": ("csv", GOOD + "8,1,1,1\n", "Expected 3 columns, got 4"),
    "ragged, shorter": ("csv", GOOD + "8,1\n", "Expected 3 columns, got 2"),
    "open quotation mark": ("csv", GOOD + '8,1,"1\n9,1,1\n', "quotation mark"),
    "escape characters": ("csv", "\x1b[31mx,y\n1,2\n", r"\x1b"),
    "a binary file": ("csv", bytes(range(256)) * 8, "cannot be read"),
    "no Parquet": ("parquet", GOOD, "cannot be read as a table"),
    "empty Parquet file": ("parquet", b"", "cannot be read as a table"),
    "truncated Parquet": ("parquet", PARQUET[:-20], "cannot be read as a table"),
    "Parquet with a hole": ("parquet", PARQUET[:60] + b"\0" * 60 + PARQUET[120:], "cannot be read"),
    "Parquet without rows": ("parquet", parquet({"x": X[:0], "y": X[:0], "z": X[:0]}), "no rows"),
    "Parquet with lists": ("parquet", parquet({"x": [[1.0]], "y": [[2]], "z": [[2]]}), "list"),
    "Parquet with text": ("parquet", parquet({"x": ["a"], "y": ["b"], "z": ["c"]}), "'a'"),
    "Parquet with nulls": ("parquet", parquet({"x": [1, None], "y": [1, None], "z": [1, 2]}),
                           "data rows 2"),
    "no NPZ": ("npz", GOOD, "cannot be read as a table"),
    "truncated NPZ": ("npz", npz(x=X, y=X, z=X)[:-30], "cannot be read as a table"),
    "NPZ with objects": ("npz", npz(x=X.astype(object), y=X, z=X), "Object arrays"),
    "NPZ with a pickle": ("npz", zipped(**{"x.npy": b"\x80\x04N."}), "cannot be read as a table"),
    "NPZ with something else": ("npz", zipped(**{"x.txt": b"1 2 3"}), "cannot be read as a table"),
    "NPZ of nothing": ("npz", zipped(), "no rows"),
    "NPZ of three dimensions": ("npz", npz(x=X.reshape(2, 2, 2)), "3 dimensions"),
    "NPZ of a number": ("npz", npz(x=np.array(1.0)), "0 dimensions"),
    "NPZ of two lengths": ("npz", npz(x=X, y=X[1:], z=X), "8 rows in 'x', but 7 in 'y'"),
    "NPZ of complex numbers": ("npz", npz(x=X + 1j, y=X, z=X), "cannot be read as a table"),
    "a spreadsheet": ("xlsx", zipped(sheet="1"), "ends in '.xlsx'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "good.csv").write_text(GOOD)
    words = ["--x", "x", "--alpha", "0.1", "--out", str(folder / "model")]
    result = CliRunner().invoke(app, ["fit", str(folder / "good.csv"), *words])
    assert result.exit_code == 0, result.output
    return str(folder / "model")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def commands(file, model):
    yield ["fit", file, "--x", "x", "--out", "out"]
    yield ["predict", model, file, "--out", "out.csv"]
    yield ["certify", model, file]


def refused(words, stdin=None):
    """Run a command that must fail in one line; return the line."""
    before = sorted(os.listdir())
    result = CliRunner().invoke(app, words, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 2 and result.stdout == "", (words, result.output)
    assert result.stderr.startswith("mtrelu: ") and result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n") and result.stderr[:-1].isprintable()
    assert len(result.stderr) < 1000
    assert sorted(os.listdir()) == before
    return result.stderr


@pytest.mark.parametrize("case", BAD)
def test_one_line_and_nothing_written(case, model):
    ending, content, message = BAD[case]
    file = f"bad.{ending}"
    Path(file).write_bytes(content.encode() if isinstance(content, str) else content)
    messages = [refused(words) for words in commands(file, model)]
    assert any(message in each for each in messages), messages


@pytest.mark.parametrize("case", [name for name, bad in BAD.items() if bad[0] == "csv"])
def test_the_same_from_standard_input(case, model):
    _, content, message = BAD[case]
    messages = [refused(words, content) for words in commands("-", model)]
    assert any(message in each for each in messages), messages
    assert all("standard input" in each or message in each for each in messages)


class TestWhatIsNoFile:
    def test_a_folder(self, model):
        os.mkdir("bad.csv")
        for words in commands("bad.csv", model):
            assert "is a folder" in refused(words)

    def test_nothing(self, model):
        for words in commands("bad.csv", model):
            assert "bad.csv does not exist" in refused(words)

    @pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
    def test_unreadable(self, model, ending, monkeypatch):
        def locked(self, *args, **kwargs):
            raise PermissionError(13, "Permission denied", str(self))

        Path(f"bad.{ending}").write_text(GOOD)
        monkeypatch.setattr("pathlib.Path.open", locked)
        monkeypatch.setattr("pathlib.Path.read_bytes", locked)
        monkeypatch.setattr("zipfile.ZipFile.__init__", locked)
        for words in commands(f"bad.{ending}", model):
            assert "Permission denied" in refused(words)

    def test_a_name_that_is_too_long(self, model):
        for words in commands("a" * 300 + ".csv", model):
            assert "too long" in refused(words)


# Files that look bad and are not.
GOOD_AFTER_ALL = {
    "byte-order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "quoted numbers": ('"x","y","z"\n' + "".join(
        f'"{i}","{i % 3}","{i * i % 5}"\n' for i in range(8))).encode(),
    "semicolons": GOOD.replace(",", ";").encode(),
    "carriage returns": GOOD.replace("\n", "\r\n").encode(),
    "carriage returns alone": GOOD.replace("\n", "\r").encode(),
    "blanks around numbers": GOOD.replace(",", " , ").replace("x , y , z", "x,y,z").encode(),
    "blank lines": ("\n" + GOOD.replace("\n", "\n\n")).encode(),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD_AFTER_ALL)
def test_read_all_the_same(case, model):
    Path("a.csv").write_bytes(GOOD_AFTER_ALL[case])
    result = CliRunner().invoke(app, ["certify", model, "a.csv"])
    assert result.exit_code == 0, result.output


CELL = st.one_of(
    st.sampled_from(["", "1", "-2.5", "1e308", "1e-320", "nan", "inf", '"', '"3"', "a", ",", ";"]),
    st.floats().map(str),
    st.text(max_size=4),
)
ROWS = st.lists(st.lists(CELL, min_size=1, max_size=4).map(",".join), max_size=6)
TEXTS = st.builds(lambda head, rows: "\n".join([head, *rows]).encode("utf-8", "surrogatepass"),
                  st.sampled_from(["x,y,z", "x,y", "x", "x;y", "x,x", ""]), ROWS)  # fmt: skip
QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def damaged(content):
    """A file with some bytes replaced or cut off."""
    places = st.lists(
        st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=4
    )

    def damage(changes, end):
        changed = bytearray(content)
        for place, byte in changes:
            changed[place] = byte
        return bytes(changed[:end])

    return st.builds(damage, places, st.integers(len(content) // 2, len(content)))


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npz"])
def test_any_bytes(model, ending):
    @QUICK
    @given(st.one_of(st.binary(max_size=200), TEXTS))
    def check(content):
        ends_well_or_in_one_line(f"bad.{ending}", content, model)

    check()


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_damaged_files(model, kind):
    content = PARQUET if kind == "parquet" else npz(x=X, y=X % 3, z=X)

    @QUICK
    @given(damaged(content))
    def check(content):
        ends_well_or_in_one_line(f"bad.{kind}", content, model)

    check()


def ends_well_or_in_one_line(file, content, model):
    Path(file).write_bytes(content)
    for words in commands(file, model):
        if words[0] == "fit":
            words += ["--alpha", "1"]
        before = sorted(os.listdir())
        result = CliRunner().invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (0, 1, 2)
        if result.exit_code == 2:
            assert result.stdout == "" and result.stderr.count("\n") == 1
            assert sorted(os.listdir()) == before
        for made in ("out.csv", "out/report.html"):
            if os.path.exists(made):
                assert result.exit_code == 0
        if os.path.exists("out.csv"):
            os.unlink("out.csv")
        if os.path.isdir("out"):
            for name in os.listdir("out"):
                os.unlink(f"out/{name}")
            os.rmdir("out")
