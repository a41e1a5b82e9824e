"""Hugging Face's folders of RoBERTa."""

import json

import numpy as np
import pytest
from model_folders import roberta_tensors, write_hugging_face

from tfdistill.models.formats import load_model
from tfdistill.text.byte_pairs import BytePair

CLASSIFIER = {"heads": ("classifier",), "needs": ("classifier",)}
SHAPE = {"num_segments": 1, "vocabulary_size": 264, "num_classes": 3}


@pytest.fixture
def settings(settings):
    return settings | {
        "model_type": "roberta",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "vocab_size": 264,
        "max_position_embeddings": 18,
        "type_vocab_size": 1,
    }


@pytest.fixture
def write(tmp_path, settings, byte_pairs):
    """A function that writes a folder."""

    def to_folder(tensors, **changes):
        return write_hugging_face(
            tmp_path / "model", tensors, settings, byte_pairs, **changes
        )

    return to_folder


@pytest.fixture
def masked_lm(config, draw_parts):
    return draw_parts(config, "encoder", "masked_lm", **SHAPE)


@pytest.fixture
def classifier(config, draw_parts):
    return draw_parts(config, "encoder", "pooler", "classifier", **SHAPE)


@pytest.mark.parametrize("prefix", ["roberta.", ""])
def test_masked_lm(write, masked_lm, byte_pairs, assert_holds, prefix):
    folder = write(roberta_tensors(masked_lm, prefix=prefix))
    loaded = load_model(str(folder), needs=("masked_lm",))
    assert_holds(loaded, masked_lm)
    assert loaded.parts == {"encoder", "masked_lm"}
    config = loaded.model.config
    assert config.activation == config.head_activation == "gelu"
    assert config.layer_norm_epsilon == config.head_layer_norm_epsilon == 1e-5
    assert (config.max_sequence_length, config.num_segments) == (16, 1)
    assert isinstance(loaded.tokenizer, BytePair)
    assert loaded.tokenizer.vocabulary == tuple(byte_pairs[0])


def test_classifier(write, classifier, assert_holds):
    folder = write(roberta_tensors(classifier))
    loaded = load_model(str(folder), **CLASSIFIER)
    assert_holds(loaded, classifier)
    assert loaded.model.config.num_classes == 3
    assert loaded.model.config.pooler_activation == "tanh"


def test_classifier_has_a_pooler_of_its_own(write, classifier, assert_holds):
    left = {
        "roberta.pooler.dense.weight": np.ones((12, 12), np.float32),
        "roberta.pooler.dense.bias": np.ones(12, np.float32),
    }
    folder = write(roberta_tensors(classifier) | left)
    assert_holds(load_model(str(folder), **CLASSIFIER), classifier)


def test_bare_encoder_with_pooler(write, config, draw_parts, assert_holds):
    weights = draw_parts(config, "encoder", "pooler", **SHAPE)
    folder = write(roberta_tensors(weights, prefix=""))
    assert_holds(load_model(str(folder)), weights)


@pytest.mark.parametrize("pad_id", [0, 1, 4])
def test_positions_begin_behind_the_padding(
    write, masked_lm, assert_holds, pad_id
):
    folder = write(
        roberta_tensors(masked_lm, pad_id=pad_id),
        pad_token_id=pad_id,
        max_position_embeddings=17 + pad_id,
    )
    assert_holds(load_model(str(folder)), masked_lm)


def test_copies_of_tied_weights(write, masked_lm, assert_holds, assert_refused):
    tensors = roberta_tensors(masked_lm)
    words = tensors["roberta.embeddings.word_embeddings.weight"]
    copies = {
        "lm_head.decoder.weight": words,
        "lm_head.decoder.bias": tensors["lm_head.bias"],
        "roberta.embeddings.position_ids": np.arange(18)[None],
    }
    folder = write(tensors | copies)
    assert_holds(load_model(str(folder)), masked_lm)
    for name in ("lm_head.decoder.weight", "lm_head.decoder.bias"):
        write(tensors | {name: copies[name] + 1})
        assert_refused(folder, "model.safetensors", name, "differs from")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_token_id": "1"}, "pad_token_id='1' is no piece's id"),
        ({"pad_token_id": -1}, "pad_token_id=-1 is no piece's id"),
        ({"max_position_embeddings": 16}, "(16, 12), expected (14, 12)"),
        ({"max_position_embeddings": "18"}, "max_sequence_length='18'"),
        ({"type_vocab_size": None}, "token_type_embeddings has shape (1, 12)"),
        ({"id2label": {"0": "a", "1": "b"}}, "id2label says 2 classes"),
        ({"num_labels": 4}, "num_labels says 4 classes, the classifier's"),
        ({"hidden_act": "swish"}, "unknown hidden_act 'swish'"),
    ],
)
def test_wrong_configuration(
    write, classifier, assert_refused, change, message
):
    folder = write(roberta_tensors(classifier), **change)
    assert_refused(folder, message)


