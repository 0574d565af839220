"""Whatever is passed to an estimator, it fits or says in one line what is wrong."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.cv import ReLURegressorCV
from mtrelu.estimators.features import NeuronFeatures
from mtrelu.estimators.learned_kernel import LearnedKernelRidge
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.validation import InvalidInputError

ESTIMATORS = [
    ReLURegressor(alpha=0.5),
    ReLURegressor(n_knots=1),
    ReLURegressor(alpha=0.5, nan_policy="omit", task_weight=[1.0, 2.0]),
    ReLURegressorCV(alphas=[0.5], cv=2),
    ReLUClassifier(alpha=0.5),
    ReLUClassifier(alpha=0.5, skip="affine"),
    NeuronFeatures(alpha=0.5),
    LearnedKernelRidge("neurons", kernel_alpha=0.5, alphas=0.1),
]

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, 0.5])
ODD = st.sampled_from(
    [np.nan, np.inf, -np.inf, 1e300, 1e-300, None, "a", "", "1.5", True, 1 + 2j, 2**70, [1], {}]
)
ENTRIES = st.one_of(NUMBERS, NUMBERS, NUMBERS, ODD)


@st.composite
def tables(draw, entries):
    """One or two columns, mostly of one length, now and then something else altogether."""
    n = draw(st.sampled_from([0, 1, 2, 6, 6, 6, 7]))
    columns = draw(st.sampled_from([0, 1, 1, 1, 2]))
    cell = draw(st.sampled_from([NUMBERS, entries]))
    if columns == 0:
        return draw(st.one_of(st.lists(cell, min_size=n, max_size=n), ODD))
    row = st.lists(cell, min_size=columns, max_size=columns)
    rows = draw(st.lists(row, min_size=n, max_size=n))
    return np.array(rows, dtype=object) if draw(st.booleans()) else rows


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(X=tables(ENTRIES), y=tables(ENTRIES), weights=st.one_of(st.none(), tables(ENTRIES)))
def test_it_fits_or_says_why_not(estimator, X, y, weights):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of limits and of columns taken as vectors
        try:
            estimator.fit(X, y, sample_weight=weights)
        except InvalidInputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            return
        except TypeError as error:  # scikit-learn's contract for entries such as dictionaries
            assert re.fullmatch(
                r"X cannot be used: .*argument must be a string.* number.*", str(error)
            )
            return
    output = getattr(estimator, "predict", None) or estimator.transform
    values = output(X)
    assert len(values) == len(X)
    if values.dtype.kind == "f":
        assert np.isfinite(values).all()
