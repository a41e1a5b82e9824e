"""Flagfiles and sweep files that were harmed."""

import configparser
import dataclasses
import io
import itertools
import pathlib

import pytest
from hostile import cases, harmed, hostile_reading

from tfdistill.config import options
from tfdistill.config.command import flags_of, read_options
from tfdistill.sweeps import plan_runs, read_plan

ROOT = pathlib.Path(__file__).parents[2]
WORDS = (
    b"--",
    b"\n--learning_rate=",
    b"=nan",
    b"--objective='labels(",
    b"--flagfile=",
    b"--undefok=x",
    b"\n--nodo_lower_case",
    b"\n[seed]\n",
    b"\na = b\n",
    b"%(x)s",
    b"--help",
    b"--num_train_steps=1e3",
    b"=9223372036854775808",
)
TEXTS = {
    field.name
    for group in options.ALL
    for field in dataclasses.fields(group)
    if isinstance(field.default, str)
}


def read(path):
    return read_options([f"--flagfile={path}"], *options.ALL)


def test_flagfiles(tmp_path, capfd):
    path = tmp_path / "a.flags"
    files = ("smoke/glue.flags", "smoke/wiki.flags", "study/base.flags")
    good = [(ROOT / "configs" / file).read_bytes() for file in files]
    with hostile_reading() as found:
        for draw in cases("flagfiles", 2000):
            data = harmed(draw.choice(good), draw, WORDS)
            path.write_bytes(data)
            # What is wrong with a flag names the flag, not the file.
            chosen = found.of("", read, path)
            if chosen is None:
                continue
            values = {
                name: value
                for group in chosen
                for name, value in vars(group).items()
            }
            given = {}
            for line in io.StringIO(data.decode(), newline=None):
                name, is_whole, value = line.strip().partition("=")
                name = name.lstrip("-")
                if is_whole and not line.strip().startswith(("#", "//")):
                    given[name] = value
            for name in given.keys() & TEXTS:
                assert values[name] == given[name]
            if found.read % 10 == 0:
                again = read_options(flags_of(*chosen), *options.ALL)
                assert again == chosen
    assert found.read > 100 and found.refused > 500
    assert len(capfd.readouterr().err.splitlines()) < 300


def test_flagfiles_that_name_each_other_end(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).write_text(
            f"--flagfile={tmp_path / other}\n--random_seed=3\n"
        )
    with hostile_reading() as found:
        chosen = found.of("", read, tmp_path / "a")
    assert chosen is None or "--random_seed=3" in flags_of(*chosen)


AXES = b"""
[sweep]
command = distill        # or finetune
average = seed
columns = start

[objective]
labels = --objective=labels
both = --objective='attention_kl(end_step=4)'
    --objective='soft_targets(start_step=4)'

[start]
random = --student='bert(num_layers=3, hidden_dim=384)' --learning_rate=1e-3
low = --learning_rate=1e-4

[seed]
1 = --random_seed=1
2 = --random_seed=2
"""
BASE = ("--student=bert", "--eval_records=eval", "--objective=hidden_mse")


@pytest.fixture(scope="module")
def base():
    return read_options(BASE, *options.ALL)


def test_sweep_files(tmp_path, base):
    path = tmp_path / "a.sweep"
    with hostile_reading() as found:
        for number, draw in enumerate(cases("sweeps", 2000)):
            data = harmed(AXES, draw, WORDS)
            path.write_bytes(data)
            plan = found.of(path, read_plan, str(path))
            if plan is None:
                continue
            parser = configparser.ConfigParser(
                delimiters="=",
                inline_comment_prefixes="#",
                interpolation=None,
                default_section="",
                empty_lines_in_values=False,
            )
            parser.optionxform = str
            parser.read_string(data.decode())
            assert {a: [*points] for a, points in plan.axes.items()} == {
                name: [*parser[name]]
                for name in parser.sections()
                if name != "sweep"
            }
            for point in itertools.chain(*plan.axes.values()):
                assert pathlib.PurePath(point).name == point != ".."
            # Many combinations take long, and say no more.
            if number % 10 or len(plan.axes) > 4:
                continue
            runs = found.of(path, plan_runs, plan, base)
            if runs is not None:
                names = [run.name for run in runs]
                assert names == [
                    "+".join(c) for c in itertools.product(*plan.axes.values())
                ]
    assert found.read > 100 and found.refused > 500
