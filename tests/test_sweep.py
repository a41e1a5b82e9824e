"""The sweep command, with a script in the place of training."""

import json
import os
import subprocess
import sys

import pytest
from small_chain import Done, call

AXES = """
[sweep]
average = seed

[objective]
labels = --objective=labels
attention = --objective='attention_kl(end_step=400)'

[student]
small = --student='bert(num_layers=1)'
large = --student='bert(num_layers=2)'

[seed]
1 = --random_seed=1
2 = --random_seed=2
"""
# Stands for Python itself: what it is asked to run, it knows already.
TRAINING = """#!{python}
import json, sys

m, module, base, objective, student, seed, run_dir = sys.argv[1:]
assert (m, module) == ("-m", "tfdistill.distill")
assert base.startswith("--flagfile=") and run_dir.startswith("--run_dir=")
if "{fails}" in (student, seed):
    sys.exit(f"tfdistill.distill: error: {{student}} is no student.")
value = 0.5 + int(seed[-1]) / 100
value += 0.1 * ("attention" in objective) + 0.2 * ("layers=2" in student)
print(json.dumps({{
    "eval": {{"accuracy": value, "masked_loss": 1 - value}},
    "best_metric": "accuracy",
    "higher_is_better": True,
    "parameters": 7,
    "run_dir": run_dir,
    "seconds": 1.5,
}}))
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
    def become(fails=""):
        path = tmp_path / "python"
        path.write_text(TRAINING.format(python=sys.orig_argv[0], fails=fails))
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    become()
    return become


@pytest.fixture
def use(tmp_path, train):
    def run(*flags: str, axes: str = AXES) -> Done:
        (tmp_path / "axes.sweep").write_text(axes)
        return call(
            "sweep",
            [
                f"--sweep={tmp_path}/axes.sweep",
                f"--run_dir={tmp_path}/sweep",
                "--eval_records=eval",
                "--num_processes=2",
                *flags,
            ],
        )

    return run


TABLE = """\
accuracy (higher is better); mean ± sample standard deviation over seed (runs)

| objective | small | large |
| :-- | --: | --: |
| labels | 0.515 ± 0.007 (2) | 0.715 ± 0.007 (2) |
| attention | 0.615 ± 0.007 (2) | 0.815 ± 0.007 (2) |
"""
ALIGNED = """
accuracy (higher is better); mean ± sample standard deviation over seed (runs)
objective              small              large
labels     0.515 ± 0.007 (2)  0.715 ± 0.007 (2)
attention  0.615 ± 0.007 (2)  0.815 ± 0.007 (2)

