"""The one entry to all commands, and the completion of shells."""

import itertools
import pathlib
import subprocess
import sys

import pytest
from small_chain import call

import tfdistill
from tfdistill.__main__ import COMMANDS
from tfdistill.config.completion import completion_script

ROOT = pathlib.Path(tfdistill.__file__).parent


def tfdistill_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdistill", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_is_listed():
    modules = {
        path.stem
        for path in ROOT.glob("*.py")
        if 'if __name__ == "__main__":\n    run_command(' in path.read_text()
    }
    assert modules == set(COMMANDS)


def test_without_a_command_all_are_listed():
    for arguments, status in (((), 2), (("--help",), 0)):
        done = tfdistill_command(*arguments)
        assert done.returncode == status and not done.stdout
        lines = [line.split(maxsplit=1) for line in done.stderr.splitlines()]
        told = {x[0]: x[1] for x in lines if len(x) == 2}
        for name in COMMANDS:
            assert len(told[name]) > 20 and told[name].endswith(".")


def test_commands_are_run_as_their_modules_are():
    done = tfdistill_command("make_vocab", "--text=", "--vocab_size=2")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "tfdistill.make_vocab: error: --vocab_size=2 is not at least 16.\n"
    )


def test_wrong_commands_are_told():
    done = tfdistill_command("destill")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("tfdistill: error: Unknown command 'destill'. Known")
    done = tfdistill_command("completion", "fish")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown shell 'fish'. Known: bash, zsh." in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_groups_and_two_examples(command):
    done = call(command, ["--help"])
    assert done.status == 0
    lines = done.stderr.splitlines()
    start = lines.index("Examples:") + 1
    for line in lines[start : start + 2]:
        assert line.startswith(f"  python -m tfdistill.{command} ")
    assert lines[start + 2].startswith("Any flag can stand in a file")
    # Each group has a heading and its flags.
    heads = [
        above
        for above, line in itertools.pairwise(lines)
        if line.startswith("  --") and not above.startswith(" ")
    ]
    assert heads and all(head.endswith(".") for head in heads)


def complete(*words):
    """What bash offers for the last of the words, as bash cuts them."""
    script = completion_script("bash", [*COMMANDS, "completion"])
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_tfdistill; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_bash_completes_commands_flags_and_values():
    assert complete("tfdistill", "ex") == [
        "extract_wikipedia",
        "extract_teacher",
        "export_logits",
        "export",
    ]
    assert complete("tfdistill", "distill", "--obj") == ["--objective="]
    assert "--flagfile=" in complete("tfdistill", "distill", "--f")
    assert complete("tfdistill", "distill", "--schedule", "=") == [
        "bert_linear",
        "warmup_linear",
        "noam",
        "constant",
    ]
    words = ("tfdistill", "distill", "--do_whole_word_mask", "=", "t")
    assert complete(*words) == ["true"]
    # As zsh cuts words.
    words = ("tfdistill", "distill", "--schedule=warm")
    assert complete(*words) == ["--schedule=warmup_linear"]


def test_bash_completes_files(tmp_path):
    (tmp_path / "records").mkdir()
    words = ("tfdistill", "distill", "--records", "=", f"{tmp_path}/rec")
    assert complete(*words) == [f"{tmp_path}/records"]
    words = ("tfdistill", "report", f"{tmp_path}/r")
    assert complete(*words) == [f"{tmp_path}/records"]


def test_zsh_reads_the_same():
    zsh = completion_script("zsh", COMMANDS)
    assert zsh.startswith("autoload -U +X bashcompinit && bashcompinit\n")
    assert zsh.endswith(completion_script("bash", COMMANDS))
