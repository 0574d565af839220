"""`mtrelu certify`: say whether a saved model is optimal for a table."""

from __future__ import annotations

import typer

from mtrelu.cli._shared import (
    NOT_CERTIFIED,
    Data,
    DropMissing,
    Model,
    load_model,
    open_table,
    tell_left_out,
)


def certify(model: Model, data: Data, drop_missing: DropMissing = False) -> None:
    """Check a saved model against a table; exit code 0 only if its optimality is proved."""
    from mtrelu.api import certify as certify_network
    from mtrelu.losses import make_loss
    from mtrelu.scaling import Scaling
    from mtrelu.status import Status

    network, metadata = load_model(model)
    table = open_table(data, drop_missing)[0]
    choice = table.choose(metadata["inputs"], metadata["tasks"], drop_missing=drop_missing)
    scaling = Scaling.from_dict(metadata["scaling"])
    certificate = certify_network(
        scaling.as_fitted(network),
        scaling.inputs(choice.X),
        scaling.labels(choice.Y),
        metadata["alpha"],
        loss=make_loss(metadata["loss"]),
    )
    typer.echo(certificate.in_words())
    tell_left_out(choice.left_out)
    if certificate.status is not Status.CERTIFIED:
        raise typer.Exit(NOT_CERTIFIED)
