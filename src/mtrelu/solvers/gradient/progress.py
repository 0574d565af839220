"""One line on a terminal that says how far training is."""

from __future__ import annotations

import sys

import numpy as np

from mtrelu.solvers.gradient.result import TrainingProgress


class ProgressLine:
    """Write a line to standard error at each judgement, over the last; nothing off a terminal."""

    def __call__(self, now: TrainingProgress) -> None:
        """Show where training is; the last line stays."""
        if sys.stderr.isatty():
            over = now.n_running == 0
            sys.stderr.write(f"\r{described(now)}\x1b[K" + ("\n" if over else ""))
            sys.stderr.flush()


def described(now: TrainingProgress) -> str:
    """Return the line.

    The time left is for the steps left, an upper bound if the networks finish before the last step.

    Examples
    --------
    >>> described(TrainingProgress(300, 1200, np.array([0.5, 0.25, 4.0]), np.ones(3), 2, 61.0))
    'training: step 300 of 1200, median objective 0.5, 2 of 3 networks running, 3:03 left at most'
    """
    left = round(now.seconds / now.step * (now.n_steps - now.step)) if now.n_running else 0
    return (
        f"training: step {now.step} of {now.n_steps}, median objective "
        f"{np.median(now.objectives):.4g}, {now.n_running} of {now.objectives.size} networks "
        f"running, {left // 60}:{left % 60:02d} left at most"
    )
