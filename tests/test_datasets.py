import csv
from importlib import resources

import numpy as np
import pytest

from mtrelu.datasets import DATASETS, load_el_nino, load_macrodata


def raw(name):
    with (resources.files("mtrelu.datasets") / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_el_nino_is_the_published_table():
    data = load_el_nino()
    assert data.x.tolist() == list(range(1, 13))
    assert data.Y.shape == (12, 61)
    assert data.tasks == tuple(str(year) for year in range(1950, 2011))
    rows = raw("el_nino.csv")
    assert data.Y[0, 0] == float(rows[0]["JAN"]) == 23.11
    for year in (0, 30, 60):
        assert data.Y[:, year].tolist() == [float(v) for v in list(rows[year].values())[1:]]


def test_macrodata_is_the_published_table():
    data = load_macrodata()
    rows = raw("macrodata.csv")
    assert data.Y.shape == (203, 12) and len(data.tasks) == 12
    assert data.x[0] == 1959.0 and data.x[-1] == 2009.5
    assert np.allclose(np.diff(data.x), 0.25, rtol=0, atol=1e-12)
    for t, task in enumerate(data.tasks):
        assert data.Y[:, t].tolist() == [float(row[task]) for row in rows]


@pytest.mark.parametrize("name", DATASETS)
def test_every_shipped_set_can_be_fitted_as_it_is(name):
    data = DATASETS[name]()
    assert data.x.dtype == data.Y.dtype == np.float64
    assert np.isfinite(data.Y).all()
    assert (np.diff(data.x) > 0).all()
    assert data.Y.shape == (len(data.x), len(data.tasks))
    assert len(set(data.tasks)) == len(data.tasks)
    assert "public domain" in data.description
