"""The model card that goes with an export."""

from collections.abc import Mapping, Sequence
from typing import Any

import tfdistill


def model_card(
    *,
    title: str,
    usage: str,
    labels: Sequence[str],
    parity: Mapping[str, float],
    identity: Mapping[str, Any],
    eval_records: str,
    parameters: int,
    config: Mapping[str, Any] | None,
    result: Mapping[str, Any] | None,
    flags: str,
) -> str:
    """Write a model card in Markdown, of what is known and nothing else.

    Args:
        title: Its heading.
        usage: Lines of Python that load it.
        labels: Names of its classes.
        parity: What `check_parity` found out.
        identity: Of the records that the export was tried on.
        eval_records: Where these are.
        parameters: Of the model.
        config: Of the run that made it; None where that is not known.
        result: Of that run.
        flags: Its flagfile, "" where it is not known.
    """
    parts = [
        f"# {title}",
        f"A model of {parameters:,} parameters for the task "
        f"`{identity['task']}`, exported by tfdistill "
        f"{tfdistill.__version__}.",
        "## Use",
        f"```python\n{usage}```",
        _classes(labels),
        "## Data",
        f"Tried on `{eval_records}`, made from a {identity['split']} table "
        f"with the SHA-256 `{identity['table']}`. "
        + _training_data(config, flags),
        "## Recipe",
        _recipe(config, flags),
        "## Numbers",
        _numbers(result, parity),
        "## Limits and licence",
        "It was measured on the records above alone. What it says of other "
        "text, languages or groups of people is not known.",
        "No licence is claimed here. What may be done with the weights "
        "depends on the licences of the teacher, of the model that training "
        "began with, and of the data named above: look at each before you "
        "pass this on. The code of tfdistill is under Apache-2.0.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _classes(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    names = ", ".join(f"{i} is `{label}`" for i, label in enumerate(labels))
    return f"Classes: {names}."


def _flag(flags: str, name: str) -> str:
    for line in flags.splitlines():
        if line.startswith(f"--{name}="):
            return line.partition("=")[2]
    return ""


def _training_data(config: Mapping[str, Any] | None, flags: str) -> str:
    if config is None:
        return "What it was trained on is not known."
    path = _flag(flags, "knowledge_records") or _flag(flags, "records")
    return f"Trained on `{path}`, whose fingerprint is `{config['records']}`."


def _recipe(config: Mapping[str, Any] | None, flags: str) -> str:
    if config is None:
        return "The folder that it is from says nothing of how it was made."
    is_student = "teacher" in config
    start = _flag(flags, "student" if is_student else "model")
    lines = [f"* It began as `{start}`."]
    if is_student and _flag(flags, "teacher"):
        lines.append(f"* Teacher: `{_flag(flags, 'teacher')}`.")
    lines += [
        "* Objectives: "
        + ", ".join(f"`{spec}`" for spec in config["objectives"])
        + ".",
        f"* {config['num_train_steps']:,} steps of "
        f"{config['train_batch_size']} examples, `{config['optimizer']}`, "
        f"`{config['schedule']}`, learning rate {config['learning_rate']}, "
        f"seed {config['random_seed']}.",
    ]
    command = "distill" if is_student else "finetune"
    return (
        "\n".join(lines)
        + f"\n\nAll of it, as `python -m tfdistill.{command} --flagfile=…` "
        f"takes it:\n\n```\n{flags.strip()}\n```"
    )


def _numbers(
    result: Mapping[str, Any] | None, parity: Mapping[str, float]
) -> str:
    rows = []
    if result is not None:
        rows += [
            (f"{name}, of the run's evaluation", value)
            for name, value in result["eval"].items()
        ]
    rows += [
        (f"{n.replace('_', ' ')}, of the trial", v) for n, v in parity.items()
    ]
    return "\n".join(
        ["| what | value |", "| --- | --- |"]
        + [f"| {name} | {value:.6g} |" for name, value in rows]
    )
