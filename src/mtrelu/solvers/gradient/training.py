"""Train many networks at once: `train`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.gradient.result import Training, TrainingProgress
from mtrelu.solvers.gradient.settings import Settings, as_settings
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError, MissingExtraError
from mtrelu.verify import verify

if TYPE_CHECKING:
    import torch

    from mtrelu.oracles.base import Oracle
    from mtrelu.solvers.gradient.batch import Batch
    from mtrelu.solvers.gradient.checkpoint import Checkpoint
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
    start: ReLUNetwork | Iterable[ReLUNetwork] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
    progress: bool = False,
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
        What ends the training of a network: that it is stationary up to ``tol``, or certified to be
        globally optimal up to the relative gap ``tol``, as by :func:`mtrelu.certify`. Judged 50
        times, by Adam not more often than every 100 steps.
    tol : float
        See ``stop``. What is compared with it in the first case is said in
        :mod:`mtrelu.solvers.gradient.stationarity`.
    dtype : {"float32", "float64"}
        Type to train in. Judgements are in float64.
    device : str
        ``"cpu"``, of which one thread is used, ``"cuda"`` or ``"cuda:1"`` …
    start : ReLUNetwork or iterable of ReLUNetwork, optional
        Where to start, one a seed; otherwise as ``torch.nn.Linear`` would.
    checkpoint : path-like, optional
        File to store the state in as training goes on. If it exists, training goes on from there,
        bit for bit as if it had not been interrupted; a finished one is returned at once.
    callback : callable, optional
        Called with a :class:`mtrelu.solvers.gradient.result.TrainingProgress` at each judgement.
    progress : bool
        Whether to show a line on standard error that says how far training is, where that is a
        terminal.

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
    Training is deterministic: on one machine and device, the same call gives the same bits. The
    networks of a batch do not influence each other, but how many there are can change the last
    digits.

    Weights start within 1 of 0, so the inputs should be of about that size: with years such as 1950
    to 2010 no hyperplane starts among the data, and gradients hardly bring one there. Standardise
    them first; with X divided by s, an ``alpha`` multiplied by 1/s means the same penalty.

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
    starts = _as_starts(start)
    settings = as_settings(
        problem, seeds=seeds, width=_width_of(starts, width), method=method, steps=steps,
        learning_rate=learning_rate, schedule=schedule, reduction=reduction, stop=stop, tol=tol,
        dtype=dtype, device=device,
    )  # fmt: skip
    if callback is not None and not callable(callback):
        raise InvalidInputError(
            f"callback is {callback!r}, which cannot be called; pass a function of one "
            "TrainingProgress."
        )
    _refuse_starts(problem, settings, starts)
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "torch") from None
    from mtrelu.solvers.gradient.batch import Batch
    from mtrelu.solvers.gradient.checkpoint import Checkpoint, key_of
    from mtrelu.solvers.gradient.progress import ProgressLine

    where = as_device(settings.device)
    drawn = (
        Batch.drawn(problem, settings.seeds, settings.width) if starts is None else Batch.of(starts)
    )
    store = None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, key_of(problem, settings, drawn))
    batch = drawn.to(dtype=getattr(torch, settings.dtype), device=where)
    listeners = [] if callback is None else [callback]
    if progress:
        listeners.append(ProgressLine())
    with torch.no_grad():
        record = _Run(problem, settings, batch).to_the_end(store, listeners)
    return record.training(problem, settings)


class _Run:
    """A training from its start or a checkpoint to its end."""

    def __init__(self, problem: Problem, settings: Settings, batch: Batch) -> None:
        from mtrelu.solvers.gradient.arithmetic import steady_arithmetic
        from mtrelu.solvers.gradient.record import Record
        from mtrelu.solvers.gradient.stationarity import Judge

        self._problem = problem
        self._settings = settings
        self._device = batch.hidden.device
        self._steady = steady_arithmetic
        self._oracle = _oracle(problem) if settings.stop == "certificate" else None
        with self._steady():
            self._judge = Judge(problem, self._device, settings.tol / 10)
            self._optimiser = _optimiser(problem, settings, batch)
            zero = problem.loss_value(np.zeros_like(problem.Y))
            self._bounds = self._judge(batch)[0].cpu().clamp_min(zero)
        self._record = Record.start(batch)

    def to_the_end(
        self, store: Checkpoint | None, listeners: Sequence[Callable[[TrainingProgress], None]]
    ) -> Record:
        if store is not None:
            self._resume(store)
        record = self._record
        last_stored, cost_of_storing = -float("inf"), 0.0
        while record.rows.numel():
            begin = time.perf_counter()
            with self._steady():
                self._go_on()
            now = time.perf_counter()
            record.seconds += now - begin
            due = now - last_stored >= cost_of_storing / STORING_SHARE or not record.rows.numel()
            if store is not None and due:
                store.store(record, self._optimiser.state)
                last_stored = time.perf_counter()
                cost_of_storing = last_stored - now
            for listener in listeners:
                listener(record.progress(self._settings))
        return record

    def _go_on(self) -> None:
        """Take steps up to the next judgement, and let those go that are finished."""
        record, settings, optimiser = self._record, self._settings, self._optimiser
        count = min(settings.check_every, settings.steps - record.step)
        optimiser.advance(record.step, count)
        record.step += count
        running, rows = optimiser.batch, record.rows
        objectives, stationarity = (each.cpu() for each in self._judge(running))
        record.judged(objectives, stationarity)
        converged = self._converged(stationarity, running)
        infinite, stalled = objectives == float("inf"), optimiser.stalled.cpu()
        leaving = converged | infinite | stalled | (record.step >= settings.steps)
        if bool(leaving.any()):
            record.converged[rows] = converged
            record.diverged[rows] = leaving & ~converged & (objectives > self._bounds[rows])
            record.stalled[rows] = stalled & ~(converged | record.diverged[rows])
            record.finish(leaving, running)
            optimiser.keep(~leaving.to(self._device))

    def _converged(self, stationarity: torch.Tensor, networks: Batch) -> torch.Tensor:
        """Which networks satisfy the rule for stopping."""
        settings = self._settings
        if settings.stop == "stationarity":
            return stationarity <= settings.tol
        certified = stationarity < float("inf")
        for position in certified.nonzero()[:, 0].tolist():
            certificate = verify(
                self._problem, networks.network(position), tol=settings.tol, oracle=self._oracle
            )
            certified[position] = certificate.status is Status.CERTIFIED
        return certified

    def _resume(self, store: Checkpoint) -> None:
        """Take up what is stored, unless its verdicts are not what the stored networks deserve."""
        stored = store.load(self._record, self._optimiser.state, self._settings.steps)
        if stored is None:
            return
        record, state = stored
        rows = record.finished
        with self._steady():
            final = record.final.rows(rows).to(device=self._device)
            objectives, stationarity = (each.cpu() for each in self._judge(final))
            converged = self._converged(record.stationarity[rows], final)
        diverged = ~converged & (objectives > self._bounds[rows])
        close = objectives.isclose(record.objectives[rows], rtol=1e-6, atol=0.0)
        close &= stationarity.isclose(record.stationarity[rows], rtol=1e-2, atol=1e-9)
        close &= (converged == record.converged[rows]) & (diverged == record.diverged[rows])
        if not bool(close.all()):
            raise store.damaged()
        self._record = record
        self._optimiser.state = {name: each.to(self._device) for name, each in state.items()}


def _oracle(problem: Problem) -> Oracle | None:
    """What `verify` needs to be built once; nothing on the line."""
    from mtrelu.oracles.choice import certifying_oracle

    if problem.n_inputs == 1 and problem.skip == "affine":
        return None
    return certifying_oracle(problem.X, problem.skip, CERTIFYING)


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


def _as_starts(start: Any) -> list[Any] | None:
    if start is None or isinstance(start, ReLUNetwork):
        return None if start is None else [start]
    if not isinstance(start, Iterable):
        raise InvalidInputError(
            f"start is a {type(start).__name__}; pass a list of one network a seed, "
            "mtrelu.as_network(model) of each."
        )
    return list(start)


def _width_of(starts: list[Any] | None, width: Any) -> Any:
    """The width asked for, or that of the networks to start from."""
    return width if not starts or width is not None else getattr(starts[0], "n_neurons", None)


def _refuse_starts(problem: Problem, settings: Settings, starts: list[Any] | None) -> None:
    if starts is None:
        return
    if len(starts) != len(settings.seeds):
        raise InvalidInputError(
            f"start has {len(starts)} networks, but there are {len(settings.seeds)} seeds; pass "
            "one network a seed."
        )
    for network in starts:
        if not isinstance(network, ReLUNetwork):
            raise InvalidInputError(
                f"start has a {type(network).__name__}; pass mtrelu.as_network(model) of each."
            )
        problem.check_network(network)
        if network.n_neurons != settings.width:
            raise InvalidInputError(
                f"start has a network of {network.n_neurons} neurons, but width is "
                f"{settings.width}; those trained side by side need one width: train them apart, "
                "or add neurons with v = 0."
            )
