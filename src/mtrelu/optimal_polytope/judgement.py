"""From a nearly optimal network to a verdict about all optimal functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtrelu._flat_tasks import FlatTasks
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope.duality import DualPoint, duality_gap, maximisers, nearest_dual
from mtrelu.optimal_polytope.exact import exact_part
from mtrelu.optimal_polytope.family import Family, Support
from mtrelu.optimal_polytope.proof import Proof, prove_unique
from mtrelu.optimal_polytope.support import Field, Peak, largest_features, peak
from mtrelu.oracles.base import Hull, Oracle
from mtrelu.problem import Problem
from mtrelu.solvers.interpolation import Verdict
from mtrelu.validation import FloatArray

# Two networks prove that there are several optima if both are this near to the optimum ...
WITNESS_GAP = 1e-10
# ... as a proved relative gap, and differ by this share of how much the fitted values vary.
WITNESS_SHARE = 1e-3
# Relative differences of objectives that are rounding, with gaps in extended precision.
_EQUAL = 64 * float(np.finfo(np.float64).eps)
# A peak that is lower than the bound by no more than this, relatively, attains it.
ATTAINED = 1e-7
# What the neurons of the peaks may leave of the fitted values if they are all there are.
_LEFT_OVER = 1e-6
# A second eigenvalue as near as this to the first on a face: the maximum is an arc.
_ARC = 1e-6
_POINTS = 512
_CORNERS = 24
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Judgement:
    """What `OptimalPolytope` presents; see there."""

    verdict: Verdict
    reason: str
    network: ReLUNetwork
    relative_gap: float
    complete: bool
    range_is_proved: bool
    family: Family
    back: FloatArray | None
    witness: ReLUNetwork | None
    standard: Standard
    flat: list[FlatTasks]


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a dual variable near it, and the neurons where that attains its bound."""

    problem: Problem
    network: ReLUNetwork
    point: DualPoint
    field: Field
    peaks: list[Peak]
    exhaustive: bool
    values: FloatArray
    family: Family
    left: float

    @property
    def primal(self) -> float:
        """The objective of the network, positive."""
        return max(self.problem.objective(self.network), 1e-300)

    @property
    def arcs(self) -> bool:
        """Whether the dual function attains its bound along an arc."""
        return any(p.flat < _ARC for p in self.peaks if p.value >= 1.0 - ATTAINED)


def judge(problem: Problem, network: ReLUNetwork, dual: FloatArray | None) -> Judgement:
    """Return the verdict for a nearly optimal network, and how it came about."""
    small, back = problem.compressed()
    net, hint = network, dual
    if back is not None:
        net, hint = rotated(network, back.T), None if dual is None else dual @ back
    X, group = np.unique(small.X, axis=0, return_inverse=True)
    group = group.reshape(-1)
    oracle = affordable_oracle(X, problem.skip)
    weight = np.bincount(group, small.sample_weight).astype(np.float64)
    reach = largest_features(oracle, weight)
    case = _case(small, net, hint, oracle, X, group, reach)
    # The peaks are nearer to the optimal neurons than those of the network, by a square.
    for _ in range(_ROUNDS):
        if case.left > _LEFT_OVER:
            break
        better = case.family.network(case.family.coefficients.start)
        if duality_gap(small, better, case.point.P) > 0.5 * case.point.gap:
            break
        case = _case(small, better, case.point.P, oracle, X, group, reach)
    base = case.family.network(case.family.coefficients.start)
    standard = Standard.of(small, net, case.point.P)
    fits = case.left <= _LEFT_OVER and standard.accepts(base)
    if not fits:
        known = Support.of_network(oracle.hull, net)
        values = _at_distinct(small, case.point, case.field, net(small.X))
        family, _ = Family.of(oracle.hull, case.field, known, values)
        case = replace(case, network=net, family=family)
        base = case.family.network(case.family.coefficients.start)
    standard = Standard.of(small, base, case.point.P)
    gap = standard.gap if case.point.proved else np.inf
    proof = prove_unique(case.field, case.peaks)
    complete = case.exhaustive and fits and not case.arcs

    verdict, witness, family = Verdict.UNDECIDED, None, case.family
    d, q = oracle.hull.axes.shape
    proved = proof.holds and case.exhaustive and case.point.fixes_values(small)
    on_hull = proved and problem.alpha > 0
    if problem.skip == "affine" and q < d:
        reason = (
            f"The inputs span only {q} of {d} dimensions, so every slope across them is free: it "
            "changes neither the values at the data nor the path norm."
        )
        if on_hull:
            reason += " On the span of the inputs the optimal function is unique."
        if gap <= standard.room:
            witness = tilted(base, oracle.hull, small, standard)
        if witness is not None:
            verdict = Verdict.NOT_UNIQUE
        elif gap > standard.room:
            reason += (
                f" But the relative gap of {gap / case.primal:.1g} is too large to show two "
                f"optimal networks; solve with tol={WITNESS_GAP / 100:g}."
            )
        else:
            reason += " But rounding of such a slope at the data costs more than the optimum."
    elif on_hull:
        verdict = Verdict.UNIQUE
        reason = why_unique(proof, case)
        family = family.fixed()
    else:
        pair = _two_optima(case, standard, back) if fits and gap <= standard.room else None
        if pair is not None:
            verdict = Verdict.NOT_UNIQUE
            witness, reason = _farther(network, pair, back), pair.reason
        else:
            reason = why_undecided(proof, case, gap)
    several = verdict is Verdict.NOT_UNIQUE and complete and case.point.fixes_values(small)
    return Judgement(
        verdict,
        reason,
        _back(base, back),
        gap / case.primal,
        complete,
        verdict is Verdict.UNIQUE or several,
        family,
        back,
        None if witness is None else _back(witness, back),
        standard,
        [],
    )


