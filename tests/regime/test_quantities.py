"""The quantities of Section 4 against CVXPY and against formulas written out from the paper.

Nothing here uses what is tested, but for the network whose quantities are taken: features, norms
and losses are computed anew, by NumPy, by CVXPY or with 50 digits.
"""

from __future__ import annotations

import math
from decimal import Decimal, getcontext
from functools import cache, cached_property
from itertools import product
from types import SimpleNamespace

import cvxpy as cp
import numpy as np
import pytest

import mtrelu
from mtrelu.losses import HuberLoss, QuantileLoss
from mtrelu.network import ReLUNetwork
from mtrelu.regime import KernelRegime
from mtrelu.validation import InvalidInputError

DELTA, QUANTILE = 0.3, 0.4
LOSSES = {
    "squared": "squared",
    "huber": HuberLoss(delta=DELTA),
    "logistic": "logistic",
    "quantile": QuantileLoss(quantile=QUANTILE),
}
CASES = [(loss, d) for loss in LOSSES for d in (1, 2)]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}d")
N_TASKS = 4

getcontext().prec = 50


def two_squares(n_tasks, seed):
    """The paper's data set: the task of the two squares, and random tasks of zeros and ones."""
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    own = np.repeat([0.0, 1.0], 4)
    others = np.random.default_rng(seed).integers(0, 2, (8, n_tasks - 1))
    return np.vstack([square, 0.5 * square]), np.column_stack([own, others])


@cache
def solution_of(loss, d):
    """A certified optimum with tasks of a few scales."""
    rng = np.random.default_rng(d)
    n_samples = 14
    X = np.linspace(0, 3, n_samples)[:, None] if d == 1 else rng.standard_normal((n_samples, d))
    Y = np.sin(2.0 * X @ rng.standard_normal((d, N_TASKS)) + rng.uniform(0, 6, N_TASKS))
    Y = 1.5 * Y + 0.3 * rng.standard_normal(Y.shape)
    alpha = 0.05
    if loss == "logistic":
        Y = np.where(Y > 0, 0.95, 0.1)
    solution = mtrelu.solve(X, Y, alpha, loss=LOSSES[loss], tol=1e-9)
    assert solution.certificate.relative_gap < 1e-8
    return solution


def regime_of(case):
    return KernelRegime.of_solution(solution_of(*case))


class Paper:
    """One task s of a network, as Section 4 writes it down."""

    def __init__(self, regime, s, *, power=1, loss=None):
        problem, network = regime.problem, regime.network
        self.X, self.y, self.w = problem.X, problem.Y[:, s], problem.sample_weight
        self.alpha, self.skip = problem.alpha, problem.skip
        self.loss = problem.loss.name
        self.network, self.own = network, network.v[:, s]
        self.Phi = np.maximum(self.X @ network.w.T + network.b, 0.0)
        self.others = np.delete(network.v, s, axis=1)
        self.n = np.linalg.norm(self.others, axis=1)
        self.power = power

    @cached_property
    def gamma(self):
        return 1.0 / self.n**self.power

    def outputs(self, candidate):
        return self.Phi @ candidate.v[:, 0] + self.X @ candidate.A[0] + candidate.c[0]

    def fit_term(self, candidate):
        z = self.outputs(candidate)
        r = self.y - z
        terms = {
            "squared": lambda: r**2 / 2,
            "huber": lambda: np.where(
                np.abs(r) < DELTA, r**2 / 2, DELTA * np.abs(r) - DELTA**2 / 2
            ),
            "logistic": lambda: np.logaddexp(0.0, z) - self.y * z,
            "quantile": lambda: np.maximum(QUANTILE * r, (QUANTILE - 1.0) * r),
        }[self.loss]()
        return float(self.w @ terms)

    def J(self, candidate):
        vectors = np.column_stack([candidate.v[:, 0], self.others])
        return self.fit_term(candidate) + self.alpha * np.linalg.norm(vectors, axis=1).sum()

    def H(self, candidate):
        v = candidate.v[:, 0]
        return self.fit_term(candidate) + self.alpha * np.sum(self.n + v**2 * self.gamma / 2)

    @cached_property
    def unknowns(self):
        """Variables of CVXPY, the loss as a function of them, and the skip constraints."""
        d = self.X.shape[1]
        v, a, c = cp.Variable(self.network.n_neurons), cp.Variable(d), cp.Variable()
        z = self.Phi @ v + self.X @ a + c
        r = self.y - z
        terms = {
            "squared": lambda: cp.square(r) / 2,
            "huber": lambda: cp.huber(r, DELTA) / 2,
            "logistic": lambda: cp.logistic(z) - cp.multiply(self.y, z),
            "quantile": lambda: cp.maximum(QUANTILE * r, (QUANTILE - 1.0) * r),
        }[self.loss]()
        fixed = {"affine": [], "constant": [a == 0], "none": [a == 0, c == 0]}[self.skip]
        return SimpleNamespace(v=v, a=a, c=c, r=r, fixed=fixed, loss=self.w @ terms)

    def minimise(self, penalty):
        """Loss plus penalty(v), or for alpha = 0 the penalty of all interpolants."""
        u = self.unknowns
        if self.alpha > 0.0:
            problem = cp.Problem(cp.Minimize(u.loss + self.alpha * penalty(u.v)), u.fixed)
        else:
            problem = cp.Problem(cp.Minimize(penalty(u.v)), [*u.fixed, u.r == 0])
        tight = {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8}
        problem.solve(solver=cp.CLARABEL, **tight)
        assert problem.status == cp.OPTIMAL
        found = ReLUNetwork(
            self.network.w, self.network.b, u.v.value[:, None], u.a.value[None], [u.c.value]
        )
        return found, float(problem.value)

    def least_J(self):
        rows = self.others
        return self.minimise(
            lambda v: cp.sum([cp.norm(cp.hstack([v[k], rows[k]])) for k in range(len(rows))])
        )

    def least_H(self):
        """[18], and what it leaves out of H."""
        found, value = self.minimise(lambda v: cp.sum(cp.multiply(self.gamma, cp.square(v))) / 2)
        return found, value + (self.alpha or 1.0) * self.n.sum()


