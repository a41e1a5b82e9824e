"""The conditional masked LM: what it reads, what it starts from, its masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.conditional.from_bert import copy_bert, input_rows
from tfdistill.models.conditional.inputs import (
    CLS,
    MASK,
    PADDING,
    SEP,
    joint,
)
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.generators import conditional_lm
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.specs import build_student
from tfdistill.models.weights import (
    named_weights,
    variable_names,
    weight_shapes,
)
from tfdistill.text.join_marks import JoinMarks
from tfdistill.text.sentence_pieces import (
    SentencePieces,
    learn_sentence_pieces,
)
from tfdistill.text.shared_pieces import END_ID, shared_vocabulary
from tfdistill.text.word_pieces import WordPiece

WORDS = [
    "ich",
    "bin",
    "hier",
    "i",
    "am",
    "here",
    ".",
    "play",
    "##ing",
    "##s",
    "year",
    "hund",
    "##e",
]
BERT_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
LOGITS = frozenset({"logits"})
SHAPE = BertConfig(
    vocabulary_size=len(BERT_PIECES),
    num_layers=2,
    hidden_dim=16,
    num_heads=2,
    max_sequence_length=40,
    initializer_range=0.3,
    dropout=0.1,
)


def pieces():
    words = WordPiece(BERT_PIECES, do_lower_case=True)
    unnamed = JoinMarks((), words, is_moses_tokenized=True)
    lines = unnamed.split(["ich bin hier.", "i am here playing years", "@-@"])
    return JoinMarks(shared_vocabulary(lines), words, is_moses_tokenized=True)


@pytest.fixture(scope="module")
def bert():
    return LoadedModel(
        model=Bert(SHAPE, 3, heads=("masked_lm",)),
        tokenizer=WordPiece(BERT_PIECES, do_lower_case=True),
        parts=frozenset({"encoder", "masked_lm"}),
        fingerprint="",
    )


@pytest.fixture(scope="module")
def made(bert):
    return conditional_lm(bert, pieces(), seed=1)


def test_published_example_of_an_input():
    """`ich bin`, and `i am here` with masks at `am` and at the end."""
    read = joint(
        tf.constant([[11, 12, 0]]),
        tf.constant([[21, 22, 23, SEP, 0]]),
        tf.constant([[1, 1, 0]]),
        tf.constant([[1, 1, 1, 1, 0]]),
        tf.constant([[False, True, False, True, False]]),
        100,
    )
    ids = [CLS, 11, 12, SEP, 21, MASK, 23, MASK, PADDING, PADDING]
    assert read.features["input_ids"].numpy().tolist() == [ids]
    segments = [[0, 0, 0, 0, 1, 1, 1, 1, 0, 0]]
    assert read.features["segment_ids"].numpy().tolist() == segments
    mask = [[1] * 8 + [0] * 2]
    assert read.features["input_mask"].numpy().tolist() == mask
    assert read.positions.numpy()[0, :4].tolist() == [4, 5, 6, 7]


def test_it_starts_from_bert(made, bert):
    shared = made.tokenizer.vocabulary
    assert len(shared) % 8 == 0
    ours = named_weights(made.model)
    table = named_weights(bert.model)["bert/embeddings/word_embeddings"]
    output = ours["conditional/generator/output_embedding/table"]
    assert output.shape == (len(shared), 16)
    for piece, word in (("@@##s", "##s"), ("@@.", "."), ("ich", "ich")):
        row = output[shared.index(piece)]
        np.testing.assert_array_equal(row, table[BERT_PIECES.index(word)])
    unknown = table[BERT_PIECES.index("[UNK]")]
    np.testing.assert_array_equal(output[0], unknown)
    assert not ours["conditional/generator/output_bias"].any()
    rows = ours["conditional/encoder/input_rows"].astype(int)
    inputs = ours["conditional/encoder/encoder/word_embeddings/table"]
    assert rows[END_ID] == SEP
    for i, piece in enumerate(shared):
        word = piece.removeprefix("@@")
        if i > END_ID and word in BERT_PIECES:
            np.testing.assert_array_equal(
                inputs[rows[i]], table[BERT_PIECES.index(word)]
            )
    kernel = "transform/kernel"
    np.testing.assert_array_equal(
        variable_names(made.model)[f"generator/{kernel}"],
        variable_names(bert.model)[kernel],
    )
    assert made.parts == {"encoder", "generator"}
    assert {n: x.shape for n, x in ours.items()} == weight_shapes(
        made.model.config, made.parts
    )


def test_pieces_that_share_a_word_share_its_row():
    rows = input_rows(pieces(), WordPiece(BERT_PIECES, do_lower_case=True))
    shared = pieces().vocabulary
    # `hier.` is joined, `.` is not there; `@@##ing` is BERT's own.
    assert rows.made_of[rows.of_pieces[shared.index("@@.")]] == (".",)
    assert len(rows.made_of) < 5 + len(shared)


def test_pieces_that_bert_lacks_are_spelled(bert):
    model = learn_sentence_pieces(
        ["hunde playing year years"] * 30 + ["ich bin hunde"] * 9, 40
    )
    tokenizer = SentencePieces(model, do_lower_case=False)
    rows = input_rows(tokenizer, bert.tokenizer)
    spelled = {
        piece: rows.made_of[row]
        for piece, row in zip(tokenizer.vocabulary, rows.of_pieces, strict=True)
    }
    assert spelled["</s>"] == ("[SEP]",)
    whole = {p: s for p, s in spelled.items() if len(s) > 1}
    assert whole
    for piece, made_of in whole.items():
        text = "".join(x.removeprefix("##") for x in made_of)
        assert text == piece.removeprefix("▁")
    made = conditional_lm(bert, tokenizer, 1)
    ours = named_weights(made.model)
    table = named_weights(bert.model)["bert/embeddings/word_embeddings"]
    piece, made_of = next(iter(whole.items()))
    mean = np.mean([table[BERT_PIECES.index(x)] for x in made_of], axis=0)
    output = ours["conditional/generator/output_embedding/table"]
    np.testing.assert_allclose(
        output[tokenizer.vocabulary.index(piece)], mean, rtol=1e-6
    )


def batch(targets, sources=5, places=None):
    rng = np.random.default_rng(0)
    places = places or max(targets)
    size = len(targets)
    lengths = rng.integers(1, sources + 1, size)
    return {
        "input_ids": tf.constant(
            rng.integers(4, 16, (size, sources)), tf.int32
        ),
        "input_mask": tf.sequence_mask(lengths, sources, tf.int32),
        "target_ids": tf.constant(
            rng.integers(3, 16, (size, places)), tf.int32
        ),
        "masked_lm_weights": tf.sequence_mask(targets, places, tf.float32),
    }


@pytest.mark.parametrize(
    ("places", "groups"),
    [
        (5, [[0], [1], [2], [3], [4]]),
        (7, [[i] for i in range(7)]),
        (8, [[0, 7], [1], [2], [3], [4], [5], [6]]),
        (10, [[0, 7], [1, 8], [2, 9], [3], [4], [5], [6]]),
        (
            16,
            [
                *([0, 7, 14], [1, 8, 15], [2, 9], [3, 10]),
                *([4, 11], [5, 12], [6, 13]),
            ],
        ),
    ],
)
def test_every_place_is_masked_once_in_published_groups(made, places, groups):
    features = batch([places, 3], places=places)
    found = made.model(features, reads=LOGITS)["logits"].numpy()
    assert found.shape == (2, places, len(made.tokenizer.vocabulary))
    for group in groups:
        masks = np.zeros((2, places), np.float32)
        masks[0, group] = 1
        alone = features | {
            "target_mask": tf.cast(features["masked_lm_weights"], tf.int32),
            "masked_lm_weights": tf.constant(masks),
        }
        logits = made.model(alone, reads=LOGITS)["logits"].numpy()
        np.testing.assert_allclose(found[0, group], logits[0, group], atol=1e-4)


def test_neither_padding_nor_what_is_masked_matters(made):
    features = batch([9, 4, 6])
    before = made.model(features, reads=LOGITS)["logits"].numpy()
    real = features["masked_lm_weights"].numpy() > 0
    wider = {
        name: tf.pad(
            x, [[0, 0], [0, 3]], constant_values=int("ids" in name) * 7
        )
        for name, x in features.items()
    }
    after = made.model(wider, reads=LOGITS)["logits"].numpy()
    np.testing.assert_allclose(after[:, :9][real], before[real], atol=1e-4)
    # What stands at a place does not show in what is said of it.
    ids = features["target_ids"].numpy().copy()
    ids[0, 4] = 5 if ids[0, 4] != 5 else 6
    changed = features | {"target_ids": tf.constant(ids)}
    after = made.model(changed, reads=LOGITS)["logits"].numpy()
    np.testing.assert_allclose(after[0, 4], before[0, 4], atol=1e-4)
    assert np.abs(after[0, 5] - before[0, 5]).max() > 1e-3


def test_an_overfitted_teacher_says_every_place():
    """So that no place is off by one, the end included."""
    config = ConditionalConfig(
        vocabulary_size=20,
        bert=BertConfig(
            vocabulary_size=20,
            num_layers=1,
            hidden_dim=32,
            num_heads=2,
            max_sequence_length=32,
            dropout=0.0,
            initializer_range=0.1,
        ),
    )
    model = ConditionalLM(config, 1)
    rows = np.arange(20)
    rows[END_ID] = SEP
    variable_names(model)["encoder/input_rows"].assign(rows.astype(np.float32))
    rng = np.random.default_rng(1)
    lengths = [9, 5, 7, 3]
    targets = rng.integers(5, 20, (4, 9))
    for row, length in zip(targets, lengths, strict=True):
        row[length - 1 :] = END_ID
    features = batch(lengths, sources=4) | {
        "target_ids": tf.constant(targets, tf.int32)
    }
    optimizer = keras.optimizers.Adam(3e-3)
    variables = [v for v in variable_names(model).values() if v.trainable]
    real = features["masked_lm_weights"]

    @tf.function(autograph=False)
    def learn(masks):
        seen = features | {
            "target_mask": tf.cast(real, tf.int32),
            "masked_lm_weights": masks,
        }
        with tf.GradientTape() as tape:
            logits = model(seen, reads=LOGITS)["logits"]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                seen["target_ids"], logits
            )
            loss = tf.reduce_sum(losses * masks) / tf.reduce_sum(masks)
        gradients = tape.gradient(loss, [v.value for v in variables])
        pairs = zip(gradients, variables, strict=True)
        optimizer.apply_gradients([(g, v) for g, v in pairs if g is not None])

    for _ in range(250):
        learn(tf.cast(rng.random((4, 9)) < 0.3, tf.float32) * real)
    said = model(features, reads=LOGITS)["logits"].numpy().argmax(-1)
    right = (said == targets)[real.numpy() > 0]
    assert right.mean() == 1.0


def test_dropout_belongs_to_examples(made):
    features = batch([6, 6, 6, 6])
    features["target_mask"] = tf.cast(features["masked_lm_weights"], tf.int32)
    step = tf.constant(1, tf.int64)

    def run(start, end):
        part = {name: x[start:end] for name, x in features.items()}
        noise = DropoutNoise(1, step, tf.constant(start, tf.int64))
        return made.model(part, reads=LOGITS, noise=noise)["logits"]

    np.testing.assert_allclose(
        run(0, 4), tf.concat([run(0, 2), run(2, 4)], 0), atol=1e-4
    )


def test_a_saved_model_is_the_same(made, tmp_path):
    save_model(made.model, made.tokenizer, parts=made.parts, path=tmp_path)
    again = load_model(
        str(tmp_path), heads=("generator",), needs=("generator",)
    )
    assert again.fingerprint == made.fingerprint
    assert again.tokenizer.fingerprint == made.tokenizer.fingerprint
    assert again.model.config == made.model.config
    with pytest.raises(ValueError, match="cmlm, which is for tasks that write"):
        load_model(str(tmp_path), heads=("classifier",))


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("seq2seq(num_layers=1)", "cmlm", r"made from bert\(…\), or a BERT"),
        ("bert(num_layers=1)", "seq2seq", r"made from seq2seq\(…\)"),
        ("seq2seq(depth=1)", "seq2seq", "depth"),
    ],
)
def test_students_of_another_kind_are_refused(spec, kind, message):
    with pytest.raises(ValueError, match=message):
        build_student(spec, tokenizer=pieces(), teacher=None, seed=0, kind=kind)


def test_a_folder_of_another_kind_is_refused(bert, made, tmp_path):
    save_model(made.model, made.tokenizer, parts=made.parts, path=tmp_path)
    with pytest.raises(ValueError, match="is a cmlm; the task's models are"):
        build_student(
            str(tmp_path),
            tokenizer=pieces(),
            teacher=None,
            seed=0,
            kind="seq2seq",
        )


def test_without_a_bert_rows_are_random_and_words_are_shared():
    model = conditional_lm(SHAPE, pieces(), 1)
    assert model.parts == frozenset()
    rows = named_weights(model.model)["conditional/encoder/input_rows"]
    assert rows.max() == model.model.config.bert.vocabulary_size - 1


def test_copying_nothing_leaves_random_weights():
    config = ConditionalConfig(
        vocabulary_size=len(pieces().vocabulary), bert=SHAPE
    )
    model = ConditionalLM(config, 1)
    before = variable_names(model)["generator/transform/kernel"].numpy()
    assert copy_bert(model, input_rows(pieces(), None), None) == frozenset()
    after = variable_names(model)["generator/transform/kernel"].numpy()
    np.testing.assert_array_equal(before, after)
