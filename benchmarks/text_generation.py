"""What recorded knowledge and batches by tokens are worth for translation.

    python -m benchmarks.text_generation

A Transformer of 3 + 3 x 256 with 6,000 pieces learns the published loss
against the 8 best pieces of a conditional masked LM of 6 x 384 with random
weights, on random pairs as long as those of image captions: about 13 pieces,
few above 25. Once as records hold what the teacher says, once asking it in
each step, for which it reads each target seven times, both in batches by
tokens. Then from records in batches of examples in the order in which they
come, padded to the longest. Steps are done on a few batches in memory, and
rates are in real pieces of sources and targets. It takes some minutes.
"""

import functools
import itertools
import tempfile
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, report, sized
from benchmarks.material import trainable, training_step
from tfdistill.distillation import (
    live_teacher,
    recorded_teacher,
)
from tfdistill.distillation.step import count_tokens
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.configuration import BertConfig
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.records import (
    Batch,
    RecordSet,
    RecordSetWriter,
    Schema,
    make_codec,
    token_batches,
    training_batches,
)
from tfdistill.records.examples import pair_features
from tfdistill.tasks import find_task

PIECES, LONGEST, K = 6_000, 64, 8
EXAMPLES = sized(20_000, 2_000)
BATCH_TOKENS, BATCH = 2_048, 64
ROUNDS, BATCHES, LIVE_BATCHES = sized((3, 6, 2), (1, 2, 1))
Step = Callable[[Batch], float]
STUDENT = Seq2SeqConfig(vocabulary_size=PIECES, num_layers=3, hidden_dim=256)
TEACHER = ConditionalConfig(
    vocabulary_size=PIECES,
    bert=BertConfig(
        vocabulary_size=PIECES,
        num_layers=6,
        hidden_dim=384,
        num_heads=12,
        intermediate_dim=1536,
    ),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        records = write_records(folder)
        by_tokens = token_batches(
            records,
            batch_tokens=BATCH_TOKENS,
            window=8192,
            seed=1,
            shuffle_buffer_size=EXAMPLES,
            first_step=0,
            process_slice=(0, 1),
            num_parts=1,
            micro_batches=1,
        )
        by_examples = training_batches(
            records,
            batch_size=BATCH,
            seed=1,
            shuffle_buffer_size=EXAMPLES,
            first_step=0,
            process_slice=(0, BATCH),
        )
        even = list(itertools.islice(by_tokens, BATCHES))
        uneven = list(itertools.islice(by_examples, BATCHES))
        step, live_step = stepper(records, False), stepper(records, True)
    batches = {"live": even[:LIVE_BATCHES], "even": even, "uneven": uneven}
    steps = {"live": live_step, "even": step, "uneven": step}
    seconds = in_turns(
        {
            name: functools.partial(go_through, steps[name], batches[name])
            for name in steps
        },
        ROUNDS,
    )
    rate = {
        name: sum(float(count_tokens(b)) for b in batches[name]) / taken
        for name, taken in seconds.items()
    }
    facts = {f"{n}_pieces_per_second": round(r, 1) for n, r in rate.items()}
    report(
        "text_generation",
        [
            Row("recorded against live", rate["even"] / rate["live"]),
            Row(
                "batches by tokens against by examples",
                rate["even"] / rate["uneven"],
                facts=facts,
            ),
        ],
    )


def go_through(step: Step, batches: list[Batch]) -> None:
    for batch in batches:
        step(batch)


def write_records(folder: str) -> RecordSet:
    """Random pairs, with K random best pieces at every place."""
    draw = np.random.default_rng(1)
    identity = {
        "task": "translation",
        "settings": {"is_moses_tokenized": False, "cmlm_masked_prob": 0.15},
    }
    features = pair_features(LONGEST, LONGEST, PIECES, EXAMPLES)
    bare = RecordSet("", Schema(features), (), identity, "")
    codec = make_codec([f"top_k(k={K})"], bare.shapes())
    writer = RecordSetWriter(
        f"{folder}/records",
        schema=Schema((*features, *codec.features())),
        identity=identity | {"knowledge": [f"top_k(k={K})"]},
        shard_names=["0.tfrecord"],
        files={},
    )
    probs = np.sort(draw.dirichlet(np.ones(K), size=LONGEST))[:, ::-1] * 0.9
    with writer.shard("0.tfrecord") as shard:
        for number in range(EXAMPLES):
            source, target = np.clip(
                np.exp(draw.normal(np.log(13), 0.35, 2)).astype(int), 4, LONGEST
            )
            shard.add(
                {
                    "input_ids": draw.integers(5, PIECES, source),
                    "target_ids": draw.integers(5, PIECES, target),
                    "pair_numbers": np.array([number]),
                    "top_k_ids": draw.integers(5, PIECES, target * K),
                    "top_k_log_probs": np.log(probs[:target]).ravel(),
                    "tail_log_mass": np.full(target, np.log(0.1)),
                }
            )
    return writer.finish()


def stepper(records: RecordSet, is_live: bool) -> Step:
    """Returns what does a training step with a batch."""
    task = find_task("translation", records, None)
    student = Seq2Seq(STUDENT, 1)
    teacher = recorded_teacher(records.codec())
    if is_live:
        teacher = live_teacher([ConditionalLM(TEACHER, 2)])
    compiled = training_step(
        student,
        trainable(student),
        task,
        f"text_generation(k={K})",
        teacher,
    )

    def step(batch: Batch) -> float:
        like = batch["example_index"]
        batch["step"] = tf.zeros_like(like)
        batch["is_stopping"] = tf.zeros(like.shape)
        return float(compiled(batch)["loss"])

    return step


if __name__ == "__main__":
    main()
