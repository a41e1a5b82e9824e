"""Models that write texts, and their teachers, from shapes or a BERT."""

import dataclasses
from typing import cast

from tfdistill.config import Spec
from tfdistill.models.bert import Bert
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.conditional.from_bert import copy_bert, input_rows
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.kinds import kind_of
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


def load_generator(
    path: str, pieces: SharedPieces, seed: int, kind: str
) -> LoadedModel:
    """Load a model of a task of texts, or make one of a BERT.

    Args:
        path: Its folder; of a `cmlm`, it may be a BERT's.
        pieces: Of source and target.
        seed: Of random weights.
        kind: `seq2seq` or `cmlm`.

    Raises:
        ValueError: It is of another kind, or has other pieces.
    """
    found = load_model(path, heads=("masked_lm", "generator"), seed=seed)
    theirs = kind_of(found.model.config)
    if kind == "cmlm" and theirs == "bert":
        return conditional_lm(found, pieces, seed)
    if theirs != kind:
        raise ValueError(f"{path} is a {theirs}; the task's models are {kind}.")
    if found.tokenizer.fingerprint != pieces.fingerprint:
        raise ValueError(
            f"{path} has another vocabulary or casing than the records."
        )
    return found


def make_generator(
    spec: Spec, pieces: SharedPieces, seed: int, kind: str
) -> LoadedModel:
    """Make a model of a task of texts from a spec, of a BERT for a `cmlm`.

    Args: as `load_generator`, with `spec` for the folder.

    Raises:
        ValueError: The spec is of something else, or wrong.
    """
    wanted = {"cmlm": "bert", "seq2seq": "seq2seq"}[kind]
    if spec.name != wanted:
        raise ValueError(
            f"{spec.name}(…): the task's models are made from {wanted}(…)"
            + (", or a BERT." if kind == "cmlm" else ".")
        )
    size = len(pieces.vocabulary)
    if kind == "cmlm":
        shape = BertConfig(vocabulary_size=size, **spec.arguments)
        return conditional_lm(shape, pieces, seed)
    return _seq2seq_model(seq2seq(size, **spec.arguments), pieces, seed)


def _seq2seq_model(
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


def in_groups(loaded: LoadedModel, num_groups: int) -> LoadedModel:
    """Let a conditional masked LM mask targets in so many passes.

    Other models are returned as they are.
    """
    model = loaded.model
    if not isinstance(model, ConditionalLM):
        return loaded
    model.config = dataclasses.replace(model.config, num_groups=num_groups)
    return dataclasses.replace(
        loaded, fingerprint=fingerprint(named_weights(model), model.config)
    )
