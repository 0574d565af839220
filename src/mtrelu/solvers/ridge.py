"""Ridge regression over a fixed set of neurons: any loss, skip functions unpenalised [18], [27].

Over neurons with features Φ (N, K) and strengths n_kt (γ_kt = 1 / n_kt in [21]) and a basis B
(N, q) of the skip functions the problem is

    minimise over V, Θ   Σ_it w_i ℓ(y_it, z_it) + (α/2) Σ_kt v_kt² / n_kt,     Z = BΘ + ΦV,

the kernel ridge regression of κ(x, x') = Σ_k n_k φ_k(x) φ_k(x'), and its dual, with
c(p) = ℓ*(y, −p) and P = w p, entry by entry,

    maximise over P   −Σ_it w_i c(p_it) − Σ_kt n_kt (Φ_kᵀ p_t)² / (2α)   subject to   Bᵀ P = 0.

At the optimum v_kt = (n_kt / α) Φ_kᵀ P_t. The tasks are problems of their own.

The squared loss has a closed form, `_ridge_squared`; `_ridge_interior` is for all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.losses import Loss
from mtrelu.solvers._ridge_interior import fit_task
from mtrelu.solvers._ridge_squared import Rows, Spectrum
from mtrelu.validation import FloatArray, InvalidInputError

# Duality gap beyond which a fit has failed: relative to its objective, and what may be rounding
# relative to the loss of the zero function.
_FAILED, _ROUNDING = 1e-6, 1e-12


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Output weights over fixed neurons, with a proof of how good they are.

    Attributes
    ----------
    V : ndarray of shape (K, T)
        Output weights of the neurons.
    theta : ndarray of shape (q, T)
        Coefficients of the skip functions.
    P : ndarray of shape (N, T)
        Feasible dual variable, −w ∂ℓ/∂z at the optimum: in the domain of the conjugate and Bᵀ P = 0
        up to rounding. Zero for α = 0.
    gap : float
        Objective minus the dual value of `P`, in units of the objective: a proof of how far the
        objective can be from its minimum over these neurons. For α = 0 the objective is half the
        sum of squared residuals.
    """

    V: FloatArray
    theta: FloatArray
    P: FloatArray
    gap: float


def fit_ridge(
    Y: FloatArray,
    weights: FloatArray,
    loss: Loss,
    Phi: FloatArray,
    B: FloatArray,
    strengths: FloatArray,
    alpha: float,
    *,
    tol: float = 1e-10,
) -> RidgeFit:
    """Minimise Σ w ℓ(Y, BΘ + ΦV) + (α/2) Σ v_kt² / n_kt over V and Θ [18].

    Parameters
    ----------
    Y : ndarray of shape (N, T)
        Labels.
    weights : ndarray of shape (N,)
        Weights of the samples, >= 0, some > 0.
    loss : Loss
        Any loss. For the squared loss the minimum is computed in closed form.
    Phi : ndarray of shape (N, K)
        Features of the neurons; K can be 0, and columns can depend on each other.
    B : ndarray of shape (N, q)
        Skip functions on the data, orthonormal with respect to the weights; q can be 0.
    strengths : ndarray of shape (K,) or (K, T)
        Strengths n >= 0 of the neurons, for all tasks or for each; 0 forces v to 0. With (K,) all
        tasks share one factorisation.
    alpha : float
        Penalty, >= 0. With 0 the fit is the interpolant of least Σ v²/n, whatever the loss: the
        limit of α → 0. In the closed form directions of weights of which the skip functions and
        rounding leave nothing, at most max(N, K) eps of their terms, get no weight: that is the
        rank tolerance.
    tol : float
        Duality gap, as a share of the objective, at which to stop, for losses other than the
        squared loss.

    Returns
    -------
    RidgeFit
        Its gap is larger than asked for where rounding ends the work, and where no minimum exists
        (logistic loss, labels that the skip functions separate).

    Raises
    ------
    InvalidInputError
        Strengths of the wrong shape, negative or not finite; for α = 0 labels that the neurons and
        the skip functions cannot take.

    Examples
    --------
    >>> from mtrelu.losses import SquaredLoss
    >>> Y, one = np.array([[3.0], [0.5]]), np.ones(2)
    >>> strengths = np.array([2.0, 0.0])
    >>> fit = fit_ridge(Y, one, SquaredLoss(), np.eye(2), np.empty((2, 0)), strengths, 1.0)
    >>> fit.V.ravel().round(6), fit.P.ravel().round(6)
    (array([2., 0.]), array([1. , 0.5]))
    """
    strengths = _checked(strengths, Phi.shape[1], Y.shape[1])
    if alpha > 0.0 and loss.name != "squared":
        return _by_interior_point(Y, weights, loss, Phi, B, strengths, alpha, tol)
    if strengths.ndim == 1:
        return RidgePath(Y, weights, Phi, B, strengths).fit(alpha)
    rows = Rows(Y, weights, Phi, B)
    V = np.empty(strengths.shape)
    core = np.empty_like(rows.core_labels)
    for t in range(Y.shape[1]):
        task = slice(t, t + 1)
        V[:, task], core[:, task] = Spectrum(rows, strengths[:, t], task).solve(alpha)
    return RidgeFit(*rows.assemble(V, core, strengths, alpha))


