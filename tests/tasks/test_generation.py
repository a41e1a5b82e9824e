"""Translation and summarisation: records, masks, scores, bad input."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.config import FlagNeededError
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    ParallelText,
    Tables,
)
from tfdistill.distillation.step import count_tokens
from tfdistill.make_vocab import make_vocab
from tfdistill.metrics.texts import summary_metrics, translation_metrics
from tfdistill.records import (
    evaluation_batches,
    open_record_set,
    token_batches,
)
from tfdistill.tasks import find_task
from tfdistill.tasks.generation import draw_masks, pairs_of
from tfdistill.tasks.generation_records import make_pair_records
from tfdistill.text.shared_learning import check_learnt
from tfdistill.text.shared_pieces import END_ID
from tfdistill.text.tokenizer import read_pieces

SOURCES = ["Ein Hund läuft.", "Die Katze schläft.", "", "Ein Kind und " * 9]
TARGETS = ["A dog runs.", "The cat sleeps.", "Nothing.", "A child and " * 9]
GENERAL = General(task="translation")
EXAMPLES = Examples()
CORPUS = Corpus(vocab_size=120, do_lower_case=False)
PARALLEL = ParallelText(
    max_source_length=20, max_target_length=20, pairs_per_shard=5
)


def write(folder, name, lines):
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Text and a vocabulary of it."""
    folder = tmp_path_factory.mktemp("translation")
    write(folder, "train.de", SOURCES * 4)
    write(folder, "train.en", TARGETS * 4)
    make_vocab(artefacts(folder, folder), GENERAL, CORPUS, Tables(), PARALLEL)
    return folder


def artefacts(folder, out, **changes):
    values = {
        "source_file": f"{folder}/train.de",
        "target_file": f"{folder}/train.en",
        "vocab_file": f"{folder}/pieces.txt",
        "records": f"{out}/train",
    }
    return Artefacts(**(values | changes))


def make(
    folder,
    out,
    general=GENERAL,
    parallel=PARALLEL,
    examples=EXAMPLES,
    **changes,
):
    given = artefacts(folder, out, **changes)
    pieces = read_pieces(
        given.vocab_file,
        {"do_lower_case": False, "is_moses_tokenized": False},
    )
    return make_pair_records(
        given, general, examples, parallel, Tables(), pieces
    )


def rows_of(records):
    size = records.examples
    (batch,) = evaluation_batches(
        records, batch_size=size, process_slice=(0, size)
    )
    return {name: x.numpy() for name, x in batch.items()}


def test_records_hold_pairs_by_their_lines(folder, tmp_path):
    made = make(folder, tmp_path)
    assert (made["pairs"], made["examples"], made["shards"]) == (16, 8, 2)
    assert made["skipped"] == {"empty": 4, "too_long": 4}
    assert made["unknown_share"] == 0
    records = open_record_set(made["records"])
    rows = rows_of(records)
    assert rows["pair_numbers"].tolist() == [0, 1, 4, 5, 8, 9, 12, 13]
    pieces = read_pieces(tmp_path / "train", records.identity)
    for ids, mask, text in (
        (rows["input_ids"][1], rows["input_mask"][1], SOURCES[1]),
        (rows["target_ids"][1], rows["masked_lm_weights"][1], TARGETS[1]),
    ):
        own = ids[: int(mask.sum())].tolist()
        assert (own[-1] == END_ID) == (text == TARGETS[1])
        names = [pieces.vocabulary[i] for i in own]
        assert pieces.detokenize(names) == text


def test_records_can_be_compressed(folder, tmp_path):
    plain = open_record_set(make(folder, tmp_path / "a")["records"])
    zlib = Examples(record_compression="zlib")
    made = make(folder, tmp_path / "b", examples=zlib)
    records = open_record_set(made["records"])
    assert records.schema.compression == "zlib"
    rows = rows_of(plain)
    for name, values in rows_of(records).items():
        np.testing.assert_array_equal(values, rows[name], err_msg=name)


