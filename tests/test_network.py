from fractions import Fraction
from time import perf_counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtrelu import network as network_module
from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError

EPS = np.finfo(float).eps


def random_network(n_neurons, n_inputs, n_tasks, seed=0):
    rng = np.random.default_rng(seed)
    return ReLUNetwork(
        rng.standard_normal((n_neurons, n_inputs)),
        rng.standard_normal(n_neurons),
        rng.standard_normal((n_neurons, n_tasks)),
        rng.standard_normal((n_tasks, n_inputs)),
        rng.standard_normal(n_tasks),
    )


def exactly(network, x):
    """Evaluate [1] in rational arithmetic, and the sum of the sizes of its terms."""
    x = [Fraction(float(entry)) for entry in np.atleast_1d(x)]
    hidden = [
        max(
            sum((Fraction(float(w)) * e for w, e in zip(row, x, strict=True)), Fraction(float(b))),
            Fraction(0),
        )
        for row, b in zip(network.w, network.b, strict=True)
    ]
    values, sizes = [], []
    for t in range(network.n_tasks):
        terms = [Fraction(float(network.c[t]))]
        terms += [Fraction(float(a)) * e for a, e in zip(network.A[t], x, strict=True)]
        terms += [Fraction(float(v)) * h for v, h in zip(network.v[:, t], hidden, strict=True)]
        values.append(sum(terms))
        sizes.append(sum(abs(term) for term in terms))
    return values, sizes


def assert_evaluates_exactly(network, points):
    """Each value must be the exact one rounded, give or take a last digit."""
    found = network(points)
    for x, row in zip(points, found, strict=True):
        values, sizes = exactly(network, x)
        for value, size, got in zip(values, sizes, row, strict=True):
            assert abs(Fraction(float(got)) - value) <= Fraction(EPS) * abs(value) + size / 2**90


def evaluation_cases():
    rng = np.random.default_rng(7)
    for offset in (0.0, 1.0, -1e10, 1e10):
        for scale in (1.0, 1e-8, 1e8):
            n = 25
            kinks = offset + scale * rng.standard_normal(n)
            w = rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4, size=n)
            b = -w * kinks
            kinks[:5] = kinks[5:10]
            w[:5], b[:5] = -w[5:10], -b[5:10]  # the same kinks, the other way round
            b[10:15] = -w[10:15] * b[0] / w[0]
            slope, intercept = rng.standard_normal((2, 3))
            network = ReLUNetwork(
                w[:, np.newaxis],
                b,
                rng.standard_normal((n, 3)),
                slope[:, np.newaxis],
                intercept - slope * offset,
            )
            here = -b / w
            points = np.concatenate(
                [
                    here,
                    np.nextafter(here, np.inf),
                    np.nextafter(here, -np.inf),
                    offset + 3 * scale * rng.standard_normal(20),
                    [0.0, offset, 2 * offset, offset],
                ]
            )
            yield pytest.param(network, points, id=f"offset={offset:g} scale={scale:g}")


@pytest.mark.parametrize(("network", "points"), list(evaluation_cases()))
def test_one_input_is_evaluated_to_the_last_digit(network, points):
    assert_evaluates_exactly(network, points)


moderate = st.floats(-1e6, 1e6).map(lambda value: value if abs(value) > 1e-30 else 0.0)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(moderate, moderate, moderate), max_size=6),
    st.tuples(moderate, moderate),
    st.lists(moderate, min_size=1, max_size=6),
)
def test_any_network_of_one_input_is_evaluated_to_the_last_digit(neurons, affine, points):
    assume(all(w != 0.0 for w, _, _ in neurons))
    w, b, v = np.array(neurons, dtype=float).reshape(-1, 3).T
    network = ReLUNetwork(w[:, None], b, v[:, None], [[affine[0]]], [affine[1]])
    with np.errstate(over="ignore"):
        at_kinks = [kink for kink in (-b / w).tolist() if abs(kink) < 1e100]
    assert_evaluates_exactly(network, np.array(points + at_kinks))


