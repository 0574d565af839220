"""Newton's method for output weights and positions of the neurons together.

Inside a face the features of a neuron are linear in its weights, φ_k = A_k u_k. With
y_k = √η_k u_k, of any length, the eliminated objective of `mtrelu.solvers.master` becomes

    h(y) = tr(Yᵀ C⁻¹ Y) + Σ_k ‖y_k‖²,     C = αI + Σ_k A_k y_k y_kᵀ A_kᵀ,

which is smooth, without constraints but for the face, and has as many unknowns as the neurons
have freedom, for any number of tasks. Half its gradient is (I − M_k) y_k, where M_k = A_kᵀRRᵀA_k
is the quadratic form of the dual function on the face divided by α²: stationary neurons are
eigenvectors of M_k with eigenvalue one. Where tasks differ in their weights, A_k and C differ too:
the first term of h is a sum over blocks of tasks that share theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mtrelu.solvers.faces import Face
from mtrelu.validation import FloatArray

_MAX_STEPS = 30
_SHARE = 1e-3  # gradient to reach, relative to y, as a share of the relative gap
_GAIN = 1e-4  # steps that gain less, as a share of the gap, are not worth it
_FLAT = 1e-5  # relative gradient, and gap, below which slow progress means a valley
_ATTEMPTS = 4  # to leave out a redundant neuron


@dataclass(frozen=True, eq=False)
class Slide:
    """Neurons after sliding.

    Attributes
    ----------
    faces : list of Face
        Of the K neurons that remain.
    w : ndarray of shape (K, q)
        Unit weights.
    b : ndarray of shape (K,)
        Biases.
    V : ndarray of shape (K, r)
        Output weights.
    residual : ndarray of shape (N, r)
        Y − Φ V.
    """

    faces: list[Face]
    w: FloatArray
    b: FloatArray
    V: FloatArray
    residual: FloatArray


@dataclass(frozen=True, eq=False)
class TaskBlock:
    """Tasks that share their weights.

    Attributes
    ----------
    Y : ndarray of shape (N, r)
        Labels, weighted and projected off the skip connection.
    skip : ndarray of shape (N, p)
        Orthonormal basis of the weighted skip functions.
    root : ndarray of shape (N,)
        Square roots of the weights.
    """

    Y: FloatArray
    skip: FloatArray
    root: FloatArray


class _BlockPoint:
    """One block's part of the eliminated objective at one y, and what its derivatives need."""

    def __init__(
        self, A: FloatArray, owner: np.ndarray, Y: FloatArray, alpha: float, y: FloatArray
    ):
        n_neurons = int(owner[-1]) + 1
        weighted = A * y
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        self.Psi = np.add.reduceat(weighted, starts, axis=1)
        inner = self.Psi.T @ self.Psi
        inner.flat[:: n_neurons + 1] += alpha
        self.factor = cho_factor(inner, lower=True, check_finite=False)
        self.Z = cho_solve(self.factor, self.Psi.T @ Y, check_finite=False)
        self.residual = Y - self.Psi @ self.Z


class _Point:
    """The eliminated objective at one y, and what its derivatives need, block by block."""

    def __init__(
        self,
        stacks: list[FloatArray],
        owner: np.ndarray,
        blocks: list[TaskBlock],
        alpha: float,
        y: FloatArray,
    ):
        self.blocks = [
            _BlockPoint(A, owner, block.Y, alpha, y)
            for A, block in zip(stacks, blocks, strict=True)
        ]
        # 2 F / α for the balanced output weights Z, which are optimal for this y
        misfit = sum(float(np.sum(block.residual**2)) for block in self.blocks) / alpha
        self.value = misfit + float(sum(np.sum(block.Z**2) for block in self.blocks) + y @ y)

    @property
    def Z(self) -> FloatArray:
        """Balanced output weights (K, Σ r)."""
        return np.hstack([block.Z for block in self.blocks])

    @property
    def residual(self) -> FloatArray:
        """Y − Φ V (N, Σ r)."""
        return np.hstack([block.residual for block in self.blocks])


