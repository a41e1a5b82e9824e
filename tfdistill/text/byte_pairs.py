"""Byte-level byte-pair encoding, as of GPT-2 and RoBERTa.

Text is split before it is encoded: at spaces, which belong to the word after
them, and between letters, digits and everything else. A piece is written
with one visible character per byte; `Ġ` is the space.

The work is done by the `tokenizers` library, which Hugging Face's RoBERTa
calls itself. keras-nlp's own encoder splits text by other regular
expressions, which give other ids around apostrophes.

Reference: Radford et al., "Language Models are Unsupervised Multitask
Learners", 2019, section 2.2; Liu et al., "RoBERTa", 2019, section 4.4.
"""

import functools
import hashlib
import json
import pathlib
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfdistill.files import read_json
from tfdistill.text.joining import cut_to
from tfdistill.text.offsets import LocatedPieces

SPECIAL_PIECES = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
VOCABULARY = "vocab.json"
MERGES = "merges.txt"
_VERSION = "#version: 0.2"
_SPACE = "Ġ"

Merge = tuple[str, str]


def in_order(ids: Mapping[str, Any], source: str | pathlib.Path) -> list[str]:
    """Returns the pieces of a mapping to ids in the order of their ids.

    Raises:
        ValueError: The ids are not 0 to V - 1.
    """
    if sorted(map(repr, ids.values())) != sorted(map(repr, range(len(ids)))):
        raise ValueError(
            f"{source}: the ids of its {len(ids)} pieces are not "
            f"0 to {len(ids) - 1}."
        )
    return sorted(ids, key=ids.__getitem__)


def parse_merges(
    lines: Iterable[str], source: str | pathlib.Path
) -> list[Merge]:
    """Split merges, `Ġ t` and the like, into their two pieces.

    Raises:
        ValueError: A line is something else.
    """
    merges = []
    for line in lines:
        if line.startswith("#version"):
            continue
        first, *others = line.split(" ")
        if len(others) != 1 or not first or not others[0]:
            raise ValueError(f"{source}: {line!r} is no merge of two pieces.")
        merges.append((first, others[0]))
    return merges


def read_byte_pairs(
    path: pathlib.Path, *, add_prefix_space: bool
) -> "BytePair":
    """Read a vocabulary, `vocab.json`, and the `merges.txt` beside it.

    Raises:
        ValueError: What they hold is no byte-level BPE.
        OSError: They cannot be read.
    """
    vocabulary, merges = read_vocabulary_and_merges(path)
    return BytePair(
        vocabulary,
        merges,
        add_prefix_space=add_prefix_space,
        source=str(path),
    )


def check_merges(
    pieces: Container[str], merges: Iterable[Merge], source: str
) -> None:
    """Refuse merges of pieces, or to a piece, that are not there.

    Raises:
        ValueError: One is not.
    """
    for first, second in merges:
        for piece in (first, second, first + second):
            if piece not in pieces:
                raise ValueError(
                    f"{source} lacks the piece {piece!r} of the merge "
                    f"'{first} {second}'."
                )


def byte_level_encoder(
    vocabulary: Sequence[str],
    merges: Sequence[Merge],
    *,
    add_prefix_space: bool = False,
    unknown: str | None = None,
) -> Any:
    """Returns the `tokenizers.Tokenizer` of a vocabulary.

    Args:
        vocabulary: The pieces in the order of their ids.
        merges: Pairs of pieces, in the order in which they are merged.
        add_prefix_space: Whether a line begins with a space though it has
            none.
        unknown: Piece of bytes that have none.
    """
    import tokenizers

    encoder = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            {piece: i for i, piece in enumerate(vocabulary)},
            list(merges),
            unk_token=unknown,
        )
    )
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=add_prefix_space
    )
    encoder.decoder = tokenizers.decoders.ByteLevel()
    return encoder


def byte_level_files(
    vocabulary: Sequence[str], merges: Iterable[Merge]
) -> dict[str, bytes]:
    """Returns `vocab.json` and `merges.txt`."""
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    lines = [_VERSION, *map(" ".join, merges)]
    return {
        VOCABULARY: json.dumps(ids, ensure_ascii=False).encode(),
        MERGES: "".join(f"{line}\n" for line in lines).encode(),
    }


