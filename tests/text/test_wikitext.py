"""Wikitext becomes prose, and no markup is left in it."""

import time

import pytest

from tfdistill.text.wikitext import prose_paragraphs

CASES = {
    "emphasis": (
        "'''Bold''', ''italic'', '''''both''''' and l''''été'''.",
        ["Bold, italic, both and l'été."],
    ),
    "links": (
        "A [[cat]], [[Dog|dogs]], [[bus]]es, [[:Category:Pets]] and "
        "[[Fish#Eyes]].",
        ["A cat, dogs, buses, Category:Pets and Fish."],
    ),
    "sister project": (
        "A [[wikt:word|word]] and a [[:fr:Mot|mot]].",
        ["A word and a mot."],
    ),
    "hidden links": (
        "Text.\n[[Category:Things]]\n[[fr:Chose]]\n[[zh-min-nan:Mih]]",
        ["Text."],
    ),
    "files": (
        "[[File:A.jpg|thumb|left|200px|A [[cat]] and [[Dog|a dog]].]]\n"
        "Prose [[image:b.svg|20px]] here. [[Bild:C.png|mini|Foo]]",
        ["Prose here."],
    ),
    "external links": (
        "See [http://a.org the site], [http://b.org] or https://c.org/x now.",
        ["See the site, or now."],
    ),
    "templates": (
        "{{Infobox|a={{b|[[c]]}}\n|d=e}}\nProse{{cn|date=May}} {{x}}here.",
        ["Prose here."],
    ),
    "inline templates": (
        "The {{lang|fr|mot}} is {{convert|5|km|mi}} or "
        "{{cvt|5|to|7|km}}{{snd}}{{nowrap|not ''more''}}.",
        ["The mot is 5 km or 5 to 7 km – not more."],
    ),
    "emptied brackets": (
        "Foo ({{IPA|f}}; born {{b}}, 1900) and bar ({{x}}) {{y}}, baz "
        "(see {{z}}, ).",
        ["Foo (born, 1900) and bar, baz (see)."],
    ),
    "references": (
        'One.<ref>Gone [[a]] {{b}}</ref> Two.<ref name="x" /> '
        "Three<ref name=y>No</ref>.\n<references/>",
        ["One. Two. Three."],
    ),
    "tables": (
        'Before.\n{| class="x"\n! head\n|-\n| cell {{t|}} || [[b]]\n'
        "{|\n| inner\n|}\n|}\nAfter.",
        ["Before.", "After."],
    ),
    "html table": (
        "Before.<table><tr><td>cell</td></tr></table>After.",
        ["Before.", "After."],
    ),
    "headings": (
        "Intro.\n== Heading ==\nBody.\n=== ''More'' ===\nEnd.",
        ["Intro.", "Body.", "End."],
    ),
    "lists": (
        "Such as:\n* one [[a]]\n** two\n# three\n; term : meaning\n"
        ": indented\nProse.",
        ["Such as:", "Prose."],
    ),
    "comments": (
        "One<!-- gone [[ --> line\n<!-- a line -->\nand another.",
        ["One line and another."],
    ),
    "hidden tags": (
        "A<math>\\frac{1}{2}</math>b <code>x = {}</code>c.\n"
        "<gallery>\nFile:a.jpg|Caption\n</gallery>\n"
        "<timeline>\nx\n</timeline>\n<syntaxhighlight lang=c>int x;"
        "</syntaxhighlight>",
        ["Ab c."],
    ),
    "shown tags": (
        "H<sub>2</sub>O is <small>a <b>small</b></small> "
        '<span style="x">thing</span>.<br/>Yes.',
        ["H2O is a small thing. Yes."],
    ),
    "blocks": (
        "Said:<blockquote>Words.</blockquote>Then.",
        ["Said:", "Words.", "Then."],
    ),
    "entities": (
        "5&nbsp;km &ndash; R&amp;D &#233; here.",
        ["5 km – R&D é here."],
    ),
    "magic words": ("__NOTOC__\nProse.__FORCETOC__", ["Prose."]),
    "nowiki": ("A <nowiki>plain</nowiki> word.", ["A plain word."]),
    "unclosed file": (
        "Prose.\n\n[[File:a.jpg|thumb|a caption\n\nMore.",
        ["Prose.", "More."],
    ),
    "unclosed template": (
        "Prose. {{cite book|title=x\n\nMore ]] of it.",
        ["Prose.", "More of it."],
    ),
    "unclosed table": (
        "Prose.\n{| class=a\n|-\n| b\n! c\n\nMore.",
        ["Prose.", "More."],
    ),
    "unclosed reference": ("Prose<ref>never closed.", ["Prose"]),
    "paragraphs": (
        "One\nparagraph.\n\nAnother.\n\n\n....\n",
        ["One paragraph.", "Another."],
    ),
    "nothing": ("", []),
}


@pytest.mark.parametrize("name", CASES)
def test_prose_paragraphs(name: str) -> None:
    wikitext, expected = CASES[name]
    assert prose_paragraphs(wikitext) == expected


def test_hidden_prefixes_of_the_wiki() -> None:
    text = "Text. [[Файл:a.bin|мини|Надпис]] [[Категория:Х]]"
    assert prose_paragraphs(text, {"файл", "категория"}) == ["Text."]


def test_inline_template_arguments_are_rendered() -> None:
    text = "The {{lang|de|''Haus'' [[a|b]]}} and {{chem|H|2|O}}."
    assert prose_paragraphs(text) == ["The Haus b and H2O."]


@pytest.mark.parametrize("opener", ["{{a|", "[[a|", "<ref name=", "<b>"])
def test_broken_markup_is_refused_in_time(opener: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match="not closed"):
        prose_paragraphs(opener * 100_000)
    assert time.monotonic() - started < 5


def test_deep_nesting_is_survived() -> None:
    text = "{{a|" * 200 + "x" + "}}" * 200 + "\n\nProse."
    assert "Prose." in prose_paragraphs(text)
