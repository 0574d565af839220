import matplotlib
import numpy as np
import pytest

import mtrelu
from mtrelu.displays import CurvesDisplay, SelectionDisplay, SlopeChangesDisplay
from mtrelu.selection import select_alpha
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def zigzag(T, n=20, alpha=0.5):
    rng = np.random.default_rng(T)
    x = np.sort(rng.uniform(0, 5, n))
    return mtrelu.solve(x, rng.standard_normal((n, T)).cumsum(axis=0), alpha)


@pytest.mark.parametrize("T", [1, 2, 4, 5, 9, 12])
def test_a_panel_for_every_task(T):
    display = CurvesDisplay.from_solution(zigzag(T), input_name="time").plot()
    assert len(display.axes_) == T == len(display.figure_.axes)
    assert [axes.get_title() for axes in display.axes_] == [f"task {t + 1}" for t in range(T)]
    for t, axes in enumerate(display.axes_):
        curve = next(line for line in axes.lines if line.get_label() == "fitted curve")
        assert np.array_equal(curve.get_ydata(), display.curves[:, t])
        points = axes.collections[-1].get_offsets()
        assert np.array_equal(points, np.column_stack([display.x, display.Y[:, t]]))
    # The input is named below every panel that has none below it.
    named = sum(axes.get_xlabel() == "time" for axes in display.axes_)
    assert named == len({axes.get_position().x0 for axes in display.axes_})
    display.figure_.canvas.draw()  # nothing collapses


@pytest.mark.parametrize("T", [13, 61, 300])
def test_many_tasks_share_one_panel(T):
    names = [str(1950 + t) for t in range(T)]
    display = CurvesDisplay.from_solution(zigzag(T), tasks=names).plot()
    (axes,) = display.axes_
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(display.grid)]
    assert len(curves) == T
    bar = next(other for other in display.figure_.axes if other is not axes)
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert labels[0] == "1950" and labels[-1] == names[-1]
    display.figure_.canvas.draw()


def test_selected_tasks_only():
    display = CurvesDisplay.from_solution(zigzag(61)).plot(select=[5, 3])
    assert [axes.get_title() for axes in display.axes_] == ["task 6", "task 4"]


def test_knots_are_marked_where_they_are():
    solution = zigzag(2)
    display = CurvesDisplay.from_solution(solution).plot()
    marked = [
        line.get_xdata()[0] for line in display.axes_[0].lines if line.get_linestyle() == "--"
    ]
    assert np.array_equal(np.sort(marked), solution.network.knots())
    assert set(solution.network.knots()) <= set(display.grid)


def test_the_band_is_the_range_of_all_optima():
    solution = mtrelu.solve([0.0, 1, 2, 3], [0.0, 0, 1, 3], 0)
    display = CurvesDisplay.from_solution(solution).plot()
    width = (display.high - display.low)[:, 0]
    i = np.argmin(np.abs(display.grid - 1.5))
    assert width.max() == pytest.approx(width[i]) == pytest.approx(0.5, abs=0.02)
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "any optimal network" in legend


def test_no_band_in_the_legend_where_the_optimum_is_unique():
    display = CurvesDisplay.from_solution(mtrelu.solve([0.0, 1, 2], [0.0, 1, 0], 0)).plot()
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "any optimal network" not in legend


def test_scale_brings_back_the_units():
    solution = zigzag(2)
    plain = CurvesDisplay.from_solution(solution)
    scaled = CurvesDisplay.from_solution(solution, scale=np.array([10.0, 1.0]))
    for name in ("Y", "curves", "low", "high"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name) * [10.0, 1.0])


def test_a_figure_given_is_used():
    from matplotlib.figure import Figure

    figure = Figure()
    assert CurvesDisplay.from_solution(zigzag(1)).plot(figure).figure_ is figure
    assert figure.axes


@pytest.mark.parametrize("T", [1, 3, 61, 200])
def test_heat_map(T):
    solution = zigzag(T)
    names = [f"t{t}" for t in range(T)]
    display = SlopeChangesDisplay.from_network(solution.network, tasks=names).plot()
    image = display.axes_.images[0]
    assert np.array_equal(image.get_array(), solution.network.slope_changes().T)
    low, high = image.get_clim()
    assert low == -high  # white is no bend
    labels = [label.get_text() for label in display.axes_.get_yticklabels()]
    assert labels[0] == "t0" and len(labels) <= 70
    display.figure_.canvas.draw()


def test_heat_map_without_knots():
    solution = mtrelu.solve([0.0, 1, 2], [0.0, 1, 2.1], 1e3)
    assert len(solution.network.knots()) == 0
    display = SlopeChangesDisplay.from_network(solution.network).plot()
    assert "no knots" in display.axes_.get_title()
    display.figure_.canvas.draw()


def test_selection_curve():
    rng = np.random.default_rng(0)
    choice = select_alpha(np.arange(12.0), rng.standard_normal((12, 2)), n_folds=3)
    display = SelectionDisplay(choice).plot()
    curve = next(line for line in display.axes_.lines if line.get_marker() == "o")
    assert np.array_equal(curve.get_xdata(), choice.alphas)
    assert np.array_equal(curve.get_ydata(), choice.mean)
    assert any(list(line.get_xdata()) == [choice.alpha] * 2 for line in display.axes_.lines)


def test_wrong_number_of_names():
    with pytest.raises(InvalidInputError, match="tasks has 1 names, but there are 2 tasks"):
        CurvesDisplay.from_solution(zigzag(2), tasks=["only"])
