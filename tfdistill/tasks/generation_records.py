"""Records of pairs: from parallel text to shards."""

import collections
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from tfdistill.config import FlagNeededError
from tfdistill.config.options import (
    Artefacts,
    Examples,
    General,
    ParallelText,
    Tables,
)
from tfdistill.progress import Progress
from tfdistill.records import RecordSetWriter, Schema, pair_features
from tfdistill.tasks.generation import PAIRS
from tfdistill.text.parallel_text import (
    Cleaning,
    Pair,
    clean_pairs,
    read_pair_table,
    read_pairs,
    split_off,
)
from tfdistill.text.shared_pieces import END_ID, SharedPieces

# Of each split, its flags of source and target, of records, and its table.
_SPLITS = {
    "train": ("source_file", "target_file", "records"),
    "dev": ("eval_source_file", "eval_target_file", "eval_records"),
    "test": ("test_source_file", "test_target_file", "test_records"),
}
_SUFFIXES = (".tsv", ".csv", ".jsonl")
_PAIRS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class _Split:
    """Clean pairs, and the records to make of them.

    `num_lines` are those of the text, `num_pairs` those that are not of
    another split.
    """

    name: str
    folder: str
    num_lines: int
    num_pairs: int
    pairs: list[Pair]
    skipped: dict[str, int]


def training_pairs(
    artefacts: Artefacts, tables: Tables, parallel: ParallelText
) -> list[Pair]:
    """Read the pairs that a vocabulary is learnt from: those to train on."""
    # It comes first, and no other text is read.
    split = next(_read(artefacts, tables, parallel), None)
    if split is None or split.name != "train":
        raise FlagNeededError("source_file")
    return split.pairs


def make_pair_records(
    artefacts: Artefacts,
    general: General,
    examples: Examples,
    parallel: ParallelText,
    tables: Tables,
    pieces: SharedPieces,
) -> dict[str, Any]:
    """Make records of all splits whose text and folder are given.

    Pairs that are longer than `parallel` allows are left out, but of dev and
    test they stay among the texts that models are scored on.

    Returns:
        What the command prints.

    Raises:
        ValueError: Text or settings do not do, or a folder holds something
            else.
    """
    splits = [s for s in _read(artefacts, tables, parallel) if s.folder]
    if not splits:
        raise FlagNeededError("records")
    encoded = {
        split.name: _encoded(split, parallel, pieces) for split in splits
    }
    # All folders have been accepted before any is made.
    writers = [
        _writer(
            split,
            len(encoded[split.name][0]),
            general,
            examples.record_compression,
            parallel,
            pieces,
        )
        for split in splits
    ]
    summary: dict[str, Any] = {
        "task": general.task,
        "pieces": len(pieces.vocabulary),
    }
    for split, writer in zip(splits, writers, strict=True):
        flag = _SPLITS[split.name][2]
        made, skipped = encoded[split.name]
        if writer.finished is None:
            _write(split, made, writer, parallel.pairs_per_shard)
        else:
            logging.info("%s is finished already.", split.folder)
        skipped = collections.Counter(split.skipped) + skipped
        prefix = flag.removesuffix("records")
        summary[flag] = split.folder
        summary |= {
            f"{prefix}{name}": value
            for name, value in {
                "pairs": split.num_pairs,
                "examples": len(made),
                "shards": len(writer.shard_names),
                "skipped": dict(skipped),
                "unknown_share": _unknown_share(made),
            }.items()
        }
    return summary


def _read(
    artefacts: Artefacts, tables: Tables, parallel: ParallelText
) -> Iterator[_Split]:
    """Yield the splits whose text is given, cleaned, train first.

    Text to be scored on is used whole, however long or uneven.
    """
    plain = Cleaning(strips_markup=parallel.strip_markup)
    strict = dataclasses.replace(
        plain,
        max_words=parallel.max_words,
        max_length_ratio=parallel.max_length_ratio,
    )
    for name, (source, target, _) in _SPLITS.items():
        lines = _lines(artefacts, tables, name, source, target)
        if lines is None:
            if name == "train" and artefacts.records:
                raise FlagNeededError(source)
            continue
        if name == "dev" and parallel.eval_every:
            raise ValueError(
                f"--eval_every={parallel.eval_every} takes dev from the "
                "training text, and there is text for it."
            )
        kept, skipped = clean_pairs(lines, strict if name == "train" else plain)
        parts = {name: kept}
        if name == "train" and parallel.eval_every:
            parts["train"], parts["dev"] = split_off(kept, parallel.eval_every)
        for part, pairs in parts.items():
            if not pairs:
                raise ValueError(
                    f"No pair of {part} is of use: {dict(skipped)} were left "
                    "out."
                )
            folder = getattr(artefacts, _SPLITS[part][2])
            # What is left out is counted once, in the split it is read for.
            left_out = skipped if part == name else {}
            count = len(pairs) + sum(left_out.values())
            yield _Split(part, folder, len(lines), count, pairs, dict(left_out))


