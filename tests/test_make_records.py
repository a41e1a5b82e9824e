"""Records do not depend on how many processes make them."""

import pathlib

import pytest
from small_records import unfinish

from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    Masking,
    Tables,
)
from tfdistill.make_records import make_records
from tfdistill.records import evaluation_batches, open_record_set

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
PIECES += [f"w{c}" for c in "abcdefghij"] + ["##x", "##y"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    documents = [
        [
            " ".join(f"w{'abcdefghij'[(d * s + k) % 10]}x" for k in range(9))
            + "."
            for s in range(2 + d % 5)
        ]
        for d in range(80)
    ]
    path = folder / "text.txt"
    path.write_text("\n\n".join("\n".join(d) for d in documents) + "\n")
    return path


def make(text, folder, *, processes=1, **masking):
    artefacts = Artefacts(
        text=str(text),
        vocab_file=str(text.parent / "vocab.txt"),
        records=str(folder / "train"),
        eval_records=str(folder / "eval"),
    )
    settings = {
        "max_predictions_per_seq": 5,
        "dupe_factor": 3,
        "eval_fraction": 0.2,
        "record_unit_bytes": 2048,
        **masking,
    }
    layout = settings.pop("record_layout", "packed")
    return make_records(
        artefacts,
        General(num_processes=processes),
        Corpus(),
        Examples(max_seq_length=32, record_layout=layout),
        Tables(),
        Masking(**settings),
    )


def contents(folder: pathlib.Path):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_bytes_do_not_depend_on_the_number_of_processes(text, tmp_path):
    one = make(text, tmp_path / "one")
    two = make(text, tmp_path / "two", processes=2)
    assert one["shards"] > 3 and one["eval_shards"] >= 1
    assert one["documents"] + one["eval_documents"] == 80
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one["examples"] == two["examples"]


def test_a_rerun_makes_missing_shards_alone(text, tmp_path):
    make(text, tmp_path / "whole")
    make(text, tmp_path / "cut")
    before = contents(tmp_path / "whole")
    folder = tmp_path / "cut" / "train"
    shards = sorted(folder.glob("*.tfrecord"))
    # As it is after a kill: no manifest yet.
    unfinish(folder)
    shards[1].unlink()
    kept = shards[0].stat().st_mtime_ns
    make(text, tmp_path / "cut")
    assert contents(tmp_path / "cut") == before
    assert shards[0].stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    "masking",
    [
        {},
        {"record_layout": "plain"},
        {"do_whole_word_mask": True},
        {"use_next_sentence_label": False},
        {"dynamic_masking": True},
        {"dynamic_masking": True, "use_next_sentence_label": False},
    ],
)
def test_every_kind_of_record_is_read_back(text, tmp_path, masking):
    summary = make(text, tmp_path, **masking)
    records = open_record_set(str(tmp_path / "train"))
    assert records.examples == summary["examples"] > 0
    (batch,) = [
        b
        for b, _ in zip(
            evaluation_batches(records, batch_size=8, process_slice=(0, 8)),
            range(1),
            strict=False,
        )
    ]
    assert batch["input_ids"].numpy()[:, 0].tolist() == [2] * 8
    has_masks = not masking.get("dynamic_masking", False)
    assert ("masked_lm_positions" in batch) == has_masks
    has_pairs = masking.get("use_next_sentence_label", True)
    assert ("next_sentence_labels" in batch) == has_pairs
    assert bool(batch["segment_ids"].numpy().any()) == has_pairs
