"""Options, the flags made from them, and `name(key=value)` specs."""

from tfdistill.config.command import Printed, run_command
from tfdistill.config.fields import FlagNeededError, Options, option
from tfdistill.config.specs import Spec, parse_spec

__all__ = [
    "FlagNeededError",
    "Options",
    "Printed",
    "Spec",
    "option",
    "parse_spec",
    "run_command",
]
