"""The memory of a process, as Linux counts it: for peers, too."""

import pathlib


def memory() -> dict[str, int]:
    """Returns the bytes that this process has `now`, and its `peak`.

    Both are resident sets. What `getrusage` gives begins with the peak of the
    process that started this one.
    """
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        name: int(status[field].removesuffix("kB")) * 1024
        for name, field in (("now", "VmRSS"), ("peak", "VmHWM"))
    }
