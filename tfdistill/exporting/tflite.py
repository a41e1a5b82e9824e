"""TFLite: one example of fixed length at a time, ids in, logits out."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tfdistill.exporting.examples import INPUTS, RealExamples
from tfdistill.exporting.files import write_beside
from tfdistill.models.formats import LoadedModel
from tfdistill.progress import Progress

USAGE = """from ai_edge_litert.interpreter import Interpreter

run = Interpreter(model_path="FOLDER/model.tflite").get_signature_runner()
# int32 [1, LENGTH] each: ids, 1 for tokens and 0 for padding, segments.
run(input_ids=ids, input_mask=mask, segment_ids=segments)["logits"]
"""
_FILE = "model.tflite"


def write(
    loaded: LoadedModel, folder: pathlib.Path, length: int, is_pair: bool
) -> None:
    """Write a model of float32; as `Format.write`."""
    _write(loaded, folder, length, [])


def write_int8(
    loaded: LoadedModel, folder: pathlib.Path, length: int, is_pair: bool
) -> None:
    """Write a model with 8 bits a weight; as `Format.write`.

    Activations are quantised when it runs (dynamic range).
    """
    _write(loaded, folder, length, [tf.lite.Optimize.DEFAULT])


def _write(
    loaded: LoadedModel,
    folder: pathlib.Path,
    length: int,
    optimizations: list[tf.lite.Optimize],
) -> None:
    model = loaded.model

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, length], tf.int32, name=name) for name in INPUTS
        ]
    )
    def serve(*features: tf.Tensor) -> dict[str, tf.Tensor]:
        named = dict(zip(INPUTS, features, strict=True))
        return {"logits": model(named, reads=frozenset({"logits"}))["logits"]}

    module = tf.Module()
    module.serve = serve
    # Keras's own containers are not followed.
    module.weights = [v.value for v in model.variables]  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as temporary:
        tf.saved_model.save(module, temporary, signatures=serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(temporary)
        converter.optimizations = optimizations
        content = converter.convert()
    folder.mkdir()
    (folder / _FILE).write_bytes(content)
    write_beside(loaded, folder)


def run(folder: pathlib.Path, examples: RealExamples) -> np.ndarray:
    """Run it with LiteRT's interpreter; as `Format.run`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / _FILE))
    runner = interpreter.get_signature_runner()
    found = []
    with Progress(
        "trying the export", len(examples.logits), unit=" examples"
    ) as progress:
        for batch in examples.batches(1):
            found.append(runner(**batch)["logits"])
            progress.advance(1)
    return np.concatenate(found)
