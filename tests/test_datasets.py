import csv
from importlib import resources

import numpy as np
import pytest

from mtrelu import InvalidInputError
from mtrelu.datasets import DATASETS, INCOMPLETE, load_cars, load_el_nino, load_macrodata


def raw(name):
    with (resources.files("mtrelu.datasets") / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(name):
    return DATASETS[name](**({"drop_missing": True} if name in INCOMPLETE else {}))


def test_el_nino_is_the_published_table():
    data = load_el_nino()
    assert data.X.tolist() == [[month] for month in range(1, 13)]
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
    assert data.X[0, 0] == 1959.0 and data.X[-1, 0] == 2009.5
    assert np.allclose(np.diff(data.X[:, 0]), 0.25, rtol=0, atol=1e-12)
    for t, task in enumerate(data.tasks):
        assert data.Y[:, t].tolist() == [float(row[task]) for row in rows]


def test_cars_without_missing_values_are_the_published_ones():
    data = load_cars(drop_missing=True)
    assert data.X.shape == (392, 2) and data.Y.shape == (392, 3)
    used = ("Horsepower", "Weight_in_lbs", "Miles_per_Gallon", "Acceleration", "Displacement")
    complete = [row for row in raw("cars.csv") if all(row[column] for column in used)]
    expected = np.array([[float(row[column]) for column in used] for row in complete])
    assert np.array_equal(np.column_stack([data.X, data.Y]), expected)


def test_cars_with_missing_values_are_named_not_dropped():
    with pytest.raises(InvalidInputError, match="drop_missing=True") as caught:
        load_cars()
    rows = raw("cars.csv")
    incomplete = [
        i for i, row in enumerate(rows) if not (row["Horsepower"] and row["Miles_per_Gallon"])
    ]
    assert len(incomplete) == 14
    for i in incomplete:
        assert f"{rows[i]['Name']} (row {i + 1})" in str(caught.value)
    assert str(caught.value).count("(row ") == 14


@pytest.mark.parametrize("name", DATASETS)
def test_every_shipped_set_can_be_fitted_as_it_loads(name):
    data = load(name)
    assert data.X.dtype == data.Y.dtype == np.float64
    assert np.isfinite(data.X).all() and np.isfinite(data.Y).all()
    assert data.X.shape == (len(data.Y), len(data.input_names))
    assert data.X.shape[1] > 1 or (np.diff(data.X[:, 0]) > 0).all()
    assert data.Y.shape[1] == len(data.tasks)
    assert len({*data.tasks, *data.input_names}) == len(data.tasks) + len(data.input_names)
    assert "public domain" in data.description or "CC BY 4.0" in data.description
