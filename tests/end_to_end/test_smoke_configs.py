"""Every flagfile is valid; those of configs/smoke run as their headers say."""

import contextlib
import dataclasses
import functools
import json
import math
import os
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpi
import pytest
from absl import logging
from official.nlp.tools import squad_evaluate_v2_0
from small_chain import Done, call

import tfdistill.config
from tfdistill.config import Options, parse_spec, run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Devices,
    Examples,
    General,
    Knowledge,
    Masking,
    Training,
)
from tfdistill.distillation import OBJECTIVES, declare_objectives
from tfdistill.models.specs import STUDENTS
from tfdistill.records import Shapes, make_codec
from tfdistill.sweeps.plan import read_plan
from tfdistill.tasks import CMLM, GENERATION, TASKS
from tfdistill.training import OPTIMIZERS, Schedule

ROOT = Path(__file__).parents[2]
FLAGFILES = sorted((ROOT / "configs").rglob("*.flags"))
SWEEPS = sorted((ROOT / "configs").rglob("*.sweep"))
SMOKE_WIKI = ROOT / "configs" / "smoke" / "wiki.flags"
SMOKE_TRANSLATION = ROOT / "configs" / "smoke" / "translation.flags"
SMOKE_SQUAD = ROOT / "configs" / "smoke" / "squad.flags"
SMOKE_LANGUAGE = ROOT / "configs" / "smoke" / "language_model.flags"
# Those that end in a student.
SMOKE = [
    f for f in FLAGFILES if "smoke" in f.parent.parts and f != SMOKE_LANGUAGE
]
COMMANDS = (
    "extract_wikipedia",
    "make_vocab",
    "make_records",
    "finetune",
    "extract_teacher",
    "distill",
    "evaluate",
    "predict",
    "augment",
    "export_logits",
    "sweep",
    "report",
    "export",
)
WIKI_CHAIN = COMMANDS[:7]
# Commands that run a model say where.
ON_DEVICES = {"finetune", "extract_teacher", "distill", "evaluate", "predict"}
VOCABULARY_SIZE = 1000


def name_of(flagfile: Path) -> str:
    return flagfile.relative_to(ROOT).as_posix()


def header_commands(flagfile: Path) -> list[tuple[str, list[str]]]:
    """Returns the commands in the header of a flagfile, and their arguments.

    These end with `<` and a file where a command reads it.
    """
    commands = []
    for line in flagfile.read_text().splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("# python "):
            python, m, module, *arguments = shlex.split(line[2:])
            assert (python, m) == ("python", "-m"), line
            package, _, command = module.partition(".")
            assert package == "tfdistill", line
            assert arguments[0] == f"--flagfile={name_of(flagfile)}", line
            commands.append((command, arguments))
    return commands


def without_redirection(arguments: list[str]) -> tuple[list[str], str | None]:
    """Returns arguments, and the file that a command reads, if any."""
    if "<" not in arguments:
        return arguments, None
    *given, _, path = arguments
    return given, path


@dataclasses.dataclass(frozen=True)
class Declared:
    """What a command hands to `run_command`."""

    groups: tuple[type[Options], ...]
    needs: tuple[str, ...]
    arguments: str = ""

    def options(self, arguments: list[str]) -> dict[type[Options], Any]:
        """Returns the options that the command would be called with."""
        arguments = without_redirection(arguments)[0]
        received: list[Options] = []

        def main(*chosen: Any) -> dict[str, Any]:
            received.extend(chosen[1:] if self.arguments else chosen)
            return {}

        with pytest.raises(SystemExit) as ended:
            run_command(
                main,
                *self.groups,
                needs=self.needs,
                examples=("",),
                arguments=self.arguments,
                argv=["command", *arguments],
            )
        assert ended.value.code == 0
        return dict(zip(self.groups, received, strict=True))


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets commands be parsed in this process, from the root."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging, "use_absl_handler", lambda: None)
    monkeypatch.setattr(logging, "set_verbosity", lambda _: None)


