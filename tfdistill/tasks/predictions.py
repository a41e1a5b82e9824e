"""Predictions as files: GLUE's layout, or a table of one's own."""

import pathlib
import zipfile
from typing import Any

import numpy as np

from tfdistill.files import write_atomically
from tfdistill.records import RecordSet
from tfdistill.tasks.glue import GLUE

ARCHIVE = "submission.zip"
_OWN_FILE = "predictions.tsv"
# The archive's bytes depend on the predictions alone.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_predictions(
    records: RecordSet, logits: np.ndarray, folder: str
) -> dict[str, Any]:
    """Write what a model says of records, in their order.

    Tasks of GLUE have a file with the columns `index` and `prediction` and
    the name that the benchmark asks for; all such files of the folder are
    put in `submission.zip`. Predictions of another split than the test split
    are no part of it: their file is named `SST-2.dev.tsv`. Other tasks have `predictions.tsv`, with a
    column of probabilities for each class.

    Args:
        records: Of one task.
        logits: float `[N, C]`; of scores `[N, 1]`.
        folder: Made if it does not exist.

    Returns:
        `predictions`, the file, and of GLUE's test splits `submission`, the
        archive, with `submission_lacks`: files that it does not hold yet.

    Raises:
        OSError: They cannot be written.
    """
    identity = records.identity
    labels = identity["labels"]
    is_submitted = identity["submission"] and identity["split"] == "test"
    path = pathlib.Path(folder) / (identity["submission"] or _OWN_FILE)
    if identity["submission"] and not is_submitted:
        path = path.with_suffix(f".{identity['split']}.tsv")
    header = ["index", "prediction"]
    if labels:
        columns = [[labels[i] for i in logits.argmax(-1)]]
    else:
        low, high = identity["score_range"] or (-np.inf, np.inf)
        columns = [[f"{x:.3f}" for x in logits[:, 0].clip(low, high)]]
    if labels and not identity["submission"]:
        header += [f"probability of {label}" for label in labels]
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        odds /= odds.sum(-1, keepdims=True)
        columns += [[f"{x:.6f}" for x in column] for column in odds.T]
    rows = zip(*columns, strict=True)
    lines = ["\t".join(header)]
    lines += ["\t".join([str(i), *row]) for i, row in enumerate(rows)]
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
    written: dict[str, Any] = {"predictions": str(path)}
    if is_submitted:
        written |= _archive(path.parent)
    return written


def _archive(folder: pathlib.Path) -> dict[str, Any]:
    names = sorted(t.submission for t in GLUE.values() if t.submission)
    present = [name for name in names if (folder / name).exists()]
    with (
        write_atomically(folder / ARCHIVE) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in present:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder / name).read_bytes())
    return {
        "submission": str(folder / ARCHIVE),
        "submission_lacks": [name for name in names if name not in present],
    }
