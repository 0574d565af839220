"""Training 100 networks at once against a loop of `torch.nn` runs, on the paper's two squares.

Both take the same steps from the same starts: 800 neurons, full-batch Adam with weight decay on
input and output weights, float32, one thread. The loop is what one would write: a module, two
parameter groups, PyTorch's fastest Adam and a learning-rate scheduler. It is timed on some of the
seeds. Then 100 seeds are trained to the end.
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
    """The batch against the loop, in seconds a network and step, and how far apart they end."""
    figures = []
    for n_tasks, n_seeds in SEEDS.items():
        X, Y = two_squares(n_tasks)
        n_seeds, steps = (10, 100) if quick else (n_seeds, SHORT)
        untrained = train_squares(X, Y, n_seeds, 1, learning_rate=1e-30).networks
        starts = [network for network in untrained if network is not None]
        begin = time.perf_counter()
        batch = train_squares(X, Y, n_seeds, steps, start=starts)
        ours = (time.perf_counter() - begin) / n_seeds
        begin = time.perf_counter()
        looped = [loop(torch, network, X, Y, steps) for network in starts[:LOOPED]]
        theirs = (time.perf_counter() - begin) / LOOPED
        problem = batch.problem
        apart = max(
            abs(problem.objective(network) / mine - 1)
            for network, mine in zip(looped, batch.objectives, strict=False)
        )
        print(
            f"two squares T={n_tasks}, {steps} steps: {n_seeds} seeds at once "
            f"{in_time_units(ours)} a seed, a loop {in_time_units(theirs)}; objectives agree to "
            f"{apart:.1e}",
            flush=True,
        )
        figures += [
            Figure(
                f"training: a loop of torch.nn / a batch of {n_seeds} seeds, T={n_tasks}",
                theirs / ours,
                at_least=5 if n_tasks == 1 else None,
            ),
            Figure(f"training: … objectives differ by (T={n_tasks})", apart, at_most=1e-2),
        ]
    return figures


def to_the_end(quick: bool) -> list[Figure]:
    """All seeds of the single task, as long as it takes to settle."""
    X, Y = two_squares(1)
    n_seeds, steps = (10, 2000) if quick else (SEEDS[1], LONG)
    begin = time.process_time()  # of one thread: what other programs take does not count
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


def loop(torch: Any, start: ReLUNetwork, X: np.ndarray, Y: np.ndarray, steps: int) -> ReLUNetwork:
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
    optimiser = torch.optim.Adam(groups, lr=RATE, fused=True)
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
