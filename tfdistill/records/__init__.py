"""Record sets: schema, teacher knowledge, shards and their manifest."""

from tfdistill.records.batches import (
    Batch,
    evaluation_batches,
    read_feature,
    serialized_batches,
    training_batches,
)
from tfdistill.records.distributions import (
    DISTRIBUTION,
    Distribution,
    truncate,
)
from tfdistill.records.examples import (
    causal_features,
    masked_lm_features,
    pair_features,
    sentence_features,
)
from tfdistill.records.feature import Feature
from tfdistill.records.knowledge import (
    KNOWLEDGE,
    Codec,
    Shapes,
    drawn_pieces,
    make_codec,
    stored_pieces,
)
from tfdistill.records.manifest import check_identity
from tfdistill.records.output_layer import HEAD_STATES, OutputLayer
from tfdistill.records.record_set import RecordSet, open_record_set
from tfdistill.records.schema import Schema
from tfdistill.records.token_batches import check_budget, token_batches
from tfdistill.records.writer import RecordSetWriter

__all__ = [
    "DISTRIBUTION",
    "HEAD_STATES",
    "KNOWLEDGE",
    "Batch",
    "Codec",
    "Distribution",
    "Feature",
    "OutputLayer",
    "RecordSet",
    "RecordSetWriter",
    "Schema",
    "Shapes",
    "causal_features",
    "check_budget",
    "check_identity",
    "drawn_pieces",
    "evaluation_batches",
    "make_codec",
    "masked_lm_features",
    "open_record_set",
    "pair_features",
    "read_feature",
    "sentence_features",
    "serialized_batches",
    "stored_pieces",
    "token_batches",
    "training_batches",
    "truncate",
]
