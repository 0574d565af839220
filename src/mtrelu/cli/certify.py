"""`mtrelu certify`: say whether a saved model is optimal for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mtrelu.cli._model import load_model
from mtrelu.cli._options import (
    NOT_CERTIFIED,
    Data,
    Decimal,
    DropMissing,
    Json,
    MissingLabels,
    Model,
    Quiet,
)
from mtrelu.cli._output import Output
from mtrelu.cli._tables import in_words, open_table
from mtrelu.status import Status

if TYPE_CHECKING:
    from mtrelu.certificate import Certificate

SAME = 1e-6
"""Scores of one model on one table differ by less than this share of them."""


def certify(
    model: Model,
    data: Data,
    drop_missing: DropMissing = False,
    missing_labels: MissingLabels = False,
    decimal: Decimal = ".",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a saved model against a table; exit code 0 only if its optimality is proved.

    The columns are those of the fit, and so are penalty, loss and units.
    """
    output = Output("certify", json, quiet)
    saved = load_model(model)
    table = open_table(data, drop_missing, decimal)[0]
    choice = table.choose(
        saved.inputs, saved.tasks, drop_missing=drop_missing, missing_labels=missing_labels
    )
    certificate = saved.certify(choice.X, choice.Y, missing_labels=missing_labels)
    certified = certificate.status is Status.CERTIFIED
    output.document(
        certified=certified, certificate=certificate.to_dict(), rows_left_out=choice.left_out
    )
    differ = None if certified else _difference(saved.certificate, certificate)
    output.lines(
        *([certificate.in_words()] if differ is None else [differ, certificate.status.meaning]),
        *([in_words(choice.left_out)] if choice.left_out else []),
    )
    if not certified:
        raise typer.Exit(NOT_CERTIFIED)


def _difference(fitted: Certificate | None, here: Certificate) -> str | None:
    """In words, that a table is not the one of the fit; None where nothing says so."""
    if fitted is None:
        return None
    if (fitted.n_samples, fitted.n_tasks) != (here.n_samples, here.n_tasks):
        what = f"{here.n_samples} samples with labels, but {fitted.n_samples} then"
    elif here.status is Status.INFEASIBLE and fitted.status is not Status.INFEASIBLE:
        what = "the model passed through all labels then, but does not pass through these"
    elif abs(here.primal - fitted.primal) > SAME * abs(fitted.primal):
        what = f"the model scored {fitted.primal:.6g} then, but {here.primal:.6g} on these"
    else:
        return None
    return (
        f"These data differ from those of the fit: {what}. What was proved then says nothing about "
        "them; fit them anew."
    )
