"""Cores and GPUs are shared out among the runs of a moment."""

import os

import pytest

from tfdistill.sweeps import environments

THREADS = {
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
}
GPUS = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def shares(num_processes, num_runs=100, **environment):
    # No program is found here, so neither are GPUs.
    return environments(
        num_processes, num_runs, {"PATH": "/nowhere", "HOME": "x"} | environment
    )


@pytest.mark.parametrize(
    ("num_processes", "num_runs", "count", "threads"),
    [
        (1, 100, 1, "8"),
        (2, 100, 2, "4"),
        (3, 100, 3, "2"),
        (16, 100, 16, "1"),
        (0, 100, 8, "1"),
        (8, 2, 2, "4"),
    ],
)
def test_cores(num_processes, num_runs, count, threads):
    found = shares(num_processes, num_runs)
    assert len(found) == count
    for environment in found:
        assert environment["HOME"] == "x"
        assert {environment[name] for name in THREADS} == {threads}
        assert GPUS not in environment


@pytest.mark.parametrize(
    ("num_processes", "visible", "expected"),
    [
        (2, "0,1", ["0", "1"]),
        (3, "4,5", ["4", "5", "4"]),
        # Those that would be left over are given as well.
        (1, "0,1", ["0,1"]),
        (2, "0,1,2", ["0,2", "1"]),
        (0, "0,1,2", ["0", "1", "2"]),
        (2, "GPU-8f, GPU-9a", ["GPU-8f", "GPU-9a"]),
        # None may be seen, and nothing changes that.
        (2, "-1", ["-1", "-1"]),
        (2, "", ["", ""]),
    ],
)
def test_gpus_of_the_environment(num_processes, visible, expected):
    found = shares(num_processes, **{GPUS: visible})
    assert [environment[GPUS] for environment in found] == expected


def test_gpus_of_the_driver(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'test "$1" = -L || exit 1\n'
        'echo "GPU 0: Tesla V100 (UUID: GPU-5d)"\n'
        'echo "  MIG 1g.5gb Device 0: (UUID: MIG-1)"\n'
        'echo "GPU 1: Tesla V100 (UUID: GPU-6e)"\n'
    )
    program.chmod(0o755)
    found = shares(2, PATH=f"{tmp_path}:/bin:/usr/bin")
    assert [environment[GPUS] for environment in found] == ["0", "1"]
    program.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert GPUS not in shares(2, PATH=f"{tmp_path}:/bin:/usr/bin")[0]
