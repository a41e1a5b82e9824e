"""Which tokenizer records, models and a vocabulary file agree on."""

import dataclasses

import pytest
from model_folders import roberta_vocabulary, write_byte_pairs, write_vocabulary
from small_records import write_set

from tfdistill.agreement import check_vocabulary, tokenizer_of
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel
from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

PIECES = [*SPECIAL_PIECES, "a", "b"]
WORDS = WordPiece(PIECES, do_lower_case=False)
MERGES = ["h e"]
BYTES = BytePair(
    roberta_vocabulary(MERGES),
    parse_merges(MERGES, "the test"),
    add_prefix_space=True,
)
KINDS = pytest.mark.parametrize(
    "tokenizer", [WORDS, BYTES], ids=["words", "bytes"]
)


def records_with(folder, tokenizer):
    identity = {
        "task": "mlm",
        "tokenizer": tokenizer.fingerprint,
        **tokenizer.settings,
    }
    records = write_set(folder, [2], identity)
    for name, content in tokenizer.files().items():
        (folder / name).write_bytes(content)
    return records


def model_with(tokenizer):
    config = BertConfig(
        vocabulary_size=len(tokenizer.vocabulary),
        num_layers=1,
        hidden_dim=4,
        num_heads=1,
    )
    return LoadedModel(
        model=Bert(config), tokenizer=tokenizer, parts=(), fingerprint=""
    )


@KINDS
def test_records_keep_their_tokenizer(tmp_path, tokenizer):
    records = records_with(tmp_path / "set", tokenizer)
    found = tokenizer_of(records, model_with(tokenizer), "", True)
    assert found.fingerprint == tokenizer.fingerprint
    assert found.settings == tokenizer.settings


@KINDS
def test_a_model_knows_the_tokenizer_of_foreign_records(tmp_path, tokenizer):
    records = write_set(tmp_path / "set", [2])
    records = dataclasses.replace(records, identity={})
    model = model_with(tokenizer)
    assert tokenizer_of(records, model, "", True) is tokenizer
    with pytest.raises(ValueError, match="--vocab_file is needed"):
        tokenizer_of(records, None, "", True)


def test_a_vocabulary_file_of_foreign_records(tmp_path):
    records = write_set(tmp_path / "set", [2])
    records = dataclasses.replace(records, identity={})
    write_vocabulary(tmp_path, PIECES)
    path = str(tmp_path / "vocab.txt")
    found = tokenizer_of(records, None, path, False)
    assert found.fingerprint == WORDS.fingerprint
    with pytest.raises(ValueError, match="another vocabulary than the teach"):
        tokenizer_of(records, model_with(BYTES), path, False, role="teacher")


def test_a_vocabulary_file_must_agree(tmp_path):
    records = records_with(tmp_path / "set", BYTES)
    write_byte_pairs(tmp_path, BYTES.vocabulary, MERGES)
    path = str(tmp_path / "vocab.json")
    found = tokenizer_of(records, None, path, True)
    assert found.fingerprint == BYTES.fingerprint
    write_byte_pairs(tmp_path, BYTES.vocabulary, [])
    with pytest.raises(ValueError, match=r"than .*vocab\.json has"):
        tokenizer_of(records, None, path, True)
    write_vocabulary(tmp_path, PIECES)
    with pytest.raises(ValueError, match=r"than .*vocab\.txt has"):
        tokenizer_of(records, None, str(tmp_path / "vocab.txt"), True)


def test_a_changed_file_beside_the_records_is_noticed(tmp_path):
    records = records_with(tmp_path / "set", BYTES)
    write_byte_pairs(tmp_path / "set", BYTES.vocabulary, [])
    with pytest.raises(ValueError, match="than its own vocabulary has"):
        tokenizer_of(records, None, "", True)


def test_models_of_another_tokenizer_are_refused(tmp_path):
    records = records_with(tmp_path / "set", BYTES)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        check_vocabulary(model_with(WORDS), BYTES, records)
    check_vocabulary(model_with(BYTES), BYTES, records)
