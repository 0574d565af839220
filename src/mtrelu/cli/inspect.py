"""`mtrelu inspect`: what is in a saved model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtrelu.cli._model import SavedModel, load_model
from mtrelu.cli._options import Json, Model, Quiet
from mtrelu.cli._output import Output, listed
from mtrelu.cli._tables import again

if TYPE_CHECKING:
    import numpy as np

USES = 0.01
"""A task uses a neuron if its weight is at least this share of the neuron's largest."""
MOST_NEURONS = 30
MOST_TASKS = 3


@dataclass(frozen=True, eq=False)
class _Neurons:
    """The neurons of a network, one for each place where it bends.

    Attributes
    ----------
    w : ndarray of shape (K, d)
        Unit input weights, in the units of the data.
    b : ndarray of shape (K,)
        Biases.
    v : ndarray of shape (K, T)
        Output weights, in the units of the data: for one input the slope changes.
    share : ndarray of shape (K,)
        Of the penalty, in the units of the fit.
    use : ndarray of shape (K, T), float64
        Weight of each task, in the units of the fit, divided by the neuron's largest.
    """

    w: np.ndarray
    b: np.ndarray
    v: np.ndarray
    share: np.ndarray
    use: np.ndarray

    @classmethod
    def of(cls, model: SavedModel) -> _Neurons:
        import numpy as np

        # Without a free slope it matters on which side a neuron acts.
        on_line = model.network.n_inputs == 1 and model.skip == "affine"
        network = model.network.canonical() if on_line else model.network.merged()
        fitted = model.scaling.as_fitted(network)
        strength = np.linalg.norm(fitted.w, axis=1) * np.linalg.norm(fitted.v, axis=1)
        largest = np.abs(fitted.v).max(axis=1, keepdims=True)
        return cls(
            network.w, network.b, network.v, strength / strength.sum(),
            np.abs(fitted.v) / largest,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.b)


def inspect(model: Model, json: Json = False, quiet: Quiet = False) -> None:
    """Show what is in a saved model: neurons, the tasks that share them, the certificate."""
    import numpy as np

    output = Output("inspect", json, quiet)
    saved = load_model(model)
    neurons = _Neurons.of(saved)
    certificate = saved.certificate
    output.document(
        model=str(saved.path),
        written_by=saved.version,
        data=saved.data,
        inputs=saved.inputs,
        tasks=saved.tasks,
        alpha=saved.alpha,
        loss=None if saved.loss is None else saved.loss.config(),
        scaling=saved.scaling.to_dict(),
        certificate=None if certificate is None else certificate.to_dict(),
        neurons=[
            {
                "w": neurons.w[k].tolist(),
                "b": float(neurons.b[k]),
                "share": float(neurons.share[k]),
                "tasks": [saved.tasks[t] for t in np.flatnonzero(neurons.use[k] >= USES)],
            }
            for k in range(len(neurons))
        ],
    )
    if not output.for_people:
        return
    output.summary(_facts(saved, len(neurons)))
    _show_neurons(output, saved, neurons)
    if certificate is not None:
        output.lines(
            f"When it was fitted: {certificate.in_words()}",
            "",
            f"To check that again: {_check(saved)}",
        )


def _check(saved: SavedModel) -> str:
    """The command that compares a model with its data."""
    data = saved.data or "DATA"
    return again(["mtrelu", "certify", str(saved.path), data, *saved.reading], data)


def _facts(saved: SavedModel, n_neurons: int) -> dict[str, str]:
    """Names and values for the head."""
    what = "network" if saved.estimator is None else type(saved.estimator).__name__
    facts = {
        "model": f"{saved.path}, {what}",
        "inputs": listed(saved.inputs, "inputs", 12),
        "tasks": listed(saved.tasks, "tasks", 12),
        "written by": f"mtrelu {saved.version}",
    }
    if saved.data is not None:
        facts["fitted to"] = saved.data
    if saved.alpha is not None:
        facts["alpha"] = f"{saved.alpha:.6g}"
    if saved.loss is not None:
        facts["loss"] = ", ".join(f"{value}" for value in saved.loss.config().values())
    scaled = [
        name
        for name, is_scaled in (
            ("inputs", saved.scaling.scales_inputs), ("tasks", saved.scaling.scales_tasks),
        )
        if is_scaled
    ]  # fmt: skip
    if saved.skip != "affine":
        facts["free of charge"] = f"a {saved.skip}"
    if scaled:
        facts["units of the fit"] = f"{' and '.join(scaled)} divided by their standard deviations"
    facts["knots" if len(saved.inputs) == 1 else "neurons"] = str(n_neurons)
    if saved.certificate is not None:
        facts["optimal?"] = saved.certificate.in_short()
    return facts


def _show_neurons(output: Output, saved: SavedModel, neurons: _Neurons) -> None:
    """A row for each neuron, from left to right for one input, else the strongest first."""
    import numpy as np
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not len(neurons):
        output.lines("No neurons: every task is an affine function of the inputs.", "")
        return
    one_input, several = len(saved.inputs) == 1, len(saved.tasks) > 1
    strongest = np.argsort(-neurons.share, kind="stable")[:MOST_NEURONS]
    table = Table(box=box.SIMPLE, padding=(0, 1))
    table.add_column(saved.inputs[0] if one_input else "bends where", overflow="fold")
    table.add_column("share of all bending", justify="right")
    if several:
        table.add_column("tasks that use it", justify="right")
    weight = "slope change" if one_input else "weight"
    table.add_column(f"{weight}, largest" if several else weight, overflow="fold")
    for k in np.sort(strongest) if one_input else strongest:
        users = int((neurons.use[k] >= USES).sum())
        most = np.argsort(-neurons.use[k], kind="stable")[: MOST_TASKS if several else 1]
        weights = [
            f"{saved.tasks[t]} {neurons.v[k, t]:+.4g}" if several else f"{neurons.v[k, t]:+.6g}"
            for t in most
        ]
        row = [_place(saved, neurons, int(k)), f"{100 * neurons.share[k]:.3g} %"]
        row += [f"{users} of {len(saved.tasks)}"] if several else []
        table.add_row(*map(Text, [*row, ", ".join(weights)]))
    output.show(table)
    if len(neurons) > MOST_NEURONS:
        output.lines(f"The {MOST_NEURONS} strongest of {len(neurons)}; --json gives all.", "")
    if several:
        output.lines(
            f"A task uses a neuron if its weight is at least {100 * USES:.0f} % of the neuron's "
            "largest, in the units of the fit.",
            "",
        )


def _place(saved: SavedModel, neurons: _Neurons, k: int) -> str:
    """Where a neuron bends: the knot, or the equation of the hyperplane."""
    if len(saved.inputs) == 1:
        return f"{-neurons.b[k] / neurons.w[k, 0]:.6g}"
    terms = [
        f"{weight:+.4g} {name}" for weight, name in zip(neurons.w[k], saved.inputs, strict=True)
    ]
    shown = [*terms[:4], "…"] if len(terms) > 4 else terms
    return f"{' '.join(shown)} {neurons.b[k]:+.6g} = 0"
