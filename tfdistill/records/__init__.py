"""Record sets: schema, teacher knowledge, shards and their manifest."""

from tfdistill.records.batches import (
    Batch,
    evaluation_batches,
    read_feature,
    training_batches,
)
from tfdistill.records.knowledge import (
    KNOWLEDGE,
    Codec,
    Distribution,
    make_codec,
    stored_pieces,
    truncate,
)
from tfdistill.records.record_set import RecordSet, open_record_set
from tfdistill.records.schema import Feature, Schema, masked_lm_features
from tfdistill.records.writer import RecordSetWriter

__all__ = [
    "KNOWLEDGE",
    "Batch",
    "Codec",
    "Distribution",
    "Feature",
    "RecordSet",
    "RecordSetWriter",
    "Schema",
    "evaluation_batches",
    "make_codec",
    "masked_lm_features",
    "open_record_set",
    "read_feature",
    "stored_pieces",
    "training_batches",
    "truncate",
]
