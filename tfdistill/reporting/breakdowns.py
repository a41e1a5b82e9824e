"""Where models are right: by class, and by the length of an example."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from tfdistill.agreement import tokenizer_of
from tfdistill.assembly import load_for
from tfdistill.metrics import sentence_metrics
from tfdistill.records import RecordSet, read_feature
from tfdistill.replicas import OneDevice
from tfdistill.scoring import examine
from tfdistill.tasks import Task

_MOST_CLASSES = 20
_LENGTH_BINS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """Some of the records.

    Attributes:
        name: What they have in common.
        examples: How many they are.
        values: Of each model, by its name.
    """

    name: str
    examples: int
    values: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breakdown:
    """A metric on slices of the records.

    Attributes:
        title: What the slices and the numbers are.
        slices: In their order.
    """

    title: str
    slices: tuple[Slice, ...]


def break_down(
    folders: Mapping[str, pathlib.Path],
    records: RecordSet,
    task: Task,
    batch_size: int,
) -> list[Breakdown]:
    """Run models over records of sentences and look at slices of these.

    Args:
        folders: Model folders by the models' names.
        records: With labels, of a task of sentences or pairs.
        task: Theirs.
        batch_size: Examples in a batch.

    Returns:
        F1 by class, unless there are scores or more than 20 classes, and the
        task's own metric by length, in four parts of about equal size.

    Raises:
        ValueError: The records are of another task or have no labels, or a
            model does not fit them.
    """
    if "num_classes" not in records.identity:
        raise ValueError(
            f"{records.path} holds no sentences; there are breakdowns of "
            "classes and scores alone."
        )
    if records.schema.feature("labels") is None:
        raise ValueError(f"{records.path} holds no labels to compare with.")
    logits = {
        name: _logits(folder, records, task, batch_size)
        for name, folder in folders.items()
    }
    labels = read_feature(records, "labels").reshape(records.examples)
    lengths = read_feature(records, "input_mask").sum(axis=-1)
    found = [_by_length(logits, labels, lengths, task.best_metric)]
    names = records.identity["labels"]
    if 2 <= len(names) <= _MOST_CLASSES:
        found.insert(0, _by_class(logits, labels, names))
    return found


def _logits(
    folder: pathlib.Path, records: RecordSet, task: Task, batch_size: int
) -> np.ndarray:
    model = load_for(task, str(folder))
    tokenizer = tokenizer_of(records, model, "", True)
    return examine(
        model.model,
        model.parts,
        None,
        records,
        tokenizer,
        task,
        OneDevice(),
        batch_size=batch_size,
    )().rows["logits"]


def _by_class(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str]
) -> Breakdown:
    classes = list(range(len(names)))
    f1 = {
        model: precision_recall_fscore_support(
            labels, values.argmax(-1), labels=classes, zero_division=0.0
        )[2]
        for model, values in logits.items()
    }
    return Breakdown(
        title="F1 of each class",
        slices=tuple(
            Slice(
                name=names[c],
                examples=int((labels == c).sum()),
                values={model: float(f1[model][c]) for model in logits},
            )
            for c in classes
        ),
    )


def _by_length(
    logits: Mapping[str, np.ndarray],
    labels: np.ndarray,
    lengths: np.ndarray,
    metric: str,
) -> Breakdown:
    parts = np.quantile(lengths, np.linspace(0, 1, _LENGTH_BINS + 1)[1:-1])
    bins = np.searchsorted(np.unique(parts), lengths)
    slices = []
    for number in np.unique(bins):
        chosen = bins == number
        low, high = lengths[chosen].min(), lengths[chosen].max()
        values = {
            model: sentence_metrics(
                [metric],
                found[chosen, 0]
                if found.shape[1] == 1
                else found[chosen].argmax(-1),
                labels[chosen],
            )[metric]
            for model, found in logits.items()
        }
        slices.append(
            Slice(
                name=f"{low} to {high} tokens"
                if low < high
                else f"{low} tokens",
                examples=int(chosen.sum()),
                values=values,
            )
        )
    return Breakdown(
        title=f"{metric} by length of the example", slices=tuple(slices)
    )
