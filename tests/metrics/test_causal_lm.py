"""T5: the published measures of language models, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.metrics import causal_lm_metrics, causal_lm_sums


def test_published_numbers():
    # Probabilities of the targets: .5, .8 and .6; the rest is padding.
    probs = np.array([[[0.5, 0.5], [0.2, 0.8]], [[0.6, 0.4], [0.1, 0.9]]])
    sums = causal_lm_sums(
        tf.constant(np.log(probs), tf.float32),
        tf.constant([[0, 1], [0, 0]]),
        tf.constant([[1.0, 1.0], [1.0, 0.0]]),
    )
    found = {name: float(value) for name, value in sums.items()}
    assert found["token_weights"] == 3
    metrics = causal_lm_metrics(
        found | {"num_characters": 10.0, "num_words": 4.0}
    )
    assert metrics["token_loss"] == pytest.approx(0.4757054519, abs=1e-6)
    assert metrics["bits_per_character"] == pytest.approx(
        0.2058893689, abs=1e-6
    )
    assert metrics["word_perplexity"] == pytest.approx(1.4287202148, abs=1e-6)
    assert metrics["token_accuracy"] == 1.0


def test_a_model_that_knows_nothing_has_a_number():
    sums = dict(token_loss=1e9, token_weights=1.0, token_hits=0.0)
    found = causal_lm_metrics(sums | {"num_characters": 1.0, "num_words": 1.0})
    assert np.isfinite(found["word_perplexity"])
