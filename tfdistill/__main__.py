"""Lists the commands and runs one: `tfdistill distill --help`.

`tfdistill COMMAND …` is `python -m tfdistill.COMMAND …`. The output of
`tfdistill completion bash` (or `zsh`) lets that shell complete both.
"""

import ast
import pathlib
import runpy
import sys
from typing import NoReturn

from tfdistill.config.command import EXIT_USAGE
from tfdistill.config.completion import SHELLS, completion_script

# In the order in which they are used.
COMMANDS = (
    "extract_wikipedia",
    "make_vocab",
    "make_records",
    "augment",
    "finetune",
    "extract_teacher",
    "export_logits",
    "knowledge_report",
    "verify_records",
    "distill",
    "evaluate",
    "predict",
    "sweep",
    "report",
    "export",
)
_COMPLETION = "completion"


def main() -> NoReturn:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:] or [""]
    if name in COMMANDS:
        sys.argv = [name, *arguments]
        runpy.run_module(
            f"tfdistill.{name}", run_name="__main__", alter_sys=True
        )
        sys.exit(0)
    if name == _COMPLETION:
        try:
            shell = arguments[0] if len(arguments) == 1 else ""
            script = completion_script(shell, [*COMMANDS, _COMPLETION])
        except ValueError as error:
            _fail(str(error))
        sys.stdout.write(script)
        sys.exit(0)
    if name in ("", "help", "--help", "-h"):
        sys.stderr.write(_usage())
        sys.exit(EXIT_USAGE if not name else 0)
    _fail(f"Unknown command {name!r}. Known: {', '.join(COMMANDS)}.")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"tfdistill: error: {message}\n")
    sys.exit(EXIT_USAGE)


def _usage() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{_summary(name)}" for name in COMMANDS]
    return (
        "Distils BERT-family teachers into small students.\n\n"
        + "\n".join(lines)
        + f"\n\ntfdistill COMMAND --help lists the flags of a command.\n"
        f"tfdistill {_COMPLETION} {'|'.join(SHELLS)} prints what a shell needs "
        "to complete them.\n"
    )


def _summary(name: str) -> str:
    """Returns the first line on a command, which is not imported for that."""
    path = pathlib.Path(__file__).with_name(f"{name}.py")
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.splitlines()[0]


if __name__ == "__main__":
    main()
