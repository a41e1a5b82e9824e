"""Top-10 extraction against its peers, and in fewer bits, in one run.

    python -m benchmarks.extraction

16 sequences of 128 tokens, 20 positions each, random weights. The peers:
Hugging Face's `BertForMaskedLM` in torch, with the logits of all positions
(its usual use) and with the positions gathered by hand before the head;
keras-nlp's `BertMaskedLM` in a graph; the same models of ours in float32, for
those in bfloat16 and bytes; and `tf.matmul` on the shapes of the model's
products, which is the machine's own rate: the last row is the share of it
that extraction reaches, counting these products alone as work.
"""

import functools
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import keras_hub  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks import peer
from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import (
    LENGTH,
    PIECES,
    SLOTS,
    TEACHERS,
    K,
    for_peer,
    random_inputs,
    sizes,
    tensors,
    top_k_codec,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.precision import lower_precision
from tfdistill.records import Batch

BATCH = 16
ROUNDS = sized(7, 1)
CASES = sized(TEACHERS, {"6 x 384": TEACHERS["6 x 384"]})
AIMS = {"torch": 2.0, "torch_gathered": 1.25}
# The best ratios to keras-nlp known for plain operations when we began.
KERAS_NLP = {"6 x 384": 48.4 / 24.2, "12 x 768": 9.4 / 4.6}
FEWER_BITS, SHARE = 1.5, 0.95


def ours(config: BertConfig, precision: str = "float32") -> Callable:
    """Returns this toolkit's extraction step."""
    model = Bert(config)
    lower_precision(model, precision)
    codec = top_k_codec()

    @tf.function(autograph=False)
    def step(features: Batch) -> dict:
        return codec.encode(model(features, reads=codec.reads, noise=None))

    return step


def keras_nlp(config: BertConfig) -> Callable:
    """Returns keras-nlp's, with log-probabilities and top-k."""
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=PIECES,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        hidden_dim=config.hidden_dim,
        intermediate_dim=4 * config.hidden_dim,
    )
    model = keras_hub.models.BertMaskedLM(backbone)

    @tf.function
    def step(features: Batch) -> dict:
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


def products(config: BertConfig) -> Callable:
    """Returns what runs the products of a layer's weights, in turn."""
    rows = BATCH * LENGTH
    pairs = [
        (tf.Variable(tf.random.normal([rows, a])), tf.random.normal([a, b]))
        for a, b in weight_shapes(config)
    ]

    @tf.function(autograph=False)
    def step(features: Batch) -> dict:
        del features
        found: dict[str, tf.Tensor] = {}
        for x, w in pairs:
            with tf.control_dependencies(list(found.values())):
                found[str(len(found))] = tf.matmul(x, w)[:1]
        return found

    return step


def weight_shapes(config: BertConfig) -> list[tuple[int, int]]:
    """Returns the matrices of a layer: attention's, and the network's."""
    width = config.hidden_dim
    return [
        (width, 3 * width),
        (width, width),
        (width, 4 * width),
        (4 * width, width),
    ]


def layer_multiplications(config: BertConfig) -> int:
    """Returns those of `products`."""
    return BATCH * LENGTH * sum(a * b for a, b in weight_shapes(config))


def multiplications(config: BertConfig) -> float:
    """Returns those in the products that extraction cannot do without.

    The last layer's queries, feed-forward network and what follows are
    needed at the slots alone, its keys and values everywhere.
    """
    width, slots = config.hidden_dim, BATCH * SLOTS
    rows = BATCH * LENGTH
    layer = 12 * width**2 * rows + 2 * rows * LENGTH * width
    last = 2 * width**2 * rows + 10 * width**2 * slots
    last += 2 * slots * LENGTH * width
    head = slots * (width**2 + width * PIECES)
    return (config.num_layers - 1) * layer + last + head


def main() -> None:
    """Run all shapes."""
    rows = []
    arrays = random_inputs(BATCH)
    features = tensors(arrays)
    with peer.start(peer.HUGGING_FACE, "hugging_face") as torch:
        torch.ask("keep", name="batch", batches=[for_peer(arrays)])
        for name, config in CASES.items():
            torch.ask("load", **sizes(config))
            rows += measure(name, config, features, torch)
    report("extraction", rows)


def measure(
    name: str, config: BertConfig, features: Batch, torch: peer.Peer
) -> list[Row]:
    """Returns the rows of one shape."""
    steps = {
        "ours": ours(config),
        "keras_nlp": keras_nlp(config),
        "bfloat16": ours(config, "bfloat16"),
        "int8": ours(config, "int8"),
        "products": products(config),
    }

    def call(step: Callable) -> None:
        for value in step(features).values():
            value.numpy()

    def ask(is_gathered: bool) -> float:
        return torch.ask("extract", name="batch", k=K, is_gathered=is_gathered)

    seconds = in_turns(
        {who: functools.partial(call, step) for who, step in steps.items()}
        | {
            "torch": lambda: ask(False),
            "torch_gathered": lambda: ask(True),
        },
        ROUNDS,
    )
    machine = layer_multiplications(config) / seconds.pop("products")
    reached = multiplications(config) / seconds["ours"]
    found = [
        Row(
            f"{name}, against {who}",
            seconds[who] / seconds["ours"],
            aim,
            rates({w: seconds[w] for w in ("ours", who)}, BATCH, "sequences"),
        )
        for who, aim in (AIMS | {"keras_nlp": KERAS_NLP[name]}).items()
    ]
    found += [
        Row(
            f"{name}, {who} against float32",
            seconds["ours"] / seconds[who],
            FEWER_BITS,
            rates({who: seconds[who]}, BATCH, "sequences"),
        )
        for who in ("bfloat16", "int8")
    ]
    facts = {"tf.matmul_gflops": round(2e-9 * machine)}
    return [
        *found,
        Row(f"{name}, share of tf.matmul", reached / machine, SHARE, facts),
    ]


if __name__ == "__main__":
    main()
