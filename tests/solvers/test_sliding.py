"""Newton's method on positions: derivatives by differences, and what must hold where it ends."""

import numpy as np
import pytest

from mtrelu.solvers.faces import Face
from mtrelu.solvers.sliding import TaskBlock, _derivatives, _Model, _Point, slide


class Data:
    """Neurons through samples, labels and skip functions, all of order one."""

    def __init__(self, q=2, n=14, n_neurons=5, n_tasks=3, seed=0, skip="affine", weights=False):
        rng = np.random.default_rng(seed)
        self.Z = rng.uniform(-1, 1, (n, q))
        self.root = np.sqrt(rng.uniform(0.2, 2.0, n)) if weights else np.ones(n)
        functions = np.column_stack([np.ones(n), self.Z]) if skip == "affine" else np.ones((n, 1))
        self.project = np.linalg.qr(self.root[:, None] * functions)[0]
        labels = np.sin(3 * self.Z @ rng.standard_normal((q, n_tasks)))
        labels = labels + 0.3 * rng.standard_normal((n, n_tasks))
        self.Y = self.off_skip(self.root[:, None] * labels)
        self.w = rng.standard_normal((n_neurons, q))
        self.w /= np.linalg.norm(self.w, axis=1, keepdims=True)
        self.samples = rng.choice(n, n_neurons, replace=False)
        self.b = -np.sum(self.w * self.Z[self.samples], axis=1)
        self.eta = rng.uniform(0.5, 1.5, n_neurons)

    def off_skip(self, columns):
        for _ in range(2):
            columns = columns - self.project @ (self.project.T @ columns)
        return columns

    def blocks(self):
        return [TaskBlock(self.Y, self.project, self.root)]

    def faces(self):
        return [Face.of(self.Z, w, b) for w, b in zip(self.w, self.b, strict=True)]

    def alpha(self, share):
        """A share of the penalty above which none of the neurons at the start is used."""
        forces = self.features(self.w, self.b).T @ self.Y
        return share * np.linalg.norm(forces, axis=1).max()

    def features(self, w, b):
        """By the ReLU itself."""
        return self.off_skip(self.root[:, None] * np.maximum(self.Z @ w.T + b, 0.0))

    def objective(self, w, b, V, alpha):
        """½‖Y − Φ V‖² + α Σ_k ‖v_k‖, for unit w."""
        lengths = np.linalg.norm(V, axis=1) * np.linalg.norm(w, axis=1)
        return 0.5 * np.sum((self.Y - self.features(w, b) @ V) ** 2) + alpha * lengths.sum()

    def eliminated(self, w, b, eta, alpha):
        """(α/2) [tr(Yᵀ C⁻¹ Y) + Σ_k η_k] as it stands: what the objective is for the best V
        among those with ½(‖v‖²/η + η) for ‖v‖.
        """
        Phi = self.features(w, b)
        C = alpha * np.eye(len(self.Z)) + (Phi * eta) @ Phi.T
        return 0.5 * alpha * (np.trace(self.Y.T @ np.linalg.solve(C, self.Y)) + eta.sum())

    def slide(self, alpha, gap=0.0, eta=None):
        eta = self.eta if eta is None else eta
        return slide(self.Z, self.faces(), self.w, eta, self.blocks(), alpha, gap=gap)


CASES = {
    "plane": Data(),
    "plane, one task": Data(n_tasks=1),
    "plane, weights": Data(weights=True, seed=2),
    "plane, constant skip": Data(skip="constant", seed=3),
    "space": Data(q=3, seed=4),
    "five inputs": Data(q=5, n=20, n_neurons=7, n_tasks=10, seed=5),
    "line": Data(q=1, n_neurons=4, seed=6),
    "many neurons": Data(n=20, n_neurons=12, n_tasks=30, seed=7),
}
every_case = pytest.mark.parametrize("case", CASES)


class Blocks(Data):
    """Tasks of two kinds of weights, of which the second leaves a third of the samples out."""

    def __init__(self, **options):
        super().__init__(**options)
        self.second = Data(**options)
        self.second.root = np.where(np.arange(len(self.Z)) % 3, 0.7, 0.0)
        functions = np.column_stack([np.ones(len(self.Z)), self.Z])
        self.second.project = np.linalg.qr(self.second.root[:, None] * functions)[0]
        self.second.Y = self.second.off_skip(self.second.root[:, None] * np.cos(2 * self.Y))

    def blocks(self):
        return super().blocks() + self.second.blocks()

    def eliminated(self, w, b, eta, alpha):
        twice = super().eliminated(w, b, eta, alpha) + self.second.eliminated(w, b, eta, alpha)
        return twice - 0.5 * alpha * eta.sum()


