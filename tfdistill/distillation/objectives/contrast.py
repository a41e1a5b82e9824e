"""The contrastive objective, with its banks of embeddings (CRD)."""

import keras
import tensorflow as tf

from tfdistill.distillation.objectives.layers import dense, teacher_of
from tfdistill.distillation.objectives.objective import (
    Bind,
    Context,
    Known,
    Loss,
    Memory,
    Outputs,
    student_of,
)
from tfdistill.losses import contrastive
from tfdistill.losses.geometry import unit
from tfdistill.losses.reduction import Parts
from tfdistill.models.outputs import of_layer
from tfdistill.records import Batch

_STATES = "hidden_states"


def crd(
    *,
    negatives: int = 100,
    width: int = 128,
    temperature: float = contrastive.TEMPERATURE,
    momentum: float = contrastive.MOMENTUM,
) -> Bind:
    """Tell examples apart as the teacher does (CRD).

    The first token's vectors in all states are mapped to `width` numbers by a
    learnt layer on each side, and compared with those that two banks keep of
    `negatives` examples with another label. Banks have a row for every
    record; a step reads them as they were before it and then updates its own
    rows, so neither splits nor processes change anything.

    Args:
        negatives: Examples that each one is told apart from.
        width: Numbers in an embedding.
        temperature: Of the scores.
        momentum: Share of the old row that an update leaves.
    """
    if negatives < 1 or width < 1:
        raise ValueError("negatives and width are at least 1.")
    if temperature <= 0 or not 0 <= momentum < 1:
        raise ValueError("temperature is positive, momentum in [0, 1).")

    def bind(context: Context) -> Loss:
        if context.example_labels is None:
            raise ValueError("the records hold no label of each example.")
        groups = contrastive.group_by_label(context.example_labels())
        if len(groups.sizes) < 2:
            raise ValueError("all examples have the same label.")
        num_data = len(groups.order)
        ours = range(student_of(context).num_layers + 1)
        theirs = range(teacher_of(context).num_layers + 1)
        embed_ours, variables = dense(
            context,
            "student",
            len(ours) * student_of(context).hidden_dim,
            width,
        )
        embed_theirs, more = dense(
            context,
            "teacher",
            len(theirs) * teacher_of(context).hidden_dim,
            width,
        )
        banks = {
            side: _bank(context.seed + i, num_data, width)
            for i, side in enumerate(("student", "teacher"))
        }
        normalisers = {
            side: keras.Variable(0.0, trainable=False) for side in banks
        }

        def embedded(outputs: Outputs, known: Known) -> tuple[tf.Tensor, ...]:
            states = (
                [outputs[_STATES][i][:, 0] for i in ours],
                [tf.stop_gradient(known[_STATES][i][:, 0]) for i in theirs],
            )
            first, second = (tf.concat(x, axis=-1) for x in states)
            return unit(embed_ours(first)), unit(embed_theirs(second))

        def candidates(batch: Batch, step: tf.Tensor) -> list[tf.Tensor]:
            rows = batch["record_index"]
            others = tf.numpy_function(
                lambda rows, step: contrastive.other_label_negatives(
                    groups, rows, negatives, seed=context.seed, step=int(step)
                ),
                [rows, tf.cast(step, tf.int64)],
                tf.int64,
                stateful=False,
            )
            others = tf.ensure_shape(others, [rows.shape[0], negatives])
            chosen = tf.concat([rows[:, None], others], axis=1)
            return [tf.gather(b.value, chosen) for b in banks.values()]

        def compute(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> Parts:
            mine, its = embedded(student, known)
            student_rows, teacher_rows = candidates(batch, step)
            return contrastive.crd(
                mine,
                its,
                student_rows,
                teacher_rows,
                normalisers["student"].value,
                normalisers["teacher"].value,
                batch["is_real_example"],
                num_data=num_data,
                temperature=temperature,
            )

        def first_sums(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> list[Parts]:
            student_rows, teacher_rows = candidates(batch, step)
            mine, its = embedded(student, known)
            return [
                contrastive.crd_normaliser(
                    contrastive.crd_scores(anchor, rows, temperature),
                    batch["is_real_example"],
                    num_data,
                )
                for anchor, rows in ((mine, teacher_rows), (its, student_rows))
            ]

        def settle(sums: list[Parts]) -> None:
            for variable, parts in zip(normalisers.values(), sums, strict=True):
                variable.assign(parts.values / parts.weights)

        def store(rows: tf.Tensor, embeddings: list[tf.Tensor]) -> None:
            for bank, new in zip(banks.values(), embeddings, strict=True):
                old = tf.gather(bank.value, rows)
                kept = contrastive.update_rows(old, new, momentum)
                bank.value.scatter_update(tf.IndexedSlices(kept, rows))

        return Loss(
            compute=compute,
            weights=lambda batch: batch["is_real_example"],
            student_reads=frozenset(of_layer(_STATES, i) for i in ours),
            teacher_reads=frozenset(of_layer(_STATES, i) for i in theirs),
            variables=variables | more,
            memory=Memory(
                variables={
                    **{f"bank/{side}": bank for side, bank in banks.items()},
                    **{f"normaliser/{s}": n for s, n in normalisers.items()},
                },
                first_sums=first_sums,
                settle=settle,
                remember=lambda s, k, batch: list(embedded(s, k)),
                store=store,
            ),
        )

    return bind


def _bank(seed: int, rows: int, width: int) -> keras.Variable:
    """Rows of about length 1, as published: uniform, of standard width."""
    most = (width / 3) ** -0.5
    drawn = tf.random.stateless_uniform(
        [rows, width], [seed, rows], -most, most
    )
    return keras.Variable(drawn, trainable=False)
