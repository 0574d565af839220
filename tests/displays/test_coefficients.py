from itertools import pairwise

import matplotlib
import numpy as np
import pytest

from mtrelu import ReLUNetwork, ReLURegressor
from mtrelu.displays import CoefficientDisplay
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def network(K, T, d, seed=0):
    rng = np.random.default_rng(seed)
    return ReLUNetwork(
        3.0 * rng.standard_normal((K, d)), rng.standard_normal(K), rng.standard_normal((K, T)),
        np.zeros((T, d)), np.zeros(T),
    )  # fmt: skip


def names(labels):
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("T", [1, 3, 100])
def test_one_input_shows_the_slope_changes_in_the_order_of_the_knots(T):
    given = network(8, T, 1)
    display = CoefficientDisplay.from_network(given, input_name="year").plot()
    knots = -given.b / given.w[:, 0]
    order = np.argsort(knots)
    expected = (given.v * np.abs(given.w))[order].T  # the slope to the right minus to the left
    assert np.allclose(display.ax_.images[0].get_array(), expected)
    assert np.allclose([float(name) for name in display.neurons], knots[order], atol=0.01)
    assert "year" in display.ax_.get_xlabel()
    display.figure_.canvas.draw()


@pytest.mark.parametrize("T", [1, 2, 100])
def test_several_inputs_show_every_neuron_once_under_its_number(T):
    given = network(30, T, 2)
    display = CoefficientDisplay.from_network(given)
    which = [int(name) - 1 for name in display.neurons]
    assert sorted(which) == list(range(30))
    sizes = np.sqrt((given.w**2).sum(axis=1))
    for k, column in zip(which, display.coefficients.T, strict=True):
        assert np.allclose(column, given.v[k] * sizes[k])


def test_how_weight_is_divided_between_layers_does_not_matter():
    given = network(9, 4, 3)
    factor = np.random.default_rng(1).uniform(0.1, 10.0, 9)
    other = ReLUNetwork(
        given.w * factor[:, None], given.b * factor, given.v / factor[:, None], given.A, given.c
    )
    one, two = (CoefficientDisplay.from_network(each) for each in (given, other))
    assert one.neurons == two.neurons and np.allclose(one.coefficients, two.coefficients)


@pytest.mark.parametrize("seed", range(3))
def test_neurons_of_the_same_tasks_are_next_to_each_other(seed):
    rng = np.random.default_rng(seed)
    group_of_task, group = rng.integers(0, 4, 60), rng.integers(0, 4, 80)
    serves = group[:, None] == group_of_task
    v = rng.standard_normal((80, 60)) * np.where(serves, 1.0, 0.02)
    given = ReLUNetwork(
        rng.standard_normal((80, 2)), np.zeros(80), v, np.zeros((60, 2)), np.zeros(60)
    )
    order = [int(name) - 1 for name in CoefficientDisplay.from_network(given).neurons]
    assert np.count_nonzero(np.diff(group[order])) == 3


@pytest.mark.parametrize(("K", "T"), [(2, 1), (5, 4), (300, 100), (1500, 3)])
def test_colours_are_symmetric_and_zero_is_white(K, T):
    display = CoefficientDisplay.from_network(network(K, T, 2)).plot()
    image = display.ax_.images[0]
    low, high = image.get_clim()
    assert low == -high
    assert image.cmap(image.norm(0.0)) == (1.0, 1.0, 1.0, 1.0)
    blue, red = image.cmap(image.norm(-high / 2)), image.cmap(image.norm(high / 2))
    assert blue[2] > blue[0] and red[0] > red[2]
    # Nearly all colours differ; the bar says where they do not.
    beyond = np.abs(display.coefficients) > high
    assert beyond.mean() <= 0.01
    bar = next(axes for axes in display.figure_.axes if axes is not display.ax_)
    assert (bar._colorbar.extend == "both") == bool(beyond.any())
    display.figure_.canvas.draw()


def test_labels_stay_legible():
    display = CoefficientDisplay.from_network(network(300, 100, 2)).plot()
    figure = display.figure_
    figure.canvas.draw()
    for axis in (display.ax_.xaxis, display.ax_.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert 10 <= len(boxes) <= 70
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
        assert all(figure.bbox.x0 <= box.x0 and box.y1 <= figure.bbox.y1 for box in boxes)


@pytest.mark.parametrize("knots", [[1987.25, 1991.5, 2003.0], [0.1, 0.101, 5.0], [1e9, 2e9], [2.5]])
def test_knots_are_told_apart(knots):
    T = 1
    given = ReLUNetwork.from_knots(knots, np.ones((len(knots), T)), np.zeros(T), np.zeros(T))
    shown = CoefficientDisplay.from_network(given).neurons
    assert len(set(shown)) == len(knots) and max(map(len, shown)) <= 9
    extent = np.ptp(knots) or knots[0]
    assert np.allclose([float(name) for name in shown], knots, atol=0.0051 * extent)


def test_a_few_coefficients_are_written():
    display = CoefficientDisplay.from_network(network(3, 2, 1)).plot()
    written = [float(text.get_text().replace("−", "-")) for text in display.ax_.texts]
    assert np.allclose(written, display.coefficients.ravel(), atol=0.051)
    assert len(CoefficientDisplay.from_network(network(20, 2, 2)).plot().ax_.texts) == 0


@pytest.mark.parametrize("d", [1, 2])
def test_no_neurons(d):
    display = CoefficientDisplay.from_network(network(0, 2, d)).plot()
    assert "no neurons" in display.ax_.get_title()
    display.figure_.canvas.draw()


def test_zero_coefficients_and_neurons_that_are_dead():
    given = network(6, 3, 2)
    given.v[[0, 4]] = 0.0
    display = CoefficientDisplay.from_network(given).plot()
    assert np.count_nonzero(~display.coefficients.any(axis=0)) == 2
    given.v[:] = 0.0
    CoefficientDisplay.from_network(given).plot().figure_.canvas.draw()


def test_an_estimator_with_names():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pandas.DataFrame({"year": np.arange(12.0)})
    Y = pandas.DataFrame(rng.standard_normal((12, 2)).cumsum(axis=0), columns=["sun", "rain"])
    model = ReLURegressor(alpha=0.3).fit(X, Y)
    display = CoefficientDisplay.from_estimator(model, X, Y).plot()
    assert names(display.ax_.get_yticklabels()) == ["sun", "rain"]
    assert display.ax_.get_xlabel() == "knot (year)"
    assert np.array_equal(display.coefficients, model.network_.slope_changes().T)
    assert CoefficientDisplay.from_estimator(model, tasks=["a", "b"]).tasks == ["a", "b"]
    with pytest.raises(InvalidInputError, match="tasks has 3 names"):
        CoefficientDisplay.from_estimator(model, tasks=["a", "b", "c"])
    with pytest.raises(InvalidInputError, match="without a fitted network"):
        CoefficientDisplay.from_estimator(ReLURegressor())


def test_axes_given_are_used_and_pyplot_is_left_alone():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert CoefficientDisplay.from_network(network(4, 2, 2)).plot(ax).ax_ is ax
    assert pyplot.get_fignums() == []
