"""What is printed where a command fails for its input or the machine."""

import re
import sys

from tfdistill.config.fields import FlagNeededError

# Of a message: what a file holds can be quoted in it.
_MOST_CHARACTERS = 2000


def known_failures() -> tuple[type[Exception], ...]:
    """Returns the exceptions that input or machine cause; others are bugs."""
    known = (ValueError, OSError, FloatingPointError, MemoryError)
    # Not every command needs TensorFlow, which takes seconds to import.
    tensorflow = sys.modules.get("tensorflow")
    return (*known, tensorflow.errors.OpError) if tensorflow else known


def one_line(error: Exception, usage: str = "") -> str:
    """Returns what is printed of an error: one line, safe for a terminal.

    Args:
        error: One of `known_failures`, or of absl's flags.
        usage: An example of a right call, for a flag that is needed.
    """
    text = _visible(_told(error, usage))
    return (
        text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    )


def _told(error: Exception, usage: str) -> str:
    if usage and isinstance(error, FlagNeededError):
        return f"{error} Example: {usage}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    name = type(error).__name__
    if type(error).__module__.startswith("tensorflow"):
        # The cause stands last, between where it happened and where again.
        lines = [x.strip() for x in str(error).splitlines()]
        lines = [x for x in lines if x and not x.startswith("[[")]
        cause = re.sub(r"{{.*?}}|\[Op:.*", "", (lines or [""])[-1]).strip()
        return f"{name} of TensorFlow: {cause}. --verbosity=1 shows where."
    # absl begins some of its messages like this.
    message = " ".join(str(error).split()).removeprefix("ERROR:: ")
    return message or name


def _visible(text: str) -> str:
    """Escape what would steer a terminal: it can come from any file."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
