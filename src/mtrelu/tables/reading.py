"""Read tables, or say in one line why a file is none."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.tables._cells import short
from mtrelu.tables._kinds import ENDINGS, KNOWN, PARQUET, TEXT, refuse_without_pyarrow
from mtrelu.tables.table import Table
from mtrelu.validation import InvalidInputError

UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: str | Path) -> Table:
    """Read a table whose columns have names.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.txt`` file (separated by commas, semicolons or tabs, whichever its first
        line has most of), ``.tsv`` or ``.tab``, ``.parquet`` or ``.pq``, or ``.npz``. The arrays of
        an NPZ file are columns if they have one dimension; one of shape (N, k) called ``name``
        becomes ``name_0`` … ``name_{k-1}``. Nothing pickled is ever loaded.

    Returns
    -------
    Table
        Its columns, not yet checked for numbers.

    Raises
    ------
    InvalidInputError
        If the file is missing, unreadable, damaged, empty, of an unknown kind, or names a column
        twice.
    MissingExtraError
        If pyarrow is not installed.
    """
    path = Path(path)
    refuse_without_pyarrow()
    import pyarrow

    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; give a file that ends in {ENDINGS}.")
    kind = path.suffix.lower()
    if kind not in KNOWN:
        raise InvalidInputError(
            f"{path} is no kind of table that can be read: its name ends in {kind or 'nothing'!r}. "
            f"Give a file that ends in {ENDINGS}."
        )
    try:
        if kind in TEXT:
            return parse_csv(path.read_bytes(), str(path), delimiter=TEXT[kind])
        columns = _read_parquet(path) if kind in PARQUET else _read_npz(path)
        return _checked(path.name, [str(name) for name, _ in columns], [c for _, c in columns])
    except InvalidInputError:
        raise
    except FileNotFoundError:
        raise InvalidInputError(f"{path} does not exist. Check the path.") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or error) from None
    except (
        pyarrow.ArrowException, ValueError, EOFError, KeyError, RuntimeError, MemoryError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise _unreadable(path, error) from None


def parse_csv(content: bytes, name: str, *, delimiter: str | None = None) -> Table:
    r"""Read a table from the bytes of a CSV file.

    Parameters
    ----------
    content : bytes
        Text in UTF-8, with or without byte-order mark; its first line names the columns.
    name : str
        What to call it in messages.
    delimiter : str, optional
        What separates the columns; by default a comma, semicolon or tab, whichever the first line
        has most of.

    Returns
    -------
    Table
        Its columns as text, numbers being read when they are asked for.

    Raises
    ------
    InvalidInputError
        If it is not such a text, has no rows, or names a column twice.
    MissingExtraError
        If pyarrow is not installed.

    Examples
    --------
    >>> parse_csv(b"x;y\n1;2.5\n2;3\n", "a.csv").numbers("y")
    array([2.5, 3. ])
    """
    refuse_without_pyarrow()
    import pyarrow.csv

    if content.startswith(UNICODE_MARKS):
        raise _unreadable(name, "it is text in UTF-16; save it in UTF-8")
    start = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    line = re.compile(rb"[\r\n]*([^\r\n]*)").match(content, start)
    header = line[1] if line else b""
    if not header.strip():
        raise InvalidInputError(
            f"{name} is empty; a table starts with a line of column names and goes on with rows."
        )
    if b"\0" in header:
        raise _unreadable(name, "it holds NUL bytes, as no text in UTF-8 does")
    try:
        text = header.decode("utf-8")
        outside_quotes = re.sub('"[^"]*"', "", text)
        separator = delimiter or max(",;\t", key=outside_quotes.count)
        names = next(csv.reader([text], delimiter=separator))
    except UnicodeDecodeError:
        raise _in_another_encoding(content, name) from None
    except csv.Error as error:
        raise _unreadable(name, error) from None
    body = memoryview(content)[line.end() if line else 0 :]
    if not bytes(body[:4096]).strip() and not bytes(body).strip():
        raise InvalidInputError(f"{name} holds no rows below its header; there is nothing to fit.")
    places = [str(j) for j in range(len(names))]
    try:
        table = pyarrow.csv.read_csv(
            pyarrow.py_buffer(body),
            # One thread, so that messages can name the row; a block must hold the longest row.
            read_options=pyarrow.csv.ReadOptions(
                column_names=places,
                use_threads=False,
                block_size=min(max(1 << 20, 64 * len(header)), 1 << 30),
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(places, pyarrow.string())
            ),
        )
    except pyarrow.ArrowException as error:
        if "UTF8" in str(error):
            raise _in_another_encoding(content, name) from None
        raise _unreadable(name, error) from None
    if content.count(b'"') % 2 and any("\n" in (c[-1].as_py() or "") for c in table.columns):
        raise _unreadable(name, "a quotation mark is opened and never closed")
    return _checked(Path(name).name, names, table.columns)


def _in_another_encoding(content: bytes, name: str) -> InvalidInputError:
    """An error that names the first row that is no UTF-8."""
    place = "it"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start)
        place = f"data row {row}" if row else "its first line"
    return _unreadable(
        name, f"{place} is no text in UTF-8, perhaps Latin-1 or Windows-1252; save it as UTF-8"
    )


def _unreadable(name: object, reason: object) -> InvalidInputError:
    lines = str(reason).splitlines() or [type(reason).__name__]
    lines[0] = re.sub(r"\bRow #(\d+)", r"data row \1", lines[0])  # as Arrow says it
    return InvalidInputError(f"{name} cannot be read as a table: {lines[0][:200]}")


def _checked(name: str, names: list[str], columns: Sequence[Any]) -> Table:
    """The table, unless a name stands for two columns or there are no rows."""
    twice = [column for column, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"{name} has more than one column called {short(twice[0])}; rename them, so that each "
            "name means one column."
        )
    if not columns or len(columns[0]) == 0:
        raise InvalidInputError(f"{name} holds no rows; there is nothing to fit.")
    return Table(name, dict(zip(names, columns, strict=True)))


def _read_parquet(path: Path) -> list[tuple[str, Any]]:
    import pyarrow.parquet

    with path.open("rb") as file:
        table = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True).read()
    table.validate(full=True)  # text that is no UTF-8, for one
    return list(zip(table.column_names, table.columns, strict=True))


def _read_npz(path: Path) -> list[tuple[str, Any]]:
    """The columns of an NPZ file; ones of two dimensions are taken apart."""
    import pyarrow

    columns: list[tuple[str, np.ndarray]] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(f"{member.filename} is compressed as no NPZ file is")
            # Read in full first, which compares its checksum.
            file = io.BytesIO(archive.read(member))
            array = np.lib.format.read_array(file, allow_pickle=False)
            name = member.filename.removesuffix(".npy")
            if array.ndim not in (1, 2):
                raise InvalidInputError(
                    f"array {short(name)} of {path} has {array.ndim} dimensions, but a table has "
                    "columns; store arrays of one or two dimensions."
                )
            if array.ndim == 1:
                columns.append((name, array))
            else:
                columns += [(f"{name}_{j}", column) for j, column in enumerate(array.T)]
    for name, array in columns[1:]:
        if len(array) != len(columns[0][1]):
            raise InvalidInputError(
                f"{path} has {len(columns[0][1])} rows in {short(columns[0][0])}, but "
                f"{len(array)} in {short(name)}; a table has as many in every column."
            )
    return [(name, pyarrow.array(_native(array))) for name, array in columns]


def _native(array: np.ndarray) -> np.ndarray:
    """An array in a form that Arrow takes: this machine's byte order, floats of up to 64 bits."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if array.dtype.byteorder not in "=|" and array.dtype.kind in "iufMmU":
        array = array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(array)
