"""Google's format: BERT as it was published, a TensorFlow 1 checkpoint.

It holds a pre-trained model, or one made from that: a classifier, or what
finds answers in a text.

bert_config.json   vocab.txt
bert_model.ckpt.index   bert_model.ckpt.data-00000-of-00001
"""

import pathlib
import re

import numpy as np
import tensorflow as tf

from tfdistill.files import read_json
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.settings import (
    choose,
    make_config,
    one_dropout,
    shape_fields,
)
from tfdistill.models.formats.tokenizer import find_tokenizer
from tfdistill.models.weights import PARTS, PRETRAINING_PARTS, Weights

_CONFIG = "bert_config.json"
_CHECKPOINT = "bert_model.ckpt"
# The published code computes gelu by its tanh approximation.
_ACTIVATIONS = {
    "gelu": "gelu_tanh",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
# Of run_classifier.py and run_squad.py; those of pre-training are canonical.
_HEADS = {
    "output_weights": "classifier/kernel",
    "output_bias": "classifier/bias",
    "cls/squad/output_weights": "span/kernel",
    "cls/squad/output_bias": "span/bias",
}
_NOT_OF_THE_MODEL = re.compile(r"(/adam_[mv]|^global_step)$")


def _read(folder: pathlib.Path) -> ModelContents:
    return ModelContents(
        config=_read_config(folder / _CONFIG),
        weights=_read_checkpoint(folder / _CHECKPOINT),
        tokenizer=find_tokenizer(folder),
        source=str(folder / _CHECKPOINT),
    )


def _read_config(path: pathlib.Path) -> BertConfig:
    settings = read_json(path)
    activation = choose(path, settings, "hidden_act", "gelu", _ACTIVATIONS)
    return make_config(
        path,
        {
            **shape_fields(path, settings),
            "dropout": one_dropout(
                path,
                settings.get("hidden_dropout_prob", 0.1),
                {"attention": settings.get("attention_probs_dropout_prob")},
            ),
            "num_segments": settings.get("type_vocab_size", 16),
            "activation": activation,
            "layer_norm_epsilon": 1e-12,
            "head_activation": activation,
            "head_layer_norm_epsilon": 1e-12,
        },
    )


def _read_checkpoint(path: pathlib.Path) -> Weights:
    index = path.with_name(path.name + ".index")
    if not index.exists():
        raise ValueError(
            f"{path.parent} has {_CONFIG} but no {index.name}; a checkpoint "
            f"of another name has to be renamed to {_CHECKPOINT}."
        )
    prefixes = tuple(p for part in PRETRAINING_PARTS for p in PARTS[part])
    weights: Weights = {}
    try:
        checkpoint = tf.train.load_checkpoint(str(path))
        for name in checkpoint.get_variable_to_shape_map():
            if _NOT_OF_THE_MODEL.search(name):
                continue
            if not name.startswith(prefixes) and name not in _HEADS:
                raise ValueError(f"{path} holds the unexpected {name}.")
            array = np.asarray(checkpoint.get_tensor(name))
            canonical = _HEADS.get(name, name)
            if name in _HEADS and canonical.endswith("/kernel"):
                array = array.T
            weights[canonical] = array.astype(np.float32, copy=False)
    # A cut file is an IndexError there.
    except (tf.errors.OpError, RuntimeError, IndexError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read: {cause}.") from None
    return weights


READER = Reader(
    looks_for=_CONFIG,
    matches=lambda folder: (folder / _CONFIG).exists(),
    read=_read,
)
