"""Harm done to files by a seed, and what a reader may make of it.

A reader gives a value or raises what a command prints as one line. It does not
hang, takes little memory, unpickles nothing, starts nothing, and asks nobody
on a network.
"""

import contextlib
import dataclasses
import pathlib
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from tfdistill.config.failures import known_failures, one_line

# Of a reader of files of kilobytes, all that it imports included.
MOST_BYTES = 512 << 20
MOST_SECONDS = 60
_FORBIDDEN = {
    "pickle.find_class",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "shutil.unpack_archive",
}
_watched: list[list[tuple[str, tuple]]] = []

# What stands in for a value of JSON: every type, and values that overflow,
# escape, or look right.
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    1 << 31,
    1 << 62,
    10**30,
    -(10**400),
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "0",
    "-1",
    "name",
    "../outside",
    "/etc/passwd",
    "a\nb\x1b[31m",
    "\u202e\u2028",
    "\ud800",
    "x" * 5000,
    [],
    [None],
    [[]],
    [1, 2],
    ["a", 1],
    {},
    {"name": 1},
    {"": {}},
)
_WORDS = (
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b'"',
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b"-",
    b"#",
    b"<",
    b">",
    b"&",
    b"%",
    b"0",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"NaN",
    b"null",
    b"true",
    b"[" * 3000,
    b"\xe2\x80\xa8",
    b"../",
)


def cases(seed: str, number: int) -> Iterator[random.Random]:
    """Yield a generator for each case; the same ones for the same seed."""
    for case in range(number):
        yield random.Random(f"{seed} {case}")


def harmed(
    data: bytes, draw: random.Random, words: Sequence[bytes] = ()
) -> bytes:
    """Returns bytes with one to three harms done to them.

    Cuts at either end or inside, flips of bits, bytes anew, parts twice or
    elsewhere, and words that mean something, `words` among them.
    """
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        size = len(found)
        at, other = sorted(draw.randrange(size + 1) for _ in range(2))
        few = min(size, at + draw.randrange(1, 9))
        harm = draw.randrange(9)
        if harm == 0:
            del found[at:]
        elif harm == 1:
            del found[:at]
        elif harm == 2:
            del found[at:few]
        elif harm == 3 and at < size:
            found[at] ^= 1 << draw.randrange(8)
        elif harm == 4:
            found[at:few] = draw.randbytes(few - at)
        elif harm == 5:
            found[at:at] = found[at:other]
        elif harm == 6:
            found[at:other] = found[at:other][::-1]
        else:
            found[at:few] = draw.choice((*_WORDS, *words))
    return bytes(found)


def retyped(value: Any, draw: random.Random) -> Any:
    """Returns JSON values with one of them of another type, moved or gone."""
    places = list(_places(value))
    path = draw.choice(places)
    if not path:
        return draw.choice(_VALUES)
    value = _copied(value)
    *within, last = path
    entry = value
    for key in within:
        entry = entry[key]
    harm = draw.randrange(6)
    if harm == 0:
        del entry[last]
    elif harm == 1 and isinstance(entry, dict):
        entry[draw.choice(("", "name", f"{last}s"))] = entry.pop(last)
    elif harm == 2:
        other = value
        for key in draw.choice(places):
            other = other[key]
        entry[last] = _copied(other)
    else:
        entry[last] = draw.choice(_VALUES)
    return value


def _places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, item in pairs:
        yield from _places(item, (*path, key))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [*map(_copied, value)] if isinstance(value, list) else value


@dataclasses.dataclass
class Outcomes:
    """How often a reader gave a value and refused.

    Attributes:
        read: How often it gave one.
        refused: How often it refused.
        lines: Some of the lines it refused with.
    """

    read: int = 0
    refused: int = 0
    lines: set[str] = dataclasses.field(default_factory=set)

    def of(
        self,
        names: str | pathlib.Path,
        read: Callable[..., Any],
        *arguments: Any,
    ) -> Any:
        """Returns what a reader gives, None if it refuses as it should.

        Args:
            names: What a refusal has to name: the file or its folder.
            read: The reader, which never gives None.
            *arguments: What it is called with.
        """
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        try:
            value = read(*arguments)
        except MemoryError as error:
            raise AssertionError("it took all memory") from error
        except (flags.Error, *known_failures()) as error:
            line = one_line(error)
            assert str(names) in line, line
            assert line.isprintable() and len(line) < 3000, line
            assert "Traceback" not in line and len(line) > len(str(names))
            self.refused += 1
            if len(self.lines) < 500:
                self.lines.add(line)
            return None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert value is not None
        self.read += 1
        return value


@contextlib.contextmanager
def hostile_reading(outside: str = "") -> Iterator[Outcomes]:
    """Watch what is read in the block, and count it.

    Args:
        outside: A part of paths that nothing may open.
    """
    events: list[tuple[str, tuple]] = []
    before = _restart_peak()
    _watched.append(events)
    former = signal.signal(signal.SIGALRM, _too_long)
    try:
        yield Outcomes()
    finally:
        signal.signal(signal.SIGALRM, former)
        _watched.remove(events)
    for event, arguments in events:
        assert event not in _FORBIDDEN, (event, arguments)
        if outside:
            assert outside not in str(arguments[0]), arguments
    assert _peak() - before < MOST_BYTES


def _too_long(number: int, frame: Any) -> None:
    raise AssertionError("a reader hangs")


def _restart_peak() -> int:
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Returns the largest resident size since it was restarted, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    (line,) = (x for x in status.splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def _note(event: str, arguments: tuple) -> None:
    if _watched and (event == "open" or event in _FORBIDDEN):
        _watched[-1].append((event, arguments))


# Hooks cannot be taken off: this one notes nothing outside of a block.
sys.addaudithook(_note)
