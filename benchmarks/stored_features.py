"""Features in few bits against the live teacher, for each objective.

    python -m benchmarks.stored_features --records=DIR --teacher=DIR

A row for each objective: the loss with stored features over the loss with the
live teacher, the cosine of both gradients of the student, and the stored bytes
over those of float32. The last one is what decoding costs.
"""

import argparse
import dataclasses
import time

import numpy as np
import tensorflow as tf

from benchmarks.harness import Row, report
from tfdistill.assembly import load_for
from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    Teacher,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.distillation.extraction import encode_answers
from tfdistill.models.bert import Bert
from tfdistill.models.weights import variable_names
from tfdistill.records import (
    Batch,
    RecordSet,
    Schema,
    evaluation_batches,
    make_codec,
    open_record_set,
)
from tfdistill.tasks import find_task

_BATCHES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--bits", type=int, default=8)
    options = parser.parse_args()
    records = open_record_set(options.records)
    task = find_task("mlm", records)
    loaded = load_for(task, options.teacher).model
    config = loaded.config
    # As deep as the teacher, as some objectives go across three layers.
    student = Bert(dataclasses.replace(config, dropout=0.0), 5)
    layers = list(range(config.num_layers))
    codec = make_codec(
        [
            f"features(hidden_states={[*layers, config.num_layers]}, "
            + ", ".join(
                f"{field}={layers}"
                for field in ("attention_scores", "queries", "keys", "values")
            )
            + f", bits={options.bits})"
        ],
        records.shapes(
            num_layers=config.num_layers,
            hidden_dim=config.hidden_dim,
            num_heads=config.num_heads,
        ),
    )
    size = options.batch_size
    batch = next(
        evaluation_batches(records, batch_size=size, process_slice=(0, size))
    )
    raw = next(
        iter(records.schema.read([str(records.shards[0].path)]).batch(size))
    ).numpy()
    added = Schema(codec.features())
    said = loaded(batch, reads=codec.reads, noise=None)
    stored = list(encode_answers(codec.encode(said), batch, added))
    as_floats = Schema(
        tuple(dataclasses.replace(f, code="float32") for f in added.features)
    )
    floats = encode_answers(codec.encode(said), batch, as_floats)
    share = sum(map(len, stored)) / sum(map(len, floats))
    whole = Schema((*records.schema.features, *added.features))
    serialized = tf.constant([a + b for a, b in zip(raw, stored, strict=True)])
    batch |= whole.decode(serialized, batch["input_ids"].shape[1])
    context = Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=student.config,
        teacher=config,
        num_steps=1,
        seed=1,
        # For those that tell classes apart.
        example_labels=lambda: np.arange(records.examples) % 2,
    )
    live, recorded = live_teacher([loaded]), recorded_teacher(codec)
    rows = []
    for name, kind in OBJECTIVES.items():
        if kind.needs != "features":
            continue
        found = [
            _learnt(name, ask, student, batch, context)
            for ask in (live, recorded)
        ]
        (loss, gradient), (stored_loss, other) = found
        norms = np.linalg.norm(gradient) * np.linalg.norm(other)
        cosine = float(gradient @ other / norms)
        facts = {
            "gradient_cosine": round(cosine, 6),
            "bytes_to_float32": round(share, 4),
        }
        loss_ratio = stored_loss / loss
        rows.append(
            Row(f"{name}, loss stored to live", loss_ratio, None, facts)
        )
    rows.append(_cost_of_decoding(records, student))
    report("stored_features", rows)


def _learnt(
    name: str, ask: Teacher, student: Bert, batch: Batch, context: Context
) -> tuple[float, np.ndarray]:
    bound = bind_objectives(declare_objectives((name,), OBJECTIVES), context)
    student_reads = frozenset().union(*(o.loss.student_reads for o in bound))
    known = ask(
        batch, frozenset().union(*(o.loss.teacher_reads for o in bound))
    )
    variables = dict(variable_names(student))
    start = tf.constant(0.0)
    for one in bound:
        variables |= one.loss.variables
        if (memory := one.loss.memory) is not None:
            outputs = student(batch, reads=student_reads, noise=None)
            sums = memory.first_sums(outputs, known, batch, start)
            memory.settle(tf.nest.map_structure(tf.reduce_sum, sums))
    with tf.GradientTape() as tape:
        outputs = student(batch, reads=student_reads, noise=None)
        loss = 0.0
        for one in bound:
            parts = one.loss.compute(outputs, known, batch, start)
            loss += tf.reduce_sum(parts.values) / tf.reduce_sum(parts.weights)
    found = tape.gradient(
        loss,
        [v.value for v in variables.values()],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    flat = [tf.reshape(tf.convert_to_tensor(g), [-1]) for g in found]
    return float(loss), tf.concat(flat, 0).numpy().astype(np.float64)


def _cost_of_decoding(records: RecordSet, student: Bert) -> Row:
    """Returns seconds of decoding top 10 to those of a student's step."""
    codec = make_codec(["top_k(k=10)"], records.shapes())
    schema = Schema((*records.schema.features, *codec.features()))
    size = 32
    raw = next(
        iter(records.schema.read([str(records.shards[0].path)]).batch(size))
    ).numpy()
    batch = records.schema.decode(tf.constant(raw))
    slots = batch["masked_lm_weights"].shape[1]
    logits = tf.random.stateless_normal(
        [size, slots, student.config.vocabulary_size], [1, 2]
    )
    answers = codec.encode({"logits": logits})
    more = encode_answers(answers, batch, Schema(codec.features()))
    serialized = tf.constant([a + b for a, b in zip(raw, more, strict=True)])
    decode = tf.function(schema.decode)
    variables = [v.value for v in variable_names(student).values()]

    @tf.function
    def step(batch: Batch) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = student(batch, reads=frozenset({"logits"}), noise=None)
            loss = tf.reduce_mean(tf.nn.log_softmax(outputs["logits"])[..., 0])
        return tape.gradient(loss, variables)

    seconds = {}
    for name, call in (
        ("decoding", lambda: decode(serialized)),
        ("step", lambda: step(batch)),
    ):
        call()
        times = []
        for _ in range(_BATCHES):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        seconds[name] = min(times)
    facts = {f"{n}_ms": round(1000 * s, 2) for n, s in seconds.items()}
    return Row(
        "decoding to a step, at most",
        seconds["decoding"] / seconds["step"],
        0.05,
        facts,
    )


if __name__ == "__main__":
    main()
