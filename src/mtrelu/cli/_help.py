"""What stands below the options in the help texts: examples, exit codes, what --json prints."""

from __future__ import annotations

CERTIFICATE = (
    "certificate (objects: primal, dual, gap, relative_gap, status, tol, oracle and what else "
    "mtrelu.Certificate documents)"
)


def _lines(*lines: str) -> str:
    """Each on a line of its own, as typer shows paragraphs."""
    return "\n\n".join(lines)


EPILOGS = {
    "mtrelu": _lines(
        "A first fit, on data that come with mtrelu: mtrelu fit el-nino --out fitted, then "
        "mtrelu inspect fitted. Every command shows an example: mtrelu fit --help.",
        "Exit codes: 0 done; 1 not certified (mtrelu certify only); 2 bad input or options, or a "
        "file that cannot be written; 130 interrupted by Ctrl-C; 143 ended by SIGTERM; "
        "141 whoever read standard output stopped reading. What went wrong is one line on standard "
        "error, and what was begun is removed: a file or folder is there as a whole or not at "
        "all. Only regime and reproduce keep what is finished, say where, and go on from there "
        "when the command is repeated.",
    ),
    "fit": _lines(
        "Example: mtrelu fit sales.csv --x week --tasks north,south --out fitted",
        "From a pipe: cat sales.csv | mtrelu fit - --x week --out fitted",
        "--json prints: out, files, inputs, tasks, n_samples, unknown_labels, "
        "rows_without_label (of these samples), rows_left_out, alpha, alpha_chosen, loss, skip, "
        f"n_neurons, knots (null for several inputs), {CERTIFICATE}, verdict, reason, rmse (by "
        "task; with the logistic loss log_loss and accuracy instead). Numbers that are infinite or "
        'not defined are null or the texts "inf" and "nan".',
    ),
    "predict": _lines(
        "Example: mtrelu predict fitted new.csv --out predictions.parquet",
        "In a pipe: mtrelu predict fitted new.csv --out - | head",
        "--json prints: out, rows, columns, rows_left_out.",
    ),
    "certify": _lines(
        "Example: mtrelu certify fitted sales.csv && echo proved",
        f"--json prints: certified (true or false), {CERTIFICATE}, rows_left_out.",
    ),
    "inspect": _lines(
        "Example: mtrelu inspect fitted",
        "--json prints: model, written_by, data, inputs, tasks, alpha, loss, scaling, "
        f"{CERTIFICATE}, neurons (w, b, share of the penalty, tasks that use it).",
    ),
    "export": _lines(
        "Example: mtrelu export fitted --to onnx --out model.onnx",
        "In PyTorch: layers hidden (d, K), output (K, T; no bias) and skip (d, T), loaded by "
        "load_state_dict(safetensors.torch.load_file(FILE)), compute output(relu(hidden(x))) + "
        "skip(x); mtrelu.to_torch makes such a module.",
        "--json prints: model, to, out.",
    ),
    "regime": _lines(
        "Example: mtrelu regime two-squares --n-tasks 1,10,100 --out regime",
        "--json prints: out, and what measurements.json in the folder holds: command_line, "
        "design, description, skip, weight_decay, lemma_betas, rates, cells.",
    ),
    "reproduce": _lines(
        "Example: mtrelu reproduce fig1 fig2 --out paper",
        "--json prints: out, figures (each with name and claims: claim, measured, verdict).",
    ),
}
