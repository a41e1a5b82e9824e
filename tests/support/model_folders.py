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
    """Write config.json, model.safetensors and vocab.txt."""
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
    write_vocabulary(folder, vocabulary)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def write_vocabulary(folder: pathlib.Path, vocabulary) -> None:
    text = "".join(f"{piece}\n" for piece in vocabulary)
    (folder / "vocab.txt").write_text(text)


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