def _lines(
    artefacts: Artefacts, tables: Tables, name: str, source: str, target: str
) -> list[Pair] | None:
    given = getattr(artefacts, source), getattr(artefacts, target)
    if all(given):
        return read_pairs(*given)
    if any(given):
        raise FlagNeededError(target if given[0] else source)
    is_wanted = name == "train" or getattr(artefacts, _SPLITS[name][2])
    if not artefacts.data_dir or not is_wanted:
        return None
    if not tables.pair_column:
        raise FlagNeededError("pair_column")
    paths = [Path(artefacts.data_dir) / f"{name}{s}" for s in _SUFFIXES]
    found = [path for path in paths if path.is_file()]
    if len(found) > 1:
        raise ValueError(f"There are both {found[0]} and {found[1]}.")
    if not found:
        return None
    return read_pair_table(found[0], tables.text_column, tables.pair_column)


def _encoded(
    split: _Split, parallel: ParallelText, pieces: SharedPieces
) -> tuple[list[dict[str, np.ndarray]], collections.Counter[str]]:
    """Returns the examples of a split, and why others were left out."""
    examples = []
    skipped: collections.Counter[str] = collections.Counter()
    with Progress(
        f"splitting {split.name}", len(split.pairs), unit=" pairs"
    ) as progress:
        for start in range(0, len(split.pairs), _PAIRS_AT_ONCE):
            some = split.pairs[start : start + _PAIRS_AT_ONCE]
            sources = pieces.tokenize([pair.source for pair in some])
            targets = pieces.tokenize([pair.target for pair in some])
            for pair, source, target in zip(
                some, sources, targets, strict=True
            ):
                # Of characters that nobody sees no piece is left.
                if not source or not target:
                    skipped["empty"] += 1
                    continue
                target = [*target, END_ID]
                if (
                    len(source) > parallel.max_source_length
                    or len(target) > parallel.max_target_length
                ):
                    skipped["too_long"] += 1
                    continue
                examples.append(
                    {
                        "input_ids": np.array(source),
                        "target_ids": np.array(target),
                        "pair_numbers": np.array([pair.number]),
                    }
                )
            progress.advance(len(some))
    return examples, skipped


def _writer(
    split: _Split,
    examples: int,
    general: General,
    compression: str,
    parallel: ParallelText,
    pieces: SharedPieces,
) -> RecordSetWriter:
    if not examples:
        raise ValueError(
            f"All pairs of {split.name} are longer than --max_source_length="
            f"{parallel.max_source_length} or --max_target_length="
            f"{parallel.max_target_length} pieces."
        )
    lines = [
        json.dumps(dataclasses.asdict(pair), ensure_ascii=False)
        for pair in split.pairs
    ]
    text = "".join(f"{line}\n" for line in lines).encode()
    count = math.ceil(examples / parallel.pairs_per_shard)
    is_held_out = split.name != "train"
    return RecordSetWriter(
        split.folder,
        schema=Schema(
            pair_features(
                parallel.max_source_length,
                parallel.max_target_length,
                len(pieces.vocabulary),
                split.num_lines,
            ),
            compression=compression,
        ),
        identity={
            "task": general.task,
            "split": split.name,
            "tokenizer": pieces.fingerprint,
            **pieces.settings,
            "settings": dataclasses.asdict(parallel),
            "skipped": split.skipped,
            "pairs": hashlib.sha256(text).hexdigest(),
        },
        shard_names=[
            f"{split.name}-{i:05d}-of-{count:05d}.tfrecord"
            for i in range(count)
        ],
        files=pieces.files() | ({PAIRS: text} if is_held_out else {}),
    )


def _write(
    split: _Split,
    examples: list[dict[str, np.ndarray]],
    writer: RecordSetWriter,
    per_shard: int,
) -> None:
    missing = set(writer.missing())
    with Progress(
        f"making {split.name} records", len(examples), unit=" pairs"
    ) as progress:
        for i, name in enumerate(writer.shard_names):
            of_shard = examples[i * per_shard : (i + 1) * per_shard]
            if name in missing:
                with writer.shard(name) as shard:
                    for example in of_shard:
                        shard.add(example)
            progress.advance(len(of_shard))
    writer.finish()


def _unknown_share(examples: list[dict[str, np.ndarray]]) -> float:
    """Returns the share of pieces that the vocabulary does not have."""
    ids = [
        np.concatenate([e[name] for e in examples])
        for name in ("input_ids", "target_ids")
    ]
    return round(float((np.concatenate(ids) == 0).mean()), 6)
