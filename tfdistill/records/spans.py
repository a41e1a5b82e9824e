"""What records of questions hold, and the logits of where answers are.

A model has two logits for each token: how well an answer begins there, and
how well it ends there. `[CLS]` stands for no answer.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfdistill.records.distributions import DISTRIBUTION, Distribution
from tfdistill.records.examples import input_features
from tfdistill.records.feature import Feature

# Of a token in `context_marks`.
NO_CONTEXT, CONTEXT, MOST_CONTEXT = range(3)
# Finite, so that differences and products with 0 are numbers.
_PADDING_LOGIT = -1e9


def span_features(
    max_seq_length: int,
    vocabulary_size: int,
    *,
    num_questions: int,
    num_characters: int,
    has_answers: bool,
) -> tuple[Feature, ...]:
    """Returns the features of windows of texts that hold answers.

    Args:
        max_seq_length: Tokens of an example, at most.
        vocabulary_size: Pieces.
        num_questions: Questions that windows are numbered by.
        num_characters: Of the longest text.
        has_answers: Whether it is known of any question where its answer is.
    """
    answers = Feature(
        name="answer_positions",
        length=2,
        limit=max_seq_length,
        mask="answer_weights",
        mask_is_float=True,
    )
    return (
        *input_features(max_seq_length, vocabulary_size),
        *([answers] if has_answers else []),
        Feature(name="question_numbers", length=0, limit=num_questions),
        Feature(
            name="context_marks", length=max_seq_length, limit=3, axes=("L",)
        ),
        *(
            Feature(
                name=name,
                length=max_seq_length,
                limit=num_characters + 1,
                axes=("L",),
            )
            for name in ("character_starts", "character_ends")
        ),
    )


def rule_out_padding(logits: tf.Tensor, input_mask: tf.Tensor) -> tf.Tensor:
    """Give padding no share of any distribution over tokens.

    Args:
        logits: `[B, 2, L]`.
        input_mask: `[B, L]`, 1 where a token stands.
    """
    is_token = tf.cast(input_mask, tf.bool)[:, None, :]
    return tf.where(is_token, logits, tf.cast(_PADDING_LOGIT, logits.dtype))


@dataclasses.dataclass(frozen=True)
class SpanLogits:
    """The logits of both ends at an example's own tokens, as float32."""

    max_seq_length: int

    gives = frozenset({"logits", DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns `teacher_logits`."""
        return (
            Feature(
                name="teacher_logits",
                length=2 * self.max_seq_length,
                axes=(2, "L"),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `teacher_logits`."""
        return {"teacher_logits": outputs["logits"]}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the logits, and their distributions over tokens."""
        logits = rule_out_padding(batch["teacher_logits"], batch["input_mask"])
        return {
            "logits": logits,
            DISTRIBUTION: Distribution(tf.nn.log_softmax(logits)),
        }
