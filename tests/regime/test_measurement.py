import json
from dataclasses import fields, replace

import numpy as np
import pytest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.regime.designs import DESIGNS, sup_points
from mtrelu.regime.measurement import BETAS, Measurement, _status, measure
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError
from mtrelu.verify import verify

ALPHA = 1e-2
TASKS = 6


@pytest.fixture(scope="module")
def data():
    return DESIGNS["gaussian-2d"].draw(TASKS, seed=3)


@pytest.fixture(scope="module")
def cell(data):
    return measure(*data, ALPHA, "affine", seed=3)


@pytest.fixture(scope="module")
def networks(data):
    """The networks of all tasks and of all but the first, in the plainest terms."""
    X, Y = data
    return [mtrelu.solve(X, L, ALPHA, tol=1e-12).network.unit_norm() for L in (Y, Y[:, 1:])]


def ridge(X, y, network, strengths, points):
    """Values of the weighted ridge fit [18] at points, by its normal equations."""
    Phi = np.maximum(X @ network.w.T + network.b, 0.0)
    A = np.column_stack([Phi, np.ones(len(X)), X])
    # d/dv of ½‖y − Φv − Bθ‖² + (α/2) Σ v²/n, with the skip part free.
    P = np.zeros(A.shape[1])
    P[: len(strengths)] = ALPHA / strengths
    coefficients = np.linalg.solve(A.T @ A + np.diag(P), A.T @ y)
    there = np.maximum(points @ network.w.T + network.b, 0.0)
    return (
        np.column_stack([there, np.ones(len(points)), points]) @ coefficients,
        coefficients[: len(strengths)],
        coefficients[len(strengths) :],
    )


def test_the_ridge_fits_are_those_of_the_equations(data, cell, networks):
    X, Y = data
    full, others = networks
    points = sup_points(X)
    own = full(points)[:, 0]
    n = np.sqrt((full.v[:, 1:] ** 2).sum(axis=1))
    fitted, v, theta = ridge(X, Y[:, 0], full, n, points)
    scale = np.abs(own).max()
    assert cell.output_difference == pytest.approx(np.abs(own - fitted).max() / scale, rel=1e-6)
    # With squared γ, as [23] prints it, one would measure something else.
    wrong, *_ = ridge(X, Y[:, 0], full, n**2, points)
    assert cell.output_difference != pytest.approx(np.abs(own - wrong).max() / scale, rel=0.1)

    strengths = np.linalg.norm(others.v, axis=1)
    kernel, *_ = ridge(X, Y[:, 0], others, strengths, points)
    distance = np.abs(own - kernel).max() / scale
    assert cell.leave_task_out_difference == pytest.approx(distance, rel=1e-6)

    def J(v, theta):
        residual = Y[:, 0] - np.maximum(X @ full.w.T + full.b, 0.0) @ v
        residual -= np.column_stack([np.ones(len(X)), X]) @ theta
        return 0.5 * residual @ residual + ALPHA * np.sqrt(v**2 + n**2).sum()

    best = J(full.v[:, 0], np.append(full.c[0], full.A[0]))
    assert cell.excess == pytest.approx(J(v, theta) - best, rel=1e-5) and cell.excess > 0
    corner = TASKS ** (1 / 16) * np.abs(full.v[:, 0])
    gap = ALPHA * (n + corner**2 / (2 * n) - np.sqrt(corner**2 + n**2)).sum()
    assert cell.surrogate_gap == pytest.approx(gap, rel=1e-6)
    near = np.abs(v) <= TASKS ** (1 / 16) * np.abs(full.v[:, 0])
    assert cell.neighbourhood_share == near.mean()


def test_shares_and_counts_by_loops_over_neurons_and_tasks(cell, networks):
    full = networks[0]
    assert cell.n_neurons == len(full.v)
    assert cell.n_private == sum(np.count_nonzero(row) == 1 for row in full.v)
    spread = 0.0
    held = dict.fromkeys(BETAS, 0)
    for row in full.v:
        for s in range(TASKS):
            without = np.delete(row, s)
            spread = max(spread, np.sqrt(row @ row) / np.sqrt(without @ without) - 1)
            for beta in BETAS:
                held[beta] += without @ without >= (1 - TASKS ** (beta - 1)) * (row @ row)
    assert cell.gamma_spread == pytest.approx(spread, rel=1e-8)
    shares = [held[beta] / (TASKS * len(full.v)) for beta in BETAS]
    assert cell.lemma_shares == pytest.approx(shares, abs=1e-12)


def test_everything_is_certified_and_exact(cell):
    assert cell.certified and cell.status == cell.leave_task_out_status == "certified"
    assert 0 < cell.relative_gap < 1e-8 and 0 < cell.leave_task_out_gap < 1e-8
    assert cell.kernel_deviation < 1e-9
    assert cell.restart_difference < 1e-6 < cell.leave_task_out_difference
    assert cell.l1_difference > 0.01
    assert (cell.n_tasks, cell.seed, cell.alpha) == (TASKS, 3, ALPHA) and cell.seconds > 0


