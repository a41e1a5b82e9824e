"""The seq2seq Transformer: published counts, keras-nlp's layers, its search."""

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.decoding import length_penalty
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.models.seq2seq.model import sinusoids
from tfdistill.models.weights import (
    count_parameters,
    named_weights,
    variable_names,
    weight_shapes,
)
from tfdistill.text.shared_pieces import END_ID, PADDING_ID

V, D, H = 23, 16, 4
CONFIG = Seq2SeqConfig(
    vocabulary_size=V,
    num_layers=2,
    num_decoder_layers=2,
    hidden_dim=D,
    num_heads=H,
    intermediate_dim=24,
    dropout=0.2,
)
LOGITS = frozenset({"logits"})


def batch(examples=3, sources=7, targets=5, seed=0):
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(2, sources, examples - 1), sources)
    return {
        "input_ids": tf.constant(
            rng.integers(4, V, (examples, sources)), tf.int32
        ),
        "input_mask": tf.sequence_mask(lengths, sources, tf.int32),
        "target_ids": tf.constant(
            rng.integers(4, V, (examples, targets)), tf.int32
        ),
    }


@pytest.fixture(scope="module")
def model():
    model = Seq2Seq(CONFIG, 1)
    rng = np.random.default_rng(5)
    for name, variable in variable_names(model).items():
        if variable.shape.rank == 1:
            scale = 0.3 if "gamma" not in name else 0.1
            noise = rng.normal(scale=scale, size=variable.shape)
            variable.assign(variable.value + noise.astype(np.float32))
    return model


def test_the_published_number_of_parameters():
    config = Seq2SeqConfig(vocabulary_size=30_000)
    assert (config.num_heads, config.intermediate_dim) == (8, 2048)
    count = sum(np.prod(s) for s in config.weight_shapes().values())
    assert count == 44_140_544 + 513 * 30_000 == 59_530_544
    of_encoder = sum(
        np.prod(shape)
        for name, shape in config.weight_shapes().items()
        if name.startswith("encoder/") and "/table" not in name
    )
    assert of_encoder == 18_915_328


def test_weights_are_those_of_the_configuration(model):
    shapes = {n: v.shape for n, v in named_weights(model).items()}
    assert shapes == weight_shapes(CONFIG, model.parts)
    assert count_parameters(model, model.parts) == sum(
        np.prod(shape) for shape in shapes.values()
    )


