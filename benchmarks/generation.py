"""What caches, recorded knowledge and batches by tokens are worth.

    python -m benchmarks.generation cache
    python -m benchmarks.generation training RECORDS KNOWLEDGE TEACHER

`cache` searches with a beam of 5 for texts of up to 40 pieces, with the
caches of the decoder's keys and values and without: there the decoder reads
the whole of every hypothesis again for each piece. Both give the same texts.
`training` takes steps of a student on records of pairs, on records with
knowledge of them, and asking the teacher live; and on batches of as many
examples in random order. Prints one line of JSON.
"""

import functools
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.assembly import load_for
from tfdistill.decoding import Hypotheses, beam_search
from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    Teacher,
    TrainStep,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.models.weights import variable_names
from tfdistill.records import (
    Batch,
    RecordSet,
    open_record_set,
    token_batches,
    training_batches,
)
from tfdistill.replicas import OneDevice
from tfdistill.tasks import Task, find_task
from tfdistill.text.shared_pieces import END_ID, PADDING_ID, START_ID
from tfdistill.training import Schedule, make_optimizer

SOURCES, PIECES, BEAMS, PLACES, ROUNDS = 8, 8000, 5, 40, 3
BUDGET, STEPS = 2048, 12


@functools.cache
def _whole_prefix(model: Seq2Seq, batch: int, length: int) -> Any:
    """Returns a graph that reads prefixes of one length."""

    def read(
        prefix: tf.Tensor, memory: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows = batch * BEAMS
        is_past = tf.linalg.band_part(tf.ones([length, length]), -1, 0)
        x, _, probs = model.generator(
            model.encoder.embed(prefix, 0, None),
            batch=rows,
            pasts=[None] * model.config.num_decoder_layers,
            future_bias=(1.0 - is_past) * -1e9,
            memories=model.generator.memories(memory, batch),
            memory_bias=bias,
            noise=None,
        )
        last = tf.reshape(x, [rows, length, -1])[:, -1]
        logits = tf.nn.bias_add(
            tf.matmul(
                last, model.encoder.embedding.table.value, transpose_b=True
            ),
            model.generator.output_bias.value,
        )
        seen = tf.reshape(probs[:, 0], [rows, length, -1])[:, -1]
        return tf.nn.log_softmax(logits), tf.argmax(
            seen, axis=-1, output_type=tf.int32
        )

    return tf.function(read, autograph=False)


def search_without_cache(
    model: Seq2Seq, features: dict[str, tf.Tensor]
) -> Hypotheses:
    """As `Seq2Seq.generate`; the state is the pieces of each hypothesis."""
    ids, mask = features["input_ids"], features["input_mask"]
    batch = ids.shape[0]
    bias = (tf.cast(1 - mask, tf.float32) * -1e9)[:, None, None, :]
    memory = _encoder(model)(ids, bias)

    def step(
        last: tf.Tensor, place: tf.Tensor, prefix: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        prefix = tf.concat([prefix, last[:, None]], axis=1)
        read = _whole_prefix(model, batch, int(place) + 1)
        log_probs, seen = read(prefix, memory, bias)
        return log_probs, seen, prefix

    return beam_search(
        step,
        tf.zeros([batch * BEAMS, 0], tf.int32),
        batch_size=batch,
        beam_size=BEAMS,
        max_length=PLACES,
        alpha=0.6,
        start_id=START_ID,
        end_id=END_ID,
        padding_id=PADDING_ID,
    )


@functools.cache
def _encoder(model: Seq2Seq) -> Any:
    return tf.function(
        lambda ids, bias: model.encoder(ids, bias=bias, noise=None),
        autograph=False,
    )


def measure_cache() -> dict[str, float]:
    """Time both searches, alternating."""
    model = Seq2Seq(
        Seq2SeqConfig(vocabulary_size=PIECES, num_layers=3, hidden_dim=256), 1
    )
    rng = np.random.default_rng(0)
    shape = (SOURCES, 16)
    features = {
        "input_ids": tf.constant(rng.integers(4, PIECES, shape), tf.int32),
        "input_mask": tf.ones(shape, tf.int32),
    }
    cached = tf.function(
        functools.partial(
            model.generate, beam_size=BEAMS, max_length=PLACES, alpha=0.6
        ),
        autograph=False,
    )
    searches = {
        "cached": lambda: cached(features),
        "uncached": lambda: search_without_cache(model, features),
    }
    found = {name: search() for name, search in searches.items()}
    np.testing.assert_array_equal(*(x.ids for x in found.values()))
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(ROUNDS):
        for name, search in searches.items():
            started = time.perf_counter()
            search().ids.numpy()
            seconds[name].append(time.perf_counter() - started)
    medians = {n: statistics.median(x) for n, x in seconds.items()}
    return {
        "pieces_of_a_text": float(np.mean(found["cached"].lengths)),
        **{
            f"{n}_texts_per_second": round(SOURCES / x, 2)
            for n, x in medians.items()
        },
        "ratio": round(medians["uncached"] / medians["cached"], 2),
        "aim": 5,
    }


def measure_training(folders: list[str]) -> dict[str, dict[str, float]]:
    """Time training on labels, recorded and live knowledge, and batches."""
    plain, known = map(open_record_set, folders[:2])
    task = find_task(known.identity["task"], known)
    teacher = load_for(task, folders[2])
    places: dict[str, Any] = {
        "seed": 1,
        "shuffle_buffer_size": 1 << 16,
        "first_step": 0,
    }

    def by_tokens(records: RecordSet) -> Iterator[Batch]:
        return token_batches(
            records,
            **places,
            batch_tokens=BUDGET,
            window=8192,
            process_slice=(0, 1),
            num_parts=1,
        )

    counts = [
        int(b["is_real_example"].numpy().sum())
        for b in itertools.islice(by_tokens(plain), STEPS)
    ]
    size = round(sum(counts) / STEPS)
    in_any_order = training_batches(
        plain, **places, batch_size=size, process_slice=(0, size)
    )
    labels = "labels(label_smoothing=0.1, smoothing=original)"
    both = "text_generation(temperature=2, k=8)"
    runs = {
        "labels, batches by tokens": (labels, None, by_tokens(plain)),
        "labels, batches of examples": (labels, None, in_any_order),
        "recorded": (both, recorded_teacher(known.codec()), by_tokens(known)),
        "live": (both, live_teacher([teacher.model]), by_tokens(plain)),
    }
    size_of = len(teacher.tokenizer.vocabulary)
    return {
        name: _rates(task, size_of, *settings)
        for name, settings in runs.items()
    }


def _rates(
    task: Task,
    pieces: int,
    spec: str,
    teacher: Teacher | None,
    stream: Iterator[Batch],
) -> dict[str, float]:
    student = Seq2Seq(
        Seq2SeqConfig(
            vocabulary_size=pieces,
            num_layers=3,
            hidden_dim=128,
            num_heads=4,
            intermediate_dim=256,
        ),
        1,
    )
    context = Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=None,
        teacher=None,
        num_steps=100,
        seed=1,
    )
    names = variable_names(student)
    step = TrainStep(
        student=student,
        variables=list(names.values()),
        objectives=bind_objectives(
            declare_objectives((spec,), OBJECTIVES), context
        ),
        teacher=teacher,
        optimizer=make_optimizer(
            "adamw", Schedule("constant", 1e-3, 0, 100), names
        ),
        replicas=OneDevice(),
        accumulation_steps=1,
        clip_norm=5.0,
        seed=1,
    ).compiled()
    batches = []
    for batch in itertools.islice(stream, STEPS):
        rows = batch["example_index"].shape[0]
        batch["step"] = tf.fill([rows], tf.constant(0, tf.int64))
        batch["is_stopping"] = tf.fill([rows], 0.0)
        batches.append(batch)
    shapes = {
        tuple(tuple(x.shape) for x in batch.values()): batch
        for batch in batches
    }
    for batch in shapes.values():
        float(step(dict(batch))["loss"])
    tokens = room = examples = 0.0
    started = time.perf_counter()
    for batch in batches:
        float(step(dict(batch))["loss"])
    seconds = time.perf_counter() - started
    for batch in batches:
        for ids, mask in (
            ("input_ids", "input_mask"),
            ("target_ids", "masked_lm_weights"),
        ):
            tokens += float(tf.reduce_sum(tf.cast(batch[mask], tf.float32)))
            room += float(tf.size(batch[ids]))
        examples += float(tf.reduce_sum(batch["is_real_example"]))
    return {
        "tokens_per_second": round(tokens / seconds),
        "pairs_per_second": round(examples / seconds, 1),
        "filled": round(tokens / room, 3),
        "graphs": len(shapes),
    }


def main() -> None:
    """Measure what is asked for."""
    what, *folders = sys.argv[1:] or ["cache"]
    found = measure_cache() if what == "cache" else measure_training(folders)
    print(json.dumps({"generation": {what: found}}))


if __name__ == "__main__":
    main()
