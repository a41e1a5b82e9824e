"""keras-nlp's presets, for `keras_hub.models.BertMaskedLM.from_preset`.

    config.json      model.weights.h5   the encoder, for BERT with its pooler
    task.json        task.weights.h5    the masked-LM head or the classifier
    tokenizer.json   assets/tokenizer/  the vocabulary, and merges
    pooler.safetensors                  ours, what keras-nlp has no place for:
    next_sentence.safetensors           a pooler without a classifier, NSP,
    span.safetensors                    and what finds answers

RoBERTa and DistilBERT have no segments there: the one row that stands for all
is added to the positions' rows.

keras-nlp is imported where it is needed, as that takes seconds.
"""

import os
import pathlib
import shutil
from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from tfdistill.files import read_json, write_atomically
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.families import (
    FAMILIES,
    ROBERTA,
    Family,
    family_of,
)
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.preset_names import canonical_name
from tfdistill.models.formats.settings import (
    check_switches,
    choose,
    make_config,
    one_dropout,
)
from tfdistill.models.formats.tokenizer import warn_of_accents
from tfdistill.models.weights import (
    PARTS,
    Weights,
    named_weights,
    parts_in,
    weight_shapes,
)
from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.text.byte_pairs import BytePair, in_order, parse_merges
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.word_pieces import WordPiece

_CONFIG = "config.json"
_TASK = "task.json"
_TASK_WEIGHTS = "task.weights.h5"
_TOKENIZER = "tokenizer.json"
# What follows a family's name in the classes of keras-nlp, by our heads.
_TASKS = {"masked_lm": "MaskedLM", "classifier": "TextClassifier"}
_BESIDE = {
    "pooler": "pooler.safetensors",
    "next_sentence": "next_sentence.safetensors",
    "span": "span.safetensors",
}
_SHAPE_FIELDS = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "dropout",
    "max_sequence_length",
)
_POSITIONS = "bert/embeddings/position_embeddings"
_SEGMENTS = "bert/embeddings/token_type_embeddings"


def save_preset(
    model: Bert,
    tokenizer: Tokenizer,
    *,
    parts: Collection[str],
    path: str | os.PathLike[str],
) -> None:
    """Write a preset that keras-nlp loads without this toolkit.

    With a masked-LM head it is one of `BertMaskedLM`, with a classifier of
    `BertTextClassifier`, else of `BertBackbone`; or the same of RoBERTa or
    DistilBERT. An older preset under `path` is replaced. As keras-nlp knows
    no BERT without a pooler, zeros stand for one that is not among the
    parts.

    Args:
        model: The model, with the conventions that keras-nlp has.
        tokenizer: What makes text into its ids.
        parts: Keys of `models.weights.PARTS`: those that hold more than
            random weights.
        path: The folder.

    Raises:
        ValueError: The model has other conventions, or the folder holds
            something else.
        OSError: It cannot be written.
    """
    family = _family_for(model.config, tokenizer, parts)
    folder = pathlib.Path(path)
    is_old = folder.is_dir() and _matches(folder)
    if folder.exists() and not is_old:
        raise ValueError(f"{folder} exists and is no keras-nlp preset.")
    with write_atomically(folder) as temporary:
        weights = named_weights(model, parts)
        _save(temporary, family, model.config, weights, tokenizer)
        beside = {"next_sentence", "span"} & set(parts)
        if not family.has_pooler and "classifier" not in parts:
            beside |= {"pooler"} & set(parts)
        for part in beside:
            save_tensors(
                temporary / _BESIDE[part], named_weights(model, (part,)), {}
            )
        if is_old:
            shutil.rmtree(folder)


def _family_for(
    config: BertConfig, tokenizer: Tokenizer, parts: Collection[str]
) -> Family:
    for family in FAMILIES:
        if isinstance(tokenizer, family.tokenizer) and not family.misfit(
            config, parts
        ):
            return family
    raise ValueError(family_of(tokenizer, config).misfit(config, parts))


def _save(
    path: pathlib.Path,
    family: Family,
    config: BertConfig,
    weights: Weights,
    tokenizer: Tokenizer,
) -> None:
    fields = {name: getattr(config, name) for name in _SHAPE_FIELDS}
    if family.has_segments:
        fields["num_segments"] = config.num_segments
    else:
        positions = weights[_POSITIONS] + weights[_SEGMENTS]
        weights = weights | {_POSITIONS: positions}
    if family.has_pooler:
        shapes = weight_shapes(config, ("pooler",))
        zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
        weights = zeros | weights
    text = _keras_tokenizer(family, tokenizer)
    saved: Any = _keras_class(family, "Backbone")(**fields)
    for part, task in _TASKS.items():
        if part in parts_in(weights):
            preprocessor = _keras_class(family, f"{task}Preprocessor")(
                text, sequence_length=config.max_sequence_length
            )
            of_head = {}
            if part == "classifier":
                of_head = {
                    "num_classes": config.num_classes,
                    "dropout": config.dropout,
                }
            saved = _keras_class(family, task)(
                saved, preprocessor=preprocessor, **of_head
            )
            break
    else:
        text.save_to_preset(str(path))
    for name, variable in _variables(saved).items():
        # Heads have an axis of their own there.
        variable.assign(weights[name].reshape(variable.shape))
    saved.save_to_preset(str(path))


