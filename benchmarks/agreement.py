"""How often fewer bits make the same first choice as float32.

    python -m benchmarks.agreement --records=DIR --teacher=DIR

A row for each precision: the share of masked places where the piece that the
teacher finds most probable is the same, with the mean divergence from what it
says in float32, in nat, and how often that is the masked piece.
"""

import argparse

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, report
from tfdistill.assembly import load_for
from tfdistill.models.precision import PRECISIONS, lower_precision
from tfdistill.records import Batch, evaluation_batches, open_record_set
from tfdistill.tasks import find_task

AIM = 0.99


def main() -> None:
    """Count all places of the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--batch_size", type=int, default=32)
    options = parser.parse_args()
    records = open_record_set(options.records)
    task = find_task("mlm", records)
    models = {}
    for precision in PRECISIONS:
        models[precision] = load_for(task, options.teacher).model
        lower_precision(models[precision], precision)

    @tf.function(autograph=False)
    def count(batch: Batch) -> dict[str, tf.Tensor]:
        weights = batch["masked_lm_weights"]
        said = {
            name: tf.nn.log_softmax(
                model(batch, reads=frozenset({"logits"}), noise=None)["logits"]
            )
            for name, model in models.items()
        }
        usual = said.pop("float32")
        first = tf.argmax(usual, -1, tf.int32)
        values = {"right": tf.cast(first == batch["masked_lm_ids"], tf.float32)}
        for name, other in said.items():
            same = first == tf.argmax(other, -1, tf.int32)
            values[name] = tf.cast(same, tf.float32)
            divergence = tf.exp(usual) * (usual - other)
            values[f"{name}_nat"] = tf.reduce_sum(divergence, -1)
        found = {n: tf.reduce_sum(v * weights) for n, v in values.items()}
        return found | {"places": tf.reduce_sum(weights)}

    totals: dict[str, float] = {}
    size = options.batch_size
    for batch in evaluation_batches(
        records, batch_size=size, process_slice=(0, size)
    ):
        for name, value in count(batch).items():
            totals[name] = totals.get(name, 0.0) + float(value)
    places = totals.pop("places")
    means = {name: total / places for name, total in totals.items()}
    facts = {"places": int(places), "right": round(means["right"], 3)}
    rows = [
        Row(
            f"{name}, the same first choice",
            means[name],
            AIM,
            {"nat": round(means[f"{name}_nat"], 5), **facts},
        )
        for name in PRECISIONS
        if name != "float32"
    ]
    report("agreement", rows)


if __name__ == "__main__":
    main()
