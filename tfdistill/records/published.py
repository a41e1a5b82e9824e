"""Records that BERT's and the source system's own scripts wrote.

They carry no manifest, so their schema is read off the first example.
"""

import dataclasses
import pathlib

import tensorflow as tf

from tfdistill.records.examples import input_features
from tfdistill.records.feature import Feature
from tfdistill.records.schema import Schema

# Ids fit in 31 bits; what the vocabulary's size is, these records don't say.
_ANY_ID = 1 << 31
_NEEDED = (
    "input_ids",
    "input_mask",
    "segment_ids",
    "masked_lm_positions",
    "masked_lm_ids",
    "masked_lm_weights",
)


def published_schema(path: pathlib.Path) -> tuple[Schema, str | None]:
    """Infer the schema of a shard in the published layout.

    Returns:
        The schema, and the spec of the teacher knowledge in it, if any:
        `top_k(k=…)` where truncated, `top_k(k=all)` where whole.

    Raises:
        ValueError: The file is damaged, or its examples are not masked-LM
            examples under BERT's names.
    """
    lengths = _first_example(path)
    # A feature without values is as good as none.
    missing = [name for name in _NEEDED if not lengths.get(name)]
    if missing:
        raise ValueError(
            f"{path}: no feature {missing[0]!r} in its first example. "
            f"Found: {', '.join(sorted(lengths)) or 'none'}."
        )
    length = lengths["input_ids"]
    slots = lengths["masked_lm_positions"]
    features = [
        *input_features(length, _ANY_ID),
        Feature(
            name="masked_lm_positions",
            length=slots,
            limit=length,
            mask="masked_lm_weights",
            mask_is_float=True,
        ),
        Feature(name="masked_lm_ids", length=slots, limit=_ANY_ID),
    ]
    if "next_sentence_labels" in lengths:
        features.append(Feature(name="next_sentence_labels", length=0, limit=2))
    knowledge = None
    if "top_k_indices" in lengths:
        size = lengths["top_k_indices"]
        if not size or size % slots:
            raise ValueError(
                f"{path}: 'top_k_indices' holds {size} values in its first "
                f"example, which do not divide among {slots} masked positions."
            )
        knowledge = f"top_k(k={size // slots})"
        features += [
            Feature(name="truncated_masked_lm_probs", length=size),
            Feature(name="top_k_indices", length=size, limit=_ANY_ID),
        ]
    elif "masked_lm_probs" in lengths:
        knowledge = "top_k(k=all)"
        features.append(
            Feature(name="masked_lm_probs", length=lengths["masked_lm_probs"])
        )
    return Schema(tuple(features), "plain"), knowledge


def with_vocabulary(schema: Schema, size: int) -> Schema:
    """Returns an inferred schema whose ids are those of a vocabulary."""
    features = tuple(
        dataclasses.replace(f, limit=size) if f.limit == _ANY_ID else f
        for f in schema.features
    )
    return dataclasses.replace(schema, features=features)


def _first_example(path: pathlib.Path) -> dict[str, int]:
    try:
        serialized = next(
            iter(tf.data.TFRecordDataset(str(path)).take(1))
        ).numpy()
        example = tf.train.Example.FromString(serialized)
    except StopIteration:
        raise ValueError(f"{path} holds no records.") from None
    except tf.errors.OpError:
        raise ValueError(
            f"{path} is no TFRecord file, or is cut or damaged at its start."
        ) from None
    except Exception:  # protobuf has its own exception per implementation
        raise ValueError(f"{path}: records are no tf.train.Example.") from None
    return {
        name: len(getattr(f, f.WhichOneof("kind")).value)
        for name, f in example.features.feature.items()
        if f.WhichOneof("kind")
    }
