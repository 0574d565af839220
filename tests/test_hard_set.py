"""No claim about a hard problem may be false, and a false claim has to be noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks import brute_force, hard_set
from benchmarks.brute_force import HardProblem
from benchmarks.columns_scaling import two_squares

import mtrelu

QUICK = range(0, hard_set.SIZE, 14)


def judged(index):
    found = hard_set.judge(hard_set.problem(index))
    assert not found.failed, found.line()
    assert not found.false, found.line()
    return found


@pytest.mark.parametrize("index", QUICK)
def test_claims_are_true(index):
    judged(index)


@pytest.mark.slow
@pytest.mark.parametrize("index", sorted(set(range(hard_set.SIZE)) - set(QUICK)))
def test_all_claims_are_true(index):
    judged(index)


def test_the_set_covers_what_it_should():
    problems = [hard_set.problem(index) for index in range(0, hard_set.SIZE, 2)]
    assert hard_set.SIZE >= 300
    for words in hard_set.POINTS + hard_set.LABELS:
        assert any(f" {words} " in given.name for given in problems), words
    assert {given.Y.shape[1] for given in problems} >= {1, 2, 10, 1000}
    assert {given.X.shape[1] for given in problems} == {1, 2, 3, 4}
    assert {given.skip for given in problems} == {"affine", "constant"}
    assert {given.loss for given in problems} == {"squared", "huber", "logistic", "quantile"}
    assert any(given.alpha == 0 for given in problems)
    assert any(len(given.X) < given.X.shape[1] + 1 for given in problems)
    assert max(np.abs(given.X).max() for given in problems) > 1e7
    assert min(np.abs(given.X).max() for given in problems) < 1e-7


# --- the judge notices what is wrong --------------------------------------------------------------


def squares(n_tasks, skip="affine"):
    return HardProblem("two squares", *two_squares(n_tasks), 1e-3, skip)


def solved(given, **options):
    return mtrelu.solve(given.X, given.Y, given.alpha, skip=given.skip, **options)


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(3)
    given = HardProblem("", rng.standard_normal((12, 2)), rng.standard_normal((12, 3)), 0.2)
    return given, solved(given, tol=1e-10)


def certificate_judged(given, solution):
    found = hard_set.Verdict(given)
    other = brute_force.second_opinion(given, solution.network)
    hard_set._check_certificate(found, solution, other)
    return found.false


def test_brute_force_finds_known_optima_of_its_own():
    nothing = mtrelu.ReLUNetwork(
        np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), np.zeros((1, 2)), np.zeros(1)
    )
    found = brute_force.second_opinion(squares(1), nothing)
    assert found.objective == pytest.approx(4e-3 - 4e-6, rel=1e-8)
    for skip, optimum in (("affine", 0.069667438667217), ("constant", 0.070434729994226)):
        nothing = replace(nothing, v=np.zeros((0, 101)), A=np.zeros((101, 2)), c=np.zeros(101))
        found = brute_force.second_opinion(squares(101, skip), nothing)
        assert optimum * (1 - 1e-12) <= found.objective <= optimum * (1 + 1e-4)


def test_a_lower_bound_that_is_too_high_is_noticed(gaussian):
    given, solution = gaussian
    assert not certificate_judged(given, solution)
    certificate = solution.certificate
    false = replace(certificate, dual=certificate.dual * (1 + 1e-8))
    assert "lower bound" in certificate_judged(given, replace(solution, certificate=false))[0]


def test_an_objective_that_is_not_that_of_the_network_is_noticed(gaussian):
    given, solution = gaussian
    false = replace(solution.certificate, primal=solution.certificate.primal * (1 - 1e-8))
    assert "sums to" in certificate_judged(given, replace(solution, certificate=false))[0]


def test_a_network_that_is_not_optimal_is_noticed(gaussian):
    given, _ = gaussian
    rough = solved(given, max_iter=3)
    certificate = rough.certificate
    assert certificate.relative_gap > 1e-5
    false = replace(certificate, status=mtrelu.Status.CERTIFIED)
    assert any(
        "certified" in claim
        for claim in certificate_judged(given, replace(rough, certificate=false))
    )


def test_a_network_that_does_not_interpolate_is_noticed():
    rng = np.random.default_rng(1)
    given = HardProblem("", rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), 0.0)
    solution = solved(given)
    assert not certificate_judged(given, solution)
    moved = replace(solution.network, c=solution.network.c + 1e-9)
    assert certificate_judged(given, replace(solution, network=moved))


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_unique_is_refuted_for_one_task_and_confirmed_for_many(skip):
    for n_tasks, refuted in ((1, True), (101, False)):
        given = squares(n_tasks, skip)
        found = hard_set.Verdict(given)
        hard_set._check_unique(found, given, solved(given, tol=1e-10).network)
        assert bool(found.false) == refuted, found.false
        assert not found.doubted


def test_not_unique_is_refuted_by_networks_that_are_equal_or_not_optimal():
    given = squares(1)
    solution = solved(given, tol=1e-10)
    optima, other = solution.optimal_set(), brute_force.second_opinion(given, solution.network)

    class Claimed:
        """Shows the same networks over and over."""

        def __init__(self, *networks):
            self.network, self._other = networks

        def witness(self):
            return self._other

        def sparsest(self):
            return self.network

        def sample(self, n, random_state):
            return [self._other] * n

    def complaints(*networks):
        found = hard_set.Verdict(given)
        hard_set._check_not_unique(found, Claimed(*networks), other)
        return found.false

    assert not complaints(optima.network, optima.witness())
    assert "differ by" in complaints(optima.network, optima.network)[0]
    worse = replace(optima.network, v=optima.network.v * (1 + 1e-3))
    assert "witness has" in complaints(optima.network, worse)[0]
    assert "no second" in complaints(optima.network, None)[0]
