"""Draws texts from a language model, many at a time, token by token.

What a sample becomes depends on the model, the seed and its number alone: its
beginning and all its draws come from a generator of its own, whatever else is
in its batch and however large that is. Each draw is a uniform number that
is looked up in the cumulative distribution, as in ancestral sampling.

Reference: Tang et al., "Natural Language Generation for Effective Knowledge
    Distillation", 2019, which samples at temperature 1 from all tokens; Holtzman
    et al., "The Curious Case of Neural Text Degeneration", 2020, for top-p.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfdistill.models.causal import LanguageModel

# Rows that are finished are left out once they are this share of a batch.
_MOST_FINISHED = 0.25
_NEVER = -1e9

Step = Callable[
    [tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor],
    tuple[tf.Tensor, list[tf.Tensor]],
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: T > 0 that logits are divided by.
        top_k: Only the K most probable tokens are drawn, and those as
            probable as the last of them; 0: all.
        top_p: Only the most probable tokens whose mass reaches P, in
            (0, 1], are drawn, at least one.
        max_tokens: Tokens of a sample at most, the first included.
        never_ids: Tokens that are never drawn.

    Raises:
        ValueError: A value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int = 128
    never_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature} is not positive.")
        if self.top_k < 0:
            raise ValueError(f"top_k={self.top_k} is negative.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} is not in (0, 1].")
        if self.max_tokens < 2:
            raise ValueError(f"max_tokens={self.max_tokens} is less than 2.")


class Prefixes:
    """The beginnings of texts, each as probable as it is frequent."""

    def __init__(self, beginnings: Iterable[Sequence[int]]) -> None:
        """Count beginnings.

        Args:
            beginnings: Their ids, one or more.

        Raises:
            ValueError: There are none.
        """
        self.counts = collections.Counter(map(tuple, beginnings))
        if not self.counts:
            raise ValueError("There are no texts to take first tokens from.")
        self._beginnings = sorted(self.counts)
        counts = np.array([self.counts[ids] for ids in self._beginnings])
        self._bounds = np.cumsum(counts) / counts.sum()

    def look_up(self, uniform: float) -> tuple[int, ...]:
        """Returns the ids at a place of the cumulative distribution.

        Args:
            uniform: In [0, 1).
        """
        place = int(np.searchsorted(self._bounds, uniform, side="right"))
        return self._beginnings[min(place, len(self._beginnings) - 1)]


def kept_logits(logits: tf.Tensor, sampling: Sampling) -> tf.Tensor:
    """Returns logits by the temperature; those never drawn are -1e9.

    Args:
        logits: `[B, V]`.
        sampling: How tokens are drawn.
    """
    size = logits.shape[-1]
    logits = tf.cast(logits, tf.float32) / sampling.temperature
    if sampling.never_ids:
        hits = tf.one_hot(sampling.never_ids, size)
        logits = tf.where(tf.reduce_any(hits > 0, axis=0), _NEVER, logits)
    if 0 < sampling.top_k < size:
        least = tf.math.top_k(logits, sampling.top_k).values[:, -1:]
        logits = tf.where(logits < least, _NEVER, logits)
    if sampling.top_p < 1:
        ordered = tf.sort(logits, axis=-1, direction="DESCENDING")
        probs = tf.nn.softmax(ordered)
        # What is more probable than a token does not reach P yet.
        before = tf.cumsum(probs, axis=-1, exclusive=True)
        places = tf.reduce_sum(
            tf.cast(before < sampling.top_p, tf.int32), axis=-1
        )
        least = tf.gather(ordered, places - 1, batch_dims=1)[:, None]
        logits = tf.where(logits < least, _NEVER, logits)
    return logits


def draw(
    logits: tf.Tensor, uniforms: tf.Tensor, sampling: Sampling
) -> tf.Tensor:
    """Draw a token of each row.

    Args:
        logits: `[B, V]`.
        uniforms: `[B]`, in [0, 1).
        sampling: How tokens are drawn.

    Returns:
        int32 `[B]`.
    """
    logits = kept_logits(logits, sampling)
    masses = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    # First among blocks of tokens, then within one: no sum over all tokens
    # has to be kept, and in double precision no rare one is lost.
    size = logits.shape[-1]
    width = math.isqrt(size - 1) + 1
    masses = tf.pad(masses, [[0, 0], [0, -size % width]])
    blocks = tf.reshape(masses, [-1, masses.shape[-1] // width, width])
    sums = tf.cast(tf.reduce_sum(blocks, axis=-1), tf.float64)
    block, rest = _looked_up(
        sums, tf.cast(uniforms, tf.float64) * tf.reduce_sum(sums, axis=-1)
    )
    inside = tf.cast(tf.gather(blocks, block, batch_dims=1), tf.float64)
    return block * width + _looked_up(inside, rest)[0]


def _looked_up(
    masses: tf.Tensor, wanted: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Find where a sum of masses goes beyond what is wanted.

    Args:
        masses: float64 `[B, N]`, some of each row positive.
        wanted: float64 `[B]`, from 0 to about the sum of them.

    Returns:
        int32 `[B]`, a place with a positive mass, and what is left of what
        is wanted there.
    """
    bounds = tf.cumsum(masses, axis=-1)
    whole = bounds[:, -1]
    below = tf.math.nextafter(whole, tf.zeros_like(whole))
    wanted = tf.minimum(wanted, below)
    place = tf.searchsorted(bounds, wanted[:, None], side="right")
    before = tf.gather(bounds - masses, place, batch_dims=1)
    return place[:, 0], tf.maximum(wanted - before[:, 0], 0.0)


