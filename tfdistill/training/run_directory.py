"""A run's folder: configuration, checkpoints, summaries and metrics.

    config.json run.flags checkpoints/ summaries/{train,eval}/
    metrics.jsonl result.json

The model's own files are put beside them when the run ends.
"""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfdistill.files import (
    holds_anything,
    read_json,
    write_atomically,
    write_json,
)
from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.training.summaries import Summaries

State = Mapping[str, keras.Variable]


def find_result(
    path: str | pathlib.Path, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns the result of a run, None while it is not finished or begun.

    Raises:
        ValueError: The folder holds another run or something else.
    """
    path = pathlib.Path(path)
    stored = path / "config.json"
    if stored.exists():
        as_stored = json.loads(json.dumps(config))
        _refuse_other(read_json(stored), as_stored, path)
    elif path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected a folder for a run.")
    elif path.exists() and holds_anything(path):
        raise ValueError(f"{path} is not empty and holds no run.")
    result = path / "result.json"
    return read_json(result) if result.exists() else None


class RunDirectory:
    """Opens a run's folder, new or to go on with."""

    def __init__(
        self,
        path: str,
        *,
        config: Mapping[str, Any],
        flag_lines: list[str],
        keep_checkpoint_max: int,
    ) -> None:
        """Make the folder, or check that it holds this very run.

        Args:
            path: The folder.
            config: Everything that the run's result depends on, as JSON
                values.
            flag_lines: The flagfile that repeats the run.
            keep_checkpoint_max: Checkpoints kept; 0: one, and none once the
                run is finished.

        Raises:
            ValueError: The folder holds another run or something else.
        """
        self.path = pathlib.Path(path)
        self._keep = keep_checkpoint_max
        config = json.loads(json.dumps(config))
        find_result(path, config)
        # First of all: what follows may fail where a disk is full.
        if not (self.path / "config.json").exists():
            write_json(self.path / "config.json", config)
        if not (self.path / "run.flags").exists():
            with write_atomically(self.path / "run.flags") as temporary:
                temporary.write_text("\n".join(flag_lines) + "\n")
        self.checkpoints = self.path / "checkpoints"
        self.checkpoints.mkdir(exist_ok=True)
        self.best = self.checkpoints / "best.safetensors"
        for partial in self.checkpoints.glob(".*.partial"):
            partial.unlink()  # left behind by a kill
        self._summaries = Summaries(self.path / "summaries", config, flag_lines)

    @property
    def result(self) -> dict[str, Any] | None:
        """What the finished run returned; None while it is not finished."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Store the result, which marks the run as finished."""
        write_json(self.path / "result.json", result)
        if not self._keep:
            shutil.rmtree(self.checkpoints)

    def latest_checkpoint(self) -> pathlib.Path | None:
        """Returns the newest checkpoint, or None."""
        found = sorted(self.checkpoints.glob("step-*.safetensors"))
        return found[-1] if found else None

    def save_checkpoint(
        self, state: State, step: int, notes: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint and remove the oldest ones."""
        path = self.checkpoints / f"step-{step:09d}.safetensors"
        save_state(path, state, {"step": step, **notes})
        found = sorted(self.checkpoints.glob("step-*.safetensors"))
        for old in found[: -max(1, self._keep)]:
            old.unlink()

    def record(
        self, kind: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Add a line to metrics.jsonl and scalars to TensorBoard.

        Args:
            kind: `train` or `eval`.
            step: Steps done.
            metrics: Scalars by name.
        """
        line = json.dumps({"step": step, "kind": kind, **metrics})
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(line + "\n")
        self._summaries.scalars(kind, step, metrics)

    def record_text(self, step: int, name: str, markdown: str) -> None:
        """Show a text of an evaluation in TensorBoard."""
        self._summaries.text("eval", step, name, markdown)

    def rewind(self, step: int) -> None:
        """Drop metrics of steps after `step`, which will be run again."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text("utf-8", "replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                break  # a line cut by a kill is the last one
        with write_atomically(path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))

    def close(self) -> None:
        """Close the summary files."""
        self._summaries.close()


def save_state(
    path: pathlib.Path, state: State, notes: Mapping[str, Any]
) -> None:
    """Write variables and notes to one file.

    Raises:
        FloatingPointError: A variable is not finite.
    """
    arrays = {name: np.asarray(variable) for name, variable in state.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(
                f"{name} is not finite, so {path} is not written: training "
                "stopped. Try a smaller learning rate."
            )
    save_tensors(path, arrays, {"notes": json.dumps(notes)})


def load_state(path: pathlib.Path, state: State) -> dict[str, Any]:
    """Read variables back from a file; returns its notes.

    Raises:
        ValueError: The file is damaged, or a variable is missing, new or
            of another shape; the message names it.
    """
    tensors, metadata = load_tensors(path, needs_checksums=True)
    for name, variable in state.items():
        if name not in tensors:
            raise ValueError(f"{path} lacks {name}.")
        if tensors[name].shape != tuple(variable.shape):
            raise ValueError(
                f"{path}: {name} has shape {tensors[name].shape}, expected "
                f"{tuple(variable.shape)}."
            )
    extra = set(tensors) - set(state)
    if extra:
        raise ValueError(f"{path} holds {min(extra)}, which is not known.")
    if "notes" not in metadata:
        raise ValueError(f"{path} is no checkpoint: it has no notes.")
    for name, variable in state.items():
        variable.assign(tensors[name])
    return json.loads(metadata["notes"])


def _refuse_other(
    stored: dict[str, Any], config: Mapping[str, Any], path: pathlib.Path
) -> None:
    # A model folder of another program may have a config.json too.
    if stored.keys().isdisjoint(config):
        raise ValueError(f"{path} is not empty and holds no run.")
    for name in sorted({*stored, *config}):
        if stored.get(name) != config.get(name):
            raise ValueError(
                f"{path} holds a run with {name}={_short(stored.get(name))}, "
                f"not {_short(config.get(name))}. Choose another --run_dir, or remove it."
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"
