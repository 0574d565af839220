"""Small real tables, shipped with the package: many tasks that share one input."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

__all__ = ["DATASETS", "Dataset", "load_el_nino", "load_macrodata"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Tasks that share one input.

    Attributes
    ----------
    x : ndarray of shape (N,), float64
        The input, ascending.
    Y : ndarray of shape (N, T), float64
        One column per task.
    tasks : tuple of str
        The name of each task, length T.
    input_name : str
        What `x` is, with its unit.
    title : str
        A heading.
    description : str
        What was measured, by whom, and the licence.
    """

    x: np.ndarray
    Y: np.ndarray
    tasks: tuple[str, ...]
    input_name: str
    title: str
    description: str


def load_el_nino() -> Dataset:
    """Sea-surface temperature off South America: 61 years as tasks over the 12 months.

    Returns
    -------
    Dataset
        `x` holds the months 1 … 12, `Y` of shape (12, 61) the temperatures in °C, a column per
        year from 1950 to 2010.

    Examples
    --------
    >>> from mtrelu.datasets import load_el_nino
    >>> data = load_el_nino()
    >>> data.Y.shape, data.tasks[0], data.tasks[-1]
    ((12, 61), '1950', '2010')
    """
    names, table = _read("el_nino.csv")
    return Dataset(
        x=np.arange(1.0, len(names)),
        Y=np.ascontiguousarray(table[:, 1:].T),
        tasks=tuple(str(int(year)) for year in table[:, 0]),
        input_name="month",
        title="El Niño: sea-surface temperature by month",
        description=(
            "Monthly sea-surface temperature in °C of the Niño 1+2 region, off the Pacific coast "
            "of South America, 1950–2010; every year is a task over the 12 months. US National "
            "Oceanic and Atmospheric Administration, public domain."
        ),
    )


def load_macrodata() -> Dataset:
    """Twelve quarterly series of the US economy, 1959 to 2009.

    The series are in their own units (dollars, per cent, persons): a joint fit follows the
    largest numbers unless they are brought to one scale first.

    Returns
    -------
    Dataset
        `x` of shape (203,) is the year (quarters are fractions), `Y` of shape (203, 12).

    Examples
    --------
    >>> from mtrelu.datasets import load_macrodata
    >>> data = load_macrodata()
    >>> data.x[:3]
    array([1959.  , 1959.25, 1959.5 ])
    >>> data.tasks[:3]
    ('realgdp', 'realcons', 'realinv')
    """
    names, table = _read("macrodata.csv")
    return Dataset(
        x=table[:, 0] + (table[:, 1] - 1.0) / 4.0,
        Y=np.ascontiguousarray(table[:, 2:]),
        tasks=tuple(names[2:]),
        input_name="year",
        title="The US economy, quarter by quarter",
        description=(
            "US macroeconomic quarterly series, 1959–2009: gross domestic product, consumption, "
            "investment, government spending, disposable income, price index, money stock, "
            "treasury bill rate, unemployment, population, inflation, real interest. US federal "
            "agencies, public domain."
        ),
    )


DATASETS: dict[str, Callable[[], Dataset]] = {
    "el-nino": load_el_nino,
    "macrodata": load_macrodata,
}
"""The shipped data sets by the name that the command line takes."""


def _read(name: str) -> tuple[list[str], np.ndarray]:
    """Column names and the numbers below them."""
    text = (resources.files(__name__) / name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return header, np.array(rows, dtype=np.float64)