@dataclass(frozen=True, eq=False)
class Standard:
    """What a network has to meet to be shown as an optimal one.

    Attributes
    ----------
    problem : Problem
        With the tasks of the family.
    P : ndarray of shape (N, T)
        Dual variable for which gaps are computed.
    gap : float
        That of the network which the others are measured by.
    room : float
        By how much a gap may exceed it: a share of the objective, or its rounding.
    rounding : float
        What rounding of labels and predictions makes of an objective.
    misses : ndarray of shape (T,)
        For α = 0, how far an interpolant may be from the labels.
    """

    problem: Problem
    P: FloatArray
    gap: float
    room: float
    rounding: float
    misses: FloatArray

    @classmethod
    def of(cls, problem: Problem, base: ReLUNetwork, P: FloatArray) -> Standard:
        """Measure by a network."""
        sizes = np.abs(problem.X) @ np.abs(base.A).T + np.abs(base.c) + np.abs(problem.Y)
        rounding = 16 * np.finfo(np.float64).eps * sizes.max(axis=0)
        misses = np.abs(base(problem.X) - problem.Y).max(axis=0) + rounding
        least = 0.0
        if problem.alpha > 0:
            exact = problem.loss.value(problem.Y, problem.Y)
            for near in (problem.Y - rounding, problem.Y + rounding):
                excess = problem.loss.value(problem.Y, near) - exact
                least += float(np.sum(problem.weights * np.abs(excess)))
        room = max(WITNESS_GAP * problem.objective(base), least)
        return cls(problem, P, duality_gap(problem, base, P), room, least, misses)

    def accepts(self, network: ReLUNetwork) -> bool:
        """Tell whether a network is as good."""
        if self.problem.alpha == 0:
            misses = np.abs(network(self.problem.X) - self.problem.Y).max(axis=0)
            if np.any(misses > self.misses):
                return False
        return duality_gap(self.problem, network, self.P) <= self.gap + self.room

    def equals(self, networks: list[ReLUNetwork]) -> list[ReLUNetwork]:
        """Return those of these networks that are best, up to rounding, if they are accepted."""
        networks = [network for network in networks if self.accepts(network)]
        gaps = [duality_gap(self.problem, network, self.P) for network in networks]
        best = min(gaps, default=0.0)
        return [
            network
            for network, gap in zip(networks, gaps, strict=True)
            if gap - best <= max(_EQUAL * self.problem.objective(network), self.rounding)
        ]


def _case(
    problem: Problem,
    network: ReLUNetwork,
    hint: FloatArray | None,
    oracle: Oracle,
    X: FloatArray,
    group: np.ndarray,
    reach: float,
) -> Case:
    point = nearest_dual(problem, network, hint, oracle, X, group)
    weight = np.bincount(group, problem.sample_weight).astype(np.float64)
    field, peaks, exhaustive = peaks_of(problem, point, oracle, weight, reach)
    hull = oracle.hull
    support = Support.of(field, [p for p in peaks if p.value >= 1.0 - ATTAINED])
    fitted = network(problem.X)
    if problem.loss.name == "squared" and problem.alpha > 0:
        fitted = problem.Y - point.P / problem.sample_weight[:, np.newaxis]
    values = _at_distinct(problem, point, field, fitted)
    family, left = Family.of(hull, field, support, values)
    return Case(problem, network, point, field, peaks, exhaustive, values, family, left)


