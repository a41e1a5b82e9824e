"""The one contract at which models meet objectives.

A model returns a dictionary. It leaves out what it does not have, and
computes only the fields that were asked for:

    logits                 task logits; masked LM: `[B, P, V]`; language
                           models: `[B, L, V]`, of the token behind; spans:
                           `[B, 2, L]`, of beginning and end; text: of each
                           of the target's places, `[B, T, V]`
    next_sentence_logits   `[B, 2]`: is the next sentence, is a random one
    head_states            `[B, P, D]`: what the masked-LM head's output layer
                           makes logits of
    pooled                 `[B, D]`
    hidden_states          by number, 0 to N: `[B, L, D]`, embeddings first
    attention_scores       by layer, 0 to N - 1: `[B, H, L, L]`, scaled by
                           1 / sqrt(d), before mask and softmax
    queries, keys, values  by layer: `[B, H, L, d]` each

A layered field is asked for as a whole by its name, or one layer of it by
`of_layer`; layers above the highest that is asked for are not computed.
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import tensorflow as tf

from tfdistill.models.noise import DropoutNoise

Outputs = dict[str, Any]

ATTENTION_FIELDS = ("attention_scores", "queries", "keys", "values")
LAYERED_FIELDS = ("hidden_states", *ATTENTION_FIELDS)
FIELDS = (
    "logits",
    "next_sentence_logits",
    "head_states",
    "pooled",
    *LAYERED_FIELDS,
)


class Model(Protocol):
    """What all kinds of models are to those who use them.

    Attributes:
        config: Its shape, of a class in `models.kinds.KINDS`.
        parts: What it is made of, keys of `models.weights.PARTS`.
        trainable: Whether any of its variables may be trained.
    """

    config: Any
    parts: frozenset[str]
    trainable: bool

    def __call__(
        self,
        features: Mapping[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model on features of a batch; `reads` are fields."""
        ...


def of_layer(field: str, number: int) -> str:
    """Returns how one layer of a layered field is asked for."""
    return f"{field}/{number}"


def layers_read(
    reads: Collection[str], field: str, num_layers: int
) -> frozenset[int]:
    """Returns the numbers under which a layered field is asked for.

    Args:
        reads: What is asked for.
        field: One of `LAYERED_FIELDS`.
        num_layers: Layers N of the model.

    Raises:
        ValueError: The model has no such layer.
    """
    count = num_layers + 1 if field == "hidden_states" else num_layers
    if field in reads:
        return frozenset(range(count))
    prefix = f"{field}/"
    numbers = frozenset(
        int(read.removeprefix(prefix))
        for read in reads
        if read.startswith(prefix)
    )
    for number in numbers:
        if not 0 <= number < count:
            raise ValueError(
                f"{field} {number} does not exist: the model has 0 to "
                f"{count - 1}."
            )
    return numbers
