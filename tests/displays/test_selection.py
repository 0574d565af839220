import matplotlib
import numpy as np
import pytest

from mtrelu import ReLURegressor
from mtrelu.displays import SelectionDisplay
from mtrelu.estimators.cv import ReLURegressorCV
from mtrelu.selection import select_alpha
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def data():
    return np.arange(12.0)[:, None], np.random.default_rng(0).standard_normal((12, 2))


def test_what_is_drawn():
    choice = select_alpha(*data(), n_folds=3)
    display = SelectionDisplay(choice).plot()
    curve = next(line for line in display.ax_.lines if line.get_marker() == "o")
    assert np.array_equal(curve.get_xdata(), choice.alphas)
    assert np.array_equal(curve.get_ydata(), choice.mean)
    assert any(list(line.get_xdata()) == [choice.alpha] * 2 for line in display.ax_.lines)


def test_an_estimator_that_chose():
    X, Y = data()
    model = ReLURegressorCV(n_alphas=5, cv=3).fit(X, Y)
    choice = SelectionDisplay.from_estimator(model, X, Y).selection
    assert choice.alpha == model.alpha_
    assert np.array_equal(choice.scores, model.cv_losses_)


def test_an_estimator_that_did_not_choose_is_refused():
    with pytest.raises(InvalidInputError, match="has chosen no alpha"):
        SelectionDisplay.from_estimator(ReLURegressor().fit(*data()))


def test_axes_given_are_used():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert SelectionDisplay(select_alpha(*data(), n_folds=3)).plot(ax).ax_ is ax
