from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csr_array

from mtrelu.validation import (
    InvalidInputError,
    MissingExtraError,
    as_alpha,
    as_inputs,
    as_labels,
    as_skip,
    as_weights,
    refuse_unsquarable,
)

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2), elements=finite))
def test_clean_float64_passes_without_a_copy(X):
    assert np.shares_memory(as_inputs(X), X)
    np.testing.assert_array_equal(as_inputs(X), X)


@pytest.mark.parametrize(
    "given_values",
    [
        [1, 2, 3],
        np.array([1, 2, 3], dtype=np.int8),
        np.array([1, 2, 3], dtype=np.uint64),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([1, 2, 3], dtype=np.longdouble),
        np.array([1, 2, 3])[::-1][::-1],
        [Fraction(1), Decimal(2), 3.0],
        np.array([1, 2, 3], dtype=object),
    ],
)
def test_every_numeric_type_becomes_the_same_array(given_values):
    X = as_inputs(given_values)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(X, [[1.0], [2.0], [3.0]])


def test_a_strided_matrix_becomes_contiguous():
    X = np.arange(12.0).reshape(3, 4)[:, ::2]
    assert as_inputs(X).flags.c_contiguous
    np.testing.assert_array_equal(as_inputs(X), X)


def test_boolean_labels_are_zeros_and_ones():
    np.testing.assert_array_equal(as_labels([True, False], 2), [[1.0], [0.0]])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], r"X has no rows; pass at least one sample\."),
        (np.empty((0, 2)), r"X has no rows"),
        (np.empty((3, 0)), r"X has no columns \(shape \(3, 0\)\)"),
        (3.0, r"X has 0 dimensions \(shape \(\)\)"),
        (np.zeros((2, 2, 2)), r"X has 3 dimensions \(shape \(2, 2, 2\)\)"),
        ([[1.0], [1.0, 2.0]], r"X has rows of different lengths"),
        ([1.0, np.nan], r"X has 1 entry that is not finite: nan at row 1 of column 0\."),
        ([[1.0, -np.inf]], r"-inf at row 0 of column 1\."),
        ([1.0, None], r"nan at row 1 of column 0\. Missing values are never dropped"),
        (["1.5", "2.5"], r"X is not numeric: row 0 of column 0 is '1\.5'; drop that column"),
        ([1.0, "a"], r"X is not numeric"),
        ([1j, 2.0], r"X has complex numbers"),
        (np.array([1j, 2.0], dtype=object), r"X is not numeric: row 0 of column 0 is 1j"),
        (np.array(["2024-01-01"], dtype="datetime64[D]"), r"X has dates, but it must have real"),
        (np.array([1], dtype="timedelta64[D]"), r"X has time differences"),
        (np.zeros(2, dtype=[("a", float)]), r"X has entries of type"),
        ([2**53 + 1, 0], r"X has integers beyond 2\*\*53.*subtract an offset first"),
        (np.array([-(2**63)]), r"X has integers beyond 2\*\*53"),
        (csr_array(np.eye(2)), r"X is a sparse matrix.*pass X\.toarray\(\)"),
        (np.ma.masked_invalid([1.0, np.nan]), r"X has masked entries"),
    ],
)
def test_inputs_that_cannot_work_are_refused(X, message):
    with pytest.raises(InvalidInputError, match=message):
        as_inputs(X)


