"""Frozen option classes whose fields know their range and their meaning."""

import dataclasses
from collections.abc import Sequence
from typing import Any

# TensorFlow has no wider integers, and computes with float32.
_LARGEST_INT = 2**63 - 1
LARGEST_FLOAT = 3.4e38


class FlagNeededError(ValueError):
    """A flag is empty that what was asked for cannot do without."""

    def __init__(self, name: str) -> None:
        """Say which one."""
        super().__init__(f"--{name} is needed.")


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """Declare a field of an `Options` class, and so a flag.

    Args:
        default: Default value, of one of the types str, int, float, bool or
            tuple (of strings: a flag that may be given several times).
        help: What it means, with its unit.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        choices: The strings allowed.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base of option classes: validates every field against its declaration.

    Raises:
        ValueError: A field has the wrong type or is out of range. The
            message names the flag, the value and what was expected.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _validate(field, getattr(self, field.name))


def _validate(field: dataclasses.Field, value: Any) -> None:
    def refuse(expected: str) -> None:
        raise ValueError(f"--{field.name}={value} is not {expected}.")

    wanted = type(field.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        refuse(f"of type {wanted.__name__}")
    if wanted is float and not abs(value) <= LARGEST_FLOAT:
        refuse("a finite number")
    if wanted is int and value > _LARGEST_INT:
        refuse(f"at most {_LARGEST_INT}")
    declared = field.metadata
    if declared["minimum"] is not None and value < declared["minimum"]:
        refuse(f"at least {declared['minimum']}")
    if declared["maximum"] is not None and value > declared["maximum"]:
        refuse(f"at most {declared['maximum']}")
    if declared["choices"] is not None and value not in declared["choices"]:
        refuse(f"one of {', '.join(declared['choices'])}")
