"""What sampling many texts at a time gains over one at a time.

    python -m benchmarks.sampling

A GPT-2 and a Transformer-XL of 4 x 256 with random weights and 16,000 tokens
draw texts of 32 tokens that never end, with a cache of keys and values: one
at a time, 64 and 256 at a time; and, with the smallest batch, without the
cache, every token from the whole text before it. Rounds alternate, and medians
are compared. Prints a table on stderr and one line of JSON: texts per second.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

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

VOCABULARY, TOKENS, ROUNDS = 16_000, 32, 3
SHAPE = dict(vocabulary_size=VOCABULARY, num_layers=4, hidden_dim=256)
MODELS: dict[str, Gpt2Config | TransformerXlConfig] = {
    "gpt2": Gpt2Config(**SHAPE, max_sequence_length=64),
    "transformer_xl": TransformerXlConfig(**SHAPE),
}
BATCHES = (1, 64, 256)
# An end that is never drawn.
SAMPLING = Sampling(max_tokens=TOKENS, never_ids=(0,))


def main() -> None:
    found = {name: measure(name, config) for name, config in MODELS.items()}
    print(json.dumps(found))


def measure(name: str, config: Gpt2Config | TransformerXlConfig) -> dict:
    """Returns texts per second by the size of a batch, and their ratio."""
    model = LanguageModel(config, seed=1)
    runs = {str(size): cached(model, size) for size in BATCHES}
    runs["1, no cache"] = uncached(model)
    rates: dict[str, list[float]] = {size: [] for size in runs}
    for number in range(ROUNDS + 1):
        for size, run in runs.items():
            started = time.perf_counter()
            texts = run()
            rate = texts / (time.perf_counter() - started)
            if number:  # the first round builds the graphs
                rates[size].append(rate)
    medians = {size: statistics.median(r) for size, r in rates.items()}
    best = max(medians.values())
    print(
        f"{name}: "
        + ", ".join(f"{rate:.1f} ({size})" for size, rate in medians.items())
        + f" texts/s, best to one at a time {best / medians['1']:.1f}",
        file=sys.stderr,
    )
    return {size: round(rate, 2) for size, rate in medians.items()} | {
        "best_to_one": round(best / medians["1"], 1)
    }


def cached(model: LanguageModel, size: int) -> Callable[[], int]:
    """Returns what draws a batch and says how many texts that is."""
    step = stepping(model, SAMPLING)

    def run() -> int:
        found = sample(
            model,
            step,
            range(size),
            prefixes=Prefixes([1, 2, 3]),
            sampling=SAMPLING,
            seed=1,
            end_id=0,
            ends=1,
        )
        return len(found)

    return run


def uncached(model: LanguageModel) -> Callable[[], int]:
    """The same of one text, computed anew for each of its tokens."""

    @tf.function(autograph=False, reduce_retracing=False)
    def step(ids: tf.Tensor) -> tf.Tensor:
        logits = model({"input_ids": ids}, reads=frozenset({"logits"}))
        return draw(logits["logits"][:, -1], tf.constant([0.5]), SAMPLING)

    def run() -> int:
        ids = tf.constant([[1]], tf.int32)
        for _ in range(TOKENS - 1):
            ids = tf.concat([ids, step(ids)[:, None]], axis=1)
        return len(ids)

    return run


if __name__ == "__main__":
    main()
