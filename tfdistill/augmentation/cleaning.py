"""What is kept of the texts that a language model has made up.

Reference: `clean_gen` of the code that Tang et al., 2019, published: pairs are
    texts with one tab and something to read on both sides. Unlike there no
    spaces are left around the tab, and nothing is kept twice.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from tfdistill.augmentation.seen import SeenHashes, hashes_of

Sentences = tuple[str, ...]


@dataclasses.dataclass
class Left:
    """What became of samples; see `distinct`."""

    samples: int = 0
    unfinished: int = 0
    malformed: int = 0
    repeated: int = 0


def cleaned(text: str, num_sentences: int) -> Sentences | None:
    """Returns the sentences of a text, with single spaces between words.

    Args:
        text: With tabs between its sentences.
        num_sentences: How many there have to be.

    Returns:
        None if there are more or fewer sentences, one is blank, or the text
        holds bytes that are no text.
    """
    sentences = tuple(" ".join(part.split()) for part in text.split("\t"))
    is_text = "\N{REPLACEMENT CHARACTER}" not in text
    if len(sentences) != num_sentences or not all(sentences) or not is_text:
        return None
    return sentences


def distinct(
    texts: Iterable[str | None], originals: Sequence[Sentences], left: Left
) -> Iterator[Sentences]:
    """Yield the clean samples that are neither originals nor came before.

    Args:
        texts: Samples, with tabs between sentences; None: unfinished.
        originals: What no sample may equal, all of one sentence or of two;
            spaces between words do not tell them apart.
        left: Counts what happens.
    """
    (num_sentences,) = {len(sentences) for sentences in originals}
    seen = SeenHashes()
    for sentences in originals:
        key = "\t".join(" ".join(s.split()) for s in sentences)
        seen.add(hashes_of([key]))
    for text in texts:
        left.samples += 1
        if text is None:
            left.unfinished += 1
            continue
        found = cleaned(text, num_sentences)
        if found is None:
            left.malformed += 1
        elif seen.add(hashes_of(["\t".join(found)]))[0]:
            yield found
        else:
            left.repeated += 1