def read_vocabulary_and_merges(
    path: pathlib.Path,
) -> tuple[list[str], list[Merge]]:
    """Read `vocab.json`, and the `merges.txt` beside it.

    Raises:
        ValueError: What they hold is no byte-level BPE.
        OSError: They cannot be read.
    """
    merges = path.with_name(MERGES)
    try:
        text = merges.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{merges} is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    # Only newlines end a merge; some pieces are other line separators.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return (
        in_order(read_json(path), path),
        parse_merges(filter(None, lines), merges),
    )


class BytePair:
    """Text to byte-level BPE ids, laid out as `<s> A </s> </s> B </s>`.

    The ids are those of Hugging Face's RoBERTa tokenizer, but for text that
    spells a special piece, which is text here: `<mask>` there is three
    pieces or more.

    Attributes:
        vocabulary: The pieces; a piece's id is its index.
        merges: Pairs of pieces that become one, the most frequent first.
        settings: `add_prefix_space`: whether a line begins with a space
            though it has none.
        cls_id, sep_id, mask_id: Ids of the special pieces.
        continues_word: bool `[V]`, true for pieces that do not begin with a
            space. So punctuation belongs to the word in front of it, as
            where RoBERTa was published.
        fingerprint: Hash of the vocabulary, the merges and the setting.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[Merge],
        *,
        add_prefix_space: bool = False,
        source: str = "the vocabulary",
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: The pieces in the order of their ids.
            merges: Pairs of pieces, in the order in which they are merged.
            add_prefix_space: Whether a line begins with a space though it
                has none.
            source: Where the pieces are from, for messages.

        Raises:
            ValueError: A special piece or one of a merge is missing.
        """
        ids = {piece: i for i, piece in enumerate(vocabulary)}
        missing = [p for p in SPECIAL_PIECES if p not in ids]
        if missing:
            raise ValueError(f"{source} lacks the piece {missing[0]}.")
        check_merges(ids, merges, source)
        self.vocabulary = tuple(vocabulary)
        self.merges = tuple(merges)
        self.settings: dict[str, Any] = {"add_prefix_space": add_prefix_space}
        self.cls_id = ids["<s>"]
        self.sep_id = ids["</s>"]
        self.mask_id = ids["<mask>"]
        self.continues_word = np.array(
            [
                piece not in SPECIAL_PIECES and not piece.startswith(_SPACE)
                for piece in self.vocabulary
            ]
        )
        text = "\n".join(
            [
                *self.vocabulary,
                *map(" ".join, self.merges),
                f"add_prefix_space={add_prefix_space}",
            ]
        )
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    @functools.cached_property
    def _encoder(self) -> Any:
        return byte_level_encoder(
            self.vocabulary,
            self.merges,
            add_prefix_space=self.settings["add_prefix_space"],
            unknown="<unk>",
        )

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, without special pieces."""
        return [
            line.ids for line in self._encoder.encode_batch_fast(list(lines))
        ]

    def tokenize_with_offsets(
        self, lines: Sequence[str]
    ) -> list[LocatedPieces]:
        """Returns the ids of each line and where their pieces stand in it.

        A space in front of a word is in its piece, but not in the place of
        that.
        """
        found = []
        for line, encoded in zip(
            lines, self._encoder.encode_batch(list(lines)), strict=True
        ):
            offsets = np.array(encoded.offsets, np.int64).reshape(-1, 2)
            starts, ends = offsets[:, 0], offsets[:, 1]
            starts = np.minimum(_next_visible(line)[starts], ends)
            found.append(LocatedPieces(encoded.ids, starts, ends))
        return found

    def join(
        self,
        first: Sequence[int],
        second: Sequence[int] | None,
        max_length: int,
    ) -> tuple[list[int], list[int]]:
        """Lay out one sentence or two for a model; see `Tokenizer.join`."""
        num_special = 2 if second is None else 4
        a, b = cut_to(first, second, max_length - num_special)
        ids = [self.cls_id, *a, self.sep_id]
        if second is not None:
            ids += [self.sep_id, *b, self.sep_id]
        return ids, [0] * len(ids)

    def files(self) -> dict[str, bytes]:
        """Returns `vocab.json` and `merges.txt`."""
        return byte_level_files(self.vocabulary, self.merges)


def _next_visible(line: str) -> np.ndarray:
    """Returns the first place from each on that is no space, `[n + 1]`."""
    places = np.arange(len(line) + 1)
    is_blank = np.array([*map(str.isspace, line), False])
    places[is_blank] = len(line)
    return np.minimum.accumulate(places[::-1])[::-1]
