"""Adds a tensor over all Horovod ranks, in a graph; rank 0 says so."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import horovod
import horovod.tensorflow as hvd
import tensorflow as tf

hvd.init()


@tf.function
def add(x: tf.Tensor) -> tf.Tensor:
    """Returns the sum over the ranks."""
    return hvd.allreduce(x, op=hvd.Sum)


expected = hvd.size() * (hvd.size() + 1) / 2
total = add(tf.fill([1000], hvd.rank() + 1.0))
if hvd.size() < 2 or not bool(tf.reduce_all(total == expected)):
    raise SystemExit(f"{hvd.size()} ranks, the sum is {total[0]:g}.")
if hvd.rank() == 0:
    print(
        f"Horovod {horovod.__version__} with TensorFlow {tf.__version__}: "
        f"{hvd.size()} ranks agree on a sum."
    )