def around(network, size, seed, skip="affine"):
    """A candidate near another one."""
    rng = np.random.default_rng(seed)
    v, A, c = (a + size * rng.standard_normal(a.shape) for a in (network.v, network.A, network.c))
    return ReLUNetwork(network.w, network.b, v, A * (skip == "affine"), c * (skip != "none"))


# ------------------------------------------------------------------------------------ identities
# Each is a function that fails on a wrong regime, so that they can be shown to be sensitive.


def gammas_are_reciprocal_norms(regime):
    V = regime.network.v
    np.testing.assert_allclose(regime.gamma, 1 / np.linalg.norm(V, axis=1), rtol=1e-14)
    for s in range(V.shape[1]):
        without = np.linalg.norm(np.delete(V, s, axis=1), axis=1)
        np.testing.assert_allclose(regime.gamma_without[:, s], 1 / without, rtol=1e-13)


def objectives_are_14_and_15(regime):
    for s in range(regime.problem.n_tasks):
        paper, own = Paper(regime, s), regime.task_network(s)
        for size in (0.0, 0.01, 1.0):
            candidate = around(own, size, s, paper.skip)
            assert regime.J(s, candidate) == pytest.approx(paper.J(candidate), rel=1e-12)
            assert regime.H(s, candidate) == pytest.approx(paper.H(candidate), rel=1e-12)


def ridge_minimises_h(regime):
    """Against CVXPY: no value of H is lower, and for a strictly convex loss it is the same fit."""
    for s in range(regime.problem.n_tasks):
        paper, ridge = Paper(regime, s), regime.ridge(s)
        found, least = paper.least_H()
        assert paper.H(ridge) == pytest.approx(least, rel=1e-8)
        np.testing.assert_allclose(ridge.v, found.v, atol=2e-4 * np.abs(found.v).max())


def own_output_minimises_j(regime):
    """Against CVXPY minimising J itself, at a certified optimum."""
    for s in range(regime.problem.n_tasks):
        paper, own = Paper(regime, s), regime.task_network(s)
        found, least = paper.least_J()
        assert regime.J(s, own) == pytest.approx(least, rel=1e-7)
        assert regime.excess(s, found) == pytest.approx(0.0, abs=1e-7 * least)
        np.testing.assert_allclose(paper.outputs(found), paper.outputs(own), atol=1e-3)


def excess_is_a_difference_of_j(regime):
    for s in range(regime.problem.n_tasks):
        paper, own = Paper(regime, s), regime.task_network(s)
        for size in (0.01, 0.3, 10.0):
            candidate = around(own, size, s, paper.skip)
            difference = paper.J(candidate) - paper.J(own)
            assert regime.excess(s, candidate) == pytest.approx(difference, rel=1e-9, abs=1e-13)


