"""Cutting text into units: nothing lost, nothing cut, nothing leaked."""

import pytest

from tfdistill.text.units import plan_units, read_unit


def write(folder, name, documents, end="\n"):
    path = folder / name
    path.write_text("\n\n".join("\n".join(d) for d in documents) + end)
    return path


@pytest.fixture
def documents():
    return [
        [f"Sentence {s} of document {d}." for s in range(1 + d % 4)]
        for d in range(60)
    ]


def all_documents(plan, split):
    return [d for unit in plan.units[split] for d in read_unit(unit)]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
@pytest.mark.parametrize("unit_bytes", [200, 1000, 10**6])
def test_documents_come_back_whole_and_in_order(
    tmp_path, documents, unit_bytes, end
):
    files = [
        write(tmp_path, "a.txt", documents[:25], end),
        write(tmp_path, "b.txt", documents[25:], end),
    ]
    plan = plan_units(files, unit_bytes=unit_bytes, eval_fraction=0.0)
    assert all_documents(plan, "train") == documents
    assert plan.units["eval"] == []
    assert plan.documents == {"train": 60, "eval": 0}
    # No more units than the size asks for, give or take whole documents.
    total = sum(f.stat().st_size for f in files)
    assert len(plan.units["train"]) <= 2 * total // unit_bytes + 1


def test_equal_documents_are_on_one_side(tmp_path, documents):
    twice = documents + documents
    path = write(tmp_path, "a.txt", twice)
    plan = plan_units([path], unit_bytes=500, eval_fraction=0.3)
    train, held_out = (
        {tuple(d) for d in all_documents(plan, split)}
        for split in ("train", "eval")
    )
    assert held_out and not train & held_out
    assert plan.documents["train"] + plan.documents["eval"] == 120


def test_a_long_document_is_cut_at_line_ends(tmp_path):
    document = [f"Line {i}." for i in range(100)]
    path = write(tmp_path, "a.txt", [document])
    plan = plan_units([path], unit_bytes=100, eval_fraction=0.0)
    found = all_documents(plan, "train")
    assert [line for d in found for line in d] == document
    assert len(found) > 5


def test_text_that_is_not_utf8_names_the_byte(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n\nbad . here\n")
    plan = plan_units([path], unit_bytes=1000, eval_fraction=0.0)
    path.write_bytes(b"fine\n\nbad \xff here\n")
    with pytest.raises(ValueError, match=r"a\.txt is not UTF-8: byte 10"):
        plan_units([path], unit_bytes=1000, eval_fraction=0.0)
    with pytest.raises(ValueError, match=r"a\.txt is not UTF-8: byte 10"):
        read_unit(plan.units["train"][0])


def test_fingerprint_changes_with_a_byte(tmp_path, documents):
    path = write(tmp_path, "a.txt", documents)
    before = plan_units([path], unit_bytes=1000, eval_fraction=0.0)
    path.write_text(path.read_text().replace("Sentence 0", "Sentence_0", 1))
    after = plan_units([path], unit_bytes=1000, eval_fraction=0.0)
    assert before.text_fingerprint != after.text_fingerprint
