"""Text to the ids that language models read, and back.

A text is a sentence or two; an end follows it. Between the sentences of a
pair GPT-2 reads a tab between spaces, a model of words an end. A conditional
model, which writes second sentences for first ones, reads an end as well.

Reference: Tang et al., "Natural Language Generation for Effective Knowledge
    Distillation", 2019, and the code that they published.
"""

import collections
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdistill.text import byte_pairs
from tfdistill.text.byte_pairs import (
    Merge,
    byte_level_encoder,
    byte_level_files,
    check_merges,
    read_vocabulary_and_merges,
)
from tfdistill.text.word_pieces import read_vocabulary
from tfdistill.text.words import WORDS

END_OF_TEXT = "<|endoftext|>"
END, UNKNOWN = "<eos>", "<unk>"
# What stands between the sentences of a pair; T9 of what was published.
SEPARATOR = " \t "

Sentences = tuple[str, ...]


class CausalBytePair:
    """GPT-2's byte-level BPE.

    Attributes:
        vocabulary: The pieces; a piece's id is its index.
        merges: Pairs of pieces that become one, the most frequent first.
        settings: What its files do not say: that it is a language model's.
        fingerprint: Changes with the pieces and merges.
        is_conditional: Whether it is for a model of second sentences.
        end_id: What ends a text.
        never_ids: Ids that no sample may hold.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[Merge],
        *,
        is_conditional: bool = False,
        source: str = "the vocabulary",
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: The pieces in the order of their ids.
            merges: Pairs of pieces, in the order in which they are merged.
            is_conditional: Whether it is for a model of second sentences.
            source: Where the pieces are from, for messages.

        Raises:
            ValueError: `<|endoftext|>` or a piece of a merge is missing.
        """
        if END_OF_TEXT not in vocabulary:
            raise ValueError(
                f"{source} lacks the piece {END_OF_TEXT}, so it is none of a "
                "language model."
            )
        self.vocabulary = tuple(vocabulary)
        self.merges = tuple(merges)
        check_merges(frozenset(vocabulary), merges, source)
        self.is_conditional = is_conditional
        self.settings = _settings(is_conditional)
        self.end_id = self.vocabulary.index(END_OF_TEXT)
        self.never_ids: tuple[int, ...] = ()
        self.fingerprint = _fingerprint(
            "bpe", [*self.vocabulary, *map(" ".join, self.merges)]
        )

    @functools.cached_property
    def _encoder(self) -> Any:
        return byte_level_encoder(self.vocabulary, self.merges)

    def _encode_lines(self, lines: Iterable[str]) -> list[list[int]]:
        return [x.ids for x in self._encoder.encode_batch_fast(list(lines))]

    def encode(self, texts: Sequence[Sentences]) -> list[list[int]]:
        """Returns the ids of each text, its end included."""
        if self.is_conditional:
            # Text after text, each but the first with a space in front.
            parts = [
                self._encode_lines(" " * (i > 0) + x[i] for x in texts)
                for i in range(len(texts[0]))
            ]
            return [
                [i for part in text for i in [*part, self.end_id]]
                for text in zip(*parts, strict=True)
            ]
        lines = self._encode_lines(map(SEPARATOR.join, texts))
        return [[*ids, self.end_id] for ids in lines]

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, with a tab between sentences.

        What stands behind the end of a text stays away; bytes that are no
        text become U+FFFD.
        """
        sentences: list[list[int]] = [[]]
        for i in ids:
            if i == self.end_id:
                sentences.append([])
            else:
                sentences[-1].append(i)
        return " \t".join(
            self._encoder.decode(x, skip_special_tokens=False)
            for x in sentences[: self.ends(2)]
        )

    def ends(self, num_sentences: int) -> int:
        """Returns how many ends a whole text has."""
        return num_sentences if self.is_conditional else 1

    def files(self) -> dict[str, bytes]:
        """Returns `vocab.json` and `merges.txt`."""
        return byte_level_files(self.vocabulary, self.merges)


class CausalWords:
    """Words between spaces, in their own case; see `CausalBytePair`.

    `<unk>` is never sampled, since no student could read it.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        is_conditional: bool = False,
        source: str = "the vocabulary",
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: The words in the order of their ids.
            is_conditional: Whether it is for a model of second sentences.
            source: Where they are from, for messages.

        Raises:
            ValueError: They do not begin with `<eos>`, `<unk>`.
        """
        if tuple(vocabulary[:2]) != (END, UNKNOWN):
            raise ValueError(
                f"{source} is no vocabulary of a language model: it does not "
                f"begin with {END}, {UNKNOWN}."
            )
        self.vocabulary = tuple(vocabulary)
        self.is_conditional = is_conditional
        self.settings = _settings(is_conditional)
        self.end_id = 0
        self.never_ids: tuple[int, ...] = (1,)
        # A text that holds the word `<eos>` has no more ends than others.
        self._ids = {w: i for i, w in enumerate(self.vocabulary) if i > 0}
        self.fingerprint = _fingerprint("words", self.vocabulary)

    def encode(self, texts: Sequence[Sentences]) -> list[list[int]]:
        """As `CausalBytePair`."""
        return [
            [
                i
                for sentence in sentences
                for i in [
                    *(self._ids.get(word, 1) for word in sentence.split()),
                    self.end_id,
                ]
            ]
            for sentences in texts
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """As `CausalBytePair`; an end that others follow is a tab."""
        ids = list(ids)
        while ids and ids[-1] == self.end_id:
            ids.pop()
        words = ("\t" if i == self.end_id else self.vocabulary[i] for i in ids)
        return " ".join(words)

    def ends(self, num_sentences: int) -> int:
        """As `CausalBytePair`."""
        return num_sentences

    def files(self) -> dict[str, bytes]:
        """Returns `words.txt`."""
        text = "".join(f"{word}\n" for word in self.vocabulary)
        return {WORDS: text.encode()}


CausalTokenizer = CausalBytePair | CausalWords


def num_given(tokenizer: CausalTokenizer, ids: Sequence[int]) -> int:
    """Returns how many tokens of a text a model is given.

    It is one, or in a conditional model's text the first sentence and its
    end. All others are predicted.
    """
    if tokenizer.is_conditional:
        return ids.index(tokenizer.end_id) + 1
    return 1


def read_causal_tokenizer(
    path: str | pathlib.Path, *, is_conditional: bool = False
) -> CausalTokenizer:
    """Read the tokenizer of a language model.

    Args:
        path: A folder with `vocab.json` and `merges.txt`, or with
            `words.txt`; or one of these files, where `merges.txt` is beside
            the first.
        is_conditional: Whether it is for a model of second sentences.

    Raises:
        ValueError: The files hold no such vocabulary.
        OSError: They cannot be read.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        is_byte_level = (path / byte_pairs.VOCABULARY).exists()
        path /= byte_pairs.VOCABULARY if is_byte_level else WORDS
    if path.suffix == ".json":
        return CausalBytePair(
            *read_vocabulary_and_merges(path),
            is_conditional=is_conditional,
            source=str(path),
        )
    return CausalWords(
        read_vocabulary(path), is_conditional=is_conditional, source=str(path)
    )


