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
    found = shared.teachers()
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
    assert shared.ridge_distance(s, values) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-9, 1.0, -1e9])
def test_ridge_functions_are_at_distance_zero_in_any_unit(factor):
    s = np.linspace(-3.0, 3.0, 121)
    size = abs(factor)
    assert shared.ridge_distance(s, factor * (2.0 + np.maximum(0.5 - s, 0.0))) < 1e-7 * size
    assert shared.ridge_distance(s, factor * s) < 1e-7 * size  # with its kink at the end
    assert shared.ridge_distance(s, np.full_like(s, factor)) < 1e-12 * size
    assert shared.ridge_distance(s, factor * np.abs(s)) > 0.4 * size


def test_active_neurons_do_not_depend_on_how_weights_are_balanced():
    found = network([[2.0, 0.0], [0.0, 1e-3], [1e-4, 0.0]], [[0.5], [20.0], [1.0]])
    np.testing.assert_allclose(shared.strengths(found), [1.0, 0.02, 1e-4])
    for each in (found, found.balanced(), found.unit_norm()):
        numbers = shared.numbers(each, np.eye(2), np.zeros((2, 1)))
        assert numbers["n_active"] == [1, 2, 2, 3, 3, 3]


def test_the_variation_of_two_neurons_is_that_of_their_gradients():
    found = network([[1.0, 0.0], [0.0, 3.0]], [[1.0], [1.0]])
    points = np.array([[1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    # Gradients (1, 0), (0, 3) and 0: Σ ∇f ∇fᵀ = diag(1, 9).
    np.testing.assert_allclose(shared.other_directions(found, points), [0.1])
    flat = network([[1.0, 0.0]], [[0.0]])
    np.testing.assert_array_equal(shared.other_directions(flat, points), [0.0])


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_against_differences(seed):
    rng = np.random.default_rng(seed)
    found = ReLUNetwork(
        rng.standard_normal((7, 3)),
        rng.standard_normal(7),
        rng.standard_normal((7, 2)),
        rng.standard_normal((2, 3)),
        [0.0, 1.0],
    )
    points, h = rng.standard_normal((40, 3)), 1e-6
    steps = h * np.eye(3)
    slopes = np.stack([(found(points + e) - found(points - e)) / (2 * h) for e in steps], axis=-1)
    for t, share in enumerate(shared.other_directions(found, points)):
        values = np.linalg.eigvalsh(slopes[:, t].T @ slopes[:, t])
        assert share == pytest.approx(1.0 - values[-1] / values.sum(), abs=1e-6)


def test_directions_in_which_a_teacher_hardly_varies_do_not_dominate():
    s, w = np.linspace(-3.0, 3.0, 61), shared.teachers().w[0]
    across = np.linalg.svd(w[np.newaxis])[2][1]  # orthogonal to the first teacher
    near = network([w + 1e-3 * across], [[1.0]])
    found = shared.compared(near, (0,), across[np.newaxis], s)
    assert found["worst_teacher"][0] < 0.01


def test_a_sign_test():
    ones = np.ones(25)
    assert shared.more_often(2 * ones, ones) == pytest.approx(2.0**-25)
    assert shared.more_often(ones, ones) == 1.0
    mixed = np.r_[2 * np.ones(13), np.zeros(12)]
    assert shared.more_often(mixed, ones) == pytest.approx(0.5)


def test_training_and_solving_happen_once_in_a_process(monkeypatch):
    settings = {"width": 20, "steps": 30, "rate": 1e-2, "settling_steps": 3}
    first = shared.train((0, 1), 0, settings)
    monkeypatch.setattr(shared, "train_to_rest", None)
    again = shared.train([0, 1], 0, {**settings, "grid": 3})
    assert again["network"] is first["network"]
    with pytest.raises(TypeError):
        shared.train((0, 1), 0, settings, "none")  # which is another training


def test_without_a_skip_connection_there_is_none():
    settings = {"width": 20, "steps": 30, "rate": 1e-2, "settling_steps": 3}
    found = shared.train((0, 1), 1, settings, "none")["network"]
    assert not found.A.any() and not found.c.any()


def test_least_entry_finds_a_task_left_out():
    v = np.ones((4, 25))
    assert shared.least_entry(v) == 1.0
    v[2, 7] = 0.0
    assert shared.least_entry(v) == 0.0


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_what_is_called_an_optimum_is_certified_with_fewer_neurons_too(skip):
    X, Y = DESIGNS["student-teacher"].draw(25, 0)
    found = shared.optimum((0,), skip=skip)
    assert found["proved"]
    for row in found["networks"]:
        again = mtrelu.certify(row["network"], X, Y[:, 0], 0.001, skip=skip)
        # Without the solver's dual variable the bound is a little lower.
        assert row["proved"] and row["gap"] <= 1e-6 and again.relative_gap < 1e-5
        assert row["mse"] == pytest.approx(np.mean((row["network"](X)[:, 0] - Y[:, 0]) ** 2))
