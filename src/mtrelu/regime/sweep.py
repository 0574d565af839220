"""Sweeps: measurements for growing numbers of tasks and many seeds, in parallel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mtrelu
from mtrelu.problem import alpha_from_weight_decay
from mtrelu.regime.checkpoint import Checkpoint
from mtrelu.regime.designs import Design
from mtrelu.regime.measurement import BETAS, Measurement, measure
from mtrelu.regime.rates import Rate, fit_rate, medians
from mtrelu.validation import FloatArray, InvalidInputError, as_alpha, as_skip

__all__ = ["FALLING", "Plan", "Sweep", "lemma_promise", "run_sweep"]

NAN = float("nan")
FALLING = {
    "output_difference": "own neurons, ridge [18]",
    "leave_task_out_difference": "neurons of the other tasks, kernel ridge",
    "excess": "J(v′) − J(v*) [17]",
    "surrogate_gap": "largest H − J nearby [16]",
    "gamma_spread": "largest γ_ks/γ_k − 1 [21]",
}
"""The quantities that vanish in the kernel regime, with their names for people."""
MEDIANS = (
    *FALLING,
    "l1_difference",
    "restart_difference",
    "neighbourhood_share",
    "n_neurons",
    "n_private",
    "kernel_deviation",
    "relative_gap",
    "leave_task_out_gap",
    "seconds",
)
"""The quantities of the table."""
RESOLVED = 3.0
"""How many times the difference of two starts another difference must be to count as its own."""


@dataclass(frozen=True)
class Plan:
    """Which cells a sweep has, and their penalty.

    Attributes
    ----------
    design : Design
        Where the data come from.
    n_tasks : tuple of int
        Numbers of tasks, ascending.
    n_seeds : int
        Seeds 0 … n_seeds − 1 for each.
    alpha : float or None
        The penalty of every cell; None if it grows with the number of tasks.
    weight_decay : float or None
        λ of the second regime, in which α = λNT/2 (`mtrelu.alpha_from_weight_decay`, the mean
        squared error); None if alpha is given.
    skip : {"affine", "constant"}
        The part of the networks that is not penalised; without one nothing can be certified.
    """

    design: Design
    n_tasks: tuple[int, ...]
    n_seeds: int
    alpha: float | None
    weight_decay: float | None
    skip: str

    @classmethod
    def make(
        cls,
        design: Design,
        *,
        n_tasks: Sequence[int] | None = None,
        n_seeds: int = 5,
        alpha: float | None = None,
        weight_decay: float | None = None,
        skip: str = "affine",
    ) -> Plan:
        """Check everything and return the plan; what is not given is the design's.

        Raises
        ------
        InvalidInputError
            Numbers that cannot work, or both penalties at once.

        Examples
        --------
        >>> from mtrelu.regime.designs import DESIGNS
        >>> plan = Plan.make(DESIGNS["two-squares"], n_tasks=[100, 1], n_seeds=2)
        >>> plan.cells(), plan.alpha
        ([(100, 0), (100, 1), (1, 0), (1, 1)], 0.001)
        """
        counts = tuple(sorted(set(design.n_tasks if n_tasks is None else n_tasks)))
        if not counts:
            raise InvalidInputError("n_tasks is empty; give at least one number of tasks.")
        for count in counts:
            design.check_n_tasks(count)
        if n_seeds < 1:
            raise InvalidInputError(f"n_seeds is {n_seeds}; at least one seed is needed.")
        skip = as_skip(skip)
        if alpha is not None and weight_decay is not None:
            raise InvalidInputError(
                f"alpha is {alpha:g} and weight_decay {weight_decay:g}, but each sets the penalty; "
                "give one of them."
            )
        if weight_decay is None:
            alpha = as_alpha(design.alpha if alpha is None else alpha)
        if 0.0 in (alpha, weight_decay):
            raise InvalidInputError(
                f"{'alpha' if alpha == 0.0 else 'weight_decay'} is 0, but the theorem weighs a "
                "penalty against a loss; give a positive one, such as 1e-6, which nearly "
                "interpolates."
            )
        plan = cls(design, counts, n_seeds, alpha, weight_decay, skip)
        plan.penalty(1, 1)  # refuses a weight decay that is no number
        return plan

    def penalty(self, n_samples: int, n_tasks: int) -> float:
        """Return α for so many samples and tasks."""
        if self.weight_decay is not None:
            return alpha_from_weight_decay(self.weight_decay, n_samples, n_tasks)
        assert self.alpha is not None  # by `make`
        return self.alpha

    def cells(self) -> list[tuple[int, int]]:
        """Return numbers of tasks and seeds; the largest first, for they take the longest."""
        return [(n, seed) for n in reversed(self.n_tasks) for seed in range(self.n_seeds)]

    def key(self) -> str:
        """Return a hash of all that the measurements depend on."""
        digest = hashlib.sha256(
            json.dumps([mtrelu.__version__, self.design.name, self.n_tasks, self.n_seeds,
                        self.alpha, self.weight_decay, self.skip]).encode()
        )  # fmt: skip
        for seed in range(self.n_seeds):
            for array in self.design.draw(self.n_tasks[-1], seed):
                digest.update(repr(array.shape).encode() + array.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Sweep:
    """The measurements of all cells of a plan.

    Attributes
    ----------
    plan : Plan
        What was asked for.
    measurements : tuple of Measurement
        One a cell, by number of tasks and seed.
    """

    plan: Plan
    measurements: tuple[Measurement, ...]

    def values(self, name: str) -> FloatArray:
        """Return one quantity of every cell.

        Parameters
        ----------
        name : str
            A number among the attributes of `Measurement`.

        Returns
        -------
        ndarray of shape (S, M)
            One row a seed, one column a number of tasks. NaN where it is not defined, and where
            the networks behind it are not certified: that counts for no median and no rate.
        """
        return self._table([
            float(getattr(cell, name)) if cell.proves(name) else NAN for cell in self.measurements
        ])  # fmt: skip

    def lemma_shares(self, beta: float) -> FloatArray:
        """Return the share of [20] for one β of `BETAS`, arranged as by `values`."""
        i = BETAS.index(beta)
        cells = self.measurements
        return self._table(
            [cell.lemma_shares[i] if cell.proves("lemma_shares") else NAN for cell in cells]
        )

    def median(self, name: str) -> FloatArray:
        """Return medians over the certified seeds, shape (M,), NaN where there is none."""
        return medians(self.values(name))

    def rate(self, name: str) -> Rate:
        """Return the power law of a quantity over the number of tasks.

        Left out are one task, and for ``leave_task_out_difference`` what is `unresolved`.
        """
        counts, values = np.array(self.plan.n_tasks), self.values(name)
        used = counts > 1
        if name == "leave_task_out_difference":
            used &= ~np.isin(counts, self.unresolved())
        return fit_rate(counts[used], values[:, used])

    def unresolved(self) -> list[int]:
        """Return the numbers of tasks that say nothing about the neurons of the other tasks.

        There ``leave_task_out_difference`` is no more than three times ``restart_difference``, so
        that one may be the other; or no second start was certified that could tell.
        """
        measured = self.median("leave_task_out_difference")
        resolved = measured > RESOLVED * self.median("restart_difference")
        counts = np.array(self.plan.n_tasks)
        return [int(n) for n in counts[(measured > 0.0) & ~resolved]]

    def table(self) -> dict[str, FloatArray]:
        """Return one row for each number of tasks: penalty, counts of cells, and medians.

        Returns
        -------
        dict of str to ndarray of shape (M,)
            Column by name; of the quantities in `Measurement` the medians over the certified
            cells, and of Lemma 4.2 the median share and the promise for each β of `BETAS`.
        """
        counts = self.plan.n_tasks
        alphas = {cell.n_tasks: cell.alpha for cell in self.measurements}
        columns = {
            "n_tasks": np.array(counts),
            "alpha": np.array([alphas[n] for n in counts]),
            "cells": np.full(len(counts), self.plan.n_seeds),
            "certified": np.array(self.n_certified()),
        }
        columns |= {name: self.median(name) for name in MEDIANS}
        for beta in BETAS:
            columns[f"lemma_share beta={beta:.3g}"] = medians(self.lemma_shares(beta))
            columns[f"lemma_promise beta={beta:.3g}"] = lemma_promise(counts, beta)
        return columns

    def n_certified(self) -> list[int]:
        """Return in how many cells everything is certified, for each number of tasks."""
        cells = self.measurements
        return [
            sum(cell.certified for cell in cells if cell.n_tasks == n) for n in self.plan.n_tasks
        ]

    def uncertified(self) -> list[Measurement]:
        """Return the cells where something is not certified."""
        return [cell for cell in self.measurements if not cell.certified]

    def _table(self, values: list[float]) -> FloatArray:
        return np.array(values).reshape(len(self.plan.n_tasks), self.plan.n_seeds).T


def lemma_promise(n_tasks: Any, beta: float) -> FloatArray:
    """Return 1 − T^(−β), what Lemma 4.2 promises for the share of neurons and tasks.

    Examples
    --------
    >>> lemma_promise([1, 4], 0.5)
    array([0. , 0.5])
    """
    return np.asarray(1.0 - np.asarray(n_tasks, dtype=np.float64) ** -beta)


def run_sweep(
    plan: Plan,
    *,
    n_jobs: int = 1,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Measure all cells of a plan.

    Parameters
    ----------
    plan : Plan
        What to measure.
    n_jobs : int
        How many processes work at the same time. The numbers do not depend on it.
    checkpoint : Path, optional
        A file that keeps finished cells. If it exists, its cells are not measured again. It stays
        when the sweep is done.
    progress : callable, optional
        Called with how many cells are done and how many there are.

    Returns
    -------
    Sweep

    Raises
    ------
    InvalidInputError
        Data that cannot work, a checkpoint of another plan, or processes that were killed.

    Examples
    --------
    >>> from mtrelu.regime.designs import DESIGNS
    >>> plan = Plan.make(DESIGNS["gaussian-1d"], n_tasks=[1, 2, 10, 100], n_seeds=2)
    >>> sweep = run_sweep(plan)
    >>> sweep.n_certified(), bool(sweep.rate("output_difference").exponent < -1)
    ([2, 2, 2, 2], True)
    """
    if n_jobs < 1:
        raise InvalidInputError(f"n_jobs is {n_jobs}, but processes are counted from 1.")
    kept = None if checkpoint is None else Checkpoint(checkpoint, plan.key())
    cells = plan.cells()
    done = _restored(kept.cells if kept else [], cells)
    if progress is not None:
        progress(len(done), len(cells))
    for measured in _measured(plan, [cell for cell in cells if cell not in done], n_jobs):
        done[measured.n_tasks, measured.seed] = measured
        if kept is not None:
            kept.append(measured.to_dict())
        if progress is not None:
            progress(len(done), len(cells))
    return Sweep(plan, tuple(done[cell] for cell in sorted(cells)))


def _cell(plan: Plan, n_tasks: int, seed: int) -> Measurement:
    X, Y = plan.design.draw(n_tasks, seed)
    return measure(X, Y, plan.penalty(len(X), n_tasks), plan.skip, seed)


def _measured(plan: Plan, cells: Sequence[tuple[int, int]], n_jobs: int) -> Iterator[Measurement]:
    """Measure cells, and yield each when it is done."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    work = Parallel(
        n_jobs=min(n_jobs, len(cells)) or 1, batch_size=1, return_as="generator_unordered"
    )
    try:
        yield from work(delayed(_cell)(plan, *cell) for cell in cells)
    except TerminatedWorkerError:
        raise InvalidInputError(
            f"n_jobs is {n_jobs}, but a process was killed from outside, most often because memory "
            "ran out; use fewer."
        ) from None


def _restored(
    stored: list[dict[str, Any]], cells: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Measurement]:
    """The stored measurements that are cells of this sweep, without damaged ones."""
    done = {}
    for plain in stored:
        try:
            measured = Measurement.from_dict(plain)
        except InvalidInputError:
            continue
        if (measured.n_tasks, measured.seed) in cells:
            done[measured.n_tasks, measured.seed] = measured
    return done