def test_making_them_again_does_nothing(folder, tmp_path):
    first = make(folder, tmp_path)
    shard = tmp_path / "train" / "train-00000-of-00002.tfrecord"
    before = shard.stat().st_mtime_ns
    assert make(folder, tmp_path) == first
    assert shard.stat().st_mtime_ns == before
    other = dataclasses.replace(PARALLEL, max_words=3)
    with pytest.raises(ValueError, match="max_words is 0 there and 3 here"):
        make(folder, tmp_path, parallel=other)


def test_held_out_text_is_kept(folder, tmp_path):
    parallel = dataclasses.replace(PARALLEL, eval_every=2)
    made = make(
        folder, tmp_path, parallel=parallel, eval_records=f"{tmp_path}/dev"
    )
    assert (made["examples"], made["eval_examples"]) == (4, 4)
    records = open_record_set(made["eval_records"])
    pairs = pairs_of(records)
    # Every other one of those that are not empty, be they too long or not.
    assert [pair.number for pair in pairs] == [1, 4, 7, 9, 12, 15]
    assert pairs[2].source == " ".join(SOURCES[3].split())
    text = tmp_path / "dev" / "pairs.jsonl"
    text.write_text(text.read_text().replace("Kind", "Rind"))
    with pytest.raises(ValueError, match="not the file"):
        pairs_of(records)
    with pytest.raises(ValueError, match=r"holds no pairs\.jsonl"):
        pairs_of(open_record_set(made["records"]))


def test_what_is_left_out_is_counted_once(folder, tmp_path):
    """Rules on text to learn from leave text to be scored on alone."""
    invisible = {"source": [*SOURCES, "\u200b"], "target": [*TARGETS, "A dog"]}
    parallel = dataclasses.replace(PARALLEL, max_words=3, max_length_ratio=2.5)
    files = {
        f"{split}{side}_file": write(tmp_path, f"{split}.{side}", lines)
        for split in ("", "eval_", "test_")
        for side, lines in invisible.items()
    }
    made = make(
        folder,
        tmp_path,
        parallel=parallel,
        eval_records=f"{tmp_path}/dev",
        test_records=f"{tmp_path}/test",
        **files,
    )
    assert made["pairs"] == made["eval_pairs"] == made["test_pairs"] == 5
    assert made["skipped"] == {"empty": 2, "long": 1}
    for split in ("eval", "test"):
        assert made[f"{split}_skipped"] == {"empty": 2, "too_long": 1}
        pairs = pairs_of(open_record_set(made[f"{split}_records"]))
        assert [pair.number for pair in pairs] == [0, 1, 3, 4]
    held_out = dataclasses.replace(PARALLEL, eval_every=2)
    made = make(
        folder,
        tmp_path / "split",
        parallel=held_out,
        eval_records=f"{tmp_path}/split/dev",
    )
    counts = [
        (made[f"{x}pairs"], made[f"{x}examples"], made[f"{x}skipped"])
        for x in ("", "eval_")
    ]
    assert counts == [
        (10, 4, {"empty": 4, "too_long": 2}),
        (6, 4, {"too_long": 2}),
    ]


def test_pieces_are_read_as_they_were_learnt(folder, tmp_path):
    given = artefacts(folder, tmp_path)
    for changes, message in (
        (
            {"do_lower_case": True},
            "learnt with --do_lower_case=false, not true",
        ),
        ({"is_moses_tokenized": True}, "--is_moses_tokenized=false, not true"),
    ):
        settings = {"do_lower_case": False, "is_moses_tokenized": False}
        pieces = read_pieces(given.vocab_file, settings | changes)
        with pytest.raises(ValueError, match=message):
            check_learnt(given.vocab_file, pieces)
    copy = shutil.copytree(folder, tmp_path / "copy")
    text = (copy / "vocab.txt").read_text()
    (copy / "vocab.txt").write_text(text + "new\n")
    pieces = read_pieces(f"{copy}/pieces.txt", settings)
    with pytest.raises(ValueError, match="was changed after it was learnt"):
        check_learnt(f"{copy}/pieces.txt", pieces)
    # Of other people's pieces nothing is known.
    (copy / "pieces.txt.json").unlink()
    check_learnt(f"{copy}/pieces.txt", pieces)