def stepping(model: LanguageModel, sampling: Sampling) -> Step:
    """Returns what takes one more token of each text and draws the next.

    It is one graph for all sizes of batches and lengths of texts.
    """
    heads, dim = model.config.num_heads, model.config.head_dim
    seen = tf.TensorSpec([2, None, heads, None, dim])

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.int32),
            [seen] * model.config.num_layers,
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None], tf.float64),
        ],
    )
    def step(
        ids: tf.Tensor,
        seen: list[tf.Tensor],
        place: tf.Tensor,
        uniforms: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        logits, seen = model.step(ids, seen, place)
        return draw(logits, uniforms, sampling), seen

    return step


def sample(
    model: LanguageModel,
    step: Step,
    numbers: Sequence[int],
    *,
    prefixes: Prefixes,
    sampling: Sampling,
    seed: int,
    end_id: int,
    ends: int,
) -> list[list[int] | None]:
    """Draw some samples.

    Args:
        model: The language model.
        step: Of `stepping`, for this model and sampling.
        numbers: Of the samples.
        prefixes: Where beginnings are from.
        sampling: How tokens are drawn.
        seed: Decides all draws.
        end_id: The token that ends a sentence or a text.
        ends: How many of them end a sample.

    Returns:
        The ids of each sample, ends included; None for one that did not
        come to its end.
    """
    most = sampling.max_tokens
    uniforms = np.stack(
        [np.random.default_rng([seed, n]).random(most) for n in numbers]
    )
    drawn = np.zeros((len(numbers), most), np.int32)
    given = np.zeros(len(numbers), int)
    for n, uniform in enumerate(uniforms[:, 0]):
        ids = prefixes.look_up(uniform)[:most]
        drawn[n, : len(ids)] = ids
        given[n] = len(ids)
    lengths = np.zeros(len(numbers), int)
    missing = ends - (drawn[:, 0] == end_id)
    rows = np.arange(len(numbers))
    seen = model.start(len(rows))
    for place in range(most - 1):
        found, seen = step(
            tf.constant(drawn[rows, place]),
            seen,
            tf.constant(place),
            tf.constant(uniforms[rows, place + 1]),
        )
        is_given = place + 1 < given[rows]
        drawn[rows, place + 1] = np.where(
            is_given, drawn[rows, place + 1], found
        )
        is_open = missing[rows] > 0
        missing[rows] -= drawn[rows, place + 1] == end_id
        lengths[rows[is_open & (missing[rows] == 0)]] = place + 2
        is_open = missing[rows] > 0
        if not is_open.any():
            break
        if is_open.mean() <= 1 - _MOST_FINISHED:
            kept = np.flatnonzero(is_open)
            rows = rows[kept]
            seen = [tf.gather(x, kept, axis=1) for x in seen]
    return [
        drawn[i, : lengths[i]].tolist() if lengths[i] else None
        for i in range(len(numbers))
    ]
