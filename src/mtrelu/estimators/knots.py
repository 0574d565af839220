"""At most so many knots: proposed by penalised fits, moved by exchange, fitted without penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.api import solve
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem, alpha_max
from mtrelu.validation import InvalidInputError

PATH_LENGTH = 40
PATH_DEPTH = 1e-6
CROWDED = 4
"""The path ends once a fit has this many times the wanted knots (and a few more)."""

SPAN = 1e-10
"""A hinge with less than this share of its square outside the span of the others adds nothing."""

PROGRESS = 1e-9
"""Relative decrease of the loss below which a change of the knots is rounding."""


@dataclass(frozen=True, eq=False)
class KnotFit:
    """A network on few knots.

    Attributes
    ----------
    network : ReLUNetwork
        Fitted without penalty to the chosen knots.
    alpha : float
        The penalty of the fit that proposed them; ``alpha_max`` if none did.
    n_iter : int
        Solver iterations along the path.
    """

    network: ReLUNetwork
    alpha: float
    n_iter: int


def fit_knots(problem: Problem, n_knots: int, *, tol: float, max_iter: int | None) -> KnotFit:
    """Fit a network of one input with at most `n_knots` knots, all at data points.

    Three steps. (1) Fits [9] along a falling path of alpha propose knots. Shrinkage splits one bend
    into a run of neighbouring data points, whose slope changes an optimal network may trade for one
    (Theorem 3.1), so a run counts as one knot, at the data point next to its centre of mass. Of all
    proposals with at most `n_knots` knots the one with the least loss after an unpenalised refit is
    kept. (2) Exchange: knots are added, up to `n_knots`, and moved, one at a time, to the data
    point that lowers the loss most, until no single change lowers it. (3) The refit is the answer.

    Parameters
    ----------
    problem : Problem
        Of one input, with an affine skip connection; its alpha is not used.
    n_knots : int
        The most knots allowed, ≥ 0.
    tol, max_iter
        As for `mtrelu.solve`.

    Returns
    -------
    KnotFit
        The network, and the alpha that proposed its knots.

    Raises
    ------
    InvalidInputError
        If there are fewer than `n_knots` + 2 distinct inputs: knots lie strictly between the ends.
    """
    board = _Board(problem)
    if n_knots > len(board.places):
        raise InvalidInputError(
            f"n_knots={n_knots} needs at least {n_knots + 2} distinct inputs, since knots lie at "
            f"data points strictly between the two ends; X has {len(board.places) + 2}. "
            f"Ask for at most {max(len(board.places), 0)} knots."
        )
    data: dict[str, Any] = {
        "X": problem.X,
        "Y": problem.Y,
        "loss": problem.loss,
        "sample_weight": problem.sample_weight,
    }
    top = alpha_max(**data)
    path = top * np.geomspace(1.0, PATH_DEPTH, PATH_LENGTH + 1)[1:]
    best, best_alpha, n_iter = board.refit(()), top, 0
    for alpha in path if n_knots > 0 and top > 0 else ():
        solution = solve(**data, alpha=alpha, tol=tol, max_iter=max_iter)
        n_iter += int(solution.n_iter)
        proposed = board.proposal(solution.network)
        if len(proposed) > CROWDED * (n_knots + 1):
            break
        if len(proposed) <= n_knots:
            fit = board.refit(proposed)
            if fit.loss < best.loss:
                best, best_alpha = fit, float(alpha)
    return KnotFit(board.exchange(best, n_knots).network, best_alpha, n_iter)


@dataclass(frozen=True, eq=False)
class _Refit:
    knots: tuple[float, ...]
    network: ReLUNetwork
    predictions: np.ndarray
    loss: float


class _Board:
    """The data, sorted and scaled, on which knots are proposed, moved and refitted."""

    def __init__(self, problem: Problem) -> None:
        order = np.argsort(problem.X[:, 0], kind="stable")
        self.x = problem.X[order, 0]
        self.problem = Problem.make(
            self.x,
            problem.Y[order],
            1.0,
            loss=problem.loss,
            sample_weight=problem.sample_weight[order],
        )
        self.places = np.unique(self.x)[1:-1]
        # Origin at the right end: the suffix sums of `_gain` then have no cancellation there.
        self.origin = float(self.x[-1])
        self.scale = float(self.x[-1] - self.x[0]) or 1.0
        self.z = (self.x - self.origin) / self.scale

    def hinges(self, knots: tuple[float, ...]) -> np.ndarray:
        """Scaled features (N, 1+K): the input and one hinge a knot."""
        columns = [self.z, *(np.maximum(self.x - t, 0.0) / self.scale for t in knots)]
        return np.column_stack(columns)

    def refit(self, knots: tuple[float, ...]) -> _Refit:
        """The best network on these knots, without penalty: an affine fit to their hinges."""
        features = self.hinges(knots)
        problem = Problem.make(
            features,
            self.problem.Y,
            1.0,
            loss=self.problem.loss,
            sample_weight=self.problem.sample_weight,
        )
        A, c, _ = problem.affine_fit()
        predictions = features @ A.T + c
        slopes = A / self.scale
        network = ReLUNetwork.from_knots(
            np.array(knots, dtype=np.float64),
            np.ascontiguousarray(slopes[:, 1:].T),
            slopes[:, 0],
            c - slopes[:, 0] * self.origin,
        )
        return _Refit(knots, network, predictions, float(problem.loss_value(predictions)))

    def proposal(self, network: ReLUNetwork) -> tuple[float, ...]:
        """The knots of a penalised fit, each run of neighbouring data points as one."""
        knots, mass = network.knots(), np.linalg.norm(network.slope_changes(), axis=1)
        seen = mass > 1e-6 * mass.max(initial=0.0)
        knots, mass = knots[seen], mass[seen]
        place = np.searchsorted((self.places[1:] + self.places[:-1]) / 2, knots)
        proposal = []
        for run in np.split(np.arange(len(knots)), np.flatnonzero(np.diff(place) > 1) + 1):
            if len(run):
                centre = np.average(knots[run], weights=mass[run])
                candidates = self.places[place[run]]
                proposal.append(float(candidates[np.argmin(np.abs(candidates - centre))]))
        return tuple(proposal)

    def exchange(self, fit: _Refit, n_knots: int) -> _Refit:
        """Add and move single knots while that lowers the loss."""
        floor = PROGRESS * self.refit(()).loss
        while True:
            before = fit.loss
            if len(fit.knots) < n_knots:
                fit = self._better(fit, fit, floor)
            for k in range(len(fit.knots)):
                rest = self.refit(fit.knots[:k] + fit.knots[k + 1 :])
                fit = self._better(fit, rest, floor)
            if before - fit.loss <= floor:
                return fit

    def _better(self, fit: _Refit, base: _Refit, floor: float) -> _Refit:
        """`base` with its best further knot where that beats `fit`, else `fit`."""
        gain = self._gain(base)
        place = float(self.places[int(np.argmax(gain))])
        if gain.max() <= 0.0 or place in base.knots:
            return fit
        moved = self.refit(tuple(sorted((*base.knots, place))))
        return moved if moved.loss < fit.loss - floor else fit

    def _gain(self, base: _Refit) -> np.ndarray:
        """How much a knot at each place would lower the loss, O(N (T + K)).

        With residual P (negative gradient, weights included) and the hinge h of a place, projected
        off the present features, the squared loss falls by ‖hᵀP‖² / (2‖h‖²). For other losses this
        ranks the places; whether a move is taken is decided by the true loss.
        """
        P = self.problem.dual_variable(base.predictions)
        features = np.column_stack([np.ones_like(self.z), self.hinges(base.knots)])
        gain = np.zeros(len(self.places))
        for tasks, rows, part in self.problem.by_weights():
            weights = np.zeros(len(self.z))
            weights[rows] = part.sample_weight
            gain += self._gain_of(P[:, tasks], features, weights)
        return gain

    def _gain_of(self, P: np.ndarray, features: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The same for tasks that weigh the samples alike."""
        weight = weights[:, None]
        Q, _ = np.linalg.qr(np.sqrt(weight) * features)
        columns = np.hstack([P, np.sqrt(weight) * Q, weight, weight * self.z[:, None]])

        first = np.searchsorted(self.x, self.places)
        z = self.z[first][:, None]
        suffix0 = columns[::-1].cumsum(axis=0)[::-1][first]
        suffix1 = (columns * self.z[:, None])[::-1].cumsum(axis=0)[::-1][first]
        hinge = suffix1 - z * suffix0  # Σ_i (z_i − z)_+ of every column
        T, K = P.shape[1], Q.shape[1]
        square = hinge[:, -1] - z[:, 0] * hinge[:, -2]
        outside = square - (hinge[:, T : T + K] ** 2).sum(axis=1)
        usable = outside > SPAN * square
        gain = np.zeros(len(self.places))
        gain[usable] = (hinge[usable, :T] ** 2).sum(axis=1) / (2.0 * outside[usable])
        return gain
