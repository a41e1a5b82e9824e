"""The few templates whose argument is part of the sentence they stand in.

Dropping `{{lang|fr|mot}}` or `{{convert|5|km}}` like other templates would
tear a hole into the sentence. Names and meanings are those of the English
Wikipedia, which many other wikis took over.
"""

import re

import mwparserfromhell
from mwparserfromhell.nodes import Template
from mwparserfromhell.wikicode import Wikicode

# Position of the argument that is shown.
_SHOWN_ARGUMENT = {
    "lang": 1,
    "transl": 1,
    "transliteration": 1,
    "nowrap": 0,
    "nobr": 0,
    "nobreak": 0,
    "nihongo": 0,
    "abbr": 0,
    "abbrlink": 0,
    "tooltip": 0,
    "small": 0,
    "smaller": 0,
    "big": 0,
    "em": 0,
    "strong": 0,
    "gaps": 0,
    "val": 0,
    "formatnum": 0,
    "quote": 0,
    "blockquote": 0,
    "cquote": 0,
    "quotation": 0,
    "angbr": 0,
    "vr": 0,
    "sc": 0,
    "railgauge": 0,
    "script": 1,
    "rtl-lang": 1,
}
# The arguments are shown one after the other, with this between them.
_JOINED = {"chem": "", "chem2": "", "frac": "/", "sfrac": "/"}
_CONSTANTS = {
    "'": "'",
    "'s": "'s",
    "' \"": "'\"",
    "\" '": "\"'",
    "`": "'",
    "-": " ",
    "ndash": "–",
    "mdash": "—",
    "spaced ndash": " – ",
    "snd": " – ",
    "spnd": " – ",
    "nbsp": " ",
    "thinsp": " ",
    "mdashb": "—",
    "·": " · ",
    "=": "=",
}
_LANGUAGE_TEMPLATE = re.compile(r"lang-[a-z-]+")
_CONVERT = frozenset({"convert", "cvt"})
_RANGES = frozenset({"-", "–", "to", "and", "or", "by", "x"})


def shown_text(template: Template) -> Wikicode | None:
    """Return what an inline template shows, None for every other one."""
    name = str(template.name).strip().replace("_", " ").lower()
    arguments = [item.value for item in template.params if not item.showkey]
    if name in _CONSTANTS:
        return mwparserfromhell.parse(_CONSTANTS[name])
    if name in _CONVERT and len(arguments) >= 2:
        # {{convert|5|km|mi}}, {{convert|5|to|7|km}}
        words = [str(argument).strip() for argument in arguments[:4]]
        last = 4 if words[1] in _RANGES else 2
        return mwparserfromhell.parse(" ".join(words[:last]))
    if name in _JOINED:
        return mwparserfromhell.parse(_JOINED[name].join(map(str, arguments)))
    position = _SHOWN_ARGUMENT.get(name)
    if _LANGUAGE_TEMPLATE.fullmatch(name):
        position = 0
    if position is None or position >= len(arguments):
        return None
    return arguments[position]