def surrogate_gap_is_at_a_corner(regime):
    """[16] as printed: the supremum of |J − H| over the box, by trying its points."""
    radius = regime.problem.n_tasks ** (1 / 16)
    for s in range(regime.problem.n_tasks):
        paper, own = Paper(regime, s), regime.task_network(s)
        bound = radius * np.abs(paper.own)

        def gap(share, own=own, bound=bound, paper=paper):
            v = (share * bound)[:, None]
            candidate = ReLUNetwork(own.w, own.b, v, own.A, own.c)
            return abs(paper.J(candidate) - paper.H(candidate))

        rng = np.random.default_rng(s)
        shares = rng.uniform(-1, 1, (300, own.n_neurons))
        corners = rng.choice([-1.0, 1.0], (20, own.n_neurons))
        gaps = [gap(share) for share in (*shares, *corners)]
        assert regime.surrogate_gap(s) == pytest.approx(max(gaps), rel=1e-9, abs=1e-14)


def lemma_share_counts_20(regime):
    V = regime.network.v
    n_tasks = V.shape[1]
    for beta in (0.05, 0.3, 0.5, 0.7, 0.95):
        held = [
            (1 - n_tasks ** (beta - 1)) * np.sum(row**2) <= np.sum(np.delete(row, s) ** 2)
            for row, s in product(V, range(n_tasks))
        ]
        assert regime.lemma_share(beta) == pytest.approx(np.mean(held), abs=1e-12)


IDENTITIES = [
    gammas_are_reciprocal_norms,
    objectives_are_14_and_15,
    ridge_minimises_h,
    own_output_minimises_j,
    excess_is_a_difference_of_j,
    surrogate_gap_is_at_a_corner,
    lemma_share_counts_20,
]
every_identity = pytest.mark.parametrize("identity", IDENTITIES, ids=lambda f: f.__name__)


@every_identity
@every_case
def test_identities_hold(identity, case):
    identity(regime_of(case))


@every_identity
def test_identities_fail_if_a_gamma_is_squared(identity):
    regime = regime_of(("squared", 2))
    squared = KernelRegime(regime.problem, regime.network)
    squared.__dict__["strengths_without"] = regime.strengths_without**2
    with pytest.raises(AssertionError):
        identity(squared)


def test_gamma_squared_as_printed_is_another_fit():
    """Q = diag(γ²) [23] with λ‖f‖² [27] is not [18], whose excess is smaller by far."""
    X, Y = two_squares(101, 0)
    alpha = mtrelu.alpha_from_weight_decay(1e-3, *Y.shape)  # as the paper trains
    regime = KernelRegime.of_solution(mtrelu.solve(X, Y, alpha, tol=1e-9))
    paper = Paper(regime, 0)
    gamma_squared = Paper(regime, 0, power=2).gamma
    printed, _ = paper.minimise(lambda v: cp.sum(cp.multiply(gamma_squared, cp.square(v))))
    ridge, _ = paper.least_H()
    assert regime.H(0, regime.ridge(0)) == pytest.approx(paper.H(ridge), rel=1e-8)
    assert paper.J(printed) - paper.J(regime.task_network(0)) > 1e-2
    assert 0.0 < regime.excess(0) < 1e-6
    change = paper.outputs(printed) - paper.outputs(ridge)
    assert np.abs(change).max() > 0.03 * np.abs(paper.outputs(ridge)).max()


# ------------------------------------------------------------------------------------ minimisers


@every_case
def test_ridge_and_own_output_minimise_h_and_j_nearby(case):
    regime = regime_of(case)
    for s in range(N_TASKS):
        paper, ridge, own = Paper(regime, s), regime.ridge(s), regime.task_network(s)
        for seed, size in product(range(20), (1e-1, 1e-3)):
            assert paper.H(around(ridge, size, seed)) >= paper.H(ridge)
            assert paper.J(around(own, size, seed)) >= paper.J(own) - 1e-8
            assert regime.excess(s, around(own, size, seed)) > -1e-8


@every_case
def test_h_is_never_below_j(case):
    regime = regime_of(case)
    for s, size in product(range(N_TASKS), (1e-3, 1e-1, 1e1)):
        candidate = around(regime.task_network(s), size, s)
        assert regime.H(s, candidate) >= regime.J(s, candidate)


