import os

import pytest

from tfdistill.files import read_json, sha256_of, write_atomically, write_json


def test_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file"
    with write_atomically(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".partial")
        temporary.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert os.listdir(path.parent) == ["file"]


def test_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    for text in ("a", "b"):
        with write_atomically(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "b"


def test_folder_appears_when_the_block_ends(tmp_path):
    with write_atomically(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_text("text")
    assert (tmp_path / "folder" / "inner" / "file").read_text() == "text"
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_error_leaves_the_old_file_and_nothing_else(tmp_path, is_folder):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_atomically(path) as temporary:
        if is_folder:
            temporary.mkdir()
            (temporary / "file").touch()
        else:
            temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_block_that_makes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "f"):
        pass
    assert os.listdir(tmp_path) == []


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_json_round_trip(tmp_path):
    value = {"ä": [1, 2.5, None], "b": {"c": True}}
    write_json(tmp_path / "file", value)
    assert read_json(tmp_path / "file") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'{"a": 1', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a": "\xff"}', "is not UTF-8: byte 7"),
        (b"[1]", "holds a JSON list, expected an object"),
    ],
)
def test_wrong_json_is_one_line(tmp_path, content, message):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
