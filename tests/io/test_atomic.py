import os

import pytest

from mtrelu import InvalidInputError
from mtrelu.io.atomic import replacing


def test_all_of_it_or_nothing(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(target) as beside:
        beside.write_text("half of")
        raise KeyboardInterrupt
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]
    with replacing(target) as beside:
        beside.write_text("after")
        assert target.read_text() == "before"
    assert target.read_text() == "after" and list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="there are named pipes on POSIX systems")
def test_what_is_no_file_is_never_replaced(tmp_path):
    """As an administrator, one could rename a file onto a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, tmp_path):
        with pytest.raises(InvalidInputError, match="is no file"), replacing(target):
            pass
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_no_folder_for_it(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be written"), replacing(tmp_path / "a/b"):
        pass
