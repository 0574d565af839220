"""Picture of what each neuron does to each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mtrelu.displays._fitted import input_names, network_of, tasks_of
from mtrelu.displays._style import INK, PANELS, diverging, literal, new_axes, task_names, ticks
from mtrelu.network import ReLUNetwork

BRIGHT = 0.99
"""Colours are spread over this share of the coefficients; a few giants would leave all white."""
ARRANGED = 1000
"""Among more neurons the arrangement of neighbours is not optimised."""


class CoefficientDisplay:
    """How much each neuron adds to each task, as a heat map of tasks × neurons.

    The coefficient of neuron k in task t is v_kt‖w_k‖, which does not depend on how the network
    divides a neuron's weight between its layers. With one input it is the change of slope at the
    neuron's knot, and neurons are in the order of their knots. With several, neurons that serve the
    same tasks are next to each other.

    Parameters
    ----------
    coefficients : ndarray of shape (T, K)
        One row a task, one column a neuron.
    neurons : sequence of str
        The name of each column.
    tasks : sequence of str
        The name of each row.
    neuron_name : str, default="neuron"
        What the names of the columns are.
    coefficient_name : str, default="coefficient"
        What the colours are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import CoefficientDisplay
    >>> x = [0.0, 1.0, 2.0, 3.0, 4.0]
    >>> Y = [[0.0, 4.0], [1.0, 2.0], [2.0, 0.0], [1.0, 2.0], [0.0, 4.0]]
    >>> solution = mtrelu.solve(x, Y, alpha=0.01)
    >>> display = CoefficientDisplay.from_network(solution.network, tasks=["up", "down"])
    >>> display.neurons, display.coefficients.round(1).tolist()
    (['2'], [[-2.0], [4.0]])
    """

    def __init__(
        self,
        *,
        coefficients: np.ndarray,
        neurons: Sequence[str],
        tasks: Sequence[str],
        neuron_name: str = "neuron",
        coefficient_name: str = "coefficient",
    ) -> None:
        self.coefficients = coefficients
        self.neurons = list(neurons)
        self.tasks = list(tasks)
        self.neuron_name = neuron_name
        self.coefficient_name = coefficient_name

    @classmethod
    def from_network(
        cls, network: ReLUNetwork, *, tasks: Sequence[str] | None = None, input_name: str = "x"
    ) -> Self:
        """Arrange the neurons of a network for drawing.

        Parameters
        ----------
        network : ReLUNetwork
            The network.
        tasks : sequence of str, optional
            Names; numbers if not given.
        input_name : str, default="x"
            Name of the input, if there is one.

        Returns
        -------
        CoefficientDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            Names that are not one a task.
        """
        names = task_names(tasks, network.n_tasks)
        if network.n_inputs == 1:
            return cls(
                coefficients=network.slope_changes().T,
                neurons=_places(network.knots()),
                tasks=names,
                neuron_name=f"knot ({input_name})",
                coefficient_name="slope change",
            )
        v = network.unit_norm().v
        order = _arranged(v)
        return cls(
            coefficients=v[order].T,
            neurons=[str(k + 1) for k in order],
            tasks=names,
            neuron_name="neuron",
        )

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, y: Any = None, *, tasks: Sequence[str] | None = None
    ) -> Self:
        """Arrange the neurons of a fitted estimator for drawing.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier or another estimator whose fit is a network
            Fitted.
        X, y : array-like, optional
            Only the names of their columns are used: of the input, and of the tasks.
        tasks : sequence of str, optional
            Names of the tasks; by default those of the columns of `y`, or numbers.

        Returns
        -------
        CoefficientDisplay
            Not yet drawn; call `plot`.
        """
        network = network_of(estimator)
        return cls.from_network(
            network,
            tasks=tasks_of(estimator, y, tasks, network.n_tasks),
            input_name=input_names(estimator, X, network.n_inputs)[0],
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to; a new figure of pyplot's if not given.

        Returns
        -------
        CoefficientDisplay
            Itself, with `ax_` and `figure_`.
        """
        n_tasks, n_neurons = self.coefficients.shape
        self.ax_ = new_axes(ax, (8.0, min(2.0 + 0.14 * n_tasks, 11.0)))
        self.figure_ = self.ax_.figure
        sizes = np.abs(self.coefficients)
        largest = float(sizes.max(initial=0.0))
        limit = float(np.quantile(sizes, BRIGHT, method="higher")) if sizes.size else 0.0
        limit = limit or largest or 1.0
        shown = self.coefficients if n_neurons else np.zeros((n_tasks, 1))
        image = self.ax_.imshow(
            shown, aspect="auto", cmap=diverging(), vmin=-limit, vmax=limit,
            interpolation="nearest",
        )  # fmt: skip
        self.ax_.set_xticks(
            *ticks([literal(name) for name in self.neurons]),
            fontsize=8,
            rotation=90 if n_neurons > PANELS else 0,
        )
        self.ax_.set_yticks(
            *ticks([literal(name) for name in self.tasks], most=70),
            fontsize=7 if n_tasks > 20 else 9,
        )
        self.ax_.set_xlabel(literal(self.neuron_name), color=INK)
        if n_neurons == 0:
            self.ax_.set_title("no neurons: every task is linear", fontsize=10, color=INK)
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)
        if n_neurons and max(n_tasks, n_neurons) <= PANELS:
            self._write_values(limit)
        bar = self.figure_.colorbar(
            image, ax=self.ax_, pad=0.02, anchor=(0.0, 1.0), aspect=24,
            shrink=min(0.9, 4.0 / self.figure_.get_figheight()),
            extend="both" if largest > limit else "neither",
        )  # fmt: skip
        bar.set_label(literal(self.coefficient_name), fontsize=8)
        bar.ax.tick_params(colors=INK, labelsize=8)
        bar.outline.set_visible(False)
        return self

    def _write_values(self, limit: float) -> None:
        decimals = 2 - int(np.floor(np.log10(limit)))
        form = f".{max(decimals, 0)}f" if decimals <= 4 else ".2g"
        for (t, k), value in np.ndenumerate(self.coefficients):
            self.ax_.text(
                k, t, f"{value:{form}}".replace("-", "−"), ha="center", va="center", fontsize=8,
                color="white" if abs(value) > 0.4 * limit else INK,
            )  # fmt: skip


def _places(knots: np.ndarray) -> list[str]:
    """Return knots as text: as few decimals as tell them apart, to a hundredth of their range."""
    extent = float(np.ptp(knots)) if len(knots) > 1 else 0.0
    fewest = max(0, int(np.ceil(2.0 - np.log10(extent)))) if extent > 0.0 else len(knots) * 9
    for decimals in range(fewest, fewest + 3):
        names = [f"{knot:.{decimals}f}" for knot in knots]
        if len(set(names)) == len(names) and max(map(len, names), default=0) <= 9:
            return names
    return [f"{knot:.6g}" for knot in knots]


def _arranged(v: np.ndarray) -> np.ndarray:
    """Return an order of the neurons, rows of v (K, T), in which those of like tasks are near.

    By average linkage of the rows' directions, and for one task by size and sign.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    n_neurons, n_tasks = v.shape
    if n_tasks == 1 or n_neurons < 3:
        return np.argsort(v.sum(axis=1), kind="stable")
    sizes = np.linalg.norm(v, axis=1, keepdims=True)
    # Without signs, for a neuron that bends up serves the same tasks as one that bends down.
    directions = np.abs(v) / np.where(sizes > 0.0, sizes, 1.0)
    tree = linkage(directions, method="average", optimal_ordering=n_neurons <= ARRANGED)
    return np.asarray(leaves_list(tree))
