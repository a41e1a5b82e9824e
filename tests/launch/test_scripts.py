"""The launch files: what they would run, and what they refuse."""

import os
import re
import shlex
import subprocess
import sys

import mpi
import pytest

LAUNCH = mpi.ROOT / "launch"
DISTILL = ["-m", "tfdistill.distill", "--flagfile=configs/wiki.flags"]


def dry(script, *arguments, **settings):
    done = mpi.run(
        [str(LAUNCH / script), *arguments],
        **{"DRY_RUN": "1", "PYTHON": sys.executable} | settings,
    )
    return done, shlex.split(done.stdout)


@pytest.fixture
def hostfile(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# four nodes\n" + "10.0.0.1 slots=8\n" * 4)
    return str(path)


def value(words, option):
    return words[words.index(option) + 1]


def test_one_node():
    done, words = dry("mpirun.sh", "distill", DISTILL[2], RANKS="8")
    assert done.returncode == 0, done.stderr
    assert value(words, "-np") == "8"
    assert value(words, "--host") == "localhost:8"
    assert words[-4:] == [sys.executable, *DISTILL]
    assert ("--allow-run-as-root" in words) == (os.geteuid() == 0)


def test_four_nodes_have_a_rank_for_each_slot(hostfile):
    done, words = dry("mpirun.sh", "distill", DISTILL[2], HOSTFILE=hostfile)
    assert done.returncode == 0, done.stderr
    assert value(words, "-np") == "32"
    assert value(words, "--hostfile") == hostfile
    assert words[-4:] == [sys.executable, *DISTILL]


def test_settings_reach_other_nodes(hostfile):
    _, words = dry(
        "mpirun.sh",
        "distill",
        "--student=bert(num_layers=4, hidden_dim=312)",
        HOSTFILE=hostfile,
        NCCL_DEBUG="INFO",
        MPI_OPTIONS="-x LANG --display map",
    )
    passed = {words[i + 1] for i, w in enumerate(words) if w == "-x"}
    assert {"PATH", "NCCL_DEBUG", "LANG"} <= passed
    assert value(words, "--display") == "map"
    assert words[-1] == "--student=bert(num_layers=4, hidden_dim=312)"


def test_slurm():
    done, words = dry("slurm.sh", "distill", DISTILL[2])
    assert done.returncode == 0, done.stderr
    assert words[0] == "srun"
    assert "--mpi=pmix" in words
    assert words[-4:] == [sys.executable, *DISTILL]


@pytest.mark.parametrize(
    ("script", "settings", "says"),
    [
        ("mpirun.sh", {}, "set RANKS"),
        ("mpirun.sh", {"RANKS": "no"}, "set RANKS"),
        ("mpirun.sh", {"HOSTFILE": "/nowhere"}, "HOSTFILE=/nowhere cannot"),
        ("slurm.sh", {"DRY_RUN": "0"}, "submit this file with sbatch"),
    ],
)
def test_what_they_refuse(script, settings, says):
    done, _ = dry(script, "distill", **settings)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("script", ["mpirun.sh", "slurm.sh"])
def test_they_want_a_command(script):
    done, _ = dry(script)
    assert done.returncode == 2
    assert "Which command?" in done.stderr


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"PYTHON": "/nowhere/python"}, "/nowhere/python does not run"),
        ({"MPI": "other"}, "MPI=other is not one of wheel, system"),
        (
            {"MPI": "system", "PATH": "/usr/bin:/bin"},
            r"There is no mpi(run|cxx) on PATH",
        ),
        ({"GPU": "1", "PATH": "/usr/bin:/bin"}, "GPU=1 needs CUDA"),
        ({"CXX": "no-compiler"}, r"no C\+\+ compiler \(no-compiler\)"),
    ],
)
def test_what_installing_horovod_lacks_is_said(tmp_path, settings, says):
    done = mpi.run(
        [str(LAUNCH / "install_horovod.sh")],
        **{"PYTHON": sys.executable, "CACHE": str(tmp_path)} | settings,
    )
    assert done.returncode == 1
    assert re.search(says, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_commands_of_the_readme_stand_in_the_scripts():
    readme = (LAUNCH / "README.md").read_text()
    headers = "".join(
        re.sub(r" \\\n#\s+", " ", (LAUNCH / name).read_text())
        for name in ("mpirun.sh", "slurm.sh")
    )
    commands = re.findall(
        r"`((?:RANKS|HOSTFILE)=\S+ launch[^`]*|sbatch [^`]*)`", readme
    )
    assert len(commands) == 4
    for command in commands:
        assert command in headers, command


def test_without_a_result_the_job_has_failed(tmp_path):
    """Open MPI's mpirun exits with 0 when it has lost a node."""
    fake = tmp_path / "mpirun"
    fake.write_text("#!/bin/sh\necho said\n")
    fake.chmod(0o755)
    settings = {"RANKS": "2", "MPIRUN": str(fake), "DRY_RUN": "0"}
    done, _ = dry("mpirun.sh", "distill", **settings)
    assert done.returncode == 1
    assert "without a result" in done.stderr
    fake.write_text("#!/bin/sh\necho '{\"steps\": 1}'\n")
    done, _ = dry("mpirun.sh", "distill", **settings)
    assert (done.returncode, done.stdout) == (0, '{"steps": 1}\n')
    fake.write_text("#!/bin/sh\nexit 137\n")
    done, _ = dry("mpirun.sh", "distill", **settings)
    assert done.returncode == 137


def test_a_signal_is_passed_on(tmp_path):
    fake = tmp_path / "mpirun"
    fake.write_text(
        "#!/usr/bin/env bash\ntrap 'echo saved >&2; exit 130' TERM\n"
        "touch $0.started\nwhile :; do sleep 0.05; done\n"
    )
    fake.chmod(0o755)
    job = subprocess.Popen(
        [str(LAUNCH / "mpirun.sh"), "distill"],
        env=mpi.environment()
        | {"RANKS": "2", "MPIRUN": str(fake), "PYTHON": sys.executable},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "mpirun.started").exists():
        assert job.poll() is None
    job.terminate()
    _, said = job.communicate(timeout=30)
    assert job.returncode == 130
    assert "saved" in said


def test_a_signal_does_not_hide_how_the_job_ended(tmp_path):
    """The job may end at any moment after the signal, or heed it not."""
    fake = tmp_path / "mpirun"
    fake.write_text(
        "#!/usr/bin/env bash\ntrap '' TERM\nkill -TERM $PPID\n"
        "echo '{\"steps\": 1}'\nexit ${STATUS}\n"
    )
    fake.chmod(0o755)
    for status in [0, 37] * 10:
        settings = {"RANKS": "2", "MPIRUN": str(fake), "DRY_RUN": "0"}
        done, _ = dry("mpirun.sh", "distill", **settings, STATUS=str(status))
        assert (done.returncode, done.stdout) == (status, '{"steps": 1}\n')