@pytest.mark.parametrize("suffix", ["jsonl", "tsv"])
def test_summaries_from_tables(folder, tmp_path, suffix):
    rows = list(zip(SOURCES, TARGETS, strict=True))
    lines = ["long\tshort", *map("\t".join, rows)]
    if suffix == "jsonl":
        lines = [json.dumps({"long": s, "short": t}) for s, t in rows]
    for name in ("train", "dev"):
        write(tmp_path, f"{name}.{suffix}", lines)
    # Nobody asks for it, so nobody minds that it has no summaries.
    write(tmp_path, f"test.{suffix}", [rows[0][0]])
    given = Artefacts(
        data_dir=str(tmp_path),
        vocab_file=f"{folder}/pieces.txt",
        records=f"{tmp_path}/train",
        eval_records=f"{tmp_path}/dev",
    )
    made = make_pair_records(
        given,
        General(task="summarisation"),
        EXAMPLES,
        PARALLEL,
        Tables(text_column="long", pair_column="short"),
        read_pieces(f"{folder}/pieces.txt", {"do_lower_case": False}),
    )
    assert (made["examples"], made["eval_examples"]) == (2, 2)
    task = find_task("summarisation", open_record_set(made["eval_records"]))
    assert task.score is not None
    assert task.score(["a dog"], ["a dog"])["rouge2"] == 100


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    return open_record_set(
        make(folder, tmp_path_factory.mktemp("r"))["records"]
    )


def masked(records, seed, batches=4):
    task = find_task("cmlm", records)
    stream = token_batches(
        records,
        batch_tokens=120,
        window=8,
        seed=seed,
        shuffle_buffer_size=10,
        first_step=0,
        process_slice=(0, 1),
        num_parts=1,
        transform=task.transform(records, None, seed),
    )
    for _, batch in zip(range(batches), stream, strict=False):
        yield {name: x.numpy() for name, x in batch.items()}