WITH_BLOCKS = {**CASES, "blocks": Blocks(seed=8, weights=True)}
with_blocks = pytest.mark.parametrize("case", WITH_BLOCKS)


def model_of(data, alpha):
    model = _Model(data.Z, data.blocks(), alpha, 1e-9)
    faces = data.faces()
    A, owner = model.stack(faces)
    parts = [
        face.basis.T @ (np.sqrt(eta) * w)
        for face, w, eta in zip(faces, data.w, data.eta, strict=True)
    ]
    return A, owner, np.concatenate(parts)


def plainly(stacks, owner, alpha, blocks, y):
    """h(y) = Σ_b tr(Y_bᵀ C_b⁻¹ Y_b) + ‖y‖² by its definition."""
    value = y @ y
    for A, block in zip(stacks, blocks, strict=True):
        C = alpha * np.eye(len(block.Y))
        for k in range(owner[-1] + 1):
            psi = A[:, owner == k] @ y[owner == k]
            C += np.outer(psi, psi)
        value += np.trace(block.Y.T @ np.linalg.solve(C, block.Y))
    return value


@with_blocks
@pytest.mark.parametrize("alpha", [1e-2, 1.0])
def test_the_value_is_the_eliminated_objective(case, alpha):
    data = WITH_BLOCKS[case]
    A, owner, y = model_of(data, alpha)
    point = _Point(A, owner, data.blocks(), alpha, y)
    value = plainly(A, owner, alpha, data.blocks(), y)
    assert point.value == pytest.approx(value, rel=1e-10)
    by_relu = data.eliminated(data.w, data.b, data.eta, alpha)
    assert 0.5 * alpha * point.value == pytest.approx(by_relu, rel=1e-8)


@with_blocks
@pytest.mark.parametrize("alpha", [1e-2, 1.0])
def test_derivatives_by_differences(case, alpha):
    data = WITH_BLOCKS[case]
    blocks = data.blocks()
    A, owner, start = model_of(data, alpha)
    rng = np.random.default_rng(0)
    # Also far from where it starts: nothing relies on unit weights or stationary ones.
    for y in (start, start * rng.uniform(0.5, 2.0, start.size), rng.standard_normal(start.size)):
        gradient, hessian = _derivatives(A, owner, alpha, y, _Point(A, owner, blocks, alpha, y))
        np.testing.assert_array_equal(hessian, hessian.T)
        by_values, by_gradients = np.empty_like(gradient), np.empty_like(hessian)
        for i in range(y.size):
            step = 1e-5 * np.eye(y.size)[i]
            values, gradients = [], []
            for moved in (y - step, y + step):
                values.append(plainly(A, owner, alpha, blocks, moved))
                there = _Point(A, owner, blocks, alpha, moved)
                gradients.append(_derivatives(A, owner, alpha, moved, there, hessian=False)[0])
            by_values[i] = (values[1] - values[0]) / 4e-5  # half the gradient
            by_gradients[i] = (gradients[1] - gradients[0]) / 2e-5
        np.testing.assert_allclose(gradient, by_values, atol=1e-6 * np.abs(gradient).max())
        np.testing.assert_allclose(hessian, by_gradients, atol=1e-5 * np.abs(hessian).max())


@every_case
def test_stacked_features_are_weighted_and_off_the_skip_connection(case):
    data = CASES[case]
    (A, *_), owner, y = model_of(data, 1.0)
    np.testing.assert_allclose(data.project.T @ A, 0.0, atol=1e-14)
    for k in range(len(data.w)):
        expected = np.sqrt(data.eta[k]) * data.features(data.w[k : k + 1], data.b[k : k + 1])[:, 0]
        np.testing.assert_allclose(A[:, owner == k] @ y[owner == k], expected, atol=1e-9)


def check(data, alpha, found):
    """What is returned is one network, given consistently."""
    K = len(found.faces)
    assert found.w.shape == (K, data.Z.shape[1]) and found.b.shape == (K,)
    np.testing.assert_allclose(np.linalg.norm(found.w, axis=1), 1.0, rtol=1e-12)
    for face, w, b in zip(found.faces, found.w, found.b, strict=True):
        heights = data.Z @ w + b
        np.testing.assert_allclose(heights[face.pinned], 0.0, atol=1e-8)
        relu = np.maximum(heights, 0.0)
        np.testing.assert_allclose(face.features(data.Z) @ (face.basis.T @ w), relu, atol=1e-8)
    residual = data.Y - data.features(found.w, found.b) @ found.V
    np.testing.assert_allclose(found.residual, residual, atol=1e-7)


