"""What Figures 8, 9 and 10 share: teachers, students, optima, and what is measured of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.paper._training import train_to_rest
from mtrelu.paper.figure import Data, Settings
from mtrelu.paper.readings import ABOUT, NOT_ZERO, SETTLED
from mtrelu.regime.designs import DESIGNS
from mtrelu.validation import FloatArray

DESIGN = DESIGNS["student-teacher"]
DECAY = 1e-4
N_TASKS = 25
TASKS = tuple(range(N_TASKS))
WIDTH = 800
MSE = 1e-4
"""Appendix B.2: weight decay on the mean squared error, tasks, width, and what all networks stay
below."""

PROVED = 1e-6
PROVED_REASON = "The tolerance that the solver is asked for."
QUICK = {"width": WIDTH, "steps": 20_000, "rate": 3e-3, "settling_steps": 2_000}
FULL = {"width": WIDTH, "steps": 60_000, "rate": 3e-3, "settling_steps": 50_000}
"""How to train at the two scales; the paper does not say for how long."""
CUTOFFS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""From which cost on, relative to the largest, a neuron is active: the paper does not say, so what
is said of active neurons has to be true of all of these."""

Function = Callable[[FloatArray], FloatArray]


def alpha(n_tasks: int) -> float:
    """Return the penalty that the paper's weight decay amounts to.

    Examples
    --------
    >>> alpha(1), alpha(25)
    (0.001, 0.025)
    """
    return mtrelu.alpha_from_weight_decay(DECAY, 20, n_tasks)


@functools.cache
def teachers() -> ReLUNetwork:
    """Return the teacher neurons of draw 0, found from what they do to data.

    The design gives labels only. At data points where a teacher is active it is linear, so that
    five of them tell its weights.
    """
    X, Y = DESIGN.draw(N_TASKS, 0)
    W = np.stack([np.linalg.lstsq(X[y > 0], y[y > 0], rcond=None)[0] for y in Y.T])
    return ReLUNetwork(W, np.zeros(N_TASKS), np.eye(N_TASKS), np.zeros((N_TASKS, 5)),
                       np.zeros(N_TASKS))  # fmt: skip


