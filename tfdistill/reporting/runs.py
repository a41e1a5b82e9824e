"""Finished runs, read back from their folders."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfdistill.files import read_json
from tfdistill.models.formats.settings import require

_MODEL_FILES = (
    "model.json",
    "model.safetensors",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "words.txt",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a run directory says of a run that has ended.

    Attributes:
        path: The folder.
        config: All that the result depends on.
        result: What the command printed.
        flags: Lines of the flagfile that repeats the run.
        history: Lines of metrics.jsonl: `step`, `kind` and scalars.
        bytes_on_disk: Of the files that the model needs.
    """

    path: pathlib.Path
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    flags: tuple[str, ...]
    history: tuple[Mapping[str, Any], ...]
    bytes_on_disk: int

    @property
    def command(self) -> str:
        """The command that made it."""
        return "distill" if "teacher" in self.config else "finetune"

    @property
    def metric(self) -> str:
        """Name of the task's own metric."""
        return self.result["best_metric"]

    @property
    def score(self) -> float | None:
        """The metric on held-out records, None if there were none."""
        value = self.result["eval"].get(self.metric)
        return value if isinstance(value, int | float) else None

    def flag(self, name: str) -> str:
        """Returns the value of a flag, "" if the flagfile has none."""
        prefix = f"--{name}="
        found = [f for f in self.flags if f.startswith(prefix)]
        return found[-1].removeprefix(prefix) if found else ""

    def curve(self, kind: str, metric: str) -> list[tuple[int, float]]:
        """Returns steps and values of a metric, in their order."""
        return [
            (line["step"], line[metric])
            for line in self.history
            if line["kind"] == kind and metric in line
        ]


def find_runs(paths: Iterable[str]) -> list[FinishedRun]:
    """Read run directories, or all finished ones below a folder.

    Args:
        paths: Folders. One that is no run is gone through for runs, as a
            sweep's is.

    Returns:
        The runs, each once, in the order in which they are given; those
        below a folder by name.

    Raises:
        ValueError: There is no such folder, no finished run in it, or a file
            of a run is damaged.
    """
    found: dict[pathlib.Path, FinishedRun] = {}
    for name in paths:
        path = pathlib.Path(name)
        if not path.is_dir():
            raise ValueError(f"There is no run directory {path}.")
        if (path / "result.json").exists():
            folders = [path]
        elif (path / "config.json").exists():
            raise ValueError(
                f"{path} is a run that has not finished: it has no result.json."
            )
        else:
            folders = [p.parent for p in sorted(path.rglob("result.json"))]
        if not folders:
            raise ValueError(f"{path} holds no finished run (result.json).")
        for folder in folders:
            found.setdefault(folder.resolve(), _read(folder))
    return list(found.values())


def _read(folder: pathlib.Path) -> FinishedRun:
    result = read_json(folder / "result.json")
    config = read_json(folder / "config.json")
    require(
        folder / "result.json",
        result,
        ("eval", "best_metric", "higher_is_better", "parameters", "steps"),
    )
    require(folder / "config.json", config, ("task", "student", "objectives"))
    if not isinstance(result["eval"], dict):
        raise ValueError(f"{folder / 'result.json'}: eval is no object.")
    return FinishedRun(
        path=folder,
        config=config,
        result=result,
        flags=tuple(_text(folder / "run.flags").splitlines()),
        history=tuple(_history(folder / "metrics.jsonl")),
        bytes_on_disk=sum(
            (folder / name).stat().st_size
            for name in _MODEL_FILES
            if (folder / name).exists()
        ),
    )


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} cannot be decoded."
        ) from None


def _history(path: pathlib.Path) -> list[Mapping[str, Any]]:
    lines = []
    for number, text in enumerate(_text(path).splitlines(), 1):
        try:
            line = json.loads(text)
            if not isinstance(line["step"], int) or "kind" not in line:
                raise KeyError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"{path}: line {number} is not a step's metrics."
            ) from None
        lines.append(line)
    return lines
