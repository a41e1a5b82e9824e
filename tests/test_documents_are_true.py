"""What README, WORKSPACE, docs and the record format say is there, is there."""

import ast
import functools
import inspect
import pathlib
import re

import pytest

from tfdistill.config import options
from tfdistill.distillation import OBJECTIVES
from tfdistill.models.specs import STUDENTS
from tfdistill.records import KNOWLEDGE
from tfdistill.training import OPTIMIZERS, SCHEDULES

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "WORKSPACE.md",
    "CHANGELOG.md",
    "records/README.md",
    "launch/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]


def text_of(name):
    return (ROOT / name).read_text()


def commands_in_flagfiles():
    return {
        line.removeprefix("# ")
        for path in (ROOT / "configs").rglob("*.*s*")
        if path.suffix in (".flags", ".sweep")
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
    for target in re.findall(r"`make (\w+)`", text_of(name)):
        if target in ("and", "is", "a"):
            continue
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_flags_exist(name):
    import dataclasses

    known = {f.name for g in options.ALL for f in dataclasses.fields(g)}
    known |= {"flagfile", "help", "verbosity", "name", "json", "logdir"}
    # Of Slurm's sbatch.
    known |= {"nodes", "ntasks", "gpus"}
    # Misspelt there, as people do.
    known |= {"learning_rat"}
    for flag in re.findall(r"--([a-z_]+)\b(?!--)", text_of(name)):
        assert flag in known, flag


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_exist(name):
    for path in re.findall(
        r"`((?:tests|launch|configs)/[\w./]+)`", text_of(name)
    ):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([\w./]+)\)", text_of(name)):
        assert ((ROOT / name).parent / path).exists(), path


def test_readme_names_every_objective_student_and_optimizer():
    readme = text_of("README.md")
    for known in (OBJECTIVES, STUDENTS, KNOWLEDGE, OPTIMIZERS, SCHEDULES):
        for name in known:
            assert name in readme, name


def test_docs_have_the_arguments_of_every_objective():
    text = text_of("docs/objectives.md")
    headings = re.findall(r"^### (\w+)$", text, re.M)
    assert sorted(headings) == sorted(OBJECTIVES)
    for name, kind in OBJECTIVES.items():
        arguments = ", ".join(
            f"{p.name}={p.default}"
            for p in inspect.signature(kind.declare).parameters.values()
        )
        shown = f"### {name}\n\n```\n{name}({arguments})\n```\n"
        assert shown in text, shown


@functools.cache
def lines_of_the_code():
    """Texts in the code: the longest fixed part of each, and a pattern.

    A pattern takes anything where the code puts a value.
    """
    found = []
    for path in (ROOT / "tfdistill").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = [node] if isinstance(node, ast.Constant) else []
            if isinstance(node, ast.JoinedStr):
                parts = node.values
            texts = [getattr(part, "value", None) for part in parts]
            fixed = [text for text in texts if isinstance(text, str)]
            if sum(map(len, fixed)) >= 12:
                pattern = "".join(
                    re.escape(text) if isinstance(text, str) else ".*"
                    for text in texts
                )
                found.append((max(fixed, key=len).strip("."), pattern))
    return found


def is_printed(line):
    """Whether the code has the line."""
    return any(
        part in line and re.fullmatch(pattern, line)
        for part, pattern in lines_of_the_code()
    )


def quoted_lines():
    """The lines that the guide says are printed."""
    text = text_of("docs/troubleshooting.md")
    return re.findall(r"^\| `([^`]+)` \|", text, re.M)


def test_the_guide_quotes_many_lines():
    assert len(quoted_lines()) >= 25


@pytest.mark.parametrize("line", quoted_lines())
def test_quoted_lines_are_those_of_the_code(line):
    line = line.replace("make horovod builds", "`make horovod` builds")
    assert is_printed(line.removesuffix(" Example: …")), line


def test_other_lines_are_not():
    assert not is_printed("There is no such thing as this line.")
    assert not is_printed("Horovod is not there. `make horovod` builds it.")
