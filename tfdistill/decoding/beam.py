"""Beam search over any model of next pieces, compiled and batched.

    for each piece:
        log-probabilities of what may follow each of K hypotheses
        the K best of all continuations are followed
        those that have ended are put aside, if they are the best so far
        stop where nothing that is followed can still be better

With K = 1 this is greedy search. The returned text is exactly that which
the search would return without stopping early: a hypothesis only gets less
probable, and no penalty divides by more than that of the greatest length, so
what it may still score is bounded.

Reference: Wu et al., "Google's Neural Machine Translation System", 2016, for
    the length penalty; OpenNMT-py, whose counting of lengths is kept.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfdistill.top_k import top_k

# Finite, so that sums of it are numbers.
_NEVER = -1e9

# From the last pieces int32 `[B * K]`, their place and a state, a tree of
# tensors `[B * K, …]`, to log-probabilities float32 `[B * K, V]`, to what each
# hypothesis looks at, int32 `[B * K]`, and to the next state.
Step = Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, tf.Tensor, Any]]


class Hypotheses(NamedTuple):
    """The best text of each example.

    Attributes:
        ids: int32 `[B, T]`, the end included, and padding behind it.
        lengths: int32 `[B]`, pieces, the end included.
        attended: int32 `[B, T]`, what was looked at for each piece.
        scores: float32 `[B]`, log-probability over the length penalty.
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    attended: tf.Tensor
    scores: tf.Tensor


class _State(NamedTuple):
    """What a search knows.

    Attributes:
        place: int32, pieces that hypotheses have.
        ids: int32 `[B, K, T]`, the pieces.
        attended: int32 `[B, K, T]`.
        log_probs: float32 `[B, K]`.
        cache: Of the model.
        best: The best that have ended.
    """

    place: tf.Tensor
    ids: tf.Tensor
    attended: tf.Tensor
    log_probs: tf.Tensor
    cache: Any
    best: Hypotheses


def length_penalty(length: tf.Tensor | float, alpha: float) -> tf.Tensor:
    """Returns `((5 + n + 1) / 6) ** alpha` of n pieces, the end included."""
    return tf.pow((6.0 + tf.cast(length, tf.float32)) / 6.0, alpha)


def beam_search(
    step: Step,
    cache: Any,
    *,
    batch_size: int,
    beam_size: int,
    max_length: int,
    alpha: float,
    start_id: int,
    end_id: int,
    padding_id: int,
    cache_shapes: Any = None,
) -> Hypotheses:
    """Find the best text of each example.

    Hypotheses that have `max_length` pieces count as ended.

    Args:
        step: See `Step`.
        cache: The model's state at the start, `[B * K, …]`, beams of an
            example side by side.
        batch_size: B.
        beam_size: K.
        max_length: Pieces at most, the end included.
        alpha: Exponent of the length penalty, at least 0.
        start_id: What stands before the first piece.
        end_id: What ends a text.
        padding_id: What stands behind the end.
        cache_shapes: Shapes of the state, where they grow.

    Raises:
        ValueError: alpha is negative, with which nothing is known of what is
            not finished.
    """
    if alpha < 0:
        raise ValueError(f"The length penalty's exponent {alpha} is negative.")
    shape = [batch_size, beam_size, max_length]
    empty = tf.fill(shape, padding_id)
    nothing = tf.zeros(shape, tf.int32)
    # All hypotheses are the same at first, so one is followed.
    first = tf.where(tf.range(beam_size) == 0, 0.0, _NEVER)
    state = _State(
        place=tf.constant(0),
        ids=empty,
        attended=nothing,
        log_probs=tf.repeat(first[None], batch_size, axis=0),
        cache=cache,
        best=Hypotheses(
            empty[:, 0],
            tf.zeros([batch_size], tf.int32),
            nothing[:, 0],
            tf.fill([batch_size], 2 * _NEVER),
        ),
    )

    def goes_on(state: _State) -> tf.Tensor:
        most = tf.reduce_max(state.log_probs, axis=1)
        bound = most / length_penalty(max_length, alpha)
        # What will never be is worth nothing, whatever it is divided by.
        is_open = (most > _NEVER / 2) & (bound > state.best.scores)
        return (state.place < max_length) & tf.reduce_any(is_open)

    def advance(state: _State) -> tuple[_State]:
        last = tf.where(
            state.place == 0,
            start_id,
            tf.gather(state.ids, tf.maximum(state.place - 1, 0), axis=2),
        )
        log_probs, attended, cache = step(
            tf.reshape(last, [-1]), state.place, state.cache
        )
        followed = _follow(state, log_probs, attended, cache)
        return (_put_aside(followed, max_length, alpha, end_id),)

    shapes = None
    if cache_shapes is not None:
        fixed = tf.nest.map_structure(
            lambda x: x.shape, state._replace(cache=())
        )
        shapes = (fixed._replace(cache=cache_shapes),)
    (state,) = tf.while_loop(
        goes_on, advance, (state,), shape_invariants=shapes
    )
    return state.best


def _follow(
    state: _State, log_probs: tf.Tensor, attended: tf.Tensor, cache: Any
) -> _State:
    """Returns the K best continuations of each example."""
    batch, beams, _ = state.ids.shape
    size = log_probs.shape[-1]
    total = state.log_probs[:, :, None] + tf.reshape(
        log_probs, [batch, beams, size]
    )
    best, chosen = top_k(tf.reshape(total, [batch, beams * size]), beams)
    parents, pieces = chosen // size, chosen % size
    rows = tf.reshape(tf.range(batch)[:, None] * beams + parents, [-1])

    def write(x: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        x = tf.gather(x, parents, batch_dims=1)
        is_here = tf.range(x.shape[2]) == state.place
        return tf.where(is_here, values[:, :, None], x)

    looked_at = tf.reshape(attended, [batch, beams])
    looked_at = tf.gather(looked_at, parents, batch_dims=1)
    return _State(
        place=state.place + 1,
        ids=write(state.ids, pieces),
        attended=write(state.attended, looked_at),
        log_probs=best,
        cache=tf.nest.map_structure(lambda x: tf.gather(x, rows), cache),
        best=state.best,
    )


def _put_aside(
    state: _State, max_length: int, alpha: float, end_id: int
) -> _State:
    """Keep the best that has ended, and follow only what has not."""
    is_ended = tf.gather(state.ids, state.place - 1, axis=2) == end_id
    is_ended |= state.place == max_length
    scores = tf.where(
        is_ended & (state.log_probs > _NEVER / 2),
        state.log_probs / length_penalty(state.place, alpha),
        3 * _NEVER,
    )
    winner = tf.argmax(scores, axis=1, output_type=tf.int32)
    found = Hypotheses(
        tf.gather(state.ids, winner, batch_dims=1),
        tf.fill(state.best.lengths.shape, state.place),
        tf.gather(state.attended, winner, batch_dims=1),
        tf.gather(scores, winner, batch_dims=1),
    )
    is_better = found.scores > state.best.scores

    def better(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        shape = [-1] + [1] * (new.shape.rank - 1)
        return tf.where(tf.reshape(is_better, shape), new, old)

    return state._replace(
        log_probs=tf.where(is_ended, _NEVER, state.log_probs),
        best=Hypotheses(*map(better, found, state.best)),
    )