@every_case
def test_l1_minimises_19(case):
    regime = regime_of(case)
    for s in range(N_TASKS):
        paper, l1 = Paper(regime, s), regime.l1(s)
        _, least = paper.minimise(cp.norm1)
        objective = paper.fit_term(l1) + paper.alpha * np.abs(l1.v).sum()
        assert objective == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_l1_of_a_single_task_is_exact(loss):
    problem = solution_of(loss, 2).problem
    solution = mtrelu.solve(problem.X, problem.Y[:, 0], 0.05, loss=LOSSES[loss], tol=1e-9)
    l1 = KernelRegime.of_solution(solution).l1(0)
    objective = mtrelu.Problem.make(problem.X, problem.Y[:, 0], 0.05, loss=LOSSES[loss]).objective(
        l1
    )
    assert objective == pytest.approx(solution.certificate.primal, rel=1e-8)
    assert objective >= solution.certificate.dual


@pytest.mark.parametrize("skip", ["affine", "constant", "none"])
def test_skip_and_weights_enter_the_fits(skip):
    """A network that is not optimal, with weights of which one is zero."""
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((12, 2)), rng.standard_normal((12, 3))
    w, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    weights = rng.uniform(0.2, 3.0, 12)
    weights[4] = 0.0
    network = ReLUNetwork(w, b, rng.standard_normal((6, 3)), np.zeros((3, 2)), np.zeros(3))
    regime = KernelRegime.of_network(network, X, Y, 0.3, skip=skip, sample_weight=weights)
    assert regime.problem.n_samples == 11
    for s in range(3):
        paper, ridge, l1 = Paper(regime, s), regime.ridge(s), regime.l1(s)
        found, least = paper.least_H()
        assert regime.H(s, ridge) == pytest.approx(least, rel=1e-8)
        np.testing.assert_allclose(ridge.v, found.v, atol=1e-4)
        _, least = paper.minimise(cp.norm1)
        assert paper.fit_term(l1) + 0.3 * np.abs(l1.v).sum() == pytest.approx(least, rel=1e-7)
        for fit in (ridge, l1):
            assert fit.A.any() == (skip == "affine") and fit.c.any() == (skip != "none")
    objectives_are_14_and_15(regime)
    excess_is_a_difference_of_j(regime)


# ---------------------------------------------------------------------------------------- excess


def exact_loss(loss, y, z):
    r, delta, q = y - z, Decimal(DELTA), Decimal(QUANTILE)
    if loss == "quantile":
        return max(q * r, (q - 1) * r)
    if loss == "logistic":
        return (1 + z.exp()).ln() - y * z
    linear = loss == "huber" and abs(r) > delta
    return delta * (abs(r) - delta / 2) if linear else r * r / 2


def exact_J(paper, candidate):
    """J with 50 digits."""

    def dot(first, second):
        return sum(
            (Decimal(float(a)) * Decimal(float(b)) for a, b in zip(first, second, strict=True)),
            Decimal(),
        )

    net, total = candidate, Decimal()
    for x, y, weight in zip(paper.X, paper.y, paper.w, strict=True):
        z = dot(net.A[0], x) + Decimal(float(net.c[0]))
        for k in range(net.n_neurons):
            hidden = max(dot(net.w[k], x) + Decimal(float(net.b[k])), Decimal())
            z += Decimal(float(net.v[k, 0])) * hidden
        total += Decimal(float(weight)) * exact_loss(paper.loss, Decimal(float(y)), z)
    for k in range(net.n_neurons):
        v = Decimal(float(net.v[k, 0]))
        total += Decimal(paper.alpha) * (v * v + dot(paper.others[k], paper.others[k])).sqrt()
    return total


@every_case
@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8])
def test_excess_has_digits_that_a_difference_has_not(case, size):
    """Excesses go like size², down to the rounding of J."""
    regime = regime_of(case)
    s, accuracy = 1, 1e-14 * size
    if case[0] in ("logistic", "quantile"):  # differences of values, and predictions on kinks
        accuracy = 1e-15
    paper, own = Paper(regime, s), regime.task_network(s)
    candidate = around(own, size, 0)
    exact = float(exact_J(paper, candidate) - exact_J(paper, own))
    assert regime.excess(s, candidate) == pytest.approx(exact, rel=1e-6, abs=4 * accuracy)


@pytest.mark.parametrize("n_tasks, largest", [(11, 1e-6), (101, 1e-11), (1001, 1e-14)])
def test_excess_of_the_ridge_fit_is_resolved_for_many_tasks(n_tasks, largest):
    X, Y = two_squares(n_tasks, 0)
    regime = KernelRegime.of_solution(mtrelu.solve(X, Y, 1e-3, tol=1e-10))
    paper, ridge = Paper(regime, 0), regime.ridge(0)
    exact = float(exact_J(paper, ridge) - exact_J(paper, regime.task_network(0)))
    assert 0.0 < exact < largest
    assert regime.excess(0) == pytest.approx(exact, rel=1e-3)