def test_a_kink_between_two_floats_is_decided_by_the_exact_sign():
    # The kink 1e10 + 1/3 rounds to a representable x that lies to one side of it.
    w = 3.0
    b = -(3e10 + 1.0)
    x = float(Fraction(-b) / Fraction(w))
    for sign in (1.0, -1.0):
        network = ReLUNetwork([[sign * w]], [sign * b], [[1.0]], [[0.0]], [0.0])
        expected = max(Fraction(sign * w) * Fraction(x) + Fraction(sign * b), 0)
        assert network([x])[0, 0] == float(expected)


def test_neurons_without_input_weight_are_constants():
    for n_inputs in (1, 3):
        network = ReLUNetwork(
            np.zeros((3, n_inputs)),
            [2.0, -1.0, 0.0],
            [[1.0], [5.0], [7.0]],
            np.zeros((1, n_inputs)),
            [0.5],
        )
        np.testing.assert_array_equal(network(np.ones((2, n_inputs))), [[2.5], [2.5]])


def test_neurons_whose_kink_overflows_are_lines_or_nothing():
    network = ReLUNetwork([[1e-320], [1e-320]], [1.0, -1.0], [[1.0], [5.0]], [[0.0]], [0.0])
    np.testing.assert_array_equal(network([-1.0, 1.0]), [[1.0], [1.0]])
    with pytest.raises(InvalidInputError, match="beyond the range of float64"):
        network.canonical()


@pytest.mark.parametrize("n_inputs", [2, 3])
def test_more_inputs_are_evaluated_to_rounding(n_inputs, monkeypatch):
    monkeypatch.setattr(network_module, "_BLOCK_ENTRIES", 40)  # several blocks
    network = random_network(9, n_inputs, 2)
    points = np.random.default_rng(1).standard_normal((23, n_inputs))
    for x, row in zip(points, network(points), strict=True):
        values, sizes = exactly(network, x)
        for value, size, got in zip(values, sizes, row, strict=True):
            assert abs(got - value) <= 20 * EPS * (size + 10)


def test_a_network_without_neurons_is_affine():
    network = ReLUNetwork(np.empty((0, 1)), [], np.empty((0, 2)), [[2.0], [0.0]], [1.0, 3.0])
    np.testing.assert_array_equal(network([0.0, 1.0]), [[1.0, 3.0], [3.0, 3.0]])
    assert network.path_cost() == network.weight_decay_cost() == 0.0
    assert network.canonical().n_neurons == network.merged().n_neurons == 0
    assert network.knots().shape == (0,)
    assert network.slope_changes().shape == (0, 2)
    assert network.same_function(network)
    plane = ReLUNetwork(np.empty((0, 2)), [], np.empty((0, 1)), [[2.0, 0.0]], [1.0])
    np.testing.assert_array_equal(plane([[1.0, 1.0]]), [[3.0]])
    assert plane.same_function(plane.merged())


