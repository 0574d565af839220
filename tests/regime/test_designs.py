import numpy as np
import pytest
from scipy.optimize import linprog

from mtrelu.regime.designs import DESIGNS, sup_points, table_design
from mtrelu.validation import InvalidInputError


@pytest.mark.parametrize("name", DESIGNS)
def test_a_seed_is_one_draw(name):
    design = DESIGNS[name]
    X, Y = design.draw(4, seed=3)
    again = design.draw(4, seed=3)
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(Y, again[1])
    assert X.dtype == Y.dtype == np.float64 and len(X) == len(Y) and Y.shape[1] == 4
    assert not np.array_equal(Y, design.draw(4, seed=4)[1])


@pytest.mark.parametrize("name", [name for name in DESIGNS if name != "two-squares"])
def test_fewer_tasks_are_the_first_of_more(name):
    X, Y = DESIGNS[name].draw(30, seed=1)
    fewer = DESIGNS[name].draw(7, seed=1)
    np.testing.assert_array_equal(fewer[0], X)
    np.testing.assert_array_equal(fewer[1], Y[:, :7])


def test_two_squares_are_those_of_figure_5():
    X, Y = DESIGNS["two-squares"].draw(101, seed=2)
    outer, inner = np.abs(X[:4]), np.abs(X[4:])
    assert (outer == 1.0).all() and (inner == 0.5).all()  # side lengths two and one
    assert len(np.unique(X, axis=0)) == 8
    assert Y[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert set(np.unique(Y)) == {0.0, 1.0}
    # 800 fair coins: five standard deviations are 0.09.
    assert abs(Y[:, 1:].mean() - 0.5) < 0.09
    # The draws that the reference table was measured with.
    np.testing.assert_array_equal(Y[:, 1:], np.random.default_rng(2).integers(0, 2, (8, 100)))


def test_student_and_teacher_are_those_of_appendix_b():
    X, Y = DESIGNS["student-teacher"].draw(25, seed=0)
    assert X.shape == (20, 5) and Y.shape == (20, 25)
    for y in Y.T:
        # A teacher is found from its positive labels, and gives all of them.
        active = y > 0
        assert active.sum() >= 5
        w = np.linalg.lstsq(X[active], y[active], rcond=None)[0]
        assert np.linalg.norm(w) == pytest.approx(1.0, rel=1e-9)
        np.testing.assert_allclose(np.maximum(X @ w, 0.0), y, atol=1e-9)
    assert DESIGNS["student-teacher"].alpha == pytest.approx(1e-4 * 20 * 25 / 2)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_gaussian_designs_are_white(d):
    design = DESIGNS[f"gaussian-{d}d"]
    X, Y = design.draw(20_000, seed=0)
    assert X.shape[1] == d
    covariance = Y @ Y.T / 20_000
    np.testing.assert_allclose(covariance, np.eye(len(X)), atol=0.05)
    assert abs(Y.mean()) < 0.01


def test_the_tasks_of_a_table_come_in_random_order():
    X, Y = np.arange(4.0)[:, None], np.arange(4.0)[:, None] + 10.0 * np.arange(6)
    design = table_design("t", X, Y, title="A title", description="Where from.")
    orders = []
    for seed in range(200):
        inputs, labels = design.draw(6, seed)
        np.testing.assert_array_equal(inputs, X)
        order = (labels[0] / 10.0).astype(int)
        np.testing.assert_array_equal(labels, Y[:, order])
        np.testing.assert_array_equal(design.draw(2, seed)[1], labels[:, :2])
        orders.append(order)
    assert all(sorted(order) == list(range(6)) for order in orders)
    # Every task is measured about as often: 33 times, standard deviation 5.
    counts = np.bincount([order[0] for order in orders], minlength=6)
    assert counts.min() >= 13 and counts.max() <= 53
    assert design.n_tasks == (1, 2, 5, 6) and design.alpha == pytest.approx(0.04)
    assert design.description.startswith("Where from. ")


@pytest.mark.parametrize(("n_tasks", "message"), [(0, "from 1"), (-1, "from 1"), (7, "up to 6")])
def test_a_table_has_the_tasks_that_it_has(n_tasks, message):
    design = table_design("t", np.zeros((4, 1)), np.zeros((4, 6)), title="", description="")
    with pytest.raises(InvalidInputError, match=message):
        design.draw(n_tasks, 0)


def test_points_on_a_line_and_in_the_plane_are_grids():
    X = np.array([[3.0], [-1.0], [0.0]])
    points = sup_points(X)
    assert points.shape == (401, 1)
    np.testing.assert_allclose(np.diff(points[:, 0]), 0.01, rtol=1e-9)
    assert points[0, 0] == -1.0 and points[-1, 0] == 3.0
    X = np.array([[3.0, 0.0], [-1.0, 5.0], [0.0, 1.0]])
    points = sup_points(X)
    assert points.shape == (41 * 41, 2) and len(np.unique(points.round(9), axis=0)) == 41 * 41
    assert (points.min(axis=0) == [-1.0, 0.0]).all() and (points.max(axis=0) == [3.0, 5.0]).all()


@pytest.mark.parametrize(("n", "d"), [(12, 3), (20, 5), (3, 5)])
def test_points_of_more_inputs_are_in_the_convex_hull(n, d):
    X = np.random.default_rng(0).standard_normal((n, d))
    points = sup_points(X)
    assert points.shape == (n + 2000, d)
    np.testing.assert_array_equal(points[:n], X)
    np.testing.assert_array_equal(points, sup_points(X))
    for point in points[n::100]:
        found = linprog(np.zeros(n), A_eq=np.vstack([X.T, np.ones(n)]), b_eq=np.append(point, 1.0))
        assert found.status == 0
