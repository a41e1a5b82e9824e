"""Models of words: their shapes, what they compute, what padding changes."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.kinds import KINDS, kind_of
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.weights import (
    count_parameters,
    named_weights,
    part_of,
    parts_in,
    variable_names,
    weight_shapes,
)
from tfdistill.models.words import (
    BiLstmConfig,
    ConvRnnConfig,
    KimCnnConfig,
    SiameseBiLstmConfig,
)
from tfdistill.models.words.kim_cnn import Convolution
from tfdistill.models.words.recurrent_models import compared

V = 12
READS = frozenset({"logits"})
TINY = {"vocabulary_size": V, "vector_dim": 3, "num_classes": 3}
CONFIGS = {
    "bilstm": BiLstmConfig(**TINY, hidden_dim=6, fc_dim=16),
    "bigru": BiLstmConfig(**TINY, hidden_dim=6, fc_dim=16, rnn="gru"),
    "siamese_bilstm": SiameseBiLstmConfig(**TINY, hidden_dim=6, fc_dim=16),
    "conv_rnn": ConvRnnConfig(
        **TINY, hidden_dim=6, fc_dim=16, num_feature_maps=5
    ),
    "kim_cnn": KimCnnConfig(**TINY, vectors="multichannel", num_filters=6),
}
# Words of each sentence; the last example has none.
SENTENCES = (([3, 4, 5, 6], [7, 8]), ([9], [3, 3, 3]), ([10, 11], []), ([], []))


def features(length, examples=SENTENCES, is_pair=True):
    """A batch padded to so many words."""
    ids = np.zeros((len(examples), length), np.int32)
    mask, segments = np.zeros_like(ids), np.zeros_like(ids)
    for row, (first, second) in enumerate(examples):
        both = [*first, *second]
        ids[row, : len(both)] = both
        mask[row, : len(both)] = 1
        segments[row, len(first) : len(both)] = 1
    batch = {"word_ids": ids, "word_mask": mask}
    if is_pair:
        batch["word_segments"] = segments
    return {name: tf.constant(value) for name, value in batch.items()}


def model_of(config, seed=1):
    return KINDS[kind_of(config)].make(config, seed)


@pytest.fixture(scope="module")
def models():
    return {name: model_of(config) for name, config in CONFIGS.items()}


def logits(model, batch):
    found = model(batch, reads=READS)
    assert found.keys() == READS
    return found["logits"].numpy()


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (BiLstmConfig(vectors="multichannel"), 961_802),
        (BiLstmConfig(), 601_802),
        (BiLstmConfig(hidden_dim=300, fc_dim=400), 1_683_602),
        (
            BiLstmConfig(hidden_dim=300, fc_dim=400, vectors="multichannel"),
            2_403_602,
        ),
        (
            SiameseBiLstmConfig(vectors="multichannel", num_classes=3),
            1_142_003,
        ),
        (
            SiameseBiLstmConfig(vectors="multichannel", hidden_dim=300),
            2_643_002,
        ),
        (KimCnnConfig(vectors="non_static"), 360_902),
        (KimCnnConfig(vectors="multichannel"), 720_902),
    ],
)
def test_published_numbers_of_parameters(config, count):
    model = model_of(dataclasses.replace(config, vocabulary_size=5))
    found = count_parameters(model, model.parts, with_embeddings=False)
    assert found == count
    tables = 5 * 300 * (2 if config.vectors == "multichannel" else 1)
    assert count_parameters(model, model.parts) == count + tables


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_have_the_names_and_shapes_of_the_configuration(models, name):
    model = models[name]
    weights = named_weights(model)
    shapes = {n: array.shape for n, array in weights.items()}
    assert shapes == weight_shapes(model.config, model.parts)
    assert (
        parts_in(shapes) == model.parts == {"encoder", "pooler", "classifier"}
    )
    assert {part_of(n) for n in variable_names(model)} == model.parts
    # What names say of biases, optimizers go by.
    for n, array in weights.items():
        is_bias = array.ndim == 1 or (array.shape[0] == 2 and "/rnn/" in n)
        assert ("bias" in n) == is_bias, n


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_changes_nothing(models, name):
    found = [logits(models[name], features(length)) for length in (6, 7, 16)]
    assert found[0].shape == (len(SENTENCES), 3)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-6)
    alone = [
        logits(models[name], features(6, SENTENCES[i : i + 1]))[0]
        for i in range(len(SENTENCES))
    ]
    np.testing.assert_allclose(alone, found[0], atol=1e-6)
    # Four different examples.
    assert len(np.unique(found[0].round(4), axis=0)) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sentence_without_words_is_one_of_padding(models, name):
    is_pair = models[name].config.is_pair
    nothing, pad, unknown = (
        logits(models[name], features(4, [(ids, ids if is_pair else [])]))
        for ids in ([], [0], [1])
    )
    np.testing.assert_allclose(nothing, pad, atol=1e-6)
    assert np.abs(unknown - pad).max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_read_of_a_batch(models, name):
    """Pairs are told apart by those that read them, and by no others."""
    moved = [(first[:1], [*first[1:], *second]) for first, second in SENTENCES]
    one, two = (
        logits(models[name], features(6, examples))
        for examples in (SENTENCES, moved)
    )
    differs = np.abs(one - two).max() > 1e-3
    assert differs == models[name].config.is_pair
    if not models[name].config.is_pair:
        single = logits(models[name], features(6, is_pair=False))
        np.testing.assert_array_equal(single, one)


def test_siamese_model_is_the_bilstm_of_each_sentence(models):
    siamese, single = models["siamese_bilstm"], models["bilstm"]
    for name, variable in variable_names(single).items():
        if part_of(name) == "encoder":
            variable.assign(variable_names(siamese)[name])
    u, v = (
        single.encoder(
            features(6, [(pair[i], []) for pair in SENTENCES], is_pair=False)
        )
        for i in (0, 1)
    )
    np.testing.assert_allclose(
        siamese.encoder(features(9)), compared(u, v), atol=1e-6
    )


def test_sentences_are_compared_as_published():
    found = compared(tf.constant([[1.0, -2]]), tf.constant([[0.5, 3]]))
    assert found.numpy().tolist() == [[1, -2, 0.5, 3, 0.5, 5, 0.5, -6]]


def test_feature_maps_are_maxima_over_words(models):
    encoder = models["conv_rnn"].encoder
    batch = features(6, is_pair=False)
    lengths = tf.constant([6, 4, 2, 1])
    ids = tf.transpose(batch["word_ids"])
    states, last = encoder.rnn(encoder.embedding(ids), lengths)
    kernel, bias = encoder.maps.kernel.value, encoder.maps.bias.value
    expected = [
        np.maximum(states[:n, row] @ kernel + bias, 0).max(axis=0)
        for row, n in enumerate(lengths.numpy())
    ]
    np.testing.assert_allclose(
        encoder(batch), np.concatenate([expected, last], -1), atol=1e-6
    )


@pytest.mark.parametrize("width", [3, 4, 5])
def test_filters_reach_over_both_ends(width):
    """A filter's maximum is that over all `length + width - 1` places."""
    config = KimCnnConfig(vocabulary_size=V, vector_dim=3, num_filters=4)
    layer = Convolution(config, width, seed=1)
    x = np.random.default_rng(1).normal(size=(2, 7, 3)).astype(np.float32)
    x[1, 2:] = 0
    found = layer(tf.constant(x), lengths=tf.constant([7, 2]))
    kernel, bias = np.array(layer.kernel), np.array(layer.bias)
    for row, length in enumerate((7, 2)):
        around = np.zeros((width - 1, 3))
        padded = np.concatenate([around, x[row, :length], around])
        places = [
            (padded[i : i + width, :, None] * kernel).sum((0, 1)) + bias
            for i in range(length + width - 1)
        ]
        assert len(places) == {7: {3: 9, 4: 10, 5: 11}[width]}.get(
            length, width + 1
        )
        expected = np.maximum(np.max(places, axis=0), 0)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_dropout_belongs_to_examples(models, name):
    """Half a batch meets what it would meet within the whole."""
    config = dataclasses.replace(models[name].config, dropout=0.5)
    model = model_of(config)
    step = tf.constant(3, tf.int64)

    def run(rows, length):
        noise = DropoutNoise(7, step, tf.constant(rows[0], tf.int64))
        examples = [SENTENCES[i] for i in rows]
        return model(features(length, examples), reads=READS, noise=noise)

    whole = run([0, 1, 2, 3], 6)["logits"]
    halves = [run([0, 1], 8)["logits"], run([2, 3], 6)["logits"]]
    np.testing.assert_allclose(tf.concat(halves, 0), whole, atol=1e-6)
    assert np.abs(whole - logits(model, features(6))).max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_follow_from_the_seed(name):
    same, again, other = (
        named_weights(model_of(CONFIGS[name], seed)) for seed in (1, 1, 2)
    )
    for n, array in same.items():
        np.testing.assert_array_equal(again[n], array)
        assert (other[n] != array).any(), n