@every_case
@pytest.mark.parametrize("share", [1e-3, 0.03, 0.3])
def test_the_objective_falls_and_neurons_stay_in_their_faces(case, share):
    data = CASES[case]
    alpha = data.alpha(share)
    found = data.slide(alpha)
    check(data, alpha, found)
    before = data.eliminated(data.w, data.b, data.eta, alpha)
    after = data.objective(found.w, found.b, found.V, alpha)
    assert after <= before * (1 + 1e-12)
    assert len(found.faces) <= len(data.w)
    # Neurons of the start that are left out, or that have met samples, are the only differences.
    starts = {face.key[0] for face in data.faces()}
    for face in found.faces:
        within = [
            np.all(~face.active | np.frombuffer(start, dtype=bool))  # active only lost samples ...
            and np.all(face.pinned | (face.active == np.frombuffer(start, dtype=bool)))
            for start in starts
        ]
        assert any(within)  # ... to the hyperplane


@every_case
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_end_is_stationary(case, share):
    """No small turn of any neuron that keeps its samples, with any weights, is better."""
    data = CASES[case]
    alpha = data.alpha(share)
    found = data.slide(alpha)
    for _ in range(3):  # a curved valley takes more steps than one call makes
        alive = np.linalg.norm(found.V, axis=1) > 1e-9 * np.linalg.norm(found.V, axis=1).sum()
        found = slide(
            data.Z,
            [face for face, used in zip(found.faces, alive, strict=True) if used],
            found.w[alive], np.linalg.norm(found.V[alive], axis=1),
            data.blocks(), alpha, gap=0.0,
        )  # fmt: skip
    size = np.linalg.norm(found.V, axis=1).sum()
    value = data.objective(found.w, found.b, found.V, alpha)
    for k, face in enumerate(found.faces):
        length = np.linalg.norm(found.V[k])
        if length < 1e-9 * size:  # about to vanish
            continue
        direction = found.V[k] / length
        A = data.off_skip(data.root[:, None] * face.features(data.Z))
        force = A.T @ found.residual  # on w, for each task
        # Stationary in V: force of w along V/‖V‖ is α; in w: no force across w.
        w = face.basis.T @ found.w[k]
        tol = 1e-6 * alpha * np.sqrt(size / length)  # the variable is y, of size √‖v‖
        np.testing.assert_allclose(w @ force, alpha * direction, atol=tol)
        np.testing.assert_allclose(force @ direction, alpha * w, atol=tol)
    # By brute force: many small moves within the faces, and of the output weights.
    rng = np.random.default_rng(0)
    for _ in range(50):
        w = np.empty_like(found.w)
        b = np.empty_like(found.b)
        for k, face in enumerate(found.faces):
            turned = found.w[k] + 1e-4 * face.basis @ rng.standard_normal(face.basis.shape[1])
            w[k] = turned / np.linalg.norm(turned)
            b[k] = -face.anchor @ w[k]
        V = found.V + 1e-4 * size * rng.standard_normal(found.V.shape)
        Phi = np.column_stack([
            face.features(data.Z) @ (face.basis.T @ u)
            for face, u in zip(found.faces, w, strict=True)
        ])  # fmt: skip
        residual = data.Y - data.off_skip(data.root[:, None] * Phi) @ V
        moved = 0.5 * np.sum(residual**2) + alpha * np.linalg.norm(V, axis=1).sum()
        assert moved >= value * (1 - 1e-6)


def test_one_neuron_that_can_only_grow():
    """On the line a face leaves one number, which has a closed form."""
    data = Data(q=1, n_neurons=1, n_tasks=4, seed=1)
    phi = data.features(data.w, data.b)[:, 0]
    cross = phi @ data.Y
    alpha = 0.3 * np.linalg.norm(cross)
    found = data.slide(alpha)
    shrunk = (1 - alpha / np.linalg.norm(cross)) * cross / (phi @ phi)
    np.testing.assert_allclose(found.V, shrunk[None, :], rtol=1e-7)


def test_a_neuron_that_is_not_worth_its_cost_is_left_out():
    data = CASES["line"]  # where directions cannot improve
    found = data.slide(data.alpha(0.9))
    assert 1 <= len(found.faces) < len(data.w)
    assert np.all(np.linalg.norm(found.V, axis=1) > 0)


