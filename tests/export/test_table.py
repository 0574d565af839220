"""The tables say what the network computes, to a reader with no code of ours, and lead back."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mtrelu.api import solve
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.export import coefficient_table, network_from_table
from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError

ARRAYS = ("w", "b", "v", "A", "c")
SIZES = [(K, d, T) for K in (0, 1, 6) for d in (1, 2, 3) for T in (1, 4)]


def random_network(K, d, T, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((K, d), (K,), (K, T), (T, d), (T,))
    return ReLUNetwork(*(rng.standard_normal(shape) for shape in shapes))


def read_by_hand(columns, task, point):
    """The value at a point, row by row, as the documentation explains the table."""
    total = 0.0
    for i, term in enumerate(columns["term"]):
        coefficient = columns[task][i]
        if "knot" in columns:
            (x,) = point
            total += (
                coefficient
                * {
                    "constant": 1.0,
                    "slope": x,
                    "knot": max(x - columns["knot"][i], 0.0),
                }[term]
            )
        else:
            value = columns["bias"][i]
            for j, x in enumerate(point):
                value += columns[f"weight of x{j}"][i] * x
            total += coefficient * (max(value, 0.0) if term == "neuron" else value)
    return total


@pytest.mark.parametrize("size", SIZES)
def test_read_by_hand_it_is_the_network(size):
    network = random_network(*size)
    columns = coefficient_table(network)
    X = 3.0 * np.random.default_rng(1).standard_normal((20, size[1]))
    values = network(X)
    for t in range(size[2]):
        expected = [read_by_hand(columns, f"y{t}", point) for point in X.tolist()]
        assert_allclose(values[:, t], expected, rtol=1e-11, atol=1e-11)


def equal(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("size", SIZES)
def test_it_leads_back_to_the_same_numbers(size):
    network = random_network(*size)
    columns = coefficient_table(network)
    assert len({column.shape for column in columns.values()}) == 1
    rebuilt = network_from_table(columns)
    equal(rebuilt, network if size[1] > 1 else network.canonical())
    again = coefficient_table(rebuilt)
    assert list(again) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(again[name], column)


@pytest.mark.parametrize("d", [1, 3])
def test_files_data_frames_and_other_orders_lead_back_too(d):
    network = random_network(6, d, 3)
    columns = coefficient_table(network, tasks=["Öl, €", "b c", 'say "d"'])
    expected = network_from_table(columns)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    text.seek(0)
    header, *rows = csv.reader(text)
    cells = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
    equal(network_from_table(cells), expected)  # numbers as text
    frame = pd.DataFrame(columns)
    equal(network_from_table(frame), expected)
    rounded = network_from_table(pd.read_csv(io.StringIO(text.getvalue())))
    assert rounded.same_function(expected, rtol=1e-12)  # pandas rounds the last digit
    shuffled = frame.sample(frac=1.0, random_state=0)
    rebuilt = network_from_table(shuffled[list(reversed(shuffled.columns))])
    turned = ReLUNetwork(
        rebuilt.w[:, ::-1], rebuilt.b, rebuilt.v[:, ::-1], rebuilt.A[::-1, ::-1], rebuilt.c[::-1]
    )
    assert turned.same_function(expected, rtol=1e-14)


def test_two_curves_that_bend_at_one_place():
    # pwlf #108: the breakpoint is shared, the slopes differ; rebuilding a fit: pwlf #85, #106.
    x = np.arange(1.0, 16.0)
    bend = np.maximum(x - 6, 0)
    solution = solve(x, np.column_stack([2 * x + 3 + 12 * bend, 0.5 * x - 1 + 4 * bend]), alpha=0)
    columns = coefficient_table(solution.network, tasks=["first", "second"])
    assert columns["term"].tolist() == ["constant", "slope", "knot"]
    assert_allclose(columns["knot"], [np.nan, np.nan, 6.0])
    assert_allclose(columns["first"], [3.0, 2.0, 12.0], atol=1e-12)
    assert_allclose(columns["second"], [-1.0, 0.5, 4.0], atol=1e-12)


def test_estimators_bring_their_names():
    X = np.random.default_rng(0).uniform(-1, 1, size=(20, 2))
    frame = pd.DataFrame(X, columns=["weight", "power"])
    Y = pd.DataFrame({"mpg": np.abs(X[:, 0]), "time": X[:, 1]})
    model = ReLURegressor(alpha=0.1).fit(frame, Y)
    columns = coefficient_table(model)
    assert list(columns) == ["term", "weight of weight", "weight of power", "bias", "mpg", "time"]
    assert_allclose(network_from_table(columns)(X), model.predict(frame), rtol=1e-12, atol=1e-12)
    assert "power" in " ".join(coefficient_table(model, tasks=["a", "b"]))
    classifier = ReLUClassifier(alpha=0.1).fit(X[:, :1], np.digitize(X[:, 0], [-0.3, 0.3]))
    assert list(coefficient_table(classifier)) == ["term", "knot", "0", "1", "2"]
    classifier = ReLUClassifier(alpha=0.1).fit(X[:, :1], np.where(X[:, 0] > 0, "up", "down"))
    assert list(coefficient_table(classifier)) == ["term", "knot", "up"]


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", ["term", "knot", "bias", "weight of x0", "weight of anything"])
def test_tasks_named_like_other_columns_are_refused(d, name):
    with pytest.raises(InvalidInputError, match=f"tasks has the name '{name}'.*pass other names"):
        coefficient_table(random_network(2, d, 2), tasks=[name, "y"])


def test_other_names_that_do_not_fit():
    network = random_network(2, 2, 2)
    with pytest.raises(InvalidInputError, match=r"inputs is .*the network has 2 inputs"):
        coefficient_table(network, inputs=["a", "b", "c"])
    with pytest.raises(InvalidInputError, match="tasks has the name 'a' twice"):
        coefficient_table(network, tasks=["a", "a"])


LINE = {"term": ["constant", "slope", "knot"], "knot": [None, None, 2.0], "y": [0.0, 1.0, -2.0]}
PLANE = {
    "term": ["constant", "slope", "slope", "neuron"],
    "weight of a": [0.0, 1.0, 0.0, 3.0],
    "weight of b": [0.0, 0.0, 1.0, 4.0],
    "bias": [1.0, 0.0, 0.0, 5.0],
    "y": [1.0, 2.0, 3.0, 4.0],
}


def changed(columns, name, row, value):
    column = list(columns[name])
    column[row] = value
    return columns | {name: column}


def without(columns, *names):
    return {name: column for name, column in columns.items() if name not in names}


BAD = {
    "'term' and either 'knot' or 'bias'": [
        {},
        without(LINE, "term"),
        without(LINE, "knot"),
        without(PLANE, "bias"),
        LINE | {"bias": [0.0, 0.0, 0.0]},
    ],
    "0 tasks": [without(LINE, "y"), without(PLANE, "y")],
    "0 columns weight of": [without(PLANE, "weight of a", "weight of b")],
    "1 columns weight of": [LINE | {"weight of x": [1.0, 1.0, 1.0]}],
    "row with the term 'neuron'": [changed(LINE, "term", 2, "neuron")],
    "row with the term 'knot'": [changed(PLANE, "term", 3, "knot")],
    "row with the term None": [changed(PLANE, "term", 3, None)],
    "0 rows 'constant' and 1 rows 'slope'": [changed(LINE, "term", 0, "knot")],
    "2 rows 'constant'": [changed(PLANE, "term", 1, "constant")],
    "1 rows 'slope', but the function has 1 and 2": [changed(PLANE, "term", 1, "neuron")],
    "nan in row 1 of 'y'": [changed(LINE, "y", 1, np.nan), changed(PLANE, "y", 1, np.nan)],
    "inf in row 3 of 'bias'": [changed(PLANE, "bias", 3, np.inf)],
    "None in row 2 of 'knot'": [changed(LINE, "knot", 2, None)],
    "'much' in row 3 of 'weight of b'": [changed(PLANE, "weight of b", 3, "much")],
    "between 2 and 3 rows|between 4 and 5 rows": [
        LINE | {"y": [1.0, 2.0]},
        PLANE | {"bias": [1.0] * 5},
    ],
}


@pytest.mark.parametrize("message", BAD)
def test_tables_that_make_no_network_are_refused(message):
    for columns in BAD[message]:
        with pytest.raises(InvalidInputError, match=message):
            network_from_table(columns)


def test_a_knot_twice_is_refused():
    columns = {"term": ["constant", "slope", "knot", "knot"], "knot": [0, 0, 1, 1], "y": [0] * 4}
    with pytest.raises(InvalidInputError, match=r"1\.0 twice"):
        network_from_table(columns)


@pytest.mark.parametrize("table", [None, 3, [1, 2], "term", np.zeros((3, 3))])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(InvalidInputError, match="columns "):
        network_from_table(table)
