"""What a certificate makes of oracles that are exact, that bound, and that only search."""

import json
import math

import numpy as np
import pytest

from mtrelu.network import ReLUNetwork
from mtrelu.oracles import OracleResult
from mtrelu.oracles.ascent import AscentOracle
from mtrelu.oracles.base import Oracle
from mtrelu.oracles.plane import PlaneOracle
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError
from mtrelu.verify import Certificate, verify

CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
SQUARES = np.vstack([CORNERS, CORNERS / 2])
INNER = np.repeat([0.0, 1.0], 4)[:, None]


def two_ridges(alpha):
    """An optimal network for the two squares and one task: ridges along the first axis."""
    slope = -2 * (1 - 2 * alpha)
    return ReLUNetwork(
        [[1.0, 0.0], [-1.0, 0.0]], [-0.5, -0.5], [[slope], [slope]], [[0.0, 0.0]], [1 - alpha]
    )


class LooseOracle(Oracle):
    """An exact oracle that keeps to itself how good it is, and doubles what it says."""

    def __init__(self, X, skip, factor):
        super().__init__(X, skip)
        self._exact, self._factor = PlaneOracle(X, skip), factor

    def _search(self, P, target):
        found = self._exact._search(P, target)
        return OracleResult(self._factor * found.value, "bound", found.w, found.b, found.g)


@pytest.mark.parametrize(
    ("alpha", "factor", "limit_reached", "status"),
    [
        (2.0**-10, 1 + 1e-9, False, Status.CERTIFIED),
        (2.0**-10, 1.001, False, Status.UNCERTIFIED),
        (2.0**-10, 2.0, True, Status.UNCERTIFIED),
        (0.0, 2.0, False, Status.UNCERTIFIED),
        (0.0, 1 + 1e-9, False, Status.CERTIFIED),
    ],
)
def test_what_a_bound_proves_and_what_a_search_suggests(alpha, factor, limit_reached, status):
    problem = Problem.make(SQUARES, INNER, alpha)
    oracle = LooseOracle(SQUARES, "affine", factor)
    certificate = verify(problem, two_ridges(alpha), oracle=oracle, limit_reached=limit_reached)
    assert certificate.status is status and certificate.oracle == "bound"
    if status is Status.UNCERTIFIED:
        assert certificate.estimated_relative_gap < 1e-9 < 1e-4 < certificate.relative_gap
        assert "not proved" in certificate.in_words()
        assert certificate.violation == pytest.approx(factor)
        poor = verify(problem, two_ridges(0.125), oracle=oracle)
        assert poor.status in (Status.NOT_OPTIMAL, Status.INFEASIBLE)
        if alpha > 0:
            assert 0.1 < poor.estimated_relative_gap < poor.relative_gap
    else:
        assert certificate.estimated_relative_gap is None


@pytest.mark.parametrize("alpha", [0.0, 2.0**-10])
def test_a_search_alone_certifies_nothing(alpha):
    problem = Problem.make(SQUARES, INNER, alpha)
    certificate = verify(problem, two_ridges(alpha), oracle=AscentOracle(SQUARES, "affine"))
    assert certificate.status is Status.UNCERTIFIED and certificate.oracle == "estimate"
    assert certificate.estimated_relative_gap == certificate.relative_gap < 1e-9
    words = certificate.in_words()
    assert "no proof" in words and "It is proved" not in words


@pytest.mark.parametrize("alpha", [0.0, 2.0**-10])
def test_storage_and_what_was_stored_before(alpha):
    problem = Problem.make(SQUARES, INNER, alpha)
    loose = LooseOracle(SQUARES, "affine", 2.0)
    certificate = verify(problem, two_ridges(alpha), oracle=loose)
    plain = json.loads(json.dumps(certificate.to_dict(), allow_nan=False))
    copy = Certificate.from_dict(plain)
    assert copy.to_dict() == certificate.to_dict()
    assert copy.estimated_relative_gap == certificate.estimated_relative_gap is not None
    assert copy.stationarity == certificate.stationarity
    for name in ("stationarity", "estimated_relative_gap"):
        del plain[name]
    old = Certificate.from_dict(plain)
    assert math.isnan(old.stationarity) and old.estimated_relative_gap is None
    assert old.gap == certificate.gap and "nan" not in old.in_words()
    again = Certificate.from_dict(json.loads(json.dumps(old.to_dict(), allow_nan=False)))
    assert math.isnan(again.stationarity)


def test_an_oracle_for_something_else_is_refused():
    problem = Problem.make(SQUARES, INNER, 0.1)
    network = two_ridges(0.1)
    plain = verify(problem, network)
    given_one = verify(problem, network, oracle=PlaneOracle(SQUARES, "affine"))
    assert given_one.gap == plain.gap
    for oracle, reason in (
        (PlaneOracle(SQUARES, "constant"), 'is for skip="constant"'),
        (PlaneOracle(SQUARES[:7], "affine"), "inputs of shape"),
        (PlaneOracle(SQUARES[::-1], "affine"), "other inputs"),
        (PlaneOracle(SQUARES * (1 + 1e-12), "affine"), "other inputs"),
        ("exact", "is a str"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            verify(problem, network, oracle=oracle)
    for time_limit in (-1.0, math.nan, "long"):
        with pytest.raises(InvalidInputError, match="time_limit"):
            verify(problem, network, time_limit=time_limit)