def _keras_class(family: Family, kind: str) -> Any:
    import keras_hub

    return getattr(keras_hub.models, f"{family.name}{kind}")


def _keras_tokenizer(family: Family, tokenizer: Tokenizer) -> Any:
    kind = _keras_class(family, "Tokenizer")
    if isinstance(tokenizer, BytePair):
        return kind(
            {piece: i for i, piece in enumerate(tokenizer.vocabulary)},
            [" ".join(merge) for merge in tokenizer.merges],
            **tokenizer.settings,
        )
    is_uncased = tokenizer.settings["do_lower_case"]
    return kind(
        list(tokenizer.vocabulary),
        lowercase=is_uncased,
        strip_accents=is_uncased,
    )


def _read(folder: pathlib.Path) -> ModelContents:
    path = folder / _CONFIG
    settings = read_json(path)
    known = {f"{family.name}Backbone": family for family in FAMILIES}
    family = choose(path, settings, "class_name", "", known)
    kind = "Backbone"
    if (folder / _TASK).exists() and (folder / _TASK_WEIGHTS).exists():
        named = read_json(folder / _TASK).get("class_name")
        for task in _TASKS.values():
            if named == f"{family.name}{task}":
                kind = task
    # Keras names what is wrong in all kinds of exceptions, over many lines.
    # A relative path can be the name of one that keras-nlp would download.
    place = str(folder.resolve())
    try:
        model = _keras_class(family, kind).from_preset(place, dtype="float32")
        text = _keras_class(family, "Tokenizer").from_preset(place)
    except Exception as error:
        cause = " ".join(str(error).split())
        raise ValueError(
            f"{folder} cannot be read as a keras-nlp preset: {cause}"
        ) from None
    fields = _fields_of(folder, family, model, kind)
    config = make_config(path, fields)
    weights = _weights_of(model, family, config)
    for name in _BESIDE.values():
        if (folder / name).exists():
            weights |= load_tensors(folder / name)[0]
    return ModelContents(
        config=config,
        weights=weights,
        tokenizer=_tokenizer_of(folder / _TOKENIZER, family, text),
        source=str(folder),
    )


def _fields_of(
    folder: pathlib.Path, family: Family, model: keras.Model, kind: str
) -> dict[str, Any]:
    """Returns the fields of `BertConfig` that a model of keras-nlp has."""
    backbone = model if kind == "Backbone" else model.backbone
    fields = {name: getattr(backbone, name) for name in _SHAPE_FIELDS}
    fields["num_segments"] = 1
    if family.has_segments:
        fields["num_segments"] = backbone.num_segments
    if kind == _TASKS["classifier"]:
        fields["num_classes"] = model.num_classes
        fields["dropout"] = one_dropout(
            folder / _TASK,
            backbone.dropout,
            {"its classifier": model.dropout},
        )
        activation = keras.activations.serialize(model.activation)
        # Of the probabilities of classes the logits are the same.
        if activation not in ("linear", "softmax"):
            raise ValueError(
                f"{folder / _TASK}: unknown activation {activation!r} of a "
                "classifier. Known: linear, softmax."
            )
        dim = getattr(model, "hidden_dim", backbone.hidden_dim)
        if dim != backbone.hidden_dim:
            raise ValueError(
                f"{folder / _TASK}: a classifier's hidden_dim={dim} has to "
                f"be that of the encoder, {backbone.hidden_dim}."
            )
    return fields | family.conventions


def _weights_of(
    model: keras.Model, family: Family, config: BertConfig
) -> Weights:
    shapes = weight_shapes(config, PARTS)
    weights = {
        name: keras.ops.convert_to_numpy(variable).reshape(shapes[name])
        for name, variable in _variables(model).items()
    }
    if not family.has_segments:
        weights[_SEGMENTS] = np.zeros(shapes[_SEGMENTS], np.float32)
    pooler = weight_shapes(config, ("pooler",))
    if not any(weights[name].any() for name in pooler if name in weights):
        weights = {n: w for n, w in weights.items() if n not in pooler}
    return weights


def _tokenizer_of(path: pathlib.Path, family: Family, text: Any) -> Tokenizer:
    switches = ("lowercase", "add_prefix_space")
    check_switches(
        path, {n: getattr(text, n, False) for n in switches}, switches
    )
    if family is ROBERTA:
        return BytePair(
            in_order(text.vocabulary, path),
            parse_merges(text.merges, path),
            add_prefix_space=text.add_prefix_space,
            source=str(path),
        )
    strips = {"strip_accents": text.strip_accents}
    warn_of_accents(path, text.lowercase, strips)
    return WordPiece(
        text.get_vocabulary(), do_lower_case=text.lowercase, source=str(path)
    )


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {canonical_name(v.path): v for v in model.weights}


def _matches(folder: pathlib.Path) -> bool:
    path = folder / _CONFIG
    return path.exists() and "class_name" in read_json(path)


READER = Reader(
    looks_for=f"{_CONFIG} with a class_name", matches=_matches, read=_read
)
