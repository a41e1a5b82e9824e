"""A sweep file becomes axes and runs, or is refused in one clear line."""

import ast
import pathlib
import re

import pytest

import tfdistill
from tfdistill.config import options
from tfdistill.config.command import read_options
from tfdistill.sweeps import plan_runs, read_plan
from tfdistill.sweeps.plan import COMMANDS

FILE = """
# Objectives, starts and seeds.
[sweep]
command = distill        # or finetune
average = seed
columns = Init

[objective]
labels = --objective=labels
attention = --objective='attention_kl(end_step=400)'
    --objective='soft_targets(start_step=400)'

[Init]     # an axis
random = --student='bert(num_layers=3, hidden_dim=384)' --learning_rate=1e-3
Low =

[seed]
1 = --random_seed=1
2 = --random_seed=2
"""
BASE = (
    "--student=bert",
    "--eval_records=eval",
    "--objective=hidden_mse",
    "--objective=next_sentence",
    "--run_dir=sweep",
    "--num_processes=2",
)


@pytest.fixture
def plan_of(tmp_path):
    def read(text):
        path = tmp_path / "axes.sweep"
        path.write_text(text)
        return read_plan(str(path))

    return read


@pytest.fixture
def runs_of(plan_of):
    def read(text, *flags):
        base = read_options([*BASE, *flags], *options.ALL)
        return plan_runs(plan_of(text), base)

    return read


def settings(run, name):
    """Values of a flag among all that a run's flags come to."""
    found = [x.partition("=") for x in run.settings]
    return [value for flag, _, value in found if flag == f"--{name}"]


def test_what_a_file_says(plan_of):
    plan = plan_of(FILE)
    assert plan.command == "distill"
    assert (plan.average, plan.columns, plan.metric) == ("seed", "Init", "")
    assert {axis: list(points) for axis, points in plan.axes.items()} == {
        "objective": ["labels", "attention"],
        "Init": ["random", "Low"],
        "seed": ["1", "2"],
    }
    assert plan.axes["objective"]["attention"] == (
        "--objective=attention_kl(end_step=400)",
        "--objective=soft_targets(start_step=400)",
    )
    assert plan.axes["Init"]["Low"] == ()


def test_defaults(plan_of):
    plan = plan_of("[a]\nx = --clip_norm=1\n[b]\ny = --random_seed=1\n")
    assert (plan.command, plan.average, plan.columns) == ("distill", "", "b")
    plan = plan_of("[sweep]\naverage = b\n[a]\nx=\n[b]\ny=\n")
    assert plan.columns == "a"
    plan = plan_of("[sweep]\naverage = b\ncolumns =\n[b]\ny=\n")
    assert plan.columns == ""


def test_nothing_gives_defaults_to_other_sections(plan_of):
    plan = plan_of("[DEFAULT]\nx = --clip_norm=2\n[a]\ny = --clip_norm=%1\n")
    assert list(plan.axes) == ["DEFAULT", "a"]
    assert plan.axes["a"] == {"y": ("--clip_norm=%1",)}


def test_runs_are_all_combinations_in_order(runs_of):
    runs = runs_of(FILE)
    assert [run.name for run in runs] == [
        f"{objective}+{init}+{seed}"
        for objective in ("labels", "attention")
        for init in ("random", "Low")
        for seed in ("1", "2")
    ]
    assert runs[0].points == {
        "objective": "labels",
        "Init": "random",
        "seed": "1",
    }
    assert runs[0].flags == (
        "--objective=labels",
        "--student=bert(num_layers=3, hidden_dim=384)",
        "--learning_rate=1e-3",
        "--random_seed=1",
    )
    assert {run.task for run in runs} == {"mlm"}


def test_settings_are_the_base_with_the_points_on_top(runs_of):
    runs = {run.name: run for run in runs_of(FILE, "--clip_norm=3")}
    run = runs["labels+random+2"]
    assert settings(run, "learning_rate") == ["0.001"]
    assert settings(run, "random_seed") == ["2"]
    assert settings(run, "clip_norm") == ["3.0"]
    # A flag that may be repeated is replaced.
    assert settings(run, "objective") == ["labels"]
    assert settings(run, "student") == ["bert(num_layers=3, hidden_dim=384)"]
    assert settings(runs["labels+Low+2"], "student") == ["bert"]
    # Where it is, and how many run beside it, make no other run of it.
    for name in ("run_dir", "sweep", "num_processes"):
        assert settings(run, name) == []


