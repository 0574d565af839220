"""The rate at which a measured quantity falls with the number of tasks, and how sure it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mtrelu.validation import FloatArray, InvalidInputError

__all__ = ["Rate", "fit_rate", "medians"]

FEWEST = 3
FEWEST_SEEDS = 5
"""In simulations an interval from five seeds covers about 95 %, from three 80 %, from two 50 %."""
N_BOOTSTRAP = 1000
COVERAGE = 0.95
MOST_LOST = 0.05
"""The share of bootstrap samples without a rate beyond which no interval is given."""


@dataclass(frozen=True)
class Rate:
    """A power law, quantity ≈ constant · T^exponent.

    Attributes
    ----------
    exponent : float
        The slope on logarithmic axes; NaN where there are too few numbers to fit one.
    low, high : float
        Ends of the 95 % bootstrap interval over the seeds; NaN for fewer than five seeds.
    constant : float
        The value of the power law at T = 1.
    misfit : float
        The largest factor, at least 1, between a median and the power law. Far above 1 the curve is
        no power law, and the exponent is only its mean slope, whatever the interval says.
    n_tasks : tuple of int
        The numbers of tasks that were used.

    Examples
    --------
    >>> rate = fit_rate([1, 10, 100], [[3.0, 0.3, 0.03]])
    >>> rate.in_words(), round(float(rate(1000)), 6)
    ('T^(-1.00)', 0.003)
    """

    exponent: float
    low: float
    high: float
    constant: float
    misfit: float
    n_tasks: tuple[int, ...]

    def __call__(self, n_tasks: Any) -> Any:
        """Evaluate the power law.

        Parameters
        ----------
        n_tasks : float or ndarray
            Numbers of tasks.

        Returns
        -------
        float or ndarray
            In the units of the values.
        """
        return self.constant * np.asarray(n_tasks, dtype=np.float64) ** self.exponent

    def in_words(self, *, interval: bool = True) -> str:
        """Say the exponent, with its interval if wanted, or that there is none."""
        if np.isnan(self.exponent):
            return "no rate"
        known = interval and not np.isnan(self.low)
        sure = f" (95 %: {self.low:.2f} … {self.high:.2f})" if known else ""
        return f"T^({self.exponent:.2f}){sure}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is not known is None."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


def fit_rate(n_tasks: Any, values: Any) -> Rate:
    """Fit a power law to medians over seeds by least squares of their logarithms.

    The uncertainty is that of the seeds: they are drawn again with replacement 1,000 times (by a
    generator of fixed seed), and the medians and the exponent computed anew. Fewer than five seeds
    are too few for that: the interval would be too short. How straight the curve
    is on logarithmic axes is another question, which `Rate.misfit` answers.

    Parameters
    ----------
    n_tasks : array_like of shape (M,), int
        Numbers of tasks, at least 1, each once.
    values : array_like of shape (S, M)
        One row a seed. NaN: not measured, left out of the medians. A number of tasks whose median
        is not positive and finite has no logarithm and is not used; `Rate.n_tasks` tells which
        were.

    Returns
    -------
    Rate
        Without an exponent for fewer than three usable numbers of tasks; without an interval for
        fewer than five seeds, or when more than 5 % of the bootstrap samples have no rate.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit together, or numbers of tasks below 1 or named twice.

    Examples
    --------
    >>> rate = fit_rate([1, 4, 16, 64], [[8.0, 4.0, 2.0, 1.0], [16.0, 8.0, 4.0, 2.0]])
    >>> round(rate.exponent, 6), round(rate.constant, 6), round(rate.misfit, 6)
    (-0.5, 12.0, 1.0)
    """
    T = np.asarray(n_tasks, dtype=np.float64)
    table = np.asarray(values, dtype=np.float64)
    if T.ndim != 1 or table.ndim != 2 or table.shape[1] != T.size or table.shape[0] == 0:
        raise InvalidInputError(
            f"values has shape {table.shape} and n_tasks {T.shape}, but there must be one row a "
            "seed and one column a number of tasks."
        )
    if T.size and (T.min() < 1 or np.unique(T).size < T.size):
        raise InvalidInputError(
            f"n_tasks is {T.astype(int).tolist()}; give each number of tasks once, from 1."
        )
    exponent, constant, used = _least_squares(T, medians(table))
    if np.isnan(exponent):
        nan = float("nan")
        return Rate(nan, nan, nan, nan, nan, ())
    off = np.abs(np.log(medians(table)[used]) - np.log(constant * T[used] ** exponent))
    low, high = _interval(T, table)
    return Rate(
        exponent, low, high, constant, float(np.exp(off.max())), tuple(T[used].astype(int).tolist())
    )


def medians(table: FloatArray) -> FloatArray:
    """Return the median over the seeds for each number of tasks.

    Parameters
    ----------
    table : ndarray of shape (..., S, M)
        One row a seed, NaN where nothing was measured.

    Returns
    -------
    ndarray of shape (..., M)
        Of what was measured; NaN where nothing was.
    """
    nothing = np.asarray(np.isnan(table).all(axis=-2, keepdims=True))
    # Filling the empty columns keeps NumPy from warning about them.
    middle = np.nanmedian(np.where(nothing, 0.0, table), axis=-2)
    return np.where(nothing[..., 0, :], np.nan, middle)


def _least_squares(T: FloatArray, values: FloatArray) -> tuple[float, float, np.ndarray]:
    """Exponent, constant, and which numbers of tasks were used; NaN for fewer than three."""
    used = np.isfinite(values) & (values > 0.0)
    if np.count_nonzero(used) < FEWEST:
        return float("nan"), float("nan"), used
    x, y = np.log(T[used]), np.log(values[used])
    centred = x - x.mean()
    exponent = float(centred @ y / (centred @ centred))
    return exponent, float(np.exp(y.mean() - exponent * x.mean())), used


def _interval(T: FloatArray, table: FloatArray) -> tuple[float, float]:
    """The bootstrap interval of the exponent over the rows of the table."""
    n_seeds = len(table)
    if n_seeds < FEWEST_SEEDS:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = table[rng.integers(n_seeds, size=(N_BOOTSTRAP, n_seeds))]
    exponents = np.array([_least_squares(T, middle)[0] for middle in medians(drawn)])
    if np.isnan(exponents).mean() > MOST_LOST:
        return float("nan"), float("nan")
    outside = 0.5 * (1.0 - COVERAGE)
    low, high = np.nanquantile(exponents, [outside, 1.0 - outside])
    return float(low), float(high)