def peaks_of(
    problem: Problem, point: DualPoint, oracle: Oracle, weight: FloatArray, reach: float
) -> tuple[Field, list[Peak], bool]:
    """Return the dual function, where it may attain its bound, and whether that is all."""
    limit = problem.alpha or 1.0
    unit = oracle.hull.scale / limit
    distance = point.distance(problem)
    field = Field.of(oracle.hull, point.summed, weight, distance, problem.skip, reach, unit)
    # Everything that may attain the bound for an optimal dual variable; half of it will not.
    margin = float(np.clip(2 * field.error() + field.rounding(), 2 * ATTAINED, 0.5))
    found = maximisers(oracle, point.summed, limit * (1.0 - margin))
    hull = oracle.hull
    b = (found.w @ hull.centre + found.b) / hull.scale
    peaks = [peak(field, wk, bk) for wk, bk in zip(found.w @ hull.axes, b.tolist(), strict=True)]
    peaks = [p for p in peaks if not p.climbs]
    return field, peaks, found.exactness == "exact" and margin < 0.5


def _at_distinct(
    problem: Problem, point: DualPoint, field: Field, values: FloatArray
) -> FloatArray:
    """Return the weighted means of values (N, T) over samples with equal inputs."""
    sums = np.zeros_like(point.summed)
    np.add.at(sums, point.group, problem.sample_weight[:, np.newaxis] * values)
    return sums / field.weight[:, np.newaxis]


