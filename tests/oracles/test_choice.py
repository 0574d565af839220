import time

import numpy as np
import pytest

from mtrelu.oracles.arrangement import ArrangementOracle
from mtrelu.oracles.branch_and_bound import BranchAndBoundOracle
from mtrelu.oracles.choice import certifying_oracle, exact_oracle
from mtrelu.oracles.plane import PlaneOracle


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize(
    "N, d, kind",
    [
        (30, 1, PlaneOracle),
        (200, 2, PlaneOracle),
        (10, 3, ArrangementOracle),
        (15, 5, ArrangementOracle),
        (4001, 2, None),
        (300, 3, None),
        (60, 6, None),
        (100, 30, None),
    ],
)
def test_chooses_by_cost(N, d, kind, skip):
    X = np.random.default_rng(0).standard_normal((N, d))
    start = time.perf_counter()
    oracle, certifying = exact_oracle(X, skip), certifying_oracle(X, skip, 0.5)
    assert time.perf_counter() - start < 20
    assert type(oracle) is (kind or type(None))
    assert type(certifying) is (kind or BranchAndBoundOracle)
    if isinstance(certifying, BranchAndBoundOracle):
        assert certifying.time_limit == 0.5


def test_the_hull_and_not_the_columns_count():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((500, 2)) @ rng.standard_normal((2, 12)) + 5.0
    assert type(exact_oracle(X, "affine")) is PlaneOracle
    X = np.repeat(rng.standard_normal((12, 4)), 30, axis=0)
    assert type(exact_oracle(X, "affine")) is ArrangementOracle
    assert exact_oracle(rng.standard_normal((3, 40)), "constant") is not None