def test_excess_of_a_network_that_is_not_optimal_can_be_negative():
    regime = regime_of(("squared", 2))
    net, problem = regime.network, regime.problem
    louder = ReLUNetwork(net.w, net.b, 1.5 * net.v, 1.5 * net.A, 1.5 * net.c)
    louder = KernelRegime.of_network(louder, problem.X, problem.Y, problem.alpha)
    excess_is_a_difference_of_j(louder)
    assert louder.excess(0) < 0.0


def test_norms_of_any_size_are_compared_with_their_tangent():
    """Both signs, zeros, and sizes whose squares leave float64, against 50 digits."""
    from mtrelu.regime._tangent import norm_above_tangent

    sizes = [0.0, 1e-150, 1e-9, 1.0, 1.0 + 1e-9, 1e7, 1e150]
    for a, b, n in product([*sizes, *(-size for size in sizes[1:])], sizes, sizes):
        if b == n == 0.0:
            continue
        A, B, exact_n = Decimal(a), Decimal(b), Decimal(n)
        with_digits = getcontext().copy()
        with_digits.prec = 700  # sums of sizes that are 300 orders apart, squared
        square = with_digits.multiply
        at_a = with_digits.sqrt(with_digits.add(square(A, A), square(exact_n, exact_n)))
        at_b = with_digits.sqrt(with_digits.add(square(B, B), square(exact_n, exact_n)))
        slope = with_digits.divide(B, at_b)
        rise = square(slope, with_digits.subtract(A, B))
        exact = float(with_digits.subtract(with_digits.subtract(at_a, at_b), rise))
        found = norm_above_tangent(np.array([a]), np.array([b]), np.array([n]))[0]
        assert found == pytest.approx(exact, rel=1e-14, abs=1e-300 * max(b, n, 1.0))


# ---------------------------------------------------------------- strengths, shares, neighbourhood


def random_network(rng, n_tasks, n_neurons=6, spread=0.0):
    w, b = rng.standard_normal((n_neurons, 2)), rng.standard_normal(n_neurons)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    v = rng.standard_normal((n_neurons, n_tasks)) * np.exp(
        spread * rng.standard_normal((n_neurons, n_tasks))
    )
    return ReLUNetwork(w, b, v, np.zeros((n_tasks, 2)), np.zeros(n_tasks))


def regime_at(network, alpha=0.1, seed=0):
    X = np.random.default_rng(seed).standard_normal((9, network.n_inputs))
    return KernelRegime.of_network(network, X, network(X), alpha)


@pytest.mark.parametrize("n_tasks", [2, 3, 50])
def test_strengths_without_keep_all_digits(n_tasks):
    """Where one task outweighs the others by 300 orders, a difference of squares leaves nothing."""
    rng = np.random.default_rng(n_tasks)
    network = random_network(rng, n_tasks, spread=30.0)
    network.v[0, 1], network.v[1, :] = 1e150, 1e-150 * network.v[1, :]
    regime = regime_at(network)
    for k, s in product(range(6), range(n_tasks)):
        exact = math.hypot(*np.delete(regime.network.v[k], s))
        assert regime.strengths_without[k, s] == pytest.approx(exact, rel=1e-13, abs=0.0)
        assert regime.gamma_without[k, s] == pytest.approx(1 / exact, rel=1e-13)
    for k in range(6):
        assert regime.strengths[k] == pytest.approx(math.hypot(*regime.network.v[k]), rel=1e-13)


def test_neurons_of_one_task_only():
    """γ is infinite: H too, unless the weight is zero; the ridge does without, J and l1 do not."""
    rng = np.random.default_rng(1)
    network = random_network(rng, 3)
    network.v[2, [0, 2]] = 0.0
    regime = regime_at(network)
    assert regime.private_neurons().tolist() == [False, False, True, False, False, False]
    assert np.isinf(regime.gamma_without).sum() == 1 and np.isinf(regime.gamma_without[2, 1])
    own, ridge = regime.task_network(1), regime.ridge(1)
    assert ridge.v[2, 0] == 0.0 and ridge.v[[0, 1, 3, 4, 5], 0].all()
    assert math.isinf(regime.H(1, own)) and math.isfinite(regime.H(1, ridge))
    assert math.isinf(regime.surrogate_gap(1)) and math.isfinite(regime.surrogate_gap(0))
    paper = Paper(SimpleNamespace(problem=regime.problem, network=_without(network, 2)), 1)
    found, least = paper.least_H()
    assert regime.H(1, ridge) == pytest.approx(least, rel=1e-8)
    np.testing.assert_allclose(np.delete(ridge.v, 2, axis=0), found.v, atol=1e-4)
    assert regime.J(1, own) == pytest.approx(
        Paper(SimpleNamespace(problem=regime.problem, network=regime.network), 1).J(own), rel=1e-12
    )
    objectives = [regime.J(1, own), regime.J(1, ridge)]
    assert regime.excess(1, ridge) == pytest.approx(objectives[1] - objectives[0], rel=1e-9)


