"""Metrics of language models.

`causal_lm_sums` returns sums over a batch, which add up over batches and
replicas; `causal_lm_metrics` divides once at the end.
"""

import math
from collections.abc import Mapping

import tensorflow as tf

# Beyond this exp overflows; such a model predicts nothing.
_MOST_NATS = 700.0


def causal_lm_sums(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Sums of hits and of negative log-likelihood over tokens.

    Args:
        logits: `[B, L, V]`.
        labels: int32 `[B, L]`, the token behind each.
        weights: float32 `[B, L]`, 1 where there is one.
    """
    best = tf.argmax(logits, axis=-1, output_type=tf.int32)
    hits = tf.cast(best == labels, tf.float32)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return {
        "token_hits": tf.reduce_sum(hits * weights),
        "token_loss": tf.reduce_sum(loss * weights),
        "token_weights": tf.reduce_sum(weights),
    }


def causal_lm_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Turn sums over a whole set into metrics.

    Args:
        sums: Of `causal_lm_sums`, and how many characters and words the
            texts have: `num_characters`, `num_words`.

    Returns:
        `bits_per_character` and `word_perplexity`: the texts' negative
        log-likelihood, ends included and first tokens left out, by
        characters and by words, so that models with other vocabularies can
        be compared; `token_loss` in nats per token and `token_accuracy` in
        [0, 1].
    """
    loss, tokens = sums["token_loss"], sums["token_weights"]
    return {
        "bits_per_character": loss / (sums["num_characters"] * math.log(2)),
        "word_perplexity": math.exp(min(loss / sums["num_words"], _MOST_NATS)),
        "token_loss": loss / tokens,
        "token_accuracy": sums["token_hits"] / tokens,
    }