def test_data_frames_are_accepted_and_their_columns_named():
    pd = pytest.importorskip("pandas")
    for column in ([1, 2], pd.array([1, 2], dtype="Int64"), pd.array([1, 2], dtype="float32")):
        np.testing.assert_array_equal(as_inputs(pd.DataFrame({"v": column})), [[1.0], [2.0]])
    np.testing.assert_array_equal(as_inputs(pd.Series([1, 2])), [[1.0], [2.0]])
    for column, message in (
        (["a", "b"], r"X is not numeric: row 0 of column 'v' is 'a'"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), r"row 0 of column 'v' is Timestamp"),
        ([1.0, np.nan], r"nan at row 1 of column 'v'"),
        (pd.array([1, None], dtype="Int64"), r"nan at row 1 of column 'v'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            as_inputs(pd.DataFrame({"w": [1.0, 2.0], "v": column}))


def test_extended_precision_beyond_float64_is_refused():
    beyond = np.array([np.finfo(np.longdouble).max])
    if beyond.dtype.itemsize == 8:
        pytest.skip("no extended precision on this machine")
    with pytest.raises(InvalidInputError, match="not finite: inf at row 0"):
        as_inputs(beyond)


def test_only_the_first_missing_entries_are_named():
    Y = np.full((5, 2), np.nan)
    with pytest.raises(InvalidInputError) as caught:
        as_labels(Y, 5, name="labels")
    message = str(caught.value)
    assert message.startswith("labels has 10 entries that are not finite: nan at row 0 of column 0")
    assert message.count("at row") == 3
    assert ", ..." in message


def test_labels_need_one_row_a_sample():
    with pytest.raises(InvalidInputError, match=r"Y has 3 rows, but the inputs have 2"):
        as_labels([1.0, 2.0, 3.0], 2)


def test_weights_default_to_ones():
    np.testing.assert_array_equal(as_weights(None, 3), np.ones(3))
    np.testing.assert_array_equal(as_weights([0, 2], 2), [0.0, 2.0])
    np.testing.assert_array_equal(as_weights([[0], [2]], 2, 3), [0.0, 2.0])
    np.testing.assert_array_equal(as_weights([[1, 1], [2, 2]], 2, 2), [1.0, 2.0])
    np.testing.assert_array_equal(as_weights([[1, 0], [2, 2]], 2, 2), [[1.0, 0.0], [2.0, 2.0]])
    with pytest.raises(InvalidInputError, match=r"has 2 columns, but there are 3 tasks"):
        as_weights([[1, 0], [2, 2]], 2, 3)


def test_missing_labels_are_refused_or_kept_as_nan():
    frame = [[1.0, None], [float("nan"), 2.0]]
    kept = as_labels(frame, 2, nan_policy="omit")
    np.testing.assert_array_equal(kept, [[1.0, np.nan], [np.nan, 2.0]])
    masked = np.ma.array([1, 2], mask=[True, False])
    np.testing.assert_array_equal(as_labels(masked, 2, nan_policy="omit")[:, 0], [np.nan, 2.0])
    with pytest.raises(InvalidInputError, match=r'2 entries .*or pass nan_policy="omit"'):
        as_labels(frame, 2, nan_policy="raise")
    # Who does not have the option is not told to pass it.
    for labels in (frame, masked):
        with pytest.raises(InvalidInputError, match=r"Y has .* first\.$") as caught:
            as_labels(labels, 2)
        assert "nan_policy" not in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"inf at row 0 of column 0\. .*fill them first\.$"):
        as_labels([np.inf, np.nan], 2, nan_policy="omit")
    with pytest.raises(InvalidInputError, match=r"nan_policy is 'drop'"):
        as_labels([1.0], 1, nan_policy="drop")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"sample_weight has 1 entries, but there are 2 samples"),
        ([[1.0, 1.0], [1.0, 1.0]], r"sample_weight has 2 columns, but there is 1 task"),
        ([[[1.0]], [[1.0]]], r"sample_weight has 3 dimensions"),
        (1.0, r"sample_weight has 0 dimensions"),
        ([1.0, -2.0], r"sample_weight has a negative weight \(-2\.0 at row 1\)"),
        ([0.0, 0.0], r"sample_weight is zero for every sample"),
        ([1.0, np.nan], r"sample_weight has 1 entry that is not finite"),
    ],
)
def test_weights_that_cannot_work_are_refused(weights, message):
    with pytest.raises(InvalidInputError, match=message):
        as_weights(weights, 2)


@pytest.mark.parametrize("alpha", [0, 2, 0.5, np.float32(0.5), np.int64(3), np.array(0.25)])
def test_alpha_is_any_real_number(alpha):
    assert as_alpha(alpha) == float(alpha)
    assert type(as_alpha(alpha)) is float


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (-1e-300, r"alpha is -1e-300, but a penalty cannot be negative"),
        (np.nan, r"alpha is nan, but it must be finite"),
        (np.inf, r"alpha is inf, but it must be finite"),
        ("1", r"alpha is '1', but it must be one real number"),
        (True, r"alpha is True, but it must be one real number"),
        (None, r"alpha is None"),
        ([1.0], r"alpha is \[1\.0\]"),
        (1j, r"alpha is 1j"),
    ],
)
def test_alpha_that_cannot_work_is_refused(alpha, message):
    with pytest.raises(InvalidInputError, match=message):
        as_alpha(alpha)


@pytest.mark.parametrize("skip", ["linear", "", None, 1, ["affine"], np.array(["affine", "none"])])
def test_a_skip_connection_that_is_none_is_refused(skip):
    with pytest.raises(InvalidInputError, match=r"^skip is .*not a known skip connection; pass"):
        as_skip(skip)


def test_sums_of_squares_that_overflow_are_refused():
    largest = np.sqrt(np.finfo(float).max / 4)
    refuse_unsquarable(np.full(4, -0.999 * largest), "Y")
    with pytest.raises(InvalidInputError, match=r"^Y has values up to 6\.71e\+153"):
        refuse_unsquarable(np.full(4, -1.001 * largest), "Y")


def test_sums_of_squares_that_underflow_are_refused_but_zeros_are_not():
    smallest = np.sqrt(1e-290 / 4)
    refuse_unsquarable(np.full(4, -1.001 * smallest), "X")
    refuse_unsquarable(np.array([0.0, 0.0]), "X")
    refuse_unsquarable(np.array([1e-300, 1.0]), "X")
    for tiny in (0.999 * smallest, 1e-170, 5e-324):
        with pytest.raises(InvalidInputError, match=r"^X has values up to .* only, .*; rescale"):
            refuse_unsquarable(np.full(4, -tiny), "X")


def test_errors_can_be_caught_as_their_standard_kinds():
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
