"""Where a step runs: one device, all of a process, or many processes.

The only package that names `tf.distribute` or Horovod, and the only place of
rank arithmetic.
"""

from tfdistill.replicas.agreement import check_same, fingerprint_of_code
from tfdistill.replicas.choice import make_replicas
from tfdistill.replicas.compression import COMPRESSIONS, sum_compressed
from tfdistill.replicas.one_device import OneDevice
from tfdistill.replicas.replicas import (
    Map,
    Replicas,
    from_chief,
    gather_rows,
    round_up,
    share,
)

__all__ = [
    "COMPRESSIONS",
    "Map",
    "OneDevice",
    "Replicas",
    "check_same",
    "fingerprint_of_code",
    "from_chief",
    "gather_rows",
    "make_replicas",
    "round_up",
    "share",
    "sum_compressed",
]
