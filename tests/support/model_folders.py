"""Writes small model folders as other programs would.

Nothing here imports the package: the names and layouts are those published.
"""

import json
import pathlib
import re

import numpy as np
import safetensors.numpy
import tensorflow as tf


def write_google(
    folder: pathlib.Path, weights, settings, vocabulary, **changes
) -> pathlib.Path:
    """Write bert_config.json, a TF1 checkpoint of `weights`, vocab.txt.

    Args:
        folder: Made if it does not exist.
        weights: By their published names.
        settings: Of bert_config.json.
        vocabulary: Pieces.
        changes: More settings; None removes one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {k: v for k, v in (settings | changes).items() if v is not None}
    (folder / "bert_config.json").write_text(json.dumps(settings))
    write_vocabulary(folder, vocabulary)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.Variable(array, name=name)
            for name, array in weights.items()
        ]
        session.run([variable.initializer for variable in variables])
        saver = tf.compat.v1.train.Saver(variables)
        saver.save(session, str(folder / "bert_model.ckpt"))
    return folder


def write_hugging_face(
    folder: pathlib.Path, tensors, settings, vocabulary, **changes
) -> pathlib.Path:
    """Write config.json, model.safetensors and the tokenizer's files.

    Args:
        folder: Made if it does not exist.
        tensors: As Hugging Face has them.
        settings: Of config.json.
        vocabulary: Pieces, or pieces and merges.
        changes: More settings; None removes one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "model_type": "bert",
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-12,
        **settings,
        **changes,
    }
    settings = {k: v for k, v in settings.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(settings))
    if isinstance(vocabulary[0], str):
        write_vocabulary(folder, vocabulary)
    else:
        write_byte_pairs(folder, *vocabulary)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def write_vocabulary(folder: pathlib.Path, vocabulary) -> None:
    text = "".join(f"{piece}\n" for piece in vocabulary)
    (folder / "vocab.txt").write_text(text)


def write_byte_pairs(folder: pathlib.Path, pieces, merges) -> None:
    """Write vocab.json and merges.txt, as GPT-2 and RoBERTa have them."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(ids))
    lines = ["#version: 0.2", *merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")


def byte_pieces() -> list[str]:
    """Returns the pieces of the 256 bytes, as GPT-2 orders them.

    Visible characters of Latin-1 stand for themselves, the other bytes for
    those from U+0100 on.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [*map(chr, visible), *(chr(256 + i) for i in range(len(hidden)))]


def roberta_vocabulary(merges) -> list[str]:
    """Returns the pieces of a vocabulary laid out as RoBERTa's."""
    merged = [merge.replace(" ", "") for merge in merges]
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    return [*specials, *byte_pieces(), *merged, "<mask>"]


def roberta_tensors(weights, *, pad_id=1, prefix="roberta."):
    """Returns `weights`, by BERT's published names, as RoBERTa has them."""
    names = {
        "cls.predictions.transform.dense": "lm_head.dense",
        "cls.predictions.transform.LayerNorm": "lm_head.layer_norm",
        "cls.predictions.bias": "lm_head.bias",
    }
    if "classifier/kernel" in weights:
        names["classifier"] = "classifier.out_proj"
        names[f"{prefix}pooler.dense"] = "classifier.dense"
    tensors = _renamed(hugging_face_tensors(weights, prefix=prefix), names)
    name = f"{prefix}embeddings.position_embeddings.weight"
    unused = np.full((pad_id + 1, tensors[name].shape[1]), 9, np.float32)
    tensors[name] = np.concatenate([unused, tensors[name]])
    return tensors


def distilbert_tensors(weights, *, prefix="distilbert."):
    """Returns `weights`, by BERT's published names, as DistilBERT has them."""
    names = {
        "attention.self.query": "attention.q_lin",
        "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin",
        "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm",
        "intermediate.dense": "ffn.lin1",
        "output.dense": "ffn.lin2",
        "output.LayerNorm": "output_layer_norm",
        "encoder.layer": "transformer.layer",
        "cls.predictions.transform.dense": "vocab_transform",
        "cls.predictions.transform.LayerNorm": "vocab_layer_norm",
        "cls.predictions.bias": "vocab_projector.bias",
        f"{prefix}pooler.dense": "pre_classifier",
    }
    tensors = _renamed(hugging_face_tensors(weights, prefix=prefix), names)
    del tensors[f"{prefix}embeddings.token_type_embeddings.weight"]
    return tensors


def _renamed(tensors, names):
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in names.items():
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


def hugging_face_tensors(weights, *, prefix="bert.", old_norms=False):
    """Returns `weights`, by their published names, as Hugging Face has them."""
    tensors = {}
    for name, array in weights.items():
        new = name.replace("bert/", prefix, 1).replace("/", ".")
        new = re.sub(r"layer_(\d+)", r"layer.\1", new)
        new = new.replace("seq_relationship.output_", "seq_relationship.")
        new = new.replace("predictions.output_bias", "predictions.bias")
        new = re.sub(
            "seq_relationship.weights$", "seq_relationship.weight", new
        )
        if new.endswith("kernel"):
            new, array = new.replace("kernel", "weight"), array.T
        if new.endswith("_embeddings"):
            new += ".weight"
        if not old_norms:
            new = new.replace("gamma", "weight").replace("beta", "bias")
        # The writer takes memory as it lies.
        tensors[new] = np.ascontiguousarray(array)
    return tensors
