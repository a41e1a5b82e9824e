"""Tables with a teacher's logits beside the sentences, one column a class.

The columns are logits_0, logits_1 and so on. As in every TSV here nothing is
quoted, so a quote is a character like any other.

Reference: the tables that the code of Tang et al., 2019, joins and reads.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping

import numpy as np

from tfdistill.files import StrPath
from tfdistill.records import RecordSet, evaluation_batches
from tfdistill.text.tables import Columns, Row, read_header

_NAME = re.compile(r"logits_\d+")
_ROWS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class LogitColumns:
    """Where a table has the logits of each class.

    Attributes:
        path: The table, for messages.
        places: Numbers of the columns, by class.
    """

    path: str
    places: tuple[int, ...]

    def of(self, row: Row) -> np.ndarray:
        """Returns the logits of a row, float32 `[C]`.

        Raises:
            ValueError: One is no finite number; the message names the line.
        """
        cells = [row.cells[place] for place in self.places]
        try:
            logits = np.array([float(cell) for cell in cells], np.float32)
            is_finite = bool(np.isfinite(logits).all())
        except ValueError:
            is_finite = False
        if not is_finite:
            raise ValueError(
                f"{self.path}: line {row.line}: the logits "
                f"{', '.join(cells)} are not finite numbers."
            )
        return logits


def logit_names(num_classes: int) -> tuple[str, ...]:
    """Returns the names of the columns."""
    return tuple(f"logits_{i}" for i in range(num_classes))


def find_logit_columns(
    path: StrPath, columns: Columns, num_classes: int
) -> LogitColumns | None:
    """Find the columns of logits; None where a table has none.

    Raises:
        ValueError: They are not those of the task's classes.
        OSError: The table cannot be read.
    """
    names = read_header(path, columns) or ()
    found = [name for name in names if _NAME.fullmatch(name)]
    if not found:
        return None
    wanted = logit_names(num_classes)
    if sorted(found) != sorted(wanted):
        raise ValueError(
            f"{path} has the columns {', '.join(found)}, but the task has "
            f"{', '.join(wanted)}."
        )
    return LogitColumns(str(path), tuple(names.index(name) for name in wanted))


class RecordedLogits:
    """The logits of records, found by what an example's inputs are."""

    def __init__(self, records: RecordSet) -> None:
        """Read all of them.

        Raises:
            ValueError: The records hold no logits of classes.
        """
        if records.schema.feature("teacher_logits") is None:
            raise ValueError(
                f"{records.path} holds no logits of classes: its features "
                f"are {', '.join(f.name for f in records.schema.features)}."
            )
        self._path = records.path
        self._by_key: dict[bytes, np.ndarray] = {}
        size = min(records.examples, _ROWS_AT_ONCE)
        for batch in evaluation_batches(
            records, batch_size=size, process_slice=(0, size)
        ):
            rows = {name: batch[name].numpy() for name in _KEYS}
            logits = batch["teacher_logits"].numpy()
            for n, is_real in enumerate(batch["is_real_example"].numpy()):
                if is_real:
                    key = _key({name: x[n] for name, x in rows.items()})
                    self._by_key.setdefault(key, logits[n])

    def of(self, ids: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """Returns the logits of an example, float32 `[C]`.

        Args:
            ids: Its `input_ids` without padding, integers `[length]`.
            segments: Its `segment_ids`, `[length]`.

        Raises:
            KeyError: There is no example with these inputs.
        """
        values = {
            "input_ids": ids.astype(np.int32),
            "input_mask": np.ones(len(ids), np.int32),
            "segment_ids": segments.astype(np.int32),
        }
        return self._by_key[_key(values)]


_KEYS = ("input_ids", "input_mask", "segment_ids")


def _key(row: Mapping[str, np.ndarray]) -> bytes:
    length = int(row["input_mask"].sum())
    content = b"".join(row[n][:length].tobytes() for n in _KEYS)
    return hashlib.blake2b(content, digest_size=16).digest()


def as_cells(logits: np.ndarray) -> Iterator[str]:
    """Yield logits as text that reads back as the same float32."""
    return (str(value) for value in logits.astype(np.float32))
