"""Text folders are written whole, and read as documents."""

import json
from pathlib import Path

import pytest

from tfdistill.text.documents import read_documents, text_files
from tfdistill.text.text_writer import TextWriter

DOCUMENTS = [["One.", "Two."], ["Drei ä."], ["x" * 50], ["y"]]


def _write(folder: Path, shard_bytes: int = 20) -> None:
    with TextWriter(folder, shard_bytes) as writer:
        for document in DOCUMENTS:
            writer.add(document)
        writer.finish({"more": 1})


def test_round_trip(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    _write(folder)
    files = text_files(str(folder))
    assert [file.read_text() for file in files] == [
        "One.\nTwo.\n\n",
        "Drei ä.\n\n",
        "x" * 50 + "\n\n",
        "y\n\n",
    ]
    assert list(read_documents(files)) == DOCUMENTS
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["articles"], manifest["sentences"]) == (4, 5)
    assert manifest["bytes"] == sum(f.stat().st_size for f in files)
    assert [p.name for p in tmp_path.iterdir()] == ["text"]


def test_concatenated_shards_are_the_same_text(tmp_path: Path) -> None:
    _write(tmp_path / "many")
    _write(tmp_path / "one", shard_bytes=1000)
    whole = tmp_path / "whole"
    whole.write_bytes(
        b"".join(f.read_bytes() for f in text_files(str(tmp_path / "many")))
    )
    (one,) = text_files(str(tmp_path / "one"))
    assert whole.read_bytes() == one.read_bytes()


def test_unfinished_text_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.partial").mkdir()
    (tmp_path / "text.partial" / "text-00007.txt").write_text("killed run")
    with (
        pytest.raises(RuntimeError),
        TextWriter(tmp_path / "text", 20) as writer,
    ):
        writer.add(["One."])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_read_documents_of_other_makers(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfA \r\n\n \nB\nC")
    (tmp_path / "a.txt").write_bytes(b"\n\nFirst")
    (tmp_path / "notes.md").write_bytes(b"not text")
    files = text_files(str(tmp_path))
    assert list(read_documents(files)) == [["First"], ["A"], ["B", "C"]]


def test_text_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"ab\nc\xff\n")
    with pytest.raises(ValueError, match=r"a\.txt: not UTF-8.*offset 4"):
        list(read_documents([path]))


def test_text_files_refuses(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such"):
        text_files(str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match=r"no \*.txt"):
        text_files(str(tmp_path))
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="empty"):
        text_files(str(tmp_path))
    (tmp_path / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="not the manifest"):
        text_files(str(tmp_path))


def test_shards_must_fit_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    _write(folder)
    shard = folder / "text-00001.txt"
    shard.write_text("cut")
    with pytest.raises(ValueError, match=r"text-00001\.txt: 3 bytes"):
        text_files(str(folder))
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"text-00001\.txt: missing"):
        text_files(str(folder))