def refuse_unproved(gap: float, objective: float, size: float, place: str = "") -> None:
    """Raise `InvalidInputError` where the duality gap says that a fit over fixed neurons failed.

    Parameters
    ----------
    gap : float
        The gap.
    objective : float
        Objective of the fit.
    size : float
        Loss of the zero function, in units of the objective: what rounding is measured by.
    place : str
        Which labels, for the message, for example ``" in column 3"``.

    Examples
    --------
    >>> refuse_unproved(1e-12, 1.0, 1.0)
    """
    if not gap <= _FAILED * objective + _ROUNDING * size:
        raise InvalidInputError(
            f"Y cannot be fitted{place}: over these neurons the objective came only to within "
            f"{gap:.2g} of its minimum, by rounding; bring X and Y to a scale of about one."
        )


class RidgePath:
    """The squared loss for all penalties at once, by one singular value decomposition.

    Parameters
    ----------
    Y : ndarray of shape (N, T)
        Labels.
    weights : ndarray of shape (N,)
        Weights of the samples, >= 0, some > 0.
    Phi : ndarray of shape (N, K)
        Features of the neurons.
    B : ndarray of shape (N, q)
        Skip functions on the data, orthonormal with respect to the weights.
    strengths : ndarray of shape (K,)
        Strengths of the neurons, >= 0.

    Attributes
    ----------
    strengths : ndarray of shape (K,)
        The strengths.
    alpha_scale : float
        Largest eigenvalue of the weighted kernel matrix √w_i κ(x_i, x_j) √w_j off the skip
        functions, in units of α: with a penalty far above it the neurons fit nothing.

    Raises
    ------
    InvalidInputError
        Strengths of the wrong shape, negative or not finite.

    Examples
    --------
    >>> Y = np.array([[0.0], [1.0], [0.5]])
    >>> path = RidgePath(Y, np.ones(3), np.eye(3), np.empty((3, 0)), np.ones(3))
    >>> path.alpha_scale, path.fit(1.0).V.ravel()
    (1.0, array([0.  , 0.5 , 0.25]))
    """

    def __init__(
        self,
        Y: FloatArray,
        weights: FloatArray,
        Phi: FloatArray,
        B: FloatArray,
        strengths: FloatArray,
    ) -> None:
        if np.ndim(strengths) != 1:
            raise InvalidInputError(
                f"strengths has shape {np.shape(strengths)}, but the path is for strengths that "
                f"all tasks share; pass shape ({Phi.shape[1]},), or use fit_ridge."
            )
        self.strengths = _checked(strengths, Phi.shape[1], Y.shape[1])
        self._rows = Rows(Y, weights, Phi, B)
        self._spectrum = Spectrum(self._rows, self.strengths)
        self.alpha_scale = float(np.max(self._spectrum.S, initial=0.0)) ** 2

    def fit(self, alpha: float) -> RidgeFit:
        """Return the fit for one penalty; see `fit_ridge`.

        Parameters
        ----------
        alpha : float
            Penalty, >= 0.

        Returns
        -------
        RidgeFit

        Raises
        ------
        InvalidInputError
            For α = 0, labels that the neurons and the skip functions cannot take.
        """
        V, core = self._spectrum.solve(alpha)
        return RidgeFit(*self._rows.assemble(V, core, self.strengths, alpha))

    def leave_one_out(self, alphas: FloatArray) -> FloatArray:
        """Return every label minus what the fit without its sample predicts for it.

        By the leverages of neurons and skip functions together, without fitting again; except for
        samples whose leverage is so near one that rounding would leave too few digits.

        Parameters
        ----------
        alphas : ndarray of shape (n_alphas,)
            Penalties, >= 0.

        Returns
        -------
        ndarray of shape (n_alphas, N, T)
            Leave-one-out residuals, in units of the labels. For a sample of weight 0 it is the
            residual of the fit. NaN for a sample without which a skip function is undetermined.

        Raises
        ------
        InvalidInputError
            As `fit`.

        Examples
        --------
        >>> Y = np.array([[0.0], [1.0], [5.0]])
        >>> path = RidgePath(Y, np.ones(3), np.empty((3, 0)), np.ones((3, 1)), np.empty(0))
        >>> path.leave_one_out([1.0]).ravel()  # a label minus the mean of the others
        array([-3. , -1.5,  4.5])
        """
        rows = self._rows
        alphas = np.asarray(alphas, dtype=np.float64)
        residuals = np.empty((len(alphas), *rows.Y.shape))
        for out, alpha in zip(residuals, alphas, strict=True):
            if alpha == 0.0 or not rows.counted.all():
                fit = self.fit(float(alpha))
                out[...] = rows.Y - rows.B @ fit.theta - rows.Phi @ fit.V
        residuals[:, rows.counted], sound = self._spectrum.leave_one_out(alphas)
        for i in np.flatnonzero(rows.counted)[~sound.all(axis=0)]:
            others = rows.counted & (np.arange(len(rows.Y)) != i)
            parts = (rows.Y[others], rows.weights[others], rows.Phi[others], rows.B[others])
            path = RidgePath(*parts, self.strengths)
            for out, alpha in zip(residuals, alphas, strict=True):
                fit = path.fit(float(alpha))
                out[i] = rows.Y[i] - rows.B[i] @ fit.theta - rows.Phi[i] @ fit.V
        return residuals