def test_wide_networks_of_one_input_take_linear_time_and_agree_with_interpolation():
    n = 200_000  # a matrix of points times neurons would have 320 GB
    rng = np.random.default_rng(0)
    knots = np.sort(rng.uniform(-1.0, 1.0, n))
    changes = rng.standard_normal((n, 1)) / n
    network = ReLUNetwork.from_knots(knots, changes, [0.3], [-0.2])
    sides = rng.choice([-1.0, 1.0], n)
    turned = ReLUNetwork(
        sides[:, None],
        -sides * knots,
        changes,
        network.A + changes[sides < 0].sum(axis=0),
        network.c - knots[sides < 0] @ changes[sides < 0],
    )
    points = rng.uniform(-1.0, 1.0, n)
    slopes = 0.3 + np.concatenate([[0.0], changes[:, 0].cumsum()])
    at_knots = (
        0.3 * knots[0] - 0.2 + np.concatenate([[0.0], (slopes[1:-1] * np.diff(knots)).cumsum()])
    )
    inside = (points > knots[0]) & (points < knots[-1])
    expected = np.interp(points, knots, at_knots)
    start = perf_counter()
    np.testing.assert_allclose(network(points)[inside, 0], expected[inside], atol=1e-12)
    np.testing.assert_allclose(turned(points)[inside, 0], expected[inside], atol=1e-11)
    assert perf_counter() - start < 10.0


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((3, 3)), r"X has 3 columns, but the network has 2 inputs"),
        (np.ones(3), r"X has 1 columns, but the network has 2 inputs"),
        ([[1.0, np.nan]], r"X has 1 entry that is not finite"),
    ],
)
def test_evaluation_points_that_cannot_work_are_refused(X, message):
    with pytest.raises(InvalidInputError, match=message):
        random_network(2, 2, 1)(X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": np.ones(2)}, r"w has 1 dimensions, but it must have 2"),
        ({"b": np.ones(3)}, r"b has shape \(3,\), but w of shape \(2, 1\).*\(2,\)"),
        ({"v": np.ones((2, 2))}, r"v has shape \(2, 2\).*need v of shape \(2, 3\)"),
        ({"A": np.ones((3, 2))}, r"A has shape \(3, 2\).*need A of shape \(3, 1\)"),
        ({"c": 1.0}, r"c has 0 dimensions, but it must have 1"),
        ({"b": [0.0, np.nan]}, r"b has entries that are NaN or infinite"),
        ({"v": [["a"] * 3] * 2}, r"v is not a rectangular array of numbers"),
        ({"v": [[1.0], [1.0, 2.0]]}, r"v is not a rectangular array of numbers"),
        (
            {"w": np.ones((2, 0)), "A": np.ones((3, 0))},
            r"A has shape \(3, 0\), but a network needs at least one task and one input",
        ),
    ],
)
def test_parameters_that_cannot_work_are_refused(change, message):
    parameters = {
        "w": np.ones((2, 1)),
        "b": np.ones(2),
        "v": np.ones((2, 3)),
        "A": np.ones((3, 1)),
        "c": np.ones(3),
    }
    with pytest.raises(InvalidInputError, match=message):
        ReLUNetwork(**(parameters | change))


def test_parameters_become_float64_and_repr_is_short():
    network = ReLUNetwork(
        np.ones((2, 1), dtype=np.float32),
        [0, 1],
        np.ones((2, 3), dtype=int),
        np.ones((3, 1)),
        [1, 2, 3],
    )
    for name in ("w", "b", "v", "A", "c"):
        assert getattr(network, name).dtype == np.float64
    assert repr(network) == "ReLUNetwork(n_neurons=2, n_inputs=1, n_tasks=3)"


# --- rescaling -------------------------------------------------------------------------------

shapes = pytest.mark.parametrize(("n_inputs", "n_tasks"), [(1, 1), (1, 4), (3, 1), (3, 4)])


def untidy_network(n_inputs, n_tasks, seed=0):
    """Return a network with dead, constant, repeated, rescaled and opposite neurons."""
    rng = np.random.default_rng(seed)
    network = random_network(8, n_inputs, n_tasks, seed)
    w, b, v = network.w.copy(), network.b.copy(), network.v.copy()
    w[0] = 0.0
    b[0] = 2.0
    v[1] = 0.0
    w[2], b[2] = 4.0 * w[3], 4.0 * b[3]
    w[4], b[4] = -w[5], -b[5]
    w[6], b[6] = w[7], b[7]
    v[6] = -v[7]
    scale = 2.0 ** rng.integers(-3, 4, 8)  # exact, so that what coincides still does
    return ReLUNetwork(w * scale[:, None], b * scale, v / scale[:, None], network.A, network.c)


def assert_same_values(first, second, seed=3, atol=1e-11):
    points = 3 * np.random.default_rng(seed).standard_normal((400, first.n_inputs))
    np.testing.assert_allclose(first(points), second(points), atol=atol)


