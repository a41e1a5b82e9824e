"""What counts where flags are given twice: the command line, then files."""

import pytest

from tfdistill.config.command import flags_of, read_options
from tfdistill.config.options import Artefacts, Corpus, General, Training
from tfdistill.config.specs import parse_spec
from tfdistill.models.specs import STUDENTS


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        paths = []
        for name, lines in contents.items():
            paths.append(tmp_path / f"{name}.flags")
            paths[-1].write_text("\n".join(lines.split()) + "\n")
        return paths

    return write


def read(*arguments):
    (training,) = read_options([str(a) for a in arguments], Training)
    return training


def test_explicit_flags_win_wherever_they_stand(files):
    (file,) = files(a="--train_batch_size=4 --clip_norm=2")
    flag = "--train_batch_size=8"
    for arguments in (
        [f"--flagfile={file}", flag],
        [flag, f"--flagfile={file}"],
        ["--train_batch_size", "8", "--flagfile", file],
        ["-train_batch_size=8", f"-flagfile={file}"],
    ):
        training = read(*arguments)
        assert training.train_batch_size == 8
        assert training.clip_norm == 2
        # What is not given keeps its default.
        assert training.learning_rate == Training().learning_rate


def test_of_explicit_flags_the_last_one_wins():
    training = read("--clip_norm=2", "--train_batch_size=4", "--clip_norm=3")
    assert (training.clip_norm, training.train_batch_size) == (3, 4)


@pytest.mark.parametrize("is_first", [True, False])
def test_booleans(files, is_first):
    def read_casing(flag, file):
        arguments = [flag, f"--flagfile={file}"]
        if not is_first:
            arguments.reverse()
        (corpus,) = read_options(arguments, Corpus)
        return corpus.do_lower_case

    on, off = files(on="--do_lower_case", off="--nodo_lower_case")
    assert read_casing("--nodo_lower_case", on) is False
    assert read_casing("--do_lower_case=false", on) is False
    assert read_casing("--do_lower_case", off) is True
    assert read_casing("--random_seed=1", off) is False


def test_explicit_objectives_replace_those_of_a_file(files):
    (file,) = files(a="--objective=pkd --objective=labels --clip_norm=2")
    assert read(f"--flagfile={file}").objective == ("pkd", "labels")
    for arguments in (
        [f"--flagfile={file}", "--objective=crd", "--objective=alp_kd"],
        ["--objective=crd", f"--flagfile={file}", "--objective=alp_kd"],
        ["--objective", "crd", "--objective", "alp_kd", "--flagfile", file],
    ):
        training = read(*arguments)
        assert training.objective == ("crd", "alp_kd")
        assert training.clip_norm == 2


def test_of_two_files_the_later_one_wins(files):
    one, two = files(
        one="--objective=pkd --objective=crd --clip_norm=2 "
        "--train_batch_size=4",
        two="--objective=labels --clip_norm=3",
    )
    training = read(f"--flagfile={one}", f"--flagfile={two}")
    assert training.objective == ("labels",)
    assert (training.clip_norm, training.train_batch_size) == (3, 4)
    training = read(f"--flagfile={two}", "--flagfile", one)
    assert training.objective == ("pkd", "crd")
    assert (training.clip_norm, training.train_batch_size) == (2, 4)
    training = read(
        f"--flagfile={one}", "--objective=alp_kd", f"--flagfile={two}"
    )
    assert training.objective == ("alp_kd",)
    assert training.clip_norm == 3


def test_a_file_in_a_file_is_read_where_it_is_named(files):
    (inner,) = files(inner="--clip_norm=2 --train_batch_size=4")
    (outer,) = files(
        outer=f"--clip_norm=3 --flagfile={inner} --train_batch_size=5"
    )
    training = read(f"--flagfile={outer}")
    assert (training.clip_norm, training.train_batch_size) == (2, 5)
    training = read("--clip_norm=4", f"--flagfile={outer}")
    assert (training.clip_norm, training.train_batch_size) == (4, 5)
    (outer,) = files(outer=f"--flagfile={inner} --objective=labels")
    (inner,) = files(inner="--objective=pkd")
    assert read(f"--flagfile={outer}").objective == ("pkd", "labels")
    found = read(f"--flagfile={outer}", "--objective=crd").objective
    assert found == ("crd",)


def test_what_was_chosen_is_written_and_read_back(files, tmp_path):
    (file,) = files(a="--objective=pkd --objective=labels --random_seed=7")
    chosen = read_options(
        [f"--flagfile={file}", "--optimizer=adamw(weight_decay=0.5)"],
        General,
        Training,
    )
    path = tmp_path / "all.flags"
    path.write_text("\n".join(flags_of(*chosen)))
    assert read_options([f"--flagfile={path}"], General, Training) == chosen


def test_comments_and_blank_lines_are_skipped(tmp_path):
    path = tmp_path / "a.flags"
    path.write_text(
        "# --clip_norm=9\n\n// --clip_norm=8\n  --clip_norm=2  \n"
        "--optimizer=adamw(weight_decay=0, beta_1=0.5)\n"
    )
    training = read(f"--flagfile={path}")
    assert training.clip_norm == 2
    assert training.optimizer == "adamw(weight_decay=0, beta_1=0.5)"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--flagfile={}/none.flags"], "none.flags"),
        (["--flagfile"], "flagfile"),
        (["--flagfile={}"], "flagfile"),
        (["--clip_norm=x"], "clip_norm=x"),
        (["--flagfile={}/a.flags", "--clip_norm=-1"], "=-1.0 is not at least"),
        (["--flagfile={}/wrong.flags"], "Unknown command line flag 'clip'"),
        (["--flagfile={}/a.flags", "stray"], "Unexpected argument 'stray'"),
        (["--flagfile={}/word.flags"], "Unexpected argument 'clip_norm=2'"),
    ],
)
def test_what_is_wrong_is_said(files, tmp_path, arguments, says):
    files(a="--clip_norm=2", wrong="--clip=2", word="clip_norm=2")
    with pytest.raises(ValueError, match=says) as error:
        read(*(argument.format(tmp_path) for argument in arguments))
    assert len(str(error.value).splitlines()) == 1


def test_recipe_of_d_bert_resolves_to_the_published_settings():
    """d-bert's `birnn_sst2`: vectors and rate are those of its papers."""
    recipe = "--flagfile=configs/recipes/d_bert/sst2.flags"
    training, artefacts = read_options([recipe], Training, Artefacts)
    assert training.num_train_epochs == 30
    assert training.train_batch_size == 50
    assert training.optimizer == "adadelta"
    student = parse_spec(artefacts.student, STUDENTS)
    assert student.name == "bilstm"
    assert student.arguments["hidden_dim"] == 150
    assert student.arguments["fc_dim"] == 200