def test_keras_nlp_computes_the_same(model):
    features = batch()
    mask = tf.cast(features["input_mask"], tf.bool)
    encoder = model.encoder

    def embedded(ids):
        x = encoder.embedding(ids) * D**0.5
        return x + keras_hub.layers.SinePositionEncoding()(x)

    common = {
        "intermediate_dim": 24,
        "num_heads": H,
        "layer_norm_epsilon": 1e-6,
        "normalize_first": True,
    }
    x = embedded(features["input_ids"])
    for layer in encoder.encoder_layers:
        theirs = keras_hub.layers.TransformerEncoder(**common)
        theirs.build(x.shape)
        _copy_attention(layer.attention, theirs._self_attention_layer)
        _copy_norm(layer.attention_norm, theirs._self_attention_layer_norm)
        _copy_feed_forward(layer, theirs)
        x = theirs(x, padding_mask=mask)
    memory = encoder.final_norm(x)
    before = tf.pad(
        features["target_ids"][:, :-1], [[0, 0], [1, 0]], constant_values=2
    )
    x = embedded(before)
    for layer in model.generator.decoder_layers:
        theirs = keras_hub.layers.TransformerDecoder(**common)
        theirs.build(x.shape, memory.shape)
        _copy_attention(layer.self_attention, theirs._self_attention_layer)
        _copy_norm(layer.self_attention_norm, theirs._self_attention_layer_norm)
        _copy_attention(layer.cross_attention, theirs._cross_attention_layer)
        _copy_norm(
            layer.cross_attention_norm, theirs._cross_attention_layer_norm
        )
        _copy_feed_forward(layer, theirs)
        x = theirs(x, memory, encoder_padding_mask=mask)
    x = model.generator.final_norm(x)
    expected = tf.matmul(x, encoder.embedding.table.value, transpose_b=True)
    expected += model.generator.output_bias.value
    ours = model(features, reads=LOGITS)["logits"]
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def _copy_attention(ours, theirs):
    key, value = np.split(ours.key_value.kernel.numpy(), 2, axis=1)
    key_bias, value_bias = np.split(ours.key_value.bias.numpy(), 2)
    for dense, kernel, bias in (
        (theirs._query_dense, ours.query.kernel.numpy(), ours.query.bias),
        (theirs._key_dense, key, key_bias),
        (theirs._value_dense, value, value_bias),
    ):
        dense.kernel.assign(kernel.reshape(D, H, D // H))
        dense.bias.assign(np.reshape(bias, (H, D // H)))
    output = theirs._output_dense
    output.kernel.assign(ours.output_dense.kernel.numpy().reshape(H, D // H, D))
    output.bias.assign(ours.output_dense.bias)


def _copy_norm(ours, theirs):
    theirs.gamma.assign(ours.gamma)
    theirs.beta.assign(ours.beta)


def _copy_feed_forward(ours, theirs):
    _copy_norm(ours.feed_forward_norm, theirs._feedforward_layer_norm)
    for mine, other in (
        (
            ours.feed_forward.intermediate,
            theirs._feedforward_intermediate_dense,
        ),
        (ours.feed_forward.output_dense, theirs._feedforward_output_dense),
    ):
        other.kernel.assign(mine.kernel)
        other.bias.assign(mine.bias)


def test_places_are_encoded_as_published():
    table = sinusoids(0, 3, 4).numpy()
    np.testing.assert_allclose(table[0], [0, 1, 0, 1])
    expected = [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)]
    np.testing.assert_allclose(table[2], expected, rtol=1e-6)
    np.testing.assert_allclose(sinusoids(2, 1, 4)[0], table[2], rtol=1e-6)


def test_neither_padding_nor_later_pieces_matter(model):
    features = batch()
    before = model(features, reads=LOGITS)["logits"].numpy()
    mask = features["input_mask"].numpy()
    noisy = np.where(mask == 1, features["input_ids"], 9)
    targets = features["target_ids"].numpy().copy()
    targets[:, 3] = 7
    changed = features | {
        "input_ids": tf.constant(noisy, tf.int32),
        "target_ids": tf.constant(targets),
    }
    after = model(changed, reads=LOGITS)["logits"].numpy()
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
    assert np.abs(after[:, 4] - before[:, 4]).max() > 1e-3


def test_dropout_belongs_to_examples(model):
    features = batch(4)
    step = tf.constant(3, tf.int64)

    def run(start, end):
        part = {name: x[start:end] for name, x in features.items()}
        noise = DropoutNoise(1, step, tf.constant(start, tf.int64))
        return model(part, reads=LOGITS, noise=noise)["logits"]

    whole = run(0, 4)
    halves = tf.concat([run(0, 2), run(2, 4)], 0)
    np.testing.assert_allclose(whole, halves, atol=1e-5)
    without = model(features, reads=LOGITS)["logits"]
    assert np.abs(whole - without).max() > 0.01


@pytest.mark.parametrize("beam_size", [1, 4])
def test_cached_steps_score_as_the_whole_target(model, beam_size):
    features = batch(5)
    found = tf.function(model.generate, autograph=False)(
        features, beam_size=beam_size, max_length=9, alpha=0.6
    )
    for i, (ids, length) in enumerate(
        zip(found.ids.numpy(), found.lengths.numpy(), strict=True)
    ):
        assert (ids[length:] == PADDING_ID).all()
        assert END_ID not in ids[: length - 1]
        one = {name: x[i : i + 1] for name, x in features.items()}
        forced = one | {"target_ids": tf.constant(ids[None, :length])}
        log_probs = tf.nn.log_softmax(model(forced, reads=LOGITS)["logits"][0])
        if beam_size == 1:
            assert (
                log_probs.numpy().argmax(-1).tolist() == ids[:length].tolist()
            )
        total = tf.reduce_sum(tf.gather(log_probs, ids[:length], batch_dims=1))
        score = float(total / length_penalty(length, 0.6))
        assert float(found.scores[i]) == pytest.approx(score, abs=1e-4)
        seen = found.attended.numpy()[i, :length]
        assert (seen < int(tf.reduce_sum(one["input_mask"]))).all()


def test_examples_are_searched_on_their_own(model):
    features = batch(5)
    together = model.generate(features, beam_size=3, max_length=8, alpha=0.6)
    for i in range(5):
        one = {name: x[i : i + 1] for name, x in features.items()}
        alone = model.generate(one, beam_size=3, max_length=8, alpha=0.6)
        assert alone.ids[0].numpy().tolist() == together.ids[i].numpy().tolist()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"num_layers": -1}, "num_layers=-1"),
        ({"hidden_dim": 18, "num_heads": 4}, "no even multiple"),
        ({"hidden_dim": "wide"}, "not of type int"),
    ],
)
def test_impossible_shapes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Seq2SeqConfig(**fields)
