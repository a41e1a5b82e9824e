"""Compares our BERT with Hugging Face's on the weights of one folder.

    python benchmarks/parity_hugging_face.py --model=FOLDER

FOLDER is a Hugging Face folder of BERT, RoBERTa or DistilBERT, with a
masked-LM head, a classifier or neither. The same random tokens, with padding
and, for BERT, two segments, go through both; the largest differences over
real tokens are printed as one line of JSON. Expect less than 1e-4
everywhere, and about 1e-5 in the hidden states. It takes seconds.

With `--text=FILE` its lines go through both tokenizers, and the number of
lines with other ids is printed as well. Expect 0, unless lines spell a special
piece, which is text to us.

torch and transformers need not be installed beside tfdistill: with
`--write=FILE.npz` the torch half runs alone and writes its outputs, with
`--read=FILE.npz` the other half compares itself with them.
"""

import argparse
import json
import pathlib
from typing import Any, cast

import numpy as np

BATCH, LENGTH, POSITIONS = 4, 48, 8
# RoBERTa counts positions by what is not padding, so that is no token.
FIRST_ID = 2


def make_features(vocabulary_size: int) -> dict[str, np.ndarray]:
    """Returns random tokens `[B, L]` of differing lengths."""
    draw = np.random.default_rng(7)
    lengths = np.array([LENGTH, LENGTH // 2, LENGTH - 5, 9])
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    ids = draw.integers(FIRST_ID, vocabulary_size, (BATCH, LENGTH)) * mask
    segments = (np.arange(LENGTH) >= lengths[:, None] // 2) * mask
    positions = draw.integers(0, lengths[:, None], (BATCH, POSITIONS))
    return {
        "input_ids": ids.astype(np.int32),
        "input_mask": mask,
        "segment_ids": segments.astype(np.int32),
        "masked_lm_positions": positions.astype(np.int32),
    }


def read_lines(text: str) -> list[str]:
    """Returns the lines of a file."""
    return pathlib.Path(text).read_text("utf-8").split("\n")


def run_torch(model: str, text: str) -> dict[str, np.ndarray]:
    """Returns Hugging Face's hidden states and, with a head, logits.

    With a text also `ids`, of all lines in one row, and their `lengths`.
    """
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(model)
    (name, *_) = config.architectures or ["AutoModel"]
    if name.endswith("ForPreTraining"):
        name = name.replace("ForPreTraining", "ForMaskedLM")
    network = getattr(transformers, name)
    network = network.from_pretrained(
        model, attn_implementation="eager", dtype=torch.float32
    ).eval()
    features = make_features(config.vocab_size)
    segments = {}
    if config.model_type == "bert":
        segments["token_type_ids"] = torch.tensor(features["segment_ids"])
    with torch.no_grad():
        outputs = network(
            input_ids=torch.tensor(features["input_ids"]).long(),
            attention_mask=torch.tensor(features["input_mask"]).long(),
            output_hidden_states=True,
            **segments,
        )
    results = {
        f"hidden_states_{i}": state.numpy()
        for i, state in enumerate(outputs.hidden_states)
    }
    if "logits" in outputs:
        results["logits"] = outputs.logits.numpy()
        if name.endswith("ForMaskedLM"):
            rows = np.arange(BATCH)[:, None]
            positions = features["masked_lm_positions"]
            results["logits"] = results["logits"][rows, positions]
    elif "pooler_output" in outputs:
        results["pooled"] = outputs.pooler_output.numpy()
    if text:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        ids = [
            tokenizer(line, add_special_tokens=False)["input_ids"]
            for line in read_lines(text)
        ]
        results["ids"] = np.concatenate(ids).astype(np.int64)
        results["lengths"] = np.array([len(line) for line in ids])
    return results


def run_ours(
    model: str, is_classifier: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the same of ours, and the mask `[B, L]` of real tokens."""
    import tensorflow as tf

    from tfdistill.models.bert import PRETRAINING_HEADS
    from tfdistill.models.formats import load_model

    loaded = load_model(
        model, heads=("classifier",) if is_classifier else PRETRAINING_HEADS
    )
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


def count_lines_that_differ(
    model: str, text: str, theirs: dict[str, np.ndarray]
) -> int:
    """Returns the number of lines whose ids are others than theirs."""
    from tfdistill.models.formats import load_model
    from tfdistill.text.tokenizer import Tokenizer

    tokenizer = cast(Tokenizer, load_model(model).tokenizer)
    ours = tokenizer.tokenize(read_lines(text))
    ends = np.cumsum(theirs["lengths"])
    lines = np.split(theirs["ids"], ends[:-1])
    return sum(a != b.tolist() for a, b in zip(ours, lines, strict=True))


def compare(
    model: str, text: str, theirs: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the largest absolute difference of every output."""
    is_classifier = "logits" in theirs and theirs["logits"].ndim == 2
    ours, mask = run_ours(model, is_classifier)
    result: dict[str, Any] = {"model": model}
    if text:
        result["lines"] = len(theirs["lengths"])
        result["lines_that_differ"] = count_lines_that_differ(
            model, text, theirs
        )
    for name, array in theirs.items():
        if name in ("ids", "lengths"):
            continue
        difference = np.abs(ours[name] - array)
        if name.startswith("hidden_states"):
            difference = difference[mask]
        result[name] = float(difference.max())
    return result


def main() -> None:
    """Parse the arguments and run both halves, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", default="")
    parser.add_argument("--write")
    parser.add_argument("--read")
    arguments = parser.parse_args()
    if arguments.read:
        with np.load(arguments.read) as file:
            theirs = dict(file)
    else:
        theirs = run_torch(arguments.model, arguments.text)
    if arguments.write:
        np.savez(arguments.write, **theirs)
        return
    print(json.dumps(compare(arguments.model, arguments.text, theirs)))


if __name__ == "__main__":
    main()
