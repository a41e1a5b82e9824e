"""Completion of commands and flags for shells, made from the option classes."""

import dataclasses
from collections.abc import Iterator, Sequence

from tfdistill.config import options

SHELLS = ("bash", "zsh")

# Bash ends a word at "=", zsh does not: its flag and value come as one.
_SCRIPT = """\
_tfdistill() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="" flag="" front=""
    [ "$COMP_CWORD" -gt 0 ] && before="${{COMP_WORDS[COMP_CWORD-1]}}"
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    case "$word" in
        "=") flag="$before"; word="" ;;
        --*=*) flag="${{word%%=*}}"; word="${{word#*=}}"; front="$flag=" ;;
        *) [ "$before" = "=" ] && flag="${{COMP_WORDS[COMP_CWORD-2]}}" ;;
    esac
    local values=""
    case "$flag" in
        "")
            case "$word" in
                -*)
                    COMPREPLY=($(compgen -W "{flags}" -- "$word"))
                    type compopt >/dev/null 2>&1 && compopt -o nospace
                    return ;;
            esac ;;
{choices}
    esac
    if [ -n "$values" ]; then
        COMPREPLY=($(compgen -P "$front" -W "$values" -- "$word"))
    else
        COMPREPLY=($(compgen -P "$front" -f -- "$word"))
    fi
}}
complete -o filenames -F _tfdistill tfdistill
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def completion_script(shell: str, commands: Sequence[str]) -> str:
    """Returns a script that a shell reads to complete `tfdistill`.

    Args:
        shell: One of `SHELLS`.
        commands: Names of the commands.

    Raises:
        ValueError: The shell is another one.
    """
    if shell not in SHELLS:
        raise ValueError(
            f"Unknown shell {shell!r}. Known: {', '.join(SHELLS)}."
        )
    fields = [f for group in options.ALL for f in dataclasses.fields(group)]
    names = ["flagfile", "help", *(field.name for field in fields)]
    script = _SCRIPT.format(
        commands=" ".join(commands),
        flags=" ".join(f"--{name}" + "=" * (name != "help") for name in names),
        choices="\n".join(_choices(fields)),
    )
    return _ZSH + script if shell == "zsh" else script


def _choices(fields: Sequence[dataclasses.Field]) -> Iterator[str]:
    for field in fields:
        choices = field.metadata["choices"] or ()
        if isinstance(field.default, bool):
            choices = ("true", "false")
        if choices:
            yield f'        --{field.name}) values="{" ".join(choices)}" ;;'
