"""Language models against plain NumPy, and against themselves."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.causal import (
    Gpt2Config,
    LanguageModel,
    TransformerXlConfig,
)
from tfdistill.models.formats.gpt2 import weights_of_backbone
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.weights import (
    assign_weights,
    count_parameters,
    named_weights,
    variable_names,
)

SMALL = dict(
    vocabulary_size=11,
    num_layers=2,
    hidden_dim=8,
    num_heads=2,
    intermediate_dim=12,
    # Large enough for attention to differ from a mean.
    initializer_range=0.4,
)
LENGTH = 9
GPT2 = Gpt2Config(**SMALL, max_sequence_length=LENGTH)
WHOLE = TransformerXlConfig(**SMALL, segment_length=LENGTH, memory_length=0)
# Three segments, the last one short; its memory forgets.
IN_PARTS = dataclasses.replace(WHOLE, segment_length=4, memory_length=3)
REMEMBERS = dataclasses.replace(WHOLE, segment_length=2, memory_length=LENGTH)
FORGETS = dataclasses.replace(WHOLE, segment_length=4)
CONFIGS = [GPT2, WHOLE, IN_PARTS, REMEMBERS, FORGETS]
IDS = np.random.default_rng(3).integers(0, 11, (4, LENGTH)).astype(np.int32)
READS = frozenset({"logits"})


def model_of(config):
    model = LanguageModel(config, seed=5)
    # Biases of zeros would hide where they are added.
    for name, variable in variable_names(model).items():
        if "bias" in name or "beta" in name:
            rng = np.random.default_rng(len(name))
            variable.assign(rng.normal(size=variable.shape) / 4)
    return model


def logits_of(model, ids):
    return model({"input_ids": tf.constant(ids)}, reads=READS)["logits"].numpy()


def weights_of(model):
    prefix = "causal/encoder/"
    return {
        name.removeprefix(prefix): array.astype(np.float64)
        for name, array in named_weights(model).items()
    }


def normed(x, w, name, epsilon=1e-5):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(
        x.var(-1, keepdims=True) + epsilon
    )
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def transformer_xl(w, ids, sees):
    """One text, token by token: `sees(i)` is the first token that i sees."""
    dim, heads, layers = 8, 2, 2
    d = dim // heads
    x = w["word_embeddings/table"][ids] * np.sqrt(dim)

    def wave(distance):
        angles = [distance / 10_000 ** (k / dim) for k in range(0, dim, 2)]
        return np.array([*map(np.sin, angles), *map(np.cos, angles)])

    for n in range(layers):
        of = {
            k.removeprefix(f"layer_{n}/"): v
            for k, v in w.items()
            if k.startswith(f"layer_{n}/")
        }
        q, k, v = np.split(x @ of["qkv"], 3, axis=-1)
        out = np.zeros_like(x)
        for i in range(len(ids)):
            for h in range(heads):
                part = slice(h * d, (h + 1) * d)
                u, b = of["content_bias"][part], of["distance_bias"][part]
                scores = []
                for j in range(sees(i), i + 1):
                    r = (wave(i - j) @ of["distances"])[part]
                    scores.append(
                        (q[i, part] + u) @ k[j, part] + (q[i, part] + b) @ r
                    )
                probs = softmax(np.array(scores) / np.sqrt(d))
                out[i, part] = probs @ v[sees(i) : i + 1, part]
        x = normed(x + out @ of["attention_output"], of, "attention_layer_norm")
        inner = np.maximum(
            x @ of["intermediate/kernel"] + of["intermediate/bias"], 0
        )
        inner = inner @ of["output/kernel"] + of["output/bias"]
        x = normed(x + inner, of, "output_layer_norm")
    return x @ w["word_embeddings/table"].T


@pytest.mark.parametrize("config", CONFIGS[1:])
def test_transformer_xl_against_plain_sums(config):
    model = model_of(config)
    weights = weights_of(model)

    def sees(i):
        start = i // config.segment_length * config.segment_length
        return max(start - config.memory_length, 0)

    found = logits_of(model, IDS)
    for row, ids in zip(found, IDS, strict=True):
        np.testing.assert_allclose(
            row, transformer_xl(weights, ids, sees), rtol=0, atol=2e-5
        )


def test_a_memory_of_everything_is_as_good_as_one_segment():
    whole, in_parts = model_of(WHOLE), model_of(REMEMBERS)
    np.testing.assert_allclose(
        logits_of(in_parts, IDS), logits_of(whole, IDS), rtol=0, atol=1e-5
    )
    forgets = logits_of(model_of(IN_PARTS), IDS)
    assert np.abs(forgets - logits_of(whole, IDS)).max() > 1e-2


@pytest.mark.parametrize("config", CONFIGS)
def test_step_by_step_is_as_at_once(config):
    model = model_of(config)
    expected = logits_of(model, IDS)
    seen = model.start(len(IDS))
    for place in range(LENGTH):
        if place == 4:
            # Rows may be left out and change places.
            rows = [3, 1]
            expected = expected[rows]
            seen = [tf.gather(x, rows, axis=1) for x in seen]
        ids = IDS[:, place] if place < 4 else IDS[[3, 1], place]
        logits, seen = model.step(tf.constant(ids), seen, tf.constant(place))
        np.testing.assert_allclose(
            logits, expected[:, place], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("config", CONFIGS)
def test_what_comes_later_changes_nothing(config):
    model = model_of(config)
    other = IDS.copy()
    other[:, 5:] = (other[:, 5:] + 1) % 11
    ours, theirs = logits_of(model, IDS), logits_of(model, other)
    np.testing.assert_array_equal(ours[:, :5], theirs[:, :5])
    assert (ours[:, 5:] != theirs[:, 5:]).any(-1).all()


@pytest.mark.parametrize("config", CONFIGS)
def test_dropout_belongs_to_examples(config):
    model = model_of(config)

    def of(rows):
        noise = DropoutNoise(
            3, tf.constant(7, tf.int64), tf.constant(rows.start, tf.int64)
        )
        features = {"input_ids": tf.constant(IDS[rows])}
        return model(features, reads=READS, noise=noise)["logits"].numpy()

    whole = of(slice(0, 4))
    parts = np.concatenate([of(slice(0, 2)), of(slice(2, 4))])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-5)
    assert np.abs(whole - logits_of(model, IDS)).max() > 1e-2


def test_gradients_stay_within_segments():
    model = model_of(IN_PARTS)
    table = model.encoder.word_embeddings.table
    ids = np.arange(8, dtype=np.int32)[None]
    with tf.GradientTape() as tape:
        states = tf.reshape(model.encoder(tf.constant(ids)), [8, -1])
        loss = tf.reduce_sum(states[4:] ** 2 * tf.range(8.0))
    of_rows = tf.convert_to_tensor(tape.gradient(loss, table.value)).numpy()
    assert not of_rows[:4].any()
    assert of_rows[4:8].any(-1).all()


def test_keys_of_the_memory_are_learnt_from():
    """Memory is of states, as published: what makes keys of them learns."""
    config = dataclasses.replace(IN_PARTS, segment_length=1, num_layers=1)
    model = model_of(config)
    layer = model.encoder.decoder_layers[0]
    states = tf.constant(
        np.random.default_rng(0).normal(size=(1, 2, 8)), tf.float32
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.keys_and_values(states))
    of_kernel = tape.gradient(loss, layer.qkv.value).numpy()
    assert not of_kernel[:, :8].any()
    assert of_kernel[:, 8:].any()


def test_gpt2_is_that_of_keras_nlp():
    import keras_hub

    model = model_of(GPT2)
    theirs = keras_hub.models.GPT2Backbone(
        vocabulary_size=11,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        max_sequence_length=LENGTH,
    )
    for number, variable in enumerate(theirs.weights):
        rng = np.random.default_rng(number)
        variable.assign(rng.normal(size=variable.shape) / 3)
    weights = weights_of_backbone(theirs)
    assign_weights(model, weights, source="keras-nlp")
    states = theirs(
        {"token_ids": IDS, "padding_mask": np.ones_like(IDS)}, training=False
    )
    table = weights["causal/encoder/word_embeddings/table"]
    np.testing.assert_allclose(
        logits_of(model, IDS), states.numpy() @ table.T, rtol=0, atol=1e-5
    )


def test_published_sizes():
    """GPT-2 of 124 million weights: as many as were published."""
    config = Gpt2Config()
    total = sum(np.prod(s) for s in config.weight_shapes().values())
    assert total == 124_439_808
    model = LanguageModel(GPT2)
    shapes = {f"causal/{n}": s for n, s in GPT2.weight_shapes().items()}
    assert shapes == {n: w.shape for n, w in named_weights(model).items()}
    assert count_parameters(model, model.parts) == sum(
        np.prod(s) for s in shapes.values()
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"num_heads": 3}, "no multiple"),
        ({"memory_length": -1}, "memory_length=-1 is less than 0"),
        ({"segment_length": 0}, "segment_length=0 is less than 1"),
        ({"dropout": 1.0}, "not in"),
        ({"num_layers": "2"}, "not of type int"),
    ],
)
def test_shapes_that_cannot_be(fields, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(WHOLE, **fields)


def test_other_heads_are_refused():
    with pytest.raises(ValueError, match="no head for classifier"):
        LanguageModel(GPT2, heads=("classifier",))
