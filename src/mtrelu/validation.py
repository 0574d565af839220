"""Turn what people pass in into clean float64 arrays, or say exactly what is wrong with it."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TINY = 1e-290
"""More than what underflows to zero on the way to a sum; gaps that prove something allow for it."""

_LARGEST_EXACT_INTEGER = 2**53
_MAX_NAMED_ENTRIES = 3
_SKIPS = ("affine", "constant", "none")
_NAN_POLICIES = ("raise", "omit")


class InvalidInputError(ValueError):
    """What was passed in cannot work.

    The message names the argument, what was received, why it cannot work and what to try.

    Examples
    --------
    >>> try:
    ...     as_alpha(-1.0)
    ... except InvalidInputError as error:
    ...     print(error)
    alpha is -1.0, but a penalty cannot be negative; pass alpha > 0, or alpha = 0 to interpolate.
    """


class MissingExtraError(ImportError):
    """An optional package is not installed.

    Parameters
    ----------
    extra : str
        Name of the extra of ``mtrelu`` that installs the package.
    package : str
        The package that could not be imported.

    Examples
    --------
    >>> print(MissingExtraError("plot", "matplotlib"))
    this needs matplotlib, which is not installed; install it with: pip install "mtrelu[plot]"
    """

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"this needs {package}, which is not installed; "
            f'install it with: pip install "mtrelu[{extra}]"'
        )


def as_inputs(X: Any, name: str = "X") -> FloatArray:
    """Return the inputs as a finite float64 array with one row a sample.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Numbers; one-dimensional means d = 1. Data frames are accepted.
    name : str
        What to call the argument in error messages.

    Returns
    -------
    ndarray of shape (N, d), float64, C-contiguous
        Shares memory with ``X`` when ``X`` already has this form.

    Raises
    ------
    InvalidInputError
        Empty, not numeric, not finite, sparse, or neither one- nor two-dimensional.

    Examples
    --------
    >>> as_inputs([1, 2, 3])
    array([[1.],
           [2.],
           [3.]])
    """
    return _as_matrix(X, name)


def as_labels(
    Y: Any, n_samples: int, name: str = "Y", *, nan_policy: str | None = None
) -> FloatArray:
    """Return the labels as a float64 array with one column a task.

    Parameters
    ----------
    Y : array_like of shape (N, T) or (N,)
        Numbers, or booleans that become 0 and 1; one-dimensional means T = 1.
    n_samples : int
        The number of rows N that the inputs have.
    name : str
        What to call the argument in error messages.
    nan_policy : {"raise", "omit"} or None
        With ``"omit"`` missing labels (NaN, None, masked) are allowed, and come back as NaN. None
        refuses them as ``"raise"`` does, but the error does not mention an option that the caller
        does not have.

    Returns
    -------
    ndarray of shape (N, T), float64, C-contiguous
        Finite but for missing labels. Shares memory with ``Y`` when ``Y`` already has this form.

    Raises
    ------
    InvalidInputError
        As `as_inputs`; a number of rows that is not ``n_samples``; an unknown ``nan_policy``.

    Examples
    --------
    >>> as_labels([True, False], 2)
    array([[1.],
           [0.]])
    >>> as_labels([1.0, None], 2, nan_policy="omit")
    array([[ 1.],
           [nan]])
    """
    if nan_policy is not None and not (isinstance(nan_policy, str) and nan_policy in _NAN_POLICIES):
        raise InvalidInputError(
            f'nan_policy is {nan_policy!r}, which is not known; pass "raise" to refuse missing '
            'labels, or "omit" to fit each task to the labels that it has.'
        )
    missing = {None: "refused", "raise": "could be omitted", "omit": "omitted"}[nan_policy]
    labels = _as_matrix(Y, name, missing)
    if labels.shape[0] != n_samples:
        raise InvalidInputError(
            f"{name} has {labels.shape[0]} rows, but the inputs have {n_samples}; every sample "
            f"needs exactly one row of labels. Pass {name} of shape ({n_samples}, T), "
            "one column a task."
        )
    return labels


def as_weights(sample_weight: Any, n_samples: int, n_tasks: int = 1) -> FloatArray:
    """Return the weights of the samples, or of the labels, as float64; ``None`` means ones.

    Parameters
    ----------
    sample_weight : array_like of shape (N,) or (N, T), or None
        Non-negative; the loss of each sample, or of each label, is multiplied by its weight.
    n_samples, n_tasks : int
        The number of samples N and of tasks T.

    Returns
    -------
    ndarray of shape (N,) or (N, T), float64
        The former where all tasks have the same weights.

    Raises
    ------
    InvalidInputError
        Another shape, negative, not finite, or all zero.

    Examples
    --------
    >>> as_weights(None, 2)
    array([1., 1.])
    >>> as_weights([[1, 1], [2, 2]], 2, 2), as_weights([[1, 0], [2, 2]], 2, 2).shape
    (array([1., 2.]), (2, 2))
    """
    if sample_weight is None:
        return np.ones(n_samples)
    shapes = f"shape ({n_samples},)"
    if n_tasks > 1:
        shapes += f", or one a label, shape ({n_samples}, {n_tasks})"
    weights = _as_matrix(sample_weight, "sample_weight")
    if weights.shape[0] != n_samples:
        raise InvalidInputError(
            f"sample_weight has {weights.shape[0]} entries, but there are {n_samples} samples; "
            f"pass one weight a sample, {shapes}."
        )
    if weights.shape[1] not in (1, n_tasks):
        raise InvalidInputError(
            f"sample_weight has {weights.shape[1]} columns, but there "
            f"{'is 1 task' if n_tasks == 1 else f'are {n_tasks} tasks'}; "
            f"pass one weight a sample, {shapes}."
        )
    if weights.min() < 0:
        row = int(np.argwhere(weights < 0)[0, 0])
        raise InvalidInputError(
            f"sample_weight has a negative weight ({weights[row].min()} at row {row}), which makes "
            "the problem unbounded; pass weights >= 0, with 0 to leave a sample or label out."
        )
    if weights.max() == 0:
        raise InvalidInputError(
            "sample_weight is zero for every sample, so there is nothing to fit; "
            "give at least one sample a positive weight."
        )
    return shared(weights)


def shared(weights: FloatArray) -> FloatArray:
    """Return weights (N, T) as one a sample, shape (N,), if all tasks have the same.

    Examples
    --------
    >>> shared(np.array([[2.0, 2.0], [3.0, 3.0]]))
    array([2., 3.])
    """
    same = bool((weights == weights[:, :1]).all())
    return np.ascontiguousarray(weights[:, 0]) if same else weights


def as_alpha(alpha: Any) -> float:
    """Return the penalty α of [12] as a float.

    Parameters
    ----------
    alpha : float
        Finite and >= 0; zero means interpolation.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        Not a real number, negative, NaN or infinite.

    Examples
    --------
    >>> as_alpha(2)
    2.0
    """
    if isinstance(alpha, np.ndarray) and alpha.ndim == 0:
        alpha = alpha.item()
    if isinstance(alpha, bool | np.bool_) or not isinstance(alpha, Real):
        raise InvalidInputError(
            f"alpha is {alpha!r}, but it must be one real number; pass alpha > 0, "
            "or alpha = 0 to interpolate."
        )
    value = float(alpha)
    if not np.isfinite(value):
        raise InvalidInputError(
            f"alpha is {value}, but it must be finite; "
            "pass alpha >= alpha_max(X, Y) if you want the affine fit."
        )
    if value < 0:
        raise InvalidInputError(
            f"alpha is {value}, but a penalty cannot be negative; "
            "pass alpha > 0, or alpha = 0 to interpolate."
        )
    return value


def as_skip(skip: Any) -> str:
    """Return the name of the part of the network that is not penalised.

    Parameters
    ----------
    skip : {"affine", "constant", "none"}
        A x + c, c alone, or nothing.

    Returns
    -------
    str

    Raises
    ------
    InvalidInputError
        Anything else.

    Examples
    --------
    >>> as_skip("affine")
    'affine'
    """
    if not (isinstance(skip, str) and skip in _SKIPS):
        raise InvalidInputError(
            f'skip is {skip!r}, which is not a known skip connection; pass "affine" (A x + c), '
            '"constant" (c), or "none".'
        )
    return skip


def refuse_unsquarable(values: FloatArray, name: str) -> None:
    """Raise `InvalidInputError` where the sum of the squares of an array over- or underflows.

    Zeros alone are fine. What is smaller than 1e-290 is beyond what certificates resolve: float64
    has few digits left there, or none.

    Examples
    --------
    >>> refuse_unsquarable(np.array([1e150, 1e-150]), "Y")
    """
    largest = max(float(values.max()), -float(values.min()))
    if 0.0 < largest < np.sqrt(TINY / values.size):
        raise InvalidInputError(
            f"{name} has values up to {largest:.3g} only, whose squares float64 cannot tell from "
            f"zero; rescale: multiply {name} by a constant."
        )
    if largest > np.sqrt(np.finfo(np.float64).max / values.size):
        raise InvalidInputError(
            f"{name} has values up to {largest:.3g}, whose squares float64 cannot add up; "
            f"rescale: divide {name} by a constant."
        )


def _as_matrix(value: Any, name: str, missing: str = "refused") -> FloatArray:
    """Return ``value`` as a finite, non-empty, C-contiguous float64 matrix.

    ``missing`` says what happens to missing entries: "refused", "could be omitted" (refused, but
    the error says how to leave them out), or "omitted" (they come back as NaN).
    """
    if hasattr(value, "toarray"):
        raise InvalidInputError(
            f"{name} is a sparse matrix, but every entry is needed here; pass {name}.toarray()."
        )
    if np.ma.isMaskedArray(value) and np.ma.getmaskarray(value).any():
        if missing != "omitted":
            raise InvalidInputError(
                f"{name} has masked entries, and missing values are not supported; "
                "drop or fill them first."
            )
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInputError(
            f"{name} has rows of different lengths, so it is not a table; pass a rectangular array."
        ) from None
    if array.ndim not in (1, 2):
        raise InvalidInputError(
            f"{name} has {array.ndim} dimensions (shape {array.shape}), but it must have one or "
            f"two; pass {name} with one row a sample."
        )
    if array.shape[0] == 0:
        raise InvalidInputError(f"{name} has no rows; pass at least one sample.")
    matrix = array[:, np.newaxis] if array.ndim == 1 else array
    if matrix.shape[1] == 0:
        raise InvalidInputError(
            f"{name} has no columns (shape {array.shape}); pass at least one column."
        )
    columns = _column_names(value, matrix.shape[1])
    floats = _as_float64(matrix, name, columns)
    finite = np.isfinite(floats)
    if missing == "omitted":
        finite |= np.isnan(floats)
    if not finite.all():
        _refuse_non_finite(floats, ~finite, name, columns, missing == "could be omitted")
    return floats


def _column_names(value: Any, n_columns: int) -> list[str]:
    """Name the columns as the caller knows them."""
    labels = getattr(value, "columns", None)
    if labels is not None and len(labels) == n_columns:
        return [f"column {label!r}" for label in labels]
    return [f"column {j}" for j in range(n_columns)]


def _as_float64(matrix: NDArray[Any], name: str, columns: list[str]) -> FloatArray:
    """Convert any real numeric matrix to float64 without losing anything silently."""
    kind = matrix.dtype.kind
    if kind in "OSU":
        return _objects_as_float64(matrix, name, columns)
    if kind not in "biuf":
        what = {"c": "complex numbers", "M": "dates", "m": "time differences"}.get(
            kind, f"entries of type {matrix.dtype}"
        )
        raise InvalidInputError(
            f"{name} has {what}, but it must have real numbers; convert them first."
        )
    if kind in "iu" and matrix.dtype.itemsize == 8:
        if max(int(matrix.max()), -int(matrix.min())) > _LARGEST_EXACT_INTEGER:
            raise InvalidInputError(
                f"{name} has integers beyond 2**53, which float64 cannot tell apart; "
                f"subtract an offset first, for example {name} - {name}.min()."
            )
    # An overflow here (from extended precision) becomes inf, which the caller reports.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, dtype=np.float64)


def _objects_as_float64(matrix: NDArray[Any], name: str, columns: list[str]) -> FloatArray:
    """Convert Python objects one by one, so that the first offender can be named."""
    floats = np.empty(matrix.shape)
    for (i, j), entry in np.ndenumerate(matrix.astype(object)):
        if entry is None or type(entry).__name__ == "NAType":
            floats[i, j] = np.nan
            continue
        # Text such as "1.5" is refused too: it is nearly always a column read by mistake.
        if not isinstance(entry, str | bytes | complex):
            try:
                floats[i, j] = float(entry)
                continue
            except (TypeError, ValueError, OverflowError):
                pass
        raise InvalidInputError(
            f"{name} is not numeric: row {i} of {columns[j]} is {entry!r}; "
            "drop that column or convert it to numbers first."
        )
    return floats


def as_generator(random_state: Any) -> np.random.Generator:
    """Return the generator that a seed, a Generator or None stands for.

    Raises
    ------
    InvalidInputError
        Anything else.

    Examples
    --------
    >>> as_generator(0).integers(10)
    np.int64(8)
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"random_state is {random_state!r}; pass a whole number >= 0, a Generator or None."
        ) from None