@shapes
def test_rescaling_keeps_the_function_and_the_path_cost(n_inputs, n_tasks):
    network = untidy_network(n_inputs, n_tasks)
    unit, balanced = network.unit_norm(), network.balanced()
    for rescaled in (unit, balanced):
        assert_same_values(network, rescaled)
        assert rescaled.path_cost() == pytest.approx(network.path_cost(), rel=1e-14)
        assert rescaled.weight_decay_cost() >= rescaled.path_cost() * (1 - 1e-14)
    np.testing.assert_allclose(np.linalg.norm(unit.w, axis=1), 1.0, rtol=4 * EPS)
    np.testing.assert_allclose(
        np.linalg.norm(balanced.w, axis=1), np.linalg.norm(balanced.v, axis=1), rtol=1e-14
    )
    assert balanced.weight_decay_cost() == pytest.approx(network.path_cost(), rel=1e-14)
    assert balanced.n_neurons == 6  # without the constant and the dead one


def test_unit_norm_of_one_input_is_exactly_one():
    w = np.random.default_rng(0).uniform(1e-9, 1e9, 1000)
    network = ReLUNetwork(w[:, None], w, np.ones((1000, 1)), [[0.0]], [0.0]).unit_norm()
    assert np.all(network.w == 1.0)
    assert np.all(network.b == 1.0)


@given(st.floats(-200.0, 200.0), st.floats(-100.0, 100.0))
def test_scales_near_the_limits_do_not_spoil_rescaling(log_w, log_v):
    w, v = 10.0**log_w, 10.0**log_v
    network = ReLUNetwork([[w, 0.0]], [0.0], [[v, v]], [[0.0, 0.0]] * 2, [0.0, 0.0])
    cost = np.sqrt(2.0) * w * v
    assert network.path_cost() == pytest.approx(cost, rel=1e-13)
    balanced = network.balanced()
    assert balanced.weight_decay_cost() == pytest.approx(cost, rel=1e-13)


def test_costs_are_their_definitions():
    network = random_network(5, 3, 2)
    path = sum(
        np.sqrt(sum(v**2)) * np.sqrt(sum(w**2)) for v, w in zip(network.v, network.w, strict=True)
    )
    assert network.path_cost() == pytest.approx(path, rel=1e-14)
    decay = sum(sum(v**2) + sum(w**2) for v, w in zip(network.v, network.w, strict=True)) / 2
    assert network.weight_decay_cost() == pytest.approx(decay, rel=1e-14)


@shapes
def test_merging_keeps_the_function_and_never_costs_more(n_inputs, n_tasks):
    network = untidy_network(n_inputs, n_tasks)
    merged = network.merged()
    assert_same_values(network, merged)
    assert merged.path_cost() <= network.path_cost() * (1 + 1e-14)
    # Left are 2 = 3, the opposite pair 4 and 5; 0 is constant, 1 is dead, 6 and 7 cancel.
    assert merged.n_neurons == 3
    assert merged.merged().n_neurons == 3


@pytest.mark.parametrize("n_inputs", [2, 5])
def test_merging_sees_through_the_rounding_of_rescaled_copies(n_inputs):
    rng = np.random.default_rng(0)
    original = random_network(20, n_inputs, 2)
    scale = rng.uniform(1e-3, 1e3, 200)
    copies = np.repeat(np.arange(20), 10)
    network = ReLUNetwork(
        original.w[copies] * scale[:, None],
        original.b[copies] * scale,
        rng.standard_normal((200, 2)),
        original.A,
        original.c,
    )
    assert network.merged().n_neurons == 20
    assert_same_values(network, network.merged(), atol=1e-8)


def test_merging_keeps_neighbouring_knots_apart():
    x = 1e10
    neighbours = [x, np.nextafter(x, np.inf)]
    network = ReLUNetwork.from_knots(neighbours, [[1e6], [-1e6]], [0.0], [0.0])
    assert network.merged().n_neurons == network.canonical().n_neurons == 2
    assert network([x + 1.0])[0, 0] == 1e6 * (neighbours[1] - neighbours[0])


