"""What is known about each network while training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.result import History, Training, TrainingProgress
from mtrelu.solvers.gradient.settings import Settings


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
    objectives, stationarity, steps, converged, diverged : torch.Tensor of shape (S,)
        See `Training`.
    trace : list of tuple
        Step, objectives and stationarity of each judgement.
    """

    step: int
    seconds: float
    rows: torch.Tensor
    final: Batch
    objectives: torch.Tensor
    stationarity: torch.Tensor
    steps: torch.Tensor
    converged: torch.Tensor
    diverged: torch.Tensor
    trace: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)

    @classmethod
    def start(cls, batch: Batch) -> Record:
        """Return the record before the first step."""
        n = batch.n_networks
        unknown = torch.full((n,), torch.inf, dtype=torch.float64)
        no = torch.zeros(n, dtype=torch.bool)
        steps = torch.zeros(n, dtype=torch.int64)
        final = Batch(*(torch.zeros_like(part, device="cpu") for part in batch.parts))
        return cls(
            0, 0.0, torch.arange(n), final, unknown, unknown.clone(), steps, no, no.clone()
        )  # fmt: skip

    def judged(self, objectives: torch.Tensor, stationarity: torch.Tensor) -> None:
        """Take in the objectives and stationarities of the networks that run."""
        finite = torch.isfinite(objectives) & torch.isfinite(stationarity)
        infinite = torch.full_like(objectives, torch.inf)
        self.objectives[self.rows] = torch.where(finite, objectives, infinite)
        self.stationarity[self.rows] = torch.where(finite, stationarity, infinite)
        self.diverged[self.rows] = ~finite
        self.steps[self.rows] = self.step
        shown = torch.full((2, self.objectives.numel()), torch.nan, dtype=torch.float64)
        shown[0, self.rows] = self.objectives[self.rows]
        shown[1, self.rows] = self.stationarity[self.rows]
        self.trace.append((self.step, shown[0], shown[1]))

    def finish(self, leaving: torch.Tensor, batch: Batch) -> None:
        """Keep the networks that leave; ``leaving`` and ``batch`` are of those that run."""
        for kept, part in zip(self.final.parts, batch.parts, strict=True):
            kept[self.rows[leaving]] = part.cpu()[leaving]
        self.rows = self.rows[~leaving]

    def progress(self, settings: Settings) -> TrainingProgress:
        """Return what a callback sees."""
        return TrainingProgress(
            self.step,
            settings.steps,
            self.objectives.numpy().copy(),
            self.stationarity.numpy().copy(),
            self.rows.numel(),
        )

    def training(self, problem: Problem, settings: Settings) -> Training:
        """Return the result of training that has come to its end."""
        networks = [
            None if diverged else self.final.network(row)
            for row, diverged in enumerate(self.diverged.tolist())
        ]
        steps, objectives, stationarity = zip(*self.trace, strict=True)
        history = History(
            torch.tensor(steps).numpy(),
            torch.stack(objectives).numpy(),
            torch.stack(stationarity).numpy(),
        )
        return Training(
            problem,
            networks,
            self.objectives.numpy(),
            self.stationarity.numpy(),
            self.converged.numpy(),
            self.diverged.numpy(),
            self.steps.numpy(),
            history,
            self.seconds,
            settings,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return everything but ``step`` and ``seconds``, to be stored."""
        steps, objectives, stationarity = zip(*self.trace, strict=True)
        hidden, output, skip = self.final.parts
        return {
            "rows": self.rows,
            "final hidden": hidden,
            "final output": output,
            "final skip": skip,
            "objectives": self.objectives,
            "stationarity": self.stationarity,
            "steps": self.steps,
            "converged": self.converged,
            "diverged": self.diverged,
            "trace steps": torch.tensor(steps),
            "trace objectives": torch.stack(objectives),
            "trace stationarity": torch.stack(stationarity),
        }

    @classmethod
    def of_tensors(cls, step: int, seconds: float, stored: Mapping[str, torch.Tensor]) -> Record:
        """Return the record that `tensors` stored."""
        trace = list(
            zip(
                stored["trace steps"].tolist(),
                stored["trace objectives"],
                stored["trace stationarity"],
                strict=True,
            )
        )
        final = Batch(*(stored[f"final {name}"] for name in ("hidden", "output", "skip")))
        judged = {
            name: stored[name]
            for name in ("objectives", "stationarity", "steps", "converged", "diverged")
        }
        return cls(step, seconds, stored["rows"], final, **judged, trace=trace)
