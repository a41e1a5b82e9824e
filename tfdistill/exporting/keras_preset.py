"""A keras-nlp preset, which keras-nlp loads without this toolkit."""

import pathlib
from typing import cast

import numpy as np

from tfdistill.exporting.examples import RealExamples
from tfdistill.models.formats import LoadedModel
from tfdistill.models.formats.preset import save_preset
from tfdistill.text.tokenizer import Tokenizer

USAGE = """import keras_nlp

model = keras_nlp.models.TextClassifier.from_preset("FOLDER")
model.predict(["a sentence", "another one"])  # logits
"""
_BATCH_SIZE = 32


def write(
    loaded: LoadedModel, folder: pathlib.Path, length: int, is_pair: bool
) -> None:
    """Write a preset; as `Format.write`."""
    save_preset(
        loaded.model,  # type: ignore[arg-type]
        cast(Tokenizer, loaded.tokenizer),
        parts=loaded.parts,
        path=folder,
    )


def run(folder: pathlib.Path, examples: RealExamples) -> np.ndarray:
    """Run the preset with keras-nlp; as `Format.run`."""
    import keras_hub

    model = keras_hub.models.TextClassifier.from_preset(
        str(folder.resolve()), preprocessor=None
    )
    names = {
        "token_ids": "input_ids",
        "padding_mask": "input_mask",
        "segment_ids": "segment_ids",
    }
    # RoBERTa and DistilBERT have no segments there.
    reads = {tensor.name for tensor in model.inputs}
    found = [
        model.predict_on_batch(
            {n: batch[ours] for n, ours in names.items() if n in reads}
        )
        for batch in examples.batches(_BATCH_SIZE)
    ]
    return np.concatenate(found)