def test_flagfiles_of_points(runs_of, tmp_path):
    path = tmp_path / "mrpc.flags"
    path.write_text(
        "--task=mrpc\n--learning_rate=2e-5\n--objective=labels\n"
        "--random_seed=9\n--run_dir=elsewhere\n"
    )
    text = f"""
[task]
mrpc = --flagfile={path} --clip_norm=2
mlm = --clip_norm=3
[seed]
1 = --random_seed=1
as_it_is =
"""
    runs = {run.name: run for run in runs_of(text, "--learning_rate=1e-4")}
    run = runs["mrpc+1"]
    assert run.task == "mrpc"
    # The flagfile wins over the base, defaults and given flags alike, and
    # flags of points over the flagfile.
    assert settings(run, "learning_rate") == ["2e-05"]
    assert settings(run, "objective") == ["labels"]
    assert settings(run, "clip_norm") == ["2.0"]
    assert settings(run, "random_seed") == ["1"]
    assert settings(runs["mrpc+as_it_is"], "random_seed") == ["9"]
    assert settings(runs["mlm+1"], "learning_rate") == ["0.0001"]
    assert settings(runs["mlm+1"], "objective") == [
        "hidden_mse",
        "next_sentence",
    ]


def test_axes_add_to_a_flag_that_may_be_repeated(runs_of):
    (run,) = runs_of(
        "[a]\nx = --objective=labels --clip_norm=2\n"
        "[b]\ny = --objective=next_sentence --clip_norm=3\n"
    )
    assert settings(run, "objective") == ["labels", "next_sentence"]
    assert settings(run, "clip_norm") == ["3.0"]


AXIS = "[a]\nx = --clip_norm=1\n"
WRONG_FILES = [
    ("", "has no axes: a section beside"),
    ("[sweep]\ncommand = distill\n", "has no axes"),
    ("[a]\n# nothing\n" + AXIS.replace("a", "b"), r"\[a\] has no points"),
    ("x = 1\n", "line 1 belongs to no"),
    ("[a]\nx = --clip_norm=1\ny\n", "line 3 is neither"),
    ("[a]\n= --clip_norm=1\n", "line 2 is neither"),
    (AXIS + "x =\n", r"\[a\] has 'x' twice, again in line 3"),
    (AXIS + AXIS, r"has \[a\] twice, again in line 3"),
    ("[a]\nx/y =\n", r"\[a\] x/y: a point's name has no / "),
    ("[a]\nx+y =\n", r"\[a\] x\+y: a point's name"),
    ("[a]\n-x =\n", r"\[a\] -x: a point's name"),
    ("[a]\n..=\n", r"\[a\] ..: a point's name"),
    ("[a]\nlogs =\n", r"\[a\] logs: no point can have this name"),
    ("[a]\nx = --objective='labels\n", r"\[a\] x: No closing quotation in --o"),
    ("[sweep]\naverage = b\n" + AXIS, r"average=b is no axis. Axes: a\."),
    ("[sweep]\ncolumns = b\n" + AXIS, r"columns=b is no axis. Axes: a\."),
    ("[sweep]\ncolumns = a\naverage = a\n" + AXIS, "'a' is averaged, so"),
    ("[sweep]\ncommand = train\n" + AXIS, "command 'train'. Known: distill, f"),
    ("[sweep]\nmean = a\n" + AXIS, "does not know 'mean'. Known: command, av"),
]


@pytest.mark.parametrize(("text", "says"), WRONG_FILES)
def test_refused_file(plan_of, text, says):
    with pytest.raises(ValueError, match=says) as caught:
        plan_of(text)
    assert re.match(r"\S*/axes\.sweep\b", str(caught.value))
    assert "\n" not in str(caught.value)


WRONG_FLAGS = [
    ("x = --frobnicate=1", r"\[a\] x: Unknown command line flag 'frobnicate'"),
    ("x = stray", r"\[a\] x: Unexpected argument 'stray'"),
    ("x = --clip_norm=-1", r"\[a\] x: --clip_norm=-1.0 is not at least"),
    ("x = --learning_rate=fast", r"\[a\] x: .*learning_rate=fast"),
    ("x = --flagfile=/no/such", r"\[a\] x: .*flagfile.*/no/such"),
    ("x = --run_dir=here", r"\[a\] x: --run_dir is for the whole sweep"),
    ("x = --num_processes 3", r"\[a\] x: --num_processes is for the whole"),
    ("x = --student=", "x lacks --student, which distill needs"),
    ("x = --eval_records=", "x lacks --eval_records, so the table"),
    ("x = --clip_norm=2\ny =\nz =--clip_norm=1", "y and z would be the same"),
]


@pytest.mark.parametrize(("points", "says"), WRONG_FLAGS)
def test_refused_flags(runs_of, points, says):
    with pytest.raises(ValueError, match=says) as caught:
        runs_of(f"[a]\n{points}\n")
    assert re.match(r"\S*/axes\.sweep: ", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_plan(str(tmp_path / "nothing"))
    (tmp_path / "latin").write_bytes(b"[a]\nx = \xff\n")
    with pytest.raises(ValueError, match="latin is not UTF-8: byte 8"):
        read_plan(str(tmp_path / "latin"))


@pytest.mark.parametrize("command", COMMANDS)
def test_needs_are_those_of_the_command(command):
    source = pathlib.Path(tfdistill.__file__).parent / f"{command}.py"
    (needs,) = (
        ast.literal_eval(keyword.value)
        for call in ast.walk(ast.parse(source.read_text()))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "needs" and isinstance(keyword.value, ast.Tuple)
    )
    assert needs == (*COMMANDS[command], "run_dir")