def _without(network, k):
    w, b, v = (np.delete(array, k, axis=0) for array in (network.w, network.b, network.v))
    return ReLUNetwork(w, b, v, network.A, network.c)


def test_neighbourhood_share_counts_neurons():
    regime = regime_of(("squared", 2))
    radius = N_TASKS ** (1 / 16)
    for s in range(N_TASKS):
        own = regime.task_network(s)
        for factor, share in ((0.999 * radius, 1.0), (1.001 * radius, 0.0), (-1.0, 1.0)):
            candidate = ReLUNetwork(own.w, own.b, factor * own.v, own.A, own.c)
            assert regime.neighbourhood_share(s, candidate) == share
        near = np.abs(regime.ridge(s).v) <= radius * np.abs(own.v)
        assert regime.neighbourhood_share(s) == np.mean(near)


@pytest.mark.parametrize("n_tasks", [2, 7, 64, 300])
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])
def test_lemma_keeps_its_promise_for_every_network(n_tasks, spread):
    regime = regime_at(random_network(np.random.default_rng(n_tasks), n_tasks, spread=spread))
    lemma_share_counts_20(regime)
    for beta in (1e-3, 0.25, 0.5, 0.75, 0.999):
        assert regime.lemma_promise(beta) == pytest.approx(1 - n_tasks**-beta, rel=1e-13)
        assert regime.lemma_share(beta) >= regime.lemma_promise(beta)


def test_lemma_promise_is_sharp():
    """Neurons that m of m² tasks use alike: [20] with β = ½ fails just for these."""
    v = np.zeros((1, 36))
    v[0, :6] = 1.0
    regime = regime_at(ReLUNetwork([[1.0]], [0.0], v, np.zeros((36, 1)), np.zeros(36)))
    assert regime.lemma_promise(0.5) == pytest.approx(5 / 6)
    assert regime.lemma_share(0.499) == pytest.approx(5 / 6)
    assert regime.lemma_share(0.501) == 1.0


def test_output_difference_is_relative_to_the_largest_output():
    regime = regime_of(("squared", 2))
    points = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    own, ridge = regime.task_network(2)(points), regime.ridge(2)(points)
    assert regime.output_difference(2, points) == np.abs(own - ridge).max() / np.abs(own).max()
    assert regime.output_difference(2, points, regime.task_network(2)) == 0.0


# ------------------------------------------------------------------------------------ invariances


@every_case
def test_tasks_in_another_order_give_the_same_in_that_order(case):
    regime = regime_of(case)
    problem, net = regime.problem, regime.network
    order = np.random.default_rng(0).permutation(N_TASKS)
    shuffled = KernelRegime.of_network(
        ReLUNetwork(net.w, net.b, net.v[:, order], net.A[order], net.c[order]),
        problem.X, problem.Y[:, order], problem.alpha, loss=problem.loss,
    )  # fmt: skip
    np.testing.assert_allclose(shuffled.gamma, regime.gamma, rtol=1e-14)
    np.testing.assert_allclose(shuffled.gamma_without, regime.gamma_without[:, order], rtol=1e-13)
    assert shuffled.lemma_share(0.5) == regime.lemma_share(0.5)
    for now, before in enumerate(order):
        assert shuffled.surrogate_gap(now) == pytest.approx(regime.surrogate_gap(before), rel=1e-11)
        candidates = [
            around(r.task_network(s), 1.0, 0) for r, s in ((regime, before), (shuffled, now))
        ]
        assert shuffled.excess(now, candidates[1]) == pytest.approx(
            regime.excess(before, candidates[0]), rel=1e-9
        )
        assert shuffled.H(now, shuffled.ridge(now)) == pytest.approx(
            regime.H(before, regime.ridge(before)), rel=1e-9
        )


