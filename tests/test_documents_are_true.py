"""What README, WORKSPACE and the record format say is there, is there."""

import pathlib
import re

import pytest

from tfdistill.config import options
from tfdistill.distillation import OBJECTIVES
from tfdistill.models.specs import STUDENTS
from tfdistill.records import KNOWLEDGE
from tfdistill.training import OPTIMIZERS, SCHEDULES

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = ["README.md", "WORKSPACE.md", "CHANGELOG.md", "records/README.md"]


def text_of(name):
    return (ROOT / name).read_text()


def commands_in_flagfiles():
    return {
        line.removeprefix("# ")
        for path in (ROOT / "configs").rglob("*.flags")
        for line in path.read_text().splitlines()
        if line.startswith("# python -m tfdistill.")
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_are_those_of_flagfiles_that_are_run(name):
    for line in text_of(name).splitlines():
        if line.startswith("python -m tfdistill."):
            assert line in commands_in_flagfiles(), line


def test_readme_shows_the_whole_smoke_chain():
    smoke = text_of("configs/smoke/wiki.flags")
    chain = re.findall(r"^# (python -m tfdistill\..*)$", smoke, re.M)
    assert len(chain) == 7
    assert "\n".join(chain) in text_of("README.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name):
    makefile = text_of("Makefile")
    for target in re.findall(r"`?make (\w+)`?", text_of(name)):
        if target in ("and", "is", "a"):
            continue
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_flags_exist(name):
    import dataclasses

    known = {f.name for g in options.ALL for f in dataclasses.fields(g)}
    known |= {"flagfile", "help", "json", "logdir"}
    for flag in re.findall(r"--([a-z_]+)\b(?!--)", text_of(name)):
        assert flag in known, flag


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_exist(name):
    for path in re.findall(
        r"`((?:tests|launch|configs)/[\w./]+)`", text_of(name)
    ):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([\w./]+)\)", text_of(name)):
        assert (ROOT / path).exists(), path


def test_readme_names_every_objective_student_and_optimizer():
    readme = text_of("README.md")
    for known in (OBJECTIVES, STUDENTS, KNOWLEDGE, OPTIMIZERS, SCHEDULES):
        for name in known:
            assert name in readme, name