def test_the_same_data_give_the_same_numbers(data, cell):
    again = measure(*data, ALPHA, "affine", seed=3)
    assert replace(again, seconds=cell.seconds) == cell


def test_one_task_has_only_what_is_defined(data):
    X, Y = data
    cell = measure(X, Y[:, :1], ALPHA, "affine", seed=0)
    undefined = {
        "output_difference", "leave_task_out_difference", "leave_task_out_gap", "excess",
        "surrogate_gap", "neighbourhood_share", "gamma_spread", "restart_difference",
    }  # fmt: skip
    for field in fields(Measurement):
        if field.type == "float":
            assert np.isnan(getattr(cell, field.name)) == (field.name in undefined), field.name
    assert np.isnan(cell.lemma_shares).all()
    assert cell.n_private == cell.n_neurons > 0 and cell.certified
    # [19] is exact for one task; the distance goes like the root of the gap.
    assert cell.l1_difference < 1e-3


def test_a_private_neuron_is_said_to_be_infinite():
    # The second task is a straight line: it uses no neuron.
    x = np.arange(6.0)
    Y = np.column_stack([np.abs(x - 2.5), x])
    cell = measure(x[:, np.newaxis], Y, 0.1, "affine", seed=0)
    assert cell.n_private == cell.n_neurons == 2
    assert cell.surrogate_gap == cell.gamma_spread == np.inf
    assert np.isfinite(cell.output_difference) and cell.output_difference > 0.1
    stored = json.loads(json.dumps(cell.to_dict(), allow_nan=False))
    assert stored["gamma_spread"] == "inf" and Measurement.from_dict(stored) == cell


def test_no_neurons_at_all():
    x = np.arange(6.0)
    Y = np.random.default_rng(0).standard_normal((6, 3))
    cell = measure(x[:, np.newaxis], Y, 1e3, "affine", seed=0)
    assert cell.n_neurons == cell.n_private == 0 and cell.certified
    assert cell.output_difference < 1e-9 and cell.gamma_spread == 0.0


def test_the_skip_connection_counts(data, cell):
    other = measure(*data, ALPHA, "constant", seed=3)
    assert other.certified and other.output_difference != pytest.approx(cell.output_difference)


def test_storing_loses_nothing(cell):
    stored = json.loads(json.dumps(cell.to_dict(), allow_nan=False))
    assert Measurement.from_dict(stored) == cell
    one = Measurement(1, 0, 0.1, "certified", 1e-13, 2, 2, 0.0, 1e-9)
    stored = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert stored["excess"] is None
    assert repr(Measurement.from_dict(stored)) == repr(one)  # NaN is not equal to itself


@pytest.mark.parametrize(
    "damage",
    [{"n_tasks": None}, {"excess": "much"}, {"lemma_shares": 3}, {"lemma_shares": [[]]}],
)
def test_damaged_records_are_refused(cell, damage):
    with pytest.raises(InvalidInputError, match="not a stored measurement"):
        Measurement.from_dict(cell.to_dict() | damage)
    with pytest.raises(InvalidInputError, match="not a stored measurement"):
        Measurement.from_dict({})


def test_what_is_proved_by_which_network(cell):
    own = replace(cell, status="almost")
    others = replace(cell, leave_task_out_status="uncertified")
    assert not own.certified and not own.proves("excess")
    assert not own.proves("leave_task_out_difference")
    assert not others.certified and others.proves("excess")
    assert not others.proves("leave_task_out_difference")


def test_two_optimal_networks_that_differ_are_seen():
    several, one = (
        measure(*DESIGNS["two-squares"].draw(2, seed), 1e-3, "affine", seed) for seed in (0, 1)
    )
    assert several.certified and several.restart_difference > 0.1
    assert one.certified and one.restart_difference < 1e-6


@pytest.mark.parametrize(
    ("gap", "oracle", "status"),
    [
        (9e-7, "exact", "certified"),
        (9e-7, "bound", "certified"),
        (1e-12, "estimate", "uncertified"),  # no proof, however small
        (2e-6, "exact", "almost"),
        (2e-3, "exact", "not optimal"),
    ],
)
def test_a_gap_certifies_only_if_it_is_proved(gap, oracle, status):
    network = ReLUNetwork([[1.0]], [-1.0], [[1.0]], [[0.0]], [0.0])
    problem = Problem.make([0.0, 1.0, 2.0], [0.0, 0.0, 1.0], 0.1)
    certificate = verify(problem, network)
    assert certificate.status is Status.NOT_OPTIMAL
    given = Status.UNCERTIFIED if oracle == "estimate" else Status.NOT_OPTIMAL
    stated = replace(certificate, relative_gap=gap, oracle=oracle, status=given)
    assert _status(stated) == status
