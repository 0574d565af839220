"""Write tables, every number with all its digits."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mtrelu.io.atomic import replacing
from mtrelu.tables._kinds import ENDINGS, KNOWN, NPZ, PARQUET, TEXT, refuse_without_pyarrow
from mtrelu.validation import InvalidInputError


def write_table(path: str | Path, columns: Mapping[str, Any]) -> None:
    """Write columns so that reading them gives the same numbers, all of them or no file.

    Parameters
    ----------
    path : str or Path
        Where to; an existing file is replaced once the new one is complete. The kind of file is
        that of its ending, as in `read_table`.
    columns : mapping of str to array_like of shape (M,)
        Names, and numbers or texts.

    Raises
    ------
    InvalidInputError
        If the name ends in something else, or the file cannot be written.
    MissingExtraError
        If a Parquet file is asked for and pyarrow is not installed.
    """
    refuse_ending(path)
    kind = Path(path).suffix.lower()
    with replacing(path) as beside:
        if kind in PARQUET:
            _write_parquet(beside, columns)
        elif kind in NPZ:
            _write_npz(beside, columns)
        else:
            with beside.open("w", newline="", encoding="utf-8") as file:
                write_csv(file, columns, delimiter=TEXT[kind] or ",")


def write_csv(file: TextIO, columns: Mapping[str, Any], *, delimiter: str = ",") -> None:
    """Write columns as CSV to an open text file, every number with all its digits.

    A cell is empty where the number is NaN.

    Parameters
    ----------
    file : text file
        Opened with ``newline=""``.
    columns : mapping of str to array_like of shape (M,)
        Names, and numbers or texts.
    delimiter : str
        What separates the columns.

    Examples
    --------
    >>> import sys
    >>> write_csv(sys.stdout, {"x": [1.0, 2.0], "y": [0.1, 1e-9]})
    x,y
    1.0,0.1
    2.0,1e-09
    """
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(np.asarray(values)) for values in columns.values()), strict=True))


def _cells(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return list(values.tolist())
    return [None if value != value else value for value in values.tolist()]


def refuse_ending(path: str | Path) -> None:
    """Raise `InvalidInputError` for a name that `write_table` has no kind of file for."""
    kind = Path(path).suffix.lower()
    if kind not in KNOWN:
        raise InvalidInputError(
            f"{path} is no kind of table that can be written: its name ends in "
            f"{kind or 'nothing'!r}. Give a name that ends in {ENDINGS}."
        )


def _write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    refuse_without_pyarrow()
    import pyarrow.parquet

    table = pyarrow.table({name: np.asarray(values) for name, values in columns.items()})
    pyarrow.parquet.write_table(table, path, write_page_checksum=True)


def _write_npz(path: Path, columns: Mapping[str, Any]) -> None:
    # Not by numpy.savez, which takes the names as arguments: a column may be called "file".
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
