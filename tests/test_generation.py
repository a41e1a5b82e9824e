"""Writing: what stands where the vocabulary has no piece."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.config.options import Decoding
from tfdistill.decoding import Hypotheses
from tfdistill.generation import Writer
from tfdistill.models.specs import build_student
from tfdistill.text.join_marks import JoinMarks
from tfdistill.text.shared_pieces import (
    END_ID,
    SPECIAL,
    UNKNOWN_ID,
    shared_vocabulary,
)
from tfdistill.text.word_pieces import WordPiece

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ein", "kind", "!"]


@pytest.mark.parametrize("replaces", [True, False])
def test_unknown_pieces_are_copied_from_the_source(replaces, monkeypatch):
    words = WordPiece(WORDS, do_lower_case=False)
    vocabulary = shared_vocabulary([["ein", "kind"]])
    pieces = JoinMarks(vocabulary, words, is_moses_tokenized=False)
    loaded = build_student(
        "seq2seq(num_layers=1,hidden_dim=8,num_heads=2)",
        tokenizer=pieces,
        teacher=None,
        seed=1,
        kind="seq2seq",
    )
    ids = [vocabulary.index("kind"), UNKNOWN_ID, UNKNOWN_ID, END_ID]
    # The second piece of the source, its third, and one of the padding.
    looked_at = [0, 1, 2, 0], [0, 1, 7, 0]

    def generate(features, **_):
        rows = features["input_ids"].shape[0]
        assert features["input_ids"].numpy()[:, 0].tolist() == [4] * rows
        return Hypotheses(
            tf.constant([ids] * rows),
            tf.fill([rows], len(ids)),
            tf.constant(np.resize(looked_at, [rows, 4])),
            tf.zeros([rows]),
        )

    monkeypatch.setattr(loaded.model, "generate", generate)
    tf.config.run_functions_eagerly(True)
    try:
        writer = Writer(
            loaded,
            Decoding(replace_unknown=replaces),
            max_source_length=8,
            batch_size=2,
        )
        found = list(writer.write(["ein 猫!", "ein 猫!"]))
    finally:
        tf.config.run_functions_eagerly(False)
    unknown = SPECIAL[UNKNOWN_ID]
    # `!` is no piece of the vocabulary either, and knows its place.
    assert found == (
        ["kind 猫!", f"kind 猫 {unknown}"]
        if replaces
        else [f"kind {unknown} {unknown}"] * 2
    )
