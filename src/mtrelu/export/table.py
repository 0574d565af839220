"""A network as a table of coefficients that people can read, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtrelu.conversion import as_network
from mtrelu.export.names import names_of
from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError

_TERM, _KNOT, _BIAS, _WEIGHT = "term", "knot", "bias", "weight of "
_CONSTANT, _SLOPE, _NEURON = "constant", "slope", "neuron"


def coefficient_table(
    model: Any, *, inputs: Sequence[str] | None = None, tasks: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the coefficients of a network as a table, one row a term of its formula.

    Parameters
    ----------
    model : ReLUNetwork, estimator or other model
        Anything that `as_network` takes; of a classifier the network of its logits.
    inputs, tasks : sequence of str, optional
        Names of the d inputs and T tasks. By default those that a fitted estimator knows, else x0,
        x1, … and y0, y1, …

    Returns
    -------
    dict of str to ndarray of shape (R,)
        Columns of equal length, as ``pandas.DataFrame(columns)`` takes them.

        With one input, a row ``constant`` and a row ``slope``, the line left of all knots, then a
        row ``knot`` for each place where the slope changes, ascending. The columns are ``term``,
        ``knot`` (NaN in the first two rows) and one for each task t, such that
        f_t(x) = constant + slope · x + Σ change · (x − knot)₊.

        With more inputs, rows ``constant``, ``slope`` (one for each input) and ``neuron``. The
        columns are ``term``, ``weight of x0``, …, ``bias`` and one for each task: a row stands for
        the task's coefficient times weight·x + bias, of which a neuron takes the positive part [1].

    Raises
    ------
    InvalidInputError
        Not a network with one hidden ReLU layer, or names that do not fit or are those of other
        columns.

    See Also
    --------
    network_from_table : Back from the table.

    Examples
    --------
    >>> import mtrelu
    >>> network = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0).network
    >>> for name, column in coefficient_table(network, tasks=["height"]).items():
    ...     print(name, column.tolist())
    term ['constant', 'slope', 'knot']
    knot [nan, nan, 2.0]
    height [0.0, 1.0, -2.0]
    """
    network = as_network(model)
    input_names, task_names = names_of(model, network, inputs, tasks)
    if network.n_inputs == 1:
        line = network.canonical()
        terms = [_CONSTANT, _SLOPE] + [_KNOT] * line.n_neurons
        described = {_KNOT: np.concatenate([[np.nan, np.nan], 0.0 - line.b])}
        values = np.vstack([line.c, line.A.T, line.v])
    else:
        d = network.n_inputs
        terms = [_CONSTANT] + [_SLOPE] * d + [_NEURON] * network.n_neurons
        weights = np.vstack([np.zeros((1, d)), np.eye(d), network.w])
        described = {_WEIGHT + name: weights[:, j] for j, name in enumerate(input_names)}
        described[_BIAS] = np.concatenate([[1.0], np.zeros(d), network.b])
        values = np.vstack([network.c, network.A.T, network.v])
    for name in task_names:
        if not _is_task(name):
            raise InvalidInputError(
                f"tasks has the name {name!r}, but {_TERM!r}, {_KNOT!r}, {_BIAS!r} and what starts "
                f"with {_WEIGHT!r} name other columns of the table; pass other names as tasks."
            )
    return {_TERM: np.array(terms), **described} | dict(zip(task_names, values.T, strict=True))


