"""A certificate does not depend on the unit of the labels."""

import numpy as np
import pytest

import mtrelu
from mtrelu import Status


@pytest.mark.parametrize("exponent", [-110, -20, 0, 60, 101, 130])
def test_labels_of_any_size_are_certified_alike(exponent):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 2)), rng.standard_normal((20, 3))
    unit = 10.0**exponent
    certificate = mtrelu.solve(X, unit * Y, 0.1 * unit).certificate
    assert certificate.status is Status.CERTIFIED
    assert certificate.relative_gap == pytest.approx(5.67e-11, rel=0.5, abs=1e-9)
    # 1 means feasible: the largest value of the dual function, in units of alpha.
    assert certificate.violation == pytest.approx(1.0, abs=1e-6)
