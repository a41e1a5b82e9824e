"""Specs: the `name(key=value, ...)` strings that flags take.

A spec names an entry of a dictionary and the arguments to call it with, for
instance `top_k(k=10)` or `bert(num_layers=4, hidden_dim=312)`. Values are
Python literals or bare words, which are read as strings.
"""

import ast
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tfdistill.config.fields import LARGEST_FLOAT

# What an argument is, by the type of its default.
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a word",
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A parsed spec: `name` and its keyword `arguments`."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        inner = ", ".join(
            f"{key}={value}" for key, value in self.arguments.items()
        )
        return f"{self.name}({inner})"


def parse_spec(text: str, known: Mapping[str, Callable[..., Any]]) -> Spec:
    """Parse `name(key=value, ...)` and check it against what is known.

    Args:
        text: The spec. A bare `name` is the spec without arguments.
        known: Callables by name. Their keyword parameters are the arguments
            which a spec of that name may give; where they have a default,
            an argument must be of its type.

    Raises:
        ValueError: The text is no spec, the name or an argument is not
            known, an argument is of another type, or one without a default
            is not given.
    """
    spec = _parse(text, known)
    if spec.name not in known:
        raise ValueError(
            f"Unknown name {spec.name!r} in {text!r}. "
            f"Known: {', '.join(sorted(known))}."
        )
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(
            known[spec.name]
        ).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    unknown = [name for name in spec.arguments if name not in parameters]
    if unknown:
        raise ValueError(
            f"Unknown argument {unknown[0]!r} in {text!r}. "
            f"Known: {', '.join(parameters) or 'none'}."
        )
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and name not in spec.arguments
    ]
    if missing:
        raise ValueError(f"{text!r} lacks {missing[0]}=…")
    for name, value in spec.arguments.items():
        _check_kind(name, value, parameters[name].default, text)
    return spec


def _check_kind(name: str, value: Any, default: Any, text: str) -> None:
    wanted = type(default)
    if wanted not in _KINDS:
        return
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if wanted is float and fits:
        fits = abs(value) <= LARGEST_FLOAT
    if not fits:
        raise ValueError(f"{name}={value} in {text!r} is not {_KINDS[wanted]}.")


def _parse(text: str, known: Mapping[str, Callable[..., Any]]) -> Spec:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = None
    if isinstance(node, ast.Name):
        return Spec(node.id, {})
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and not node.args
        and all(keyword.arg for keyword in node.keywords)
    ):
        arguments: dict[str, Any] = {}
        for keyword in node.keywords:
            name = str(keyword.arg)
            if name in arguments:
                raise ValueError(f"{text!r} gives {name} twice.")
            arguments[name] = _literal(keyword.value, text)
        return Spec(node.func.id, arguments)
    raise ValueError(
        f"Expected name(key=value, …), received {text!r}. "
        f"Known names: {', '.join(sorted(known))}."
    )


def _literal(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        # `true` and `false` are what absl's own boolean flags take.
        return {"true": True, "false": False}.get(node.id, node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(
            f"{ast.unparse(node)!r} in {text!r} is neither a literal "
            "nor a bare word."
        ) from None
