"""Real examples that an export is tried on, and what the model says of them."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfdistill.files import sha256_of
from tfdistill.models.bert import Bert
from tfdistill.records import RecordSet, read_feature
from tfdistill.tasks.glue import SentenceTask
from tfdistill.text.tables import read_table

MOST_EXAMPLES = 2000
INPUTS = ("input_ids", "input_mask", "segment_ids")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealExamples:
    """The first examples of a set of records, at most `MOST_EXAMPLES`.

    Attributes:
        features: int32 `[N, L]` each, by the names in `INPUTS`.
        labels: `[N]`, classes or scores; None where records have none.
        logits: float32 `[N, C]`, what our model says.
        texts: Of each example the sentence, or both; None unless a table
            was read.
    """

    features: dict[str, np.ndarray]
    labels: np.ndarray | None
    logits: np.ndarray
    texts: list[tuple[str, ...]] | None

    @property
    def length(self) -> int:
        """Tokens of an example, padding included."""
        return self.features["input_ids"].shape[1]

    def batches(self, size: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield batches of features; the last one may be smaller."""
        for i in range(0, len(self.logits), size):
            yield {n: x[i : i + size] for n, x in self.features.items()}


def read_examples(
    records: RecordSet,
    model: Bert,
    batch_size: int,
    table: tuple[SentenceTask, pathlib.Path] | None = None,
) -> RealExamples:
    """Read records of sentences, and run our model over them.

    Args:
        records: The records.
        model: The model.
        batch_size: Examples in a batch.
        table: The task and the table that the records were made from; its
            rows are the texts.

    Raises:
        ValueError: It is another table.
    """
    texts: list[tuple[str, ...]] | None = None
    if table is not None:
        task, path = table
        if sha256_of(path) != records.identity.get("table"):
            raise ValueError(
                f"{path} is not the table that {records.path} was made from."
            )
        columns = task.columns[records.identity["split"]]
        rows = read_table(path, columns)
        texts = [
            (row.first,) if row.second is None else (row.first, row.second)
            for _, row in zip(range(MOST_EXAMPLES), rows, strict=False)
        ]
    features = {
        name: read_feature(records, name)[:MOST_EXAMPLES] for name in INPUTS
    }
    labels = None
    if records.schema.feature("labels") is not None:
        labels = read_feature(records, "labels").reshape(-1)[:MOST_EXAMPLES]
    examples = RealExamples(
        features=features,
        labels=labels,
        logits=np.zeros([len(features["input_ids"]), 1]),
        texts=texts,
    )
    found = [
        model(
            {n: tf.constant(x) for n, x in batch.items()},
            reads=frozenset({"logits"}),
        )["logits"].numpy()
        for batch in examples.batches(batch_size)
    ]
    return dataclasses.replace(examples, logits=np.concatenate(found))


def predictions_of(logits: np.ndarray) -> np.ndarray:
    """Returns classes, or scores where there is one logit, `[N]`."""
    return logits[:, 0] if logits.shape[1] == 1 else logits.argmax(axis=-1)


def texts_of(examples: RealExamples) -> Sequence[tuple[str, ...]]:
    """Returns the texts.

    Raises:
        ValueError: No table was read.
    """
    if examples.texts is None:
        raise ValueError("Texts are needed, and there is no table.")
    return examples.texts
