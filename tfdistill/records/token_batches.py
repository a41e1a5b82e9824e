"""Batches with about as many tokens each, of examples of like length.

A window of the stream of examples is cut into batches whose rows times their
padded length stay within a budget, each filled as well as can be. No example
is lost: the last batches of a window are filled up with copies that do not
count. There are few shapes, as each needs a graph of its own: batches are
padded to few lengths, and all batches of one shape have as many rows.

The batches depend on the seed alone, on no number of replicas.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.records.batches import Batch, Transform, decoded
from tfdistill.records.padding import fine_grid
from tfdistill.records.record_set import RecordSet
from tfdistill.records.stream import example_windows

# Positions of copies.
_END = tf.int64.max


class Cut(NamedTuple):
    """A batch: which examples, and how many rows it is filled up to."""

    examples: np.ndarray
    rows: int


def cut(
    tokens: np.ndarray,
    places: np.ndarray,
    budget: int,
    token_grid: Sequence[int],
    place_grid: Sequence[int],
) -> list[Cut]:
    """Cut examples into batches.

    A batch of padded lengths S and T has `budget // (S + T)` rows. Batches
    are begun in the order of their targets' lengths; which S one is padded to
    is what fills it best.

    Args:
        tokens: int `[N]`, of each example.
        places: int `[N]`, of each target; 0 where there are none.
        budget: Padded tokens and places of a batch, at most.
        token_grid: What lengths are padded to, ascending.
        place_grid: What those of targets are padded to, 0 apart.

    Raises:
        ValueError: An example alone is more than the budget.
    """
    s = _padded(tokens, token_grid)
    t = _padded(places, [0, *place_grid])
    if (s + t).max() > budget:
        raise ValueError(
            f"An example has {(s + t).max()} tokens with its padding, more "
            f"than --train_batch_tokens={budget}."
        )
    # To and fro, so that neighbours in length stay neighbours where the
    # length of targets changes.
    turns = {size: (-1) ** i for i, size in enumerate(np.unique(t))}
    turned = np.array([turns[size] for size in t])
    order = np.lexsort((tokens * turned, -t))
    s, t, real = s[order], t[order], (tokens + places)[order]
    cuts: list[Cut] = []
    start = 0
    while start < len(order):
        best, share = Cut(order[:0], 0), -1.0
        for length in np.unique(s[start : start + budget]):
            rows = budget // (length + t[start])
            if length < s[start] or rows == 0:
                continue
            fits = s[start : start + rows] <= length
            count = len(fits) if fits.all() else int(fits.argmin())
            used = real[start : start + count].sum()
            filled = used / (rows * (length + t[start]))
            if filled > share:
                share = filled
                best = Cut(order[start : start + count], int(rows))
        cuts.append(best)
        start += len(best.examples)
    return cuts


def _padded(counts: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    return np.asarray(grid)[np.searchsorted(grid, counts)]


def token_batches(
    records: RecordSet,
    *,
    batch_tokens: int,
    window: int,
    seed: int,
    shuffle_buffer_size: int,
    first_step: int,
    process_slice: tuple[int, int],
    num_parts: int,
    micro_batches: int = 1,
    transform: Transform | None = None,
) -> Iterator[Batch]:
    """Yield batches without end, epoch after epoch.

    A run that goes on in the middle reads over the examples that it used.

    Args:
        records: What to read.
        batch_tokens: Padded tokens of a global batch, at most, those of
            sources and targets together.
        window: Examples whose batches are made at a time.
        seed: Fixes the order, together with the epoch.
        shuffle_buffer_size: As `training_batches`.
        first_step: Global batches that were used already.
        process_slice: Which of `num_parts` equal parts of a batch are this
            process's: the first, and how many.
        num_parts: Parts that a batch is dealt out in.
        micro_batches: Parts that each of these is cut into.
        transform: As `training_batches`.

    Yields:
        As `training_batches`; rows that only fill a batch up have no tokens.

    Raises:
        ValueError: The set is empty, a record is damaged, or one has more
            tokens than the budget.
    """
    if records.examples == 0:
        raise ValueError(f"{records.path} holds no examples.")
    most = records.schema.max_seq_length
    target = records.schema.feature("target_ids")
    grids = fine_grid(most), fine_grid(target.length if target else 0)
    check_budget(records, batch_tokens)
    multiple = num_parts * micro_batches
    size = min(window, records.examples)

    def plan(
        tokens: np.ndarray, places: np.ndarray, number: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns which examples, which of them are copies, and splits."""
        cuts = cut(tokens, places, batch_tokens, *grids)
        np.random.default_rng([seed, int(number)]).shuffle(cuts)
        chosen, is_copy = [], []
        for examples, rows in cuts:
            rows = -(-rows // multiple) * multiple
            copies = np.repeat(examples[:1], rows - len(examples))
            chosen.append(np.concatenate([examples, copies]))
            is_copy.append(np.arange(rows) >= len(examples))
        splits = np.cumsum([0, *map(len, chosen)])
        return np.concatenate(chosen), np.concatenate(is_copy), splits

    def batches(start: tf.Tensor, examples: tuple) -> tf.data.Dataset:
        indices, serialized = examples
        tokens, places = records.schema.counts(serialized)
        chosen, is_copy, splits = tf.numpy_function(
            plan,
            [
                tokens,
                # Places of masks are tokens that have been counted.
                places if target else tf.zeros_like(places),
                start // size,
            ],
            [tf.int64, tf.bool, tf.int64],
            stateful=False,
        )
        rows = (
            tf.where(is_copy, _END, start + chosen),
            (tf.gather(indices, chosen), tf.gather(serialized, chosen)),
        )
        ragged = tf.nest.map_structure(
            lambda x: tf.RaggedTensor.from_row_splits(
                tf.ensure_shape(x, [None]), tf.ensure_shape(splits, [None])
            ),
            rows,
        )
        return tf.data.Dataset.from_tensor_slices(ragged)

    stream = (
        example_windows(records, seed, shuffle_buffer_size, size)
        .flat_map(batches)
        .skip(first_step)
    )
    first, count = process_slice

    def part(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_one = rows // num_parts
        return first * of_one, count * of_one

    def hide_copies(batch: Batch, positions: tf.Tensor) -> Batch:
        is_real = tf.cast(positions < _END, tf.int32)[:, None]
        for name in ("input_mask", "word_mask"):
            if name in batch:
                batch[name] *= is_real
        return batch if transform is None else transform(batch, positions)

    return decoded(records, stream, part, hide_copies, _END, grids[0])


def check_budget(records: RecordSet, batch_tokens: int) -> None:
    """Refuse a budget that the longest example there may be exceeds.

    Raises:
        ValueError: It does.
    """
    target = records.schema.feature("target_ids")
    most = records.schema.max_seq_length + (target.length if target else 0)
    if most > batch_tokens:
        raise ValueError(
            f"--train_batch_tokens={batch_tokens} is less than the "
            f"{most} tokens that an example of {records.path} may have."
        )