@shapes
def test_pruning_drops_the_weak_and_keeps_constants(n_inputs, n_tasks):
    network = untidy_network(n_inputs, n_tasks)
    assert_same_values(network, network.pruned())
    assert network.pruned().n_neurons == 6
    strengths = np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1)
    tol = float(np.median(strengths))
    pruned = network.pruned(tol)
    assert pruned.n_neurons == np.count_nonzero(strengths > tol)
    assert pruned.path_cost() == pytest.approx(strengths[strengths > tol].sum(), rel=1e-14)
    assert network.pruned(np.inf).n_neurons == 0
    np.testing.assert_allclose(
        network.pruned(np.inf).c, network.c + np.maximum(network.b[0], 0) * network.v[0]
    )


@pytest.mark.parametrize("tol", [-1.0, np.nan])
def test_pruning_refuses_a_tolerance_that_cannot_work(tol):
    with pytest.raises(InvalidInputError, match=f"tol is {tol}"):
        random_network(2, 1, 1).pruned(tol)


# --- one input -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_tasks", [1, 4])
def test_canonical_form_has_one_neuron_a_knot(n_tasks):
    network = untidy_network(1, n_tasks)
    canonical = network.canonical()
    assert_same_values(network, canonical)
    assert np.all(canonical.w == 1.0)
    assert np.all(np.diff(-canonical.b) > 0)
    assert canonical.n_neurons == 2
    assert canonical.path_cost() <= network.merged().path_cost() * (1 + 1e-14)
    np.testing.assert_array_equal(canonical.knots(), -canonical.b)
    np.testing.assert_array_equal(canonical.slope_changes(), canonical.v)
    np.testing.assert_array_equal(network.knots(), canonical.knots())
    # Away from the knots the slope jumps by exactly the slope change.
    h = 1e-3 * np.min(np.diff(canonical.knots()))
    for knot, change in zip(canonical.knots(), canonical.slope_changes(), strict=True):
        values = network([knot - h, knot, knot + h])
        np.testing.assert_allclose((values[0] - 2 * values[1] + values[2]) / h, change, rtol=1e-6)


@given(
    st.lists(st.tuples(st.integers(-8, 8), st.integers(-20, 20), st.integers(-9, 9)), max_size=12)
)
@settings(deadline=None)
def test_canonical_form_of_integer_networks_is_exact(neurons):
    neurons = [(w, b, v) for w, b, v in neurons if w in (-4, -2, -1, 0, 1, 2, 4)]
    w, b, v = np.array(neurons, dtype=float).reshape(-1, 3).T
    network = ReLUNetwork(w[:, None], b, v[:, None], [[3.0]], [-1.0])
    canonical = network.canonical()
    points = np.arange(-24.0, 24.0, 0.25)
    np.testing.assert_array_equal(canonical(points), network(points))
    # The second difference is the slope change at every knot, and zero elsewhere.
    expected: dict[float, float] = {}
    for w_k, b_k, v_k in neurons:
        if w_k:
            expected[-b_k / w_k] = expected.get(-b_k / w_k, 0.0) + v_k * abs(w_k)
    expected = {knot: change for knot, change in sorted(expected.items()) if change}
    np.testing.assert_array_equal(canonical.knots(), list(expected))
    np.testing.assert_array_equal(canonical.slope_changes()[:, 0], list(expected.values()))


def test_from_knots_is_canonical_and_is_the_function_asked_for():
    network = ReLUNetwork.from_knots([2.0, -1.0], [[3.0, 0.0], [1.0, -1.0]], [0.5, 0.0], [1.0, 2.0])
    np.testing.assert_array_equal(network.knots(), [-1.0, 2.0])
    np.testing.assert_array_equal(network.slope_changes(), [[1.0, -1.0], [3.0, 0.0]])
    np.testing.assert_array_equal(network.w, [[1.0], [1.0]])
    x = np.array([-3.0, 0.0, 4.0])
    first = 0.5 * x + 1 + np.maximum(x + 1, 0) + 3 * np.maximum(x - 2, 0)
    second = 2 - np.maximum(x + 1, 0)
    np.testing.assert_allclose(network(x), np.column_stack([first, second]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 1.0], [[1.0], [2.0]], [0.0], [0.0]), r"knots has 1\.0 twice"),
        (([1.0], [[1.0, 2.0]], [0.0], [0.0]), r"slope_changes has shape \(1, 2\).*\(1, 1\)"),
        (([1.0], [[1.0]], [0.0], [0.0, 1.0]), r"intercept has shape \(2,\).*\(1,\)"),
        (([[1.0]], [[1.0]], [0.0], [0.0]), r"knots has 2 dimensions"),
        (([np.inf], [[1.0]], [0.0], [0.0]), r"knots has entries that are NaN or infinite"),
    ],
)
def test_knots_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        ReLUNetwork.from_knots(*arguments)


