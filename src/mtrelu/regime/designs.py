"""Data whose number of tasks can grow: the paper's examples, and the tasks of a table.

In a *design* the first task is the one that is measured; the others keep it company. A seed stands
for one draw of everything that is random, and the tasks of a seed are exchangeable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mtrelu.validation import FloatArray, InvalidInputError, as_inputs, as_labels

__all__ = ["DESIGNS", "Design", "sup_points", "table_design"]

Draw = Callable[[int, int], tuple[FloatArray, FloatArray]]

N_LINE = 401
N_GRID = 41
N_RANDOM = 2000
"""Points at which functions are compared, for one, two, and more inputs."""


@dataclass(frozen=True)
class Design:
    """Inputs and labels for any number of tasks.

    Attributes
    ----------
    name, title : str
        What the command line calls it, and a heading.
    description : str
        What is drawn, in a few sentences.
    alpha : float
        The penalty if none is given.
    n_tasks : tuple of int
        The numbers of tasks if none are given.
    sample : callable
        ``sample(n_tasks, seed)`` returns X of shape (N, d) and Y of shape (N, n_tasks); use `draw`.
    most_tasks : int or None
        How many tasks there are; None: as many as one likes.

    Examples
    --------
    >>> X, Y = DESIGNS["two-squares"].draw(n_tasks=3, seed=0)
    >>> X.shape, Y.shape, Y[:, 0]
    ((8, 2), (8, 3), array([0., 0., 0., 0., 1., 1., 1., 1.]))
    """

    name: str
    title: str
    description: str
    alpha: float
    n_tasks: tuple[int, ...]
    sample: Draw
    most_tasks: int | None = None

    def draw(self, n_tasks: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """Return the data of one seed.

        Parameters
        ----------
        n_tasks : int
            T, at least 1.
        seed : int
            Which draw, at least 0; the same seed gives the same data.

        Returns
        -------
        X : ndarray of shape (N, d), float64
            Inputs.
        Y : ndarray of shape (N, T), float64
            Labels; the first column is the measured task.

        Raises
        ------
        InvalidInputError
            A number of tasks that the design does not have.
        """
        self.check_n_tasks(n_tasks)
        X, Y = self.sample(n_tasks, seed)
        return as_inputs(X), as_labels(Y, len(X))

    def check_n_tasks(self, n_tasks: int) -> None:
        """Raise `InvalidInputError` for a number of tasks that the design does not have."""
        if n_tasks < 1:
            raise InvalidInputError(
                f"n_tasks is {n_tasks}, but there must be a task to measure; give numbers from 1."
            )
        if self.most_tasks is not None and n_tasks > self.most_tasks:
            raise InvalidInputError(
                f"n_tasks is {n_tasks}, but {self.name} has {self.most_tasks} tasks; give numbers "
                f"up to {self.most_tasks}."
            )


def table_design(
    name: str, X: FloatArray, Y: FloatArray, *, title: str, description: str
) -> Design:
    """The tasks of a table as a design: each seed draws an order, and T tasks are its first T.

    Parameters
    ----------
    name, title, description : str
        As in `Design`.
    X : ndarray of shape (N, d)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels, one column a task. Tasks of one scale make an order at random meaningful.

    Returns
    -------
    Design
        For up to T tasks, with a penalty of 1 % of a label variance of 1, summed: 0.01 N.

    Examples
    --------
    >>> Y = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0]])
    >>> design = table_design("pair", np.array([[0.0], [1.0]]), Y, title="", description="")
    >>> design.draw(3, seed=0)[1][0], design.n_tasks
    (array([5., 0., 1.]), (1, 2, 3))
    """
    most = Y.shape[1]
    return Design(
        name=name,
        title=title,
        description=f"{description} Each seed draws an order of the {most} tasks; the first of the "
        "order is measured, and T tasks are the first T of the order.",
        alpha=0.01 * len(X),
        n_tasks=tuple(sorted({n for n in (1, 2, 5, 11, 25, 51, 101, 1001) if n < most} | {most})),
        sample=partial(_first_of_order, X, Y),
        most_tasks=most,
    )


def sup_points(X: FloatArray) -> FloatArray:
    """Points at which two functions are compared; a supremum is the largest value over these.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs of the data.

    Returns
    -------
    ndarray of shape (M, d)
        For d = 1 a grid of 401 points from the smallest input to the largest, for d = 2 a grid of
        41 x 41 points on the bounding box. For d > 2 the data and 2,000 points of their convex
        hull, each uniform in the simplex of d + 1 data points drawn at random (always the same
        for the same data).

    Examples
    --------
    >>> sup_points(np.array([[0.0], [4.0]]))[:3].ravel()
    array([0.  , 0.01, 0.02])
    """
    n, d = X.shape
    if d == 1:
        return np.linspace(X.min(axis=0), X.max(axis=0), N_LINE)
    if d == 2:
        axes = np.linspace(X.min(axis=0), X.max(axis=0), N_GRID)
        return np.stack(np.meshgrid(axes[:, 0], axes[:, 1]), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    corners = np.array([rng.choice(n, size=d + 1, replace=n <= d) for _ in range(N_RANDOM)])
    shares = rng.dirichlet(np.ones(d + 1), size=N_RANDOM)
    return np.vstack([X, np.einsum("mk,mkd->md", shares, X[corners])])


def _first_of_order(
    X: FloatArray, Y: FloatArray, n_tasks: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    return X, Y[:, np.random.default_rng(seed).permutation(Y.shape[1])[:n_tasks]]


def _two_squares(n_tasks: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Figure 5: corners of the outer square 0, of the inner one 1; then tasks at random."""
    corners = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
    first = np.repeat([0.0, 1.0], 4)[:, np.newaxis]
    others = np.random.default_rng(seed).integers(0, 2, size=(8, n_tasks - 1))
    return np.vstack([corners, 0.5 * corners]), np.hstack([first, others])


