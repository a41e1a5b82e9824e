"""Top-10 extraction against keras-nlp, and in fewer bits, in one run.

    python -m benchmarks.extraction

Floor: the products of the encoder and of the vocabulary at the masked slots;
everything else is passes over `[B * P, V]`. The peer is keras-nlp's
`BertMaskedLM` in a graph, followed by `tf.math.top_k`; that of products in
bfloat16 and of bytes is our own float32. Rounds alternate and medians are
compared. Prints a table on stderr and one line of JSON on stdout:
ours divided by theirs in sequences per second, with the aim, which is the
best ratio known for plain operations at the start of the project.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import keras_hub
import numpy as np
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.precision import lower_precision
from tfdistill.records import Shapes, make_codec

BATCH, LENGTH, SLOTS, VOCABULARY, K = 16, 128, 20, 30522, 10
ROUNDS = 7
AIM_OF_FEWER_BITS = 1.5
# Shapes, and sequences per second of the best row over keras-nlp's graph.
CASES = {"6x384": (6, 384, 48.4 / 24.2), "12x768": (12, 768, 9.4 / 4.6)}


def ours(
    num_layers: int, hidden_dim: int, precision: str = "float32"
) -> Callable[[dict], dict]:
    """Returns this toolkit's extraction step."""
    model = Bert(
        BertConfig(num_layers=num_layers, hidden_dim=hidden_dim, num_heads=12)
    )
    lower_precision(model, precision)
    codec = make_codec(
        [f"top_k(k={K})"],
        Shapes(
            layout="packed",
            max_seq_length=LENGTH,
            num_slots=SLOTS,
            vocabulary_size=VOCABULARY,
            num_classes=0,
        ),
    )

    @tf.function
    def step(features: dict) -> dict:
        return codec.encode(model(features, reads=codec.reads))

    return step


def theirs(num_layers: int, hidden_dim: int) -> Callable[[dict], dict]:
    """Returns keras-nlp's, with log-probabilities and top-k."""
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=num_layers,
        num_heads=12,
        hidden_dim=hidden_dim,
        intermediate_dim=4 * hidden_dim,
    )
    model = keras_hub.models.BertMaskedLM(backbone)

    @tf.function
    def step(features: dict) -> dict:
        logits = model(
            {
                "token_ids": features["input_ids"],
                "padding_mask": features["input_mask"],
                "segment_ids": features["segment_ids"],
                "mask_positions": features["masked_lm_positions"],
            },
            training=False,
        )
        values, ids = tf.math.top_k(tf.nn.log_softmax(logits), K)
        return {"ids": ids, "log_probs": values}

    return step


def measure(step: Callable[[dict], dict], features: dict) -> float:
    """Returns sequences per second of one call."""
    started = time.perf_counter()
    for value in step(features).values():
        value.numpy()
    return BATCH / (time.perf_counter() - started)


def main() -> None:
    """Run all shapes."""
    draw = np.random.default_rng(0)
    shape = (BATCH, LENGTH)
    features = {
        "input_ids": tf.constant(draw.integers(0, VOCABULARY, shape), tf.int32),
        "input_mask": tf.ones(shape, tf.int32),
        "segment_ids": tf.zeros(shape, tf.int32),
        "masked_lm_positions": tf.constant(
            np.sort(draw.integers(1, LENGTH, (BATCH, SLOTS))), tf.int32
        ),
    }
    rows = {}
    for name, (num_layers, hidden_dim, aim) in CASES.items():
        steps = {
            "ours": ours(num_layers, hidden_dim),
            "keras-nlp": theirs(num_layers, hidden_dim),
            **{
                precision: ours(num_layers, hidden_dim, precision)
                for precision in ("bfloat16", "int8")
            },
        }
        rates: dict[str, list[float]] = {who: [] for who in steps}
        for number in range(ROUNDS + 1):
            for who, step in steps.items():
                rate = measure(step, features)
                if number:  # the first round builds the graphs
                    rates[who].append(rate)
        medians = {who: statistics.median(r) for who, r in rates.items()}
        for what, who, peer, wanted in (
            (name, "ours", "keras-nlp", aim),
            (f"{name}, bfloat16", "bfloat16", "ours", AIM_OF_FEWER_BITS),
            (f"{name}, int8", "int8", "ours", AIM_OF_FEWER_BITS),
        ):
            ratio = medians[who] / medians[peer]
            rows[what] = {"ratio": round(ratio, 2), "aim": round(wanted, 2)}
            print(
                f"{what}: {medians[who]:.1f} sequences/s, {peer} "
                f"{medians[peer]:.1f}, ratio {ratio:.2f} (aim {wanted:.2f})",
                file=sys.stderr,
            )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
