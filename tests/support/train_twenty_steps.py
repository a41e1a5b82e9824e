"""Trains the tiny student on a share of the ranks, and saves what came out.

    mpirun -np 2 python train_twenty_steps.py REPLICAS RECORDS RESULT [SETTING…]

Settings are `name=value` of tiny_training.Run.
"""

import sys

import numpy as np
import tensorflow as tf
from tiny_training import Run

from tfdistill.records import open_record_set, training_batches
from tfdistill.replicas import check_same, make_replicas

BATCH, STEPS = 24, 20


def train(replicas, records, **settings):
    """Returns the weights and the results of the steps."""
    run = Run(replicas, **settings)
    replicas.broadcast(list(run.state.values()))
    stream = training_batches(
        records,
        batch_size=BATCH,
        seed=1,
        shuffle_buffer_size=100,
        first_step=0,
        process_slice=replicas.process_slice(BATCH),
    )
    results = []
    for step in range(STEPS):
        batch = next(stream)
        size = batch["example_index"].shape[0]
        batch["step"] = tf.fill([size], tf.constant(step, tf.int64))
        batch["is_stopping"] = tf.zeros([size])
        results.append({k: float(v) for k, v in run.step(batch).items()})
    return run.weights(), results


if __name__ == "__main__":
    name, records, result, *rest = sys.argv[1:]
    settings = dict(x.split("=") for x in rest)
    for setting, kind in (("accumulation_steps", int), ("clip_norm", float)):
        if setting in settings:
            settings[setting] = kind(settings[setting])
    replicas = make_replicas(name, 0)
    weights, results = train(replicas, open_record_set(records), **settings)
    check_same(replicas, {n: w.tolist() for n, w in weights.items()})
    if replicas.process.is_chief:
        losses = [r["loss"] for r in results]
        np.savez(
            result,
            losses=losses,
            norms=[r["gradient_norm"] for r in results],
            **weights,
        )
