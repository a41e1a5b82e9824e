"""A teacher's last hidden states, and once a set the layer that reads them.

The states have 8 or 16 bits a number; the layer makes the whole distribution
of them, at any temperature. A `Codec`, see `records.knowledge`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.records.distributions import DISTRIBUTION, Distribution
from tfdistill.records.feature import Feature
from tfdistill.tensors import load_tensors, tensors_as_bytes

# Field of the teacher's outputs, see `models.outputs`.
HEAD_STATES = "head_states"
_FILE = "output_layer.safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class OutputLayer:
    """`logits = states @ kernel.T + bias`.

    Attributes:
        kernel: float32 `[V, D]`.
        bias: float32 `[V]`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def files(self) -> dict[str, bytes]:
        """Returns the file that holds it, by name."""
        arrays = {"kernel": self.kernel, "bias": self.bias}
        return {_FILE: tensors_as_bytes(arrays, {})}


def read_output_layer(folder: str) -> OutputLayer:
    """Read the output layer of a record set.

    Raises:
        ValueError: It is damaged.
        OSError: It is not there.
    """
    arrays, _ = load_tensors(pathlib.Path(folder) / _FILE, needs_checksums=True)
    return OutputLayer(arrays["kernel"], arrays["bias"])


@dataclasses.dataclass(frozen=True)
class HeadStates:
    """What the output layer of a masked LM reads at the slots.

    Attributes:
        bits: Of a number: 8 or 16.
        num_slots: P.
        hidden_dim: D.
        layer: Needed to decode.
    """

    bits: int
    num_slots: int
    hidden_dim: int
    layer: OutputLayer | None = None

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({HEAD_STATES})

    def features(self) -> tuple[Feature, ...]:
        """Returns `head_states` of P slots."""
        return (
            Feature(
                name=HEAD_STATES,
                length=self.num_slots * self.hidden_dim,
                axes=("P", self.hidden_dim),
                code=f"blocks{self.bits}",
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `head_states`."""
        return {HEAD_STATES: outputs[HEAD_STATES]}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Compute the distributions."""
        assert self.layer is not None
        size, slots = batch["masked_lm_weights"].shape
        states = tf.reshape(batch[HEAD_STATES], [-1, self.hidden_dim])
        logits = tf.nn.bias_add(
            tf.matmul(states, self.layer.kernel, transpose_b=True),
            self.layer.bias,
        )
        log_probs = tf.nn.log_softmax(logits)
        return {
            DISTRIBUTION: Distribution(
                tf.reshape(log_probs, [size, slots, logits.shape[-1]])
            )
        }
