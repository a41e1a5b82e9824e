"""SentencePiece: pieces that hold their spaces themselves."""

import hashlib
import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import sentencepiece

from tfdistill.text.shared_pieces import (
    END_ID,
    PADDING_ID,
    SPECIAL,
    START_ID,
    UNKNOWN_ID,
)
from tfdistill.text.word_pieces import normalize

MODEL = "pieces.model"
_SPACE = "▁"


class SentencePieces:
    """Pieces of SentencePiece: see `SharedPieces` for the methods."""

    def __init__(
        self,
        model: bytes,
        *,
        do_lower_case: bool,
        source: str = "the model",
    ) -> None:
        """Make a tokenizer.

        Args:
            model: Contents of a SentencePiece model.
            do_lower_case: Whether text is lower-cased. Accents stay: a text
                without them would not be the one that was to be written.
            source: Where the model is from, for messages.

        Raises:
            ValueError: It is no such model, or does not begin with the
                special pieces.
        """
        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
            size = processor.GetPieceSize()
            self.vocabulary = tuple(processor.IdToPiece(i) for i in range(size))
        # A piece may be no UTF-8.
        except (RuntimeError, UnicodeDecodeError):
            raise ValueError(f"{source} is no SentencePiece model.") from None
        if self.vocabulary[: len(SPECIAL)] != SPECIAL:
            raise ValueError(
                f"{source} is no vocabulary of shared pieces: it does not "
                f"begin with {', '.join(SPECIAL)}."
            )
        self.settings: dict[str, Any] = {"do_lower_case": do_lower_case}
        self._model = model
        self._processor = processor
        self._ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        digest = hashlib.sha256(model)
        digest.update(f"{do_lower_case=}".encode())
        self.fingerprint = digest.hexdigest()

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """As `SharedPieces`."""
        plain = plain_lines(lines, self.settings["do_lower_case"])
        return self._processor.EncodeAsPieces(plain) if plain else []

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """As `SharedPieces`."""
        return [self._ids.get(piece, UNKNOWN_ID) for piece in pieces]

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """As `SharedPieces`."""
        return [self.ids(pieces) for pieces in self.split(lines)]

    def detokenize(self, pieces: Sequence[str]) -> str:
        """As `SharedPieces`."""
        silent = SPECIAL[UNKNOWN_ID + 1 :]
        text = "".join(piece for piece in pieces if piece not in silent)
        return " ".join(text.replace(_SPACE, " ").split())

    def word_piece(self, piece: str) -> str:
        """As `SharedPieces`."""
        if piece.startswith(_SPACE):
            return piece.removeprefix(_SPACE)
        return f"##{piece}"

    def files(self) -> dict[str, bytes]:
        """Returns `pieces.model`."""
        return {MODEL: self._model}


def plain_lines(lines: Iterable[str], do_lower_case: bool) -> list[str]:
    """Returns lines without control characters, lower-cased if wanted."""
    plain = [normalize(line, False) for line in lines]
    return [line.lower() for line in plain] if do_lower_case else plain


def learn_sentence_pieces(lines: Iterable[str], vocab_size: int) -> bytes:
    """Learn a unigram model; the same lines give the same model.

    Args:
        lines: Of source and target, by `plain_lines`.
        vocab_size: Pieces at most; fewer where the text does not have them.

    Returns:
        Contents of the model.

    Raises:
        ValueError: There is no text, or its characters alone are more.

    Reference: Kudo, "Subword Regularization", 2018; SentencePiece.
    """
    model = io.BytesIO()
    lines = list(lines)
    # Lines that are longer would be left out without a word.
    longest = max((len(line.encode()) for line in lines), default=1)
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            max_sentence_length=longest,
            character_coverage=1.0,
            # What is normalised away would not come back.
            normalization_rule_name="identity",
            num_threads=1,
            minloglevel=2,
            unk_id=UNKNOWN_ID,
            pad_id=PADDING_ID,
            bos_id=START_ID,
            eos_id=END_ID,
            unk_piece=SPECIAL[UNKNOWN_ID],
            pad_piece=SPECIAL[PADDING_ID],
            bos_piece=SPECIAL[START_ID],
            eos_piece=SPECIAL[END_ID],
            # An unknown piece is shown as itself.
            unk_surface=SPECIAL[UNKNOWN_ID],
        )
    except RuntimeError as error:
        cause = str(error).splitlines()[0].rpartition("] ")[2]
        raise ValueError(
            f"No SentencePiece model of {vocab_size} pieces can be learnt "
            f"from this text: {cause}"
        ) from None
    return model.getvalue()


def read_sentence_pieces(
    path: pathlib.Path, *, do_lower_case: bool
) -> SentencePieces:
    """Read a SentencePiece model.

    Raises:
        ValueError: It is none.
        OSError: It cannot be read.
    """
    return SentencePieces(
        path.read_bytes(), do_lower_case=do_lower_case, source=str(path)
    )