def test_a_neuron_at_the_border_of_its_face_is_pinned_there():
    """A ridge through two samples: from any turn about the one, the neuron finds the other."""
    # Across the ridge, labels are the hinge |z·u|; sample 0 and 1 lie on it.
    rng = np.random.default_rng(0)
    u = np.array([0.6, 0.8])
    Z = rng.uniform(-1, 1, (30, 2))
    Z[0], Z[1] = 0.5 * np.array([-0.8, 0.6]), -0.7 * np.array([-0.8, 0.6])
    data = Data(n=30, n_neurons=1, n_tasks=1)
    data.Z = Z
    data.project = np.linalg.qr(np.column_stack([np.ones(30), Z]))[0]
    data.Y = data.off_skip(np.abs(Z @ u)[:, None])
    # The largest turn about sample 0 at which only sample 1 changes sides.
    for angle in (0.02, -0.02):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        data.w = (turn @ u)[None, :]
        data.b = -data.w @ Z[0]
        sides = (Z @ data.w[0] + data.b > 0) != (Z @ u > 0)
        assert not sides[2:].any()
        found = data.slide(1e-3, eta=np.ones(1))
        check(data, 1e-3, found)
        assert np.flatnonzero(found.faces[0].pinned).tolist() == [0, 1]
        np.testing.assert_allclose(found.w[0], u, atol=1e-9)


@pytest.mark.parametrize("n_neurons", [1, 2, 4])
def test_neurons_active_on_all_samples_are_the_linear_part_of_a_constant_skip(n_neurons):
    """With a constant skip connection Σ_k ‖v_k‖‖w_k‖ of linear neurons is the nuclear norm."""
    rng = np.random.default_rng(n_neurons)
    data = Data(n_neurons=n_neurons, n_tasks=3, skip="constant")
    data.b = np.full(n_neurons, 3.0)
    slopes = rng.standard_normal((2, 3))
    data.Y = data.off_skip(data.Z @ slopes)
    alpha = 0.1
    found = data.slide(alpha)
    assert all(face.active.all() for face in found.faces)
    check(data, alpha, found)
    after = data.objective(found.w, found.b, found.V, alpha)
    # The same in slopes B: ½‖Y − Z B‖² + α‖B‖_*, by proximal gradient steps.
    centred = data.off_skip(data.Z)
    step = 1.0 / np.linalg.norm(centred, 2) ** 2
    B = np.zeros((2, 3))
    for _ in range(2000):
        U, s, W = np.linalg.svd(B + step * centred.T @ (data.Y - centred @ B), full_matrices=False)
        B = (U * np.maximum(s - step * alpha, 0.0)) @ W
        if n_neurons == 1:
            B = (U[:, :1] * max(s[0] - step * alpha, 0.0)) @ W[:1]
    nuclear = np.linalg.svd(B, compute_uv=False).sum()
    best = 0.5 * np.sum((data.Y - centred @ B) ** 2) + alpha * nuclear
    assert after == pytest.approx(best, rel=1e-7)
    assert len(found.faces) <= max(2, n_neurons)


def test_two_neurons_of_one_face_do_no_harm():
    data = Data(n_neurons=2)
    data.w[1] = data.w[0] + 1e-3 * np.array([-data.w[0, 1], data.w[0, 0]])
    data.w[1] /= np.linalg.norm(data.w[1])
    data.b = -data.w @ data.Z[data.samples[0]]
    assert len({face.key for face in data.faces()}) == 1
    found = data.slide(0.03)
    check(data, 0.03, found)
    alone = Data(n_neurons=1)
    alone.w, alone.b, alone.Z = data.w[:1], data.b[:1], data.Z
    alone.Y, alone.project = data.Y, data.project
    one = alone.slide(0.03)
    both = data.objective(found.w, found.b, found.V, 0.03)
    single = data.objective(one.w, one.b, one.V, 0.03)
    assert both <= single * (1 + 1e-9)


@pytest.mark.parametrize("gap", [1.0, 1e-2, 1e-4])
def test_a_looser_gap_still_never_rises(gap):
    for data in CASES.values():
        alpha = data.alpha(0.1)
        found = data.slide(alpha, gap=gap)
        check(data, alpha, found)
        before = data.eliminated(data.w, data.b, data.eta, alpha)
        after = data.objective(found.w, found.b, found.V, alpha)
        assert after <= before * (1 + 1e-12)
