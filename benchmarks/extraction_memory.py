"""Peak memory of top-10 extraction against torch's, all positions.

    python -m benchmarks.extraction_memory

Each is a process of its own that asks a teacher with random weights about
batches of 32 sequences of 128 tokens; ours reads, packs and writes records as
well. A process's peak is counted whole and less what it had when the teacher
and the inputs were there, before it was asked. Ratios are theirs to ours.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from benchmarks import peer
from benchmarks.harness import Row, report, sized
from benchmarks.memory import memory

BATCH = 32
BATCHES = sized(8, 2)
CASES = sized(["6 x 384", "12 x 768"], ["6 x 384"])
AIM = 3


def main() -> None:
    """Run all shapes."""
    rows = []
    for name in CASES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.extraction_memory", name],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        ours, theirs = json.loads(done.stdout), torch(name)
        for what in ("whole", "asking"):
            rows.append(
                Row(
                    f"{name}, peak of the {what}",
                    theirs[what] / ours[what],
                    AIM,
                    {
                        "ours_mb": round(ours[what] / 1e6),
                        "torch_mb": round(theirs[what] / 1e6),
                    },
                )
            )
    report("extraction_memory", rows)


def torch(name: str) -> dict[str, int]:
    """Returns the peaks of torch, in bytes."""
    from benchmarks.material import TEACHERS, K, for_peer, random_inputs, sizes

    batch = for_peer(random_inputs(BATCH))
    with peer.start(peer.HUGGING_FACE, "hugging_face") as process:
        process.ask("keep", name="batches", batches=[batch] * BATCHES)
        process.ask("load", **sizes(TEACHERS[name]))
        before = process.ask("memory")
        process.ask("extract", name="batches", k=K, is_gathered=False)
        peak = process.ask("memory")["peak"]
    return {"whole": peak, "asking": peak - before["now"]}


def ours(name: str) -> dict[str, int]:
    """Returns the peaks of this process, in bytes."""
    from benchmarks.extraction_lengths import extraction
    from benchmarks.material import (
        TEACHERS,
        random_examples,
        top_k_codec,
        write_records,
    )
    from tfdistill.models.bert import Bert
    from tfdistill.replicas import OneDevice

    with tempfile.TemporaryDirectory() as folder:
        examples = random_examples(BATCH * BATCHES, 1)
        records = write_records(pathlib.Path(folder), examples)
        extract = extraction(
            records, Bert(TEACHERS[name]), top_k_codec(), OneDevice()
        )
        before = memory()
        extract()
        peak = memory()["peak"]
    return {"whole": peak, "asking": peak - before["now"]}


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else print(json.dumps(ours(sys.argv[1])))
