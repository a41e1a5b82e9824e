"""Starts ranks as people do: with the mpirun of this environment."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
MPIRUN = pathlib.Path(sys.executable).with_name("mpirun")
SECONDS = 240


def mpirun(ranks, *arguments):
    """The command line that starts `ranks` Pythons on this machine."""
    is_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return [
        str(MPIRUN),
        *is_root,
        *("-np", str(ranks), "--host", f"localhost:{ranks}"),
        *("--bind-to", "none"),
        sys.executable,
        *map(str, arguments),
    ]


def environment():
    """Of a process that is no rank of anything and sees one CPU device."""
    kept = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return kept | {"PYTHONPATH": str(ROOT)}


def run(command, *, cwd=ROOT, **more):
    """Run to the end; stdout and stderr are kept as text."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
