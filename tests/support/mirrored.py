"""Two replicas in this process, on the devices that conftest.py makes."""

import functools

import tensorflow as tf

from tfdistill.launcher import Process
from tfdistill.replicas.strategies import Strategy


@functools.cache
def two_mirrored():
    """Replicas on both CPU devices, always the same ones.

    TensorFlow counts collectives from 100 for every strategy, and mixes up
    those of two strategies on the same devices.
    """
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return Strategy("mirrored", strategy, Process())
