import io
import os

import numpy as np
import pytest

from mtrelu.tables import read_table, write_csv, write_table
from mtrelu.validation import InvalidInputError

KINDS = ["csv", "txt", "tsv", "tab", "parquet", "pq", "npz", "CSV"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_kept(tmp_path, kind):
    values = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-25, 25)
    values[0], values[1] = 5e-324, -1.7976931348623157e308
    columns = {
        "x, y": np.arange(50.0),
        "file": values,
        'a"b;\tc': -values,
        "é/../allow_pickle": values,
    }
    write_table(tmp_path / f"a.{kind}", columns)
    table = read_table(tmp_path / f"a.{kind}")
    assert list(table.columns) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(table.numbers(name), column)
    assert os.listdir(tmp_path) == [f"a.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_words_and_unknown_numbers(tmp_path, kind):
    columns = {"name": ["ann", "bob, jr"], "y": np.array([1.0, np.nan])}
    write_table(tmp_path / f"a.{kind}", columns)
    table = read_table(tmp_path / f"a.{kind}")
    assert table.columns["name"].to_pylist() == columns["name"]
    with pytest.raises(InvalidInputError, match=r"data rows 2 \(bob, jr\)"):
        table.numbers("y")


@pytest.mark.parametrize("kind", KINDS)
def test_all_or_nothing(tmp_path, kind, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    target = tmp_path / f"a.{kind}"
    target.write_text("before")
    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_table(target, {"x": np.arange(3.0)})
    assert target.read_text() == "before" and os.listdir(tmp_path) == [target.name]


def test_unequal_lengths_leave_nothing(tmp_path):
    with pytest.raises(ValueError):
        write_table(tmp_path / "a.csv", {"x": np.arange(3.0), "y": np.arange(2.0)})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "a.xlsx", "a.csv.gz"])
def test_unknown_endings(tmp_path, name):
    with pytest.raises(InvalidInputError, match="ends in"):
        write_table(tmp_path / name, {"x": np.arange(3.0)})


def test_to_an_open_file():
    file = io.StringIO()
    write_csv(file, {"x": np.array([0.1]), "n": np.array([3])}, delimiter=";")
    assert file.getvalue() == "x;n\n0.1;3\n"
