"""A SavedModel that takes text: the tokenizer is inside."""

import pathlib

import numpy as np
import tensorflow as tf

from tfdistill.exporting.examples import RealExamples, texts_of
from tfdistill.exporting.text_graph import tokenize_in_graph
from tfdistill.models.formats import LoadedModel
from tfdistill.text.word_pieces import WordPiece

USAGE = """import tensorflow as tf
import tensorflow_text  # its operations are in the graph

serve = tf.saved_model.load("FOLDER").signatures["serving_default"]
serve(text=tf.constant(["a sentence", "another one"]))  # pairs: also pair=…
"""
_BATCH_SIZE = 32


def write(
    loaded: LoadedModel, folder: pathlib.Path, length: int, is_pair: bool
) -> None:
    """Write it; as `Format.write`.

    Its signature takes `text`, of pairs also `pair`, strings `[B]`. It gives
    `logits` `[B, C]`; of classes `probabilities` `[B, C]` and, where they
    have names, `label` `[B]`; of scores `score` `[B]`.

    Raises:
        ValueError: The tokenizer is not of WordPieces.
    """
    tokenizer, model = loaded.tokenizer, loaded.model
    if not isinstance(tokenizer, WordPiece):
        raise ValueError(
            "--format=saved_model is for WordPiece vocabularies; there are "
            "no byte-level BPE operations to put in its graph."
        )
    labels = tf.constant(loaded.labels) if loaded.labels else None
    names = ("text", "pair") if is_pair else ("text",)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name=name) for name in names
        ]
    )
    def serve(*texts: tf.Tensor) -> dict[str, tf.Tensor]:
        features = tokenize_in_graph(tokenizer, texts, length)
        logits = model(features, reads=frozenset({"logits"}))["logits"]
        if loaded.model.config.num_classes == 1:
            return {"logits": logits, "score": logits[:, 0]}
        found = {"logits": logits, "probabilities": tf.nn.softmax(logits)}
        if labels is not None:
            found["label"] = tf.gather(labels, tf.argmax(logits, axis=-1))
        return found

    module = tf.Module()
    module.serve = serve
    # Keras's own containers are not followed.
    module.weights = [v.value for v in model.variables]  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(folder), signatures=serve)


def run(folder: pathlib.Path, examples: RealExamples) -> np.ndarray:
    """Run the loaded signature on texts; as `Format.run`."""
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    texts = texts_of(examples)
    found = []
    for i in range(0, len(texts), _BATCH_SIZE):
        columns = list(zip(*texts[i : i + _BATCH_SIZE], strict=True))
        given = dict(zip(("text", "pair"), columns, strict=False))
        outputs = serve(**{n: tf.constant(x) for n, x in given.items()})
        found.append(outputs["logits"].numpy())
    return np.concatenate(found)
