"""Memory and time of gradients with and without layers that are recomputed.

    python -m benchmarks.recomputation

Takes gradients of a random model that finds answers, over windows of 384
tokens, in a process of its own each time, both in turns: the peak of its
memory, less what it had before the first step, and the median time of a step.
Medians of the processes are compared. It takes some minutes.
"""

import multiprocessing
import statistics
import time

from benchmarks.harness import Row, report, sized
from benchmarks.memory import memory

LENGTH = 384
NUM_LAYERS, HIDDEN_DIM, ROWS = 6, 384, 8
STEPS, ROUNDS = sized(4, 2), sized(3, 1)


def main() -> None:
    """Measure both, in turns."""
    found: dict[bool, list] = {False: [], True: []}
    context = multiprocessing.get_context("spawn")
    for is_recomputed in (False, True) * ROUNDS:
        with context.Pool(1) as pool:
            measured = pool.apply(measure, (is_recomputed,))
        found[is_recomputed].append(measured)
    (kept, seconds), (less, more_seconds) = (
        map(statistics.median, zip(*each, strict=True))
        for each in found.values()
    )
    facts = {"kept_mb": round(kept / 1e6), "again_mb": round(less / 1e6)}
    rows = [
        Row("memory, kept to computed again", kept / less, facts=facts),
        Row("speed, computed again to kept", seconds / more_seconds),
    ]
    report("recomputation", rows)


def measure(is_recomputed: bool) -> tuple[float, float]:
    """Returns bytes and seconds."""
    import tensorflow as tf

    from tfdistill.models.bert import Bert
    from tfdistill.models.configuration import BertConfig
    from tfdistill.models.noise import DropoutNoise
    from tfdistill.models.weights import variable_names

    config = BertConfig(
        vocabulary_size=1000,
        num_layers=NUM_LAYERS,
        hidden_dim=HIDDEN_DIM,
        num_heads=12,
    )
    model = Bert(config, heads=("span",))
    model.encoder.is_recomputed = is_recomputed
    variables = [v.value for v in variable_names(model).values()]
    batch = {
        "input_ids": tf.random.uniform([ROWS, LENGTH], 0, 1000, tf.int32),
        "input_mask": tf.ones([ROWS, LENGTH], tf.int32),
        "segment_ids": tf.zeros([ROWS, LENGTH], tf.int32),
    }

    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tf.Tensor:
        noise = DropoutNoise(1, number, tf.zeros([], tf.int64))
        with tf.GradientTape() as tape:
            outputs = model(batch, reads=frozenset({"logits"}), noise=noise)
            loss = -tf.reduce_mean(
                tf.nn.log_softmax(outputs["logits"])[:, :, 0]
            )
        gradients = tape.gradient(loss, variables)
        # All of them have to be there before the step is over.
        return tf.add_n(
            [tf.reduce_sum(tf.convert_to_tensor(g)) for g in gradients]
        )

    before = memory()["now"]
    seconds = []
    for number in range(STEPS):
        started = time.perf_counter()
        float(step(tf.constant(number, tf.int64)))
        seconds.append(time.perf_counter() - started)
    # The first one made the graph.
    return memory()["peak"] - before, statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
