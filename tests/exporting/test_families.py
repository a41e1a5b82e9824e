"""Exports of RoBERTa and DistilBERT, and what their formats cannot hold."""

import json
import sys

import numpy as np
import pytest
from model_folders import roberta_vocabulary, write_byte_pairs, write_vocabulary
from small_chain import call

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.families import DISTILBERT, ROBERTA
from tfdistill.models.formats.run_directory import save_model
from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

WORDS = ["the", "film", "was", "fine", "grim", "so", "very"]
MERGES = ["h e", "Ġ t", "Ġt he", "Ġ f"]
ROWS = 24


@pytest.fixture(scope="module", params=["roberta", "distilbert"])
def c(request, tmp_path_factory):
    """Tables, records and a classifier of a family."""
    c = tmp_path_factory.mktemp(request.param)
    draw = np.random.default_rng(1)
    (c / "SST-2").mkdir()
    for split in ("train", "dev"):
        rows = [
            f"{' '.join(draw.choice(WORDS, draw.integers(1, 7)))}\t{i % 2}"
            for i in range(ROWS)
        ]
        text = "\n".join(["sentence\tlabel", *rows, ""])
        (c / f"SST-2/{split}.tsv").write_text(text)
    if request.param == "roberta":
        family, pieces = ROBERTA, roberta_vocabulary(MERGES)
        tokenizer = BytePair(pieces, parse_merges(MERGES, "the test"))
        write_byte_pairs(c, pieces, MERGES)
        vocabulary = c / "vocab.json"
    else:
        family, pieces = DISTILBERT, [*SPECIAL_PIECES, *WORDS]
        tokenizer = WordPiece(pieces, do_lower_case=True)
        write_vocabulary(c, pieces)
        vocabulary = c / "vocab.txt"
    config = BertConfig(
        vocabulary_size=len(pieces),
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        num_segments=1,
        max_sequence_length=24,
        initializer_range=0.5,
        **family.conventions,
    )
    model = Bert(config, heads=("classifier",))
    save_model(model, tokenizer, parts=model.parts, path=c / "model")
    done = call(
        "make_records",
        [
            "--task=sst2",
            f"--data_dir={c}/SST-2",
            f"--vocab_file={vocabulary}",
            "--max_seq_length=24",
            f"--records={c}/train",
            f"--eval_records={c}/dev",
        ],
    )
    assert done.status == 0, done.stderr
    return c


def export(c, format, name=""):
    return call(
        "export",
        [
            "--task=sst2",
            f"--run_dir={c}/model",
            f"--eval_records={c}/dev",
            f"--data_dir={c}/SST-2",
            f"--format={format}",
            f"--output={c}/{name or format}",
        ],
    )


@pytest.mark.parametrize("format", ["preset", "tflite", "onnx"])
def test_formats_that_read_ids_hold_every_family(c, format):
    done = export(c, format)
    assert done.status == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["examples"] == ROWS
    assert made["largest_difference"] < 1e-4
    files = {p.name for p in (c / format).rglob("*")}
    vocabularies = {
        "vocab.txt",
        "vocab.json",
        "vocabulary.txt",
        "vocabulary.json",
    }
    assert files & vocabularies, files


def test_text_goes_in_where_there_are_word_pieces(c):
    done = export(c, "saved_model")
    if c.name.startswith("roberta"):
        assert done.status == 1 and not (c / "saved_model").exists()
        assert "is for WordPiece vocabularies" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    else:
        assert json.loads(done.stdout)["largest_difference"] < 1e-4


@pytest.mark.parametrize("package", ["tf2onnx", "onnxruntime"])
def test_onnx_says_what_is_missing(c, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    done = export(c, "onnx", "missing")
    assert done.status == 1
    assert f"--format=onnx needs {package}, which is not" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (c / "missing").exists()
