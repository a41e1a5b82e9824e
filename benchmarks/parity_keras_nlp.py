"""Compares our BERT with keras-nlp's on the real weights of one folder.

    python -m benchmarks.parity_keras_nlp --model=FOLDER

The weights of any folder that `--teacher` takes are put into a model with
the conventions that keras-nlp has for its family (BERT, RoBERTa, DistilBERT),
saved as a preset and loaded by keras-nlp alone. The same random tokens, with
padding and, for BERT, two segments, go through both; the largest differences
over real tokens are printed as one line of JSON. Expect less than 1e-5
relative to the largest value. It takes seconds.
"""

import argparse
import dataclasses
import json
import tempfile
from typing import cast

import keras_hub
import numpy as np
import tensorflow as tf

from benchmarks.parity_hugging_face import make_features
from tfdistill.models.bert import Bert
from tfdistill.models.families import family_of
from tfdistill.models.formats import load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.weights import assign_weights, named_weights
from tfdistill.text.tokenizer import Tokenizer


def main() -> None:
    """Load, save, load again and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    loaded = load_model(parser.parse_args().model)
    tokenizer = cast(Tokenizer, loaded.tokenizer)
    family = family_of(tokenizer, loaded.model.config)
    config = dataclasses.replace(loaded.model.config, **family.conventions)
    ours = Bert(config)
    assign_weights(
        ours,
        named_weights(loaded.model, loaded.parts),
        source="the model",
        parts=loaded.parts,
    )
    features = make_features(config.vocabulary_size)
    tensors = {name: tf.constant(x) for name, x in features.items()}
    reads = frozenset({"logits", "pooled", "hidden_states"})
    found = ours(tensors, reads=reads)
    with tempfile.TemporaryDirectory() as folder:
        save_preset(
            ours,
            tokenizer,
            parts=loaded.parts,
            path=f"{folder}/preset",
        )
        kind = getattr(keras_hub.models, f"{family.name}Backbone")
        backbone = kind.from_preset(f"{folder}/preset")
        inputs = {
            "token_ids": features["input_ids"],
            "padding_mask": features["input_mask"],
        }
        if family.has_segments:
            inputs["segment_ids"] = features["segment_ids"]
        theirs = backbone(inputs)
        if not family.has_pooler:
            theirs = {"sequence_output": theirs}
        real = features["input_mask"].astype(bool)
        pairs = {
            "sequence_output": (
                found["hidden_states"][config.num_layers].numpy()[real],
                np.asarray(theirs["sequence_output"])[real],
            )
        }
        if "pooler" in loaded.parts and family.has_pooler:
            pairs["pooled_output"] = (
                found["pooled"].numpy(),
                np.asarray(theirs["pooled_output"]),
            )
        if "masked_lm" in loaded.parts:
            kind = getattr(keras_hub.models, f"{family.name}MaskedLM")
            task = kind.from_preset(f"{folder}/preset")
            logits = task(
                {**inputs, "mask_positions": features["masked_lm_positions"]}
            )
            pairs["logits"] = (found["logits"].numpy(), np.asarray(logits))
    print(
        json.dumps(
            {
                name: {
                    "difference": float(np.abs(a - b).max()),
                    "largest_value": float(np.abs(b).max()),
                }
                for name, (a, b) in pairs.items()
            }
        )
    )


if __name__ == "__main__":
    main()