def learn_words(counts: Mapping[str, int], min_count: int = 1) -> CausalWords:
    """Make a vocabulary of words by falling count; of equal ones by the word.

    Args:
        counts: How often each word occurs.
        min_count: Words that are rarer are left out.
    """
    kept = {w for w, n in counts.items() if n >= min_count} - {END, UNKNOWN}
    ordered = sorted(kept, key=lambda word: (-counts[word], word))
    return CausalWords([END, UNKNOWN, *ordered])


def learn_byte_pairs(lines: Iterable[str], size: int) -> CausalBytePair:
    """Learn byte-level BPE from lines, the same from the same lines.

    Args:
        lines: Text.
        size: Pieces, at most; 257 are there whatever it says.
    """
    import tokenizers

    trained = byte_level_encoder((), ())
    trained.train_from_iterator(
        lines,
        tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return CausalBytePair(
        pieces, [(first, second) for first, second in model["merges"]]
    )


def count_words(lines: Iterable[str]) -> collections.Counter[str]:
    """Count the words between the spaces of lines."""
    counts: collections.Counter[str] = collections.Counter()
    for line in lines:
        counts.update(line.split())
    return counts


def _settings(is_conditional: bool) -> dict[str, Any]:
    # Tokenizers of other models have files of the same names.
    settings = {"is_causal": True}
    return settings | {"is_conditional": True} if is_conditional else settings


def _fingerprint(kind: str, lines: Iterable[str]) -> str:
    text = "\n".join([*lines, f"causal {kind}"])
    return hashlib.sha256(text.encode()).hexdigest()
