"""A peer in a virtual environment of its own, asked in turns with ours.

Peers are no dependencies of the package: `start` installs them under
`data/peers`, once, and runs a script of this folder there. The script reads a
line of JSON for each request and answers with one, and does nothing between
requests, so that the cores are ours then.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Where pip finds a build for CPUs, it takes that (PIP_EXTRA_INDEX_URL).
HUGGING_FACE = ("torch==2.13.0", "transformers==5.23.0")


class Peer:
    """A script that runs in a peer's environment."""

    def __init__(self, process: subprocess.Popen) -> None:
        """Wrap a process that answers lines with lines."""
        self._process = process

    def ask(self, request: str, **arguments: Any) -> Any:
        """Returns the script's answer.

        Raises:
            RuntimeError: The script ended.
        """
        assert self._process.stdin and self._process.stdout
        line = json.dumps({"request": request, **arguments})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("The peer ended; its error is above.")
        return json.loads(answer)


@contextlib.contextmanager
def start(packages: tuple[str, ...], script: str) -> Iterator[Peer]:
    """Run a script of this folder with packages, which are installed first.

    Args:
        packages: Names with versions, for pip.
        script: Its name, without its ending.
    """
    python = _environment(packages)
    process = subprocess.Popen(
        [str(python), "-m", f"benchmarks.{script}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Peer(process)
    finally:
        # The end of what it reads is what it ends at.
        process.communicate()


def _environment(packages: tuple[str, ...]) -> pathlib.Path:
    """Returns the interpreter of an environment that has the packages."""
    folder = ROOT / "data" / "peers" / "-".join(packages).replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"installing {', '.join(packages)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [
                *(str(python), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", *packages),
            ],
            check=True,
            stdout=sys.stderr,
            env=os.environ,
        )
        # It comes last, so an installation that was cut is done again.
        ready.touch()
    return python
