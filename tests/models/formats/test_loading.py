"""The same of every format, and what belongs to none."""

import pytest
from model_folders import (
    hugging_face_tensors,
    write_google,
    write_hugging_face,
)

from tfdistill.models.formats import READERS, load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model

PARTS = ("encoder", "pooler")


@pytest.fixture(params=READERS)
def folder(request, model, weights, settings, vocabulary, tokenizer, tmp_path):
    """The encoder and the pooler of the small model in each format."""
    path = tmp_path / "uncased"
    weights = {n: w for n, w in weights.items() if n.startswith("bert/")}
    saving = {"parts": PARTS, "path": path}
    if request.param == "run directory":
        save_model(model, tokenizer, **saving)
    elif request.param == "keras-nlp preset":
        save_preset(model, tokenizer, **saving)
    elif request.param == "Hugging Face":
        tensors = hugging_face_tensors(weights)
        write_hugging_face(path, tensors, settings, vocabulary)
    elif request.param == "Google":
        write_google(path, weights, settings, vocabulary)
    return path


def test_every_format_gives_the_same(
    folder, model, tokenizer, weights, assert_holds
):
    loaded = load_model(str(folder))
    encoder = {n: w for n, w in weights.items() if n.startswith("bert/")}
    assert_holds(loaded, encoder)
    assert loaded.parts == set(PARTS)
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    save_model(model, tokenizer, parts=PARTS, path=folder.parent / "other")
    other = load_model(str(folder.parent / "other"))
    assert loaded.fingerprint == other.fingerprint


@pytest.mark.parametrize("part", ["masked_lm", "next_sentence"])
def test_needed_part_that_is_absent_is_named(folder, part):
    with pytest.raises(ValueError, match=f"has no {part} weights") as caught:
        load_model(str(folder), needs=("encoder", part))
    assert str(folder) in str(caught.value)


def vocabulary_file(folder):
    found = [*folder.rglob("vocab.txt"), *folder.rglob("vocabulary.txt")]
    return found[0]


def test_more_pieces_than_rows_are_refused(folder):
    with vocabulary_file(folder).open("a") as file:
        file.write("one-more\n")
    with pytest.raises(ValueError, match=r"41 pieces, but 40|not the file"):
        load_model(str(folder))


def test_absent_folder(tmp_path):
    with pytest.raises(ValueError, match="There is no model folder"):
        load_model(str(tmp_path / "nothing"))


def test_unknown_format_lists_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError) as caught:
        load_model(str(tmp_path))
    for name, reader in READERS.items():
        assert name in str(caught.value)
        assert reader.looks_for in str(caught.value)