@pytest.fixture
def declared(
    at_root: None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Declared]:
    found = {}
    for command in COMMANDS:

        def note(
            main: Any,
            *groups: type[Options],
            needs: tuple[str, ...],
            arguments: str = "",
            command: str = command,
            **_: Any,
        ) -> None:
            found[command] = Declared(groups, needs, arguments)

        module = f"tfdistill.{command}"
        with monkeypatch.context() as patched:
            patched.setattr(tfdistill.config, "run_command", note)
            patched.delitem(sys.modules, module, raising=False)
            runpy.run_module(module, run_name="__main__")
    return found


# With any of these options, and whatever it lacks.
EVERYTHING = Declared(
    (
        Artefacts,
        General,
        Devices,
        Corpus,
        Examples,
        Masking,
        Knowledge,
        Training,
    ),
    (),
)


def test_the_published_chain_is_there() -> None:
    chain = [command for command, _ in header_commands(SMOKE_WIKI)]
    assert chain == list(WIKI_CHAIN)
    published = header_commands(ROOT / "configs" / "wiki.flags")
    assert (
        "extract_teacher",
        ["--flagfile=configs/wiki.flags"],
    ) in published
    # That teacher exists, and its vocabulary with it.
    assert [command for command, _ in published] == [
        c for c in WIKI_CHAIN if c not in ("make_vocab", "finetune")
    ]


@pytest.mark.parametrize("flagfile", FLAGFILES, ids=name_of)
def test_flagfile_is_valid_for_every_command(
    flagfile: Path, declared: dict[str, Declared]
) -> None:
    assert set(declared) == set(COMMANDS)
    for command in declared.values():
        lenient = dataclasses.replace(command, needs=(), arguments="")
        lenient.options([f"--flagfile={name_of(flagfile)}"])


@pytest.mark.parametrize("flagfile", FLAGFILES, ids=name_of)
def test_header_gives_all_that_its_commands_need(
    flagfile: Path, declared: dict[str, Declared]
) -> None:
    commands = header_commands(flagfile)
    # What a sweep names is run by the sweep.
    of_sweeps = "".join(path.read_text() for path in SWEEPS)
    assert commands or name_of(flagfile) in of_sweeps
    for command, arguments in commands:
        declared[command].options(arguments)


@pytest.mark.parametrize("flagfile", FLAGFILES, ids=name_of)
def test_specs_are_valid(flagfile: Path, at_root: None) -> None:
    alone = [f"--flagfile={name_of(flagfile)}"]
    for arguments in (alone, *(a for _, a in header_commands(flagfile))):
        flags = [a for a in arguments if a.startswith("--")]
        check_specs(EVERYTHING.options(flags))


@pytest.mark.parametrize("path", SWEEPS, ids=name_of)
def test_points_of_sweeps_are_valid(path: Path, at_root: None) -> None:
    plan = read_plan(str(path))
    for points in plan.axes.values():
        for flags in points.values():
            check_specs(EVERYTHING.options(list(flags)))


def check_specs(chosen: dict[type[Options], Any]) -> None:
    artefacts, training = chosen[Artefacts], chosen[Training]
    for model in (artefacts.model, artefacts.student):
        # The others are folders, which need not be here.
        if model and "/" not in model:
            spec = parse_spec(model, STUDENTS)
            if spec.name == "bert":
                STUDENTS["bert"](VOCABULARY_SIZE, None, **spec.arguments)
    assert chosen[General].task in TASKS
    if training.objective:
        declare_objectives(training.objective, OBJECTIVES)
    has_places = chosen[General].task in ("mlm", *GENERATION, CMLM)
    make_codec(
        chosen[Knowledge].knowledge
        or ["top_k(k=10)" if has_places else "logits"],
        Shapes(
            layout=chosen[Examples].record_layout,
            max_seq_length=chosen[Examples].max_seq_length,
            num_slots=(
                chosen[Masking].max_predictions_per_seq if has_places else 0
            ),
            vocabulary_size=VOCABULARY_SIZE,
            num_classes=0 if has_places else 2,
            num_layers=12,
            hidden_dim=768,
            num_heads=12,
        ),
    )
    parse_spec(training.optimizer, OPTIMIZERS)
    Schedule(
        training.schedule,
        training.learning_rate,
        training.num_warmup_steps,
        training.num_train_steps,
    )