def test_knots_exist_only_for_one_input():
    network = random_network(2, 2, 1)
    for method in (network.canonical, network.knots, network.slope_changes):
        with pytest.raises(InvalidInputError, match="the network has 2 inputs, but knots exist"):
            method()


# --- the same function -----------------------------------------------------------------------


def disguised(network, seed=5):
    """Return the same function with neurons split, turned around, rescaled and shuffled."""
    rng = np.random.default_rng(seed)
    w, b, v = (np.concatenate([part, part]) for part in (network.w, network.b, network.v))
    share = rng.uniform(0.2, 0.8, network.n_neurons)
    v = v * np.concatenate([share, 1 - share])[:, None]
    turned = rng.random(2 * network.n_neurons) < 0.5
    A = network.A + v[turned].T @ w[turned]
    c = network.c + b[turned] @ v[turned]
    side = np.where(turned, -1.0, 1.0) * rng.uniform(0.1, 10.0, turned.size)
    order = rng.permutation(turned.size)
    return ReLUNetwork(
        (w * side[:, None])[order],
        (b * side)[order],
        (v / np.abs(side)[:, None])[order],
        A,
        c,
    )


@shapes
def test_a_disguise_does_not_make_another_function(n_inputs, n_tasks):
    network = random_network(12, n_inputs, n_tasks)
    other = disguised(network)
    assert_same_values(network, other)
    assert network.same_function(other)
    assert other.same_function(network)


@shapes
@pytest.mark.parametrize("name", ["w", "b", "v", "A", "c"])
def test_a_small_change_makes_another_function(n_inputs, n_tasks, name):
    network = random_network(12, n_inputs, n_tasks)
    parts = {part: getattr(network, part).copy() for part in ("w", "b", "v", "A", "c")}
    parts[name].flat[0] += 1e-6
    changed = ReLUNetwork(**parts)
    assert not network.same_function(disguised(changed))
    assert network.same_function(disguised(changed), rtol=1e-4)


def test_one_task_that_differs_is_enough():
    network = random_network(5, 1, 3)
    v = network.v.copy()
    v[2, 1] *= 1 + 1e-6
    assert not network.same_function(ReLUNetwork(network.w, network.b, v, network.A, network.c))


def test_a_knot_and_two_that_round_to_it_are_the_same():
    one = ReLUNetwork.from_knots([1.0], [[2.0]], [0.0], [0.0])
    two = ReLUNetwork.from_knots([1.0, 1.0 + EPS], [[1.0], [1.0]], [0.0], [0.0])
    assert one.same_function(two)


def test_far_from_zero_only_the_rounding_of_knots_is_forgiven():
    knots = 1e10 + np.arange(5.0)
    changes = np.array([[1.0], [-2.0], [2.0], [-2.0], [1.0]])
    network = ReLUNetwork.from_knots(knots, changes, [0.0], [0.0])
    rescaled = ReLUNetwork(network.w / 3, network.b / 3, 3 * network.v, network.A, network.c)
    assert network.same_function(rescaled)
    moved = ReLUNetwork.from_knots(knots + 1e-2 * (np.arange(5) == 2), changes, [0.0], [0.0])
    assert not network.same_function(moved)


def test_different_sizes_are_different_functions():
    assert not random_network(2, 1, 1).same_function(random_network(2, 1, 2))
    assert not random_network(2, 1, 1).same_function(random_network(2, 2, 1))