def test_labels_that_agree(write, classifier):
    labels = {str(i): f"LABEL_{i}" for i in range(3)}
    folder = write(roberta_tensors(classifier), id2label=labels, num_labels=3)
    assert load_model(str(folder), **CLASSIFIER).model.config.num_classes == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classifier.weight", "holds the unexpected classifier.weight"),
        ("cls.predictions.bias", "holds the unexpected cls.predictions.bias"),
        ("encoder.layer.0.output.dense.bias", "dense.bias twice"),
    ],
)
def test_unexpected_tensor(write, classifier, assert_refused, name, message):
    tensors = roberta_tensors(classifier)
    folder = write(tensors | {name: np.zeros(12, np.float32)})
    assert_refused(folder, "model.safetensors", message)


def test_missing_tensor(write, classifier, assert_refused):
    tensors = roberta_tensors(classifier)
    del tensors["classifier.out_proj.bias"]
    folder = write(tensors)
    assert_refused(folder, "lacks the weight classifier/bias")


@pytest.fixture
def tokenizer_json(byte_pairs):
    """As `tokenizers` writes it, with the mask apart from the pieces."""
    pieces, merges = byte_pairs
    return {
        "added_tokens": [
            {"id": 0, "content": "<s>"},
            {"id": len(pieces) - 1, "content": "<mask>"},
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "continuing_subword_prefix": "",
            "vocab": {p: i for i, p in enumerate(pieces[:-1])},
            "merges": [merge.split() for merge in merges],
        },
    }


@pytest.fixture
def bare(write, masked_lm):
    """A folder without a tokenizer."""
    folder = write(roberta_tensors(masked_lm))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("are_pairs", [True, False])
def test_tokenizer_json(bare, tokenizer_json, byte_pairs, are_pairs):
    pieces, merges = byte_pairs
    if not are_pairs:
        tokenizer_json["model"]["merges"] = merges
        del tokenizer_json["model"]["type"]
    (bare / "tokenizer.json").write_text(json.dumps(tokenizer_json))
    tokenizer = load_model(str(bare)).tokenizer
    assert tokenizer.vocabulary == tuple(pieces)
    assert [" ".join(m) for m in tokenizer.merges] == merges
    assert tokenizer.settings == {"add_prefix_space": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "has no normalizer"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "its pre_tokenizer is not"),
        (
            {"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}},
            "its pre_tokenizer is not",
        ),
        ({"pre_tokenizer": None}, "its pre_tokenizer is not"),
        ({"added_tokens": [3]}, "its merges or added_tokens cannot be"),
        ({"added_tokens": []}, "tokenizer.json lacks the piece <mask>"),
        ({"model": {"byte_fallback": True}}, "unknown byte_fallback True"),
        ({"model": {"merges": None}}, "its merges or added_tokens cannot be"),
        ({"model": {"merges": ["h"]}}, "'h' is no merge of two pieces"),
        ({"model": {"type": "Unigram"}}, "neither a WordPiece nor"),
    ],
)
def test_other_tokenizers_are_refused(
    bare, tokenizer_json, assert_refused, change, message
):
    changed = tokenizer_json | change
    if "model" in change:
        changed["model"] = tokenizer_json["model"] | change["model"]
    (bare / "tokenizer.json").write_text(json.dumps(changed))
    assert_refused(bare, "tokenizer.json", message)


def test_added_pieces_are_warned_of(bare, tokenizer_json, caplog):
    tokenizer_json["added_tokens"].append({"id": 264, "content": "@USER"})
    (bare / "tokenizer.json").write_text(json.dumps(tokenizer_json))
    with (
        caplog.at_level("WARNING", logger="absl"),
        pytest.raises(ValueError, match="265 pieces, but 264 rows"),
    ):
        load_model(str(bare))
    assert caplog.messages == [
        f"{bare / 'tokenizer.json'} adds @USER; text never becomes that "
        "piece here."
    ]


def test_settings_of_the_tokenizer(write, masked_lm):
    folder = write(roberta_tensors(masked_lm))
    assert load_model(str(folder)).tokenizer.settings == {
        "add_prefix_space": False
    }
    path = folder / "tokenizer_config.json"
    path.write_text('{"add_prefix_space": true}')
    assert load_model(str(folder)).tokenizer.settings == {
        "add_prefix_space": True
    }


def test_pickles_are_not_opened(write, classifier, assert_refused):
    folder = write(
        roberta_tensors(classifier),
        architectures=["RobertaForSequenceClassification"],
    )
    path = folder / "model.safetensors"
    path.rename(folder / "pytorch_model.bin")
    assert_refused(folder, "RobertaForSequenceClassification.from_pretrained")
