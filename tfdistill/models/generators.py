"""Models that write texts, and their teachers, from shapes or a BERT."""

import dataclasses
from typing import cast

from tfdistill.models.bert import Bert
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.conditional.from_bert import copy_bert, input_rows
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.models.weights import fingerprint, named_weights
from tfdistill.text.shared_pieces import SharedPieces
from tfdistill.text.tokenizer import Tokenizer


def seq2seq(
    vocabulary_size: int,
    *,
    num_layers: int = 6,
    num_decoder_layers: int = 0,
    hidden_dim: int = 512,
    num_heads: int = 0,
    intermediate_dim: int = 0,
    dropout: float = 0.3,
) -> Seq2SeqConfig:
    """A Transformer that writes texts; arguments are `Seq2SeqConfig`'s."""
    return Seq2SeqConfig(**locals())


def seq2seq_model(
    config: Seq2SeqConfig, pieces: SharedPieces, seed: int
) -> LoadedModel:
    """Make a Transformer with random weights."""
    model = Seq2Seq(config, seed)
    return LoadedModel(
        model=model,
        tokenizer=pieces,
        parts=frozenset(),
        fingerprint=fingerprint(named_weights(model), config),
    )


def conditional_lm(
    start: LoadedModel | BertConfig, pieces: SharedPieces, seed: int
) -> LoadedModel:
    """Make a conditional masked LM.

    Args:
        start: A BERT to copy, or the shape of one.
        pieces: Of source and target.
        seed: Of the random weights: all, or those of a masked-LM head that
            the BERT does not have.
    """
    bert: Bert | None = None
    of_bert: Tokenizer | None = None
    shape = start
    if isinstance(start, LoadedModel):
        assert isinstance(start.model, Bert)
        # No BERT reads whole words or shared pieces.
        bert, of_bert = start.model, cast(Tokenizer, start.tokenizer)
        shape = start.model.config
    assert isinstance(shape, BertConfig)
    rows = input_rows(pieces, of_bert)
    config = ConditionalConfig(
        vocabulary_size=len(pieces.vocabulary),
        bert=dataclasses.replace(shape, vocabulary_size=len(rows.made_of)),
    )
    model = ConditionalLM(config, seed)
    vocabulary = of_bert.vocabulary if of_bert else ()
    parts = copy_bert(model, rows, bert, vocabulary)
    return LoadedModel(
        model=model,
        tokenizer=pieces,
        parts=parts,
        fingerprint=fingerprint(named_weights(model), config),
    )