def slide(
    Z: FloatArray,
    faces: list[Face],
    w: FloatArray,
    eta: FloatArray,
    blocks: list[TaskBlock],
    alpha: float,
    *,
    gap: float,
) -> Slide:
    """Move neurons within their faces until the objective is stationary.

    Parameters
    ----------
    Z : ndarray of shape (N, q)
        Inputs, of size one.
    faces : list of Face
        One a neuron.
    w : ndarray of shape (K, q)
        Unit weights, each in the flat of its face.
    eta : ndarray of shape (K,)
        Norms of the output weights, positive.
    blocks : list of TaskBlock
        The tasks.
    alpha : float
        Penalty, > 0.
    gap : float
        Duality gap at the start. Sliding ends when the gradient, relative to y, is at most a
        thousandth of the gap relative to the objective, or, as long as the gap is above 1e-5 of
        the objective, when a step gains less than a ten-thousandth of the gap.

    Returns
    -------
    Slide
        Neurons that reach the border of their face are pinned there; neurons that vanish are left
        out.
    """
    model = _Model(Z, blocks, alpha, gap)
    parts = [face.basis.T @ (np.sqrt(e) * u) for face, u, e in zip(faces, w, eta, strict=True)]
    state = model.newton(list(faces), parts)
    for _ in range(_ATTEMPTS):
        if state.converged or state.slope > _FLAT or model.relative_gap(state.point) > _FLAT:
            break
        # A nearly flat valley: two neurons that can do the same. Go on without one of them.
        trial = model.newton(*state.without_redundant())
        if trial.point.value > state.point.value:
            break
        state = trial
    lengths = np.array([float(np.linalg.norm(part)) for part in state.parts])
    alive = np.flatnonzero(lengths)
    lengths, faces = lengths[alive], [state.faces[k] for k in alive]
    q, r = Z.shape[1], state.point.Z.shape[1]
    w = np.array(
        [f.basis @ state.parts[k] / n for f, k, n in zip(faces, alive, lengths, strict=True)]
    ).reshape(-1, q)
    faces = [
        Face.everywhere(Z, u) if face.active.all() else face
        for face, u in zip(faces, w, strict=True)
    ]
    b = -np.einsum("kq,kq->k", w, np.array([face.anchor for face in faces]).reshape(-1, q))
    V = (lengths[:, np.newaxis] * state.point.Z[alive]).reshape(-1, r)
    return Slide(faces, w, b, V, state.point.residual)


@dataclass(frozen=True, eq=False)
class _State:
    """Where Newton's method ended."""

    faces: list[Face]
    parts: list[FloatArray]
    point: _Point
    hessian: FloatArray
    slope: float
    converged: bool

    def without_redundant(self) -> tuple[list[Face], list[FloatArray]]:
        """Move along the flattest direction until a neuron vanishes, and leave that one out."""
        flattest = np.linalg.eigh(self.hessian)[1][:, 0]
        ends = np.cumsum([part.size for part in self.parts])
        moves = np.split(flattest, ends[:-1])
        shares = [
            -float(part @ move) / float(part @ part)
            for part, move in zip(self.parts, moves, strict=True)
        ]
        if len(self.parts) == 1:
            return self.faces, self.parts
        first = int(np.argmax(np.abs(shares)))
        step = 1.0 / shares[first] if shares[first] else 0.0
        faces = [face for k, face in enumerate(self.faces) if k != first]
        parts = [
            part + step * move
            for k, (part, move) in enumerate(zip(self.parts, moves, strict=True))
            if k != first
        ]
        return faces, parts


