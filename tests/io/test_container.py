"""No damage goes unnoticed, and none comes out as anything but an explained refusal."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from mtrelu.io.container import SCHEMA_VERSION, Container, kind_of, read_container, write_container
from mtrelu.validation import InvalidInputError

CONTENT = Container(
    "model",
    {
        "floats": np.array([[1.5, -0.0], [np.nan, 5e-324]]),
        "flags": np.array([True, False, True]),
        "none": np.zeros((0, 3)),
        "small": np.arange(5, dtype=np.int8),
    },
    {"name": "Öl", "alpha": 0.1, "deep": {"list": [1, None, True, "x"]}},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("container")


@pytest.fixture(scope="module")
def intact(folder):
    write_container(folder / "intact", CONTENT)
    return (folder / "intact").read_bytes()


def same(one, other):
    assert (one.kind, one.metadata) == (other.kind, other.metadata)
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        there = other.arrays[name]
        assert (array.shape, array.dtype) == (there.shape, there.dtype)
        assert array.tobytes() == there.tobytes()


def read_or_refuse(path, content=None):
    """What is read from a file (of this content), None if it is refused with an explanation."""
    if content is not None:
        path.write_bytes(content)
    try:
        return read_container(path, "model")
    except InvalidInputError as error:
        assert str(path) in str(error)
        return None


def test_what_is_written_is_read(folder, intact):
    same(read_container(folder / "intact", "model"), CONTENT)
    # And by anyone who can read safetensors.
    with safe_open(folder / "intact", framework="numpy") as file:
        header = json.loads(file.metadata()["mtrelu"])
        assert header["metadata"] == CONTENT.metadata
        assert file.get_tensor("floats").tobytes() == CONTENT.arrays["floats"].tobytes()


def test_the_same_content_is_the_same_file(folder, intact):
    turned = dict(reversed(CONTENT.arrays.items()))
    write_container(folder / "again", Container("model", turned, CONTENT.metadata))
    assert (folder / "again").read_bytes() == intact


def test_a_cut_at_any_byte_is_noticed(folder, intact):
    path = folder / "cut"
    path.write_bytes(intact)
    for length in reversed(range(len(intact))):
        os.truncate(path, length)
        assert read_or_refuse(path) is None


def test_no_flipped_bit_goes_unnoticed(folder, intact):
    path, unnoticed = folder / "flipped", 0
    path.write_bytes(intact)
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(intact):
            for bit in range(8):
                file.seek(position)
                file.write(bytes([byte ^ (1 << bit)]))
                found = read_or_refuse(path)
                if found is not None:
                    same(found, CONTENT)  # upper and lower case of \u00d6, for example
                    unnoticed += 1
            file.seek(position)
            file.write(bytes([byte]))
    assert unnoticed < 10
    same(read_container(path, "model"), CONTENT)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(data=st.data())
def test_pieces_that_are_replaced_moved_or_added_are_noticed(folder, intact, data):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(intact))] * 2)))
    piece = data.draw(st.one_of(st.binary(max_size=40), st.just(intact[:start] * 2)))
    changed = intact[:start] + piece + intact[end:]
    found = read_or_refuse(folder / "changed", changed)
    if found is not None:
        same(found, CONTENT)


def with_header(folder, header, arrays=CONTENT.arrays):
    save_file(arrays, folder / "made", metadata={"mtrelu": header})
    return (folder / "made").read_bytes()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "null",
        "[]",
        "{}",
        "{" * 100_000,
        "[" * 100_000,
        '{"a": ' * 100_000,
        "1" * 10_000,
        '{"schema_version": NaN}',
        '{"schema_version": 2, "kind": "model", "metadata": {}}',
        '{"schema_version": 2, "kind": "model", "metadata": {}, "sha256": null}',
        '{"schema_version": 2, "kind": "model", "metadata": [], "sha256": ""}',
        '{"schema_version": 2, "kind": ["model"], "metadata": {}, "sha256": ""}',
        '{"schema_version": 2, "kind": "pickle", "metadata": {}, "sha256": ""}',
        '{"schema_version": 1, "metadata": {}, "sha256": ""}',
        '{"schema_version": 0, "kind": "model", "metadata": {}, "sha256": ""}',
        '{"schema_version": -1, "kind": "model", "metadata": {}, "sha256": ""}',
        '{"schema_version": true, "kind": "model", "metadata": {}, "sha256": ""}',
        '{"schema_version": 2.0, "kind": "model", "metadata": {}, "sha256": ""}',
        '{"schema_version": "2", "kind": "model", "metadata": {}, "sha256": ""}',
    ],
)
def test_headers_that_say_something_else_are_refused(folder, header):
    path = folder / "odd"
    path.write_bytes(with_header(folder, header))
    with pytest.raises(InvalidInputError, match="damaged or not a model of mtrelu"):
        read_container(path, "model")


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 10**30])
def test_newer_files_say_so_whatever_else_they_hold(folder, version):
    path = folder / "newer"
    path.write_bytes(with_header(folder, json.dumps({"schema_version": version})))
    with pytest.raises(InvalidInputError, match=f"newer mtrelu wrote .schema version {version}"):
        read_container(path, "model")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F4", "C64", "X99"])
def test_types_of_numbers_that_are_not_numpys_are_refused(folder, dtype):
    ours = {"schema_version": 2, "kind": "model", "metadata": {}, "sha256": "0"}
    header = {
        "__metadata__": {"mtrelu": json.dumps(ours)},
        "x": {"dtype": dtype, "shape": [8], "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(16)
    assert read_or_refuse(folder / "types", content) is None


def test_the_other_kind_is_named(folder, intact):
    with pytest.raises(InvalidInputError, match=r"holds a model, not a network; .* load_model"):
        read_container(folder / "intact", "network")


def test_the_kind_is_told_by_the_header(folder, intact):
    assert kind_of(folder / "intact") == "model"
    assert kind_of(Path(__file__).parent / "data" / "version_1.safetensors") == "network"
    for content in (b"", intact[:100], b"x,y\n1,2\n", with_header(folder, "{}")):
        (folder / "kind").write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"damaged .* save_network or save_model wrote"):
            kind_of(folder / "kind")


def test_numbers_lie_in_the_file_in_one_byte_order_wherever_they_came_from(folder, intact):
    arrays = {
        name: array.astype(array.dtype.newbyteorder(">")) for name, array in CONTENT.arrays.items()
    }
    write_container(folder / "big", Container("model", arrays, CONTENT.metadata))
    assert (folder / "big").read_bytes() == intact


def test_arrays_in_any_layout_are_written_as_they_are(folder):
    array = np.arange(24.0).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1], array[:, :, ::2], np.broadcast_to(1.0, (3, 2))):
        content = Container("model", {"x": view}, {})
        write_container(folder / "layout", content)
        same(read_container(folder / "layout", "model"), content)


def test_files_that_are_no_files(folder):
    (folder / "empty").touch()
    with pytest.raises(InvalidInputError, match="damaged or not a model"):
        read_container(folder / "empty", "model")
    with pytest.raises(InvalidInputError, match=r"cannot be read \(Is a directory\)"):
        read_container(folder, "model")
    with pytest.raises(InvalidInputError, match=r"pass a file that save_model wrote"):
        read_container(folder / "missing", "model")


def test_reading_networks_imports_no_solver():
    code = (
        "import sys; import mtrelu.io\n"
        "sys.exit(any(name in sys.modules for name in ('mtrelu.api', 'sklearn', 'torch', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
