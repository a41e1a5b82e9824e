"""Masked-LM examples per second and core, against the model garden's.

    python -m benchmarks.instances

Both read the same text with the same vocabulary, once through, and end with
serialised examples in memory. The peer is `create_pretraining_data` of
tf-models-official with its own tokenizer. The text is the demo's, so
`make demo` comes first. Prints one line of JSON.
"""

import json
import pathlib
import random
import statistics
import sys
import tempfile
import time

from official.nlp.data import create_pretraining_data
from official.nlp.tools import tokenization

from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    Masking,
    Tables,
)
from tfdistill.make_records import make_records

TEXT = pathlib.Path("data/demo/text/text-00000.txt")
VOCABULARY = pathlib.Path("data/demo/encoder/vocab.txt")
SENTENCES = 20000
ROUNDS = 3


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
    rates: dict[str, list[float]] = {"ours": [], "official": []}
    with tempfile.TemporaryDirectory() as folder:
        lines = TEXT.read_text("utf-8").split("\n")[:SENTENCES]
        text = pathlib.Path(folder) / "text.txt"
        text.write_text("\n".join(lines), "utf-8")
        for number in range(ROUNDS + 1):
            for who, make in (("ours", ours), ("official", theirs)):
                started = time.perf_counter()
                examples = make(text, f"{folder}/{who}{number}")
                if number:
                    seconds = time.perf_counter() - started
                    rates[who].append(examples / seconds)
    medians = {who: statistics.median(r) for who, r in rates.items()}
    ratio = medians["ours"] / medians["official"]
    print(
        f"examples per second on one core: ours {medians['ours']:.0f}, "
        f"official {medians['official']:.0f}, ratio {ratio:.2f}",
        file=sys.stderr,
    )
    print(json.dumps({"instances": {"ratio": round(ratio, 2), "aim": 10}}))


if __name__ == "__main__":
    main()
