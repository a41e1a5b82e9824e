"""Students: made from a spec such as `bert(num_layers=4, hidden_dim=312)`.

Every new BERT has the conventions that keras-nlp has for its family,
whatever its teacher's, so that it can be saved as a preset. The tokenizer
says which family that is, and for `teacher_layers` the pooler.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

from tfdistill.config import Spec, parse_spec
from tfdistill.models.bert import PRETRAINING_HEADS, Bert
from tfdistill.models.causal import LanguageModel
from tfdistill.models.causal.specs import LANGUAGE_MODELS
from tfdistill.models.configuration import BertConfig
from tfdistill.models.families import family_of
from tfdistill.models.formats import LoadedModel
from tfdistill.models.from_folder import NO_WORDS, load_student
from tfdistill.models.generators import (
    load_generator,
    make_generator,
    seq2seq,
)
from tfdistill.models.kinds import KINDS, kind_of
from tfdistill.models.pruning import PRUNINGS, prune
from tfdistill.models.weights import (
    Weights,
    assign_weights,
    fingerprint,
    named_weights,
    of_parts,
    parts_in,
)
from tfdistill.models.words.students import WORD_STUDENTS, WordStudent
from tfdistill.text.causal import CausalTokenizer
from tfdistill.text.shared_pieces import SharedPieces
from tfdistill.text.tokenizer import Pieces, Tokenizer
from tfdistill.text.words import Words

_LAYER = "bert/encoder/layer_"
_TABLES = "bert/embeddings/"


@dataclasses.dataclass(frozen=True)
class _Start:
    """A configuration and the weights that are not drawn at random."""

    config: BertConfig
    weights: Weights


def bert(
    vocabulary_size: int,
    teacher: LoadedModel | None,
    *,
    num_layers: int = 12,
    hidden_dim: int = 768,
    num_heads: int = 0,
    intermediate_dim: int = 0,
    dropout: float = 0.1,
    max_sequence_length: int = 512,
) -> _Start:
    """Start from random weights; the arguments are those of `BertConfig`."""
    config = BertConfig(
        vocabulary_size=vocabulary_size,
        num_layers=num_layers,
        hidden_dim=hidden_dim,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
        dropout=dropout,
        max_sequence_length=max_sequence_length,
    )
    return _Start(config, {})


def teacher_layers(
    vocabulary_size: int,
    teacher: LoadedModel | None,
    *,
    layers: list[int],
    embeddings: bool = True,
    heads: bool = True,
    hidden_dim: int = 0,
    intermediate_dim: int = 0,
    pruning: str = "",
) -> _Start:
    """Start from chosen layers of the teacher, in the widths it has or less.

    Args:
        vocabulary_size: Pieces of the vocabulary.
        teacher: The teacher.
        layers: The teacher's layers to copy, counted from 0, first to last.
        embeddings: Whether its embeddings are copied.
        heads: Whether its pooler and heads are copied, as far as it has
            them.
        hidden_dim: Width of the hidden states; 0: the teacher's.
        intermediate_dim: Width of the feed-forward layers; 0: as many times
            the hidden states' as the teacher's.
        pruning: What is kept where a width is less than the teacher's, see
            `prune`; it has to be chosen then.

    Raises:
        ValueError: A layer does not exist, a width cannot be had, or there
            is no teacher.
    """
    if teacher is None:
        raise ValueError("teacher_layers(…) needs a teacher to copy from.")
    theirs = teacher.model.config
    if not isinstance(theirs, BertConfig):
        raise ValueError(
            "teacher_layers(…) copies from a BERT, and the teacher is a "
            f"{kind_of(theirs)}."
        )
    if not isinstance(layers, list | tuple) or not layers:
        raise ValueError(f"layers={layers} is not a list such as [0, 2, 4].")
    for layer in layers:
        if type(layer) is not int or not 0 <= layer < theirs.num_layers:
            raise ValueError(
                f"layers={layers} names layer {layer}; the teacher's are "
                f"0 to {theirs.num_layers - 1}."
            )
    copied = named_weights(teacher.model, teacher.parts)
    hidden_dim = hidden_dim or theirs.hidden_dim
    intermediate_dim = intermediate_dim or (
        theirs.intermediate_dim * hidden_dim // theirs.hidden_dim
    )
    if (hidden_dim, intermediate_dim) != (
        theirs.hidden_dim,
        theirs.intermediate_dim,
    ):
        if not pruning:
            raise ValueError(
                f"teacher_layers(hidden_dim={hidden_dim}, intermediate_dim="
                f"{intermediate_dim}) is not as wide as the teacher "
                f"({theirs.hidden_dim}, {theirs.intermediate_dim}): choose "
                f"pruning={' or '.join(PRUNINGS)}."
            )
        copied, theirs = prune(
            copied,
            theirs,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            pruning=pruning,
        )
    config = dataclasses.replace(
        BertConfig(),
        **{
            field: getattr(theirs, field)
            for field in (
                "vocabulary_size",
                "hidden_dim",
                "num_heads",
                "intermediate_dim",
                "dropout",
                "max_sequence_length",
                "num_segments",
                "pooler_activation",
                "num_classes",
            )
        },
        num_layers=len(layers),
    )
    weights = {}
    for name, array in copied.items():
        if name.startswith(_LAYER):
            index, inner = name.removeprefix(_LAYER).split("/", 1)
            for i, layer in enumerate(layers):
                if layer == int(index):
                    weights[f"{_LAYER}{i}/{inner}"] = array
        elif embeddings if name.startswith(_TABLES) else heads:
            weights[name] = array
    return _Start(config, weights)


STUDENTS: dict[str, Callable[..., Any]] = {
    "bert": bert,
    "teacher_layers": teacher_layers,
    "seq2seq": seq2seq,
    **WORD_STUDENTS,
    **LANGUAGE_MODELS,
}


def needs_teacher(spec_or_path: str) -> bool:
    """Returns whether a student is made from its teacher's weights."""
    return not _is_folder(spec_or_path) and (
        parse_spec(spec_or_path, STUDENTS).name == "teacher_layers"
    )


