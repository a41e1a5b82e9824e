"""Latencies of every kind of model, in a process of their own."""

import pytest

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.words import RecurrentModel, SiameseBiLstmConfig
from tfdistill.reporting import latency, measure_latencies
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece
from tfdistill.text.words import RESERVED, Words


def save_bert(folder, heads, seed=0, layers=1):
    config = BertConfig(
        vocabulary_size=len(SPECIAL_PIECES),
        num_layers=layers,
        hidden_dim=8,
        num_heads=2,
        max_sequence_length=12,
    )
    model = Bert(config, seed, heads)
    tokenizer = WordPiece(SPECIAL_PIECES, do_lower_case=True)
    save_model(model, tokenizer, parts=model.parts, path=folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    c = tmp_path_factory.mktemp("models")
    words = Words([*RESERVED, "a"], do_lower_case=True)
    config = SiameseBiLstmConfig(
        vocabulary_size=len(words.vocabulary), vector_dim=4, hidden_dim=4
    )
    model = RecurrentModel(config, 0, ("classifier",))
    save_model(model, words, parts=model.parts, path=c / "words")
    return [
        save_bert(c / "masked", ("masked_lm", "next_sentence")),
        save_bert(c / "span", ("span",)),
        save_bert(c / "classes", ("classifier",)),
        save_bert(c / "deep", ("classifier",), layers=6),
        save_bert(c / "again", ("classifier",), seed=1),
        c / "words",
    ]


def test_every_kind_of_model_is_timed(folders):
    found = measure_latencies(folders, 16)
    assert len(found) == len(folders)
    # Models of words have no positions that end.
    assert [one.length for one in found] == [12] * 5 + [16]
    for one in found:
        assert one.milliseconds.keys() == {1, 32}
        assert min(one.milliseconds.values()) > 0
        assert one.examples_per_second > 0
    classes, deep, again = found[2:5]
    assert deep.milliseconds[32] > classes.milliseconds[32]
    # The same shape is timed once.
    assert again == classes


def test_a_model_that_is_damaged_is_named(folders, tmp_path):
    folder = save_bert(tmp_path / "cut", ("classifier",))
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"cut/model\.safetensors"):
        measure_latencies([folder], 8)


def test_weights_make_no_shape(folders):
    shapes = [latency._shape(folder) for folder in folders]
    assert len(set(shapes)) == len(shapes) - 1
