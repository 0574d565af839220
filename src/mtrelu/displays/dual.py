"""Picture of the dual function of two inputs: which neurons an optimal network may have."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._fitted import refuse_unless_plane, solution_of
from mtrelu.displays._style import RED, colour_bar, new_axes, plain
from mtrelu.validation import InvalidInputError


class DualFunctionDisplay:
    """The dual function over all neurons of two inputs, and where the network's neurons lie.

    A neuron with unit weights w = (cos θ, sin θ) bends along the line w·(x − mean) = s. The dual
    function g(θ, s) = ‖Σ_i p_i (w·(x_i − mean) − s)₊‖ says how much a neuron there would still
    gain. A network is optimal exactly when g is nowhere above alpha, and alpha at its neurons.

    Parameters
    ----------
    angles : ndarray of shape (A,)
        θ in degrees, ascending.
    offsets : ndarray of shape (S,)
        s, ascending, in the units of the fit.
    g : ndarray of shape (S, A)
        The dual function, divided by the level.
    neuron_angles, neuron_offsets : ndarray of shape (K,)
        The network's neurons.
    strengths : ndarray of shape (K,)
        ‖v_k‖‖w_k‖.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu, numpy as np
    >>> from mtrelu.displays import DualFunctionDisplay
    >>> X = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    >>> solution = mtrelu.solve(X, np.abs(X[:, 0]), alpha=0.1)
    >>> display = DualFunctionDisplay.from_solution(solution, n_grid=60)
    >>> bool(0.9 < display.g.max() < 1.0 + 1e-6)
    True
    """

    def __init__(
        self,
        *,
        angles: np.ndarray,
        offsets: np.ndarray,
        g: np.ndarray,
        neuron_angles: np.ndarray,
        neuron_offsets: np.ndarray,
        strengths: np.ndarray,
    ) -> None:
        self.angles = angles
        self.offsets = offsets
        self.g = g
        self.neuron_angles = neuron_angles
        self.neuron_offsets = neuron_offsets
        self.strengths = strengths

    @classmethod
    def from_solution(cls, solution: Solution, *, n_grid: int = 360) -> Self:
        """Evaluate the dual function of a solution.

        Parameters
        ----------
        solution : Solution
            What `mtrelu.solve` returned for two inputs.
        n_grid : int, default=360
            Points along each axis.

        Returns
        -------
        DualFunctionDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            A solution of another number of inputs, or one without a dual variable.
        """
        problem = solution.problem
        refuse_unless_plane(problem.n_inputs, "DualLineDisplay")
        affine = problem.skip == "affine"
        mean = problem.X.mean(axis=0)
        X = problem.X - mean
        P = dual_variable(solution)
        turn = 180.0 if affine else 360.0
        angles = np.linspace(0.0, turn, n_grid)
        reach = float(np.linalg.norm(X, axis=1).max()) or 1.0
        offsets = np.linspace(-reach, reach, n_grid)
        unit = solution.network.unit_norm()
        theta = np.degrees(np.arctan2(unit.w[:, 1], unit.w[:, 0])) % 360.0
        s = -(unit.b + unit.w @ mean)
        turned = theta >= turn  # (w, b) and (−w, −b) have the same value with an affine skip
        return cls(
            angles=angles,
            offsets=offsets,
            g=_dual_function(X, P, np.radians(angles), offsets) / (problem.alpha or 1.0),
            neuron_angles=np.where(turned, theta - turn, theta),
            neuron_offsets=np.where(turned, -s, s),
            strengths=np.linalg.norm(unit.v, axis=1),
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        n_grid: int = 360,
    ) -> Self:
        """Evaluate the dual function of a fitted estimator.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier
            Fitted by `alpha` to two inputs.
        X, y, sample_weight : array-like, optional
            Data to judge the network on; by default those of the fit.
        n_grid : int, default=360
            Points along each axis.

        Returns
        -------
        DualFunctionDisplay
            Not yet drawn; call `plot`.
        """
        return cls.from_solution(solution_of(estimator, X, y, sample_weight), n_grid=n_grid)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to; a new figure of pyplot's if not given.

        Returns
        -------
        DualFunctionDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = ax = new_axes(ax, (7.6, 4.4))
        self.figure_ = ax.figure
        top = max(1.0, float(self.g.max()))
        image = ax.pcolormesh(
            self.angles, self.offsets, self.g, cmap="cividis", vmin=0.0, vmax=top,
            shading="nearest", rasterized=True,
        )  # fmt: skip
        ax.contour(
            self.angles, self.offsets, self.g, levels=[0.5, 0.9, 0.99], colors="white",
            linewidths=[0.5, 0.7, 0.9], alpha=0.7,
        )  # fmt: skip
        share = self.strengths / self.strengths.max(initial=0.0)
        ax.scatter(
            self.neuron_angles, self.neuron_offsets, s=14.0 + 110.0 * share, color=RED,
            edgecolors="white", linewidths=0.9, zorder=3, clip_on=False,
            label="neurons of the network, larger: stronger",
        )  # fmt: skip
        ax.set(
            xlabel="direction of the neuron's weights, θ in degrees",
            ylabel="offset of its line from the mean of the data",
            xlim=self.angles[[0, -1]],
            ylim=self.offsets[[0, -1]],
        )
        ax.set_xticks(np.arange(0.0, self.angles[-1] + 1.0, 45.0))
        bar = colour_bar(image, ax)
        bar.set_label("dual function / alpha", fontsize=8)
        bar.ax.axhline(1.0, color=RED, lw=1.6)
        if len(self.neuron_angles):
            ax.legend(
                loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, fontsize=9,
                borderaxespad=0.2,
            )  # fmt: skip
        plain(ax)
        return self


def dual_variable(solution: Solution) -> np.ndarray:
    """Return the dual variable of a solution, (N, min(N, T)), for which the skip has no gradient.

    It is what the solver left, or what the predictions determine. With more tasks than samples it
    is rotated into fewer columns, which changes no norm over tasks.
    """
    problem, P = solution.problem, solution.dual
    if P is None and problem.alpha == 0.0:
        raise InvalidInputError(
            "solution has no dual variable, and with alpha = 0 its network does not determine "
            "one; draw a solution with alpha > 0."
        )
    if P is None:
        P = problem.dual_variable(solution.network(problem.X))
    X = problem.X - problem.X.mean(axis=0)
    X = X / (np.abs(X).max(axis=0, initial=0.0) + (X == 0.0).all(axis=0))
    free = np.column_stack([np.ones(len(X)), X[:, : X.shape[1] * (problem.skip == "affine")]])
    left: np.ndarray = np.zeros(P.shape)  # as at labels that are not used
    for tasks, rows, _ in problem.by_weights():
        block, basis = np.ix_(rows, tasks), free[rows]
        left[block] = P[block] - basis @ np.linalg.lstsq(basis, P[block], rcond=None)[0]
    if left.shape[1] > left.shape[0]:
        left = np.asarray(np.linalg.qr(left.T, mode="r")).T
    return left


def _dual_function(
    X: np.ndarray, P: np.ndarray, angles: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Return ‖Σ_i p_i (w·x_i − s)₊‖ for all offsets and angles, by sums over sorted projections."""
    g = np.empty((len(offsets), len(angles)))
    nothing = np.zeros((1, P.shape[1]))
    for a, angle in enumerate(angles):
        along = X @ np.array([np.cos(angle), np.sin(angle)])
        order = np.argsort(-along, kind="stable")
        weights = np.vstack([nothing, np.cumsum(P[order], axis=0)])
        moments = np.vstack([nothing, np.cumsum(P[order] * along[order, None], axis=0)])
        active = np.searchsorted(-along[order], -offsets)
        g[:, a] = np.linalg.norm(moments[active] - offsets[:, None] * weights[active], axis=1)
    return g