def labelled(tasks: Sequence[int], draw: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return the inputs of a draw, and the labels of some of its tasks."""
    X, Y = DESIGN.draw(N_TASKS, draw)
    return X, Y[:, list(tasks)]


def train(tasks: Sequence[int], seed: int, settings: Settings, skip: str = "affine") -> Data:
    """Train a student of draw 0; once in a process, however many figures show it.

    Parameters
    ----------
    tasks : sequence of int
        Which teachers it learns from.
    seed : int
        Where to start from.
    settings : mapping
        See `train_to_rest`.
    skip : {"affine", "none"}
        With the residual connection of [1], or as in [11], where there is none.

    Returns
    -------
    dict
        Numbers of the network, and itself under ``"network"``, or None if it diverged.
    """
    names = ("width", "steps", "rate", "settling_steps", "device")
    return dict(_train(tuple(tasks), seed, skip, tuple((n, settings[n]) for n in names
                                                      if n in settings)))  # fmt: skip


@functools.cache
def _train(tasks: tuple[int, ...], seed: int, skip: str, options: tuple[Any, ...]) -> Data:
    X, Y = labelled(tasks)
    training = train_to_rest(X, Y, alpha(len(tasks)), [seed], {**dict(options), "skip": skip})
    network = training.networks[0]
    found: Data = {
        "seed": seed,
        "skip": skip,
        "network": network,
        "settled": bool(training.stationarity[0] <= SETTLED),
        "diverged": bool(training.diverged[0]),
        "stationarity": training.stationarity[0],
        "objective": training.objectives[0],
        "steps": training.steps[0],
    }
    return found if network is None else found | numbers(network, X, Y)


def optimum(tasks: Sequence[int], draw: int = 0, skip: str = "affine") -> Data:
    """Solve to proved optimality, and leave out neurons that are not needed; once in a process.

    Parameters
    ----------
    tasks : sequence of int
        Which teachers to learn from.
    draw : int
        Of which draw.
    skip : {"affine", "constant"}
        The part of the network that is not penalised. Without one nothing can be certified.

    Returns
    -------
    dict
        ``"networks"``: what the solver found and, if its objective is proved optimal too, the same
        with the neurons left out, each with its numbers; ``"proved"``: whether the first is.
    """
    return dict(_optimum(tuple(tasks), draw, skip))


@functools.cache
def _optimum(tasks: tuple[int, ...], draw: int, skip: str) -> Data:
    X, Y = labelled(tasks, draw)
    solution = mtrelu.solve(X, Y, alpha(len(tasks)), tol=PROVED, skip=skip)
    fewer = mtrelu.reduce_neurons(solution.network, X, skip=skip)
    # The bound is one for the problem, whatever network is compared with it.
    bound, exact = solution.certificate.dual, solution.certificate.oracle == "exact"
    rows = []
    for reduced, network in ((False, solution.network), (True, fewer)):
        gap = 1.0 - bound / solution.problem.objective(network)
        rows.append(
            {
                "skip": skip,
                "reduced": reduced,
                "network": network,
                "n_neurons": network.n_neurons,
                "gap": gap,
                "proved": exact and gap <= PROVED,
                **numbers(network, X, Y),
            }
        )
    return {
        "proved": rows[0]["proved"],
        "objective": solution.certificate.primal,
        "networks": [row for row in rows if row["proved"] or not row["reduced"]],
    }


def numbers(network: ReLUNetwork, X: FloatArray, Y: FloatArray) -> Data:
    """Return what is said of a network alone: error, active neurons, and whom they work for."""
    sizes = strengths(network)
    unit = network.unit_norm()
    norms = np.linalg.norm(unit.v, axis=1)
    shown = [unit.v[norms >= cutoff * norms.max(initial=0.0)] for cutoff in CUTOFFS]
    return {
        "mse": float(np.mean((network(X) - Y) ** 2)),
        "n_active": [int(np.sum(sizes >= cutoff)) for cutoff in CUTOFFS],
        "least_entry": [least_entry(v) for v in shown],
        "strengths": sizes,
    }


def strengths(network: ReLUNetwork) -> FloatArray:
    """Return ‖v_k‖‖w_k‖, relative to the largest, largest first."""
    size = np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1)
    return np.asarray(np.sort(size)[::-1] / (size.max(initial=0.0) or 1.0))


def least_entry(v: FloatArray) -> float:
    """Return the smallest |v_kt|, relative to the root mean square of its row."""
    rows = np.abs(v) / np.sqrt(np.mean(v**2, axis=1, keepdims=True))
    return float(rows.min(initial=np.inf))


def agreed(values: Sequence[float], border: float) -> float | None:
    """Return the largest of several numbers; None if they are not all on one side of a border.

    Parameters
    ----------
    values : sequence of float
        What all the ways to read a statement give.
    border : float
        What separates the statement from its opposite.

    Examples
    --------
    >>> agreed([1.0, 3.0], 4.0), agreed([5.0, 7.0], 4.0), agreed([3.0, 5.0], 4.0)
    (3.0, 7.0, None)
    """
    return max(values) if len({value <= border for value in values}) == 1 else None


def off_by(counts: Sequence[float], expected: float) -> float | None:
    """Return how many doublings counts are from a number; None if only some of them are about it.

    Parameters
    ----------
    counts : sequence of float
        All the ways to count.
    expected : float
        What is claimed.

    Examples
    --------
    >>> off_by([150.0, 300.0], 150.0), off_by([0.0, 60.0], 150.0), off_by([60.0, 160.0], 150.0)
    (1.0, inf, None)
    """
    off = [float(abs(np.log2(count / expected))) if count else np.inf for count in counts]
    return agreed(off, ABOUT.keywords["limit"])


def shared_by_all(entries: Sequence[float]) -> float | None:
    """Return the smallest of all readings' least entries; None if only some of them are zero."""
    found = agreed([-entry for entry in entries], -NOT_ZERO.keywords["tolerance"])
    return None if found is None else -found


def more_often(first: Sequence[float], second: Sequence[float]) -> float:
    """Return how probable it is that so often the first is larger, if it were chance; sign test.

    Examples
    --------
    >>> more_often([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]), more_often([1.0, 1.0], [2.0, 2.0])
    (0.125, 1.0)
    """
    above = int(np.sum(np.asarray(first) > np.asarray(second)))
    return float(binomtest(above, len(first), 0.5, alternative="greater").pvalue)


def directions(n: int) -> FloatArray:
    """Return unit vectors, uniform on the sphere in R^5; always the same."""
    found = np.random.default_rng(0).standard_normal((n, 5))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def along(network: Function, direction: FloatArray, s: FloatArray) -> FloatArray:
    """Return the outputs on the line through the origin, shape (len(s), T)."""
    return network(s[:, np.newaxis] * direction)


def ridge_distance(s: FloatArray, values: FloatArray) -> float:
    """Return how far a function of one variable is from c + a(s − b)₊ and c + a(b − s)₊.

    Parameters
    ----------
    s : ndarray of shape (M,)
        An even grid.
    values : ndarray of shape (M,)
        The function.

    Returns
    -------
    float
        Root mean square of what the nearest such function leaves. All b on the grid and halfway
        between are tried.

    Examples
    --------
    >>> s = np.linspace(-3.0, 3.0, 61)
    >>> ridge_distance(s, np.maximum(0.5 - 2.0 * s, 0.0)) < 1e-7
    True
    >>> ridge_distance(s, np.abs(s)) > 0.5
    True
    """
    centred = values - values.mean()
    b = np.linspace(s[0], s[-1], 2 * s.size - 1)[:, np.newaxis]
    hinges = np.vstack([np.maximum(s - b[:-1], 0.0), np.maximum(b[1:] - s, 0.0)])
    hinges -= hinges.mean(axis=1, keepdims=True)
    explained = (hinges @ centred) ** 2 / (hinges**2).sum(axis=1)
    return float(np.sqrt(max(float(centred @ centred) - explained.max(), 0.0) / s.size))


def size(values: FloatArray) -> float:
    """Return the root mean square: the scale of a picture, if it is that of all teachers in it."""
    return float(np.sqrt(np.mean(values**2)))


def distance(values: FloatArray, truth: FloatArray) -> FloatArray:
    """Return the root mean square difference, column by column."""
    return np.asarray(np.sqrt(np.mean((values - truth) ** 2, axis=0)))


def other_directions(network: ReLUNetwork, points: FloatArray) -> FloatArray:
    """Return the share of the variation of each output that is not along its leading direction.

    Parameters
    ----------
    network : ReLUNetwork
        Network of T outputs.
    points : ndarray of shape (M, d)
        Over which the gradient ∇f_t varies.

    Returns
    -------
    ndarray of shape (T,)
        One minus the largest eigenvalue of Σ ∇f_t ∇f_tᵀ over its trace: 0 for a function of one
        direction, as every ridge function is, and for constants; 1 − 1/d for one that varies as
        much in all directions.

    Examples
    --------
    >>> ridge = ReLUNetwork([[1.0, 2.0]], [0.0], [[1.0]], [[0.0, 0.0]], [0.0])
    >>> bool(other_directions(ridge, np.eye(2))[0] < 1e-12)
    True
    """
    active = (points @ network.w.T + network.b > 0.0).astype(np.float64)
    shares = []
    for t in range(network.n_tasks):
        gradients = active @ (network.v[:, [t]] * network.w) + network.A[t]
        found = np.linalg.svd(gradients, compute_uv=False) ** 2
        shares.append(1.0 - found[0] / found.sum() if found.sum() > 0.0 else 0.0)
    return np.array(shares)


def lines_of(settings: Settings) -> tuple[FloatArray, FloatArray]:
    """Return the directions and the grid on lines that a figure's settings ask for."""
    return directions(settings["directions"]), np.linspace(-3.0, 3.0, settings["grid"])


def compared(network: ReLUNetwork, tasks: Sequence[int], lines: FloatArray, s: FloatArray) -> Data:
    """Return how far outputs are from ridge functions and from their teachers.

    Distances are in units of the picture: the root mean square of all teachers' outputs there. In
    units of one teacher alone, directions in which it hardly varies would dominate.

    Parameters
    ----------
    network : ReLUNetwork
        Network of one output for each of the tasks.
    tasks : sequence of int
        Which teachers they learnt from.
    lines : ndarray of shape (M, 5)
        Directions.
    s : ndarray of shape (S,)
        Where on each line.

    Returns
    -------
    dict
        Values on the first line; for each task the median and the largest distance over lines, that
        on fresh points, and the share of `other_directions` there.
    """
    ridge, teacher = [], []
    for line in lines:
        values, truth = along(network, line, s), along(teachers(), line, s)
        scale = size(truth)
        ridge.append([ridge_distance(s, each) / scale for each in values.T])
        teacher.append(distance(values, truth[:, list(tasks)]) / scale)
    points = fresh_points()
    truth = teachers()(points)
    return {
        "values": along(network, lines[0], s).T,
        "ridge": np.median(ridge, axis=0),
        "teacher": np.median(teacher, axis=0),
        "worst_ridge": np.max(ridge, axis=0),
        "worst_teacher": np.max(teacher, axis=0),
        "fresh": distance(network(points), truth[:, list(tasks)]) / size(truth),
        "share": other_directions(network, points),
    }


def fresh_points() -> FloatArray:
    """Return 2,000 standard Gaussian points that nothing was trained on."""
    return np.random.default_rng(1).standard_normal((2000, 5))


def without_network(row: Data) -> Data:
    """Return the numbers, as JSON can hold them."""
    return {name: value for name, value in row.items() if name != "network"}
