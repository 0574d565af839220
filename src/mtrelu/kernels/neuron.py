"""The kernel that the neurons of a network make, and ridge regression with it [22]-[27]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtrelu._affine import skip_basis
from mtrelu.conversion import as_network
from mtrelu.kernels.fixed import FixedKernel
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.ridge import RidgeFit, fit_ridge, refuse_unproved
from mtrelu.validation import FloatArray, InvalidInputError, as_alpha, as_inputs, as_skip


class NeuronKernel(FixedKernel):
    """The kernel of a network's neurons, κ(x, x') = Σ_k ‖v_k‖ φ_k(x) φ_k(x') [24].

    φ_k(x) = (w_k·x + b_k)₊ with ‖w_k‖ = 1. A neuron counts as much as all tasks together use it,
    and the tasks that the network was fitted to enter in no other way.

    Parameters
    ----------
    network : ReLUNetwork or model
        Anything that `as_network` takes.
    skip : {"affine", "constant", "none"}
        Functions that `fit` may use at no cost beside the neurons. The Gram matrix does not
        contain them.

    Attributes
    ----------
    network : ReLUNetwork
        The same function with unit ‖w_k‖ and only the neurons that contribute; those with w = 0
        are part of its constant.
    skip : str
    strengths : ndarray of shape (K,)
        ‖v_k‖ of these neurons, the 1/γ_k of [21].

    Raises
    ------
    InvalidInputError
        Not a network with one hidden ReLU layer, or an unknown skip.

    Notes
    -----
    The functions f_v = Σ_k v_k φ_k [22] with the inner product

        ⟨f_v, f_u⟩ = vᵀ Q u,   Q = diag(γ_1, …, γ_K),   γ_k = 1/‖v*_k‖,

    v* the output weights of the network, are a Hilbert space with the kernel
    κ = Σ_k φ_k Q_kk⁻¹ φ_k [24]. In it the weighted problem [18] with γ_ks ≈ γ_k [21] is

        minimise over f:  Σ_i ℓ(y_i, f(x_i)) + (α/2) ‖f‖²,   ‖f_v‖² = Σ_k γ_k v_k²,

    and this is what the whole class means by inner product, kernel and ridge.

    The paper prints other factors: Q = diag(γ_1², …, γ_K²) in [23], and λ ‖f‖² in [27], λ being
    the α of this package. Together they say Σ_i ℓ + λ Σ_k γ_k² v_k², which is not [18], the
    minimiser of H [15], where γ_k appears to the first power and with λ/2. The minimisers differ,
    and λ would have another unit than in [12], the square of the unit of the labels. The kernel
    Σ_k ‖v*_k‖² φ_k φ_k of the printed Q reproduces point values in its own inner product [26], like
    that of any positive Q; so [26] does not tell the two apart, but [27] ⇔ [18] does.

    With Q = diag(γ_k) and α/2 every optimum of the training problem with the squared loss is
    exactly the ridge regression of its labels with its own kernel, for any number of tasks
    (`deviation`).

    The kernel is defined on all of R^d. Beyond the data each φ_k goes on linearly, so what is
    fitted does too.

    A network without neurons has the kernel zero, and `fit` leaves only the skip functions.

    Examples
    --------
    >>> import mtrelu
    >>> X, Y = [0.0, 1.0, 2.0, 3.0], [[0, 1], [1, 1], [1, 0], [0, 2]]
    >>> kernel = NeuronKernel(mtrelu.solve(X, Y, alpha=0.1).network)
    >>> kernel([0.0, 1.5, 4.0]).shape
    (3, 3)

    A new task, with the neurons that the other two shaped:

    >>> kernel.fit(X, [0.0, 0.0, 1.0, 3.0], alpha=0.1)
    ReLUNetwork(n_neurons=2, n_inputs=1, n_tasks=1)

    Or with an estimator of scikit-learn, where only ``SVR`` has a free constant, and none has a
    free affine part:

    >>> from sklearn.kernel_ridge import KernelRidge
    >>> model = KernelRidge(alpha=0.1, kernel=kernel).fit([[x] for x in X], Y)
    >>> model.predict([[1.5]]).shape
    (1, 2)
    """

    network: ReLUNetwork
    skip: str
    strengths: FloatArray

    def __init__(self, network: Any, skip: str = "affine") -> None:
        self.skip = as_skip(skip)
        self.network = as_network(network).unit_norm().pruned()
        self.strengths = self.network._strengths()

    def __repr__(self) -> str:
        """Return the sizes; the arrays can be long."""
        return (
            f"{type(self).__name__}(n_neurons={self.network.n_neurons}, "
            f"n_inputs={self.network.n_inputs}, skip={self.skip!r})"
        )

    def features(self, X: Any) -> FloatArray:
        """Return the explicit feature map √‖v_k‖ φ_k, whose inner products are the kernel.

        Parameters
        ----------
        X : array_like of shape (M, d), or (M,) for d = 1
            Inputs, anywhere in R^d.

        Returns
        -------
        ndarray of shape (M, K), float64

        Raises
        ------
        InvalidInputError
            Another number of inputs than the network has.

        Examples
        --------
        >>> network = ReLUNetwork([[2.0]], [-2.0], [[1.5, 2.0]], [[0.0], [0.0]], [0.0, 0.0])
        >>> kernel = NeuronKernel(network)
        >>> kernel.strengths, kernel.features([0.0, 3.0]).round(3)
        (array([5.]), array([[0.   ], [4.472]]))
        """
        return self._features(X, "X")

    def diag(self, X: Any) -> FloatArray:
        """Return the diagonal of the Gram matrix, κ(x, x).

        Parameters
        ----------
        X : array_like of shape (M, d), or (M,) for d = 1
            Inputs.

        Returns
        -------
        ndarray of shape (M,)

        Raises
        ------
        InvalidInputError
            Another number of inputs than the network has.
        """
        return np.asarray(np.sum(self._features(X, "X") ** 2, axis=1))

    def inner_product(self, u: Any, v: Any) -> FloatArray | np.float64:
        """Return ⟨f_u, f_v⟩ = Σ_k γ_k u_k v_k, the inner product [23] that agrees with [18].

        Parameters
        ----------
        u, v : array_like of shape (K,) or (K, T)
            Output weights of functions of the neurons in `network`, for example ``v`` of what `fit`
            returns.

        Returns
        -------
        float, or ndarray of shape (T_u, T_v)
            Between every function of ``u`` and every function of ``v``; an axis that was not given
            is left out.

        Raises
        ------
        InvalidInputError
            Another number of neurons, or no numbers.

        Examples
        --------
        >>> network = ReLUNetwork([[1.0], [1.0]], [0.0, -1.0], [[2.0], [4.0]], [[0.0]], [0.0])
        >>> NeuronKernel(network).inner_product([1.0, 1.0], [1.0, 2.0])
        np.float64(1.0)
        """
        first, second = self._output_weights(u, "u"), self._output_weights(v, "v")
        return (first.T / self.strengths) @ second

    def fit(
        self,
        X: Any,
        Y: Any,
        alpha: float,
        *,
        loss: str | Mapping[str, Any] | Loss = "squared",
        sample_weight: Any = None,
    ) -> ReLUNetwork:
        """Return the ridge regression of new labels, Σ_i w_i ℓ(y_i, f(x_i)) + (α/2) ‖f‖² [27].

        The skip functions are not penalised. Any number of tasks is fitted at once, each on its
        own.

        Parameters
        ----------
        X : array_like of shape (N, d), or (N,) for d = 1
            Inputs; they need not be those that the network was fitted to.
        Y : array_like of shape (N, T) or (N,)
            Labels.
        alpha : float
            Penalty, >= 0; zero asks for the interpolant of least norm.
        loss : str, mapping or Loss
            As in `solve`.
        sample_weight : array_like of shape (N,), optional
            Non-negative weights.

        Returns
        -------
        ReLUNetwork
            The same neurons, T new outputs.

        Raises
        ------
        InvalidInputError
            Data that cannot work; ``alpha = 0`` with labels that no output weights interpolate;
            the logistic loss with classes that the skip functions separate, where there is no
            minimum; another loss than the squared one, where rounding leaves a duality gap above
            1e-6 of the objective.

        Examples
        --------
        >>> network = ReLUNetwork([[1.0]], [-1.0], [[2.0]], [[0.0]], [0.0])
        >>> fit = NeuronKernel(network).fit([0.0, 1.0, 2.0], [0.0, 0.0, 1.0], alpha=0.1)
        >>> fit.v.round(4)
        array([[0.7692]])
        """
        problem = self._problem(X, Y, alpha, loss, sample_weight)
        ridge, _, _, to_coefficients = self._ridge(problem)
        coefficients = to_coefficients @ ridge.theta
        network = self.network
        return ReLUNetwork(network.w, network.b, ridge.V, coefficients[1:].T, coefficients[0])

    def deviation(self, X: Any, Y: Any, alpha: float, sample_weight: Any = None) -> float:
        """Return how far the network is from being kernel ridge regression with its own kernel.

        Where no change of the output weights and the skip part lowers the objective [12] with the
        squared loss, so at every optimum, the outputs F on the data satisfy F = K (K + αI)⁻¹ Y
        exactly, for any number of tasks. K is the Gram matrix and all three are projected off the
        skip functions; with sample weights W the equation holds for √W F, √W K √W and √W Y. The
        skip part of F is that of Y.

        Parameters
        ----------
        X : array_like of shape (N, d), or (N,) for d = 1
            Inputs that the network was fitted to.
        Y : array_like of shape (N, T) or (N,)
            Labels that it was fitted to.
        alpha : float
            Penalty that it was fitted with, > 0.
        sample_weight : array_like of shape (N,), optional
            Weights that it was fitted with.

        Returns
        -------
        float
            ‖F − F'‖ / max(‖F‖, ‖F'‖), F' what `fit` gives on the data, in the norm of the weights;
            the norms below the line off the skip functions, and at least 1.5e-8 of the labels, so
            that rounding cannot pass for a deviation where the neurons contribute nothing. Zero
            does not prove an optimum, since nothing is said of where the neurons should be: see
            `certify`.

        Raises
        ------
        InvalidInputError
            ``alpha = 0``, where every network that interpolates satisfies the equation; data of
            another shape than the network; a network with a skip part that ``skip`` excludes.

        Examples
        --------
        >>> import mtrelu
        >>> X, Y = [0.0, 1.0, 2.0, 3.0], [[0, 1], [1, 1], [1, 0], [0, 2]]
        >>> network = mtrelu.solve(X, Y, alpha=0.1).network
        >>> NeuronKernel(network).deviation(X, Y, alpha=0.1) < 1e-6
        True
        >>> round(NeuronKernel(network).deviation(X, Y, alpha=0.2), 2)
        0.12
        """
        if as_alpha(alpha) == 0.0:
            raise InvalidInputError(
                "alpha is 0, but then every network that interpolates is its own kernel's ridge "
                "regression, optimal or not; pass the alpha > 0 it was fitted with, or judge it "
                "with mtrelu.certify."
            )
        problem = self._problem(X, Y, alpha, "squared", sample_weight)
        problem.check_network(self.network)
        ridge, Phi, basis, _ = self._ridge(problem)
        root = np.sqrt(problem.sample_weight)[:, np.newaxis]
        weighted_basis = root * basis
        labels = root * problem.Y
        outputs = root * self.network(problem.X)
        refitted = root * (basis @ ridge.theta + Phi @ ridge.V)

        def off_skip(values: FloatArray) -> float:
            return float(np.linalg.norm(values - weighted_basis @ (weighted_basis.T @ values)))

        floor = np.sqrt(np.finfo(np.float64).eps) * np.linalg.norm(labels)
        distance = float(np.linalg.norm(outputs - refitted))
        scale = max(off_skip(outputs), off_skip(refitted), float(floor))
        return distance / scale if distance > 0.0 else 0.0

    def _gram(self, X: Any, Y: Any) -> FloatArray:
        first = self._features(X, "X")
        second = first if Y is None else self._features(Y, "Y")
        return np.asarray(first @ second.T)

    def _features(self, X: Any, name: str) -> FloatArray:
        return self._neurons(self._inputs(X, name)) * np.sqrt(self.strengths)

    def _problem(
        self, X: Any, Y: Any, alpha: float, loss: str | Mapping[str, Any] | Loss, weights: Any
    ) -> Problem:
        inputs = self._inputs(X, "X")
        problem = Problem.make(inputs, Y, alpha, loss=loss, skip=self.skip, sample_weight=weights)
        problem.refuse_unshared_weights("a kernel")
        return problem

    def _ridge(self, problem: Problem) -> tuple[RidgeFit, FloatArray, FloatArray, FloatArray]:
        """Return the fit, φ_k on the data (N, K), and the skip basis with its coefficients."""
        iterative = problem.alpha > 0.0 and problem.loss.name != "squared"
        if iterative and problem.loss.name == "logistic":
            problem.affine_fit()  # refuses classes that the skip functions separate
        basis, to_coefficients = skip_basis(problem)
        Phi = self._neurons(problem.X)
        ridge = fit_ridge(
            problem.Y,
            problem.sample_weight,
            problem.loss,
            Phi,
            basis,
            self.strengths,
            problem.alpha,
        )
        if iterative:
            loss = problem.loss_value(basis @ ridge.theta + Phi @ ridge.V)
            norms = np.sum((ridge.V / np.sqrt(self.strengths)[:, np.newaxis]) ** 2)
            size = problem.loss_value(np.zeros_like(problem.Y))
            refuse_unproved(ridge.gap, loss + 0.5 * problem.alpha * float(norms), size)
        return ridge, Phi, basis, to_coefficients

    def _neurons(self, inputs: FloatArray) -> FloatArray:
        """Return φ_k(x_i), shape (M, K)."""
        return np.maximum(inputs @ self.network.w.T + self.network.b, 0.0)

    def _inputs(self, X: Any, name: str) -> FloatArray:
        inputs = as_inputs(X, name)
        if inputs.shape[1] != self.network.n_inputs:
            raise InvalidInputError(
                f"{name} has {inputs.shape[1]} columns, but the neurons of the kernel have "
                f"{self.network.n_inputs} inputs; pass {name} of shape "
                f"(M, {self.network.n_inputs})."
            )
        return inputs

    def _output_weights(self, value: Any, name: str) -> FloatArray:
        n_neurons = self.strengths.size
        try:
            weights = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidInputError(
                f"{name} is not a rectangular array of numbers; pass output weights of shape "
                f"({n_neurons},) or ({n_neurons}, T)."
            ) from None
        if weights.ndim not in (1, 2) or len(weights) != n_neurons:
            raise InvalidInputError(
                f"{name} has shape {weights.shape}, but the kernel has {n_neurons} neurons; pass "
                f"output weights of shape ({n_neurons},) or ({n_neurons}, T)."
            )
        return weights
