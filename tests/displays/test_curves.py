import matplotlib
import numpy as np
import pytest

import mtrelu
from mtrelu import ReLURegressor
from mtrelu.displays import FittedCurvesDisplay
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def data(T, n=20):
    rng = np.random.default_rng(T)
    return np.sort(rng.uniform(0, 5, n)), rng.standard_normal((n, T)).cumsum(axis=0)


def zigzag(T, n=20, alpha=0.5):
    return mtrelu.solve(*data(T, n), alpha)


def line_named(axes, name):
    return next(line for line in axes.lines if line.get_label() == name)


@pytest.mark.parametrize("T", [1, 2, 3, 4, 5, 9, 12])
def test_a_panel_for_every_task(T):
    display = FittedCurvesDisplay.from_solution(zigzag(T), input_name="time").plot()
    assert len(display.ax_) == T == len(display.figure_.axes)
    assert [axes.get_title() for axes in display.ax_] == [f"task {t + 1}" for t in range(T)]
    for t, axes in enumerate(display.ax_):
        curve = line_named(axes, "fitted curve")
        assert np.array_equal(curve.get_ydata(), display.curves[:, t])
        points = axes.collections[-1].get_offsets()
        assert np.array_equal(points, np.column_stack([display.x, display.Y[:, t]]))
    # The input is named below every panel that has none below it.
    named = sum(axes.get_xlabel() == "time" for axes in display.ax_)
    assert named == len({axes.get_position().x0 for axes in display.ax_})
    display.figure_.canvas.draw()  # nothing collapses


@pytest.mark.parametrize("T", [13, 100, 300])
def test_many_tasks_share_one_panel(T):
    names = [str(1950 + t) for t in range(T)]
    display = FittedCurvesDisplay.from_solution(zigzag(T), tasks=names).plot()
    (axes,) = display.ax_
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(display.grid)]
    assert len(curves) == T
    for t in (0, T // 2, T - 1):
        assert np.array_equal(curves[t].get_ydata(), display.curves[:, t])
    bar = next(other for other in display.figure_.axes if other is not axes)
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert labels[0] == "1950" and labels[-1] == names[-1]
    # A curve has the colour that the bar gives to its place.
    colours = bar.collections[-1].get_cmap()
    assert np.allclose(matplotlib.colors.to_rgb(curves[-1].get_color()), colours(1.0)[:3])
    display.figure_.canvas.draw()


def test_of_very_many_tasks_some_are_drawn():
    display = FittedCurvesDisplay.from_solution(zigzag(2000)).plot()
    (axes,) = display.ax_
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(display.grid)]
    assert len(curves) == 300 and axes.get_title().startswith("300 of 2000 tasks")
    assert np.array_equal(curves[0].get_ydata(), display.curves[:, 0])
    assert np.array_equal(curves[-1].get_ydata(), display.curves[:, -1])


def test_selected_tasks_only():
    display = FittedCurvesDisplay.from_solution(zigzag(61)).plot(select=[5, 3])
    assert [axes.get_title() for axes in display.ax_] == ["task 6", "task 4"]


def test_knots_are_marked_where_they_are():
    solution = zigzag(2)
    display = FittedCurvesDisplay.from_solution(solution).plot()
    marked = [line.get_xdata()[0] for line in display.ax_[0].lines if line.get_linestyle() == "--"]
    assert np.array_equal(np.sort(marked), solution.network.knots())
    assert set(solution.network.knots()) <= set(display.grid)


def test_the_band_is_the_range_of_all_optima():
    solution = mtrelu.solve([0.0, 1, 2, 3], [0.0, 0, 1, 3], 0)
    display = FittedCurvesDisplay.from_solution(solution).plot()
    width = (display.high - display.low)[:, 0]
    i = np.argmin(np.abs(display.grid - 1.5))
    assert width.max() == pytest.approx(width[i]) == pytest.approx(0.5, abs=0.02)
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "any optimal network" in legend


def test_no_band_in_the_legend_where_the_optimum_is_unique():
    display = FittedCurvesDisplay.from_solution(mtrelu.solve([0.0, 1, 2], [0.0, 1, 0], 0)).plot()
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "any optimal network" not in legend


def test_scale_brings_back_the_units():
    solution = zigzag(2)
    plain = FittedCurvesDisplay.from_solution(solution)
    scaled = FittedCurvesDisplay.from_solution(solution, scale=np.array([10.0, 1.0]))
    for name in ("Y", "curves", "low", "high"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name) * [10.0, 1.0])


