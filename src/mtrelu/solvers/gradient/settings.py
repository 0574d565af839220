"""How to train: every choice, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np

from mtrelu.problem import Problem
from mtrelu.validation import InvalidInputError
from mtrelu.verify import refuse_uncertifiable

DEFAULT_STEPS = {"adam": 30_000, "lbfgs": 3_000, "proximal": 10_000}
CHOICES = {
    "method": tuple(DEFAULT_STEPS),
    "schedule": ("settle", "constant"),
    "reduction": ("mean", "sum"),
    "stop": ("stationarity", "certificate"),
    "dtype": ("float32", "float64"),
}
DEFAULT_RATE = 3e-3
CHECKS = 50  # judgements of a run of full length
# A judgement costs as much as ten steps of Adam, and about as much as one of the other methods.
LEAST_INTERVAL = {"adam": 100, "lbfgs": 1, "proximal": 1}


@dataclass(frozen=True)
class Settings:
    """What a training run depends on, besides the problem and where it starts.

    Attributes
    ----------
    seeds : tuple of int
        One network each.
    width : int
        Neurons of each network, K.
    method, schedule, reduction, stop, dtype, device : str
        See :func:`mtrelu.train`.
    steps : int
        After which training ends in any case.
    learning_rate : float or None
        Of Adam; the other methods search along a line.
    tol : float
        What ``stop`` has to fall to.
    """

    seeds: tuple[int, ...]
    width: int
    method: str
    steps: int
    learning_rate: float | None
    schedule: str
    reduction: str
    stop: str
    tol: float
    dtype: str
    device: str

    @property
    def check_every(self) -> int:
        """Steps between two judgements."""
        return max(LEAST_INTERVAL[self.method], self.steps // CHECKS)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON stores them."""
        return asdict(self) | {"seeds": list(self.seeds)}


def as_settings(
    problem: Problem,
    *,
    seeds: Any,
    width: Any,
    method: str,
    steps: Any,
    learning_rate: Any,
    schedule: str,
    reduction: str,
    stop: str,
    tol: Any,
    dtype: str,
    device: object,
) -> Settings:
    """Check the choices and fill in what depends on other choices.

    Raises
    ------
    InvalidInputError
        A choice that is unknown or cannot work.
    """
    chosen = {
        "method": method,
        "schedule": schedule,
        "reduction": reduction,
        "stop": stop,
        "dtype": dtype,
    }
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise InvalidInputError(
                f"{name} is {value!r}; choose one of {', '.join(map(repr, CHOICES[name]))}."
            )
    refuse_untrainable(problem, dtype)
    if not (isinstance(tol, Real) and 0 < float(tol) < np.inf):
        raise InvalidInputError(
            f"tol is {tol!r}, but the {stop} is compared with it; pass a number > 0 such as 1e-3."
        )
    if stop == "certificate":
        refuse_uncertifiable(problem, tol)
    if width is None:  # Appendix B of the paper
        width = 20 if problem.n_inputs == 1 else 800
    if method != "adam" and (learning_rate is not None or schedule != "settle"):
        raise InvalidInputError(
            f"learning_rate is {learning_rate!r} and schedule {schedule!r}, but "
            f"method={method!r} finds its steps by itself; leave both out, or pass method='adam'."
        )
    if method == "adam" and learning_rate is None:
        learning_rate = DEFAULT_RATE
    if learning_rate is not None and not (
        isinstance(learning_rate, Real) and 0 < float(learning_rate) < np.inf
    ):
        raise InvalidInputError(
            f"learning_rate is {learning_rate!r}, but it must be a finite number > 0; "
            f"{DEFAULT_RATE:g} is the default."
        )
    return Settings(
        seeds=_as_seeds(seeds),
        width=_whole(width, "width", "neurons"),
        method=method,
        steps=_whole(DEFAULT_STEPS[method] if steps is None else steps, "steps", "steps"),
        learning_rate=None if learning_rate is None else float(learning_rate),
        schedule=schedule,
        reduction=reduction,
        stop=stop,
        tol=float(tol),
        dtype=dtype,
        device=str(device),
    )


def refuse_untrainable(problem: Problem, dtype: str) -> None:
    """Raise `InvalidInputError` for a problem that training cannot descend.

    Examples
    --------
    >>> refuse_untrainable(Problem.make([0.0, 1.0], [0.0, 1.0], alpha=1.0), "float32")
    """
    if problem.alpha == 0.0:
        raise InvalidInputError(
            "alpha is 0, but without weight decay training ends at any interpolant, not at one of "
            "least norm [2]; pass a small alpha > 0, or interpolate with mtrelu.solve."
        )
    for name, values in (("X", problem.X), ("Y", problem.Y)):
        largest = float(np.abs(values).max())
        if largest > float(np.finfo(dtype).max) ** 0.5 / values.size:
            raise InvalidInputError(
                f"{name} has a value of size {largest:.3g}, the squares of which have no sum in "
                f"{dtype}; divide it by its size"
                + (', or pass dtype="float64".' if dtype == "float32" else ".")
            )


def _as_seeds(seeds: Any) -> tuple[int, ...]:
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        return tuple(range(_whole(seeds, "seeds", "networks")))
    valid = isinstance(seeds, Sequence | np.ndarray) and not isinstance(seeds, str)
    if not valid or not len(seeds):
        raise InvalidInputError(
            f"seeds is {seeds!r}; pass how many networks to train, or a list of their seeds."
        )
    whole = [isinstance(each, int | np.integer) and each >= 0 for each in seeds]
    if not all(whole) or len(set(seeds)) < len(seeds):
        raise InvalidInputError(
            f"seeds is {seeds!r}, but seeds are whole numbers >= 0, and each trains one network; "
            "pass every seed once."
        )
    return tuple(int(each) for each in seeds)


def _whole(value: Any, name: str, counted: str) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (whole and value >= 1):
        raise InvalidInputError(
            f"{name} is {value!r}, but {counted} are counted; pass a whole number of at least 1."
        )
    return int(value)
