"""A narrower model's weights, cut out of a wider one's.

Three widths are cut: the hidden states' (the same channels everywhere, as
residuals add them up), and each layer's heads and feed-forward units. What
has the largest weights is kept, or what comes first.
"""

import dataclasses
import re

import numpy as np

from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import Weights

PRUNINGS = ("magnitude", "first")

# Axes of canonical weights: hidden channels, heads, feed-forward units.
_AXES: tuple[tuple[str, str], ...] = (
    (r"embeddings/\w+_embeddings", ".D"),
    (r"self/(query|key|value)/kernel", "DH"),
    (r"self/(query|key|value)/bias", "H"),
    (r"attention/output/dense/kernel", "HD"),
    (r"intermediate/dense/kernel", "DU"),
    (r"intermediate/dense/bias", "U"),
    (r"layer_\d+/output/dense/kernel", "UD"),
    (r"(pooler|transform)/dense/kernel", "DD"),
    (r"seq_relationship/output_weights", ".D"),
    (r"(classifier|span)/kernel", "D."),
    (r"(classifier|span)/bias", "."),
    (r"output_bias", "."),
    (r"dense/bias|gamma|beta", "D"),
)


def prune(
    weights: Weights,
    config: BertConfig,
    *,
    hidden_dim: int,
    intermediate_dim: int,
    pruning: str,
) -> tuple[Weights, BertConfig]:
    """Cut weights to smaller widths.

    Args:
        weights: By canonical name; the embeddings and whole layers.
        config: Their shape.
        hidden_dim: Channels to keep, a multiple of a head's width, which
            stays; so as many heads are kept.
        intermediate_dim: Units to keep in each layer.
        pruning: `magnitude` keeps the channels with the largest word
            embeddings, and the heads and units with the largest weights
            (sums of squares), in their order; `first` those that come
            first.

    Returns:
        The weights and their shape.

    Raises:
        ValueError: A width is larger than it was, heads do not fit, or the
            choice is not known.
    """
    if pruning not in PRUNINGS:
        raise ValueError(
            f"Unknown pruning {pruning!r}. Known: {', '.join(PRUNINGS)}."
        )
    for name, new, old in (
        ("hidden_dim", hidden_dim, config.hidden_dim),
        ("intermediate_dim", intermediate_dim, config.intermediate_dim),
    ):
        if not 1 <= new <= old:
            raise ValueError(f"{name}={new} is not 1 to the teacher's {old}.")
    if hidden_dim % config.head_dim:
        raise ValueError(
            f"hidden_dim={hidden_dim} is no multiple of the {config.head_dim} "
            "channels of a head of the teacher."
        )
    table = weights["bert/embeddings/word_embeddings"]
    channels = _largest(np.square(table).sum(0), hidden_dim, pruning)
    num_heads = hidden_dim // config.head_dim
    pruned = {}
    kept_in_layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in weights.items():
        kept = {"D": channels}
        layer = re.match(r"bert/encoder/layer_\d+/", name)
        if layer:
            if layer[0] not in kept_in_layers:
                kept_in_layers[layer[0]] = _kept_in_layer(
                    weights,
                    layer[0],
                    config,
                    num_heads,
                    intermediate_dim,
                    pruning,
                )
            kept |= kept_in_layers[layer[0]]
        for axis, kind in enumerate(_axes_of(name)):
            if kind in kept:
                array = np.take(array, kept[kind], axis)
        pruned[name] = array
    return pruned, dataclasses.replace(
        config,
        hidden_dim=hidden_dim,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
    )


def _kept_in_layer(
    weights: Weights,
    layer: str,
    config: BertConfig,
    num_heads: int,
    units: int,
    pruning: str,
) -> dict[str, np.ndarray]:
    """Which columns of heads and which units of a layer are kept."""
    by_column = sum(
        np.square(weights[f"{layer}attention/self/{name}/kernel"]).sum(0)
        for name in ("query", "key", "value")
    )
    by_head = np.reshape(by_column, [config.num_heads, -1]).sum(1)
    heads = _largest(by_head, num_heads, pruning)
    columns = heads[:, None] * config.head_dim + np.arange(config.head_dim)
    by_unit = np.square(weights[f"{layer}intermediate/dense/kernel"]).sum(0)
    by_unit += np.square(weights[f"{layer}output/dense/kernel"]).sum(1)
    return {"H": columns.ravel(), "U": _largest(by_unit, units, pruning)}


def _largest(sizes: np.ndarray, count: int, pruning: str) -> np.ndarray:
    """Returns the numbers to keep, in ascending order."""
    if pruning == "first":
        return np.arange(count)
    return np.sort(np.argsort(-sizes, kind="stable")[:count])


def _axes_of(name: str) -> str:
    for pattern, axes in _AXES:
        if re.search(rf"{pattern}$", name):
            return axes
    raise AssertionError(f"{name} is no weight of BERT")
