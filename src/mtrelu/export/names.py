"""What the inputs and outputs of a model are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError


def names_of(
    model: Any, network: ReLUNetwork, inputs: Sequence[str] | None, tasks: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the names of the inputs and tasks of a model.

    Parameters
    ----------
    model : object
        What `network` was read from. A fitted estimator may remember names.
    network : ReLUNetwork
        The network.
    inputs, tasks : sequence of str or None
        Names given by the caller, which come first.

    Returns
    -------
    inputs, tasks : list of str
        Those given, else those of the data frames that the model was fitted to, else a classifier's
        classes, else x0, x1, … and y0, y1, …

    Raises
    ------
    InvalidInputError
        Names that are too few, too many, not text, or the same twice.

    Examples
    --------
    >>> network = ReLUNetwork([[1.0, 2.0]], [0.0], [[1.0]], [[0.0, 0.0]], [0.0])
    >>> names_of(network, network, None, ["price"])
    (['x0', 'x1'], ['price'])
    """
    if inputs is None:
        inputs = getattr(model, "feature_names_in_", None)
    if tasks is None:
        tasks = getattr(model, "task_names_", None)
    if tasks is None and hasattr(model, "classes_"):
        # One task a class or label; with two classes one task, the logit of the second.
        tasks = [str(label) for label in model.classes_[-network.n_tasks :]]
    return (
        _checked(inputs, "inputs", "x", network.n_inputs),
        _checked(tasks, "tasks", "y", network.n_tasks),
    )


def _checked(names: Sequence[str] | None, argument: str, letter: str, expected: int) -> list[str]:
    if names is None:
        return [f"{letter}{i}" for i in range(expected)]
    given = list(names)
    if isinstance(names, str) or len(given) != expected:
        raise InvalidInputError(
            f"{argument} is {names!r}, but the network has {expected} {argument}; pass a list of "
            f"{expected} names."
        )
    for name in given:
        if not isinstance(name, str):
            raise InvalidInputError(
                f"{argument} has the name {name!r}, which is not text; pass a list of text."
            )
    if len(set(given)) < expected:
        twice = next(name for name in given if given.count(name) > 1)
        raise InvalidInputError(
            f"{argument} has the name {twice!r} twice; give each of the {argument} its own name."
        )
    return [str(name) for name in given]
