"""What a conditional masked LM reads: `[CLS] source [SEP] target end`."""

from typing import NamedTuple

import tensorflow as tf

# The first rows of the table of inputs, whatever the pieces are.
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PADDING, UNKNOWN, CLS, SEP, MASK = range(len(BERT_SPECIAL))


class Joint(NamedTuple):
    """Sources and targets as one sequence each.

    Attributes:
        features: `input_ids`, `input_mask` and `segment_ids`, int32 `[B, L]`.
        positions: int32 `[B, T]`, where the places of the target are in it.
    """

    features: dict[str, tf.Tensor]
    positions: tf.Tensor


def joint(
    source: tf.Tensor,
    target: tf.Tensor,
    source_mask: tf.Tensor,
    target_mask: tf.Tensor,
    is_masked: tf.Tensor,
    max_length: int,
) -> Joint:
    """Put sources and targets behind one another, padding at the end.

    Args:
        source: int32 `[B, S]`, rows of the table of inputs.
        target: int32 `[B, T]`, likewise, the row of [SEP] at the end of each.
        source_mask: int32 `[B, S]`, 1 where a piece stands.
        target_mask: int32 `[B, T]`, likewise.
        is_masked: bool `[B, T]`, where [MASK] takes the place of a piece.
        max_length: L is S + T + 2, but no more than this; what is beyond must
            be padding.
    """
    batch, room = source.shape
    places = target.shape[1]
    length = min(room + places + 2, max_length)

    def column(row: int) -> tf.Tensor:
        return tf.fill([batch, 1], row)

    shown = tf.where(is_masked, MASK, target)
    parts = [column(CLS), source, column(SEP), shown, column(PADDING)]
    pool = tf.concat(parts, axis=1)
    index = tf.range(length)[None]
    first = tf.reduce_sum(source_mask, axis=1, keepdims=True) + 2
    end = first + tf.reduce_sum(target_mask, axis=1, keepdims=True)
    # The source's padding is skipped over.
    taken = tf.where(
        index < first - 1,
        index,
        tf.where(index < end, index - first + room + 2, room + places + 2),
    )
    is_token = index < end
    return Joint(
        {
            "input_ids": tf.gather(pool, taken, batch_dims=1),
            "input_mask": tf.cast(is_token, tf.int32),
            "segment_ids": tf.cast(is_token & (index >= first), tf.int32),
        },
        tf.minimum(first + tf.range(places)[None], length - 1),
    )
