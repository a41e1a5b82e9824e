"""What TensorBoard shows of a run.

Scalars stand in groups: `loss` with the total and each objective, `optimizer`,
`speed` and `metrics`. Texts are the configuration, the flags and, as the run
goes on, some predictions.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

_OF_THE_OPTIMIZER = ("gradient_norm", "learning_rate", "loss_scale")


def tag_of(kind: str, name: str) -> str:
    """Returns the tag of a scalar, its group in front.

    Args:
        kind: `train` or `eval`.
        name: As in metrics.jsonl.
    """
    if name == "loss":
        return "loss/total"
    if name.endswith("_per_second"):
        return f"speed/{name}"
    if name in _OF_THE_OPTIMIZER:
        return f"optimizer/{name}"
    if kind == "train" or name.endswith("_loss"):
        return f"loss/{name}"
    return f"metrics/{name}"


class Summaries:
    """Writes event files, one folder below `path` for each kind."""

    def __init__(
        self,
        path: pathlib.Path,
        config: Mapping[str, Any],
        flag_lines: Sequence[str],
    ) -> None:
        """Nothing is written yet.

        Args:
            path: The folder.
            config: All that the run's result depends on.
            flag_lines: The flagfile that repeats the run.
        """
        self._path = path
        self._texts = {
            "config": json.dumps(config, indent=1),
            "flags": "\n".join(flag_lines),
        }
        self._writers: dict[str, Any] = {}

    def scalars(
        self, kind: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Write scalars of a step."""
        writer = self._writer(kind)
        with writer.as_default(step):
            for name, value in metrics.items():
                tf.summary.scalar(tag_of(kind, name), value)
        writer.flush()

    def text(self, kind: str, step: int, name: str, markdown: str) -> None:
        """Write a text of a step."""
        writer = self._writer(kind)
        with writer.as_default(step):
            tf.summary.text(name, markdown)
        writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, kind: str) -> Any:
        if kind not in self._writers:
            writer = tf.summary.create_file_writer(str(self._path / kind))
            self._writers[kind] = writer
            if kind == "train":
                for name, text in self._texts.items():
                    self.text(kind, 0, name, f"```\n{text}\n```")
        return self._writers[kind]
