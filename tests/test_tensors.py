import json

import numpy as np
import pytest
import safetensors.numpy

from tfdistill.tensors import load_tensors, save_tensors

TENSORS = {
    "a/transposed": np.arange(6.0).reshape(2, 3).T,
    "a/scalar": np.array(3, np.float32),
    "b/none": np.zeros((0, 3)),
    "b/half": np.array([1.5, -2.25], np.float16),
    "b/integer": np.array([2**63 + 1], np.uint64),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, {"step": "7"})
    return path


def assert_same(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


def test_round_trip(path):
    tensors, metadata = load_tensors(path)
    assert_same(tensors, TENSORS)
    assert metadata == {"step": "7"}


def test_other_readers_understand_the_file(path):
    assert_same(safetensors.numpy.load_file(path), TENSORS)


def test_prefix(path):
    tensors, metadata = load_tensors(path, "a/")
    assert_same(
        tensors, {n: t for n, t in TENSORS.items() if n.startswith("a/")}
    )
    assert metadata == {"step": "7"}


def test_file_without_check_sums(tmp_path):
    path = tmp_path / "file"
    tensors = {"x": np.arange(3.0), "y": np.ones((2, 2), np.float16)}
    safetensors.numpy.save_file(tensors, path, metadata={"format": "np"})
    loaded, metadata = load_tensors(path)
    assert_same(loaded, tensors)
    assert metadata == {"format": "np"}


def test_bfloat16_is_read_as_float32(tmp_path):
    values = np.array([[1.0, -2.5], [3.0, 2.0**100]], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}
    header = json.dumps({"x": entry}).encode()
    path = tmp_path / "file"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert_same(load_tensors(path)[0], {"x": values})


def test_every_cut_is_refused(path):
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut|damaged") as caught:
            load_tensors(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_appended_bytes_are_refused(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="damaged"):
        load_tensors(path)


def test_no_changed_byte_changes_a_value(path):
    whole = path.read_bytes()
    data_starts = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            tensors, _ = load_tensors(path)
        except ValueError as error:
            assert str(path) in str(error)
            continue
        # The name of the list of check sums itself may be hit.
        assert place < data_starts
        assert_same(tensors, TENSORS)


def test_error_names_the_damaged_tensor(path):
    whole = bytearray(path.read_bytes())
    at = bytes(whole).index(np.float16(1.5).tobytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="b/half does not match"):
        load_tensors(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + b"x" * 100, b"{}" * 9])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cut or no safetensors file"):
        load_tensors(path)
