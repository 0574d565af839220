import numpy as np
import pytest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.paper import _student_teacher as shared
from mtrelu.regime.designs import DESIGNS

pytest.importorskip("torch")


def network(w, v, b=None, n_tasks=1):
    w, v = np.asarray(w, float), np.asarray(v, float)
    b = np.zeros(len(w)) if b is None else b
    return ReLUNetwork(w, b, v, np.zeros((n_tasks, w.shape[1])), np.zeros(n_tasks))


def test_teachers_are_the_neurons_that_the_design_drew():
    X, Y = DESIGNS["student-teacher"].draw(25, 0)
    found = shared.teachers(25)
    np.testing.assert_allclose(found(X), Y, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.w, axis=1), 1.0, rtol=1e-12)


def test_the_penalties_are_those_of_the_paper():
    assert shared.alpha(25) == pytest.approx(0.025)
    assert shared.alpha(1) == pytest.approx(0.001)


def test_distance_to_ridge_functions_against_a_search_by_least_squares():
    s = np.linspace(-3.0, 3.0, 121)
    values = np.abs(s + 0.4) + 0.3 * s
    least = np.inf
    for b in np.linspace(-3.0, 3.0, 241):
        for hinge in (np.maximum(s - b, 0.0), np.maximum(b - s, 0.0)):
            design = np.column_stack([np.ones_like(s), hinge])
            left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
            least = min(least, float(np.sqrt(np.mean(left**2))))
    assert shared.ridge_distance(s, values) == pytest.approx(least / values.std(), rel=1e-9)


@pytest.mark.parametrize("factor", [1e-9, 1.0, -1e9])
def test_ridge_functions_are_at_distance_zero_in_any_unit(factor):
    s = np.linspace(-3.0, 3.0, 121)
    assert shared.ridge_distance(s, factor * (2.0 + np.maximum(0.5 - s, 0.0))) < 1e-7
    assert shared.ridge_distance(s, factor * s) < 1e-7  # with its kink at the end
    assert shared.ridge_distance(s, np.full_like(s, factor)) == 0.0
    assert shared.ridge_distance(s, factor * np.abs(s)) > 0.5


def test_active_neurons_do_not_depend_on_how_weights_are_balanced():
    found = network([[2.0, 0.0], [0.0, 1e-3], [1e-4, 0.0]], [[0.5], [20.0], [1.0]])
    assert shared.active(found).n_neurons == shared.active(found.balanced()).n_neurons == 2
    np.testing.assert_allclose(shared.strengths(found), [1.0, 0.02, 1e-4])


def test_least_entry_finds_a_task_left_out():
    v = np.ones((4, 25))
    assert shared.least_entry(v) == 1.0
    v[2, 7] = 0.0
    assert shared.least_entry(v) == 0.0


def test_optima_are_certified_and_keep_their_certificate_with_fewer_neurons():
    X, Y = DESIGNS["student-teacher"].draw(25, 0)
    found = shared.optimum(X, Y[:, [0]])
    assert found["proved"] and found["network"].n_neurons <= found["n_found"]
    again = mtrelu.certify(found["network"], X, Y[:, 0], 0.001)
    assert again.relative_gap < 2e-6