def test_scales_of_neurons_and_idle_neurons_do_not_matter():
    rng = np.random.default_rng(5)
    plain = random_network(rng, 4)
    factors = np.exp(rng.standard_normal(6))
    w = np.vstack([plain.w * factors[:, None], [[1.0, 2.0]]])
    b = np.append(plain.b * factors, 3.0)
    v = np.vstack([plain.v / factors[:, None], np.zeros(4)])
    scaled = ReLUNetwork(w, b, v, plain.A, plain.c)
    first, second = regime_at(plain), regime_at(scaled)
    assert second.network.n_neurons == 6
    np.testing.assert_allclose(np.linalg.norm(second.network.w, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(second.gamma_without, first.gamma_without, rtol=1e-13)
    assert second.excess(0) == pytest.approx(first.excess(0), rel=1e-9)
    assert second.surrogate_gap(0) == pytest.approx(first.surrogate_gap(0), rel=1e-12)


def test_any_model_is_taken():
    X, Y = two_squares(4, 0)
    model = mtrelu.ReLURegressor(alpha=0.1).fit(X, Y)
    ridge_minimises_h(KernelRegime.of_network(model, X, Y, 0.1))
    with pytest.raises(InvalidInputError, match="not known to be a network"):
        KernelRegime.of_network(np.eye(2), X, Y, 0.1)


# ---------------------------------------------------------------------------------- interpolation


@pytest.mark.parametrize("d", [1, 2])
def test_interpolation_compares_penalties(d):
    """α = 0: J and H are penalties, and the fits interpolate with the least of theirs."""
    X, Y = (
        two_squares(6, 2) if d == 2 else (np.arange(7.0), solution_of("squared", 1).problem.Y[:7])
    )
    regime = KernelRegime.of_solution(mtrelu.solve(X, Y, 0.0, tol=1e-9))
    for s in range(regime.problem.n_tasks):
        paper, own = Paper(regime, s), regime.task_network(s)
        ridge, l1 = regime.ridge(s), regime.l1(s)
        for fit in (ridge, l1):
            np.testing.assert_allclose(fit(X)[:, 0], regime.problem.Y[:, s], atol=1e-8)
        assert regime.H(s, ridge) == pytest.approx(paper.least_H()[1], rel=1e-6)
        assert np.abs(l1.v).sum() == pytest.approx(paper.minimise(cp.norm1)[1], rel=1e-6)
        norms = np.hypot(own.v[:, 0], paper.n).sum()
        assert regime.J(s, own) == pytest.approx(norms, rel=1e-12)
        assert regime.J(s, own) == pytest.approx(paper.least_J()[1], rel=1e-6)
        assert regime.excess(s) == pytest.approx(regime.J(s, ridge) - norms, abs=1e-12 * norms)


def test_interpolants_over_many_neurons_are_the_least():
    """More neurons than samples: the two penalties choose different interpolants."""
    regime = regime_at(random_network(np.random.default_rng(2), 3, n_neurons=20), alpha=0.0)
    for s in range(3):
        paper, ridge, l1 = Paper(regime, s), regime.ridge(s), regime.l1(s)
        for fit in (ridge, l1):
            np.testing.assert_allclose(paper.outputs(fit), paper.y, atol=1e-9)
        assert regime.H(s, ridge) == pytest.approx(paper.least_H()[1], rel=1e-6)
        assert np.abs(l1.v).sum() == pytest.approx(paper.minimise(cp.norm1)[1], rel=1e-6)
        assert np.abs(ridge.v).sum() > 1.05 * np.abs(l1.v).sum()


def test_neurons_that_cannot_interpolate_are_refused():
    X, Y = [0, 1, 2, 3], [[0, 1], [3, 0], [0, 1], [1, 2]]
    network = ReLUNetwork.from_knots([1.0], [[1.0, 2.0]], [0.0, 0.0], [0.0, 0.0])
    regime = KernelRegime.of_network(network, X, Y, 0.0)
    for fit in (regime.ridge, regime.l1):
        with pytest.raises(InvalidInputError, match="cannot take"):
            fit(0)


# -------------------------------------------------------------------------------------- bad input


def test_one_task_leaves_nothing_to_leave_out():
    solution = mtrelu.solve([0, 1, 2, 3], [0, 2, 0, 1], 0.1)
    regime = KernelRegime.of_solution(solution)
    own = regime.l1(0)
    for call in (
        lambda: regime.strengths_without,
        lambda: regime.gamma_without,
        lambda: regime.ridge(0),
        lambda: regime.J(0, own),
        lambda: regime.H(0, own),
        lambda: regime.excess(0, own),
        lambda: regime.surrogate_gap(0),
        lambda: regime.neighbourhood_share(0, own),
        lambda: regime.lemma_share(0.5),
        lambda: regime.output_difference(0, [1.0]),
    ):
        with pytest.raises(InvalidInputError, match=r"one task.*l1\(0\)"):
            call()
    assert regime.lemma_promise(0.5) == 0.0
    assert regime.output_difference(0, [0.5, 1.5], own) < 1e-6
    np.testing.assert_allclose(regime.gamma, 1 / np.abs(regime.network.v[:, 0]))


@pytest.mark.parametrize("s", [-1, N_TASKS, 1.0, True, None, "0"])
def test_tasks_that_do_not_exist_are_refused(s):
    regime = regime_of(("squared", 2))
    own = regime.task_network(0)
    for call in (
        regime.ridge, regime.l1, regime.task_network, regime.surrogate_gap,
        lambda s: regime.J(s, own), lambda s: regime.excess(s, own),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=r"s is .*from 0 to 3"):
            call(s)


def test_candidates_with_other_neurons_are_refused():
    regime = regime_of(("squared", 2))
    own = regime.task_network(0)
    others = [
        regime.network,
        _without(own, 0),
        ReLUNetwork(own.w[::-1], own.b[::-1], own.v, own.A, own.c),
        ReLUNetwork(own.w, own.b + 1e-9, own.v, own.A, own.c),
        own.v,
    ]
    for other, call in product(
        others, (regime.J, regime.H, regime.excess, regime.neighbourhood_share)
    ):
        with pytest.raises(InvalidInputError, match="candidate is"):
            call(0, other)
    with pytest.raises(InvalidInputError, match="candidate is"):
        regime.output_difference(0, regime.problem.X, others[1])


def test_a_skip_part_that_the_problem_has_not_is_refused():
    X, Y = two_squares(3, 0)
    regime = KernelRegime.of_solution(mtrelu.solve(X, Y, 0.1, skip="constant"))
    own = regime.task_network(0)
    sloped = ReLUNetwork(own.w, own.b, own.v, own.A + 1.0, own.c)
    with pytest.raises(InvalidInputError, match="linear part"):
        regime.J(0, sloped)
    network = ReLUNetwork(own.w, own.b, regime.network.v, np.ones((3, 2)), np.zeros(3))
    with pytest.raises(InvalidInputError, match="linear part"):
        KernelRegime.of_network(network, X, Y, 0.1, skip="constant")


def test_networks_of_other_data_are_refused():
    X, Y = two_squares(3, 0)
    network = mtrelu.solve(X, Y, 0.1).network
    with pytest.raises(InvalidInputError, match="2 inputs"):
        KernelRegime.of_network(network, X[:, 0], Y, 0.1)
    with pytest.raises(InvalidInputError, match="3 tasks"):
        KernelRegime.of_network(network, X, Y[:, :2], 0.1)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5, math.nan, "0.5", None])
