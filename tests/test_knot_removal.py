"""Lemma 3.2 against its own formula, and repeated until connect-the-dots is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.knot_removal import remove_knot
from mtrelu.network import ReLUNetwork
from mtrelu.solvers.interpolation import interpolate
from mtrelu.validation import InvalidInputError


def random_network(rng, n_knots, n_tasks, low, high):
    return ReLUNetwork.from_knots(
        rng.uniform(low, high, n_knots),
        rng.standard_normal((n_knots, n_tasks)),
        rng.standard_normal(n_tasks),
        rng.standard_normal(n_tasks),
    )


def test_costs_match_the_formula_in_the_proof():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c, d = rng.standard_normal((4, 3))
        tau, width = rng.uniform(0.1, 0.9), rng.uniform(0.5, 2.0)
        # Figure 3: slopes a, b + δ, b − τδ/(1 − τ), c around knots at 0, τ·width, width.
        changes = np.array([b + d - a, -d / (1 - tau), c - b + tau * d / (1 - tau)])
        network = ReLUNetwork.from_knots([0.0, tau * width, width], changes, a, np.zeros(3))
        removal = remove_knot(network, 1, [0.0, width])
        norm = np.linalg.norm
        before = norm(d + b - a) + norm(d) / (1 - tau) + norm(c - b + tau * d / (1 - tau))
        assert removal.cost_before == pytest.approx(before, rel=1e-12)
        assert removal.cost_after == pytest.approx(norm(b - a) + norm(c - b), rel=1e-12)
        assert (removal.left, removal.knot, removal.right) == (0.0, tau * width, width)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_keeps_the_data_and_everything_outside_and_never_costs_more(seed):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 10, 6))
    network = random_network(rng, 8, 2, 0, 10)
    knots = network.knots()
    inside = np.flatnonzero((knots > x[0]) & (knots < x[-1]))
    if not inside.size:
        return
    removal = remove_knot(network, int(rng.choice(inside)), x)
    after = removal.network
    assert removal.knot not in after.knots()
    assert removal.cost_after <= removal.cost_before * (1 + 1e-12)
    np.testing.assert_allclose(after(x), network(x), atol=1e-11)
    queries = np.linspace(-2, 12, 2001)
    changed = (queries > removal.left) & (queries < removal.right)
    np.testing.assert_allclose(after(queries[~changed]), network(queries[~changed]), atol=1e-11)
    ends = after([removal.left, removal.right])
    share = ((queries[changed] - removal.left) / (removal.right - removal.left))[:, None]
    straight = ends[0] + share * (ends[1] - ends[0])
    np.testing.assert_allclose(after(queries[changed]), straight, atol=1e-10)


def test_removing_all_knots_between_data_leaves_connect_the_dots():
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 10, 7))
    network = random_network(rng, 20, 3, x[0], x[-1])
    costs = [network.path_cost()]
    while True:
        between = np.flatnonzero(~np.isin(network.knots(), x))
        if not between.size:
            break
        removal = remove_knot(network, int(between[0]), x)
        network = removal.network
        costs.append(removal.cost_after)
    assert np.all(np.diff(costs) <= 1e-9)
    fit = interpolate(x, network(x))
    assert network.path_cost() >= fit.cost * (1 - 1e-12)
    queries = np.linspace(x[0], x[-1], 500)
    np.testing.assert_allclose(network(queries), fit(queries), atol=1e-9)


def test_aligned_costs_the_same_and_anything_else_costs_strictly_less():
    u, v = np.array([0.6, 0.8]), np.array([0.8, -0.6])
    aligned = ReLUNetwork.from_knots([0.0, 0.4, 1.0], np.outer([1, 2, 3], u), u, v)
    removal = remove_knot(aligned, 1, [-1.0, 0.0, 1.0, 2.0])
    assert removal.cost_after == pytest.approx(removal.cost_before, rel=1e-14)
    bent = ReLUNetwork.from_knots([0.0, 0.4, 1.0], [u, 2 * v, u], u, v)
    removal = remove_knot(bent, 1, [-1.0, 0.0, 1.0, 2.0])
    assert removal.cost_after < removal.cost_before - 0.1


def test_accepts_any_orientation_of_the_neurons():
    network = ReLUNetwork(w=[[-2.0]], b=[3.0], v=[[1.0]], A=[[0.0]], c=[0.0])
    removal = remove_knot(network, 0, [[2.0], [1.0]])
    np.testing.assert_allclose(removal.network.knots(), [1.0, 2.0])
    np.testing.assert_allclose(removal.network([1.0, 2.0]), network([1.0, 2.0]))


def test_refuses_knots_that_the_lemma_is_not_about():
    network = ReLUNetwork.from_knots([-1.0, 1.0, 9.0], np.ones((3, 1)), [0.0], [0.0])
    for knot in (0, 1, 2):
        with pytest.raises(InvalidInputError, match="not strictly between"):
            remove_knot(network, knot, [0.0, 1.0, 2.0])
    for knot in (-1, 3):
        with pytest.raises(InvalidInputError, match="3 knots"):
            remove_knot(network, knot, [0.0, 1.0, 2.0])
