"""Train many networks at once: `train`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.gradient.result import Training, TrainingProgress
from mtrelu.solvers.gradient.settings import Settings, as_settings
from mtrelu.validation import InvalidInputError, MissingExtraError
from mtrelu.verify import verify

if TYPE_CHECKING:
    import torch

    from mtrelu.solvers.gradient.batch import Batch
    from mtrelu.solvers.gradient.optimiser import Optimiser
    from mtrelu.solvers.gradient.record import Record

STORING_SHARE = 0.05  # of the time, at most, goes into checkpoints
CERTIFYING = 2.0  # seconds for branch and bound where there is no exact oracle


def train(
    X: Any,
    Y: Any,
    alpha: float,
    *,
    seeds: int | Sequence[int] = 10,
    width: int | None = None,
    skip: str = "affine",
    sample_weight: Any = None,
    method: str = "adam",
    steps: int | None = None,
    learning_rate: float | None = None,
    schedule: str = "settle",
    reduction: str = "mean",
    stop: str = "stationarity",
    tol: float = 1e-2,
    dtype: str = "float32",
    device: str = "cpu",
    start: Sequence[ReLUNetwork] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> Training:
    """Train networks from several seeds at once by full-batch gradients with weight decay [2].

    What is descended is ``torch.nn.MSELoss`` plus the coupled weight decay λ of PyTorch's
    optimisers on input and output weights, neither on biases nor on the skip connection, with λ
    such that balanced stationary points are those of [12] at ``alpha``; turned around,
    ``alpha = mtrelu.alpha_from_weight_decay(λ, N, T, reduction)``.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs.
    Y : array_like of shape (N, T) or (N,)
        Labels, one column a task.
    alpha : float
        Penalty on Σ_k ‖v_k‖‖w_k‖, as for :func:`mtrelu.solve`; > 0.
    seeds : int or sequence of int
        How many networks, or the seed of each. A seed stands for the same start whatever the
        others are. All networks are trained in one batched computation.
    width : int, optional
        Neurons K; 20 for one input and 800 for several if nothing is said, as in the paper.
    skip : {"affine", "constant", "none"}
        Whether the networks have A x + c [1], only c, or neither [11].
    sample_weight : array_like of shape (N,), optional
        Multiplies the loss of each sample.
    method : {"adam", "lbfgs", "proximal"}
        Adam as in Appendix B of the paper; L-BFGS, each network with its own line search; or
        proximal gradient on the path form [12], whose neurons become exactly zero and whose
        objective never rises.
    steps : int, optional
        After which training ends in any case: 30,000 for Adam, 3,000 for L-BFGS, 10,000 for
        proximal gradient.
    learning_rate : float, optional
        Of Adam; 0.003.
    schedule : {"settle", "constant"}
        Of Adam: hold the learning rate for 40 % of ``steps``, then let it fall exponentially by
        10³; or hold it to the end, which does not settle.
    reduction : {"mean", "sum"}
        Whether the squared errors are averaged over all N·T entries or summed. Weight decay follows
        from ``alpha``, so this is a mere factor of the objective, which Adam hardly and the other
        methods do not notice.
    stop : {"stationarity", "certificate"}
        What ends the training of a network: that it is stationary, or that the relative duality gap
        of [12] proves it globally optimal, up to ``tol``. Judged 50 times, by
        Adam not more often than every 50 steps.
    tol : float
        See ``stop``. Near a stationary point the objective is above that of the point by roughly
        the square of the stationarity, relative.
    dtype : {"float32", "float64"}
        Type to train in. Judgements are in float64.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` …
    start : sequence of ReLUNetwork, optional
        Where to start, one a seed; otherwise as ``torch.nn.Linear`` would.
    checkpoint : path-like, optional
        File to store the state in as training goes on. If it exists, training goes on from there,
        bit for bit as if it had not been interrupted; a finished one is returned at once.
    callback : callable, optional
        Called with a :class:`mtrelu.solvers.gradient.result.TrainingProgress` at each judgement.

    Returns
    -------
    Training
        All networks, those that diverged or did not converge marked as such.

    Raises
    ------
    InvalidInputError
        Data or options that cannot work, a GPU that is not there, a checkpoint of another training.
    MissingExtraError
        PyTorch is not installed.

    Notes
    -----
    Training is deterministic: on one machine, with one number of threads, the same call gives the
    same bits. The networks of a batch do not influence each other, but how many there are can
    change the last digits.

    Examples
    --------
    >>> from mtrelu.solvers.gradient import train
    >>> training = train([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1, seeds=3, method="proximal")
    >>> training
    <Training: 3 networks of 20 neurons, 3 converged, 0 diverged>
    >>> bool(training.certify(0).relative_gap < 1e-2)
    True
    """
    problem = Problem.make(X, Y, alpha, skip=skip, sample_weight=sample_weight)
    problem.refuse_unshared_weights("training by gradients")
    settings = as_settings(
        problem, seeds=seeds, width=_width_of(start, width), method=method, steps=steps,
        learning_rate=learning_rate, schedule=schedule, reduction=reduction, stop=stop, tol=tol,
        dtype=dtype, device=device,
    )  # fmt: skip
    if callback is not None and not callable(callback):
        raise InvalidInputError(
            f"callback is {callback!r}, which cannot be called; pass a function of one "
            "TrainingProgress."
        )
    _refuse_start(problem, settings, start)
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "torch") from None
    from mtrelu.solvers.gradient.batch import Batch
    from mtrelu.solvers.gradient.checkpoint import Checkpoint, key_of

    where = as_device(settings.device)
    drawn = (
        Batch.drawn(problem, settings.seeds, settings.width) if start is None else Batch.of(start)
    )
    store = None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, key_of(problem, settings, drawn))
    batch = drawn.to(dtype=getattr(torch, settings.dtype), device=where)
    with torch.no_grad():
        record = _run(problem, settings, batch, store, callback)
    return record.training(problem, settings)


def _run(
    problem: Problem,
    settings: Settings,
    batch: Batch,
    store: Any,
    callback: Callable[[TrainingProgress], None] | None,
) -> Record:
    from mtrelu.solvers.gradient.denormals import flushed_denormals
    from mtrelu.solvers.gradient.record import Record
    from mtrelu.solvers.gradient.stationarity import Judge

    judge = Judge(problem, batch.hidden.device)
    optimiser = _optimiser(problem, settings, batch)
    record = Record.start(batch)
    stored = None if store is None else store.load()
    if stored is not None:
        record, state = stored
        optimiser.state = {name: each.to(batch.hidden.device) for name, each in state.items()}
    last_stored, cost_of_storing = -float("inf"), 0.0
    while record.rows.numel():
        begin = time.perf_counter()
        count = min(settings.check_every, settings.steps - record.step)
        with flushed_denormals():
            optimiser.advance(record.step, count)
        record.step += count
        running = optimiser.batch
        objectives, stationarity = judge(running)
        record.judged(objectives.cpu(), stationarity.cpu())
        record.converged[record.rows] = _converged(problem, settings, record, running)
        over = record.step >= settings.steps
        leaving = record.converged[record.rows] | record.diverged[record.rows] | over
        leaving |= optimiser.stalled.cpu()
        if bool(leaving.any()):
            record.finish(leaving, running)
            optimiser.keep(~leaving.to(batch.hidden.device))
        now = time.perf_counter()
        record.seconds += now - begin
        due = now - last_stored >= cost_of_storing / STORING_SHARE or not record.rows.numel()
        if store is not None and due:
            store.store(record, optimiser.state)
            last_stored = time.perf_counter()
            cost_of_storing = last_stored - now
        if callback is not None:
            callback(record.progress(settings))
    return record


def _converged(
    problem: Problem, settings: Settings, record: Record, running: Batch
) -> torch.Tensor:
    """Which of the networks that run satisfy the rule for stopping."""
    import torch

    if settings.stop == "stationarity":
        return record.stationarity[record.rows] <= settings.tol
    gaps = [
        float("inf")
        if record.diverged[row]
        else verify(
            problem, running.network(position), tol=settings.tol, time_limit=CERTIFYING
        ).relative_gap
        for position, row in enumerate(record.rows.tolist())
    ]
    return torch.tensor(gaps, dtype=torch.float64) <= settings.tol


def _optimiser(problem: Problem, settings: Settings, batch: Batch) -> Optimiser:
    from mtrelu.solvers.gradient.adam import Adam
    from mtrelu.solvers.gradient.lbfgs import LBFGS
    from mtrelu.solvers.gradient.objective import Objective
    from mtrelu.solvers.gradient.path_prox import PathProx

    methods: dict[str, type[Optimiser]] = {"adam": Adam, "lbfgs": LBFGS, "proximal": PathProx}
    objective = Objective(problem, settings.reduction, batch.hidden)
    return methods[settings.method](objective, settings, batch)


def as_device(name: str) -> torch.device:
    """Return the device of that name.

    Raises
    ------
    InvalidInputError
        A name of nothing, or a GPU that PyTorch does not see.
    """
    import torch

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InvalidInputError(f'device is {name!r}; pass "cpu", "cuda" or "cuda:0".')
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise InvalidInputError(
                f"device is {name!r}, but PyTorch sees {count} GPUs here; pass device='cpu', or "
                "install a driver and a build of PyTorch for the GPU."
            )
    return device


def _width_of(start: Sequence[ReLUNetwork] | None, width: Any) -> Any:
    """The width asked for, or that of the networks to start from."""
    if start is None or width is not None or not len(start):
        return width
    return getattr(start[0], "n_neurons", None)


def _refuse_start(
    problem: Problem, settings: Settings, start: Sequence[ReLUNetwork] | None
) -> None:
    if start is None:
        return
    if len(start) != len(settings.seeds):
        raise InvalidInputError(
            f"start has {len(start)} networks, but there are {len(settings.seeds)} seeds; pass one "
            "network a seed."
        )
    for network in start:
        if not isinstance(network, ReLUNetwork):
            raise InvalidInputError(
                f"start has a {type(network).__name__}; pass mtrelu.as_network(model) of each."
            )
        problem.check_network(network)
        if network.n_neurons != settings.width:
            raise InvalidInputError(
                f"start has a network of {network.n_neurons} neurons, but width is "
                f"{settings.width}; those trained side by side need one width."
            )
