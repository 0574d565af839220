"""The report of a run: the claims table first, then every figure with its picture and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mtrelu.paper.claim import Verdict
from mtrelu.report.page import cards, image, number, page, paragraph, table

__all__ = ["html"]

Record = dict[str, Any]

_COLOURS = {Verdict.HOLDS: "#2f855a", Verdict.FAILS: "#c2410c", Verdict.OPEN: "#8a6d1d"}
_STYLE = (
    "<style>body{max-width:76rem}td{vertical-align:top}td:last-child{padding-right:0}"
    ".verdict{font-weight:600;white-space:nowrap}.tolerated{white-space:nowrap}"
    ".claim{display:block;min-width:21rem}.measured{display:block;min-width:12rem}"
    ".place{display:block;color:#52606d;font-size:.8rem}"
    "code{font-size:.76rem;color:#52606d;overflow-wrap:anywhere}</style>"
)


def html(folder: Path, run: Record, records: Sequence[Record]) -> str:
    """Return the report as one HTML file that loads nothing from elsewhere.

    Parameters
    ----------
    folder : Path
        Where the pictures are, as NAME.png.
    run : dict
        Version, scale and seeds of the run.
    records : sequence of dict
        What is in the figures' JSON files.

    Returns
    -------
    str
    """
    title = "The paper, claim by claim"
    return page(
        title,
        [
            _STYLE,
            f"<h1>{escape(title)}</h1>",
            paragraph(
                "Figures and numerical claims of Nakhleh, Shenouda, Nowak, The Effects of "
                "Multi-Task Learning on ReLU Neural Network Functions, arXiv:2410.21696v4, made "
                "again and judged."
            ),
            _cards(run, records),
            *_claims(records),
            *(part for record in records for part in _figure(folder, record)),
            *_how(run, records),
        ],
    )


def _cards(run: Record, records: Sequence[Record]) -> str:
    counts = {verdict: 0 for verdict in Verdict}
    for _, claim in _of(records, paper=True):
        counts[Verdict(claim["verdict"])] += 1
    seconds = sum(record["seconds"] for record in records)
    scale = f"{run['scale']} scale, {run['seeds']} seeds, {run['device']}"
    return cards([
        *((verdict.value, f"{count}", "claims of the paper") for verdict, count in counts.items()),
        ("measured in", _time(seconds), scale),
    ])  # fmt: skip


def _of(records: Sequence[Record], *, paper: bool) -> list[tuple[Record, Record]]:
    """Records and claims: those of the paper, or the others."""
    return [
        (record, claim)
        for record in records
        for claim in record["claims"]
        if claim["of_the_paper"] == paper
    ]


def _claims(records: Sequence[Record]) -> Iterable[str]:
    yield "<h2>Claims of the paper</h2>"
    yield paragraph(
        "Tolerances stand in the definition of each claim, with their reason, and words such as "
        "similar are read alike everywhere; the verdict is the comparison of numbers. Measured is "
        "the worst of all cases, and under it is its place in a file of this folder. Where a word "
        "has no sharp edge, a claim is refuted beyond the second number only. A claim cannot be "
        "decided here if a case is between the two, or could not be decided: where training did "
        "not settle, an optimum is not proved, rounding hides the answer, or what the paper leaves "
        "unsaid would decide."
    )
    yield _table(_of(records, paper=True))
    others = _of(records, paper=False)
    if others:
        yield "<h2>What follows from them, goes beyond, and checks of the measurements</h2>"
        yield _table(others)


def _table(claims: Sequence[tuple[Record, Record]]) -> str:
    rows = [
        [f'<a href="#{escape(record["figure"])}">{escape(record["figure"])}</a>',
         f'<span class="claim">{escape(claim["claim"]["sentence"])}'
         f'<span class="place">{escape(claim["claim"]["place"])}</span></span>',
         *_numbers(record, claim)]
        for record, claim in claims
    ]  # fmt: skip
    return table(["figure", "claim", "verdict", "measured", "tolerated"], rows)


def _numbers(record: Record, claim: Record) -> list[str]:
    """Verdict, measured and tolerated, for reading."""
    verdict = Verdict(claim["verdict"])
    measured = claim["measured"]
    shown = "–" if measured is None else _short(measured)
    where = _file(record, claim["where"] or claim["claim"]["source"])
    return [
        f'<span class="verdict" style="color:{_COLOURS[verdict]}">{escape(verdict.value)}</span>'
        + (f'<span class="place">{_cases(claim)}</span>' if verdict is not Verdict.HOLDS else ""),
        f'<span class="measured">{shown}<br><code>{escape(where)}</code></span>',
        f'<span class="tolerated">{_tolerated(claim["claim"])}</span>',
    ]


def _figure(folder: Path, record: Record) -> Iterable[str]:
    name = record["figure"]
    yield f'<h2 id="{escape(name)}">{escape(record["title"])}</h2>'
    yield paragraph(record["description"])
    yield image((folder / f"{name}.png").read_bytes(), record["caption"])
    rows = []
    for claim in record["claims"]:
        definition = claim["claim"]
        verdict, measured, tolerated = _numbers(record, claim)
        rows.append([
            f'<span class="claim"><b>{escape(definition["name"])}</b>'
            f'<span class="place">measured: {escape(definition["quantity"])}; in '
            f"<code>{escape(_file(record, definition['source']))}</code></span>"
            f'<span class="place">tolerance: {escape(definition["reason"])}</span></span>',
            verdict, measured, tolerated, _cases(claim),
        ])  # fmt: skip
    yield table(["claim", "verdict", "measured", "tolerated", "cases"], rows)
    machine = record["machine"]
    torch = f", PyTorch {machine['torch']}" if "torch" in machine else ""
    resumed = " (since it was last interrupted)" if record["resumed"] else ""
    yield paragraph(
        f"Measured in {_time(record['seconds'])}{resumed}, started {record['started']}, on "
        f"{machine['processor']} ({machine['cores']} cores, {machine['system']}); Python "
        f"{machine['python']}, NumPy {machine['numpy']}, SciPy {machine['scipy']}{torch}, mtrelu "
        f"{record['mtrelu']}. Settings and all numbers: {name}.json."
    )


def _how(run: Record, records: Sequence[Record]) -> Iterable[str]:
    yield "<h2>Make this report again</h2>"
    names = " ".join(record["figure"] for record in records)
    words = f"mtrelu reproduce {names} --{run['scale']} --seeds {run['seeds']} "
    words += f"--device {run['device']} --out DIR"
    yield f"<pre>{escape(words)}</pre>"
    yield paragraph(f"mtrelu {run['mtrelu']}.")


def _cases(claim: Record) -> str:
    n, wrong, missing = (claim[name] for name in ("n_cases", "n_violating", "n_open"))
    words = [f"{n} case" + "s" * (n != 1)]
    words += [f"{wrong} against it"] if wrong else []
    words += [f"{missing} open"] if missing else []
    return ", ".join(words)


def _file(record: Record, where: str) -> str:
    return f"{record['figure']}.json: data.{where}"


def _tolerated(definition: Record) -> str:
    words = f"{escape(definition['sense'])} {_short(definition['tolerance'])}"
    if definition["limit"] is not None:
        words += f'<span class="place">refuted beyond {_short(definition["limit"])}</span>'
    return words


def _short(value: float | str) -> str:
    return "∞" if value in ("inf", float("inf")) else number(float(value))


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
