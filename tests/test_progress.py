"""Progress is seen on a terminal and in a log."""

import os
import pty
import subprocess
import sys

CODE = """
from absl import flags
flags.FLAGS.mark_as_parsed()
from absl import logging
logging.use_absl_handler()
logging.set_verbosity(logging.INFO)
from tfdistill.progress import Progress
with Progress("walking", 3000, unit=" steps", scale=%s) as progress:
    for _ in range(3):
        progress.advance(1000, "loss 1.5")
try:
    with Progress("failing", 3, unit=" steps"):
        raise ValueError
except ValueError:
    pass
"""


def test_log_lines_where_there_is_no_terminal():
    result = subprocess.run(
        [sys.executable, "-c", CODE % False],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = result.stderr.splitlines()
    assert "walking: 3,000 of 3,000 steps, " in line
    assert line.endswith(" steps/s, loss 1.5")


def test_the_last_line_is_not_written_twice():
    always = "\nimport tfdistill.progress as p; p.SECONDS_BETWEEN_LINES = 0"
    code = CODE % False
    result = subprocess.run(
        [sys.executable, "-c", code.replace("\nwith", always + "\nwith", 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    done = [
        line.split("walking: ")[1].split()[0]
        for line in result.stderr.splitlines()
    ]
    assert done == ["1,000", "2,000", "3,000"]


def test_scaled_amounts():
    result = subprocess.run(
        [sys.executable, "-c", CODE % True],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "walking: 3.00k of 3.00k steps, " in result.stderr


def test_a_bar_on_a_terminal_even_without_columns():
    # A new pseudo-terminal has no size.
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE % False], stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end was closed
            break
        if not block:
            break
        seen += block
    assert process.wait() == 0
    assert b"3000/3000" in seen and b"loss 1.5" in seen