class _Model:
    """The problem, and Newton's method for it."""

    def __init__(
        self,
        Z: FloatArray,
        blocks: list[TaskBlock],
        alpha: float,
        gap: float,
    ) -> None:
        self.Z, self.blocks, self.alpha, self.gap = Z, blocks, alpha, 2.0 * gap / alpha

    def relative_gap(self, point: _Point) -> float:
        """The gap at the start, relative to the objective."""
        return self.gap / point.value

    def newton(self, faces: list[Face], parts: list[FloatArray]) -> _State:
        """Newton's method with a damping that follows the success of the steps."""
        Z, blocks, alpha = self.Z, self.blocks, self.alpha
        faces, parts = _alive(faces, parts)
        A, owner = self.stack(faces)
        y = np.concatenate(parts)
        point = _Point(A, owner, blocks, alpha, y)
        damping, slope, converged = 1e-4, 1.0, False
        hessian = np.eye(y.size)
        tol = max(_SHARE * self.relative_gap(point), 1e-10)
        for _ in range(_MAX_STEPS):
            gradient, hessian = _derivatives(A, owner, alpha, y, point)
            slope = float(np.linalg.norm(gradient)) / max(float(np.linalg.norm(y)), 1e-300)
            converged = slope <= tol
            if converged:
                break
            moved, tries = False, 0
            while damping < 1e12 and not moved:
                tries += 1
                step = _solve(hessian, gradient, damping)
                if step is not None:
                    shares, samples = _to_borders(Z, faces, owner, y, -step)
                    for share in (shares[owner], np.full(owner.size, shares.min())):
                        y_new = y - share * step
                        new = _Point(A, owner, blocks, alpha, y_new)
                        if _improves(A, owner, alpha, point, new, y_new, gradient, share * step):
                            moved = True
                            break
                if not moved:
                    damping = max(4 * damping, 1e-8)
            if not moved:
                break
            if tries == 1:
                damping = max(0.1 * damping, 1e-14)
            gain = point.value - new.value
            y, point = y_new, new
            taken = share[np.searchsorted(owner, np.arange(len(faces)))]
            reached = np.flatnonzero((shares < 1.0) & (shares <= taken))
            if reached.size:
                parts = [y[owner == k] for k in range(len(faces))]
                for k in reached:
                    u = faces[k].basis @ parts[k]
                    length = float(np.linalg.norm(u))
                    if length > 0.0:
                        faces[k] = faces[k].pin(Z, int(samples[k]), u / length)
                        parts[k] = faces[k].basis.T @ u
                faces, parts = _alive(faces, parts)
                A, owner = self.stack(faces)
                y = np.concatenate(parts)
                point = _Point(A, owner, blocks, alpha, y)
            elif self.relative_gap(point) > _FLAT >= slope and gain <= _GAIN * self.gap:
                break
        parts = [y[owner == k] for k in range(len(faces))]
        if hessian.shape[0] != y.size:
            hessian = _derivatives(A, owner, alpha, y, point)[1]
        return _State(faces, parts, point, hessian, slope, converged)

    def stack(self, faces: list[Face]) -> tuple[list[FloatArray], np.ndarray]:
        """All A_k side by side, weighted and projected for each block; the neuron of a column."""
        plain = np.hstack([face.features(self.Z) for face in faces])
        stacks = []
        for block in self.blocks:
            A = plain * block.root[:, np.newaxis]
            for _ in range(2):
                A -= block.skip @ (block.skip.T @ A)
            stacks.append(A)
        owner = np.repeat(np.arange(len(faces)), [face.basis.shape[1] for face in faces])
        return stacks, owner


def _alive(faces: list[Face], parts: list[FloatArray]) -> tuple[list[Face], list[FloatArray]]:
    """Leave out the neurons that have vanished."""
    strengths = [float(part @ part) for part in parts]
    floor = 1e-12 * max(strengths)
    kept = [k for k, size in enumerate(strengths) if size > floor or floor == 0.0]
    return [faces[k] for k in kept], [parts[k] for k in kept]


