"""Training as in Appendix B, carried on to where it leads."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtrelu.paper.figure import Progress, Settings
from mtrelu.paper.readings import REST, SETTLED
from mtrelu.solvers.gradient import Training, train


def train_to_rest(
    X: Any,
    Y: Any,
    alpha: float,
    seeds: list[int],
    settings: Settings,
    progress: Progress | None = None,
    kept: Path | None = None,
) -> Training:
    """Train by Adam and then by proximal gradient, which goes on downhill to a stationary point.

    Adam hardly ever comes to rest at the paper's weight decay, in whatever number of steps: it
    keeps crossing the kinks of the objective, on which stationary points lie. What a network that
    is still moving costs says nothing of where it would end.

    Parameters
    ----------
    X, Y : array_like of shape (N, d) and (N, T)
        Data.
    alpha : float
        Penalty.
    seeds : list of int
        Where to start from.
    settings : mapping
        ``width``; ``steps`` and ``rate`` of Adam; ``settling_steps`` at most after it; ``device``,
        the CPU if not given; ``skip``, affine if not given.
    progress : callable, optional
        See `Figure.measure`.
    kept : Path, optional
        File from which an interrupted training by Adam goes on.

    Returns
    -------
    Training
        Of all seeds; ``steps``, ``seconds`` are those of both together, ``history`` that of Adam.
    """
    total = settings["steps"] + settings["settling_steps"]
    options = {
        "width": settings["width"],
        "device": settings.get("device", "cpu"),
        "skip": settings.get("skip", "affine"),
    }
    adam = train(
        X, Y, alpha, seeds=seeds, steps=settings["steps"], learning_rate=settings["rate"],
        tol=REST, checkpoint=kept, **options,
        callback=None if progress is None else lambda now: progress(now.step, total),
    )  # fmt: skip
    going = [i for i, done in enumerate(adam.converged | adam.diverged) if not done]
    if not going:
        return adam
    # float64: near a stationary point the steps are below the resolution of float32.
    rest = train(
        X, Y, alpha, seeds=[seeds[i] for i in going], method="proximal",
        steps=settings["settling_steps"], tol=REST, dtype="float64", **options,
        start=[network for i in going if (network := adam.networks[i]) is not None],
        callback=None if progress is None
        else lambda now: progress(settings["steps"] + now.step, total),
    )  # fmt: skip
    networks = list(adam.networks)
    for i, network in zip(going, rest.networks, strict=True):
        networks[i] = network
    parts = {}
    for name in ("objectives", "stationarity", "converged", "diverged"):
        parts[name] = getattr(adam, name).copy()
        parts[name][going] = getattr(rest, name)
    steps = adam.steps.copy()
    steps[going] += rest.steps
    return replace(
        adam, networks=networks, steps=steps, seconds=adam.seconds + rest.seconds, **parts
    )


def if_settled(
    value: float, stationarity: float, tolerance: float = 0.0, settled: float = SETTLED
) -> float | None:
    """Return a number to judge by; None if a network that still moves is above the tolerance.

    The paper's networks are trained to convergence, so that one which is not is no instance of what
    it says, unless it is good already. That a seed diverged, with infinite stationarity, is final.

    Examples
    --------
    >>> if_settled(0.2, 1e-3), if_settled(0.2, 0.5), if_settled(0.2, 0.5, tolerance=0.3)
    (0.2, None, 0.2)
    """
    moving = settled < stationarity < math.inf
    return None if moving and value > tolerance else value
