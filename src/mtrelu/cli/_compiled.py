"""Where numba keeps compiled code: without such a place it refuses to be imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def keep_compiled_code() -> None:
    """Name a temporary folder where neither the installation nor the home can be written to."""
    if os.environ.get(VARIABLE) or any(map(_can_be_written, (Path(__file__).parent, _home()))):
        return
    # A new one for each process: from a known place others could make numba load their code.
    folder = tempfile.mkdtemp(prefix="mtrelu-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = folder
    print(
        f"mtrelu: compiled code is kept for this run only; set {VARIABLE} to a folder of yours to "
        "start faster.",
        file=sys.stderr,
    )


def _home() -> Path:
    """The folder of the user that numba takes."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _can_be_written(folder: Path) -> bool:
    """Whether a folder, or the one that it would be made in, takes files."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
