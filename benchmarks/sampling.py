"""What sampling many texts at a time gains over one at a time.

    python -m benchmarks.sampling

A GPT-2 and a Transformer-XL of 4 x 256 with random weights and 16,000 tokens
draw texts of 32 tokens that never end, with a cache of keys and values: one
at a time, 64 and 256 at a time; and, with the smallest batch, without the
cache, every token from the whole text before it.
"""

import itertools
from collections.abc import Callable, Iterator

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, report, sized
from tfdistill.augmentation.sampling import (
    Prefixes,
    Sampling,
    draw,
    sample,
    stepping,
)
from tfdistill.models.causal import (
    Gpt2Config,
    LanguageModel,
    TransformerXlConfig,
)

VOCABULARY, TOKENS, ROUNDS = 16_000, sized(32, 4), sized(3, 1)
SHAPE = dict(vocabulary_size=VOCABULARY, num_layers=4, hidden_dim=256)
MODELS: dict[str, Gpt2Config | TransformerXlConfig] = {
    "gpt2": Gpt2Config(**SHAPE, max_sequence_length=64),
    "transformer_xl": TransformerXlConfig(**SHAPE),
}
BATCHES = sized((1, 64, 256), (1, 8))
# An end that is never drawn.
SAMPLING = Sampling(max_tokens=TOKENS, never_ids=(0,))


def main() -> None:
    """Run both models."""
    measured = (measure(name, config) for name, config in MODELS.items())
    report("sampling", itertools.chain.from_iterable(measured))


def measure(
    name: str, config: Gpt2Config | TransformerXlConfig
) -> Iterator[Row]:
    """Yield the rows of one model."""
    model = LanguageModel(config, seed=1)
    runs = {str(size): cached(model, size) for size in BATCHES}
    seconds = in_turns(runs | {"no cache": uncached(model)}, ROUNDS)
    rates = {str(size): size / seconds[str(size)] for size in BATCHES}
    rates["no cache"] = 1 / seconds["no cache"]
    facts = {f"{x}_texts_per_second": round(r, 2) for x, r in rates.items()}
    best = max(rates.values())
    yield Row(f"{name}, best to one at a time", best / rates["1"], None, facts)
    yield Row(f"{name}, cache to none", rates["1"] / rates["no cache"])


def cached(model: LanguageModel, size: int) -> Callable[[], None]:
    """Returns what draws a batch."""
    step = stepping(model, SAMPLING)

    def run() -> None:
        sample(
            model,
            step,
            range(size),
            prefixes=Prefixes([[1], [2], [3]]),
            sampling=SAMPLING,
            seed=1,
            end_id=0,
            ends=1,
        )

    return run


def uncached(model: LanguageModel) -> Callable[[], None]:
    """The same of one text, computed anew for each of its tokens."""

    @tf.function(autograph=False, reduce_retracing=False)
    def step(ids: tf.Tensor) -> tf.Tensor:
        logits = model({"input_ids": ids}, reads=frozenset({"logits"}))
        return draw(logits["logits"][:, -1], tf.constant([0.5]), SAMPLING)

    def run() -> None:
        ids = tf.constant([[1]], tf.int32)
        for _ in range(TOKENS - 1):
            ids = tf.concat([ids, step(ids)[:, None]], axis=1)
        ids.numpy()

    return run


if __name__ == "__main__":
    main()