def build_student(
    spec_or_path: str,
    *,
    tokenizer: Pieces,
    teacher: LoadedModel | None,
    seed: int,
    heads: Collection[str] = PRETRAINING_HEADS,
    num_classes: int = 0,
    classes: Sequence[Sequence[str]] = (),
    words: Words | None = None,
    kind: str = "",
) -> LoadedModel:
    """Make a student from a spec, or load one from a folder.

    Args:
        spec_or_path: A spec by `STUDENTS`, or a model folder.
        tokenizer: Of the records to be trained on.
        teacher: Where `teacher_layers` copies from.
        seed: Of the random weights.
        heads: Heads that it is to have.
        num_classes: Of a classifier; 0: as a loaded or copied one's, or 2.
            One of another number is not loaded or copied.
        classes: The names that each class of a loaded one is to go by, in
            the order that they are to have.
        words: The words of the records, if they hold some.
        kind: Of the models of a task, see `Task.kind`. For a `cmlm`, a BERT
            or its shape is what one starts from.

    Returns:
        The model. Its `parts` are those with weights copied or loaded; the
        `fingerprint` of a new model covers all weights, random ones too.

    Raises:
        ValueError: The spec is wrong, the folder cannot be loaded, or its
            vocabulary is another than the tokenizer's, or its classes have
            other names.
    """
    if kind:
        # The records of these tasks have no other pieces.
        pieces = cast(SharedPieces, tokenizer)
        if _is_folder(spec_or_path):
            return load_generator(spec_or_path, pieces, seed, kind)
        return make_generator(_parse(spec_or_path), pieces, seed, kind)
    if _is_folder(spec_or_path):
        return load_student(
            spec_or_path,
            tokenizer=tokenizer,
            words=words,
            heads=heads,
            num_classes=num_classes,
            classes=classes,
            seed=seed,
        )
    spec = _parse(spec_or_path)
    if isinstance(tokenizer, CausalTokenizer):
        return _of_language(spec, tokenizer, seed)
    if spec.name in LANGUAGE_MODELS:
        raise ValueError(
            f"{spec.name} is a language model: it is trained with "
            "--task=causal_lm, on records that are made with "
            "--records_for=causal_lm."
        )
    if spec.name == "seq2seq":
        raise ValueError(
            "seq2seq writes texts: it is trained with --task=translation or "
            "--task=summarisation."
        )
    if spec.name in WORD_STUDENTS:
        if words is None:
            raise ValueError(NO_WORDS.format(spec.name))
        made = WORD_STUDENTS[spec.name](words, seed, **spec.arguments)
        return _of_words(made, words, seed, num_classes, spec_or_path)
    start = STUDENTS[spec.name](
        len(tokenizer.vocabulary), teacher, **spec.arguments
    )
    family = family_of(cast(Tokenizer, tokenizer), start.config)
    fields = family.conventions
    if not (start.weights or family.has_segments):
        fields["num_segments"] = 1
    config = dataclasses.replace(
        start.config,
        **fields,
        num_classes=num_classes or start.config.num_classes,
    )
    model = Bert(config, seed, heads)
    parts = model.parts
    if config.num_classes != start.config.num_classes:
        parts -= {"classifier"}
    copied = of_parts(start.weights, parts)
    weights = named_weights(model) | copied
    assign_weights(model, weights, source=spec_or_path)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        parts=parts_in(copied),
        fingerprint=fingerprint(weights, config),
    )


def _of_language(
    spec: Spec, tokenizer: CausalTokenizer, seed: int
) -> LoadedModel:
    if spec.name not in LANGUAGE_MODELS:
        raise ValueError(
            f"{spec.name} is no language model, which records of causal_lm "
            f"are for. Known: {', '.join(LANGUAGE_MODELS)}."
        )
    config = LANGUAGE_MODELS[spec.name](
        len(tokenizer.vocabulary), **spec.arguments
    )
    model = LanguageModel(config, seed)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        parts=frozenset(),
        fingerprint=fingerprint(named_weights(model), config),
    )


def _of_words(
    start: WordStudent, words: Words, seed: int, num_classes: int, spec: str
) -> LoadedModel:
    config = dataclasses.replace(
        start.config, num_classes=num_classes or start.config.num_classes
    )
    model = KINDS[kind_of(config)].make(config, seed)
    weights = named_weights(model)
    if start.vectors is not None:
        tables = [name for name in weights if name.endswith("/table")]
        weights |= dict.fromkeys(tables, start.vectors)
        assign_weights(model, weights, source=spec)
    return LoadedModel(
        model=model,
        tokenizer=words,
        parts=frozenset(),
        fingerprint=fingerprint(weights, config),
    )


def _parse(spec: str) -> Spec:
    if not re.match(r"\s*\w*\s*(\(|$)", spec):
        raise ValueError(
            f"There is no model folder {spec}, and nothing is downloaded. A "
            f"new model is one of {', '.join(sorted(STUDENTS))}."
        )
    return parse_spec(spec, STUDENTS)


def _is_folder(spec_or_path: str) -> bool:
    # The arguments of a spec may be paths, too.
    if re.fullmatch(r"\s*\w+\s*\(.*\)\s*", spec_or_path, re.DOTALL):
        return os.path.isdir(spec_or_path)
    return os.sep in spec_or_path or os.path.isdir(spec_or_path)
