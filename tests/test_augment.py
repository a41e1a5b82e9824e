"""More sentences of a task's own, as the command makes them."""

import shutil

import pytest
from small_chain import call

from tfdistill import files
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.run_directory import save_model
from tfdistill.records import open_record_set, read_feature
from tfdistill.text.word_pieces import WordPiece

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "the"]
PIECES += ["good", "film", "plot", "is", "bad", "dull", "fine", "old"]
ROWS = [("a good film .", "1"), ("the plot is bad .", "0"), ("dull", "0")]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    lines = ["sentence\tlabel", *("\t".join(row) for row in ROWS)]
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


def use(data, output, *flags):
    return call(
        "augment",
        [
            "--task=sst2",
            f"--data_dir={data}",
            f"--output={output}",
            "--num_processes=1",
            *flags,
        ],
    )


def lines_of(path):
    return path.read_text().splitlines()


def test_rules_make_unlabelled_sentences_behind_those_given(data, tmp_path):
    path = tmp_path / "rules.tsv"
    done = use(data, path)
    assert done.status == 0, done.stderr
    header, *lines = lines_of(path)
    assert header == "sentence"
    assert lines[:3] == [sentence for sentence, _ in ROWS]
    assert len(lines) == len(set(lines)) > 10
    assert any("[MASK]" in line.split() for line in lines)


def test_the_seed_decides_and_a_rerun_does_nothing(data, tmp_path):
    path = tmp_path / "rules.tsv"
    first = use(data, path)
    made = path.read_bytes()
    written = path.stat().st_mtime_ns
    again = use(data, path)
    assert path.stat().st_mtime_ns == written
    assert (
        again.stdout.split('"seconds"')[0] == first.stdout.split('"seconds"')[0]
    )
    use(data, tmp_path / "same.tsv", "--num_processes=2")
    assert (tmp_path / "same.tsv").read_bytes() == made
    use(data, tmp_path / "other.tsv", "--random_seed=5")
    assert (tmp_path / "other.tsv").read_bytes() != made
    refused = use(data, path, "--mask_prob=0.3")
    assert refused.status == 1 and "made of other input" in refused.stderr
    assert path.read_bytes() == made


def test_records_of_what_rules_made_keep_masks(data, tmp_path):
    path = tmp_path / "rules.tsv"
    use(data, path)
    vocabulary = tmp_path / "vocab.txt"
    words = {w for line in lines_of(path) for w in line.split()}
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += sorted(words - {"[MASK]"})
    vocabulary.write_text("\n".join(pieces) + "\n")
    done = call(
        "make_records",
        [
            "--task=sst2",
            f"--data_dir={data}",
            f"--input={path}",
            f"--vocab_file={vocabulary}",
            f"--records={tmp_path / 'records'}",
        ],
    )
    assert done.status == 0, done.stderr
    records = open_record_set(str(tmp_path / "records"))
    assert records.schema.feature("labels") is None
    ids = read_feature(records, "input_ids")
    lines = lines_of(path)[1:]
    masks = [line.split().count("[MASK]") for line in lines]
    assert (ids == pieces.index("[MASK]")).sum(1).tolist() == masks
    assert (ids == pieces.index("[UNK]")).sum() == 0


def save_masked_lm(folder, seed):
    tokenizer = WordPiece(PIECES, do_lower_case=True)
    config = BertConfig(
        vocabulary_size=len(PIECES),
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        max_sequence_length=64,
    )
    parts = ("encoder", "masked_lm")
    save_model(Bert(config, seed), tokenizer, parts=parts, path=folder)


def test_tinybert_keeps_labels(data, tmp_path):
    save_masked_lm(tmp_path / "model", 1)
    path = tmp_path / "more.tsv"
    needed = use(data, path, "--method=tinybert")
    assert needed.status == 2 and "--model is needed" in needed.stderr
    flags = ("--method=tinybert", f"--model={tmp_path / 'model'}")
    done = use(data, path, *flags, "--augment_rounds=4")
    assert done.status == 0, done.stderr
    header, *lines = lines_of(path)
    assert header == "sentence\tlabel"
    found = [line.split("\t") for line in lines]
    assert [found[0]] == [list(ROWS[0])]
    for sentence, label in ROWS:
        assert [sentence, label] in found
    assert len(found) <= 3 * 5


def test_models_and_vectors_are_known_by_what_is_in_them(data, tmp_path):
    save_masked_lm(tmp_path / "model", 1)
    vectors, path = tmp_path / "vectors.txt", tmp_path / "more.tsv"
    vectors.write_text("film 1 0\nplot 1 0.5\n")
    flags = ("--method=tinybert", "--augment_rounds=2")

    def again(model="model", vectors="vectors.txt"):
        return use(
            data,
            path,
            *flags,
            f"--model={tmp_path / model}",
            f"--vectors_file={tmp_path / vectors}",
        )

    assert again().status == 0
    made, written = path.read_bytes(), path.stat().st_mtime_ns
    (tmp_path / "model").rename(tmp_path / "moved")
    vectors.rename(tmp_path / "moved.txt")
    assert again("moved", "moved.txt").status == 0
    assert path.stat().st_mtime_ns == written
    # Trained anew in the same place, and other vectors in theirs.
    save_masked_lm(tmp_path / "model", 2)
    vectors.write_text("film 1 0\nplot 1 0.25\n")
    for changed in ({"vectors": "moved.txt"}, {"model": "moved"}):
        refused = again(**changed)
        assert refused.status == 1 and "made of other input" in refused.stderr
    assert path.read_bytes() == made


def test_a_kill_between_table_and_note_leaves_neither(
    data, tmp_path, monkeypatch
):
    def die(path, value):
        raise KeyboardInterrupt

    path = tmp_path / "rules.tsv"
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", die)
        assert use(data, path).status == 130
    assert not path.exists()
    done = use(data, path)
    assert done.status == 0, done.stderr
    # Nor if it comes behind the note.
    made = path.read_bytes()
    path.unlink()
    assert (
        use(data, path).stdout.split('"seconds"')[0]
        == (done.stdout.split('"seconds"')[0])
    )
    assert path.read_bytes() == made


def test_a_wrong_folder_is_refused(data, tmp_path):
    shutil.rmtree(data)
    done = use(data, tmp_path / "out.tsv")
    assert done.status == 1 and "Traceback" not in done.stderr
    assert not (tmp_path / "out.tsv").exists()
