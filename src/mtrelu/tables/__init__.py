"""Tables of numbers in CSV, TSV, Parquet and NPZ files; nothing is ever dropped silently."""

from mtrelu.tables._kinds import KNOWN
from mtrelu.tables.reading import parse_csv, read_table
from mtrelu.tables.table import Choice, Table
from mtrelu.tables.writing import refuse_ending, write_csv, write_table

__all__ = [
    "KNOWN",
    "Choice",
    "Table",
    "parse_csv",
    "read_table",
    "refuse_ending",
    "write_csv",
    "write_table",
]
