"""Pieces of an HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page; the parts are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def cards(facts: Iterable[tuple[str, str, str]]) -> str:
    """A row of facts: label, value, note."""
    return '<div class="cards">' + "".join(
        f"<div><small>{escape(label)}</small><b>{escape(value)}</b><span>{escape(note)}</span>"
        "</div>"
        for label, value, note in facts
    ) + "</div>"  # fmt: skip


def image(png: bytes, caption: str) -> str:
    """A picture with a caption, inside the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def png(figure: Any) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def paragraph(text: str) -> str:
    """A paragraph of text."""
    return f"<p>{escape(text)}</p>"


def number(value: float) -> str:
    """Three digits, for reading."""
    return f"{value:.3g}"


def bar(share: float, text: str) -> str:
    """A number over a bar of that length."""
    return f'<span class="bar" style="--share:{100 * share:.1f}%">{escape(text)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already; the head is text."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    thead = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def shortened(shown: int, there_are: int, what: str) -> str:
    """A word on how much of a table is shown, if not all."""
    return "" if shown == there_are else paragraph(f"Shown are the {shown} {what} of {there_are}.")


STYLE = """\
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:#1f2933;background:#fff;max-width:52rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .6rem}
h2{font-size:1.25rem;margin:2.4rem 0 .5rem;padding-top:.8rem;border-top:1px solid #e4e7eb}
p{margin:.5rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;
margin:1.4rem 0}
.cards div{background:#f5f7fa;border-radius:.5rem;padding:.8rem 1rem;display:flex;
flex-direction:column}
.cards small{color:#52606d}
.cards b{font-size:1.35rem;color:#1d5fa6}
.cards span{font-size:.8rem;color:#52606d}
figure{margin:1.2rem 0;break-inside:avoid}
img{max-width:100%;height:auto}
figcaption{font-size:.85rem;color:#52606d}
table{border-collapse:collapse;margin:.8rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:#52606d;font-weight:600}
th,td{padding:.22rem 1.4rem .22rem 0;border-bottom:1px solid #eef0f3}
tr{break-inside:avoid}
.bar{display:block;min-width:9rem;padding:0 .35rem;
background:linear-gradient(#d3e3f5,#d3e3f5) no-repeat 0/var(--share) 100%;print-color-adjust:exact}
pre{background:#f5f7fa;padding:.8rem 1rem;border-radius:.5rem;white-space:pre-wrap;
overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}}
"""
