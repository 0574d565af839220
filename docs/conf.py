"""How the documentation is built: `make docs`, without a network and with warnings as errors."""

import sys
from importlib.util import find_spec
from pathlib import Path

from sphinx.errors import ExtensionError

import mtrelu

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

# The gallery runs the examples, so a missing package is said here, not in the middle of one.
NEEDED = ("matplotlib", "torch", "onnx", "onnxruntime")
missing = [package for package in NEEDED if find_spec(package) is None]
if missing:
    raise ExtensionError(
        f"the examples of the gallery need {', '.join(missing)}; install mtrelu[docs]."
    )

project = "mtrelu"
author = "the mtrelu developers"
version = release = mtrelu.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "offline",
    "reference",
]
exclude_patterns = ["_build", "**/sg_execution_times.rst", "sg_execution_times.rst"]
default_role = "py:obj"  # `single quotes` of docstrings: a link where there is such a thing
highlight_language = "python"
pygments_style = "friendly"

# Types are in the docstrings, in words; signatures with both are hard to read.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # scikit-learn's refer to pages of its own site
numpydoc_show_class_members = False  # the reference lists them, with their docstrings

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    # These two take minutes; their pictures are on the page on many tasks.
    "ignore_pattern": r"(correlated_tasks|which_kernel)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("mtrelu",),
    "download_all_examples": False,
    "show_signature": False,
}

html_theme = "furo"
html_title = "mtrelu"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
