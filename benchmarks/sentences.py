"""Sentences of real lengths: SST-2's where GLUE is, else the demo's text."""

import pathlib
import random
from collections.abc import Iterator

import numpy as np

from benchmarks.material import LENGTH, SLOTS
from launch import demo
from tfdistill.text.tokenizer import read_tokenizer

_MASKED_SHARE = 0.15


def find_sentences(count: int) -> tuple[str, list[str]]:
    """Returns where sentences are from, and some, in random order."""
    found = sorted(demo.ROOT.glob("data/*/SST-2/train.tsv"))
    if found:
        _, *lines = found[0].read_text("utf-8").split("\n")
        source, known = "SST-2", [line.split("\t")[0] for line in lines]
    else:
        source, known = "Wikipedia", demo_text().read_text("utf-8").split("\n")
    drawn = random.Random(1).sample([x for x in known if x.strip()], count)
    return source, drawn


def demo_text() -> pathlib.Path:
    """Returns a file of the demo's text, which is fetched if it is missing."""
    demo.fetch()
    demo.run("extract_wikipedia", "extract_wikipedia")
    return demo.DATA / "text" / "text-00000.txt"


def masked_examples(sentences: list[str]) -> Iterator[dict[str, np.ndarray]]:
    """Yield masked-LM examples, a sentence each, without padding."""
    demo.fetch()
    tokenizer = read_tokenizer(demo.DATA / "encoder", {})
    draw = np.random.default_rng(1)
    for pieces in tokenizer.tokenize(sentences):
        kept = pieces[: LENGTH - 2]
        ids = np.array([tokenizer.cls_id, *kept, tokenizer.sep_id])
        slots = min(SLOTS, max(1, round(_MASKED_SHARE * len(kept))))
        places = draw.choice(np.arange(1, len(ids) - 1), slots, replace=False)
        positions = np.sort(places)
        labels = ids[positions]
        ids[positions] = tokenizer.mask_id
        yield {
            "input_ids": ids,
            "segment_ids": np.zeros(len(ids), int),
            "masked_lm_positions": positions,
            "masked_lm_ids": labels,
        }