@dataclasses.dataclass(frozen=True)
class Chain:
    """A chain of commands that has run.

    Attributes:
        root: What stands for the root of the repository.
        commands: Names and arguments, in order.
        summaries: What each command printed last, by its name.
    """

    root: Path
    commands: list[tuple[str, list[str]]]
    summaries: dict[str, dict[str, Any]]


def run(
    root: Path, command: str, arguments: list[str], is_apart: bool = False
) -> dict[str, Any]:
    """Run a command; returns its summary.

    `is_apart` gives it a process of its own, which takes seconds to start;
    one that reads lines always has one.
    """
    arguments, path = without_redirection(arguments)
    if is_apart or path:
        apart = subprocess.run(
            [sys.executable, "-m", f"tfdistill.{command}", *arguments],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            input=(root / path).read_text() if path else "",
            capture_output=True,
            text=True,
            timeout=600,
        )
        done = Done(apart.returncode, apart.stdout, apart.stderr)
    else:
        with contextlib.chdir(root):
            done = call(command, arguments)
    assert done.status == 0, f"{command}: {done.stderr}"
    # A graph for each length of a batch is nothing to warn of.
    assert "retracing" not in done.stderr
    # What reads lines writes others to stdout, and nothing else.
    said = done.stderr if path else done.stdout
    summary = json.loads(said.splitlines()[-1])
    assert isinstance(summary, dict)
    if path:
        lines = (root / path).read_text().count("\n")
        assert done.stdout.count("\n") == lines == summary["lines"]
    return summary


@pytest.fixture(scope="module")
def chain_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path], Chain]:
    """Runs the chain of a flagfile once."""

    @functools.cache
    def run_chain(flagfile: Path) -> Chain:
        root = tmp_path_factory.mktemp("root")
        shutil.copytree(ROOT / "configs", root / "configs")
        commands = header_commands(flagfile)
        summaries = {}
        for command, arguments in commands:
            summaries[command] = run(
                root, command, arguments, is_apart=flagfile == SMOKE_WIKI
            )
        assert sorted(os.listdir(root)) == ["configs", "runs"]
        return Chain(root, commands, summaries)

    return run_chain


@pytest.fixture(params=SMOKE, ids=name_of)
def chain(
    request: pytest.FixtureRequest, chain_of: Callable[[Path], Chain]
) -> Chain:
    return chain_of(request.param)


@pytest.fixture
def squad(chain_of: Callable[[Path], Chain]) -> Chain:
    return chain_of(SMOKE_SQUAD)


@pytest.fixture
def wiki(chain_of: Callable[[Path], Chain]) -> Chain:
    return chain_of(SMOKE_WIKI)


def test_summaries_say_where_models_ran(chain: Chain) -> None:
    ran = ON_DEVICES & set(chain.summaries)
    assert ran
    for command in ran:
        summary = chain.summaries[command]
        assert (summary["replicas"], summary["world_size"]) == ("one", 1)


def test_two_processes_train_the_same_student(wiki: Chain) -> None:
    (line,) = (
        line.removeprefix("# mpirun ")
        for line in SMOKE_WIKI.read_text().splitlines()
        if line.startswith("# mpirun ")
    )
    np, two, python, *arguments = shlex.split(line)
    assert (np, two, python) == ("-np", "2", "python")
    done = mpi.run(mpi.mpirun(2, *arguments), cwd=wiki.root)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["replicas"], summary["world_size"]) == ("horovod", 2)
    for name, value in wiki.summaries["distill"]["eval"].items():
        assert summary["eval"][name] == pytest.approx(value, rel=1e-4), name


def test_student_is_evaluated_on_held_out_records(chain: Chain) -> None:
    evaluated = chain.summaries["evaluate"]
    made = chain.summaries["make_records"]
    trained = chain.summaries["distill"]
    assert evaluated["run_dir"] == trained["run_dir"]
    assert evaluated["eval_records"] == made["eval_records"] != made["records"]
    assert evaluated["examples"] == made["eval_examples"] > 0
    assert evaluated["parameters"] == trained["parameters"]
    assert evaluated[trained["best_metric"]] > 0
    # Scores have neither a first choice nor a distribution.
    if trained["best_metric"] != "pearson":
        assert 0 <= evaluated["teacher_agreement"] <= 1
        assert evaluated["teacher_kl"] >= 0
    # The student that was saved is the one that was trained.
    for name, value in trained["eval"].items():
        assert evaluated[name] == pytest.approx(value, rel=1e-4), name


