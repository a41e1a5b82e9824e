"""A vocabulary is learnt, the same one every time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfdistill.config.options import Artefacts, Corpus, General, Tables
from tfdistill.make_vocab import make_vocab
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

SENTENCES = (
    "The cats walked and talked, walking while talking.",
    "A Café in Łódź costs 42 $; 猫 walk there.",
)


def _make(tmp_path: Path, name: str = "vocab.txt", **corpus) -> list[str]:
    text = tmp_path / "a.txt"
    if not text.exists():
        text.write_text("\n".join(SENTENCES * 20), encoding="utf-8")
    target = tmp_path / name
    summary = make_vocab(
        Artefacts(text=str(text), vocab_file=str(target)),
        General(),
        Corpus(**corpus),
        Tables(),
    )
    pieces = target.read_text(encoding="utf-8").splitlines()
    assert summary["pieces"] == len(pieces) == len(set(pieces))
    return pieces


def test_pieces(tmp_path: Path) -> None:
    pieces = _make(tmp_path, vocab_size=200)
    assert tuple(pieces[:5]) == SPECIAL_PIECES
    assert len(pieces) <= 200
    assert {"walk", "cafe", "the", "##g", "42", "猫", "$"} <= set(pieces)


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_every_word_of_the_text_has_pieces(
    tmp_path: Path, do_lower_case: bool
) -> None:
    pieces = _make(tmp_path, vocab_size=150, do_lower_case=do_lower_case)
    tokenizer = WordPiece(pieces, do_lower_case=do_lower_case)
    unknown = pieces.index("[UNK]")
    assert not any(unknown in ids for ids in tokenizer.tokenize(SENTENCES))
    assert ("T" in pieces) != do_lower_case


@pytest.mark.parametrize("vocab_size", [16, 17, 60, 100])
def test_size_is_an_upper_bound(tmp_path: Path, vocab_size: int) -> None:
    assert 5 < len(_make(tmp_path, vocab_size=vocab_size)) <= vocab_size


def test_same_text_gives_same_bytes(tmp_path: Path) -> None:
    _make(tmp_path, "one", vocab_size=120)
    _make(tmp_path, "two", vocab_size=120)
    one, two = (tmp_path / name for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    stamp = one.stat().st_mtime_ns
    _make(tmp_path, "one", vocab_size=120)
    assert one.stat().st_mtime_ns == stamp


def test_other_vocabulary_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("precious\n")
    with pytest.raises(ValueError, match="holds another vocabulary"):
        _make(tmp_path)
    assert (tmp_path / "vocab.txt").read_text() == "precious\n"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\n \n", "no words"),
        (b"a\xff", "byte offset 1"),
    ],
)
def test_bad_text(tmp_path: Path, data: bytes | None, cause: str) -> None:
    text = tmp_path / "a.txt"
    if data is not None:
        text.write_bytes(data)
    with pytest.raises((ValueError, OSError), match=cause) as caught:
        make_vocab(
            Artefacts(text=str(text), vocab_file=str(tmp_path / "v")),
            General(),
            Corpus(),
            Tables(),
        )
    assert str(text) in str(caught.value)
    assert not (tmp_path / "v").exists()


def test_command_gives_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tfdistill.make_vocab",
            f"--text={tmp_path / 'absent'}",
            f"--vocab_file={tmp_path / 'v'}",
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=60,
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "absent") in done.stderr
    assert list(tmp_path.iterdir()) == []
