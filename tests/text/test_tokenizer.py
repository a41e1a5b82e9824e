"""Tokenizers from files, whichever they are."""

import pytest
from model_folders import (
    roberta_vocabulary,
    write_byte_pairs,
    write_vocabulary,
)

from tfdistill.text.byte_pairs import BytePair
from tfdistill.text.tokenizer import read_tokenizer
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

PIECES = [*SPECIAL_PIECES, "a", "b"]


def test_a_folder_says_which_tokenizer_it_holds(tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "bytes").mkdir()
    write_vocabulary(tmp_path / "words", PIECES)
    write_byte_pairs(tmp_path / "bytes", roberta_vocabulary(()), ())
    assert isinstance(read_tokenizer(tmp_path / "words", {}), WordPiece)
    assert isinstance(read_tokenizer(tmp_path / "bytes", {}), BytePair)


@pytest.mark.parametrize("name", ["vocab.txt", "other.txt", "words"])
def test_a_vocabulary_of_any_name(tmp_path, name):
    write_vocabulary(tmp_path, PIECES)
    path = (tmp_path / "vocab.txt").rename(tmp_path / name)
    assert read_tokenizer(str(path), {}).vocabulary == tuple(PIECES)


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_files_make_the_same_tokenizer(tmp_path, do_lower_case):
    made = WordPiece(PIECES, do_lower_case=do_lower_case)
    for name, content in made.files().items():
        (tmp_path / name).write_bytes(content)
    read = read_tokenizer(tmp_path, made.settings | {"other": 1})
    assert read.fingerprint == made.fingerprint
    assert read.settings == {"do_lower_case": do_lower_case}


def test_text_is_lower_cased_unless_settings_say_otherwise(tmp_path):
    write_vocabulary(tmp_path, PIECES)
    assert read_tokenizer(tmp_path, {}).settings == {"do_lower_case": True}


def test_errors_name_the_file(tmp_path):
    with pytest.raises(OSError, match=r"vocab\.txt"):
        read_tokenizer(tmp_path, {})
    write_vocabulary(tmp_path, PIECES[1:])
    with pytest.raises(ValueError, match=r"vocab\.txt lacks the piece .PAD"):
        read_tokenizer(tmp_path, {})