def _improves(
    A: list[FloatArray],
    owner: np.ndarray,
    alpha: float,
    old: _Point,
    new: _Point,
    y: FloatArray,
    gradient: FloatArray,
    step: FloatArray,
) -> bool:
    """Whether a step is worth taking."""
    if old.value - new.value >= 1e-4 * float(gradient @ step) > 0:
        return True
    if abs(old.value - new.value) > 1e-13 * old.value:
        return False
    # Near the optimum values differ by rounding only: then judge by the gradient.
    fresh, _ = _derivatives(A, owner, alpha, y, new, hessian=False)
    return bool(np.linalg.norm(fresh) < 0.7 * np.linalg.norm(gradient))


def _derivatives(
    stacks: list[FloatArray],
    owner: np.ndarray,
    alpha: float,
    y: FloatArray,
    point: _Point,
    *,
    hessian: bool = True,
) -> tuple[FloatArray, FloatArray]:
    """Half the gradient and half the Hessian of h."""
    gradient, H = y, np.zeros((y.size, y.size) if hessian else (0, 0))
    for A, block in zip(stacks, point.blocks, strict=True):
        E = A.T @ block.residual / alpha
        W = E @ block.Z.T
        gradient = gradient - W[np.arange(owner.size), owner]
        if hessian:
            H += _block_hessian(A, owner, alpha, block, E, W)
    if hessian:
        H.flat[:: owner.size + 1] += 1.0
    return gradient, 0.5 * (H + H.T)


def _block_hessian(
    A: FloatArray,
    owner: np.ndarray,
    alpha: float,
    point: _BlockPoint,
    E: FloatArray,
    W: FloatArray,
) -> FloatArray:
    """Half of what a block adds to the Hessian of h."""
    cross = A.T @ point.Psi
    solved = cho_solve(point.factor, cross.T, check_finite=False)
    curvature = (A.T @ A - cross @ solved) / alpha  # AᵀC⁻¹A
    U = solved.T  # AᵀC⁻¹Ψ, for C⁻¹Ψ = Ψ (αI + ΨᵀΨ)⁻¹
    gram = cho_solve(point.factor, point.Psi.T @ point.Psi, check_finite=False)  # ΨᵀC⁻¹Ψ
    mixed = U[:, owner] * W[:, owner].T
    H = curvature * (point.Z @ point.Z.T)[np.ix_(owner, owner)]
    H += mixed + mixed.T
    outer = E @ E.T
    H += outer * (gram[np.ix_(owner, owner)] - (owner[:, np.newaxis] == owner))
    return np.asarray(H)


def _solve(hessian: FloatArray, gradient: FloatArray, damping: float) -> FloatArray | None:
    """Damped Newton step, None where the damped Hessian is not positive definite."""
    shifted = hessian + damping * np.eye(gradient.size)
    try:
        return np.asarray(cho_solve(cho_factor(shifted, lower=True, check_finite=False), gradient))
    except np.linalg.LinAlgError:
        return None


def _to_borders(
    Z: FloatArray, faces: list[Face], owner: np.ndarray, y: FloatArray, step: FloatArray
) -> tuple[FloatArray, np.ndarray]:
    """How much of a step leaves each neuron in its face, and which sample it meets then."""
    shares, samples = np.ones(len(faces)), np.full(len(faces), -1)
    for k, face in enumerate(faces):
        mine = owner == k
        if face.active.all():
            continue  # affine on the data wherever its hyperplane is
        spokes = (Z - face.anchor) @ face.basis
        side = np.where(face.active, 1.0, -1.0)
        height, change = side * (spokes @ y[mine]), side * (spokes @ step[mine])
        leaves = np.flatnonzero(~face.pinned & (height + change < 0))
        if leaves.size:
            reach = np.maximum(height[leaves], 0.0) / -change[leaves]
            first = int(np.argmin(reach))
            shares[k], samples[k] = min(float(reach[first]), 1.0), leaves[first]
    return shares, samples
