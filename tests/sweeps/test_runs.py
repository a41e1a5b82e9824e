"""Runs are processes: done once, several at a time, stopped with the sweep."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from tfdistill.sweeps import Run, SweepDirectory, do_runs

STUB = """
import json, os, pathlib, signal, sys, time

flags = dict(x.removeprefix("--").split("=", 1) for x in sys.argv[1:])
folder = pathlib.Path(flags["run_dir"])
folder.mkdir(parents=True, exist_ok=True)
with (folder / "starts").open("a") as file:
    file.write("x")

def save(*_):
    (folder / "saved").touch()
    sys.exit(130)

def wait_for(name):
    while not (folder.parent / name).exists():
        time.sleep(0.01)

do = flags["do"]
print("I 12:00:00 at work", file=sys.stderr)
print("printed before")
if do == "fail":
    print("tfdistill.distill: error: It is so: wrong.", file=sys.stderr)
    print("I 12:00:01 cleaning up", file=sys.stderr)
    sys.exit(1)
if do == "fail_the_first_time" and (folder / "starts").read_text() == "x":
    sys.exit("tfdistill.distill: error: Not today.")
if do == "raise":
    raise ZeroDivisionError("one by none")
if do == "end_silently":
    sys.stderr.close()
    os._exit(3)
if do == "be_killed":
    os.kill(os.getpid(), signal.SIGKILL)
if do == "print_nothing":
    sys.exit()
if do == "print_a_list":
    print("[1, 2]")
    sys.exit()
if do == "hang":
    signal.signal(signal.SIGTERM, save)
if do == "hang_for_good":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if do.startswith("hang"):
    (folder / "hangs").touch()
    while True:
        time.sleep(0.01)
if do == "meet":
    (folder / "here").touch()
    wait_for({"1": "2/here", "2": "1/here"}[folder.name])
if do == "be_alone":
    os.mkdir(folder.parent / "taken")
    time.sleep(0.3)
    os.rmdir(folder.parent / "taken")
print(json.dumps({"steps": 5, "thread": os.environ.get("SLOT")}))
"""


@pytest.fixture
def stub(tmp_path) -> list[str]:
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    return [sys.executable, str(path)]


def make(*what: str, setting: str = "--clip_norm=1.0") -> list[Run]:
    """Runs that do something each; the points are their numbers."""
    return [
        Run(
            points={"number": str(i)},
            flags=(f"--do={do}",),
            settings=(setting, f"--do={do}"),
            task="mlm",
        )
        for i, do in enumerate(what, 1)
    ]


def sweep(tmp_path, stub, runs, environments=({},)):
    with SweepDirectory(str(tmp_path / "sweep"), ["--task=mlm"]) as directory:
        return do_runs(
            runs,
            stub,
            directory,
            [dict(os.environ) | extra for extra in environments],
        )


def starts(tmp_path) -> dict[str, int]:
    """How often each run was started."""
    return {
        path.parent.name: len(path.read_text())
        for path in sorted((tmp_path / "sweep").glob("*/starts"))
    }


def test_runs_are_done_once(tmp_path, stub):
    runs = make("well", "well")
    for is_new in (True, False):
        outcomes = sweep(tmp_path, stub, runs)
        assert list(outcomes) == ["1", "2"]
        for outcome in outcomes.values():
            assert outcome.summary == {"steps": 5, "thread": None}
            assert (outcome.error, outcome.is_new) == ("", is_new)
    assert starts(tmp_path) == {"1": 1, "2": 1}
    folder = tmp_path / "sweep"
    assert {path.name for path in folder.iterdir()} == {
        *("1", "2", "base.flags", "done", "logs"),
    }
    assert (folder / "base.flags").read_text() == "--task=mlm\n"
    assert (folder / "logs" / "2.log").read_text() == "I 12:00:00 at work\n"
    assert json.loads((folder / "done" / "2.json").read_text()) == {
        "arguments": ["--clip_norm=1.0", "--do=well"],
        "summary": {"steps": 5, "thread": None},
    }


def test_a_run_is_its_points_behind_the_base(tmp_path, stub):
    run = Run(
        points={"a": "x", "b": "y"}, flags=("--do=a b",), settings=(), task=""
    )
    show = "import json, sys; print(json.dumps({'flags': sys.argv[1:]}))"
    outcomes = sweep(tmp_path, [sys.executable, "-c", show], [run])
    folder = tmp_path / "sweep"
    assert outcomes["x+y"].summary["flags"] == [
        f"--flagfile={folder}/base.flags",
        "--do=a b",
        f"--run_dir={folder}/x/y",
    ]
    assert (folder / "done" / "x+y.json").exists()


def test_other_arguments_are_another_run(tmp_path, stub):
    sweep(tmp_path, stub, make("well"))
    assert sweep(tmp_path, stub, make("fail"))["1"].error
    # What was known of other arguments is not in the way, nor lost.
    assert sweep(tmp_path, stub, make("well"))["1"].summary
    assert starts(tmp_path) == {"1": 2}
    assert sweep(tmp_path, stub, make("well", setting="--x=1"))["1"].is_new
    assert not sweep(tmp_path, stub, make("well", setting="--x=1"))["1"].is_new
    assert starts(tmp_path) == {"1": 3}


def test_a_failure_does_not_stop_the_others(tmp_path, stub):
    runs = make("fail_the_first_time", "fail", "well")
    outcomes = sweep(tmp_path, stub, runs)
    assert outcomes["1"].error == "Not today."
    assert outcomes["2"].error == "It is so: wrong."
    assert outcomes["3"].summary
    outcomes = sweep(tmp_path, stub, runs)
    assert outcomes["1"].summary
    assert outcomes["1"].is_new and not outcomes["3"].is_new
    assert starts(tmp_path) == {"1": 2, "2": 2, "3": 1}
    log = (tmp_path / "sweep" / "logs" / "1.log").read_text()
    assert log.count("at work") == 2


def test_the_cause_is_that_of_the_last_try(tmp_path, stub):
    sweep(tmp_path, stub, make("fail"))
    outcomes = sweep(tmp_path, stub, make("raise"))
    assert outcomes["1"].error == "ZeroDivisionError: one by none"


@pytest.mark.parametrize(
    ("do", "error"),
    [
        ("be_killed", "it was ended by signal 9 (Killed)"),
        ("end_silently", "I 12:00:00 at work"),
        ("print_nothing", "it printed no summary"),
        ("print_a_list", "it printed no summary"),
    ],
)
def test_causes(tmp_path, stub, do, error):
    assert sweep(tmp_path, stub, make(do))["1"].error == error


def test_nothing_said(tmp_path):
    outcomes = sweep(tmp_path, ["false"], make("well"))
    assert outcomes["1"].error == "it ended with status 1"


def test_as_many_at_a_time_as_there_are_environments(tmp_path, stub):
    environments = ({"SLOT": "a"}, {"SLOT": "b"})
    outcomes = sweep(tmp_path, stub, make("meet", "meet", "well"), environments)
    found = [outcome.summary["thread"] for outcome in outcomes.values()]
    assert found[:2] == ["a", "b"] and found[2] in ("a", "b")
    outcomes = sweep(tmp_path, stub, make(*["be_alone"] * 3))
    assert all(outcome.summary for outcome in outcomes.values())


def signal_once(paths: list[pathlib.Path], times: int = 1) -> threading.Thread:
    """Send this process SIGTERM when files are there, and again later."""

    def work() -> None:
        while not all(path.exists() for path in paths):
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_asked_to_stop_it_stops_its_runs(tmp_path, stub):
    runs = make("well", "hang", "hang", "well")
    hanging = [tmp_path / "sweep" / i / "hangs" for i in ("2", "3")]
    thread = signal_once(hanging)
    with pytest.raises(KeyboardInterrupt, match="stopped, 1 of 4 runs have"):
        sweep(tmp_path, stub, runs, ({}, {}))
    thread.join()
    assert all(path.with_name("saved").exists() for path in hanging)
    assert starts(tmp_path) == {"1": 1, "2": 1, "3": 1}
    # It goes on with what was not done.
    runs = make("well", "well", "well", "well")
    assert all(o.summary for o in sweep(tmp_path, stub, runs).values())
    assert starts(tmp_path) == {"1": 1, "2": 2, "3": 2, "4": 1}


def test_asked_twice_it_kills_them(tmp_path, stub):
    thread = signal_once([tmp_path / "sweep" / "1" / "hangs"], times=2)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, stub, make("hang_for_good"))
    thread.join()


def test_handlers_are_put_back(tmp_path, stub):
    before = signal.getsignal(signal.SIGTERM)
    sweep(tmp_path, stub, make("well"))
    assert signal.getsignal(signal.SIGTERM) == before


SWEEP = """
import os, sys
from tfdistill.sweeps import Run, SweepDirectory, do_runs

