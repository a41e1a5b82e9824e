"""The features of the records of each kind of task."""

from collections.abc import Sequence

from tfdistill.records.feature import Feature

_MOST_CHARACTERS = 1 << 30


def input_features(
    max_seq_length: int, vocabulary_size: int
) -> tuple[Feature, ...]:
    """Returns the features that every model reads, by BERT's names."""
    return (
        Feature(
            name="input_ids",
            length=max_seq_length,
            limit=vocabulary_size,
            mask="input_mask",
            axes=("L",),
        ),
        Feature(
            name="segment_ids",
            length=max_seq_length,
            limit=2,
            is_step=True,
            within="input_ids",
            axes=("L",),
        ),
    )


def masked_lm_features(
    *,
    max_seq_length: int,
    max_predictions_per_seq: int,
    vocabulary_size: int,
    is_masked: bool,
    has_next_sentence: bool,
) -> tuple[Feature, ...]:
    """Returns the features of masked-LM records, by BERT's names.

    `max_predictions_per_seq` counts where `is_masked`; examples that are
    masked during training hold no masks.
    """
    features: Sequence[Feature] = input_features(
        max_seq_length, vocabulary_size
    )
    if is_masked:
        features = [
            *features,
            Feature(
                name="masked_lm_positions",
                length=max_predictions_per_seq,
                limit=max_seq_length,
                mask="masked_lm_weights",
                mask_is_float=True,
                axes=("P",),
            ),
            Feature(
                name="masked_lm_ids",
                length=max_predictions_per_seq,
                limit=vocabulary_size,
                axes=("P",),
            ),
        ]
    if has_next_sentence:
        features = [
            *features,
            Feature(name="next_sentence_labels", length=0, limit=2),
        ]
    return tuple(features)


def causal_features(
    max_seq_length: int, vocabulary_size: int, *, is_conditional: bool = False
) -> tuple[Feature, ...]:
    """Returns the features of texts for language models.

    For conditional ones `segment_ids` is 1 in what they predict.
    """
    ids, segments = input_features(max_seq_length, vocabulary_size)
    return (
        *((ids, segments) if is_conditional else (ids,)),
        Feature(name="num_characters", length=0, limit=_MOST_CHARACTERS),
        Feature(name="num_words", length=0, limit=_MOST_CHARACTERS),
    )


def sentence_features(
    max_seq_length: int,
    vocabulary_size: int,
    num_classes: int,
    *,
    has_labels: bool,
    num_words: int = 0,
    is_pair: bool = False,
) -> tuple[Feature, ...]:
    """Returns the features of labelled sentences or pairs.

    Args:
        max_seq_length: Tokens of an example, at most.
        vocabulary_size: Pieces.
        num_classes: Classes; 1: labels are scores.
        has_labels: Whether `labels` is there: a class, or a float32 score.
        num_words: Whole words in the vocabulary of these; 0: examples hold
            pieces alone.
        is_pair: Whether words are those of two sentences; `word_segments`
            is 1 in the second.
    """
    features = input_features(max_seq_length, vocabulary_size)
    if num_words:
        features += (
            Feature(
                name="word_ids",
                length=max_seq_length,
                limit=num_words,
                mask="word_mask",
                axes=("L",),
            ),
        )
    if num_words and is_pair:
        features += (
            Feature(
                name="word_segments",
                length=max_seq_length,
                limit=2,
                is_step=True,
                within="word_ids",
                axes=("L",),
            ),
        )
    if not has_labels:
        return features
    limit = 0 if num_classes == 1 else num_classes
    return (*features, Feature(name="labels", length=0, limit=limit))


def pair_features(
    max_source_length: int,
    max_target_length: int,
    vocabulary_size: int,
    num_pairs: int,
) -> tuple[Feature, ...]:
    """Returns the features of texts and what is to be written of them.

    The places of a target are what models predict, as masked positions are.

    Args:
        max_source_length: Pieces of a source, at most.
        max_target_length: Pieces of a target, at most, its end included.
        vocabulary_size: Pieces that both share.
        num_pairs: Pairs that examples are numbered by.
    """
    return (
        Feature(
            name="input_ids",
            length=max_source_length,
            limit=vocabulary_size,
            mask="input_mask",
            axes=("L",),
        ),
        Feature(
            name="target_ids",
            length=max_target_length,
            limit=vocabulary_size,
            mask="masked_lm_weights",
            mask_is_float=True,
            axes=("P",),
        ),
        Feature(name="pair_numbers", length=0, limit=num_pairs),
    )
