"""Top-10 extraction of sentences, whose lengths differ, against torch's.

    python -m benchmarks.extraction_lengths

Ours is all of it: records are read, the teacher is asked in order of length,
and its answers are packed and written. The peer is asked about the first of
the same sentences, which are in random order; its batches are tensors in
memory, in random order, padded to their longest sentence or to 128 tokens;
Hugging Face's `BertForMaskedLM` is asked for the logits of all positions (its
usual use) or with the positions gathered by hand before the head, and then for
the top 10. The sentences are SST-2's if `data/*/SST-2` is there, and those of
the demo's text if not. It takes a quarter of an hour.
"""

import pathlib
import tempfile
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import numpy as np  # isort: skip

from benchmarks import peer
from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import (
    LENGTH,
    TEACHERS,
    K,
    for_peer,
    sizes,
    top_k_codec,
    write_records,
)
from benchmarks.sentences import find_sentences, masked_examples
from tfdistill.distillation.extraction import extract_shards, knowledge_schema
from tfdistill.models.bert import Bert
from tfdistill.records import Codec, RecordSet, RecordSetWriter
from tfdistill.replicas import Map, OneDevice, Replicas
from tfdistill.replicas.replicas import Step

BATCH = 32
# A window of ours, and what the peer is asked about of it.
SENTENCES, OF_THEM = sized((1024, 256), (64, 32))
ROUNDS = sized(3, 1)
CASES = sized(TEACHERS, {"6 x 384": TEACHERS["6 x 384"]})
AIMS = {"longest": 1.8, "128": 5.0}


def main() -> None:
    """Run all shapes."""
    source, sentences = find_sentences(SENTENCES)
    examples = list(masked_examples(sentences))
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        peer.start(peer.HUGGING_FACE, "hugging_face") as torch,
    ):
        records = write_records(pathlib.Path(folder) / "records", examples)
        for length in (0, LENGTH):
            batches = padded(examples[:OF_THEM], length)
            name = str(length) if length else "longest"
            torch.ask("keep", name=name, batches=batches)
        for name, config in CASES.items():
            torch.ask("load", **sizes(config))
            ours = extraction(
                records, Bert(config), top_k_codec(), KeptGraphs()
            )
            rows += measure(name, ours, torch)
    lengths = [len(example["input_ids"]) for example in examples]
    facts = {"source": source, "mean_tokens": round(float(np.mean(lengths)), 1)}
    report(
        "extraction_lengths",
        [r._replace(facts={**r.facts, **facts}) for r in rows],
    )


def padded(
    examples: list[dict[str, np.ndarray]], length: int = 0
) -> list[dict[str, list]]:
    """Returns the peer's batches; 0: as long as their longest example."""
    made = []
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        most = max(len(example["input_ids"]) for example in part)
        slots = max(len(example["masked_lm_ids"]) for example in part)
        batch = {
            name: rows([example[name] for example in part], size)
            for name, size in (
                ("input_ids", length or most),
                ("segment_ids", length or most),
                ("masked_lm_positions", slots),
            )
        }
        batch["input_mask"] = rows(
            [np.ones_like(example["input_ids"]) for example in part],
            length or most,
        )
        batch["masked_lm_weights"] = rows(
            [np.ones_like(example["masked_lm_ids"]) for example in part], slots
        )
        made.append(for_peer(batch))
    return made


def rows(values: list[np.ndarray], size: int) -> np.ndarray:
    """Returns rows filled up with zeros."""
    return np.stack([np.pad(x, (0, size - len(x))) for x in values])


class KeptGraphs(OneDevice):
    """Keeps the graphs of the first extraction for those after it."""

    _compiled: Map | None = None

    def compile_map(self, function: Step) -> Map:
        """As `Replicas`."""
        self._compiled = self._compiled or super().compile_map(function)
        return self._compiled


def extraction(
    records: RecordSet, teacher: Bert, codec: Codec, replicas: Replicas
) -> Callable[[], None]:
    """Returns what extracts all records, into a new folder each time."""
    added, schema = knowledge_schema(records, codec)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            writer = RecordSetWriter(
                f"{folder}/knowledge",
                schema=schema,
                identity=records.identity,
                shard_names=[shard.path.name for shard in records.shards],
                files={},
            )
            extract_shards(
                records,
                teacher,
                codec,
                added,
                writer,
                replicas=replicas,
                batch_size=BATCH,
            )

    return run


def measure(name: str, ours: Callable, torch: peer.Peer) -> list[Row]:
    """Returns the rows of one shape."""
    runs: dict[str, Callable] = {"ours": ours}
    for padding in AIMS:
        for how, is_gathered in (("all", False), ("gathered", True)):
            runs[f"{how}_{padding}"] = lambda p=padding, g=is_gathered: (
                torch.ask("extract", name=p, k=K, is_gathered=g)
            )
    seconds = in_turns(runs, ROUNDS)
    ours_each = seconds.pop("ours") / SENTENCES
    return [
        Row(
            f"{name}, against torch, {how}, padded to {padding}",
            seconds[f"{how}_{padding}"] / OF_THEM / ours_each,
            aim,
            rates({"ours": ours_each}, 1, "sentences")
            | rates(
                {"torch": seconds[f"{how}_{padding}"]}, OF_THEM, "sentences"
            ),
        )
        for padding, aim in AIMS.items()
        for how in ("all", "gathered")
    ]


if __name__ == "__main__":
    main()