"""


def test_results(use, tmp_path):
    done = use()
    assert done.status == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary.pop("seconds") >= 0
    assert summary == {
        "run_dir": f"{tmp_path}/sweep",
        "runs": 8,
        "skipped": 0,
        "failed": 0,
        "metrics": ["accuracy"],
        "best": [
            {
                "task": "mlm",
                "metric": "accuracy",
                "points": {"objective": "attention", "student": "large"},
                "mean": pytest.approx(0.815),
                "runs": 2,
            }
        ],
        "replicas": "one",
        "world_size": 1,
    }
    assert ALIGNED in done.stderr
    assert (tmp_path / "sweep" / "table.md").read_text() == TABLE
    results = json.loads((tmp_path / "sweep" / "results.json").read_text())
    assert [list(result["points"].values()) for result in results] == [
        [objective, student, seed]
        for objective in ("labels", "attention")
        for student in ("small", "large")
        for seed in ("1", "2")
    ]
    accuracy = results[0]["metrics"]["accuracy"]
    assert results[0] == {
        "points": {"objective": "labels", "student": "small", "seed": "1"},
        "task": "mlm",
        "run_dir": f"{tmp_path}/sweep/labels/small/1",
        "metrics": {"accuracy": accuracy, "masked_loss": 1 - accuracy},
        "best_metric": "accuracy",
        "parameters": 7,
        "seconds": 1.5,
    }


def test_a_sweep_goes_on(use):
    use()
    assert json.loads(use().stdout)["skipped"] == 8
    # What does not change a run: its neighbours, and how it is shown.
    axes = AXES.replace("= seed", "= seed\nmetric = masked_loss")
    done = use("--num_processes=1", axes=f"{axes}3 = --random_seed=3\n")
    summary = json.loads(done.stdout)
    assert (summary["runs"], summary["skipped"]) == (12, 8)
    assert summary["metrics"] == ["masked_loss"]
    assert "masked_loss (lower is better)" in done.stderr
    assert summary["best"][0]["points"]["objective"] == "attention"
    # Another base is another run.
    assert json.loads(use("--clip_norm=2").stdout)["skipped"] == 0


def test_base_flags_repeat_the_sweep(use, tmp_path):
    use("--clip_norm=2")
    done = call("sweep", [f"--flagfile={tmp_path}/sweep/base.flags"])
    assert json.loads(done.stdout)["skipped"] == 8


def test_failed_runs(use, train, tmp_path):
    train(fails="--student=bert(num_layers=2)")
    done = use()
    assert (done.status, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "tfdistill.sweep: error: 4 of 8 runs failed; the first, "
        "labels+large+1: --student=bert(num_layers=2) is no student."
    )
    assert "attention  0.615 ± 0.007 (2)      –\n" in done.stderr
    table = (tmp_path / "sweep" / "table.md").read_text()
    assert "| labels | 0.515 ± 0.007 (2) | – |" in table
    results = json.loads((tmp_path / "sweep" / "results.json").read_text())
    assert results[2]["error"] == "--student=bert(num_layers=2) is no student."
    train()
    done = use()
    assert json.loads(done.stdout)["skipped"] == 4
    assert (tmp_path / "sweep" / "table.md").read_text() == TABLE


def test_a_metric_that_no_run_has(use, tmp_path):
    done = use(axes=AXES.replace("= seed", "= seed\nmetric = f1"))
    assert (done.status, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        f"tfdistill.sweep: error: {tmp_path}/axes.sweep: no run has the "
        "metric 'f1'. Known: accuracy, masked_loss."
    )


@pytest.mark.parametrize(
    ("flags", "axes", "says"),
    [
        ("--sweep={c}/none", AXES, "{c}/none: No such file or directory."),
        ("--sweep={c}", AXES, "{c}: Is a directory."),
        ("", "[a]\n", "{c}/axes.sweep: the axis [a] has no points."),
        ("--eval_records=", AXES, "{c}/axes.sweep: labels+small+1 lacks --ev"),
        ("--run_dir={c}", AXES, "{c} is not empty and holds no sweep."),
        ("--run_dir={c}/axes.sweep", AXES, "{c}/axes.sweep: File exists."),
    ],
)
def test_refused_before_any_run(use, tmp_path, flags, axes, says):
    done = use(*flags.format(c=tmp_path).split(), axes=axes)
    assert (done.status, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    says = says.replace("{c}", str(tmp_path))
    assert line.startswith(f"tfdistill.sweep: error: {says}")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("name", ["sweep", "run_dir"])
def test_needed_flags(use, name):
    done = use(f"--{name}=")
    assert (done.status, done.stdout) == (2, "")
    assert f"--{name} is needed. Example: python -m tfd" in done.stderr


def test_a_sweep_is_one_process(use, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    process = subprocess.run(
        [
            *(sys.orig_argv[0], "-m", "tfdistill.sweep"),
            *("--sweep=axes.sweep", "--run_dir=sweep"),
        ],
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert process.stderr == (
        "tfdistill.sweep: error: rank 0: Open MPI has started 2 processes, "
        "but a sweep makes its own (--num_processes).\n"
    )


def test_it_does_not_wait_for_tensorflow():
    code = (
        "import sys, tfdistill.sweep; "
        "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.orig_argv[0], "-c", code], check=True)