def test_a_language_model_writes_sentences(
    chain_of: Callable[[Path], Chain],
) -> None:
    chain = chain_of(SMOKE_LANGUAGE)
    pieces = chain.summaries["make_vocab"]["vocabulary"]
    evaluated = chain.summaries["evaluate"]
    assert evaluated["token_loss"] < 0.5 * math.log(pieces)
    written = chain.root / chain.summaries["augment"]["output"]
    lines = written.read_text().splitlines()
    assert len(lines) == chain.summaries["augment"]["examples"] + 1 > 500


def test_every_family_of_tasks_has_a_chain() -> None:
    tasks = {
        flag.removeprefix("--task=")
        for file in (*SMOKE, SMOKE_LANGUAGE)
        for flag in shlex.split(file.read_text(), comments=True)
        if flag.startswith("--task=")
    }
    named = {"sst2", "regression", "squad_v2", "translation", "summarisation"}
    assert tasks == named  # And mlm, which is the default.
    readme = (ROOT / "README.md").read_text()
    for file in (*SMOKE, SMOKE_LANGUAGE):
        assert file.name in readme


def test_knowledge_covers_all_training_records(wiki: Chain) -> None:
    made = wiki.summaries["make_records"]
    extracted = wiki.summaries["extract_teacher"]
    assert extracted["extracted_examples"] == made["examples"]
    assert extracted["extracted_shards"] == made["shards"] > 1


def test_models_know_more_than_nothing(wiki: Chain) -> None:
    pieces = wiki.summaries["make_vocab"]["pieces"]
    for command in ("finetune", "distill"):
        assert wiki.summaries[command]["eval"]["perplexity"] < pieces


def test_published_scorer_finds_the_same_in_what_is_predicted(
    squad: Chain,
) -> None:
    """The threshold that evaluate finds is the one that predict takes."""
    evaluated = squad.summaries["evaluate"]
    written = squad.summaries["predict"]
    predictions, best, odds = (
        json.loads((squad.root / written[name]).read_text())
        for name in ("predictions", "nbest_predictions", "null_odds")
    )
    file = squad.root / "configs/smoke/SQuAD/dev-v2.0.json"
    data = json.loads(file.read_text())["data"]
    scores = squad_evaluate_v2_0.evaluate(data, predictions)
    assert evaluated["f1"] == pytest.approx(scores["f1"])
    assert evaluated["exact_match"] == pytest.approx(scores["exact"])
    assert evaluated["no_answer_f1"] == pytest.approx(scores["NoAns_f1"])
    assert 50 < evaluated["exact_match"] <= evaluated["f1"] < 100
    threshold = evaluated["null_score_diff_threshold"]
    assert threshold != 0
    assert len(predictions) == squad.summaries["make_records"]["eval_questions"]
    for name, text in predictions.items():
        assert (text == "") == (odds[name] > threshold)
        texts = [candidate["text"] for candidate in best[name]]
        assert text in texts and "" in texts
        total = sum(candidate["probability"] for candidate in best[name])
        assert total == pytest.approx(1)


def test_finished_commands_do_nothing_again(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    def changed() -> dict[Path, int]:
        files = (chain.root / "runs").rglob("*")
        return {file: file.stat().st_mtime_ns for file in files}

    before = changed()
    caplog.set_level("INFO", logger="absl")
    for command, arguments in chain.commands[:2]:
        caplog.clear()
        summary = run(chain.root, command, arguments)
        first = dict(chain.summaries[command])
        assert summary.pop("seconds") <= first.pop("seconds") + 5
        assert summary == first
        assert "already" in caplog.text
    assert changed() == before


def test_the_translator_is_scored_on_its_texts(
    chain_of: Callable[[Path], Chain],
) -> None:
    chain = chain_of(SMOKE_TRANSLATION)
    evaluated = chain.summaries["evaluate"]
    assert evaluated["bleu"] > 60
    assert "version:" in evaluated["signature"]
    assert evaluated["texts"] == chain.summaries["make_records"]["eval_pairs"]
    assert chain.summaries["finetune"]["eval"]["accuracy"] > 0.5
