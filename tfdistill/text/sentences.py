"""Sentences of a paragraph."""

import re
from collections.abc import Iterator

from syntok import segmenter

# Writing without spaces: syntok only looks for ends before white space.
_FULL_WIDTH_END = re.compile(r"(?<=[。！？])(?![。！？」』”’）])")
# Full stops within brackets of up to this many characters end nothing.
BRACKET_CHARACTERS = 250
# What a dropped reference or formula leaves in front of a sentence.
_LEADING = re.compile(r"^[.,;:!?)\]]+\s+")
# They come from JSON escapes, and cannot be written as UTF-8.
_SURROGATES = re.compile("[\ud800-\udfff]")


def split_sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph, each with normal white space.

    Args:
        paragraph: Running text; line ends in it count as spaces.

    Yields:
        Sentences with single spaces and at least one letter.
    """
    text = " ".join(_SURROGATES.sub("\ufffd", paragraph).split())
    for part in _FULL_WIDTH_END.split(text):
        for tokens in (
            s for p in segmenter.analyze(part, BRACKET_CHARACTERS) for s in p
        ):
            sentence = _LEADING.sub("", "".join(map(str, tokens)).strip())
            if any(map(str.isalpha, sentence)):
                yield sentence
