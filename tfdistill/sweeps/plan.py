"""What a sweep goes over: a file of axes, and the runs that follow from it.

    [sweep]
    command = distill    # or finetune
    average = seed       # axis whose runs are averaged; empty: none
    columns = init       # axis that becomes columns; empty: the last one
    metric =             # empty: each task's own

    [objective]          # every other section is an axis
    labels = --objective=labels
    soft = --objective=labels --objective='soft_targets(temperature=2)'

Every key of an axis is a point, its value the flags, quoted as in a shell.
Indented lines go on with the one before; a # behind a space begins a comment.
"""

import configparser
import dataclasses
import itertools
import pathlib
import shlex
import tempfile
from collections.abc import Mapping, Sequence

from tfdistill.config import Options, options
from tfdistill.config.command import flags_of, read_options
from tfdistill.config.options import Artefacts, General

# Commands that a sweep can run, and what they need beside --run_dir.
COMMANDS = {"distill": ("student",), "finetune": ("model", "records")}
_SETTINGS = ("command", "average", "columns", "metric")
_FLAGS_OF_THE_SWEEP = {"sweep", "run_dir", "num_processes"}
# What stands beside the runs of the first axis.
_NAMES_OF_THE_SWEEP = {
    "base.flags",
    "done",
    "logs",
    "results.json",
    "table.md",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep file says.

    Attributes:
        path: The file.
        command: Command that does a run.
        axes: Points by axis, and their flags, in the order of the file.
        average: Axis whose runs are averaged; empty: none.
        columns: Axis that becomes columns; empty where there is none left.
        metric: Metric of the table; empty: each task's own.
    """

    path: str
    command: str
    axes: Mapping[str, Mapping[str, tuple[str, ...]]]
    average: str
    columns: str
    metric: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One combination of points.

    Attributes:
        points: Its point on each axis, in the order of the file.
        flags: The flags of its points.
        settings: All flags that it comes to, defaults included, but for
            where it is and how it is run.
        task: Name of its task.
    """

    points: Mapping[str, str]
    flags: tuple[str, ...]
    settings: tuple[str, ...]
    task: str

    @property
    def name(self) -> str:
        """Its points, joined."""
        return "+".join(self.points.values())


def read_plan(path: str) -> Plan:
    """Read a sweep file.

    Raises:
        ValueError: It makes no sense; the message is one line that names
            the file, and the section and key where there are some.
        OSError: It cannot be read.
    """
    sections = _read_sections(path)
    settings = {
        name: value.strip() for name, value in sections.pop("sweep", {}).items()
    }
    for name in settings:
        if name not in _SETTINGS:
            raise ValueError(
                f"{path}: [sweep] does not know {name!r}. "
                f"Known: {', '.join(_SETTINGS)}."
            )
    command = settings.get("command") or "distill"
    if command not in COMMANDS:
        raise ValueError(
            f"{path}: [sweep] has the unknown command {command!r}. "
            f"Known: {', '.join(COMMANDS)}."
        )
    if not sections:
        raise ValueError(
            f"{path} has no axes: a section beside [sweep] is one."
        )
    axes = {axis: _points(path, axis, keys) for axis, keys in sections.items()}
    average, columns = (settings.get(n, "") for n in ("average", "columns"))
    for name, axis in (("average", average), ("columns", columns)):
        if axis and axis not in axes:
            raise ValueError(
                f"{path}: [sweep] {name}={axis} is no axis. "
                f"Axes: {', '.join(axes)}."
            )
    if columns and columns == average:
        raise ValueError(
            f"{path}: [sweep] {columns!r} is averaged, so it cannot become "
            "columns."
        )
    others = [axis for axis in axes if axis != average]
    return Plan(
        path=path,
        command=command,
        axes=axes,
        average=average,
        columns=columns or (others[-1] if others else ""),
        metric=settings.get("metric", ""),
    )


def plan_runs(plan: Plan, base: Sequence[Options]) -> list[Run]:
    """Returns the runs of all combinations, the last axis changing fastest.

    A run's flags are those of its points. Where they contradict, command
    lines win over flagfiles and flagfiles over the base; within either of
    the first two a later axis wins, or adds to a flag that may be repeated.

    Args:
        plan: Where the axes are.
        base: The options that hold for all runs, of every option class.

    Raises:
        ValueError: Flags of a point do not parse, a run lacks something, or
            two runs are the same. The message is one line that says where.
    """
    # Which flags win is known where flagfiles are read, so this is one too.
    with tempfile.TemporaryDirectory() as folder:
        flagfile = pathlib.Path(folder) / "base.flags"
        flagfile.write_text("\n".join(flags_of(*base)) + "\n", "utf-8")

        def read(flags: Sequence[str]) -> list[Options]:
            return read_options(
                [f"--flagfile={flagfile}", *flags], *options.ALL
            )

        for axis, points in plan.axes.items():
            for point, flags in points.items():
                where = f"{plan.path}: [{axis}] {point}"
                _check_flags(where, flags)
                try:
                    read(flags)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
        runs = []
        for combination in itertools.product(*plan.axes.values()):
            chosen = dict(zip(plan.axes, combination, strict=True))
            flags = tuple(
                flag
                for axis, point in chosen.items()
                for flag in plan.axes[axis][point]
            )
            runs.append(_run(plan, chosen, flags, read(flags)))
    _check_different(plan, runs)
    return runs


def _read_sections(path: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(
        delimiters=("=",),
        comment_prefixes=("#",),
        inline_comment_prefixes=("#",),
        empty_lines_in_values=False,
        # No section can have this name, so none gives defaults to others.
        default_section="",
        interpolation=None,
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(pathlib.Path(path).read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    except configparser.DuplicateOptionError as error:
        raise ValueError(
            f"{path}: [{error.section}] has {error.option!r} twice, again in "
            f"line {error.lineno}."
        ) from None
    except configparser.DuplicateSectionError as error:
        raise ValueError(
            f"{path} has [{error.section}] twice, again in line {error.lineno}."
        ) from None
    except configparser.MissingSectionHeaderError as error:
        raise ValueError(
            f"{path}: line {error.lineno} belongs to no [section]."
        ) from None
    except configparser.ParsingError as error:
        raise ValueError(
            f"{path}: line {error.errors[0][0]} is neither [section] nor "
            "name = value."
        ) from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _points(
    path: str, axis: str, keys: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    if not keys:
        raise ValueError(f"{path}: the axis [{axis}] has no points.")
    points = {}
    for point, value in keys.items():
        where = f"{path}: [{axis}] {point}"
        # Points name folders and files.
        if "/" in point or "+" in point or point[0] in "-.":
            raise ValueError(
                f"{where}: a point's name has no / and no +, and does not "
                "begin with - or a dot."
            )
        if point in _NAMES_OF_THE_SWEEP:
            raise ValueError(
                f"{where}: no point can have this name, as the sweep puts "
                "something of its own there."
            )
        try:
            points[point] = tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"{where}: {error} in {value}") from None
    return points


def _check_flags(where: str, flags: Sequence[str]) -> None:
    for flag in flags:
        if flag.startswith("-") and _name(flag) in _FLAGS_OF_THE_SWEEP:
            raise ValueError(
                f"{where}: --{_name(flag)} is for the whole sweep, not for a "
                "point."
            )


def _run(
    plan: Plan,
    points: Mapping[str, str],
    flags: tuple[str, ...],
    chosen: Sequence[Options],
) -> Run:
    (artefacts,) = (group for group in chosen if isinstance(group, Artefacts))
    (general,) = (group for group in chosen if isinstance(group, General))
    run = Run(
        points=points,
        flags=flags,
        settings=tuple(
            line
            for line in flags_of(*chosen)
            if _name(line) not in _FLAGS_OF_THE_SWEEP
        ),
        task=general.task,
    )
    for name in COMMANDS[plan.command]:
        if not getattr(artefacts, name):
            raise ValueError(
                f"{plan.path}: {run.name} lacks --{name}, which "
                f"{plan.command} needs."
            )
    if not artefacts.eval_records:
        raise ValueError(
            f"{plan.path}: {run.name} lacks --eval_records, so the table "
            "would have no number for it."
        )
    return run


def _check_different(plan: Plan, runs: Sequence[Run]) -> None:
    seen: dict[tuple[str, ...], Run] = {}
    for run in runs:
        other = seen.setdefault(run.settings, run)
        if other is not run:
            raise ValueError(
                f"{plan.path}: {other.name} and {run.name} would be the same "
                "run: no flag differs."
            )


def _name(flag: str) -> str:
    return flag.lstrip("-").partition("=")[0]
