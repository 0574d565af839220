"""The cells of a column: what number each is, and how to show those that are none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

# What pyarrow takes for null by default.
UNKNOWN = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
]  # fmt: skip
"""Cells of text files that say that a value is not known."""
EXACT = 2.0**53
"""From here on float64 cannot tell whole numbers apart."""


def is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def parsed(cells: Any, decimal: str = ".") -> np.ndarray | None:
    """The numbers that cells of text are, NaN where one is unknown; None if one is neither."""
    import pyarrow
    import pyarrow.compute as compute

    words = compute.utf8_trim_whitespace(cells)
    if decimal != ".":
        # A point, which could be there to group thousands, is no longer part of a number.
        words = compute.replace_substring(words, ".", "?")
        words = compute.replace_substring(words, decimal, ".")
    unknown = compute.is_in(words, value_set=pyarrow.array(UNKNOWN, words.type))
    known = compute.if_else(unknown, pyarrow.scalar(None, words.type), words)
    try:
        return np.array(known.cast("double").to_numpy(zero_copy_only=False), dtype=np.float64)
    except pyarrow.ArrowInvalid:
        return None


def cast(cells: Any) -> np.ndarray | None:
    """A typed column as float64, NaN where it is null; None if it does not hold numbers."""
    import pyarrow.types as types

    kind = cells.type
    numeric = (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_null(kind)  # a column of empty cells; its rows are then named
    )
    if not numeric:
        return None
    # Not safe, so that whole numbers that do not fit come back for `is_inexact` to find.
    return np.array(cells.cast("double", safe=False).to_numpy(zero_copy_only=False))


def is_inexact(cells: Any, values: np.ndarray) -> bool:
    """Whether a whole number was rounded on its way to float64."""
    import pyarrow.types as types

    if not (is_text(cells.type) or types.is_integer(cells.type)):
        return False
    for i in np.flatnonzero(np.isfinite(values) & (np.abs(values) >= EXACT)):
        digits = str(cells[int(i)].as_py()).strip().lstrip("+-0")
        if digits.isdecimal() and int(digits) != abs(int(values[i])):
            return True
    return False


def first_text(cells: Any, decimal: str = ".") -> str:
    """What stands in place of a number: for text the first such cell, with its row."""
    import pyarrow

    if not is_text(cells.type):
        kind = f"it is of type {str(cells.type)[:60]}"
        try:
            return f"{kind}, for example {short(cells.slice(0, 1).cast('string')[0].as_py())}"
        except pyarrow.ArrowException:  # lists, structures
            return kind
    row, end = 0, len(cells)
    while end - row > 1:
        middle = (row + end) // 2
        if parsed(cells.slice(row, middle - row), decimal) is None:
            end = middle
        else:
            row = middle
    word = cells[row].as_py()
    comma = re.fullmatch(r"\s*[-+]?\d+,\d+\s*", word)
    return f"{short(word)} in data row {row + 1}" + (
        ", where the comma before the decimals is understood with --decimal , only"
        if comma and decimal == "."
        else ""
    )


def short(value: object) -> str:
    """A value in quotation marks as Python writes them, cut where it is long."""
    text = repr(value if isinstance(value, str) else str(value))
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"


def few(names: Iterable[object], count: int | None = None, most: int = 8) -> str:
    """The first names, and how many more there are."""
    texts = [str(name) for name in names]
    count = len(texts) if count is None else count
    more = f" and {count - most} more" if count > most else ""
    shown = (text if len(text) <= 80 else f"{text[:77]}…" for text in texts[:most])
    return ", ".join(shown) + more
