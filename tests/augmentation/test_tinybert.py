"""TinyBERT's augmentation: batches equal one word at a time."""

import itertools
import random

import numpy as np
import pytest
import tensorflow as tf
from golden import golden

from tfdistill.augmentation import ROUNDS, tinybert, tinybert_variants
from tfdistill.augmentation.candidates import _largest, whole_words
from tfdistill.augmentation.tinybert import (
    NUM_CANDIDATES,
    REPLACE_PROB,
    STOP_WORDS,
    basic_words,
    replaceable,
    vary,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.text.byte_pairs import BytePair
from tfdistill.text.word_pieces import WordPiece
from tfdistill.text.word_vectors import WordVectors

GOLDEN = golden("ckd_losses")["data_augmentation"]

# Every single letter is a piece, so no word is unknown.
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", ",", "'"),
    *("movie", "film", "story", "great", "good", "fine", "dog", "cat"),
    *("sleeps", "eats", "runs", "really", "truly", "old", "new", "house"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
)
TOKENIZER = WordPiece(VOCABULARY, do_lower_case=True)
IDS = {piece: i for i, piece in enumerate(VOCABULARY)}
SENTENCES = (
    "The Movie is really great !",
    "a dog sleeps",
    "The old dog eats, and the new cat runs; a story it isn't.",
    "unlikely movie",
    "The house",
    "",
    "of the and",
    "Good good GOOD",
    "really great film, really truly great dog, a fine old house and a cat",
)
VECTORS = WordVectors(
    ("unlikely", "likely", "rare", "<unk>"),
    np.array([[1, 0.1], [1, 0], [0.9, 1], [0, 0]], np.float32),
)
CONFIG = BertConfig(
    vocabulary_size=len(VOCABULARY),
    num_layers=2,
    hidden_dim=24,
    num_heads=2,
    max_sequence_length=64,
    initializer_range=0.5,
)


def toy(*, input_ids, input_mask, segment_ids, positions):
    """Logits that depend on all that is real in a row, with many ties."""
    numbers = np.arange(input_ids.shape[1])
    words = (input_ids * (numbers + 1 + 7 * segment_ids)) * input_mask
    sums = words.sum(axis=1) + 31 * positions
    assert (input_ids[np.arange(len(sums)), positions] == 4).all()
    pieces = np.arange(len(VOCABULARY))
    return ((sums[:, None] * (pieces + 3)) % 23).astype(np.float32)


@pytest.fixture(scope="module")
def real():
    model = Bert(CONFIG, 3, heads=("masked_lm",))

    def ask(*, input_ids, input_mask, segment_ids, positions):
        features = {
            "input_ids": input_ids,
            "input_mask": input_mask,
            "segment_ids": segment_ids,
            "masked_lm_positions": positions[:, None],
        }
        outputs = model(
            {k: tf.constant(v) for k, v in features.items()},
            reads=frozenset({"logits"}),
        )
        return outputs["logits"][:, 0].numpy()

    return ask


def variants(rows, ask=toy, **changes):
    arguments = {
        "ask": ask,
        "tokenizer": TOKENIZER,
        "vectors": VECTORS,
        "rounds": 6,
        "seed": 11,
        "num_candidates": 5,
        "batch_size": 16,
        "max_seq_length": 64,
    }
    return list(tinybert_variants(rows, **(arguments | changes)))


def one_at_a_time(rows, ask, gaps=None, count=5, max_seq_length=64):
    """The published form: a word, a call; no padding and no batch."""
    made = []
    for number, row in enumerate(rows):
        rng = random.Random(f"11 {number}")
        found = [tuple(row)]
        for column, sentence in enumerate(row):
            words = basic_words([sentence], True)[0]
            pieces = [TOKENIZER.tokenize([word])[0] for word in words]
            candidates = {}
            for place in replaceable(words):
                choices = []
                if len(pieces[place]) > 1:
                    choices = VECTORS.nearest([words[place]], count)[0]
                else:
                    masked = [*pieces[:place], [4], *pieces[place + 1 :]]
                    first = [2, *itertools.chain(*masked), 3]
                    second = [*itertools.chain(*pieces), 3]
                    ids = [*first, *second][:max_seq_length]
                    logits = ask(
                        input_ids=np.array([ids], np.int32),
                        input_mask=np.ones((1, len(ids)), np.int32),
                        segment_ids=np.array(
                            [[0] * len(first) + [1] * len(second)], np.int32
                        )[:, : len(ids)],
                        positions=np.array([ids.index(4)], np.int32),
                    )[0]
                    order = np.argsort(-logits, kind="stable")
                    if gaps is not None:
                        a, b = logits[order[count - 1 : count + 1]]
                        gaps.append(a - b)
                    best = sorted(order[:count].tolist())
                    choices = whole_words(VOCABULARY[i] for i in best)
                candidates[place] = choices or [words[place]]
            for variant in vary(
                sentence,
                words,
                candidates,
                rounds=6,
                replace_prob=0.4,
                rng=rng,
            )[1:]:
                found.append((*row[:column], variant, *row[column + 1 :]))
        made.append(found)
    return made


ROWS = [(sentence,) for sentence in SENTENCES]
PAIRS = list(itertools.pairwise(SENTENCES))


@pytest.mark.parametrize("rows", [ROWS, PAIRS], ids=["single", "pairs"])
def test_equals_one_word_at_a_time(rows):
    expected = one_at_a_time(rows, toy)
    assert sum(map(len, expected)) > 3 * len(rows)
    assert variants(rows) == expected


def test_equals_one_word_at_a_time_with_a_real_model(real):
    gaps = []
    expected = one_at_a_time(PAIRS, real, gaps)
    # Far more than what products of other shapes differ by.
    assert min(gaps) > 1e-4
    assert variants(PAIRS, real) == expected


def test_batches_and_neighbours_change_nothing(monkeypatch, real):
    expected = variants(ROWS, real)
    assert variants(ROWS, real, batch_size=33) == expected
    # Bits of a query's logits, with and without company.
    seen = {}

    def watched(**batch):
        logits = real(**batch)
        for ids, position, row in zip(
            batch["input_ids"], batch["positions"], logits, strict=True
        ):
            key = (ids.tobytes(), position)
            assert seen.setdefault(key, row.tobytes()) == row.tobytes()
        return logits

    assert variants(ROWS, watched) == expected
    monkeypatch.setattr(tinybert, "_ROWS_AT_ONCE", 1)
    assert variants(ROWS, watched) == expected
    assert variants(ROWS[:3], watched) == expected[:3]


def test_calls_are_few_and_of_equal_shape():
    shapes = []

    def counted(**batch):
        shapes.append(batch["input_ids"].shape)
        return toy(**batch)

    variants(ROWS * 20, counted, batch_size=30)
    # Equal sentences are asked about once; a batch for each length.
    assert shapes == [(32, length) for length in sorted({s[1] for s in shapes})]
    assert all(length % 16 == 0 for _, length in shapes)


def test_what_the_model_reads():
    batches = []

    def watched(**batch):
        assert {v.dtype for v in batch.values()} == {np.dtype(np.int32)}
        batches.append({k: v[0].tolist() for k, v in batch.items()})
        return toy(**batch)

    variants([("Dog x sleeps",)], watched, max_seq_length=64)
    first = batches[0]
    spelled = [VOCABULARY[i] for i in first["input_ids"]]
    assert " ".join(spelled[:10]) == (
        "[CLS] [MASK] x sleeps [SEP] dog x sleeps [SEP] [PAD]"
    )
    assert first["input_mask"] == [1] * 9 + [0] * 7
    assert first["segment_ids"] == [0] * 5 + [1] * 4 + [0] * 7
    assert first["positions"] == 1


def test_what_does_not_fit_stays():
    """A sequence is cut at its end; a word beyond it cannot be masked."""
    lengths = []

    def watched(**batch):
        lengths.append(batch["input_ids"].shape[1])
        assert batch["positions"].max() < 6
        return toy(**batch)

    [found] = variants(
        [("dog cat film story great good fine",)],
        watched,
        max_seq_length=6,
        replace_prob=1,
    )
    assert set(lengths) == {6}
    assert len(found) > 1
    for (text,) in found[1:]:
        assert text.split()[5:] == ["good", "fine"]


@pytest.mark.parametrize("case", GOLDEN["runs"], ids=range(4))
def test_golden_runs(case):
    sentence = case["sentence"]
    [words] = basic_words([sentence], True)
    places = replaceable(words)
    assert [[p, words[p]] for p in places] == case["augmented_positions"]
    found = vary(
        sentence,
        words,
        {p: case["candidate_words"].get(str(p), [words[p]]) for p in places},
        rounds=case["N"],
        replace_prob=case["p"],
        rng=random.Random(case["python_random_seed"]),
    )
    assert found == case["result"]


@pytest.mark.parametrize("width", [1, 2, 60, 30_000])
@pytest.mark.parametrize("count", [1, 15])
def test_largest_are_exact_with_ties_by_id(width, count):
    rng = np.random.default_rng(1)
    for logits in (
        rng.normal(size=(9, width)),
        rng.integers(0, 4, (9, width)),
        np.zeros((2, width)),
    ):
        rows = logits.astype(np.float32)
        for row, found in zip(rows, _largest(rows, count), strict=True):
            order = np.argsort(-row, kind="stable")
            assert found == sorted(order[:count].tolist())


def test_golden_filter():
    case = GOLDEN["word_piece_filter"]
    assert whole_words(case["in"]) == case["kept"]
    assert whole_words(VOCABULARY[:6]) == ["!"]


def test_pairs_keep_the_partner():
    """As the published rows, with the first sentence itself beside B's."""
    wrong = [tuple(row[1:3]) for row in GOLDEN["pair_rows"][1:]]
    expected = [(a.replace("A Y", "A"), b) for a, b in wrong[3:]][1:]
    expected = [*wrong[:3], *expected]

    def scripted(sentence, words, candidates, **arguments):
        return [sentence, f"{sentence} X", f"{sentence} Y"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tinybert, "vary", scripted)
        assert variants([("A", "B")]) == [expected]


def test_neighbours_for_words_of_several_pieces():
    rows = [("unlikely, unlikely",)]
    [found] = variants(rows, replace_prob=1, rounds=200, num_candidates=2)
    near = ["likely", "rare"]
    assert {text for (text,) in found[1:]} == {
        f"{a} , {b}" for a in near for b in near
    }
    # Neither without vectors nor without its vector does a word change.
    for changes in ({"vectors": None}, {"tokenizer": TOKENIZER}):
        rows = [("improbable",)] if "vectors" not in changes else rows
        [found] = variants(rows, replace_prob=1, **changes)
        assert found[0] == rows[0]
        assert {t.replace(" ,", ",") for (t,) in found} == {rows[0][0]}


def test_probabilities_0_and_1():
    rows = [("movie great",), ("Movie great",)]
    lower, raw = variants(rows, replace_prob=0)
    assert lower == [("movie great",)]
    # Normalised it is new to whoever reads case.
    assert raw == [("Movie great",), ("movie great",)]
    [found, _] = variants(rows, replace_prob=1, num_candidates=1, rounds=30)
    assert len(found) <= 2


def test_seed_row_and_rounds():
    rows = [(SENTENCES[2],)] * 2
    first, second = variants(rows, rounds=30)
    assert first[0] == second[0] == rows[0]
    assert first != second
    assert variants(rows[:1], rounds=30) == [first]
    assert variants(rows[:1], rounds=30, seed=12) != [first]
    assert len(set(first)) == len(first) <= 31
    assert variants(rows, rounds=0) == [[rows[0]]] * 2
    assert variants([]) == []


def test_words_are_those_of_the_tokenizer():
    sentences = ["Don't STOP, naïve 的 \x00 café-au-lait!", *SENTENCES]
    for words, ids in zip(
        basic_words(sentences, True),
        TOKENIZER.tokenize(sentences),
        strict=True,
    ):
        each = itertools.chain.from_iterable(TOKENIZER.tokenize(words))
        assert list(each) == ids
    assert basic_words(["Don't É"], False) == [["Don", "'", "t", "É"]]
    assert basic_words([], True) == []


def test_constants():
    assert (NUM_CANDIDATES, REPLACE_PROB) == (15, 0.4)
    assert len(STOP_WORDS) == 145
    assert replaceable(["the", "dog", "'", "x2", "Dog", "é", "t", ""]) == [1]
    assert {task: ROUNDS[task] for task in ("cola", "mnli", "sst2")} == {
        "cola": 30,
        "mnli": 10,
        "sst2": 20,
    }


def test_errors_are_one_line():
    def not_finite(**batch):
        logits = toy(**batch)
        logits[0, 3] = np.nan
        return logits

    with pytest.raises(ValueError, match="WordPiece vocabulary, not BytePair"):
        pieces = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "a")
        variants(ROWS, tokenizer=BytePair(pieces, []))
    with pytest.raises(ValueError, match="logits are not finite"):
        variants(ROWS, not_finite)
    for name, value in {
        "rounds": -1,
        "num_candidates": 0,
        "batch_size": 0,
        "max_seq_length": 3,
        "replace_prob": 1.1,
    }.items():
        with pytest.raises(ValueError, match=f"{name}={value} is"):
            variants(ROWS, **{name: value})
