"""Conditional masked LMs that start from a BERT."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfdistill.models.bert import Bert
from tfdistill.models.conditional.inputs import BERT_SPECIAL, SEP
from tfdistill.models.conditional.model import ConditionalLM
from tfdistill.models.weights import variable_names
from tfdistill.text.shared_pieces import SPECIAL, SharedPieces
from tfdistill.text.tokenizer import Tokenizer

_INSIDE = "##"
_WORDS = "encoder/word_embeddings/table"


class Rows(NamedTuple):
    """The table of inputs of shared pieces.

    Attributes:
        of_pieces: int `[V]`, the row of each piece.
        made_of: BERT's pieces that each row is the mean of.
    """

    of_pieces: np.ndarray
    made_of: list[tuple[str, ...]]


def input_rows(pieces: SharedPieces, bert: Tokenizer | None) -> Rows:
    """Find the rows that pieces are looked up in.

    A piece that BERT has is BERT's: `@@.` and `.` share a row, as published.
    Any other has a row of its own, which starts from the mean of the pieces
    that BERT would spell it with. BERT's other rows are left out.

    Args:
        pieces: Of source and target.
        bert: The tokenizer of the BERT; None: it has all pieces.
    """
    known = None if bert is None else frozenset(bert.vocabulary)
    made_of: list[tuple[str, ...]] = [(piece,) for piece in BERT_SPECIAL]
    rows = {piece: row for row, piece in enumerate(BERT_SPECIAL)}
    found = [rows["[UNK]"], rows["[PAD]"], rows["[UNK]"], SEP]
    for piece in pieces.vocabulary[len(SPECIAL) :]:
        written = pieces.word_piece(piece)
        if known is not None and written not in known:
            assert bert is not None
            found.append(len(made_of))
            made_of.append(_spelled(written, bert, known))
            continue
        if written not in rows:
            rows[written] = len(made_of)
            made_of.append((written,))
        found.append(rows[written])
    return Rows(np.array(found), made_of)


def _spelled(
    written: str, bert: Tokenizer, known: frozenset[str]
) -> tuple[str, ...]:
    text = written.removeprefix(_INSIDE)
    ids = bert.tokenize([text])[0]
    names = [bert.vocabulary[i] for i in ids] or ["[UNK]"]
    if written.startswith(_INSIDE) and _INSIDE + names[0] in known:
        names[0] = _INSIDE + names[0]
    return tuple(names)


def copy_bert(
    model: ConditionalLM,
    rows: Rows,
    bert: Bert | None,
    vocabulary: Sequence[str] = (),
) -> frozenset[str]:
    """Set the weights that a conditional masked LM starts from.

    Its output layer starts from the rows of its inputs.

    Args:
        model: What is set.
        rows: Of its inputs.
        bert: Where weights are copied from; None: random ones stay.
        vocabulary: BERT's pieces.

    Returns:
        The parts that hold more than random weights.
    """
    ours = variable_names(model)
    if bert is not None:
        theirs = variable_names(bert)
        ids = {piece: i for i, piece in enumerate(vocabulary)}
        table = theirs[_WORDS].numpy()
        means = [
            table[[ids[piece] for piece in row]].mean(axis=0)
            for row in rows.made_of
        ]
        ours[f"encoder/{_WORDS}"].assign(np.stack(means))
        for name, variable in theirs.items():
            copy = (
                f"encoder/{name}"
                if name.startswith("encoder/")
                else f"generator/{name}"
            )
            if name != _WORDS and name != "output_bias" and copy in ours:
                ours[copy].assign(variable.numpy())
    table = ours[f"encoder/{_WORDS}"].numpy()
    ours["encoder/input_rows"].assign(rows.of_pieces.astype(np.float32))
    ours["generator/output_embedding/table"].assign(table[rows.of_pieces])
    return frozenset({"encoder", "generator"} if bert else ())
