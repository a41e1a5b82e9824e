"""Hugging Face's folders of DistilBERT."""

import numpy as np
import pytest
from model_folders import distilbert_tensors, write_hugging_face

from tfdistill.models.formats import load_model

CLASSIFIER = {"heads": ("classifier",), "needs": ("classifier",)}
SHAPE = {"num_segments": 1, "num_classes": 3}
SEGMENTS = "bert/embeddings/token_type_embeddings"
SETTINGS = {
    "model_type": "distilbert",
    "vocab_size": 40,
    "dim": 12,
    "n_layers": 3,
    "n_heads": 3,
    "hidden_dim": 20,
    "dropout": 0.2,
    "attention_dropout": 0.2,
    "activation": "gelu",
    "max_position_embeddings": 16,
    "initializer_range": 0.03,
    "hidden_act": None,
    "layer_norm_eps": None,
}


@pytest.fixture
def write(tmp_path, vocabulary):
    """A function that writes a folder."""

    def to_folder(tensors, **changes):
        return write_hugging_face(
            tmp_path / "model", tensors, SETTINGS, vocabulary, **changes
        )

    return to_folder


@pytest.fixture
def draw(config, draw_parts):
    """A function that draws weights whose only segment adds nothing."""

    def drawn(*parts):
        weights = draw_parts(config, "encoder", *parts, **SHAPE)
        return weights | {SEGMENTS: np.zeros((1, 12), np.float32)}

    return drawn


@pytest.mark.parametrize("prefix", ["distilbert.", ""])
def test_masked_lm(write, draw, assert_holds, tokenizer, prefix):
    weights = draw("masked_lm")
    tensors = distilbert_tensors(weights, prefix=prefix)
    words = tensors[f"{prefix}embeddings.word_embeddings.weight"]
    folder = write(tensors | {"vocab_projector.weight": words})
    loaded = load_model(str(folder), needs=("masked_lm",))
    assert_holds(loaded, weights)
    config = loaded.model.config
    assert config.activation == config.head_activation == "gelu"
    assert config.layer_norm_epsilon == config.head_layer_norm_epsilon == 1e-12
    assert (config.dropout, config.initializer_range) == (0.2, 0.03)
    assert (config.num_heads, config.intermediate_dim) == (3, 20)
    assert (config.max_sequence_length, config.num_segments) == (16, 1)
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint


def test_classifier(write, draw, assert_holds):
    weights = draw("pooler", "classifier")
    folder = write(distilbert_tensors(weights))
    loaded = load_model(str(folder), **CLASSIFIER)
    assert_holds(loaded, weights)
    assert loaded.model.config.num_classes == 3
    assert loaded.model.config.pooler_activation == "relu"


def test_classifier_of_tokens_is_refused(write, draw, assert_refused):
    folder = write(distilbert_tensors(draw("classifier")))
    assert_refused(folder, "a classifier but no pooler", **CLASSIFIER)
    assert load_model(str(folder)).parts == {"encoder"}


def test_untied_output_is_refused(write, draw, assert_refused):
    tensors = distilbert_tensors(draw("masked_lm"))
    words = tensors["distilbert.embeddings.word_embeddings.weight"]
    folder = write(tensors | {"vocab_projector.weight": words + 1})
    assert_refused(folder, "vocab_projector.weight differs from")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": None}, 'lacks the setting "dim"'),
        ({"n_heads": None}, 'lacks the setting "n_heads"'),
        ({"activation": "swish"}, "unknown activation 'swish'. Known: gelu"),
        ({"n_layers": 4}, "lacks the weight bert/encoder/layer_3/"),
        ({"max_position_embeddings": 8}, "position_embeddings has shape"),
        ({"id2label": {"0": "a"}}, "id2label says 1 classes"),
    ],
)
def test_wrong_configuration(write, draw, assert_refused, change, message):
    tensors = distilbert_tensors(draw("pooler", "classifier"))
    assert_refused(write(tensors, **change), message)


@pytest.mark.parametrize(
    "name",
    [
        "distilbert.embeddings.token_type_embeddings.weight",
        "distilbert.encoder.layer.0.output.dense.bias",
        "qa_outputs.dense.weight",
    ],
)
def test_unexpected_tensor(write, draw, assert_refused, name):
    tensors = distilbert_tensors(draw("masked_lm"))
    folder = write(tensors | {name: np.zeros((2, 12), np.float32)})
    assert_refused(folder, "model.safetensors", f"unexpected {name}")


def test_missing_tensor(write, draw, assert_refused):
    tensors = distilbert_tensors(draw("masked_lm"))
    del tensors["distilbert.transformer.layer.1.ffn.lin2.bias"]
    assert_refused(write(tensors), "bert/encoder/layer_1/output/dense/bias")
