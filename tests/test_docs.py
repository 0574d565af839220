"""The documentation: its pages run, every public name has one, and the site builds by itself."""

import doctest
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import matplotlib
import matplotlib.pyplot
import pytest

import mtrelu
import mtrelu.datasets
import mtrelu.displays

matplotlib.use("Agg")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GENERATED = "sg_execution_times.rst"  # by `make docs`, like docs/gallery and docs/reference
PAGES = sorted(page for page in DOCS.glob("*.rst") if page.name != GENERATED)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def extension(name: str) -> ModuleType:
    """Import one of the site's own Sphinx extensions."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=(said := []).append)
    matplotlib.pyplot.close("all")
    assert not said, "".join(said)


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of the console blocks of a page, and what it says that they print."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"\.\. code-block:: console\n\n((?: {3}.*\n|\n)+)", text):
        for line in inspect.cleandoc(block).splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    return found


def test_the_commands_of_the_pages_print_what_the_pages_say(tmp_path):
    """The commands of a page run in order, in one folder, as typed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1"}
    checker = doctest.OutputChecker()
    n_commands = 0
    for page in PAGES:
        folder = tmp_path / page.stem
        folder.mkdir()
        for table in DOCS.glob("*.csv"):
            shutil.copy(table, folder)
        for command, printed in commands(page.read_text(encoding="utf-8")):
            done = subprocess.run(
                command, shell=True, cwd=folder, env=environment, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert checker.check_output(printed, done.stdout, FLAGS), (
                f"{page.name}: {command}\n{done.stdout}"
            )
            n_commands += 1
    assert n_commands > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_shows_code_that_is_not_run(page):
    """Doctests and console blocks are run by the tests above; nothing else is shown as code."""
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\.\. (?:code-block|code|sourcecode|prompt)::\s*(\S*)", text)) <= {
        "console"
    }
    assert not re.search(r"(?<!\.\. )[\w.,)]::\s*\n\n", text), "a literal block"


def test_every_public_name_has_a_page(tmp_path):
    extension("reference").write(tmp_path)
    public = {f"mtrelu.{name}" for name in mtrelu.__all__}
    for package in (mtrelu.displays, mtrelu.datasets):
        public |= {f"{package.__name__}.{name}" for name in package.__all__}
    pages = {path.stem for path in tmp_path.glob("*.rst")} - {"index"}
    assert pages == public
    index = (tmp_path / "index.rst").read_text(encoding="utf-8")
    assert all(f":py:obj:`{name}`" in index for name in public)


def test_a_name_in_a_new_room_is_refused_until_the_reference_has_a_heading_for_it(monkeypatch):
    monkeypatch.setitem(mtrelu._ROOMS, "Novelty", "attic.boxes")
    with pytest.raises(LookupError, match=r"mtrelu\.Novelty lives in attic"):
        extension("reference").public_names()


def test_every_public_function_class_and_method_is_documented():
    bare = []
    for name in (
        name for names in extension("reference").public_names().values() for name in names
    ):
        module, last = name.rsplit(".", 1)
        thing = getattr(import_module(module), last)
        members = [(last, thing)] if callable(thing) else []
        if inspect.isclass(thing):
            members += [
                (f"{last}.{method}", member)
                for method, member in inspect.getmembers(thing, inspect.isfunction)
                if member.__module__.startswith("mtrelu") and not method.startswith("_")
            ]
        bare += [f"{module}.{label}" for label, member in members if not inspect.getdoc(member)]
    assert not bare


def test_what_a_page_would_load_from_elsewhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="https://elsewhere.org/read">a link</a> <img src="_images/here.png">'
        '<script async src="https://cdn.elsewhere.org/math.js"></script>'
        '<link rel="stylesheet" href="//fonts.elsewhere.org/serif">',
        encoding="utf-8",
    )
    (tmp_path / "b.css").write_text(
        "@import 'https://elsewhere.org/b.css'; p { background: url(here.png) }", encoding="utf-8"
    )
    found = extension("offline").loaded_from_elsewhere(tmp_path)
    assert found == [
        "a.html: https://cdn.elsewhere.org/math.js",
        "a.html: //fonts.elsewhere.org/serif",
        "b.css: https://elsewhere.org/b.css",
    ]


def test_the_site_builds_without_warnings(tmp_path):
    """The examples are not run, which `make docs` does; their pages are written all the same."""
    for folder in ("docs", "examples"):
        left_out = shutil.ignore_patterns(
            "_build", "gallery", "reference", GENERATED, "__pycache__"
        )
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q",
         "-D", "plot_gallery=0", "-b", "html", str(tmp_path / "docs"), str(site)],
        text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for page in PAGES:
        html = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        names = re.findall(r'(<a [^>]*>)?<code class="xref py[^>]*><span[^>]*>([^<]*)', html)
        assert [name for link, name in names if not link] == [], (
            "names that are not in the reference"
        )
    html = (site / "mathematics.html").read_text(encoding="utf-8")
    assert "<mfrac>" in html
    assert "lVert" not in html
    assert (site / "reference" / "mtrelu.solve.html").exists()
    assert (site / "gallery" / "two_squares.html").exists()
