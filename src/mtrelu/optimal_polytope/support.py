"""Where the neurons of an optimal network can be: the maximisers of the dual function.

An optimal dual variable P* is known only up to a distance ε that the duality gap gives. What is
proved here about P* is derived from a feasible P near it; `peak` holds the argument.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from mtrelu.oracles.base import Hull, Oracle
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
# In coordinates of size one: data points closer than this to a hyperplane are taken to be on it.
ON = 1e-9
# Differences of data points shorter than this have no direction.
_SHORT = 1e-8
# What is computed from inputs is exact up to this; anything between it and the above is unclear.
_ROUNDED = 1e-13
# Slopes of the dual function above this are no rounding.
_CLIMB = 1e-9
_RADII = np.logspace(-10.0, -0.5, 96)[:, np.newaxis]
_NARROW = np.logspace(0.0, -5.0, 11)
_MOST_CONVEX_KINKS = 6
_MOST_PROJECTED = 200  # inputs, beyond which a coarser bound has to do


@dataclass(frozen=True, eq=False)
class Field:
    """A dual function in coordinates of size one, scaled so that feasible means at most 1.

    Attributes
    ----------
    Z : ndarray of shape (n, q)
        Distinct inputs in the coordinates of their hull.
    P : ndarray of shape (n, T)
        Feasible dual variable, summed over equal inputs.
    weight : ndarray of shape (n,)
        Sample weights, summed likewise.
    distance : float
        Bound ε on (Σ_i ‖p_i − p*_i‖²/w_i)^½ for every optimal P*; infinite if there is none.
    basis : ndarray of shape (n, 1 or 1 + q)
        What the skip connection can do at the inputs.
    reach : float
        Bound on the weighted norm of the features of any neuron without their skip part.
    unit : float
        What multiplies a dual variable of the problem to make it one of these.
    """

    Z: FloatArray
    P: FloatArray
    weight: FloatArray
    distance: float
    basis: FloatArray
    reach: float
    unit: float

    @classmethod
    def of(
        cls,
        hull: Hull,
        P: FloatArray,
        weight: FloatArray,
        distance: float,
        skip: str,
        reach: float = math.inf,
        unit: float = 1.0,
    ) -> Field:
        """Return the field of ``unit * P`` on the distinct inputs of a hull.

        ``distance`` is that of P, and the smaller one of two bounds is taken for the ``reach``.
        """
        basis = skip_basis(hull, skip)
        reach = min(reach, _lipschitz(hull, weight, skip))
        return cls(hull.Z, unit * P, weight, unit * distance, basis, reach, unit)

    def height(self, w: FloatArray, b: FloatArray) -> FloatArray:
        """Return w·z + b at the inputs, (n, K), for neurons (K, q), (K,)."""
        return self.Z @ w.T + b

    def vectors(self, w: FloatArray, b: FloatArray) -> FloatArray:
        """Return Σ_i p_i (w·z_i + b)₊, (K, T); the dual function is its norm."""
        return np.asarray(np.maximum(self.height(w, b), 0.0).T @ self.P)

    def error(self) -> float:
        """Return how far the dual function of any optimal P* can be from this one, anywhere."""
        return self.distance * self.reach if self.reach > 0.0 else 0.0

    def rounding(self) -> float:
        """Return how far rounding can move a value of the dual function."""
        sizes = np.linalg.norm(self.P, axis=1)
        return 16 * _EPS * float(sizes.sum()) * (1 + math.sqrt(self.Z.shape[1]))


def skip_basis(hull: Hull, skip: str) -> FloatArray:
    """Return what the skip connection can do at the inputs of a hull, (n, 1) or (n, 1 + q)."""
    ones = np.ones((hull.Z.shape[0], 1))
    return np.hstack([ones, hull.Z]) if skip == "affine" else ones


def largest_features(oracle: Oracle, weight: FloatArray) -> float:
    """Bound the weighted norm of features without their skip part, over all neurons.

    With the weighted projection off the skip part in place of P, that norm is the dual function.
    """
    hull, root = oracle.hull, np.sqrt(weight)
    if hull.Z.shape[0] > _MOST_PROJECTED:
        return math.inf
    Q = np.linalg.qr(root[:, np.newaxis] * skip_basis(hull, oracle.skip))[0]
    found = oracle.search(root[:, np.newaxis] * (np.eye(root.size) - Q @ Q.T))
    return math.inf if found.exactness == "estimate" else found.value / hull.scale * (1 + 1e-9)


def _lipschitz(hull: Hull, weight: FloatArray, skip: str) -> float:
    """Bound the same by the spread of the inputs.

    The skip connection can take the value at the centre from a neuron's features, and w·z/2 if it
    is affine; what is left is a Lipschitz function of w·z.
    """
    if hull.Z.shape[1] == 0:
        return 0.0
    centred = np.sqrt(weight)[:, np.newaxis] * (hull.Z - weight @ hull.Z / weight.sum())
    slope = 0.5 if skip == "affine" else 1.0
    return slope * float(np.linalg.norm(centred, 2)) * (1 + 1e-12)


@dataclass(frozen=True, eq=False)
class Peak:
    """A local maximiser of the dual function, and what it proves.

    Attributes
    ----------
    w : ndarray of shape (q,)
        Unit weights.
    b : float
        Bias.
    anchor : ndarray of shape (q,)
        A data point on the hyperplane.
    turns : ndarray of shape (q, q - 1)
        Orthonormal directions in which the weights can turn.
    pinned : ndarray of shape (n,), bool
        The data points on the hyperplane.
    value : float
        Of the dual function, at most 1.
    u : ndarray of shape (T,)
        Unit direction of Σ_i p_i φ(z_i), that of the output weights.
    along : ndarray of shape (m, q)
        Orthonormal steps of `peak` that keep the hyperplane on its data points.
    radius : (float, float)
        All maximisers of an optimal dual function whose steps from here are no longer than this,
        along the face and across it, are one, and none is on the boundary; zeros if that is not
        proved.
    moved : float
        How far the features of that maximiser can be from those of this one, in the norm that
        weighs the samples.
    turned : float
        How far its direction can be from ``u``.
    climbs : bool
        Whether moving off the data points increases the value, so that this is no maximiser.
    flat : float
        Relative difference between ‖Σ p φ‖² here and its second eigenvalue on the face; 0 where
        the maximum continues along an arc. One if the weights cannot turn on the face.
    """

    w: FloatArray
    b: float
    anchor: FloatArray
    turns: FloatArray
    pinned: np.ndarray
    value: float
    u: FloatArray
    along: FloatArray
    radius: tuple[float, float]
    moved: float
    turned: float
    climbs: bool
    flat: float

    @property
    def fixed(self) -> bool:
        """Whether the data points on the hyperplane determine it."""
        return self.sharp and self.moved == 0.0

    @property
    def sharp(self) -> bool:
        """Whether it is proved that the peak stays one hyperplane."""
        return self.radius[1] > 0.0

    def holds(self, w: FloatArray, b: float) -> bool:
        """Tell whether a neuron is inside the ball in which this peak is the only one."""
        along = float(self.w @ w)
        if along <= 0.5:
            return False
        step = np.append(self.turns.T @ w, w @ self.anchor + b) / along
        on_face = self.along @ step
        across = step - on_face @ self.along
        return bool(
            np.linalg.norm(on_face) <= 0.5 * self.radius[0]
            and np.linalg.norm(across) <= 0.5 * self.radius[1]
        )


def peak(field: Field, w: FloatArray, b: float) -> Peak:
    """Put a local maximiser exactly on its face and measure how sharp it is.

    Move the hyperplane by s = (dw, t), dw ⟂ w, to the zeros of (w + dw)·(z − anchor) + t. With J
    the data points on it, u the direction of V = Σ p φ, z_i(s) the height that i ∈ J gets, and
    B s the change of V by the points on the active side,

        ⟨u, V(s)⟩ = γ + ψ(s),    ψ(s) = h·s + Σ_J c_i z_i(s)₊,    h = Bᵀu,  c_i = ⟨u, p_i⟩.

    If h = −Σ_J τ_i c_i z_i with margins μ ≤ τ_i|c_i| ≤ |c_i| − μ, then ψ(s) ≤ −μ Σ_J |z_i(s)|: the
    maximum is a kink across the face. Along the face g² is a quadratic form, and its second
    eigenvalue β² < γ² makes the maximum a curved one. Both together bound g on a small sphere away
    from its maximum. An optimal P* is so near that its maximisers inside must be on the same face,
    where they are the leading eigenvector of a form that is as near.
    """
    Z, P = field.Z, field.P
    height = Z @ w + b
    nearest = int(np.argmin(np.abs(height)))
    pinned = np.abs(height) <= ON
    pinned[nearest] = True
    active = (height > 0) & ~pinned
    anchor = Z[nearest]
    face = _null_space(Z[pinned] - anchor)
    G = P[active].T @ (Z[active] - anchor)
    on_face = G @ face
    leading = face @ np.linalg.svd(on_face, full_matrices=True)[2][0]
    leading *= np.sign(leading @ w) or 1.0
    new_height = (Z - anchor) @ leading
    stays = (np.sign(new_height) == np.sign(height)) | pinned
    if np.linalg.norm(leading - w) <= 1e-3 and stays.all():
        w, height = leading, np.where(pinned, 0.0, new_height)
    else:  # not a critical point of its face, so the bounds below will not hold
        height = np.where(pinned, 0.0, height)
    b = -float(w @ anchor)
    V = P[active].T @ height[active]
    value = float(np.linalg.norm(V))
    u = V / value if value > 0 else V
    turns = _null_space(w[np.newaxis])
    squares = np.sort(np.linalg.svd(on_face, compute_uv=False) ** 2)[::-1]
    second = float(squares[1]) if squares.size > 1 else 0.0
    flat = 1.0 - second / value**2 if face.shape[1] > 1 and value > 0 else 1.0
    a = np.hstack([(Z - anchor) @ turns, np.ones((Z.shape[0], 1))])
    _, singular, rows = np.linalg.svd(a[pinned])
    rank = int(np.sum(singular > _SHORT))
    across, along = rows[:rank], rows[rank:]
    clear = np.abs((Z - anchor)[pinned] @ w).max() <= _ROUNDED
    clear &= np.all(singular[rank:] <= _ROUNDED)
    slope = across @ (u @ (P[active].T @ a[active]))
    climbs = _climbs(slope, P[pinned] @ u, a[pinned] @ across.T)
    radius, moved, turned = (0.0, 0.0), np.inf, np.inf
    if clear and np.isfinite(field.distance) and value > 0.5:
        step = _Step(a, across, along)
        radius, moved, turned = _sharpness(field, active, pinned, height, step, u, value, squares)
    return Peak(w, b, anchor, turns, pinned, value, u, along, radius, moved, turned, climbs, flat)


@dataclass(frozen=True, eq=False)
class _Step:
    """How steps s (q,) move heights.

    Attributes
    ----------
    a : ndarray of shape (n, q)
        Height that each input gets by a step.
    across, along : ndarray of shape (r, q), (q - r, q)
        Orthonormal steps off the face and on it.
    """

    a: FloatArray
    across: FloatArray
    along: FloatArray


def _sharpness(
    field: Field,
    active: np.ndarray,
    pinned: np.ndarray,
    height: FloatArray,
    step: _Step,
    u: FloatArray,
    gamma: float,
    squares: FloatArray,
) -> tuple[tuple[float, float], float, float]:
    """Return radius, moved and turned of a `Peak`; zeros and infinities if nothing is proved."""
    nothing = ((0.0, 0.0), np.inf, np.inf)
    P, a, along = field.P, step.a, step.along
    sizes = np.linalg.norm(a, axis=1)
    B = P[active].T @ a[active]
    h = u @ B
    kinks = P[pinned] @ u
    steep = _steepness(step.across @ h, kinks, a[pinned] @ step.across.T)
    if steep <= 0.0:
        return nothing
    sideways = B - np.outer(u, h)
    beta = float(np.linalg.norm(sideways @ along.T, 2)) if along.size else 0.0
    tilt = float(np.linalg.norm(along @ h))  # zero up to rounding
    rest = P[pinned] - np.outer(kinks, u)
    # By z₊ = (z + |z|)/2.
    C = float(
        np.linalg.norm(sideways + 0.5 * rest.T @ a[pinned], 2)
        + 0.5 * np.linalg.norm(rest, 2) * np.linalg.norm(a[pinned], 2)
    )
    C1 = float(np.linalg.norm(h) + np.abs(kinks) @ sizes[pinned])

    everywhere = field.error() + field.rounding()
    by_step = field.distance * float(np.sqrt(field.weight @ sizes**2))
    # Boxes: steps up to r along the face and r_across off it.
    r = _RADII if along.size else np.zeros((1, 1))
    r_across = _RADII * _NARROW if along.size else _RADII
    others = ~pinned
    reach = np.linalg.norm(a[others] @ along.T, axis=1)
    reach_across = np.linalg.norm(a[others] @ step.across.T, axis=1)
    room = np.abs(height[others])
    # Heights are linear in both radii, so only points near the least ratios matter.
    free = np.ones(np.broadcast_shapes(r.shape, r_across.shape), dtype=bool)
    for i in np.flatnonzero(room <= reach * r.max() + reach_across * r_across.max()):
        free &= reach[i] * r + reach_across[i] * r_across < room[i]
    lowest = np.maximum(gamma - C1 * r_across - tilt * r, 1e-3)
    curved = lowest * (1 - 0.75 * (r**2 + r_across**2)) - beta**2 / lowest
    cross = (beta * C * r + 0.5 * C**2 * r_across) / lowest
    drop = 0.5 * steep * r_across - tilt * r
    if along.size:
        drop = np.minimum(drop, 0.5 * curved * r**2 - tilt * r)
    # Moving back to the face changes V by D, ⟨V, D⟩ < 0, for an optimal dual variable too.
    back = C * (beta * r + C * r_across) + everywhere * (C + C1 + by_step) + 2 * by_step
    good = (
        free
        & (lowest > 0.5 * gamma)
        & (cross <= 0.5 * steep)
        & (drop > 1.1 * everywhere)
        & (back < steep * lowest)
    )
    if not good.any():
        return nothing
    best = np.unravel_index(np.argmax(np.where(good, r_across, 0.0)), good.shape)
    radius = float(np.broadcast_to(r, good.shape)[best]), float(r_across[best])
    moved = shifted = 0.0
    if along.size:
        # How the vector Σ p φ and the features change with steps along the face.
        root = np.sqrt(field.weight[active])[:, np.newaxis]
        spread = float(np.linalg.norm(root * (a[active] @ along.T), 2))
        level = float(np.sqrt(field.weight[active] @ height[active] ** 2))
        change = field.distance * float(np.hypot(spread, level))
        change = 2 * gamma * change + change**2 + field.rounding()
        gap = gamma**2 - (float(squares[1]) if squares.size > 1 else 0.0)
        if gap <= 4 * change:
            return nothing
        moved = (change + tilt * gamma) / (gap - 2 * change)
        shifted = moved * (spread + moved * level)
    turned = (everywhere + (beta + tilt) * moved + gamma * moved**2) / (1.0 - everywhere)
    return radius, shifted, turned


def _climbs(h: FloatArray, kinks: FloatArray, at: FloatArray) -> bool:
    """Tell whether h·s + Σ_i c_i (z_i·s)₊ is clearly positive for one of some steps s.

    In one and two dimensions, and for as many data points as dimensions, these steps decide.
    """
    steps = np.linalg.pinv(at).T
    if h.size == 2:
        steps = np.vstack([steps, at[:, ::-1] * [1.0, -1.0]])
    steps = np.vstack([steps, -steps])
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    rise = steps @ h + np.maximum(steps @ at.T, 0.0) @ kinks
    return bool(rise.max() > _CLIMB * (np.linalg.norm(h) + np.abs(kinks).sum()))


def _steepness(h: FloatArray, kinks: FloatArray, at: FloatArray) -> float:
    """Return some μ' with h·s + Σ_i c_i (z_i·s)₊ ≤ −μ'|s|, as large as is easily found.

    The rows z_i of ``at`` span the space of h. Kinks c_i > 0 are convex: c(z·s)₊ is the larger of
    two linear functions, and the bound has to hold for either. μ' ≤ 0 means that there is none.
    """
    concave = kinks < 0.0
    rows, room = at[concave], -kinks[concave]
    bump = kinks[~concave, np.newaxis] * at[~concave]
    if bump.shape[0] > _MOST_CONVEX_KINKS or np.linalg.matrix_rank(rows) < h.size:
        return 0.0
    slopes = [
        h + np.asarray(pattern) @ bump
        for pattern in itertools.product((0.0, 1.0), repeat=bump.shape[0])
    ]
    margin = min(_margin(slope, rows, room) for slope in slopes)
    # Σ_i |z_i·s| is at least the norm of all z_i·s.
    return margin * float(np.linalg.svd(rows, compute_uv=False)[h.size - 1])


def _margin(slope: FloatArray, rows: FloatArray, room: FloatArray) -> float:
    """Return the largest μ with slope = Σ_i t_i z_i and μ ≤ t_i ≤ room_i − μ."""
    n, q = rows.shape
    if n == q:
        share = np.linalg.solve(rows.T, slope)
        return float(np.min(np.minimum(share, room - share)))
    one, eye = np.ones((n, 1)), np.eye(n)
    found = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.vstack([np.hstack([-eye, one]), np.hstack([eye, one])]),
        b_ub=np.concatenate([np.zeros(n), room]),
        A_eq=np.hstack([rows.T, np.zeros((q, 1))]),
        b_eq=slope,
        bounds=(None, None),
    )
    if found.status != 0:
        return 0.0
    # What the program leaves of its equations is put right by a small change of the shares.
    share = found.x[:n]
    share = share + np.linalg.lstsq(rows.T, slope - rows.T @ share, rcond=None)[0]
    return float(np.min(np.minimum(share, room - share)))


def _null_space(rows: FloatArray) -> FloatArray:
    """Return an orthonormal basis (q, m) of what is orthogonal to the rows (J, q)."""
    _, singular, basis = np.linalg.svd(rows)
    return np.ascontiguousarray(basis[int(np.sum(singular > _SHORT)) :].T)
