"""Training 100 networks at once against a loop of `torch.nn` runs, on the paper's two squares.

Both take the same steps from the same starts: 800 neurons, full-batch Adam with weight decay on
input and output weights, float32, one thread. The loop is what one would write: a module, two
parameter groups, `torch.optim.Adam` and a learning-rate scheduler; it is timed on some of the
seeds, with Adam as it is by default and with ``fused=True``, the fastest there is. The batch is
judged as often as by default. Then 100 seeds are trained to the end.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from typing import Any

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.columns_scaling import two_squares
from benchmarks.harness import Figure, in_time_units
from mtrelu.network import ReLUNetwork
from mtrelu.solvers.gradient import Training, train

ALPHA = 1e-3
WIDTH, RATE = 800, 3e-3
SEEDS = {1: 100, 101: 20}
"""How many are trained at once, by number of tasks."""
LOOPED = 5
"""How many of those one after the other."""
SHORT = 500
"""Steps of the comparison: enough to time, too few to drift apart by rounding."""
LONG = 30_000


def run(quick: bool) -> list[Figure]:
    if importlib.util.find_spec("torch") is None:
        return [Figure("training: torch is not installed", math.nan, at_least=5)]
    torch: Any = importlib.import_module("torch")  # not installed where types are checked
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads wait for each other longer than they work at these sizes
    try:
        return [*speed(torch, quick), *to_the_end(quick)]
    finally:
        torch.set_num_threads(threads)


def speed(torch: Any, quick: bool) -> list[Figure]:
    """The batch against the loop, in seconds of one core, and how far apart they end.

    Everything runs in one thread, so what other programs take meanwhile does not count.
    """
    figures = []
    for n_tasks, n_seeds in SEEDS.items():
        X, Y = two_squares(n_tasks)
        n_seeds, steps = (10, 100) if quick else (n_seeds, SHORT)
        untrained = train_squares(X, Y, n_seeds, 1, learning_rate=1e-30).networks
        starts = [network for network in untrained if network is not None]
        begin = time.process_time()
        batch = train_squares(X, Y, n_seeds, steps, start=starts)
        ours = (time.process_time() - begin) / n_seeds
        looped, theirs = looped_training(torch, starts[:LOOPED], X, Y, steps, fused=False)
        _, fastest = looped_training(torch, starts[:LOOPED], X, Y, steps, fused=True)
        objectives, functions = apart(batch, looped)
        print(
            f"two squares T={n_tasks}, {steps} steps: {n_seeds} seeds at once "
            f"{in_time_units(ours)} a seed, a loop {in_time_units(theirs)}, with fused Adam "
            f"{in_time_units(fastest)}; objectives agree to {objectives:.1e}, functions to "
            f"{functions:.1e}",
            flush=True,
        )
        name = f"training: a loop of torch.nn / a batch of {n_seeds} seeds, T={n_tasks}"
        figures += [
            Figure(name, theirs / ours, at_least=5),
            Figure(f"{name}, fused Adam in the loop", fastest / ours),
            Figure(f"training: … objectives differ by (T={n_tasks})", objectives, at_most=1e-4),
            Figure(f"training: … functions differ by (T={n_tasks})", functions, at_most=1e-2),
        ]
    return figures


def looped_training(
    torch: Any, starts: list[ReLUNetwork], X: np.ndarray, Y: np.ndarray, steps: int, *, fused: bool
) -> tuple[list[ReLUNetwork], float]:
    """Train one network after the other; what came of them, and seconds of one core for each."""
    loop(torch, starts[0], X, Y, 3, fused=fused)  # imports, and memory that PyTorch keeps
    begin = time.process_time()
    found = [loop(torch, start, X, Y, steps, fused=fused) for start in starts]
    return found, (time.process_time() - begin) / len(starts)


def apart(batch: Training, looped: list[ReLUNetwork]) -> tuple[float, float]:
    """How far apart both end at most: objectives relative, functions in units of the labels."""
    objectives, functions = [], []
    grid = np.random.default_rng(0).uniform(-1, 1, (1000, batch.problem.n_inputs))
    for mine, theirs in zip(batch.networks, looped, strict=False):
        assert mine is not None
        expected = batch.problem.objective(theirs)
        objectives.append(abs(batch.problem.objective(mine) / expected - 1))
        functions.append(np.abs(mine(grid) - theirs(grid)).max())
    return max(objectives), max(functions)


def to_the_end(quick: bool) -> list[Figure]:
    """All seeds of the single task, as long as it takes to settle."""
    X, Y = two_squares(1)
    n_seeds, steps = (10, 2000) if quick else (SEEDS[1], LONG)
    begin = time.process_time()
    training = train_squares(X, Y, n_seeds, steps)
    seconds = time.process_time() - begin
    optimum = mtrelu.solve(X, Y, ALPHA, tol=1e-10).certificate.primal
    above = training.objectives / optimum - 1
    print(
        f"two squares T=1, {n_seeds} seeds, {steps} steps: {seconds:.1f} s of one core, ends "
        f"{above.min():.1e} … {np.median(above):.1e} … {above.max():.1e} above the optimum; "
        f"{int(training.converged.sum())} stationary to {training.settings.tol:g}, "
        f"{int(training.diverged.sum())} diverged",
        flush=True,
    )
    return [
        Figure(
            f"training: {n_seeds} seeds of two squares T=1 to the end, one core",
            seconds,
            "s",
            at_most=120,
        ),
        Figure("training: … median above the optimum by", float(np.median(above)), at_most=1e-3),
    ]


def train_squares(X: np.ndarray, Y: np.ndarray, n_seeds: int, steps: int, **more: Any) -> Training:
    options = {"seeds": n_seeds, "width": WIDTH, "steps": steps, "learning_rate": RATE} | more
    return train(X, Y, ALPHA, **options)


def loop(
    torch: Any, start: ReLUNetwork, X: np.ndarray, Y: np.ndarray, steps: int, *, fused: bool
) -> ReLUNetwork:
    """Train one network the usual way."""
    n_tasks, n_inputs = start.n_tasks, start.n_inputs
    hidden = torch.nn.Linear(n_inputs, WIDTH)
    output = torch.nn.Linear(WIDTH, n_tasks, bias=False)
    skip = torch.nn.Linear(n_inputs, n_tasks)
    layers = (hidden.weight, hidden.bias, output.weight, skip.weight, skip.bias)
    with torch.no_grad():
        for layer, value in zip(
            layers, (start.w, start.b, start.v.T, start.A, start.c), strict=True
        ):
            layer.copy_(torch.from_numpy(value))
    groups = [
        {"params": [hidden.weight, output.weight], "weight_decay": 2 * ALPHA / Y.size},
        {"params": [hidden.bias, skip.weight, skip.bias]},
    ]
    optimiser = torch.optim.Adam(groups, lr=RATE, fused=fused or None)
    held = 0.4 * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 1e-3 ** (max(step - held, 0.0) / (steps - held))
    )
    inputs, labels = torch.from_numpy(X).float(), torch.from_numpy(Y).float()
    loss = torch.nn.MSELoss()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(output(torch.relu(hidden(inputs))) + skip(inputs), labels).backward()
        optimiser.step()
        schedule.step()
    w, b, v, A, c = (layer.detach().double().numpy() for layer in layers)
    return ReLUNetwork(w, b, v.T, A, c)


if __name__ == "__main__":
    harness.main(run, __doc__)