def refuse_time_limit(time_limit: Any) -> None:
    """Raise `InvalidInputError` unless ``time_limit`` is a number of seconds, at least 0.

    Examples
    --------
    >>> refuse_time_limit(0.5)
    """
    if not (isinstance(time_limit, Real) and float(time_limit) >= 0):
        raise InvalidInputError(
            f"time_limit is {time_limit!r}, but seconds are counted; pass a number of seconds, at "
            "least 0."
        )


def _refuse_non_finite(
    floats: FloatArray, refused: NDArray[np.bool_], name: str, columns: list[str], omittable: bool
) -> None:
    """Raise an error that names the first entries that are NaN or infinite."""
    rows, cols = np.nonzero(refused)
    named = ", ".join(
        f"{floats[i, j]} at row {i} of {columns[j]}"
        for i, j in zip(rows[:_MAX_NAMED_ENTRIES], cols[:_MAX_NAMED_ENTRIES], strict=True)
    )
    more = ", ..." if rows.size > _MAX_NAMED_ENTRIES else ""
    count = "1 entry that is" if rows.size == 1 else f"{rows.size} entries that are"
    way_out = "remove these rows or columns, or fill them first"
    if omittable and np.isnan(floats[refused]).all():
        way_out += ', or pass nan_policy="omit" to fit each task to the labels that it has'
    raise InvalidInputError(
        f"{name} has {count} not finite: {named}{more}. Missing values are never dropped or "
        f"filled silently; {way_out}."
    )
