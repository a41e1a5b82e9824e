"""Folders of GPT-2: Hugging Face's, keras-nlp's, and our own runs."""

import json

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from model_folders import byte_pieces, write_byte_pairs, write_hugging_face

from tfdistill.models.causal import Gpt2Config, TransformerXlConfig
from tfdistill.models.causal.language_model import LanguageModel
from tfdistill.models.formats import load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import named_weights
from tfdistill.text.causal import CausalBytePair, CausalWords

MERGES = ["h e", "Ġ t", "Ġt he"]
PIECES = [*byte_pieces(), "he", "Ġt", "Ġthe", "<|endoftext|>"]
SHAPE = dict(
    vocab_size=260, n_layer=2, n_head=2, n_embd=8, n_positions=12, n_ctx=12
)
CAUSAL = {"heads": ("causal_lm",)}
INPUTS = np.arange(20, dtype=np.int32).reshape(2, 10)


@pytest.fixture
def tensors():
    """Weights of Hugging Face's `GPT2LMHeadModel`."""
    rng = np.random.default_rng(0)
    dim, layers = SHAPE["n_embd"], range(SHAPE["n_layer"])
    shapes = {"wte.weight": (260, dim), "wpe.weight": (12, dim)}
    for i in layers:
        for name, shape in (
            ("attn.c_attn", (dim, 3 * dim)),
            ("attn.c_proj", (dim, dim)),
            ("mlp.c_fc", (dim, 4 * dim)),
            ("mlp.c_proj", (4 * dim, dim)),
        ):
            shapes[f"h.{i}.{name}.weight"] = shape
            shapes[f"h.{i}.{name}.bias"] = shape[1:]
        for name in ("ln_1", "ln_2"):
            shapes[f"h.{i}.{name}.weight"] = shapes[f"h.{i}.{name}.bias"] = (
                dim,
            )
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = (dim,)
    return {
        f"transformer.{name}": rng.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture
def write(tmp_path, tensors):
    """A function that writes a folder of Hugging Face's."""

    def to_folder(more=None, **changes):
        settings = SHAPE | {"model_type": "gpt2", "resid_pdrop": 0.1}
        folder = write_hugging_face(
            tmp_path / "gpt2",
            tensors | (more or {}),
            settings,
            (PIECES, MERGES),
            **changes,
        )
        return folder

    return to_folder


def logits_of(model):
    return model(
        {"input_ids": tf.constant(INPUTS)}, reads=frozenset({"logits"})
    )["logits"].numpy()


def keras_logits(backbone):
    states = backbone(
        {"token_ids": INPUTS, "padding_mask": np.ones_like(INPUTS)}
    )
    return states.numpy() @ backbone.token_embedding.embeddings.numpy().T


def test_hugging_face(write, tensors):
    mask = np.tril(np.ones((1, 1, 12, 12), np.float32))
    tied = {
        "lm_head.weight": tensors["transformer.wte.weight"],
        "transformer.h.0.attn.bias": mask,
        "transformer.h.0.attn.masked_bias": np.array(-1e4, np.float32),
    }
    folder = write(tied)
    loaded = load_model(str(folder), **CAUSAL)
    assert loaded.parts == {"encoder"}
    assert isinstance(loaded.model.config, Gpt2Config)
    assert isinstance(loaded.tokenizer, CausalBytePair)
    assert loaded.tokenizer.encode([("the he",)])[0][-1] == 259
    # keras-nlp reads the same folder by itself.
    backbone = keras_hub.models.GPT2Backbone.from_preset(str(folder))
    np.testing.assert_allclose(
        logits_of(loaded.model), keras_logits(backbone), rtol=0, atol=2e-4
    )
    assert loaded.fingerprint == load_model(str(write()), **CAUSAL).fingerprint


def test_preset(write, tmp_path):
    folder = write()
    backbone = keras_hub.models.GPT2Backbone.from_preset(str(folder))
    preset = tmp_path / "preset"
    backbone.save_to_preset(str(preset))
    keras_hub.models.GPT2Tokenizer(
        {piece: i for i, piece in enumerate(PIECES)}, MERGES
    ).save_to_preset(str(preset))
    ours, theirs = (load_model(str(f), **CAUSAL) for f in (preset, folder))
    assert ours.fingerprint == theirs.fingerprint
    assert ours.tokenizer.fingerprint == theirs.tokenizer.fingerprint


@pytest.mark.parametrize("kind", ["gpt2", "transformer_xl"])
def test_run_directories(tmp_path, kind):
    if kind == "gpt2":
        config = Gpt2Config(
            vocabulary_size=260, num_layers=1, hidden_dim=8, dropout=0.2
        )
        merges = [tuple(merge.split()) for merge in MERGES]
        tokenizer = CausalBytePair(PIECES, merges)
    else:
        config = TransformerXlConfig(
            vocabulary_size=4, num_layers=1, hidden_dim=8, memory_length=3
        )
        tokenizer = CausalWords(["<eos>", "<unk>", "a", "b"])
    model = LanguageModel(config, seed=4)
    save_model(model, tokenizer, parts=model.parts, path=tmp_path)
    loaded = load_model(str(tmp_path), **CAUSAL)
    assert loaded.model.config == config
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    weights = named_weights(model)
    for name, array in named_weights(loaded.model).items():
        np.testing.assert_array_equal(array, weights[name])
    with pytest.raises(ValueError, match="is a language model, which the task"):
        load_model(str(tmp_path))


def test_damaged_folders(write, tensors, assert_refused, tmp_path):
    head = tensors["transformer.wte.weight"] + 1
    assert_refused(write({"lm_head.weight": head}), "not tied", **CAUSAL)
    odd = {"transformer.h.0.attn.extra": np.ones(3, np.float32)}
    assert_refused(write(odd), "unexpected transformer.h.0.attn", **CAUSAL)
    assert_refused(write(n_embd=16), "has shape", **CAUSAL)
    assert_refused(write(n_embd=None), 'lacks the setting "n_embd"', **CAUSAL)
    assert_refused(
        write(activation_function="relu"), "activation_function", **CAUSAL
    )
    assert_refused(write(n_head=3), "no multiple", **CAUSAL)
    del tensors["transformer.h.1.ln_2.bias"]
    assert_refused(write(), "lacks the weight", **CAUSAL)
    folder = write()
    write_byte_pairs(folder, PIECES[:-1], MERGES)
    assert_refused(folder, "lacks the piece <|endoftext|>", **CAUSAL)
    config = folder / "config.json"
    settings = json.loads(config.read_text()) | {"class_name": "GPT2Backbone"}
    del settings["model_type"]
    config.write_text(json.dumps(settings))
    assert_refused(folder, "cannot be read as a keras-nlp preset", **CAUSAL)