def affordable_oracle(X: FloatArray, skip: str) -> Oracle:
    """Return an exact oracle if there is an affordable one, else a heuristic one."""
    from mtrelu.oracles.ascent import AscentOracle
    from mtrelu.oracles.choice import exact_oracle

    return exact_oracle(X, skip) or AscentOracle(X, skip)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two optimal networks, where they differ, and the words for it."""

    networks: tuple[ReLUNetwork, ReLUNetwork]
    where: FloatArray
    reason: str


def _two_optima(case: Case, standard: Standard, back: FloatArray | None) -> _Pair | None:
    """Look for two networks that are optimal and differ."""
    problem, field = case.problem, case.field
    exact = exact_part(
        problem, case.family, field, case.values, case.left, rotated=back is not None
    )
    if exact is None:
        return None
    hull, rng = exact.hull, np.random.default_rng(0)
    low, high = field.Z.min(axis=0), field.Z.max(axis=0)
    Z = np.vstack([field.Z, rng.uniform(low, high, (_POINTS, low.size))])
    X = hull.centre + hull.scale * (Z @ hull.axes.T)
    networks = standard.equals(exact.corners(rng, _CORNERS))
    if len(networks) < 2:
        return None
    values = np.array([network(X) for network in networks])
    at, task = np.unravel_index(np.argmax(np.ptp(values, axis=0)), values.shape[1:])
    first = networks[int(np.argmax(values[:, at, task]))]
    last = networks[int(np.argmin(values[:, at, task]))]
    apart = np.abs(_back(first, back)(X[[at]]) - _back(last, back)(X[[at]])).max()
    data = _back(first, back)(case.problem.X)
    varies = float(np.ptp(data, axis=0).max(initial=0.0))
    if not apart > WITNESS_SHARE * varies:
        return None
    place = ", ".join(f"{x:.4g}" for x in X[at])
    reason = (
        f"Two networks, both proved to be within a relative gap of {WITNESS_GAP:g} of the "
        f"optimum, differ by {apart:.3g} at x = ({place}), where the fitted values vary by "
        f"{varies:.3g}, as do their mixtures: what makes them equally good holds to the last "
        "digits."
    )
    if exact.support.joins:
        n = len(exact.support.joins)
        reason += (
            f" The dual function has {n} plateau{'s' if n > 1 else ''}, along which a neuron can "
            "move or be split."
        )
    return _Pair((first, last), X[at], reason)


def _farther(network: ReLUNetwork, pair: _Pair, back: FloatArray | None) -> ReLUNetwork:
    """Return the one of two networks that is farther from a third."""
    here = network(pair.where[np.newaxis])
    return max(
        pair.networks,
        key=lambda other: float(np.abs(_back(other, back)(pair.where[np.newaxis]) - here).max()),
    )


def why_unique(proof: Proof, case: Case) -> str:
    """Say what proves that there is one optimal function."""
    based = f"That follows from the duality gap of {case.point.gap:.2g}."
    if proof.n_places == 0:
        return f"No optimal network has a neuron, so the affine fit is the only optimum. {based}"
    one = proof.n_places == 1
    return (
        f"Every neuron of an optimal network is at {'the one' if one else 'one of the'} "
        f"{'' if one else f'{proof.n_places} '}place{'' if one else 's'} where the dual function "
        "attains alpha, and what they add to the fit is linearly independent: the smallest "
        f"singular value is {proof.independence:.2g}, of which rounding and the duality gap leave "
        f"{proof.uncertainty:.1g} open. {based}"
    )


def why_undecided(proof: Proof, case: Case, gap: float) -> str:
    """Say what a proof of either verdict lacks."""
    if not case.point.proved:
        return (
            "The search for the maxima of the dual function is heuristic at this size, so nothing "
            "is proved about all optimal networks."
        )
    relative = gap / case.primal
    reasons = []
    if case.problem.alpha == 0:
        reasons.append(
            "For alpha = 0 a duality gap does not bound how far two optimal dual variables can be "
            "apart, and no two optimal networks that differ were found."
        )
    elif not np.isfinite(case.problem.loss.smoothness):
        reasons.append(
            f"The {case.problem.loss.name} loss has kinks, and then a duality gap does not bound "
            "how far two optimal functions can be apart."
        )
    elif not case.exhaustive:
        reasons.append(
            "Where the dual function of an optimal dual variable attains alpha is not known "
            "completely."
        )
    elif not proof.isolated:
        reasons.append(
            f"Of the {proof.n_places} places where an optimal neuron can be, some could not be "
            "proved to be single hyperplanes"
            + (": the dual function is constant along an arc." if case.arcs else ".")
        )
    elif not proof.holds:
        reasons.append(
            f"What the {proof.n_places} places for neurons add to the fit is not proved to be "
            f"linearly independent: the smallest singular value is {proof.independence:.2g}, of "
            f"which rounding and the duality gap leave {proof.uncertainty:.1g} open."
        )
    else:
        reasons.append("The loss is flat or straight at some labels, so the fit may vary.")
    if case.left > _LEFT_OVER:
        reasons.append(
            "The neurons at these places do not reproduce the fitted values, so some are missing."
        )
    if relative > WITNESS_GAP:
        reasons.append(
            f"The relative gap of {relative:.1g} is too large to tell optimal networks apart from "
            f"nearly optimal ones; solve with tol={WITNESS_GAP / 100:g}."
        )
    elif case.problem.alpha > 0:
        reasons.append(
            "No two optimal networks that clearly differ, and are equally good to the last digits, "
            "were found either."
        )
    return " ".join(reasons)


def tilted(
    network: ReLUNetwork,
    hull: Hull,
    problem: Problem,
    standard: Standard,
    tasks: NDArray[np.intp] | None = None,
) -> ReLUNetwork | None:
    """Return the same function on the hull of the data, with another slope across it.

    With ``tasks``, on the hull of their data, for these tasks. The slope is of the size of labels
    over inputs. If that is too much for the last digits at the data, because the inputs are far
    from the origin, distances from there are the inputs' size.
    """
    across = np.linalg.svd(hull.axes, full_matrices=True)[0][:, hull.axes.shape[1]]
    labels = np.ptp(problem.Y, axis=0)
    if not labels.any():
        labels = np.abs(problem.Y).max(axis=0)
    if not labels.any():
        labels = np.ones_like(labels)
    if tasks is not None:
        others = np.setdiff1d(np.arange(labels.size), tasks)
        labels = np.where(labels > 0.0, labels, labels.max())
        labels[others] = 0.0
    far = float(np.abs(problem.X).max()) or 1.0
    for inputs in (hull.scale if hull.axes.size else far, far):
        # Powers of two, so that multiples of one coordinate have no rounding.
        slope = np.where(
            labels > 0, np.exp2(np.floor(np.log2(np.maximum(labels, 1e-300) / inputs))), 0.0
        )
        tilt = np.outer(slope, across)
        other = replace(network, A=network.A + tilt, c=network.c - hull.centre @ tilt.T)
        if standard.accepts(other):
            return other
    return None


def _back(network: ReLUNetwork, back: FloatArray | None) -> ReLUNetwork:
    return network if back is None else rotated(network, back)


def rotated(network: ReLUNetwork, W: FloatArray) -> ReLUNetwork:
    """Return the network whose outputs are W times those of ``network``."""
    return ReLUNetwork(network.w, network.b, network.v @ W.T, W @ network.A, W @ network.c)
