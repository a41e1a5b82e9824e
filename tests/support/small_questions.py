"""Generated questions on texts, in SQuAD's layout, and what reads them.

A text tells who found what, where and when, somewhere among sentences that
tell nothing. In the manner of SQuAD 2.0, it may not tell all of it.
"""

import json
import pathlib
import unicodedata
from typing import Any

WHO = ("Zoë Müller", "Ana", "Chloé", "Bjørn Ek", "李明", "Omar", "Eva")
WHAT = ("silver coin", "red shell", "map", "small blue stone", "letter")
WHERE = ("Zürich", "東京", "Oslo", "São Paulo", "the old harbour", "Lima")
WHEN = ("1932", "May 1850", "2001", "the summer of 1777", "1999")
FILLER = (
    "Nobody knew why.",
    "It was a cold day, and the wind was strong.",
    "There was not much else to see.",
    "People still talk about it\u00a0today.",
    "(This was long before the\ttrain came.)",
)
# What is asked, and what of a fact is the answer.
ASKED = (
    ("Who found the {what}?", "who"),
    ("What was it that {who} found?", "what"),
    ("Where was the {what} found?", "where"),
    ("When did {who} find it?", "when"),
)
QUESTIONS_OF_A_TEXT = len(ASKED)


def _fact(number: int, lacks: str) -> dict[str, str]:
    fact = {
        "who": WHO[number % 7],
        "what": WHAT[number * 3 % 5],
        "where": WHERE[number * 5 % 6],
        "when": WHEN[number // 2 % 5],
    }
    return {name: x for name, x in fact.items() if name != lacks}


def _sentence(fact: dict[str, str]) -> str:
    parts = [
        f"In {fact['when']}" if "when" in fact else "",
        fact.get("who", "Somebody"),
        "found a",
        fact.get("what", "thing"),
        f"in {fact['where']}" if "where" in fact else "",
    ]
    return " ".join(filter(None, parts)) + "."


def paragraph(number: int, *, has_impossible: bool) -> dict[str, Any]:
    """A text, one of six of them long, and four questions on it."""
    lacks = ("", *_fact(0, ""))[number % 5] if has_impossible else ""
    fact = _fact(number, lacks)
    around = 8 if number % 6 == 0 else number % 3
    before = number * 7 % (around + 1)
    told = [FILLER[(number + i) % 5] for i in range(around)]
    told.insert(before, _sentence(fact))
    context = "  ".join(told)
    qas = []
    whole = _fact(number, "")
    for kind, (text, asked) in enumerate(ASKED):
        qas.append(
            {
                "id": f"{number}-{kind}",
                "question": text.format(**whole),
                "answers": [],
            }
        )
        if asked in fact:
            right = fact[asked]
            start = context.index(_sentence(fact))
            start = context.index(right, start)
            qas[-1]["answers"] = [{"text": right, "answer_start": start}]
        if has_impossible:
            qas[-1]["is_impossible"] = asked not in fact
    return {"context": context, "qas": qas}


def squad(numbers: range, *, has_impossible: bool = False) -> dict[str, Any]:
    """A file of SQuAD, as values; texts have numbers."""
    paragraphs = [
        paragraph(number, has_impossible=has_impossible) for number in numbers
    ]
    version = "v2.0" if has_impossible else "1.1"
    data = [{"title": "Things found", "paragraphs": paragraphs}]
    return {"version": version, "data": data}


def vocabulary() -> list[str]:
    """All words in lower case, and a few letters."""
    texts = [*WHO, *WHAT, *WHERE, *WHEN, *FILLER, "Somebody thing 1"]
    texts += [text.format(who="", what="") for text, _ in ASKED]
    texts += ["In found a in ."]
    words: dict[str, None] = {}
    for text in texts:
        text = unicodedata.normalize("NFD", text.lower())
        for c in text:
            category = unicodedata.category(c)
            if category == "Mn":
                text = text.replace(c, "")
            elif category.startswith("P") or "一" <= c <= "鿿":
                text = text.replace(c, f" {c} ")
        words |= dict.fromkeys(text.split())
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*special, *words, "##s", "##er"]


def write(
    path: pathlib.Path, numbers: range, *, has_impossible: bool = False
) -> None:
    """Write a file of SQuAD."""
    content = squad(numbers, has_impossible=has_impossible)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
