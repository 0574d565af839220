import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from mtrelu.displays.regime import RegimeDisplay
from mtrelu.regime.designs import DESIGNS
from mtrelu.regime.measurement import Measurement
from mtrelu.regime.sweep import Plan, Sweep, lemma_promise

T = (1, 2, 4, 8, 16)


def make(change=lambda n, seed: {}, n_tasks=T, n_seeds=3):
    """A sweep with known power laws; `change` alters some cells."""
    cells = []
    for n in n_tasks:
        for seed in range(n_seeds):
            size = 1.0 + 0.5 * (seed - 1)  # so that the median is that of seed 1
            cell = Measurement(n, seed, 0.1, "certified", 1e-12, 4, 0, 0.1, 1e-13)
            if n > 1:
                cell = replace(
                    cell, output_difference=size * n**-1.0, leave_task_out_status="certified",
                    leave_task_out_difference=5 * size * n**-0.5, leave_task_out_gap=2e-12,
                    restart_difference=1e-8, excess=1e-3 * size * n**-3.0,
                    surrogate_gap=size * n**-2.0, neighbourhood_share=0.5,
                    lemma_shares=(0.6, 0.7, 0.8, 0.9), gamma_spread=size / n,
                )  # fmt: skip
            cells.append(replace(cell, **change(n, seed)))
    design = DESIGNS["gaussian-1d"]
    return Sweep(Plan.make(design, n_tasks=n_tasks, n_seeds=n_seeds), tuple(cells))


def draw(sweep):
    return RegimeDisplay(sweep).plot(Figure())


def line(axes, label):
    (found,) = [each for each in axes.get_lines() if str(each.get_label()).startswith(label)]
    return found


def legend(axes):
    return [entry.get_text() for entry in axes.get_legend().get_texts()]


def test_curves_are_medians_and_bands_reach_from_least_to_largest():
    outputs = draw(make()).axes_[0]
    drawn = line(outputs, "own neurons, ridge")
    np.testing.assert_array_equal(drawn.get_xdata(), [2, 4, 8, 16])  # one task has none
    np.testing.assert_allclose(drawn.get_ydata(), [1 / 2, 1 / 4, 1 / 8, 1 / 16])
    band = outputs.collections[0].get_paths()[0].vertices
    at_four = band[band[:, 0] == 4, 1]
    assert at_four.min() == pytest.approx(0.125) and at_four.max() == pytest.approx(0.375)


def test_the_axes_are_logarithmic_and_tell_the_numbers_of_tasks():
    display = draw(make())
    assert [axes.get_xscale() for axes in display.axes_] == ["log"] * 6
    yscales = [axes.get_yscale() for axes in display.axes_]
    assert yscales == ["log", "log", "log", "linear", "linear", "log"]
    for axes in display.axes_:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    assert len(draw(make(n_tasks=tuple(range(1, 30)))).axes_[0].get_xticks()) < 29


def test_rates_are_in_the_legend_with_their_uncertainty():
    sweep = make(n_seeds=5)
    outputs, objectives = draw(sweep).axes_[:2]
    (text,) = [text for text in legend(outputs) if text.startswith("own neurons, ridge")]
    rate = sweep.rate("output_difference")
    assert "$T^{-1.00}$" in text and "95 %" in text
    assert f"{rate.low:.2f} … {rate.high:.2f}".replace("-", "−") in text
    assert any("T^{-3.00}" in text for text in legend(objectives))


def test_the_rate_of_the_theorem_starts_at_the_highest_curve():
    outputs, objectives = draw(make()).axes_[:2]
    for axes, height in ((outputs, 5 * 2**-0.5), (objectives, 2**-2.0)):
        slope = line(axes, "$T^{−1/4}$")
        np.testing.assert_array_equal(slope.get_xdata(), [2, 16])
        np.testing.assert_allclose(slope.get_ydata(), [height, height * 8**-0.25])
    assert "$T^{−1/4}$, the theorem's rate" in legend(objectives)


def test_the_theorem_says_nothing_about_a_growing_penalty():
    sweep = make()
    growing = replace(sweep, plan=replace(sweep.plan, alpha=None, weight_decay=1e-3))
    assert "$T^{−1/4}$, for comparison" in legend(draw(growing).axes_[1])


def test_shares_are_drawn_beside_the_promise():
    shares = draw(make()).axes_[3]
    assert line(shares, "[20], β = 0.67").get_ydata().tolist() == [0.8] * 4
    promises = [each for each in shares.get_lines() if len(each.get_xdata()) == 100]
    assert len(promises) == 4
    np.testing.assert_allclose(
        promises[1].get_ydata(), lemma_promise(promises[1].get_xdata(), 0.5), rtol=1e-12
    )


def test_what_is_not_certified_is_a_cross_and_counts_for_no_median():
    sweep = make(lambda n, seed: {"status": "almost"} if (n, seed) == (4, 2) else {})
    display = draw(sweep)
    outputs = display.axes_[0]
    crosses = [each for each in outputs.get_lines() if each.get_marker() == "x"]
    points = {(x, y) for each in crosses for x, y in zip(*each.get_data(), strict=True)}
    assert (4, 1.5 / 4) in points and (4, 7.5 * 4**-0.5) in points
    assert line(outputs, "own neurons, ridge").get_ydata()[1] == pytest.approx((0.5 + 1) / 2 / 4)
    assert legend(outputs).count("not certified") == 1
    assert "not certified" in legend(display.axes_[5])
    assert not any(each.get_marker() == "x" for each in draw(make()).axes_[0].get_lines())


def test_a_number_of_tasks_without_certified_cell_is_a_gap():
    sweep = make(lambda n, seed: {"status": "almost"} if n == 4 else {})
    drawn = line(draw(sweep).axes_[0], "own neurons, ridge")
    np.testing.assert_array_equal(drawn.get_xdata(), [2, 8, 16])


def test_zero_and_infinity_are_told():
    def change(n, seed):
        if n == 1:
            return {}
        return {"excess": 0.0, "surrogate_gap": np.inf if (n, seed) == (2, 0) else 1.0}

    display = draw(make(change))
    texts = legend(display.axes_[1])
    assert any(text == "J(v′) − J(v*) [17]: 0" for text in texts)
    assert any("(∞ in 1 cells)" in text for text in texts)
    display.figure_.savefig(io.BytesIO())


@pytest.mark.parametrize(
    "sweep",
    [
        make(n_tasks=(1,)),
        make(n_tasks=(7,)),
        make(n_seeds=1),
        make(lambda n, seed: {"status": "almost"}),
    ],
    ids=["one task", "one number", "one seed", "nothing certified"],
)
def test_little_to_draw(sweep):
    draw(sweep).figure_.savefig(io.BytesIO())


def test_a_panel_without_numbers_says_so():
    texts = [text.get_text() for text in draw(make(n_tasks=(1,))).axes_[1].texts]
    assert texts == ["nothing to draw"]
