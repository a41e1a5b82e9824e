"""Transfer sets by a masked LM that fills in words: the "cbert" baseline.

Every word is masked with the same probability, and each mask is drawn from
what the model says of it, independently of the others. Words that were not
masked stay as they are; a drawn piece that continues a word is put behind the
word before it.

Reference: the code that Tang et al., 2019, published beside their language
    models.
"""

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfdistill.augmentation.parts import Make
from tfdistill.augmentation.rules import MASK
from tfdistill.augmentation.sampling import Sampling, draw
from tfdistill.models.outputs import Model
from tfdistill.text.masking import tokenize_with_masks
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

Sentences = tuple[str, ...]

# Sequences and masks are padded to multiples of these, so that few shapes
# come by.
_LENGTH_STEP = 16
_MASKS_STEP = 8


@dataclasses.dataclass(frozen=True, slots=True)
class _Masked:
    """A row with masks, and their draws.

    Attributes:
        words: Of each sentence, `MASK` where one is masked.
        originals: The same without masks.
        ids: What the model reads.
        segments: Segment ids.
        uniforms: A draw for each mask that it reads.
        read: How many masks of each sentence it reads: others are cut off.
    """

    words: list[list[str]]
    originals: list[list[str]]
    ids: list[int]
    segments: list[int]
    uniforms: list[float]
    read: list[int]


def masked_word_samples(
    model: Model,
    tokenizer: WordPiece,
    originals: Sequence[Sentences],
    *,
    rounds: int,
    mask_prob: float,
    seed: int,
    batch_size: int,
    max_seq_length: int,
) -> Make:
    """Returns what makes the samples of some numbers.

    Sample n is of row n // rounds. It is a text with a tab between the
    sentences of a pair; None if nothing of it is masked.

    Args:
        model: A masked LM.
        tokenizer: Its tokenizer.
        originals: The task's sentences or pairs.
        rounds: Samples of each row.
        mask_prob: Probability of a word to be masked, in [0, 1].
        seed: Decides all draws.
        batch_size: Sequences at a time.
        max_seq_length: Longest sequence that the model takes.
    """
    never = tuple(
        i for i, p in enumerate(tokenizer.vocabulary) if p in SPECIAL_PIECES
    )
    sampling = Sampling(never_ids=never)

    @tf.function(autograph=False)
    def fill(features: dict[str, tf.Tensor], uniforms: tf.Tensor) -> tf.Tensor:
        logits = model(features, reads=frozenset({"logits"}))["logits"]
        flat = tf.reshape(logits, [-1, logits.shape[-1]])
        return draw(flat, tf.reshape(uniforms, [-1]), sampling)

    def ask(rows: list[_Masked], length: int, slots: int) -> list[list[str]]:
        shape = (batch_size, length)
        features = {
            name: np.zeros(shape, np.int32)
            for name in ("input_ids", "input_mask", "segment_ids")
        }
        positions = np.zeros((batch_size, slots), np.int32)
        uniforms = np.zeros((batch_size, slots))
        for n, row in enumerate(rows):
            size = len(row.ids)
            features["input_ids"][n, :size] = row.ids
            features["input_mask"][n, :size] = 1
            features["segment_ids"][n, :size] = row.segments
            places = np.flatnonzero(np.array(row.ids) == tokenizer.mask_id)
            positions[n, : len(places)] = places
            uniforms[n, : len(places)] = row.uniforms
        features["masked_lm_positions"] = positions
        given = {k: tf.constant(x) for k, x in features.items()}
        ids = fill(given, tf.constant(uniforms)).numpy()
        pieces = np.array(tokenizer.vocabulary, object)[ids]
        return pieces.reshape(batch_size, slots)[: len(rows)].tolist()

    def make(numbers: range) -> list[str | None]:
        found: list[str | None] = [None] * len(numbers)
        by_shape: dict[tuple[int, int], list[tuple[int, _Masked]]] = {}
        masked = _mask_rows(
            [originals[n // rounds] for n in numbers],
            [random.Random(f"{seed} {n}") for n in numbers],
            tokenizer,
            mask_prob,
            max_seq_length,
        )
        for place, row in enumerate(masked):
            if row.uniforms:
                length = -(-len(row.ids) // _LENGTH_STEP) * _LENGTH_STEP
                shape = (
                    min(length, max_seq_length),
                    -(-len(row.uniforms) // _MASKS_STEP) * _MASKS_STEP,
                )
                by_shape.setdefault(shape, []).append((place, row))
        for shape in sorted(by_shape):
            rows = by_shape[shape]
            for start in range(0, len(rows), batch_size):
                some = rows[start : start + batch_size]
                pieces = ask([row for _, row in some], *shape)
                for (place, row), drawn in zip(some, pieces, strict=True):
                    found[place] = _filled(row, drawn)
        return found

    return make


def _mask_rows(
    rows: list[Sentences],
    generators: list[random.Random],
    tokenizer: WordPiece,
    mask_prob: float,
    max_seq_length: int,
) -> list[_Masked]:
    split = [[sentence.split() for sentence in row] for row in rows]
    masked = [
        [
            [MASK if rng.random() < mask_prob else word for word in words]
            for words in sentences
        ]
        for sentences, rng in zip(split, generators, strict=True)
    ]
    lines = [" ".join(words) for sentences in masked for words in sentences]
    ids = iter(tokenize_with_masks(tokenizer, lines))
    found = []
    for originals, words, rng in zip(split, masked, generators, strict=True):
        pieces = [next(ids) for _ in words]
        second = pieces[1] if len(pieces) > 1 else None
        joined, segments = tokenizer.join(pieces[0], second, max_seq_length)
        read = [0] * len(words)
        for i, segment in zip(joined, segments, strict=True):
            read[segment] += i == tokenizer.mask_id
        found.append(
            _Masked(
                words,
                originals,
                joined,
                segments,
                [rng.random() for _ in range(sum(read))],
                read,
            )
        )
    return found


def _filled(row: _Masked, drawn: list[str]) -> str:
    pieces = iter(drawn)
    sentences = []
    for words, originals, read in zip(
        row.words, row.originals, row.read, strict=True
    ):
        left = read
        text: list[str] = []
        for word, original in zip(words, originals, strict=True):
            if word != MASK or not left:
                text.append(original)
                continue
            left -= 1
            piece = next(pieces)
            if piece.startswith("##") and text:
                text[-1] += piece.removeprefix("##")
            else:
                text.append(piece.removeprefix("##"))
        sentences.append(" ".join(text))
    return "\t".join(sentences)
