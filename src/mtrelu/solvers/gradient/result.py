"""What training gives back: every network, what became of it, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtrelu.certificate import Certificate
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.gradient.settings import Settings
from mtrelu.validation import FloatArray, InvalidInputError
from mtrelu.verify import verify


@dataclass(frozen=True)
class TrainingProgress:
    """What a callback sees after each judgement.

    Attributes
    ----------
    step, n_steps : int
        Steps so far, and after which training ends in any case.
    objectives, stationarity : ndarray of shape (S,)
        Of all networks, those that have finished included.
    n_running : int
        How many go on.
    seconds : float
        Time spent so far, that of interrupted runs before this one included.
    """

    step: int
    n_steps: int
    objectives: FloatArray
    stationarity: FloatArray
    n_running: int
    seconds: float


@dataclass(frozen=True, eq=False)
class History:
    """How the networks got there; NaN after a network has finished.

    Attributes
    ----------
    steps : ndarray of shape (C,), int64
        After which steps the networks were judged.
    objectives : ndarray of shape (C, S)
        The objective [12], in path form.
    stationarity : ndarray of shape (C, S)
        See `Training`.
    """

    steps: NDArray[np.int64]
    objectives: FloatArray
    stationarity: FloatArray


@dataclass(frozen=True, eq=False)
class Training:
    """Networks trained from several seeds.

    Attributes
    ----------
    problem : Problem
        What was trained on.
    networks : list of ReLUNetwork or None
        One a seed, as trained, all K neurons in order; None where a parameter is not a finite
        number.
    objectives : ndarray of shape (S,)
        The objective [12] of each, in path form and float64; infinite where there is no network.
    stationarity : ndarray of shape (S,)
        How far each is from stationary in all its parameters, relative; 0 is stationary, infinite
        stands for no network. What exactly it means is said in
        :mod:`mtrelu.solvers.gradient.stationarity`. Stationary is not optimal: see `certify`.
    converged : ndarray of shape (S,), bool
        Whether ``stop`` was satisfied to ``tol``.
    stalled : ndarray of shape (S,), bool
        Whether the method could not move the network any further before that; only L-BFGS does so,
        when no step along the gradient decreases its objective in floating point.
    diverged : ndarray of shape (S,), bool
        Whether a parameter stopped being a finite number, or the network ended with a larger
        objective than both its start and the network that is 0 everywhere, which training that
        descends never does.
    steps : ndarray of shape (S,), int64
        Steps that each network took, up to a judgement.
    history : History
        The judgements on the way.
    seconds : float
        Time spent, that of interrupted runs before this one included.
    settings : Settings
        How the networks were trained.
    """

    problem: Problem
    networks: list[ReLUNetwork | None]
    objectives: FloatArray
    stationarity: FloatArray
    converged: NDArray[np.bool_]
    stalled: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    steps: NDArray[np.int64]
    history: History
    seconds: float
    settings: Settings

    def __repr__(self) -> str:
        """Return the counts; the arrays can be long."""
        return (
            f"<Training: {len(self.networks)} networks of {self.settings.width} neurons, "
            f"{int(self.converged.sum())} converged, {int(self.diverged.sum())} diverged>"
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each network."""
        return self.settings.seeds

    @property
    def status(self) -> list[str]:
        """What became of each: "converged", "stalled", "diverged" or "out of steps".

        Examples
        --------
        >>> from mtrelu.solvers.gradient import train
        >>> train([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=0.1, seeds=2, steps=1).status
        ['out of steps', 'out of steps']
        """
        rows = zip(self.converged, self.stalled, self.diverged, strict=True)
        names = ("converged", "stalled", "diverged")
        return [
            next((name for name, holds in zip(names, row, strict=True) if holds), "out of steps")
            for row in rows
        ]

    @property
    def weight_decay(self) -> float:
        """The λ of PyTorch's optimisers that ``alpha`` amounts to, on input and output weights.

        Examples
        --------
        >>> from mtrelu.solvers.gradient import train
        >>> training = train([0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]], alpha=0.1, seeds=1, steps=1)
        >>> training.weight_decay
        0.05
        """
        mean = self.settings.reduction == "mean"
        return 2.0 * self.problem.alpha / (self.problem.Y.size if mean else 1)

    def certify(self, position: int, *, tol: float = 1e-6, time_limit: float = 10.0) -> Certificate:
        """Bound how far one of the networks is from the global optimum.

        Parameters
        ----------
        position : int
            Of the network in ``networks``. It was trained from the seed ``seeds[position]``.
        tol : float
            Relative gap at which the network counts as certified.
        time_limit : float
            As for :func:`mtrelu.certify`.

        Returns
        -------
        Certificate

        Raises
        ------
        InvalidInputError
            No such network; no skip connection.
        """
        count = len(self.networks)
        if not (isinstance(position, int | np.integer) and 0 <= position < count):
            raise InvalidInputError(
                f"position is {position!r}, but there are {count} networks; pass a position "
                f"from 0 to {count - 1}, such as training.seeds.index(seed)."
            )
        network = self.networks[int(position)]
        if network is None:
            raise InvalidInputError(
                f"position is {position}, but training from seed {self.seeds[int(position)]} "
                "diverged, so there is no network to certify; train with a smaller learning_rate."
            )
        return verify(self.problem, network, tol=tol, time_limit=time_limit)

    def certificates(
        self, *, tol: float = 1e-6, time_limit: float = 10.0
    ) -> list[Certificate | None]:
        """Return `certify` of every network; None where there is none."""
        return [
            None if network is None else self.certify(position, tol=tol, time_limit=time_limit)
            for position, network in enumerate(self.networks)
        ]
