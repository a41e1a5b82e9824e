"""Models that find answers, in every format that has them."""

import numpy as np
import pytest
from model_folders import (
    distilbert_tensors,
    hugging_face_tensors,
    roberta_tensors,
    write_google,
    write_hugging_face,
)

from tfdistill.models.bert import Bert
from tfdistill.models.formats import load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import assign_weights

SPAN = {"heads": ("span",), "needs": ("span",)}
SEGMENTS = "bert/embeddings/token_type_embeddings"
# Of DistilBERT, by its own names.
DISTILBERT = {
    "model_type": "distilbert",
    "dim": 12,
    "n_layers": 3,
    "n_heads": 3,
    "hidden_dim": 20,
    "activation": "gelu",
    "hidden_act": None,
    "layer_norm_eps": None,
}


def as_published(tensors):
    """Name the head as Hugging Face's models for questions do."""
    return {n.replace("span.", "qa_outputs."): t for n, t in tensors.items()}


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_hugging_face_bert(
    tmp_path, config, draw_parts, settings, vocabulary, assert_holds, prefix
):
    weights = draw_parts(config, "encoder", "span")
    tensors = as_published(hugging_face_tensors(weights, prefix=prefix))
    assert tensors["qa_outputs.weight"].shape == (2, 12)
    folder = write_hugging_face(tmp_path / "m", tensors, settings, vocabulary)
    loaded = load_model(str(folder), **SPAN)
    assert_holds(loaded, weights)
    assert loaded.parts == loaded.model.parts == {"encoder", "span"}


def test_roberta(
    tmp_path, config, draw_parts, settings, byte_pairs, assert_holds
):
    weights = draw_parts(
        config, "encoder", "span", vocabulary_size=264, num_segments=1
    )
    changes = {"max_position_embeddings": 18, "type_vocab_size": 1}
    folder = write_hugging_face(
        tmp_path / "m",
        as_published(roberta_tensors(weights)),
        settings | changes | {"vocab_size": 264, "model_type": "roberta"},
        byte_pairs,
    )
    assert_holds(load_model(str(folder), **SPAN), weights)


def test_distilbert(
    tmp_path, config, draw_parts, settings, vocabulary, assert_holds
):
    weights = draw_parts(config, "encoder", "span", num_segments=1)
    weights[SEGMENTS][:] = 0
    folder = write_hugging_face(
        tmp_path / "m",
        as_published(distilbert_tensors(weights)),
        settings | DISTILBERT,
        vocabulary,
    )
    assert_holds(load_model(str(folder), **SPAN), weights)


def test_google(
    tmp_path, config, draw_parts, settings, vocabulary, assert_holds
):
    """As run_squad.py leaves it: the pooler is there, but not trained."""
    weights = draw_parts(config, "encoder", "span")
    pooler = draw_parts(config, "pooler")
    kernel, bias = (weights.pop(f"span/{name}") for name in ("kernel", "bias"))
    head = {
        "cls/squad/output_weights": kernel.T,
        "cls/squad/output_bias": bias,
        "cls/squad/output_weights/adam_m": np.ones((2, 12), np.float32),
    }
    folder = write_google(
        tmp_path / "m", weights | pooler | head, settings, vocabulary
    )
    loaded = load_model(str(folder), **SPAN)
    head = {"span/kernel": kernel, "span/bias": bias}
    assert_holds(loaded, weights | head)


@pytest.mark.parametrize("save", [save_model, save_preset])
def test_what_is_saved_is_loaded(
    tmp_path, config, draw_parts, tokenizer, assert_holds, save
):
    weights = draw_parts(config, "encoder", "span")
    model = Bert(config, heads=("span",))
    assign_weights(model, weights, source="the test")
    save(model, tokenizer, parts=model.parts, path=tmp_path / "m")
    assert_holds(load_model(str(tmp_path / "m"), **SPAN), weights)
    # The encoder alone starts another student.
    assert load_model(str(tmp_path / "m")).parts == {"encoder"}


def test_model_without_the_head_is_refused(saved, assert_refused):
    assert_refused(saved, "has no span weights, which are needed", **SPAN)