def test_filters_start_from_xavier_s_distribution():
    """Of `[filters, channels, width, vector]`, as the original's kernels."""
    config = dataclasses.replace(
        CONFIGS["kim_cnn"], vector_dim=50, num_filters=40
    )
    for name, array in named_weights(model_of(config)).items():
        if found := re.search(r"width_(\d)/kernel", name):
            positions = int(found[1]) * 50
            limit = (6 / (2 * positions + 40 * positions)) ** 0.5
            assert 0.98 * limit < np.abs(array).max() <= limit, name


def test_frozen_vectors_are_not_trainable(models):
    frozen = {
        name
        for model in models.values()
        for name, variable in variable_names(model).items()
        if not variable.trainable
    }
    assert frozen == {"encoder/static/table"}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("vectors", "glove", "Unknown vectors 'glove'. Known: random, static"),
        ("rnn", "elman", "Unknown rnn 'elman'. Known: lstm, gru"),
        ("hidden_dim", 0, "hidden_dim=0 is not positive"),
        ("hidden_dim", 1.5, "of a model of words is not of type int"),
        ("dropout", 1, r"dropout=1.0 is not in \[0, 1\)"),
    ],
)
def test_wrong_configurations_are_refused(field, value, says):
    with pytest.raises(ValueError, match=says):
        BiLstmConfig(**{field: value})
