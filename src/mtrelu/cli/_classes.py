"""What the logistic loss needs of a table: labels 0 and 1 that no free function separates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


WAYS_OUT = {
    "affine": "Give --skip constant, with which there always is a best fit",
    "constant": "Leave the column out by naming the others with --tasks",
}


def refuse_separable(X: np.ndarray, Y: np.ndarray, tasks: list[str], skip: str) -> None:
    """Raise an error that names the column whose classes need no neuron to be told apart.

    Then there is no best fit: the probabilities creep towards 0 and 1 for ever, at no cost.
    """
    import numpy as np

    from mtrelu.problem import Problem
    from mtrelu.validation import InvalidInputError

    for name, column in zip(tasks, Y.T, strict=True):
        known = ~np.isnan(column)
        y = column[known]
        outside = y[(y < 0.0) | (y > 1.0)]
        if outside.size:
            raise InvalidInputError(
                f"column {name!r} holds {outside[0]:g}, but the logistic loss needs labels between "
                "0 and 1: the two classes. Recode it, or leave the column out by naming the "
                "others with --tasks."
            )
        if np.ptp(y) == 0.0 and y[0] in (0.0, 1.0):
            raise InvalidInputError(
                f"column {name!r} is {y[0]:g} in every row, so that there are no two classes to "
                "tell apart. Leave it out by naming the others with --tasks."
            )
        problem = Problem.make(X[known], y, 1.0, loss="logistic", skip=skip)
        try:
            problem.affine_fit()
        except InvalidInputError:
            raise InvalidInputError(
                f"the classes 0 and 1 of column {name!r} are told apart without error by a single "
                "straight cut, which costs nothing here, so that probabilities would go to 0 and 1 "
                f"for ever and there is no best fit. {WAYS_OUT[skip]}."
            ) from None
