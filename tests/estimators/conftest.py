from functools import partial

import pytest

import mtrelu.api
import mtrelu.oracles.choice
from mtrelu.oracles.ascent import AscentOracle
from mtrelu.solvers import pricing


@pytest.fixture
def no_proofs(monkeypatch):
    """scikit-learn's checks fit hundreds of tables of ten inputs, where searches take seconds.

    How well neurons are found and what is proved is tested elsewhere; these checks look at the
    contract of estimators only.
    """
    monkeypatch.setattr(mtrelu.api, "PATIENCE", 0.0)
    monkeypatch.setattr(mtrelu.oracles.choice, "_MOST_INCIDENCES", 0)
    monkeypatch.setattr(pricing, "AscentOracle", partial(AscentOracle, n_starts=16))
    monkeypatch.setattr(pricing, "_THOROUGHNESS", 1)
