"""The formats: how each is written, and how it is run as others would."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from tfdistill.exporting import keras_preset, onnx, saved_model, tflite
from tfdistill.exporting.examples import RealExamples
from tfdistill.models.formats import LoadedModel


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that models are exported to.

    Attributes:
        write: From a model, a folder and the length of examples to files in
            the folder.
        run: From the folder and examples to logits `[N, C]`, by what is in
            the folder alone.
        is_exact: Whether the export computes what the model does, up to
            rounding.
        reads_text: Whether it takes texts, not ids.
        usage: How it is loaded, in lines of Python.
    """

    write: Callable[[LoadedModel, pathlib.Path, int, bool], None]
    run: Callable[[pathlib.Path, RealExamples], np.ndarray]
    is_exact: bool
    reads_text: bool
    usage: str


FORMATS: dict[str, Format] = {
    "preset": Format(
        keras_preset.write,
        keras_preset.run,
        is_exact=True,
        reads_text=False,
        usage=keras_preset.USAGE,
    ),
    "saved_model": Format(
        saved_model.write,
        saved_model.run,
        is_exact=True,
        reads_text=True,
        usage=saved_model.USAGE,
    ),
    "tflite": Format(
        tflite.write,
        tflite.run,
        is_exact=True,
        reads_text=False,
        usage=tflite.USAGE,
    ),
    "tflite_int8": Format(
        tflite.write_int8,
        tflite.run,
        is_exact=False,
        reads_text=False,
        usage=tflite.USAGE,
    ),
    "onnx": Format(
        onnx.write,
        onnx.run,
        is_exact=True,
        reads_text=False,
        usage=onnx.USAGE,
    ),
}
