"""Words: a treebank's rules, without its other quotation marks."""

import pytest

from tfdistill.augmentation import split_words

SENTENCES = {
    "I don't think it's a good film, \"really\".": (
        "I do n't think it 's a good film , \" really \" ."
    ),
    "We can't; they’re state-of-the-art (isn’t it?)": (
        "We ca n't ; they ’re state-of-the-art ( is n’t it ? )"
    ),
    "it 's n't -lrb- a movie -rrb- ...": "it 's n't -lrb- a movie -rrb- ...",
    "J.R.R. Tolkien's U.S. fans -- 10,000.": (
        "J.R.R. Tolkien 's U.S. fans -- 10,000 ."
    ),
    "It cost $30 at 7:30 o'clock, AT&T said.": (
        "It cost $ 30 at 7:30 o'clock , AT&T said ."
    ),
    "``Quoted'' snake_case and\tcafé…”": (
        "`` Quoted '' snake_case and café …”"
    ),
    "Wasn'T I'D": "Was n'T I 'D",
    " ": "",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_split(sentence):
    words = split_words(sentence)
    assert " ".join(words) == SENTENCES[sentence]
    assert split_words(" ".join(words)) == words
    assert "".join(words) == "".join(sentence.split())
