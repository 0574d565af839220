"""Functions with the same values at the data: neurons at fixed places, free coefficients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope.coefficients import Coefficients
from mtrelu.optimal_polytope.support import ON, Field, Peak, peak
from mtrelu.oracles.base import Hull
from mtrelu.validation import FloatArray

# Neurons closer than this, in coordinates of size one, are one.
_SAME = 1e-7
# The vectors Σ p φ at both ends of a plateau of height one differ by no more.
_LEVEL = 1e-6
_FAR = 4.0  # beyond all data, in coordinates of size one
_ROWS = 1 << 12
# How far from the start towards what was drawn, until it is accepted.
_BACK = np.logspace(0.0, -6.0, 7, base=4.0)


@dataclass(frozen=True, eq=False)
class Support:
    """Neurons where a dual function attains its bound.

    Attributes
    ----------
    w : ndarray of shape (K, q)
        Unit weights in the coordinates of the hull.
    b : ndarray of shape (K,)
        Biases.
    u : ndarray of shape (K, T)
        Unit directions of the output weights.
    joins : list of (int, int)
        Neurons k, l with parallel hyperplanes, b_k < b_l, between which the dual function is
        constant: a plateau.
    far : ndarray of shape (K,), bool
        Ends of plateaus without end: neurons active on all data, wherever beyond the data their
        hyperplane is.
    """

    w: FloatArray
    b: FloatArray
    u: FloatArray
    joins: list[tuple[int, int]]
    far: np.ndarray

    @classmethod
    def of_network(cls, hull: Hull, network: ReLUNetwork) -> Support:
        """Return the neurons of a network as they are."""
        unit = network.unit_norm().pruned()
        inside = unit.w @ hull.axes
        size = np.linalg.norm(inside, axis=1)
        kept = size > 0.0
        inside, size, v = inside[kept], size[kept], unit.v[kept]
        w = inside / size[:, np.newaxis]
        b = (unit.w[kept] @ hull.centre + unit.b[kept]) / (hull.scale * size)
        u = v / np.linalg.norm(v, axis=1, keepdims=True)
        return cls(w, b, u, [], np.zeros(b.size, dtype=bool))

    @classmethod
    def of(cls, field: Field, peaks: list[Peak]) -> Support:
        """Collect distinct peaks, and the other ends of the plateaus that begin at them."""
        mirrored = field.basis.shape[1] > 1  # (w, b) and (−w, −b) differ by an affine function
        w: list[FloatArray] = []
        b: list[float] = []
        u: list[FloatArray] = []
        far: list[bool] = []
        joins: set[tuple[int, int]] = set()

        def place(found: Peak, is_far: bool = False) -> int:
            sign = _orientation(found.w) if mirrored else 1.0
            for k in range(len(b)):
                step = np.abs(sign * found.w - w[k]).max() + abs(sign * found.b - b[k])
                if step <= _SAME and far[k] == is_far:
                    return k
            w.append(sign * found.w)
            b.append(sign * found.b)
            u.append(found.u)
            far.append(is_far)
            return len(b) - 1

        def join(lower: int, upper: int) -> None:
            if lower != upper:  # as the ends of a plateau between two close data points can be
                joins.add((lower, upper))

        for found in peaks:
            place(found)
        k = 0
        while k < len(b):  # the list grows by the ends of plateaus
            if not far[k]:
                height = field.Z @ w[k] + b[k]
                active, inactive = height[height > ON], -height[height < -ON]
                if inactive.size:
                    end = peak(field, w[k], b[k] + float(inactive.min()))
                    if _is_level(field, w[k], b[k], end):
                        join(k, place(end))
                elif not mirrored:  # the skip connection makes up for any shift
                    joins.add((k, place(_beyond(w[k], b[k] + _FAR, u[k], field), True)))
                end = peak(field, w[k], b[k] - float(active.min()))
                if _is_level(field, w[k], b[k], end):
                    join(place(end), k)
            k += 1
        return cls(
            np.array(w).reshape(len(b), field.Z.shape[1]),
            np.array(b),
            np.array(u).reshape(len(b), field.P.shape[1]),
            sorted(joins),
            np.array(far, dtype=bool),
        )


def _orientation(w: FloatArray) -> float:
    """Return the sign that makes the first entry of a unit vector that is not tiny positive."""
    return float(np.sign(w[np.argmax(np.abs(w) > 1e-3 / np.sqrt(w.size))]))


def _is_level(field: Field, w: FloatArray, b: float, end: Peak) -> bool:
    """Tell whether the dual function is constant between a maximiser and another peak."""
    if np.abs(end.w - w).max() > _SAME:
        return False
    first, last = field.vectors(np.stack([w, end.w]), np.array([b, end.b]))
    # Between the two Σ p φ is linear.
    return bool(np.linalg.norm(first - last) <= _LEVEL)


def _beyond(w: FloatArray, b: float, u: FloatArray, field: Field) -> Peak:
    """Return a neuron that is active on all data."""
    none = np.zeros(field.Z.shape[0], dtype=bool)
    empty = np.zeros((w.size, 0))
    return Peak(
        w, b, np.zeros_like(w), empty, none, 1.0, u, empty, (0.0, 0.0), np.inf, np.inf, False, 1.0
    )


@dataclass(frozen=True, eq=False)
class Family:
    """All functions Σ_k c_k u_k (w_k·z + b_k)₊ + skip with given values at the data, c ≥ 0.

    Attributes
    ----------
    hull : Hull
        Coordinates z of the inputs.
    support : Support
        The neurons.
    coefficients : Coefficients
        The polytope of c.
    skip : ndarray of shape (1 or 1 + q, T)
        The skip connection's fit to the values, on ``[1, z]``.
    slopes : ndarray of shape (1 or 1 + q, K)
        Its fit to the features of each neuron.
    """

    hull: Hull
    support: Support
    coefficients: Coefficients
    skip: FloatArray
    slopes: FloatArray

    @classmethod
    def of(
        cls, hull: Hull, field: Field, support: Support, values: FloatArray
    ) -> tuple[Family, float]:
        """Fit the values (n, T) at the data, and return the share of them that is left over."""
        root = np.sqrt(field.weight)[:, np.newaxis]
        features = np.maximum(field.height(support.w, support.b), 0.0)
        basis = np.linalg.pinv(root * field.basis)
        skip, slopes = basis @ (root * values), basis @ (root * features)
        rest = root * (values - field.basis @ skip)
        columns = columns_of(field, support.w, support.b, support.u)
        coefficients, left = Coefficients.of(columns, rest.ravel())
        size = float(np.linalg.norm(rest))
        return cls(hull, support, coefficients, skip, slopes), left / size if size > 0 else 0.0

    def fixed(self) -> Family:
        """Return the family of the start alone."""
        start = self.coefficients.start
        return replace(
            self,
            support=replace(self.support, joins=[]),
            coefficients=Coefficients(start, np.zeros((start.size, 0))),
        )

    def network(self, own: FloatArray, joined: FloatArray | None = None) -> ReLUNetwork:
        """Return the network with these coefficients (K,), and (L, 2) of what is joined."""
        s = self.support
        total = own.copy()
        w, b, v = [s.w], [s.b], [own[:, np.newaxis] * s.u]
        if joined is not None:
            for (k, j), (first, last) in zip(s.joins, joined, strict=True):
                both = first + last
                if both > 0.0:
                    share = last / both
                    total[[k, j]] += first, last
                    w.append((1 - share) * s.w[[k]] + share * s.w[[j]])
                    b.append(np.atleast_1d((1 - share) * s.b[k] + share * s.b[j]))
                    v.append(first * s.u[[k]] + last * s.u[[j]])
        skip = self.skip - self.slopes @ (total[:, np.newaxis] * s.u)
        hull = self.hull
        W, B = hull.lift(np.vstack(w), np.concatenate(b))
        slope = np.zeros((hull.centre.size, skip.shape[1]))
        if skip.shape[0] > 1:
            slope = hull.axes @ skip[1:] / hull.scale
        constant = skip[0] - hull.centre @ slope
        return ReLUNetwork(W, B, np.vstack(v) / hull.scale, slope.T, constant).pruned()

    def range(self, Z: FloatArray, back: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest value (M, T) at points (M, q).

        ``back`` (T, T') gives the tasks whose range is asked for, as combinations of these.
        """
        u, skip = self.support.u, self.skip
        if back is not None:
            u, skip = u @ back.T, skip @ back.T
        blocks = [Z[i : i + _ROWS] for i in range(0, Z.shape[0], _ROWS)]
        parts = [self._range(block, u, skip) for block in blocks]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _range(
        self, Z: FloatArray, u: FloatArray, skip: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        s, c = self.support, self.coefficients
        height = Z @ s.w.T + s.b
        basis = np.hstack([np.ones((Z.shape[0], 1)), Z])[:, : skip.shape[0]]
        # A far neuron is linear wherever it is asked: its hyperplane can be farther still.
        features = np.where(s.far, height, np.maximum(height, 0.0)) - basis @ self.slopes
        low = basis @ skip + features @ (c.start[:, np.newaxis] * u)
        high = low.copy()
        point, atom, share, drop = self._atoms(height)
        for t in range(u.shape[1]):
            gains = drop * u[[j for _, j in s.joins], t][atom] if atom.size else drop
            for sign, side in ((1.0, high), (-1.0, low)):
                helps = sign * gains > 1e-15
                costs = sign * features * u[:, t]
                moves = np.abs(costs @ c.null).max(axis=1, initial=0.0) > 0.0
                if c.freedom == 0:
                    moves[:] = False
                moves[point[helps]] = True
                rows = np.flatnonzero(moves)
                place = np.searchsorted(rows, point[helps])
                parts = np.zeros((place.size, s.b.size))
                pairs = np.array(s.joins, dtype=np.intp).reshape(-1, 2)[atom[helps]]
                parts[np.arange(place.size), pairs[:, 0]] = 1.0 - share[helps]
                parts[np.arange(place.size), pairs[:, 1]] = share[helps]
                best = c.maximise(costs[rows], place, parts, sign * gains[helps])
                change = best - costs[rows] @ c.start
                side[rows, t] += sign * np.maximum(change, 0.0)
        return low, high

    def _atoms(self, height: FloatArray) -> tuple[np.ndarray, np.ndarray, FloatArray, FloatArray]:
        """Find the plateaus that have a hyperplane through each point.

        Returns, for each hit, the point, the join, the share of its second neuron in the mixture
        whose hyperplane passes through the point, and by how much (≤ 0) a unit of that mixture
        changes the feature when it becomes one neuron.
        """
        point, atom, share, drop = [], [], [], []
        for j, (k, other) in enumerate(self.support.joins):
            below, above = height[:, k], height[:, other]
            hit = np.flatnonzero((below < 0.0) & (above > 0.0))
            part = below[hit] / (below[hit] - above[hit])
            point.append(hit)
            atom.append(np.full(hit.size, j))
            share.append(part)
            drop.append(-part * above[hit])
        if not point:
            nothing = np.zeros(0)
            return nothing.astype(np.intp), nothing.astype(np.intp), nothing, nothing
        points = np.concatenate(point)
        order = np.argsort(points, kind="stable")
        return (
            points[order],
            np.concatenate(atom)[order],
            np.concatenate(share)[order],
            np.concatenate(drop)[order],
        )

    def random(
        self, rng: np.random.Generator, n: int, accept: Callable[[ReLUNetwork], bool]
    ) -> list[ReLUNetwork]:
        """Return random mixtures of vertices, with parts of each plateau joined.

        What is not accepted, because rounding along badly conditioned combinations of neurons has
        spoilt it, is drawn back towards the start.
        """
        start = self.coefficients.start
        n_vertices = self.coefficients.freedom + 1
        drawn = []
        for _ in range(n):
            costs = rng.standard_normal((n_vertices, start.size))
            own = rng.dirichlet(np.full(n_vertices, 0.5)) @ [
                self.coefficients.vertex(cost) for cost in costs
            ]
            shares = rng.beta(0.5, 0.5, (len(self.support.joins), 2))
            for back in (*_BACK, 0.0):
                network = self._joined(start + back * (own - start), back * shares)
                if accept(network):
                    break
            drawn.append(network)
        return drawn

    def corners(self, rng: np.random.Generator, n: int) -> list[ReLUNetwork]:
        """Return the start, and about n vertices, each also with its plateaus joined."""
        own = [self.coefficients.start]
        if self.coefficients.freedom:
            costs = rng.standard_normal((n, self.support.b.size))
            own += [self.coefficients.vertex(cost) for cost in costs]
        networks = [self.network(c) for c in own]
        if self.support.joins:
            networks += [self._joined(c, np.ones((len(self.support.joins), 2))) for c in own]
        return networks

    def _joined(self, own: FloatArray, shares: FloatArray) -> ReLUNetwork:
        """Return the network where shares (L, 2) of both ends of each plateau are one neuron."""
        own = own.copy()
        joined = np.zeros((len(self.support.joins), 2))
        for j, pair in enumerate(self.support.joins):
            part = own[list(pair)]
            if (part > 0.0).all():
                joined[j] = shares[j] * part
                own[list(pair)] -= joined[j]
        return self.network(own, joined)

    def fewest(self) -> tuple[ReLUNetwork, bool]:
        """Return the network with the fewest neurons, and whether that is proved."""
        own, joined, exact = self.coefficients.fewest(self.support.joins)
        return self.network(own, joined), exact


def columns_of(field: Field, w: FloatArray, b: FloatArray, u: FloatArray) -> FloatArray:
    """Return the weighted matrices φ_k u_kᵀ without their skip part, one a column, (n·T, K)."""
    root = np.sqrt(field.weight)[:, np.newaxis]
    Q = np.linalg.qr(root * field.basis)[0]
    features = root * np.maximum(field.height(w, b), 0.0)
    for _ in range(2):  # the second time removes what rounding left behind
        features -= Q @ (Q.T @ features)
    columns = features[:, np.newaxis, :] * u.T[np.newaxis, :, :]
    return np.ascontiguousarray(columns.reshape(field.Z.shape[0] * u.shape[1], b.size))
