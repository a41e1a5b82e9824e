"""ONNX: examples of any number and length, ids in, logits out.

Its packages are an extra of this one's, and imported where they are needed.
"""

import importlib
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.exporting.examples import INPUTS, RealExamples
from tfdistill.exporting.files import write_beside
from tfdistill.models.formats import LoadedModel

USAGE = """import onnxruntime

session = onnxruntime.InferenceSession("FOLDER/model.onnx")
# int32 [B, L] each: ids, 1 for tokens and 0 for padding, segments. L is at
# most LENGTH.
session.run(
    ["logits"], {"input_ids": ids, "input_mask": mask, "segment_ids": segments}
)
"""
_FILE = "model.onnx"
# The newest that tf2onnx writes without doubts about any operation here.
_OPSET = 17
_BATCH_SIZE = 32


def write(
    loaded: LoadedModel, folder: pathlib.Path, length: int, is_pair: bool
) -> None:
    """Write a model of float32; as `Format.write`.

    Raises:
        ValueError: The packages are not there.
    """
    tf2onnx = _needed("tf2onnx")
    model = loaded.model
    signature = [
        tf.TensorSpec([None, None], tf.int32, name=name) for name in INPUTS
    ]

    @tf.function(input_signature=signature)
    def serve(*features: tf.Tensor) -> dict[str, tf.Tensor]:
        named = dict(zip(INPUTS, features, strict=True))
        return {"logits": model(named, reads=frozenset({"logits"}))["logits"]}

    proto, _ = tf2onnx.convert.from_function(
        serve,
        input_signature=signature,
        opset=_OPSET,
        custom_op_handlers={"Erfc": (_as_erf, [])},
    )
    folder.mkdir()
    (folder / _FILE).write_bytes(proto.SerializeToString())
    write_beside(loaded, folder)


def run(folder: pathlib.Path, examples: RealExamples) -> np.ndarray:
    """Run it with ONNX Runtime; as `Format.run`."""
    session = _needed("onnxruntime").InferenceSession(
        str(folder / _FILE), providers=["CPUExecutionProvider"]
    )
    return np.concatenate(
        [
            session.run(["logits"], batch)[0]
            for batch in examples.batches(_BATCH_SIZE)
        ]
    )


def _as_erf(graph: Any, node: Any, name: str, arguments: Any) -> Any:
    """Make 1 - erf(x) of erfc(x), which gelu is of and ONNX does not have."""
    one = graph.make_const(f"{name}/one", np.array(1, np.float32))
    node.type = "Erf"
    graph.insert_new_node_on_output(
        "Sub",
        node.output[0],
        name=f"{name}/difference",
        inputs=[one.output[0], node.output[0]],
    )
    return node


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--format=onnx needs {error.name}, which is not installed: "
            "pip install onnx onnxruntime tf2onnx."
        ) from None
