"""Objectives on attention and on relations between tokens."""

import tensorflow as tf

from tfdistill.distillation.objectives.layers import (
    Term,
    check_word,
    on_pairs,
    teacher_of,
)
from tfdistill.distillation.objectives.objective import (
    Bind,
    Context,
    Loss,
    student_of,
)
from tfdistill.distillation.objectives.states import hidden_mse
from tfdistill.losses import attention, relations
from tfdistill.losses.reduction import Parts, check_reduction


def attention_mse(
    *,
    layers: str = "skip",
    heads: str = "equal",
    reduction: str = "mean",
) -> Bind:
    """Learn attention scores before softmax, summed over pairs.

    Args:
        layers: Which layers are compared; see `layer_maps`.
        heads: `equal` counts are needed, or the `average` is compared.
        reduction: `mean`, or `original`, which counts padding.
    """
    check_reduction(reduction)
    check_word("heads", heads, attention.HEADS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return attention.attention_mse(
            s, t, mask, heads=heads, reduction=reduction
        )

    return _on_attention("attention_scores", layers, term, heads)


def attention_kl(
    *,
    layers: str = "skip",
    heads: str = "equal",
    reduction: str = "mean",
) -> Bind:
    """Learn attention probabilities, summed over pairs.

    Args: as `attention_mse`.
    """
    check_reduction(reduction)
    check_word("heads", heads, attention.HEADS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return attention.attention_kl(
            s, t, mask, heads=heads, reduction=reduction
        )

    return _on_attention("attention_scores", layers, term, heads)


def attention_pearson(
    *,
    layers: str = "final",
    heads: str = "equal",
    reduction: str = "mean",
) -> Bind:
    """Learn what attention correlates with, in four directions.

    One of these is along the examples of a replica's micro-batch, so this
    objective alone depends on how a batch is split.

    Args: as `attention_mse`.
    """
    check_reduction(reduction)
    check_word("heads", heads, attention.HEADS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return attention.attention_pearson(
            s, t, mask, heads=heads, reduction=reduction
        )

    return _on_attention("attention_scores", layers, term, heads)


def relation_kl(
    *,
    of: str = "values",
    layers: str = "final",
    relation_heads: int = 0,
    reduction: str = "mean",
) -> Bind:
    """Learn how queries, keys or values relate to each other (MiniLM).

    Args:
        of: `queries`, `keys` or `values`.
        layers: Which layers are compared; see `layer_maps`.
        relation_heads: Heads that the vectors of a token are split into
            anew; 0: the models' own, which must be equally many.
        reduction: `mean`, or `original`, which counts padding.
    """
    check_reduction(reduction)
    check_word("of", of, ("queries", "keys", "values"))

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return relations.relation_kl(
            s, t, mask, relation_heads=relation_heads, reduction=reduction
        )

    return _on_attention(of, layers, term, "any" if relation_heads else "equal")


def minilm(
    *,
    layers: str = "final",
    heads: str = "equal",
    relation_heads: int = 0,
    reduction: str = "mean",
) -> dict[str, Bind]:
    """Attention and value relation of the last layers (MiniLM, 2020).

    Args: as `attention_kl` and, for the values, `relation_kl`.
    """
    return {
        "attention": attention_kl(
            layers=layers, heads=heads, reduction=reduction
        ),
        "values": relation_kl(
            of="values",
            layers=layers,
            relation_heads=relation_heads,
            reduction=reduction,
        ),
    }


def minilm_v2(
    *,
    layers: str = "final",
    relation_heads: int = 0,
    reduction: str = "mean",
) -> dict[str, Bind]:
    """Relations of queries, keys and values (MiniLMv2, 2021).

    Args: as `relation_kl`.
    """
    return {
        of: relation_kl(
            of=of,
            layers=layers,
            relation_heads=relation_heads,
            reduction=reduction,
        )
        for of in ("queries", "keys", "values")
    }


def tinybert(
    *, heads: str = "equal", reduction: str = "mean"
) -> dict[str, Bind]:
    """Hidden states, embeddings too, and attention scores (TinyBERT, 2020).

    Args: as `attention_mse`.
    """
    return {
        "hidden": hidden_mse(layers="emb+skip", reduction=reduction),
        "attention": attention_mse(heads=heads, reduction=reduction),
    }


def _on_attention(field: str, layers: str, term: Term, heads: str) -> Bind:
    def bind(context: Context) -> Loss:
        ours, theirs = (
            student_of(context).num_heads,
            teacher_of(context).num_heads,
        )
        if heads == "equal" and ours != theirs:
            raise ValueError(
                f"{ours} heads of the student cannot be compared with "
                f"{theirs} of the teacher: choose heads=average, or "
                "relation_heads where there is such an argument."
            )
        return on_pairs(context, field, layers, term, {})

    return bind
