"""Compares our BERT with Hugging Face's on the weights of one folder.

    python benchmarks/parity_hugging_face.py --model=FOLDER

FOLDER is a Hugging Face folder of BERT. The same random tokens, with padding
and two segments, go through both; the largest differences over real tokens
are printed as one line of JSON. Expect less than 1e-4 everywhere, and about
1e-5 in the hidden states. It takes seconds.

torch and transformers need not be installed beside tfdistill: with
`--write=FILE.npz` the torch half runs alone and writes its outputs, with
`--read=FILE.npz` the other half compares itself with them.
"""

import argparse
import json
from typing import Any

import numpy as np

BATCH, LENGTH, POSITIONS = 4, 48, 8


def make_features(vocabulary_size: int) -> dict[str, np.ndarray]:
    """Returns random tokens `[B, L]` of differing lengths."""
    draw = np.random.default_rng(7)
    lengths = np.array([LENGTH, LENGTH // 2, LENGTH - 5, 9])
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    ids = draw.integers(1, vocabulary_size, (BATCH, LENGTH)) * mask
    segments = (np.arange(LENGTH) >= lengths[:, None] // 2) * mask
    positions = draw.integers(0, lengths[:, None], (BATCH, POSITIONS))
    return {
        "input_ids": ids.astype(np.int32),
        "input_mask": mask,
        "segment_ids": segments.astype(np.int32),
        "masked_lm_positions": positions.astype(np.int32),
    }


def run_torch(model: str) -> dict[str, np.ndarray]:
    """Returns Hugging Face's hidden states and, with a head, logits."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(model)
    has_head = "BertForMaskedLM" in (config.architectures or ())
    kind = transformers.BertForMaskedLM if has_head else transformers.BertModel
    network = kind.from_pretrained(
        model, attn_implementation="eager", dtype=torch.float32
    ).eval()
    features = make_features(config.vocab_size)
    with torch.no_grad():
        outputs = network(
            input_ids=torch.tensor(features["input_ids"]).long(),
            attention_mask=torch.tensor(features["input_mask"]).long(),
            token_type_ids=torch.tensor(features["segment_ids"]).long(),
            output_hidden_states=True,
        )
    results = {
        f"hidden_states_{i}": state.numpy()
        for i, state in enumerate(outputs.hidden_states)
    }
    if has_head:
        rows = np.arange(BATCH)[:, None]
        logits = outputs.logits.numpy()
        results["logits"] = logits[rows, features["masked_lm_positions"]]
    else:
        results["pooled"] = outputs.pooler_output.numpy()
    return results


def run_ours(model: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the same of ours, and the mask `[B, L]` of real tokens."""
    import tensorflow as tf

    from tfdistill.models.formats import load_model

    loaded = load_model(model)
    features = make_features(loaded.model.config.vocabulary_size)
    reads = frozenset({"hidden_states", "pooled", "logits"})
    outputs = loaded.model(
        {name: tf.constant(array) for name, array in features.items()},
        reads=reads,
    )
    states = outputs.pop("hidden_states")
    results = {name: array.numpy() for name, array in outputs.items()}
    results |= {
        f"hidden_states_{i}": state.numpy() for i, state in states.items()
    }
    return results, features["input_mask"].astype(bool)


def compare(model: str, theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the largest absolute difference of every output."""
    ours, mask = run_ours(model)
    result: dict[str, Any] = {"model": model}
    for name, array in theirs.items():
        difference = np.abs(ours[name] - array)
        if name.startswith("hidden_states"):
            difference = difference[mask]
        result[name] = float(difference.max())
    return result


def main() -> None:
    """Parse the arguments and run both halves, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--write")
    parser.add_argument("--read")
    arguments = parser.parse_args()
    if arguments.read:
        with np.load(arguments.read) as file:
            theirs = dict(file)
    else:
        theirs = run_torch(arguments.model)
    if arguments.write:
        np.savez(arguments.write, **theirs)
        return
    print(json.dumps(compare(arguments.model, theirs)))


if __name__ == "__main__":
    main()
