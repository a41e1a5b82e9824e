"""Which of several places that give a flag wins."""

import pytest

from tfdistill.config.command import flags_of, read_options
from tfdistill.config.options import General, Training


@pytest.fixture
def read(tmp_path):
    (tmp_path / "one.flags").write_text(
        "--clip_norm=1.5\n--objective=a\n--objective=b\n--random_seed=1\n"
    )
    (tmp_path / "two.flags").write_text(
        "# Something else.\n--clip_norm=2.5\n--objective=c\n"
    )
    (tmp_path / "nested.flags").write_text(
        f"--flagfile={tmp_path}/two.flags\n--learning_rate=2\n"
    )

    def read_in_folder(flags):
        flags = flags.format(c=tmp_path).split()
        return read_options(flags, General, Training)

    return read_in_folder


ONE, TWO = ("--flagfile={c}/one.flags", "--flagfile={c}/two.flags")


@pytest.mark.parametrize(
    ("flags", "clip_norm", "objective", "random_seed"),
    [
        ("", 1.0, (), 12345),
        (ONE, 1.5, ("a", "b"), 1),
        (f"{ONE} {TWO}", 2.5, ("c",), 1),
        (f"{TWO} {ONE}", 1.5, ("a", "b"), 1),
        (f"{ONE} {ONE}", 1.5, ("a", "b"), 1),
        (ONE + " --flagfile={c}/nested.flags", 2.5, ("c",), 1),
        (f"--flagfile {ONE.partition('=')[2]}", 1.5, ("a", "b"), 1),
        # The command line, wherever it stands.
        (f"--clip_norm=3 --objective=d {ONE}", 3.0, ("d",), 1),
        (f"--objective d {ONE} --objective e {TWO}", 2.5, ("d", "e"), 1),
        (f"{ONE} --random_seed=2 {TWO}", 2.5, ("c",), 2),
    ],
)
def test_the_last_one_that_gives_it(
    read, flags, clip_norm, objective, random_seed
):
    general, training = read(flags)
    assert training.clip_norm == clip_norm
    assert training.objective == objective
    assert general.random_seed == random_seed


def test_flagfile_lines_are_read_back(read, tmp_path):
    chosen = read(f"{ONE} --optimizer=adamw(weight_decay=0.5)")
    (tmp_path / "all.flags").write_text("\n".join(flags_of(*chosen)))
    assert read("--flagfile={c}/all.flags") == chosen


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--clip_norms=1", "Unknown command line flag 'clip_norms'"),
        ("--clip_norm=x", "clip_norm=x"),
        ("--clip_norm=-1", "--clip_norm=-1.0 is not at least 0.0"),
        ("one", "Unexpected argument 'one'"),
        ("--flagfile={c}/none", "flagfile.*/none"),
        ("--flagfile={c}", "flagfile"),
    ],
)
def test_one_line_says_what_is_wrong(read, flags, says):
    with pytest.raises(ValueError, match=says) as caught:
        read(flags)
    assert "\n" not in str(caught.value)
