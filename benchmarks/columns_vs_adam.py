"""`mtrelu.solve` against full-batch Adam on the same objective: time, and where Adam ends.

Adam trains 800 neurons with a skip connection on ½ Σ‖y − f(x)‖² + α/2 Σ_k (‖v_k‖² + ‖w_k‖²), with
neither biases nor skip connection decayed, at a learning rate of 3e-3 for 40 % of the steps that
then falls exponentially by 10³. It starts from small and from large output weights, and the better
end counts, judged in path form, which is never larger. mtrelu's time is taken to the same
objective, and to its certificate.
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
from mtrelu.solvers.progress import Progress
from mtrelu.status import Status

ALPHA = 1e-3
TOL = 1e-9
WIDTH = 800
STEPS = {101: 12_000, 1: 30_000}
"""Steps by number of tasks; fewer neurons matter with more tasks, and fewer steps are enough."""
RATE, HELD, FALL = 3e-3, 0.4, 1e-3
STARTS = ((0.7, 1.0, 0.01), (0.1, 0.1, 0.1))
"""Standard deviation of input weights, biases, and output weights times the root of T."""


def run(quick: bool) -> list[Figure]:
    if importlib.util.find_spec("torch") is None:
        return [Figure("columns: torch is not installed", math.nan, at_least=1)]
    figures = []
    mtrelu.solve(*two_squares(2), ALPHA)  # loads compiled code
    for n_tasks, steps in STEPS.items():
        X, Y = two_squares(n_tasks)
        reached: list[tuple[float, float]] = []  # objective, and the seconds it took
        begin = time.perf_counter()

        def record(progress: Progress, begin: float = begin, reached: Any = reached) -> None:
            reached.append((progress.objective, time.perf_counter() - begin))

        solution = mtrelu.solve(X, Y, ALPHA, tol=TOL, callback=record)
        ours = time.perf_counter() - begin
        certificate = solution.certificate
        optimum = certificate.primal if solution.status is Status.CERTIFIED else math.nan
        ends = []
        for sizes in STARTS:
            network, theirs = adam(X, Y, ALPHA, steps // 20 if quick else steps, sizes)
            ends.append((mtrelu.certify(network, X, Y, ALPHA), network, theirs))
        end, network, theirs = min(ends, key=lambda each: each[0].primal)
        above = (end.primal - optimum) / optimum
        as_good = min((seconds for value, seconds in reached if value <= end.primal), default=ours)
        active = int(np.sum(np.linalg.norm(network.v, axis=1) > 1e-3 * np.abs(network.v).max()))
        print(
            f"two squares T={n_tasks}: solve {in_time_units(ours)}, gap "
            f"{certificate.relative_gap:.1e}, {solution.network.n_neurons} neurons; Adam "
            f"{in_time_units(theirs)}, ends {above:.1e} above the optimum (certified gap "
            f"{end.relative_gap:.1e}), {active} of {WIDTH} neurons active",
            flush=True,
        )
        label = f"Adam / solve to Adam's last objective, two squares T={n_tasks}"
        figures += [
            Figure(f"columns: time of {label}", theirs / as_good, at_least=1),
            Figure(f"columns: … solve to its certificate (T={n_tasks})", theirs / ours, at_least=1),
            Figure(f"columns: … Adam ends above the optimum by (T={n_tasks})", above, at_least=0),
        ]
    return figures


def adam(
    X: np.ndarray, Y: np.ndarray, alpha: float, steps: int, sizes: tuple[float, float, float]
) -> tuple[mtrelu.ReLUNetwork, float]:
    """Train a network; return it and the seconds of the steps."""
    torch: Any = importlib.import_module("torch")  # not installed where types are checked
    generator = torch.Generator().manual_seed(0)
    n_tasks, n_inputs = Y.shape[1], X.shape[1]
    inputs, labels = torch.from_numpy(X), torch.from_numpy(Y)

    def start(*shape: int, size: float) -> Any:
        values = size * torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    w, b = start(WIDTH, n_inputs, size=sizes[0]), start(WIDTH, size=sizes[1])
    v = start(WIDTH, n_tasks, size=sizes[2] * n_tasks**-0.5)
    A, c = start(n_tasks, n_inputs, size=0.0), start(n_tasks, size=0.0)
    optimiser = torch.optim.Adam([w, b, v, A, c], lr=RATE, fused=True)  # the fastest
    held = HELD * steps

    def rate(step: int) -> float:
        return float(FALL ** (max(step - held, 0.0) / (steps - held)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    begin = time.perf_counter()
    for _ in range(steps):
        optimiser.zero_grad()
        outputs = torch.relu(inputs @ w.T + b) @ v + inputs @ A.T + c
        objective = 0.5 * ((labels - outputs) ** 2).sum()
        objective = objective + 0.5 * alpha * ((v**2).sum() + (w**2).sum())
        objective.backward()
        optimiser.step()
        schedule.step()
    seconds = time.perf_counter() - begin
    parameters = [each.detach().numpy() for each in (w, b, v, A, c)]
    return mtrelu.ReLUNetwork(*parameters), seconds


if __name__ == "__main__":
    harness.main(run, __doc__)
