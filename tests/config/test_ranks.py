"""How a command behaves as one of several processes."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
from absl import logging
from tfdistill.config import options, run_command

def work(general):
    "Work."
    logging.info("news")
    logging.warning("a warning")
    {then}

run_command(work, options.General, options.Devices, needs=(), examples=("",),
            argv=["work", "--random_seed=1"])
"""


def run(rank, then):
    environment = os.environ | {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": "2",
    }
    script = SCRIPT.format(then=then).replace("(general)", "(general, devices)")
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_rank_tells_news_and_the_result():
    done = run(0, "return {'replicas': 'horovod', 'world_size': 2}")
    assert done.returncode == 0
    assert "rank 0: news" in done.stderr
    assert "rank 0: a warning" in done.stderr
    assert done.stdout.startswith('{"replicas": "horovod", "world_size": 2, ')


def test_the_others_warn_with_their_number():
    done = run(1, "return {}")
    assert done.returncode == 0
    assert "news" not in done.stderr
    assert done.stderr.count("rank 1: a warning") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("rank", [0, 1])
def test_bad_input_is_one_line_with_the_rank(rank):
    done = run(rank, "raise ValueError('It is\\nnot so.')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        f"error: rank {rank}: It is not so."
    )
    assert done.stdout == ""


def test_a_bug_shows_where_and_ends_the_rank_at_once():
    # What would wait for the other ranks at the end must not be reached.
    then = "import atexit, time; atexit.register(time.sleep, 60); 1 / 0"
    done = run(1, then)
    assert done.returncode == 1
    assert "rank 1: Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
