"""Does runs, each in a process of its own, several at a time.

A run that fails does not stop the others. Asked to stop, by SIGINT or
SIGTERM, all are asked to: a training run saves a checkpoint and ends. They are
asked as well when this process is killed.
"""

import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import logging

from tfdistill.progress import Progress
from tfdistill.sweeps.directory import SweepDirectory
from tfdistill.sweeps.plan import Run

_SECONDS_BETWEEN_LOOKS = 0.1
# Its input ends when the process at the other end does, however that ends.
_GUARD = 'read -r _; kill -TERM "$1"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run has ended.

    Attributes:
        summary: What it printed last; None where it failed.
        error: Why it failed, in a line.
        is_new: Whether it was done now, not by an earlier call.
    """

    summary: Mapping[str, Any] | None = None
    error: str = ""
    is_new: bool = True


def do_runs(
    runs: Sequence[Run],
    command: Sequence[str],
    directory: SweepDirectory,
    environments: Sequence[Mapping[str, str]],
) -> dict[str, Outcome]:
    """Do the runs that are not finished yet.

    Args:
        runs: The runs.
        command: What the flags of a run are put behind. It prints one JSON
            object as the last line of stdout.
        directory: Where everything goes.
        environments: Of the processes; as many run at a time.

    Returns:
        Outcomes by the names of the runs, in their order.

    Raises:
        KeyboardInterrupt: It was asked to stop, and all runs have ended.
        OSError: A run cannot be started, or its summary not stored.
    """
    outcomes = {}
    waiting: deque[Run] = deque()
    for run in runs:
        summary = directory.find_summary(run)
        if summary is None:
            waiting.append(run)
        else:
            outcomes[run.name] = Outcome(summary=summary, is_new=False)
    logging.info(
        "%d runs, %d of them finished already; %d at a time.",
        len(runs),
        len(outcomes),
        len(environments),
    )
    active: dict[int, _Child] = {}
    with (
        _StopSignals() as stop,
        Progress(
            "sweeping", len(runs), unit=" runs", initial=len(outcomes)
        ) as progress,
    ):
        try:
            while (waiting or active) and not stop.times:
                for slot, environment in enumerate(environments):
                    if waiting and slot not in active:
                        active[slot] = _Child(
                            waiting.popleft(), command, directory, environment
                        )
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for slot, child in list(active.items()):
                    if child.has_ended():
                        del active[slot]
                        outcome = child.close()
                        _note(child, outcome, directory)
                        outcomes[child.run.name] = outcome
                        progress.advance(1, child.run.name)
        finally:
            _stop(active.values(), stop)
        if stop.times:
            raise KeyboardInterrupt(
                f"stopped, {len(outcomes)} of {len(runs)} runs have ended; the "
                "same command goes on"
            )
    return {run.name: outcomes[run.name] for run in runs}


class _Child:
    """The process of a run."""

    def __init__(
        self,
        run: Run,
        command: Sequence[str],
        directory: SweepDirectory,
        environment: Mapping[str, str],
    ) -> None:
        self.run = run
        self.log = directory.log_of(run)
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115, see close
        with self.log.open("ab") as log:
            # An earlier try may have written to it.
            self._log_starts = log.tell()
            self._process = subprocess.Popen(
                [
                    *command,
                    f"--flagfile={directory.base}",
                    *run.flags,
                    f"--run_dir={directory.run_dir(run)}",
                ],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=self._stdout,
                stderr=log,
                pass_fds=(directory.lock,),
                # An interrupt at the terminal is for the sweep to pass on.
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> Outcome:
        """Returns how it has ended."""
        # Before its input ends, for it would kill who has the number next.
        self._guard.kill()
        self._guard.communicate()
        with self._stdout:
            self._stdout.seek(0)
            printed = self._stdout.read().decode("utf-8", "replace")
        status = self._process.returncode
        if status:
            return Outcome(error=_cause(self.log, self._log_starts, status))
        try:
            return Outcome(summary=dict(json.loads(printed.splitlines()[-1])))
        except (ValueError, TypeError, IndexError):
            return Outcome(error="it printed no summary")


def _note(child: _Child, outcome: Outcome, directory: SweepDirectory) -> None:
    if outcome.summary is None:
        logging.warning(
            "%s failed: %s (%s)", child.run.name, outcome.error, child.log
        )
    else:
        directory.finish(child.run, outcome.summary)


def _stop(children: Iterable[_Child], stop: "_StopSignals") -> None:
    """Wait for children that are asked to stop; asked again, kill them."""
    left = list(children)
    asked = stop.times
    for child in left:
        child.send(signal.SIGTERM)
    if left:
        logging.info("Waiting for %d runs to stop.", len(left))
    while left:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for child in list(left):
            if stop.times > asked:
                child.send(signal.SIGKILL)
            if child.has_ended():
                left.remove(child)
                child.close()


def _cause(log: pathlib.Path, start: int, status: int) -> str:
    if status < 0:
        return f"it was ended by signal {-status} ({signal.strsignal(-status)})"
    written = log.read_bytes()[start:].decode("utf-8", "replace")
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    for line in reversed(lines):
        found = re.match(r"[\w.]+: error: (.+)", line)
        if found:
            return found[1]
    return lines[-1] if lines else f"it ended with status {status}"


class _StopSignals:
    """Counts SIGTERM and SIGINT, which do nothing else meanwhile."""

    def __init__(self) -> None:
        self.times = 0

    def _ask(self, *_: Any) -> None:
        self.times += 1

    def __enter__(self) -> "_StopSignals":
        self._previous = {
            number: signal.signal(number, self._ask)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
