"""Two replicas in this process, on the devices that conftest.py makes."""

import tensorflow as tf

from tfdistill.launcher import Process
from tfdistill.replicas.strategies import Strategy


def two_mirrored():
    """Returns replicas on both CPU devices."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return Strategy("mirrored", strategy, Process())
