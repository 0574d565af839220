"""Names that matplotlib would take for formulas, and messages about the number of inputs."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import mtrelu
from mtrelu.displays import DualFunctionDisplay, FittedCurvesDisplay, SurfaceDisplay
from mtrelu.displays._style import literal


@pytest.mark.parametrize("name", ["a$b$", "$\\frac", "$", "\\$x$", "5 $ and 6 $", "plain_^{"])
def test_names_are_drawn_letter_by_letter(name):
    figure = Figure()
    text = figure.text(0, 0, literal(name))
    figure.canvas.draw()
    assert text._preprocess_math(text.get_text()) == (name, False)


def test_dual_function_of_one_input_names_the_other_display():
    solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0.1)
    with pytest.raises(mtrelu.InvalidInputError, match=r"there is one input.*DualLineDisplay"):
        DualFunctionDisplay.from_solution(solution)


def test_logistic_solutions_are_drawn_as_probabilities():
    y = [0, 0, 1, 0, 1, 1]
    line = mtrelu.solve(np.arange(6.0), y, 0.1, loss="logistic")
    display = FittedCurvesDisplay.from_solution(line)
    expected = 1 / (1 + np.exp(-line.network(display.grid[:, None])))
    np.testing.assert_allclose(display.curves, expected, rtol=1e-12)
    assert display.output_name == "probability"
    X = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    plane = mtrelu.solve(X, y, 0.5, loss="logistic", skip="constant")
    values = SurfaceDisplay.from_solution(plane, n_grid=10).values
    assert (values > 0).all() and (values < 1).all()
