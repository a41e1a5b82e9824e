"""How Moses writes characters that mean something to it."""

import re

# In this order `&` is escaped first.
_ESCAPES = {
    "&": "&amp;",
    "|": "&#124;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "[": "&#91;",
    "]": "&#93;",
}
_CHARACTERS = {escape: character for character, escape in _ESCAPES.items()}
_ESCAPED = re.compile(f"({'|'.join(_CHARACTERS)})")


def unescape_word(word: str) -> list[str]:
    """Split a word at its escapes, which become the characters they are for.

    Raises:
        ValueError: There is an `&` that begins no escape of Moses.
    """
    parts = [part for part in _ESCAPED.split(word) if part]
    for part in parts:
        if "&" in part and part not in _CHARACTERS:
            raise ValueError(
                f"{word!r} is not as Moses escapes text. Known: "
                f"{', '.join(_CHARACTERS)}."
            )
    return [_CHARACTERS.get(part, part) for part in parts]


def escape(text: str) -> str:
    """Escape all characters as Moses does."""
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return text
