"""Which kinds of files hold tables, by the endings of their names."""

from __future__ import annotations

from mtrelu.validation import MissingExtraError

PARQUET = {".parquet", ".pq"}
TEXT = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
"""What separates the columns, by the file's ending; None: seen from its first line."""
NPZ = {".npz"}
KNOWN = {*PARQUET, *TEXT, *NPZ}
ENDINGS = ".csv, .tsv, .parquet or .npz"


def refuse_without_pyarrow() -> None:
    """Raise `MissingExtraError` where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError("cli", "pyarrow") from None
