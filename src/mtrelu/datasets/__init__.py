"""Small real tables, shipped with the package: many tasks that share their inputs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

from mtrelu.validation import InvalidInputError

__all__ = ["DATASETS", "Dataset", "load_cars", "load_el_nino", "load_macrodata"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Tasks that share their inputs.

    Attributes
    ----------
    X : ndarray of shape (N, d), float64
        The inputs; a single input is ascending.
    Y : ndarray of shape (N, T), float64
        One column per task.
    tasks : tuple of str
        The name of each task, length T.
    input_names : tuple of str
        What the columns of `X` are, length d.
    title : str
        A heading.
    description : str
        What was measured, by whom, and the licence.
    """

    X: np.ndarray
    Y: np.ndarray
    tasks: tuple[str, ...]
    input_names: tuple[str, ...]
    title: str
    description: str


def load_el_nino() -> Dataset:
    """Sea-surface temperature off South America: 61 years as tasks over the 12 months.

    Returns
    -------
    Dataset
        `X` of shape (12, 1) holds the months 1 … 12, `Y` of shape (12, 61) the temperatures in
        °C, a column per year from 1950 to 2010.

    Examples
    --------
    >>> from mtrelu.datasets import load_el_nino
    >>> data = load_el_nino()
    >>> data.Y.shape, data.tasks[0], data.tasks[-1]
    ((12, 61), '1950', '2010')
    """
    names, table = _read("el_nino.csv")
    return Dataset(
        X=np.arange(1.0, len(names))[:, None],
        Y=np.ascontiguousarray(table[:, 1:].T),
        tasks=tuple(str(int(year)) for year in table[:, 0]),
        input_names=("month",),
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
        `X` of shape (203, 1) is the year (quarters are fractions), `Y` of shape (203, 12).

    Examples
    --------
    >>> from mtrelu.datasets import load_macrodata
    >>> data = load_macrodata()
    >>> data.X[:3, 0]
    array([1959.  , 1959.25, 1959.5 ])
    >>> data.tasks[:3]
    ('realgdp', 'realcons', 'realinv')
    """
    names, table = _read("macrodata.csv")
    return Dataset(
        X=(table[:, 0] + (table[:, 1] - 1.0) / 4.0)[:, None],
        Y=np.ascontiguousarray(table[:, 2:]),
        tasks=tuple(names[2:]),
        input_names=("year",),
        title="The US economy, quarter by quarter",
        description=(
            "US macroeconomic quarterly series, 1959–2009: gross domestic product, consumption, "
            "investment, government spending, disposable income, price index, money stock, "
            "treasury bill rate, unemployment, population, inflation, real interest. US federal "
            "agencies, public domain."
        ),
    )


def load_cars(*, drop_missing: bool = False) -> Dataset:
    """Fuel economy, acceleration and engine size of cars of 1970 to 1982, from power and weight.

    The tasks and the inputs are in their own units: bring each to one scale before a joint fit.

    Parameters
    ----------
    drop_missing : bool
        Leave out the 14 of the 406 cars whose fuel economy or power is unknown.

    Returns
    -------
    Dataset
        `X` of shape (392, 2) holds horsepower and weight in pounds; `Y` of shape (392, 3) miles per
        gallon, the seconds from 0 to 60 miles an hour, and displacement in cubic inches.

    Raises
    ------
    InvalidInputError
        Unless ``drop_missing``: names the cars with unknown values.

    Examples
    --------
    >>> from mtrelu.datasets import load_cars
    >>> data = load_cars(drop_missing=True)
    >>> data.input_names, data.tasks
    (('horsepower', 'weight'), ('miles per gallon', 'acceleration', 'displacement'))
    >>> data.X[0], data.Y[0]
    (array([ 130., 3504.]), array([ 18.,  12., 307.]))
    """
    header, rows = _rows("cars.csv")
    wanted = ("Horsepower", "Weight_in_lbs", "Miles_per_Gallon", "Acceleration", "Displacement")
    columns = [header.index(name) for name in wanted]
    unknown = [any(not row[column] for column in columns) for row in rows]
    if any(unknown) and not drop_missing:
        named = [f"{row[0]} (row {i})" for i, row in enumerate(rows, start=1) if unknown[i - 1]]
        raise InvalidInputError(
            f"drop_missing is False, but {len(named)} of the {len(rows)} cars have no fuel economy "
            f"or no power: {', '.join(named)}. Unknown values are not guessed; pass "
            "drop_missing=True to leave these cars out."
        )
    known = [row for row, incomplete in zip(rows, unknown, strict=True) if not incomplete]
    table = np.array([[row[column] for column in columns] for row in known], dtype=np.float64)
    return Dataset(
        X=np.ascontiguousarray(table[:, :2]),
        Y=np.ascontiguousarray(table[:, 2:]),
        tasks=("miles per gallon", "acceleration", "displacement"),
        input_names=("horsepower", "weight"),
        title="Cars: economy, acceleration and engine size from power and weight",
        description=(
            "Miles per gallon, seconds from 0 to 60 miles an hour and displacement in cubic inches "
            "of cars of the model years 1970–1982, from their horsepower and their weight in "
            "pounds. Auto MPG, StatLib and UCI Machine Learning Repository, CC BY 4.0."
        ),
    )


DATASETS: dict[str, Callable[..., Dataset]] = {
    "el-nino": load_el_nino,
    "macrodata": load_macrodata,
    "cars": load_cars,
}
"""The shipped data sets by the name that the command line takes."""

INCOMPLETE = frozenset({"cars"})
"""Those with unknown values, whose loader takes ``drop_missing``."""


def _rows(name: str) -> tuple[list[str], list[list[str]]]:
    """Column names and the cells below them."""
    text = (resources.files(__name__) / name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return header, rows


def _read(name: str) -> tuple[list[str], np.ndarray]:
    """Column names and the numbers below them."""
    header, rows = _rows(name)
    return header, np.array(rows, dtype=np.float64)
