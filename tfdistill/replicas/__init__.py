"""Where a step runs: one device, or all devices of a process.

The only package that names `tf.distribute`, and the only place of rank
arithmetic.
"""

from tfdistill.replicas.launch import process_rank
from tfdistill.replicas.strategies import (
    Mirrored,
    OneDevice,
    Replicas,
    make_replicas,
)

__all__ = [
    "Mirrored",
    "OneDevice",
    "Replicas",
    "make_replicas",
    "process_rank",
]