def network_from_table(columns: Any) -> ReLUNetwork:
    """Return the network whose coefficients stand in a table.

    Parameters
    ----------
    columns : mapping of str to array_like of shape (R,), or data frame
        What `coefficient_table` returned, also after a detour through a file or with rows or
        columns in another order. All columns but ``term``, ``knot``, ``bias`` and ``weight of …``
        are tasks, in their order: leave out what else a file may have, such as row numbers.

    Returns
    -------
    ReLUNetwork
        With one input ``network.canonical()`` of the network that the table was made of, with more
        the same parameters.

    Raises
    ------
    InvalidInputError
        Columns or rows that are missing or unknown, or cells that are not finite numbers.

    Examples
    --------
    A line that bends once:

    >>> columns = {"term": ["constant", "slope", "knot"], "knot": [None, None, 2.0],
    ...            "height": [0.0, 1.0, -2.0]}
    >>> network_from_table(columns)([1.0, 2.0, 3.0]).ravel()
    array([1., 2., 1.])
    """
    names = list(getattr(columns, "columns", columns if isinstance(columns, Mapping) else []))
    if _TERM not in names or (_KNOT in names) == (_BIAS in names):
        raise InvalidInputError(
            f"columns are {', '.join(map(repr, names[:8]))}, but a table of coefficients has "
            f"{_TERM!r} and either {_KNOT!r} or {_BIAS!r} among them; pass what coefficient_table "
            "returned."
        )
    tasks = [name for name in names if _is_task(name)]
    weights = [name for name in names if isinstance(name, str) and name.startswith(_WEIGHT)]
    kind = _KNOT if _KNOT in names else _NEURON
    if not tasks or bool(weights) != (kind == _NEURON):
        raise InvalidInputError(
            f"columns has {len(tasks)} tasks and {len(weights)} columns {_WEIGHT}…, but there is "
            f"at least one task, and weights go with {_BIAS!r}; pass what coefficient_table "
            "returned."
        )
    lengths = {len(columns[name]) for name in names}
    if len(lengths) > 1:
        raise InvalidInputError(
            f"columns has between {min(lengths)} and {max(lengths)} rows, but every column has a "
            "cell in every row; pass what coefficient_table returned."
        )
    terms = np.asarray(columns[_TERM], dtype=object)
    unknown = [term for term in terms.tolist() if term not in (_CONSTANT, _SLOPE, kind)]
    if unknown:
        raise InvalidInputError(
            f"columns has a row with the term {unknown[0]!r}, but the terms of this table are "
            f"{_CONSTANT!r}, {_SLOPE!r} and {kind!r}; pass what coefficient_table returned."
        )
    rows = {term: np.flatnonzero(terms == term) for term in (_CONSTANT, _SLOPE, kind)}
    n_slopes = max(1, len(weights))
    if (rows[_CONSTANT].size, rows[_SLOPE].size) != (1, n_slopes):
        raise InvalidInputError(
            f"columns has {rows[_CONSTANT].size} rows {_CONSTANT!r} and {rows[_SLOPE].size} rows "
            f"{_SLOPE!r}, but the function has 1 and {n_slopes}; pass what coefficient_table "
            "returned."
        )
    constant, slopes, neurons = (_cells(columns, tasks, rows[term]) for term in rows)
    if kind == _KNOT:
        knots = _cells(columns, [_KNOT], rows[_KNOT])[:, 0]
        return ReLUNetwork.from_knots(knots, neurons, slopes[0], constant[0])
    directions = _cells(columns, weights, rows[_SLOPE])
    return ReLUNetwork(
        _cells(columns, weights, rows[_NEURON]),
        _cells(columns, [_BIAS], rows[_NEURON])[:, 0],
        neurons,
        slopes.T @ directions,
        constant[0],
    )


def _is_task(name: Any) -> bool:
    return name not in (_TERM, _KNOT, _BIAS) and not str(name).startswith(_WEIGHT)


def _cells(columns: Any, names: list[str], rows: np.ndarray) -> FloatArray:
    """Return some columns of some rows, (len(rows), len(names)), all finite numbers."""
    cells = np.empty((rows.size, len(names)))
    for j, name in enumerate(names):
        column = np.asarray(columns[name], dtype=object)
        try:
            cells[:, j] = column[rows]
        except (TypeError, ValueError):
            cells[:, j] = np.nan
        bad = np.flatnonzero(~np.isfinite(cells[:, j]))
        if bad.size:
            raise InvalidInputError(
                f"columns has {column[rows[bad[0]]]!r} in row {rows[bad[0]]} of {name!r}, which is "
                "no finite number; fill it in."
            )
    return cells
