"""Refuse a page that would load anything from elsewhere when it is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


# Links that a reader may follow (<a href>) are welcome; what a browser fetches by itself is not.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|embed|object|link)\b[^>]*?(?:src|href|data)\s*=\s*["']?"""
    r"""((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)
LOADED_BY_STYLE = re.compile(
    r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"'\s)]+)""", re.IGNORECASE
)


def loaded_from_elsewhere(folder: Path) -> list[str]:
    """Return "file: address" of everything that pages and style sheets load from other hosts."""
    found = []
    for pattern, suffix in ((LOADED, "*.html"), (LOADED_BY_STYLE, "*.css")):
        for path in sorted(folder.rglob(suffix)):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(folder)}: {url}" for url in pattern.findall(text)]
    return found


def check(app: Sphinx, exception: Exception | None) -> None:
    """Fail the build that ended well but made such a page."""
    from sphinx.errors import ExtensionError

    if exception is None and app.builder.format == "html":
        found = loaded_from_elsewhere(Path(app.outdir))
        if found:
            raise ExtensionError("pages load from elsewhere:\n" + "\n".join(found))


def setup(app: Sphinx) -> dict[str, bool]:
    """Run the check when everything is written."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