def _by_interior_point(
    Y: FloatArray,
    weights: FloatArray,
    loss: Loss,
    Phi: FloatArray,
    B: FloatArray,
    strengths: FloatArray,
    alpha: float,
    tol: float,
) -> RidgeFit:
    """The fit for any loss, one task after the other."""
    counted = weights > 0.0
    column, features, skip = weights[counted, np.newaxis], Phi[counted], B[counted]
    V, theta = np.zeros((Phi.shape[1], Y.shape[1])), np.empty((B.shape[1], Y.shape[1]))
    P = np.zeros_like(Y)
    gap = 0.0
    for t in range(Y.shape[1]):
        scale = np.sqrt(strengths if strengths.ndim == 1 else strengths[:, t])
        usable, task = scale > 0.0, slice(t, t + 1)
        G = features[:, usable] * scale[usable]
        fit = fit_task(Y[counted, task], column, loss, G, skip, alpha, tol)
        V[usable, task] = scale[usable, np.newaxis] * fit.a
        theta[:, task] = fit.theta
        P[counted, task] = fit.P
        gap += fit.gap
    return RidgeFit(V, theta, P, gap)


def _checked(strengths: Any, n_neurons: int, n_tasks: int) -> FloatArray:
    """Return the strengths as an array, or say what is wrong with them."""
    n = np.asarray(strengths, dtype=np.float64)
    if n.shape not in ((n_neurons,), (n_neurons, n_tasks)):
        raise InvalidInputError(
            f"strengths has shape {n.shape}, but there are {n_neurons} neurons and {n_tasks} "
            f"tasks; pass shape ({n_neurons},) or ({n_neurons}, {n_tasks})."
        )
    if not np.all((n >= 0.0) & (n < np.inf)):
        wrong = n[~((n >= 0.0) & (n < np.inf))][0]
        raise InvalidInputError(
            f"strengths has the entry {wrong}, but a strength is the norm of output weights; pass "
            "finite numbers >= 0, with 0 for neurons that must not be used."
        )
    return n