path, *command = sys.argv[1:]
runs = [
    Run(points={"n": str(i)}, flags=("--do=hang",), settings=(), task="mlm")
    for i in (1, 2)
]
with SweepDirectory(path, []) as directory:
    do_runs(runs, command, directory, [os.environ] * 2)
"""


def test_runs_of_a_killed_sweep_save_and_end(tmp_path, stub):
    folder = tmp_path / "sweep"
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(folder), *stub],
        stderr=subprocess.DEVNULL,
    )
    wait_for([folder / i / "hangs" for i in ("1", "2")])
    with pytest.raises(ValueError, match=r"Another sweep is at work in .*or"):
        SweepDirectory(str(folder), [])
    process.kill()
    process.wait()
    wait_for([folder / i / "saved" for i in ("1", "2")])
    # Their lock goes with them.
    end = time.monotonic() + 20
    while True:
        try:
            outcomes = sweep(tmp_path, stub, make("well", "well"))
            break
        except ValueError:
            assert time.monotonic() < end
    assert all(outcome.summary for outcome in outcomes.values())


def wait_for(paths: list[pathlib.Path]) -> None:
    end = time.monotonic() + 20
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_folder_with_something_else(tmp_path):
    (tmp_path / "model.json").touch()
    with pytest.raises(ValueError, match="is not empty and holds no sweep"):
        SweepDirectory(str(tmp_path), [])
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    with pytest.raises(OSError, match=r"model\.json"):
        SweepDirectory(str(tmp_path / "model.json"), [])


def test_a_folder_in_which_a_sweep_was_killed_at_once(tmp_path):
    (tmp_path / ".base.flags.123.partial").touch()
    with SweepDirectory(str(tmp_path), ["--task=mlm"]) as directory:
        assert directory.base.read_text() == "--task=mlm\n"


def test_a_damaged_summary_is_named(tmp_path, stub):
    sweep(tmp_path, stub, make("well"))
    (tmp_path / "sweep" / "done" / "1.json").write_text("{")
    with pytest.raises(ValueError, match=r"done/1\.json is not JSON"):
        sweep(tmp_path, stub, make("well"))
