"""A sweep's folder.

    base.flags               the flagfile that repeats the sweep
    <point>/<point>/…        the run directories, a level for each axis
    done/<point>+<point>.json  arguments and summaries of finished runs
    logs/<point>+<point>.log what runs wrote to stderr
    results.json table.md    all numbers, and the table

Without its file in `done` a run is done again.
"""

import fcntl
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from absl import logging

from tfdistill.files import (
    holds_anything,
    read_json,
    write_atomically,
    write_json,
)
from tfdistill.sweeps.plan import Run


class SweepDirectory:
    """Opens a sweep's folder, new or to go on with, for itself alone.

    Use it as a context manager.

    Attributes:
        path: The folder.
        base: The flagfile that all runs begin with.
        lock: File descriptor that locks the folder. Runs inherit it, so
            that those of a killed sweep hold the lock until they have ended.
    """

    def __init__(self, path: str, base_flags: Sequence[str]) -> None:
        """Make the folder, or check that it is a sweep's.

        Args:
            path: The folder.
            base_flags: Lines of the flagfile that repeats the sweep.

        Raises:
            ValueError: The folder holds something else, or another sweep is
                at work in it.
            OSError: It cannot be made.
        """
        self.path = pathlib.Path(path)
        self.base = self.path / "base.flags"
        if (
            self.path.is_dir()
            and holds_anything(self.path)
            and not self.base.exists()
        ):
            raise ValueError(f"{path} is not empty and holds no sweep.")
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.path, os.O_RDONLY)
        try:
            self._lock()
            (self.path / "done").mkdir(exist_ok=True)
            (self.path / "logs").mkdir(exist_ok=True)
            self._write("base.flags", "\n".join(base_flags) + "\n")
        except BaseException:
            os.close(self.lock)
            raise

    def run_dir(self, run: Run) -> pathlib.Path:
        """Returns the run directory of a run."""
        return self.path.joinpath(*run.points.values())

    def log_of(self, run: Run) -> pathlib.Path:
        """Returns the file for what a run writes to stderr."""
        return self.path / "logs" / f"{run.name}.log"

    def find_summary(self, run: Run) -> dict[str, Any] | None:
        """Returns the summary of a run, None unless it is finished.

        A run that was done with other arguments is not this one.

        Raises:
            ValueError: The file is damaged.
        """
        path = self._done(run)
        if not path.exists():
            return None
        stored = read_json(path)
        if stored.get("arguments") != list(run.settings):
            return None
        return stored.get("summary")

    def finish(self, run: Run, summary: Mapping[str, Any]) -> None:
        """Store the summary of a run, which marks it as finished."""
        write_json(
            self._done(run),
            {"arguments": run.settings, "summary": summary},
        )

    def write_results(
        self, results: Sequence[Mapping[str, Any]], table: str
    ) -> None:
        """Write results.json and table.md."""
        text = json.dumps(results, indent=2, ensure_ascii=False)
        self._write("results.json", text + "\n")
        self._write("table.md", table)

    def _done(self, run: Run) -> pathlib.Path:
        return self.path / "done" / f"{run.name}.json"

    def _write(self, name: str, text: str) -> None:
        with write_atomically(self.path / name) as temporary:
            temporary.write_text(text, "utf-8")

    def _lock(self) -> None:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another sweep is at work in {self.path}, or runs of one "
                "that was killed have not ended yet."
            ) from None
        except OSError as error:
            # Some network file systems have no locks.
            logging.warning(
                "%s cannot be locked (%s): no other sweep should work there.",
                self.path,
                error.strerror,
            )

    def __enter__(self) -> "SweepDirectory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.lock)
