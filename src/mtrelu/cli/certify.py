"""`mtrelu certify`: say whether a saved model is optimal for a table."""

from __future__ import annotations

import typer

from mtrelu.cli._model import load_model
from mtrelu.cli._options import (
    NOT_CERTIFIED,
    Data,
    DropMissing,
    Json,
    MissingLabels,
    Model,
    Quiet,
)
from mtrelu.cli._output import Output
from mtrelu.cli._tables import in_words, open_table


def certify(
    model: Model,
    data: Data,
    drop_missing: DropMissing = False,
    missing_labels: MissingLabels = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a saved model against a table; exit code 0 only if its optimality is proved.

    The columns are those of the fit, and so are penalty, loss and units.
    """
    from mtrelu.status import Status

    output = Output("certify", json, quiet)
    saved = load_model(model)
    table = open_table(data, drop_missing)[0]
    choice = table.choose(
        saved.inputs, saved.tasks, drop_missing=drop_missing, missing_labels=missing_labels
    )
    certificate = saved.certify(choice.X, choice.Y, missing_labels=missing_labels)
    certified = certificate.status is Status.CERTIFIED
    output.document(
        certified=certified, certificate=certificate.to_dict(), rows_left_out=choice.left_out
    )
    output.lines(certificate.in_words(), *([in_words(choice.left_out)] if choice.left_out else []))
    if not certified:
        raise typer.Exit(NOT_CERTIFIED)