class TestWhere:
    def test_a_figure_given_is_used_and_pyplot_is_left_alone(self):
        from matplotlib import pyplot
        from matplotlib.figure import Figure

        figure = Figure()
        assert FittedCurvesDisplay.from_solution(zigzag(1)).plot(figure).figure_ is figure
        assert figure.axes
        assert pyplot.get_fignums() == []

    @pytest.mark.parametrize("T", [1, 4, 30])
    def test_the_panels_share_the_place_of_axes_given(self, T):
        from matplotlib.figure import Figure

        figure = Figure()
        left, right = figure.subplots(1, 2)
        display = FittedCurvesDisplay.from_solution(zigzag(T)).plot(right)
        assert display.figure_ is figure and figure.legends == []
        place = right.get_position()
        for axes in display.ax_:
            inside = axes.get_position()
            assert place.x0 - 1e-9 <= inside.x0 and inside.x1 <= place.x1 + 1e-9
        assert not right.axison and left.axison

    def test_axes_without_a_place_that_can_be_divided_are_refused(self):
        from matplotlib.figure import Figure

        free = Figure().add_axes([0.1, 0.1, 0.8, 0.8])
        with pytest.raises(InvalidInputError, match="ax lies freely"):
            FittedCurvesDisplay.from_solution(zigzag(2)).plot(free)


class TestEstimator:
    def test_draws_the_data_given_with_the_names_of_their_columns(self):
        pandas = pytest.importorskip("pandas")
        x, Y = data(2)
        X, Y = pandas.DataFrame({"depth": x}), pandas.DataFrame(Y, columns=["salt", "heat"])
        model = ReLURegressor(alpha=0.5).fit(X, Y)
        display = FittedCurvesDisplay.from_estimator(model, X[::2], Y[::2]).plot()
        assert display.tasks == ["salt", "heat"] and display.input_name == "depth"
        assert np.array_equal(display.x, x[::2]) and np.array_equal(display.Y, Y[::2])
        grid = pandas.DataFrame({"depth": display.grid})
        assert np.allclose(display.curves, model.predict(grid))
        low, high = model.optimal_range(grid)
        assert np.allclose(display.low, low) and np.allclose(display.high, high)
        assert display.grid[0] == x[0] and display.grid[-1] == x[::2][-1]

    def test_polars_and_a_named_series(self):
        polars = pytest.importorskip("polars")
        x, Y = data(1)
        model = ReLURegressor(alpha=0.5).fit(x[:, None], Y[:, 0])
        X, y = polars.DataFrame({"depth": x}), polars.Series("salt", Y[:, 0])
        display = FittedCurvesDisplay.from_estimator(model, X, y)
        assert display.tasks == ["salt"] and display.input_name == "depth"

    def test_labels_that_are_missing_are_not_drawn(self):
        x, Y = data(2)
        Y[[3, 7], 1] = np.nan
        model = ReLURegressor(alpha=0.5, nan_policy="omit").fit(x[:, None], Y)
        for display in (
            FittedCurvesDisplay.from_estimator(model, x, Y),
            FittedCurvesDisplay.from_solution(model._solution),
        ):
            assert np.array_equal(np.isnan(display.Y), np.isnan(Y))
            display.plot().figure_.canvas.draw()

    def test_without_a_range_where_none_is_known(self):
        x, Y = data(1)
        model = ReLURegressor(n_knots=2).fit(x[:, None], Y)
        display = FittedCurvesDisplay.from_estimator(model, x, Y).plot()
        assert display.low is None and display.high is None
        assert len(display.knots) == 2
        legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
        assert legend == ["data", "fitted curve", "knot"]

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_a_classifier_is_drawn_as_probabilities(self, n_classes):
        rng = np.random.default_rng(0)
        x = rng.uniform(0, n_classes, 60)
        y = np.array(["low", "mid", "top"])[
            np.clip(x + 0.5 * rng.standard_normal(60), 0, n_classes - 1).astype(int)
        ]
        model = ReLUClassifier(alpha=0.5).fit(x[:, None], y)
        display = FittedCurvesDisplay.from_estimator(model, x, y).plot()
        drawn = list(model.classes_[1:] if n_classes == 2 else model.classes_)
        assert display.tasks == [f"class {name}" for name in drawn]
        assert np.array_equal(display.Y, y[:, None] == drawn)
        decision = model.decision_function(display.grid[:, None]).reshape(-1, len(drawn))
        assert np.allclose(display.curves, 1.0 / (1.0 + np.exp(-decision)))
        assert np.all(display.low <= display.curves + 1e-4)
        assert np.all(display.curves <= display.high + 1e-4)
        assert display.ax_[0].get_ylabel().startswith("probability")

    def test_what_cannot_be_drawn_is_refused(self):
        x, Y = data(2)
        model = ReLURegressor(alpha=0.5).fit(x[:, None], Y)
        with pytest.raises(InvalidInputError, match="tasks has 1 names, but there are 2 tasks"):
            FittedCurvesDisplay.from_estimator(model, x, Y, tasks=["only"])
        with pytest.raises(InvalidInputError, match="y has 1 columns"):
            FittedCurvesDisplay.from_estimator(model, x, Y[:, 0])
        with pytest.raises(InvalidInputError, match="ReLURegressor without a fitted network"):
            FittedCurvesDisplay.from_estimator(ReLURegressor(), x, Y)
        plane = ReLURegressor(alpha=0.5).fit(np.column_stack([x, x**2]), Y)
        with pytest.raises(InvalidInputError, match="for two use SurfaceDisplay"):
            FittedCurvesDisplay.from_estimator(plane, x, Y)
