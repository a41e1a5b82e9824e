"""Run directories read back, put into groups and compared."""

import json

import pytest

from tfdistill.reporting import arrange, find_runs
from tfdistill.reporting.page import make_page


def write_run(
    folder,
    *,
    score=0.5,
    seed=1,
    student="bert(num_layers=1)",
    teacher=None,
    objectives=("labels",),
    eval_records="dev",
    higher_is_better=True,
    task="sst2",
    eval_steps=(1, 2),
):
    """Write what a finished run leaves; without a teacher it is finetune's."""
    folder.mkdir(parents=True)
    config = {
        "task": task,
        "student": {"num_layers": 1},
        "objectives": list(objectives),
        "random_seed": seed,
        "model": f"drawn from {seed}",
    }
    flag = "model"
    if teacher is not None:
        config["teacher"] = []
        flag = "student"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text(
        json.dumps(
            {
                "steps": 2,
                "eval": {"accuracy": score} if eval_records else {},
                "best_metric": "accuracy",
                "higher_is_better": higher_is_better,
                "parameters": 1234,
            }
        )
    )
    (folder / "run.flags").write_text(
        f"--{flag}={student}\n--teacher={teacher or ''}\n"
        f"--eval_records={eval_records}\n--run_dir={folder}\n"
    )
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "kind": "train", "loss": 2.5}\n'
        + "".join(
            f'{{"step": {step}, "kind": "eval", "accuracy": {score}}}\n'
            for step in eval_steps
        )
    )
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    (folder / "vocab.txt").write_bytes(b"y" * 24)
    return folder


@pytest.fixture
def study(tmp_path):
    """A teacher, a student with three seeds, and one with one."""
    teacher = write_run(tmp_path / "teacher", score=0.8, student="base")
    for seed, score in ((1, 0.6), (2, 0.7), (3, 0.8)):
        write_run(
            tmp_path / f"students/soft/{seed}",
            seed=seed,
            score=score,
            teacher=str(teacher),
            objectives=["soft_targets"],
        )
    write_run(tmp_path / "students/hard", score=0.4, teacher=str(teacher))
    return tmp_path


def test_a_folder_stands_for_the_runs_below_it(study):
    runs = find_runs([str(study / "students"), str(study / "students/hard")])
    assert [run.path.name for run in runs] == ["hard", "1", "2", "3"]
    run = runs[0]
    assert (run.command, run.metric, run.score) == ("distill", "accuracy", 0.4)
    assert run.bytes_on_disk == 1024
    assert run.curve("train", "loss") == [(1, 2.5)]
    assert run.curve("eval", "loss") == []
    assert run.flag("student") == "bert(num_layers=1)"
    assert run.flag("optimizer") == ""


def test_seeds_are_repeats_and_students_have_a_share(study):
    (section,) = arrange(find_runs([str(study)]))
    assert (section.task, section.eval_records) == ("sst2", "dev")
    teacher, hard, soft = section.groups
    assert (teacher.name, hard.name, soft.name) == ("T", "1", "2")
    assert teacher.is_teacher and not soft.is_teacher
    assert [len(g.runs) for g in section.groups] == [1, 1, 3]
    assert soft.mean == pytest.approx(0.7)
    assert soft.spread == pytest.approx(0.1)
    assert soft.share == pytest.approx(0.7 / 0.8)
    assert hard.spread is None and hard.share == pytest.approx(0.5)
    assert teacher.share is None


def test_another_start_is_no_repeat(tmp_path):
    # Both have the same shape, so their configurations do not tell.
    for name in ("[0, 1]", "[2, 5]"):
        write_run(
            tmp_path / name,
            student=f"teacher_layers(layers={name})",
            teacher="elsewhere",
        )
    (section,) = arrange(find_runs([str(tmp_path)]))
    assert [len(group.runs) for group in section.groups] == [1, 1]
    assert [group.share for group in section.groups] == [None, None]


def test_what_cannot_be_compared_is_apart(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", eval_records="other")
    write_run(tmp_path / "c", eval_records="")
    sections = arrange(find_runs([str(tmp_path)]))
    assert [s.eval_records for s in sections] == ["dev", "other", ""]
    assert sections[2].groups[0].mean is None
    page = make_page("t", sections, {}, {}, "nothing")
    assert "there are no scores" in page


@pytest.mark.parametrize("wrong", [{"score": 0.0}, {"higher_is_better": False}])
def test_no_share_where_it_makes_no_sense(tmp_path, wrong):
    teacher = write_run(tmp_path / "teacher", **wrong)
    student = {"higher_is_better": wrong.get("higher_is_better", True)}
    write_run(tmp_path / "student", teacher=str(teacher), **student)
    (section,) = arrange(find_runs([str(tmp_path)]))
    assert section.groups[1].teacher == "T"
    assert section.groups[1].share is None


def test_page_shows_every_number_and_escapes_text(study):
    write_run(
        study / "students/odd",
        student="<script>alert(1)</script>",
        teacher=str(study / "teacher"),
    )
    sections = arrange(find_runs([str(study)]))
    page = make_page("a < b", sections, {}, {}, "")
    assert "0.7000\u00a0±\u00a00.1000" in page
    assert "87.5 %" in page and "1,234" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "<title>a &lt; b</title>" in page
    # The best student is bold.
    assert "<b>0.7000" in page and "<b>0.4000" not in page
    # Two charts for each of four models, and one of the scores.
    assert page.count("<svg") == 9
    assert page.count("<polyline") == 2 * 6
    for word in ("http", "src=", "@import", "url("):
        assert word not in page


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("result.json", "{", "result.json is not JSON"),
        ("result.json", "{}", 'result.json lacks the setting "eval"'),
        ("config.json", "[]", "config.json holds a JSON list"),
        ("config.json", "{}", 'config.json lacks the setting "task"'),
        ("metrics.jsonl", '{"step": 1}\n', "metrics.jsonl: line 1 is not"),
        ("metrics.jsonl", "\x00", "metrics.jsonl: line 1 is not"),
        ("metrics.jsonl", "[" * 10**5, "metrics.jsonl: line 1 is not"),
    ],
)
def test_damaged_runs_are_refused(tmp_path, name, text, message):
    folder = write_run(tmp_path / "run")
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        find_runs([str(folder)])


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no run directory"):
        find_runs([str(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match="holds no finished run"):
        find_runs([str(tmp_path)])
    folder = write_run(tmp_path / "run")
    (folder / "result.json").unlink()
    with pytest.raises(ValueError, match="has not finished"):
        find_runs([str(folder)])
    (folder / "run.flags").write_bytes(b"\xff")
    (folder / "result.json").write_text(
        '{"eval": {}, "best_metric": "a", "higher_is_better": true, '
        '"parameters": 1, "steps": 1}'
    )
    with pytest.raises(ValueError, match=r"run\.flags is not UTF-8"):
        find_runs([str(folder)])