def test_powers_that_the_lemma_is_not_about_are_refused(beta):
    regime = regime_of(("squared", 2))
    for call in (regime.lemma_share, regime.lemma_promise):
        with pytest.raises(InvalidInputError, match="beta is"):
            call(beta)


def test_a_logistic_loss_without_minimum_is_refused():
    network = ReLUNetwork.from_knots([1.5], [[1.0, 1.0]], [0.0, 0.0], [0.0, 0.0])
    labels = [[0, 0], [0, 1], [1, 0], [1, 1]]
    regime = KernelRegime.of_network(network, [0, 1, 2, 3], labels, 0.1, loss="logistic")
    for fit in (regime.ridge, regime.l1):
        with pytest.raises(InvalidInputError, match=r"column 0.*separates"):
            fit(0)
        assert math.isfinite(regime.J(1, fit(1)))


def test_a_network_without_neurons_has_nothing_to_penalise():
    X, Y = two_squares(3, 0)
    regime = KernelRegime.of_solution(mtrelu.solve(X, Y, 100.0))
    assert regime.network.n_neurons == 0
    own = regime.task_network(0)
    assert regime.J(0, own) == regime.H(0, own) == pytest.approx(1.0)
    assert regime.surrogate_gap(0) == 0.0 and regime.excess(0) == pytest.approx(0.0, abs=1e-15)
    assert regime.neighbourhood_share(0) == regime.lemma_share(0.5) == 1.0
    assert (
        regime.output_difference(0, X) < 1e-14
        and regime.output_difference(0, X, regime.l1(0)) < 1e-6
    )
