"""What is known about each network while training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.result import History, Training, TrainingProgress
from mtrelu.solvers.gradient.settings import Settings

_LAYERS = ("hidden", "output", "skip")
_OUTCOME = ("objectives", "stationarity", "steps", "converged", "stalled", "diverged")
_GROWING = ("judged_at", "past_objectives", "past_stationarity")


@dataclass
class Record:
    """One row a seed, on the CPU, whether its network still runs or not.

    Attributes
    ----------
    step : int
        Steps taken by the networks that run.
    seconds : float
        Time taken so far.
    rows : torch.Tensor
        Which networks run.
    final : Batch
        The networks as they were when they finished, in the type they were trained in.
    objectives, stationarity, steps, converged, stalled, diverged : torch.Tensor of shape (S,)
        See `Training`.
    judged_at : torch.Tensor of shape (C,)
        Steps of the judgements.
    past_objectives, past_stationarity : torch.Tensor of shape (C, S)
        See `History`.
    """

    step: int
    seconds: float
    rows: torch.Tensor
    final: Batch
    objectives: torch.Tensor
    stationarity: torch.Tensor
    steps: torch.Tensor
    converged: torch.Tensor
    stalled: torch.Tensor
    diverged: torch.Tensor
    judged_at: torch.Tensor
    past_objectives: torch.Tensor
    past_stationarity: torch.Tensor

    @classmethod
    def start(cls, batch: Batch) -> Record:
        """Return the record before the first step."""
        n = batch.n_networks
        return cls(
            step=0,
            seconds=0.0,
            rows=torch.arange(n),
            final=Batch(*(torch.zeros_like(part, device="cpu") for part in batch.parts)),
            objectives=torch.full((n,), torch.inf, dtype=torch.float64),
            stationarity=torch.full((n,), torch.inf, dtype=torch.float64),
            steps=torch.zeros(n, dtype=torch.int64),
            converged=torch.zeros(n, dtype=torch.bool),
            stalled=torch.zeros(n, dtype=torch.bool),
            diverged=torch.zeros(n, dtype=torch.bool),
            judged_at=torch.zeros(0, dtype=torch.int64),
            past_objectives=torch.zeros((0, n), dtype=torch.float64),
            past_stationarity=torch.zeros((0, n), dtype=torch.float64),
        )

    def judged(self, objectives: torch.Tensor, stationarity: torch.Tensor) -> None:
        """Take in the objectives and stationarities of the networks that run."""
        self.objectives[self.rows] = objectives
        self.stationarity[self.rows] = stationarity
        self.diverged[self.rows] = torch.isinf(objectives)
        self.steps[self.rows] = self.step
        shown = torch.full((2, 1, self.objectives.numel()), torch.nan, dtype=torch.float64)
        shown[0, 0, self.rows], shown[1, 0, self.rows] = objectives, stationarity
        self.judged_at = torch.cat((self.judged_at, torch.tensor([self.step])))
        self.past_objectives = torch.cat((self.past_objectives, shown[0]))
        self.past_stationarity = torch.cat((self.past_stationarity, shown[1]))

    def finish(self, leaving: torch.Tensor, batch: Batch) -> None:
        """Keep the networks that leave; ``leaving`` and ``batch`` are of those that run."""
        for kept, part in zip(self.final.parts, batch.parts, strict=True):
            kept[self.rows[leaving]] = part.cpu()[leaving]
        self.rows = self.rows[~leaving]

    @property
    def finished(self) -> torch.Tensor:
        """Which networks do not run."""
        done = torch.ones(self.steps.numel(), dtype=torch.bool)
        done[self.rows] = False
        return done.nonzero()[:, 0]

    def progress(self, settings: Settings) -> TrainingProgress:
        """Return what a callback sees."""
        return TrainingProgress(
            self.step,
            settings.steps,
            self.objectives.numpy().copy(),
            self.stationarity.numpy().copy(),
            self.rows.numel(),
            self.seconds,
        )

    def training(self, problem: Problem, settings: Settings) -> Training:
        """Return the result of training that has come to its end."""
        networks = [
            self.final.network(row) if finite else None
            for row, finite in enumerate(torch.isfinite(self.objectives).tolist())
        ]
        past = (self.judged_at, self.past_objectives, self.past_stationarity)
        return Training(
            problem=problem,
            networks=networks,
            **{name: getattr(self, name).numpy() for name in _OUTCOME},
            history=History(*(each.numpy() for each in past)),
            seconds=self.seconds,
            settings=settings,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return everything but ``step`` and ``seconds``, to be stored."""
        layers = {f"final {name}": getattr(self.final, name) for name in _LAYERS}
        return layers | {name: getattr(self, name) for name in ("rows", *_OUTCOME, *_GROWING)}

    @classmethod
    def of_tensors(cls, step: int, seconds: float, stored: Mapping[str, torch.Tensor]) -> Record:
        """Return the record that `tensors` stored."""
        final = Batch(*(stored[f"final {name}"] for name in _LAYERS))
        rest = {name: stored[name] for name in ("rows", *_OUTCOME, *_GROWING)}
        return cls(step=step, seconds=seconds, final=final, **rest)
