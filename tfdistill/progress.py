"""Progress of long work: a bar on a terminal, plain log lines elsewhere."""

import os
import sys
import time
from types import TracebackType
from typing import Any

from absl import logging
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows how far a loop is, its rate and the time left, on stderr.

    Use it as a context manager. On a terminal it is a bar; otherwise a log
    line at most every ten seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        unit: str,
        initial: int = 0,
        scale: bool = False,
        shown: bool = True,
        leave: bool = True,
    ) -> None:
        """Start at `initial` of `total` units (None: not known).

        Args:
            what: A few words on the work, such as "extracting".
            total: Units of the whole work.
            unit: Name of a unit, such as " steps" or "B".
            initial: Units that an earlier call has done.
            scale: Show 1.2M instead of 1200000.
            shown: False silences it, for replicas other than the first.
            leave: Whether a bar stays on the terminal when it is done.
        """
        self._what, self._total, self._unit = what, total, unit
        self._done = self._initial = initial
        self._scale = scale
        self._shown = shown
        self._note = ""
        self._logged: int | None = None
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(
                desc=what,
                total=total,
                unit=unit,
                initial=initial,
                unit_scale=scale,
                leave=leave,
                **_width(),
                mininterval=0.5,
            )
            if shown and sys.stderr.isatty()
            else None
        )

    def advance(self, units: int, note: str = "") -> None:
        """Count `units` more as done; `note` is shown beside the rate."""
        self._done += units
        self._note = note or self._note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(units)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._log()

    def _log(self) -> None:
        if not self._shown:
            return
        self._logged = self._done
        self._last_line = now = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        rate = (self._done - self._initial) / seconds
        text = f"{self._what}: {self._amount(self._done)}"
        if self._total:
            text += f" of {self._amount(self._total)}"
        text += f"{self._unit}, {self._amount(rate)}{self._unit}/s"
        if self._total and rate > 0 and self._done < self._total:
            left = (self._total - self._done) / rate
            text += f", {left:,.0f} s left"
        logging.info("%s%s", text, f", {self._note}" if self._note else "")

    def _amount(self, value: float) -> str:
        if self._scale:
            return str(tqdm.format_sizeof(value))
        return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None and self._logged != self._done:
            self._log()


def _width() -> dict[str, Any]:
    # Some terminals of containers say that they have no columns.
    if os.get_terminal_size(sys.stderr.fileno()).columns:
        return {"dynamic_ncols": True}
    return {"ncols": 80, "nrows": 24}
