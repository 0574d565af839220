"""Write the pages of the reference: one for each public name, from the lists that the code has."""

from __future__ import annotations

import ast
import inspect
from enum import Enum, EnumMeta
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mtrelu

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Headings, and the rooms of `mtrelu._ROOMS` whose names stand below each.
HEADINGS = {
    "Fit and certify": ("api", "path", "problem", "status", "certificate", "selection"),
    "All optimal networks": ("optimal_set", "optimal_polytope"),
    "Estimators": ("estimators",),
    "Networks": ("network", "neuron_reduction", "knot_removal"),
    "Files and other frameworks": ("io", "export", "conversion"),
    "Interpolation and training": ("solvers",),
    "Kernels and many tasks": ("kernels", "regime"),
    "Losses": ("losses",),
    "Errors": ("validation",),
}
# Public packages beside `mtrelu` itself; their names are in their `__all__`.
PACKAGES = {"Displays": "mtrelu.displays", "Data sets": "mtrelu.datasets"}

INDEX = """\
Reference
=========

Every public name. Numbers in brackets are equations of `arXiv:2410.21696
<https://arxiv.org/abs/2410.21696>`_; :doc:`/mathematics` lists them.

"""


def public_names() -> dict[str, list[str]]:
    """Return the dotted public names under each heading.

    Raises
    ------
    LookupError
        A room of `mtrelu._ROOMS` that no heading names.
    """
    heading_of = {room: heading for heading, rooms in HEADINGS.items() for room in rooms}
    names: dict[str, list[str]] = {heading: [] for heading in HEADINGS}
    for name, room in mtrelu._ROOMS.items():
        floor = room.split(".")[0]
        if floor not in heading_of:
            raise LookupError(
                f"mtrelu.{name} lives in {floor}, which no heading of the reference names; "
                f"add it to HEADINGS in {Path(__file__).name}."
            )
        names[heading_of[floor]].append(f"mtrelu.{name}")
    for heading, package in PACKAGES.items():
        names[heading] = [f"{package}.{name}" for name in import_module(package).__all__]
    return names


def methods(cls: type) -> list[str]:
    """Return the public methods and properties that mtrelu itself defines, in their order."""
    found: list[str] = []
    for base in cls.__mro__:
        if not base.__module__.startswith("mtrelu"):
            continue
        for name, member in vars(base).items():
            ours = inspect.isfunction(member) or isinstance(
                member, property | cached_property | classmethod | staticmethod
            )
            if ours and not name.startswith("_") and name not in found and _documented(cls, name):
                found.append(name)
    return found


def page(dotted: str) -> str:
    """Return the page of one name."""
    module, name = dotted.rsplit(".", 1)
    thing: Any = getattr(import_module(module), name)
    lines = [dotted, "=" * len(dotted), "", f".. currentmodule:: {module}", ""]
    if inspect.isclass(thing):
        lines += [f".. autoclass:: {name}"]
        members = methods(thing)
        if members:
            lines += [f"   :members: {', '.join(members)}"]
        if isinstance(thing, EnumMeta):
            lines += ["", "Members", "-------", ""]
            lines += [f"* {_member(each)}" for each in list[Enum](thing)]
    elif callable(thing):
        lines += [f".. autofunction:: {name}"]
    else:
        lines += [f".. data:: {name}", "", f"   {_summary(dotted)}"]
    heading = "   :add-heading: In the gallery\n"
    return "\n".join(lines) + f"\n\n.. minigallery:: {dotted}\n{heading}"


def index() -> str:
    """Return the page that lists every name with the first sentence of its docstring."""
    parts = [INDEX]
    for heading, names in public_names().items():
        parts += [heading, "-" * len(heading), "", ".. list-table::", "   :widths: 35 65", ""]
        for dotted in sorted(names, key=str.lower):
            parts += [f"   * - :py:obj:`{dotted}`", f"     - {_summary(dotted)}"]
        parts += ["", ".. toctree::", "   :hidden:", ""]
        parts += [
            f"   {dotted.rsplit('.', 1)[1]} <{dotted}>" for dotted in sorted(names, key=str.lower)
        ]
        parts += [""]
    return "\n".join(parts)


def write(folder: Path) -> None:
    """Write the pages that changed and remove those of names that are gone."""
    pages = {f"{name}.rst": page(name) for names in public_names().values() for name in names}
    pages["index.rst"] = index()
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for them."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _documented(cls: type, name: str) -> bool:
    return bool(inspect.getdoc(getattr(cls, name)))


def _summary(dotted: str) -> str:
    """Return the first paragraph of what the code says about a name, on one line."""
    module, name = dotted.rsplit(".", 1)
    thing: Any = getattr(import_module(module), name)
    text = (inspect.getdoc(thing) or "") if callable(thing) else _said_below(module, name)
    return " ".join(text.split("\n\n")[0].split())


def _said_below(package: str, name: str) -> str:
    """Return the text below the assignment of a constant, wherever in the package that is."""
    for path in sorted(Path(import_module(package).__file__ or "").parent.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, below in pairwise(body):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    return str(below.value.value)
    raise LookupError(f"{package}.{name} is public, but no text below its assignment tells of it.")


def _member(member: Enum) -> str:
    """Return the name and the value of a member, and what it stands for, where it says so."""
    words = [f"``{member.name}`` ({member.value!r})"]
    words += [getattr(member, name, "") for name in ("meaning", "advice")]
    return " ".join(filter(None, words))
