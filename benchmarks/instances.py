"""Masked-LM examples per second and core, against the model garden's.

    python -m benchmarks.instances

Both read the same text with the same vocabulary, once through, and end with
serialised examples in memory. The peer is `create_pretraining_data` of
tf-models-official with its own tokenizer. The text is the demo's.
"""

import itertools
import pathlib
import random
import tempfile

from official.nlp.data import create_pretraining_data
from official.nlp.tools import tokenization

from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.sentences import demo_text
from launch import demo
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    Masking,
    Tables,
)
from tfdistill.make_records import make_records

VOCABULARY = demo.DATA / "encoder" / "vocab.txt"
SENTENCES, ROUNDS = sized(20000, 1000), sized(3, 1)
AIM = 10


def ours(text: pathlib.Path, folder: str) -> int:
    """Make records in this process; returns how many."""
    summary = make_records(
        Artefacts(text=str(text), vocab_file=str(VOCABULARY), records=folder),
        General(num_processes=1),
        Corpus(),
        Examples(),
        Tables(),
        Masking(dupe_factor=1),
    )
    return summary["examples"]


def theirs(text: pathlib.Path, folder: str) -> int:
    """Make records with the garden's builder; returns how many."""
    tokenizer = tokenization.FullTokenizer(str(VOCABULARY), True)
    instances = create_pretraining_data.create_training_instances(
        [str(text)],
        tokenizer,
        create_pretraining_data.get_processor_text_fn(False, True),
        128,
        1,
        0.1,
        0.15,
        20,
        random.Random(12345),
    )
    create_pretraining_data.write_instance_to_example_files(
        instances, tokenizer, 128, 20, [f"{folder}.tfrecord"], False, False
    )
    return len(instances)


def main() -> None:
    """Time both, alternating."""
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        lines = demo_text().read_text("utf-8").split("\n")[:SENTENCES]
        text = pathlib.Path(folder) / "text.txt"
        text.write_text("\n".join(lines), "utf-8")
        numbers = itertools.count()

        def run(who: str) -> None:
            make = {"ours": ours, "official": theirs}[who]
            counts[who] = make(text, f"{folder}/{next(numbers)}")

        seconds = in_turns(
            {"ours": lambda: run("ours"), "official": lambda: run("official")},
            ROUNDS,
        )
    # They do not make quite as many.
    each = {who: seconds[who] / counts[who] for who in seconds}
    facts = rates(each, 1, "examples")
    ratio = each["official"] / each["ours"]
    report("instances", [Row("against tf-models-official", ratio, AIM, facts)])


if __name__ == "__main__":
    main()
