"""Runs a command: flags in, one line of JSON out, one clear line on failure."""

import dataclasses
import itertools
import json
import os
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Sequence
from logging import Formatter, getLogger
from typing import Any, NoReturn

from absl import flags, logging

from tfdistill.config import options
from tfdistill.config.failures import known_failures, one_line
from tfdistill.config.fields import FlagNeededError, Options
from tfdistill.launcher import Process, this_process

EXIT_FAILED = 1
EXIT_USAGE = 2
_SECONDS_FOR_THE_CHIEF = 2.0
_LONGEST_NAME = 100


class Printed(dict[str, Any]):
    """The summary of a command that has written what it made to stdout.

    It goes to stderr, so that nothing else is on stdout.
    """


def run_command(
    main: Callable[..., dict[str, Any]],
    *groups: type[Options],
    needs: Sequence[str],
    examples: Sequence[str],
    arguments: str = "",
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Run `main` with options read from the command line, then exit.

    Every command takes every flag of the toolkit, so that one flagfile
    serves a whole chain of commands; it uses those of its own groups.

    Args:
        main: Called with one instance of each of `groups`, in their order.
            Returns the summary that is printed as the last line of stdout
            (of `Printed`, of stderr), with the `seconds` that it took. Of
            several processes the first one prints it.
        *groups: The option classes which the command reads.
        needs: Names of the flags that must not be empty.
        examples: Arguments of typical calls, for the usage text; the first
            stands in messages too.
        arguments: What arguments that are no flags stand for, such as RUN;
            `main` is called with a tuple of them before its options, of at
            least one. Empty: there must be none.
        argv: Command line; `sys.argv` where it is None.
    """
    argv = list(sys.argv if argv is None else argv)
    command = _command_name(main)
    usage = f"python -m {command} {examples[0]}"
    # Flags live in a set of their own; absl's logging asks the global one.
    flags.FLAGS.mark_as_parsed()
    process = Process()
    try:
        process = this_process()
        _set_up_logging(process)
        values, given = _parse(argv)
        if len(argv) == 1 or values["help"].value:
            sys.stderr.write(
                _usage(command, main, groups, needs, arguments, examples)
            )
            sys.exit(0 if values["help"].value else EXIT_USAGE)
        chosen: list[Any] = [_build(group, values) for group in groups]
        if not arguments:
            _refuse(given)
        elif not given:
            raise ValueError(f"{arguments} is needed. Example: {usage}")
        else:
            chosen = [tuple(given), *chosen]
        missing = [n for n in needs if values[n].value in (None, "", [])]
        if missing:
            raise FlagNeededError(missing[0])
        if not process.is_alone and options.Devices not in groups:
            raise ValueError(
                f"{process.launcher} has started {process.count} processes, "
                "but this command makes its own (--num_processes)."
            )
    except (flags.Error, ValueError, OSError) as error:
        _fail(process, command, one_line(error, usage), EXIT_USAGE)
    verbose = int(values["verbosity"].value) > 0
    started = time.monotonic()
    try:
        summary = main(*chosen)
    except KeyboardInterrupt as error:
        _fail(process, command, str(error) or "interrupted", 130)
    except Exception as error:
        if isinstance(error, known_failures()) and not verbose:
            status = (
                EXIT_USAGE
                if isinstance(error, FlagNeededError)
                else EXIT_FAILED
            )
            _fail(process, command, one_line(error, usage), status)
        if process.is_alone:
            raise
        _fail(process, command, traceback.format_exc(), EXIT_FAILED)
    sys.stderr.flush()
    out = sys.stderr if isinstance(summary, Printed) else sys.stdout
    summary = {
        "replicas": "one",
        "world_size": 1,
        **summary,
        "seconds": round(time.monotonic() - started, 3),
    }
    if process.is_chief:
        print(json.dumps(summary), file=out, flush=True)
    sys.exit(0)


def read_options(
    arguments: Sequence[str], *groups: type[Options]
) -> list[Options]:
    """Read options from a command line, as `run_command` does.

    Args:
        arguments: Flags, --flagfile among them.
        *groups: The option classes to read.

    Returns:
        One instance of each of `groups`, in their order.

    Raises:
        ValueError: The flags do not parse or are out of range; the message
            is one line.
    """
    try:
        values, given = _parse(["", *arguments])
    except flags.Error as error:
        raise ValueError(one_line(error)) from None
    _refuse(given)
    return [_build(group, values) for group in groups]


def flags_of(*chosen: Options) -> list[str]:
    """Returns the options as flagfile lines, one `--name=value` each."""
    lines = []
    for group in chosen:
        for field in dataclasses.fields(group):
            value = getattr(group, field.name)
            if isinstance(value, tuple):
                lines += [f"--{field.name}={item}" for item in value]
            else:
                lines.append(f"--{field.name}={value}")
    return lines


def _command_name(main: Callable) -> str:
    module = main.__module__
    if module == "__main__":
        spec = sys.modules["__main__"].__spec__
        module = spec.name if spec else main.__name__
    return module


def _set_up_logging(process: Process) -> None:
    where = "" if process.is_alone else f"rank {process.rank}: "
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO if process.is_chief else logging.WARNING)
    logging.get_absl_handler().setFormatter(
        Formatter(f"%(levelname).1s %(asctime)s {where}%(message)s", "%H:%M:%S")
    )
    # Batches of several lengths have a graph each, on purpose.
    getLogger("tensorflow").addFilter(
        lambda record: "retracing" not in record.getMessage()
    )


def _fail(
    process: Process, command: str, message: str, status: int
) -> NoReturn:
    if process.is_alone:
        sys.stderr.write(f"{command}: error: {message}\n")
        sys.stderr.flush()
        sys.exit(status)
    if not process.is_chief:
        # What all processes meet, the first one says; then the launcher ends
        # the others.
        time.sleep(_SECONDS_FOR_THE_CHIEF)
    sys.stderr.write(f"{command}: error: rank {process.rank}: {message}\n")
    sys.stderr.flush()
    # An orderly end would wait for the other processes.
    os._exit(status)


def _parse(argv: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """Returns the flags, and the arguments that are none."""
    values = flags.FlagValues()
    for group in options.ALL:
        for field in dataclasses.fields(group):
            _define(field, values)
    flags.DEFINE_boolean("help", False, "show this text", flag_values=values)
    flags.DEFINE_integer(
        "verbosity", 0, "1 shows tracebacks", flag_values=values
    )
    try:
        rest = _read_flags(argv, values)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A --flagfile is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    return values, rest


def _refuse(given: Sequence[str]) -> None:
    if given:
        raise ValueError(
            f"Unexpected argument {given[0]!r}: settings are given as "
            "--name=value."
        )


def _read_flags(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Read flagfiles, then the command line, which wins wherever it stands.

    Of flagfiles the later one wins. A flag that may be repeated is taken
    from the last one alone that gives it. Returns what is no flag.
    """
    files: list[list[str]] = []
    explicit: list[str] = []
    arguments = iter(argv[1:])
    for argument in arguments:
        name, is_whole, _ = (
            argument.removeprefix("-").lstrip("-").partition("=")
        )
        if argument.startswith("-") and name == "flagfile":
            path = [] if is_whole else itertools.islice(arguments, 1)
            files.append([argument, *path])
        else:
            explicit.append(argument)
    rest: list[str] = []
    for source in [*files, explicit]:
        given = values.read_flags_from_files(source)
        for argument in given:
            name = argument.lstrip("-").partition("=")[0]
            if argument.startswith("-") and len(name) > _LONGEST_NAME:
                # absl looks for similar names by a recursion.
                raise ValueError(f"Unknown command line flag '{name:.60}…'.")
            if argument.startswith("-") and name in values:
                values[name].unparse()
        rest += values([argv[0], *given])[1:]
    return rest


def _define(field: dataclasses.Field, values: flags.FlagValues) -> None:
    default = field.default
    define: Callable[..., Any]
    if isinstance(default, tuple):
        define, default = flags.DEFINE_multi_string, list(default)
    else:
        define = {
            bool: flags.DEFINE_boolean,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[type(default)]
    define(field.name, default, field.metadata["help"], flag_values=values)


def _build(group: type[Options], values: flags.FlagValues) -> Options:
    chosen = {}
    for field in dataclasses.fields(group):
        value = values[field.name].value
        chosen[field.name] = tuple(value) if isinstance(value, list) else value
    return group(**chosen)


def _usage(
    command: str,
    main: Callable,
    groups: Sequence[type[Options]],
    needs: Sequence[str],
    arguments: str,
    examples: Sequence[str],
) -> str:
    lines = [(main.__doc__ or "").strip().splitlines()[0], ""]
    needed = [*([arguments] if arguments else []), *(f"--{n}" for n in needs)]
    if needed:
        lines.append("Needs: " + ", ".join(needed))
    lines += [
        "Examples:",
        *(f"  python -m {command} {example}" for example in examples),
        "Any flag can stand in a file given as --flagfile=FILE.",
    ]
    for group in groups:
        lines += ["", f"{(group.__doc__ or '').strip().splitlines()[0]}"]
        for field in dataclasses.fields(group):
            head = f"  --{field.name}={field.default!r}"
            lines.append(head.replace("=()", "=… (may be repeated)"))
            lines += textwrap.wrap(
                field.metadata["help"],
                76,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
            )
    return "\n".join(lines) + "\n"
