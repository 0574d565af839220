"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path


def test_the_example_of_the_readme():
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL).groups()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {})
    assert output.getvalue() == printed
