"""What the decoder's caches are worth in a beam search.

    python -m benchmarks.generation

Searches with a beam of 5 for texts of up to 40 pieces, with the caches of the
decoder's keys and values and without: there the decoder reads the whole of
every hypothesis again for each piece. Both give the same texts.
"""

import functools
from collections.abc import Callable
from typing import Any

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, rates, report, sized
from tfdistill.decoding import Hypotheses, beam_search
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.text.shared_pieces import END_ID, PADDING_ID, START_ID

SOURCES, PIECES, BEAMS, PLACES = 8, 8000, 5, sized(40, 8)
ROUNDS, AIM = sized(3, 1), 5


@functools.cache
def _whole_prefix(model: Seq2Seq, batch: int, length: int) -> Any:
    """Returns a graph that reads prefixes of one length."""

    def read(
        prefix: tf.Tensor, memories: list[Any], bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows = batch * BEAMS
        is_past = tf.linalg.band_part(tf.ones([length, length]), -1, 0)
        x, _, probs = model.generator(
            model.encoder.embed(prefix, 0, None),
            batch=rows,
            pasts=[None] * model.config.num_decoder_layers,
            future_bias=(1.0 - is_past) * -1e9,
            memories=memories,
            memory_bias=bias,
            noise=None,
        )
        last = tf.reshape(x, [rows, length, -1])[:, -1]
        logits = tf.nn.bias_add(
            tf.matmul(
                last, model.encoder.embedding.table.value, transpose_b=True
            ),
            model.generator.output_bias.value,
        )
        seen = tf.reshape(probs[:, 0], [rows, length, -1])[:, -1]
        return tf.nn.log_softmax(logits), tf.argmax(
            seen, axis=-1, output_type=tf.int32
        )

    return tf.function(read, autograph=False)


def search_without_cache(
    model: Seq2Seq, features: dict[str, tf.Tensor]
) -> Hypotheses:
    """As `Seq2Seq.generate`; the state is the pieces of each hypothesis."""
    ids, mask = features["input_ids"], features["input_mask"]
    batch = ids.shape[0]
    bias = (tf.cast(1 - mask, tf.float32) * -1e9)[:, None, None, :]
    memories = _memories(model, batch)(ids, bias)

    def step(
        last: tf.Tensor, place: tf.Tensor, prefix: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        prefix = tf.concat([prefix, last[:, None]], axis=1)
        read = _whole_prefix(model, batch, int(place) + 1)
        log_probs, seen = read(prefix, memories, bias)
        return log_probs, seen, prefix

    return beam_search(
        step,
        tf.zeros([batch * BEAMS, 0], tf.int32),
        batch_size=batch,
        beam_size=BEAMS,
        max_length=PLACES,
        alpha=0.6,
        start_id=START_ID,
        end_id=END_ID,
        padding_id=PADDING_ID,
    )


@functools.cache
def _memories(model: Seq2Seq, batch: int) -> Any:
    """Returns a graph that makes what the decoder attends to, once a text."""

    def encode(ids: tf.Tensor, bias: tf.Tensor) -> list[Any]:
        memory = model.encoder(ids, bias=bias, noise=None)
        return model.generator.memories(memory, batch)

    return tf.function(encode, autograph=False)


def main() -> None:
    """Time both searches, alternating."""
    model = Seq2Seq(
        Seq2SeqConfig(vocabulary_size=PIECES, num_layers=3, hidden_dim=256), 1
    )
    rng = np.random.default_rng(0)
    shape = (SOURCES, 16)
    features = {
        "input_ids": tf.constant(rng.integers(4, PIECES, shape), tf.int32),
        "input_mask": tf.ones(shape, tf.int32),
    }
    cached = tf.function(
        functools.partial(
            model.generate, beam_size=BEAMS, max_length=PLACES, alpha=0.6
        ),
        autograph=False,
    )
    searches = {
        "cached": lambda: cached(features),
        "uncached": lambda: search_without_cache(model, features),
    }
    found = {name: search() for name, search in searches.items()}
    np.testing.assert_array_equal(*(x.ids for x in found.values()))
    seconds = in_turns(
        {
            "cached": lambda: wait(searches["cached"]),
            "uncached": lambda: wait(searches["uncached"]),
        },
        ROUNDS,
    )
    facts = rates(seconds, SOURCES, "texts") | {
        "pieces_of_a_text": float(np.mean(found["cached"].lengths))
    }
    ratio = seconds["uncached"] / seconds["cached"]
    report("generation", [Row("caches against none", ratio, AIM, facts)])


def wait(search: Callable[[], Hypotheses]) -> None:
    """Search, to the end."""
    search().ids.numpy()


if __name__ == "__main__":
    main()