def _student_teacher(n_tasks: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Appendix B.2: a task is a teacher neuron; the tasks of fewer are among those of more."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, 5))
    W = rng.standard_normal((n_tasks, 5))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return X, np.maximum(X @ W.T, 0.0)


def _gaussian(
    n_samples: int, n_inputs: int, n_tasks: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Nothing but noise; the tasks of fewer are among those of more."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_inputs))
    return X, rng.standard_normal((n_tasks, n_samples)).T


def _gaussian_design(n_inputs: int, n_samples: int) -> Design:
    return Design(
        name=f"gaussian-{n_inputs}d",
        title=f"White labels over {n_inputs} Gaussian input{'s' if n_inputs > 1 else ''}",
        description=f"{n_samples} samples of {n_inputs} standard Gaussian "
        f"input{'s' if n_inputs > 1 else ''}; the labels of every task are standard Gaussian too, "
        "each independent of everything else. Each seed draws inputs and labels.",
        alpha=1e-2,
        n_tasks=(1, 2, 5, 11, 31, 101, 301, 1001),
        sample=partial(_gaussian, n_samples, n_inputs),
    )


# Small enough that an exact oracle proves optimality: 10 samples of 5 inputs have 3,000 faces.
_NAMED = (
    Design(
        name="two-squares",
        title="Two squares",
        description="The eight corners of two squares around the origin, of side 2 and 1. The "
        "measured task is 0 on the outer square and 1 on the inner one; in all other tasks every "
        "label is 0 or 1 with equal probability (Figure 5 of the paper). Each seed draws the "
        "labels of the other tasks.",
        alpha=1e-3,
        n_tasks=(1, 2, 3, 5, 11, 31, 101, 301, 1001),
        sample=_two_squares,
    ),
    Design(
        name="student-teacher",
        title="Student and teacher",
        description="20 samples of 5 standard Gaussian inputs. Every task is one ReLU neuron, the "
        "teacher, with weights of norm 1 at random and no bias (appendix B.2 of the paper, where "
        "T = 25). Each seed draws inputs and teachers.",
        alpha=0.025,  # the paper's weight decay of 1e-4 at T = 25
        n_tasks=(1, 2, 5, 11, 25),
        sample=_student_teacher,
    ),
    *(_gaussian_design(d, n) for d, n in ((1, 20), (2, 20), (3, 12), (5, 10))),
)
DESIGNS: dict[str, Design] = {design.name: design for design in _NAMED}
"""The designs that have a name."""