def test_masks_of_the_teacher(records):
    for batch in masked(records, 3):
        real = batch["is_real_example"] > 0
        masks = batch["masked_lm_weights"]
        assert (masks <= batch["target_mask"]).all()
        assert (masks[real].sum(1) >= 1).all()
        assert not masks[~real].any()
        tokens = batch["input_mask"].sum(1) + batch["target_mask"].sum(1)
        assert count_tokens(batch).numpy() == tokens[real].sum()
    firsts = [next(masked(records, seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(*(x["masked_lm_weights"] for x in firsts[:2]))


def test_held_out_masks_are_always_the_same(records):
    task = find_task("cmlm", records)

    def draw():
        return [
            batch["masked_lm_weights"].numpy()
            for batch in evaluation_batches(
                records,
                batch_size=4,
                process_slice=(0, 4),
                transform=task.transform(records, None, 1),
            )
        ]

    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("places", "rate"), [(4, 0.3138), (10, 0.1868), (27, 0.1519)]
)
def test_masks_are_drawn_at_the_published_rate(places, rate):
    rng = np.random.default_rng(0)
    drawn = np.array([draw_masks(places, 0.15, rng) for _ in range(10_000)])
    assert drawn.any(1).all()
    # Four standard deviations of a mean of 10,000.
    np.testing.assert_allclose(drawn.mean(0), rate, atol=0.02)
    assert draw_masks(3, 1.0, rng).all()


def test_metrics_of_perfect_and_other_translations():
    texts = ["a dog runs in the garden .", "the cat sleeps on the mat ."]
    same = translation_metrics(
        texts, texts, is_lower_case=True, is_tokenized=True
    )
    assert same["bleu"] == pytest.approx(100)
    for name in ("chrf", "tokenized_lowercase_bleu"):
        assert same[name] == pytest.approx(100)
    assert "tok:none" in same["signature"] and "case:lc" in same["signature"]
    raw = [text.replace(" .", ".").capitalize() for text in texts]
    cased = translation_metrics(
        texts, raw, is_lower_case=False, is_tokenized=False
    )
    assert (
        "tok:13a" in cased["signature"] and "case:mixed" in cased["signature"]
    )
    # Sentence marks are split off; capitals are missed.
    assert 50 < cased["bleu"] < 100
    for text in ("Größe zählt", "Мир и труд"):
        whole, part = text, text.split()[0]
        assert summary_metrics([whole], [whole])["rouge2"] == 100
        assert 0 < summary_metrics([part], [whole])["rouge1"] < 100
    found = summary_metrics(["a b c", "d"], ["a b x", "y"])
    assert found["rouge1"] == pytest.approx(100 / 3)
    assert found["rouge2"] == pytest.approx(25)
    with pytest.raises(ValueError, match="1 texts"):
        summary_metrics(["a"], ["a", "b"])


def test_bleu_by_hand():
    """Of 7 words 6 are right, of 6 pairs 4, of 5 triples 2, of 4 fours 1."""
    found = translation_metrics(
        ["the cat sat on a Mat ."],
        ["the cat sat on the mat ."],
        is_lower_case=True,
        is_tokenized=True,
    )
    expected = 100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25
    assert found["tokenized_lowercase_bleu"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_file": ""}, "--target_file is needed"),
        ({"source_file": "", "target_file": ""}, "--source_file is needed"),
        ({"records": ""}, "--records is needed"),
    ],
)
def test_needed_flags(folder, tmp_path, changes, message):
    with pytest.raises(FlagNeededError, match=message):
        make(folder, tmp_path, **changes)


def test_text_that_does_not_do(folder, tmp_path):
    short = write(tmp_path, "short", TARGETS)
    with pytest.raises(ValueError, match=r"has 16 lines, but .*short has 4"):
        make(folder, tmp_path, target_file=short)
    empty = write(tmp_path, "empty", ["", ""])
    with pytest.raises(ValueError, match="No pair of train is of use"):
        make(folder, tmp_path, source_file=empty, target_file=empty)
    tiny = dataclasses.replace(PARALLEL, max_source_length=1)
    with pytest.raises(ValueError, match="longer than --max_source_length=1"):
        make(folder, tmp_path, parallel=tiny)
    assert not (tmp_path / "train").exists()


def test_tasks_and_records_must_agree(records):
    with pytest.raises(ValueError, match="made for --task=translation"):
        find_task("summarisation", records)
    with pytest.raises(ValueError, match="made for --task=translation"):
        find_task("mlm", records)
    assert find_task("cmlm", records).kind == "cmlm"
    assert find_task("translation", records).kind == "seq2seq"


def test_names_of_vocabularies(folder, tmp_path):
    given = artefacts(folder, tmp_path, vocab_file=f"{tmp_path}/vocab.txt")
    with pytest.raises(ValueError, match=r"named neither …pieces\.txt"):
        make_vocab(given, GENERAL, CORPUS, Tables(), PARALLEL)
    model = artefacts(folder, tmp_path, vocab_file=f"{tmp_path}/x.model")
    corpus = Corpus(vocab_size=60)
    made = make_vocab(model, GENERAL, corpus, Tables(), PARALLEL)
    assert made["pieces"] <= 60
    assert tf.io.gfile.exists(f"{tmp_path}/x.model")
    again = make_vocab(model, GENERAL, corpus, Tables(), PARALLEL)
    assert again == made
