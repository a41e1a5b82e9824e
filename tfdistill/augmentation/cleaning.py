"""What is kept of the texts that a language model has made up.

Reference: `clean_gen` of the code that Tang et al., 2019, published: pairs are
    texts with one tab and something to read on both sides. Unlike there no
    spaces are left around the tab.
"""


def cleaned(text: str, num_sentences: int) -> tuple[str, ...] | None:
    """Returns the sentences of a text, with single spaces between words.

    Args:
        text: With tabs between its sentences.
        num_sentences: How many there have to be.

    Returns:
        None if there are more or fewer sentences, one is blank, or the text
        holds bytes that are no text.
    """
    sentences = tuple(" ".join(part.split()) for part in text.split("\t"))
    is_text = "\N{REPLACEMENT CHARACTER}" not in text and text.isprintable
    if len(sentences) != num_sentences or not all(sentences) or not is_text:
        return None
    return sentences
