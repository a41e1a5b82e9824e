"""Training on recorded top 10 against a live teacher and against torch.

    python -m benchmarks.recorded_students

A whole step on 32 examples of 128 tokens with 20 slots, in float32: forward
and backward passes, clipping and AdamW. Ours reads its records as it goes. The
live teacher is ours, 12 x 768 with random weights. The peer is Hugging Face's
`BertForMaskedLM` with the slots gathered by hand before the head, on batches
whose top 10 are tensors in memory.
"""

import pathlib
import tempfile
from collections.abc import Callable, Iterator

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks import peer
from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import (
    STUDENTS,
    TEACHERS,
    K,
    for_peer,
    random_examples,
    sizes,
    soft_target_step,
    stream,
    write_records,
)
from tfdistill.distillation import live_teacher, recorded_teacher
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.records import Batch, RecordSet

BATCH = 32
EXAMPLES, ROUNDS = sized(1024, 64), sized(5, 1)
# Steps that are timed together, but for the live teacher.
STEPS = sized(4, 1)
TEACHER = TEACHERS[sized("12 x 768", "6 x 384")]
CASES = sized(STUDENTS, {"2 x 128": STUDENTS["2 x 128"]})
# To a live teacher, and to torch.
AIMS = {"2 x 128": (20.0, 1.1), "4 x 312": (5.0, 1.1)}


def main() -> None:
    """Run all students."""
    examples = list(random_examples(EXAMPLES, K))
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        peer.start(peer.HUGGING_FACE, "hugging_face") as torch,
    ):
        records = write_records(pathlib.Path(folder), examples, k=K)
        batches = [
            as_lists(examples[i * BATCH :][:BATCH]) for i in range(STEPS)
        ]
        torch.ask("keep", name="known", batches=batches)
        for name, config in CASES.items():
            rows += measure(name, config, records, torch)
    report("recorded_students", rows)


def as_lists(examples: list[dict[str, np.ndarray]]) -> dict[str, list]:
    """Returns a batch for the peer, with what the teacher said."""
    names = ("top_k_ids", "top_k_log_probs")
    batch = {
        name: np.stack([example[name] for example in examples])
        for name in examples[0]
    }
    ids, log_probs = (batch[name].tolist() for name in names)
    return for_peer(batch) | {
        "teacher_ids": ids,
        "teacher_log_probs": log_probs,
    }


def measure(
    name: str, config: BertConfig, records: RecordSet, torch: peer.Peer
) -> list[Row]:
    """Returns the rows of one student."""
    torch.ask("load", **sizes(config))
    recorded = soft_target_step(config, recorded_teacher(records.codec()))
    live = soft_target_step(config, live_teacher([Bert(TEACHER)]))
    batches = stream(records, BATCH)
    seconds = in_turns(
        {
            "recorded": steps(recorded, batches, STEPS),
            "live": steps(live, batches, 1),
            "torch": lambda: torch.ask("train", name="known", k=K),
        },
        ROUNDS,
    )
    seconds["recorded"] /= STEPS
    seconds["torch"] /= STEPS
    facts = rates(seconds, BATCH, "examples")
    of_live, of_torch = AIMS[name]
    return [
        Row(
            f"{name}, recorded against live",
            seconds["live"] / seconds["recorded"],
            of_live,
            facts,
        ),
        Row(
            f"{name}, recorded against torch",
            seconds["torch"] / seconds["recorded"],
            of_torch,
        ),
    ]


def steps(
    step: Callable[[Batch], dict], batches: Iterator[Batch], count: int
) -> Callable[[], None]:
    """Returns what reads some batches and trains on them."""

    def run() -> None:
        for _ in range(count):
            batch = next(batches)
            rows = batch["input_ids"].shape[0]
            more = {
                "step": tf.zeros([rows], tf.int64),
                "is_stopping": tf.zeros([rows]),
            }
            loss = step(batch | more)["loss"]
        float(loss)

    return run


if __name__ == "__main__":
    main()
