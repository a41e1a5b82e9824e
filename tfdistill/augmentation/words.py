"""Splits English sentences into words, as treebanks and taggers do.

Contractions come apart (`do n't`, `it 's`), hyphenated words stay whole. The
Penn Treebank's rules also turn double quotes into two other marks; here every
character stays as it is, since a teacher reads what is made of the words.
"""

import re

_WORD = re.compile(
    r"""
      (?:[^\W\d_]\.){2,}                            # U.S.
    | \w+ (?= n['’]t\b )                            # do | n't
    | n['’]t\b
    | ['’] (?: s | m | d | re | ve | ll ) \b        # it | 's
    | \d+ (?: [.,:/] \d+ )+                         # 10,000.5
    | \w+ (?: [-.&] \w+ | ['’] (?! (?: s | m | d | re | ve | ll ) \b ) \w+ )*
    | - [lr] [crs] b -                              # brackets of treebanks
    | \.{2,} | -{2,} | `{2} | '{2}
    | [^\w\s\x00-\x7f]+                             # a run of other signs
    | \S
    """,
    re.IGNORECASE | re.VERBOSE,
)


def split_words(sentence: str) -> tuple[str, ...]:
    """Returns a sentence's words and punctuation marks, in order.

    Joined by single spaces they are what a transfer set holds; splitting
    that again gives the same words.
    """
    return tuple(_WORD.findall(sentence))
