"""Students of words from specs, with word vectors, and their folders."""

import json
import logging as python_logging

import numpy as np
import pytest

from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.models.weights import named_weights
from tfdistill.models.words.students import WORD_STUDENTS
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece
from tfdistill.text.words import RESERVED, Words

WORDS = Words([*RESERVED, "film", "the", "cast"], do_lower_case=True)
PIECES = WordPiece([*SPECIAL_PIECES, "a"], do_lower_case=True)
GLOVE = "the 1 2 3\nplot 4 5 6\nfilm 7 8 9\n"
TRAINED = "words/encoder/embedding/non_static/table"
FROZEN = "words/encoder/embedding/static/table"


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    path.write_text(GLOVE)
    return path


def build(spec, words=WORDS, seed=1, teacher=None, num_classes=0):
    return build_student(
        spec,
        tokenizer=PIECES,
        teacher=teacher,
        seed=seed,
        heads=("classifier",),
        num_classes=num_classes,
        words=words,
    )


def tables(student):
    weights = named_weights(student.model)
    return {name: w for name, w in weights.items() if name.endswith("/table")}


@pytest.mark.parametrize("name", WORD_STUDENTS)
def test_defaults_are_the_published_sizes(name):
    student = build(name, num_classes=3)
    config = student.model.config
    assert (config.vocabulary_size, config.vector_dim) == (6, 300)
    assert (config.vectors, config.num_classes) == ("random", 3)
    assert student.tokenizer is WORDS
    assert student.parts == frozenset()
    assert student.model.parts == {"encoder", "pooler", "classifier"}
    for table in tables(student).values():
        assert 0.24 < np.abs(table).max() <= 0.25


def test_arguments_reach_the_configuration():
    student = build(
        "conv_rnn(hidden_dim=4, num_feature_maps=7, fc_dim=5, rnn=gru, "
        "vector_dim=6, dropout=0.25)"
    )
    config = student.model.config
    assert (config.hidden_dim, config.num_feature_maps) == (4, 7)
    assert (config.fc_dim, config.rnn, config.vector_dim) == (5, "gru", 6)
    assert (config.dropout, config.num_classes) == (0.25, 2)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("static", {FROZEN}),
        ("non_static", {TRAINED}),
        ("multichannel", {TRAINED, FROZEN}),
    ],
)
def test_vectors_are_those_of_the_file(glove, caplog, mode, expected):
    with caplog.at_level(python_logging.INFO, logger="absl"):
        student = build(
            f"bilstm(hidden_dim=4, vectors={mode}, vectors_file='{glove}')"
        )
    assert f"{glove} has vectors of 2 of 6 words" in caplog.text
    assert student.model.config.vector_dim == 3
    found = tables(student)
    assert found.keys() == expected
    for table in found.values():
        np.testing.assert_array_equal(table[3:5], [[7, 8, 9], [1, 2, 3]])
        others = table[[0, 1, 2, 5]]
        assert np.abs(others).max() <= 0.25
        # All start from one table, as published.
        np.testing.assert_array_equal(table, next(iter(found.values())))
        assert len(np.unique(others)) == others.size


def test_random_rows_follow_from_the_seed_and_not_from_the_file(glove):
    spec = f"bilstm(hidden_dim=4, vectors=static, vectors_file='{glove}')"
    (one,), (other,), (drawn,) = (
        tables(student).values()
        for student in (
            build(spec),
            build(spec, seed=2),
            build("bilstm(hidden_dim=4, vector_dim=3)"),
        )
    )
    for row in (0, 1, 2, 5):
        np.testing.assert_array_equal(one[row], drawn[row])
        assert (one[row] != other[row]).any()


def test_fingerprints_are_of_all_weights(glove, tmp_path):
    spec = "bilstm(hidden_dim=4, vectors=static, vectors_file='{}')"
    other = tmp_path / "other.txt"
    other.write_text(GLOVE.replace("9", "9.5"))
    found = [
        build(spec.format(glove)).fingerprint,
        build(spec.format(other)).fingerprint,
        build(spec.format(glove), seed=2).fingerprint,
        build("bilstm(hidden_dim=4, vector_dim=3)").fingerprint,
        build("siamese_bilstm(hidden_dim=4, vector_dim=3)").fingerprint,
    ]
    assert len(set(found)) == len(found)
    assert build(spec.format(glove)).fingerprint == found[0]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bilstm(vectors=static)", "vectors=static needs vectors_file="),
        ("bilstm(vectors_file='{}')", "vectors=random reads no vectors_file"),
        ("kim_cnn(vectors=glove)", "Unknown vectors 'glove'. Known: random"),
        (
            "kim_cnn(vectors=static, vectors_file='{}', vector_dim=50)",
            "has vectors of 3 numbers, not of vector_dim=50",
        ),
        ("bilstm(rnn=elman)", "Unknown rnn 'elman'. Known: lstm, gru"),
        ("bilstm(hidden_dim=0)", "hidden_dim=0 is not positive"),
        ("bilstm(num_layers=2)", "Unknown argument 'num_layers'"),
        ("kim_cnn(num_filters=-1)", "num_filters=-1 is not positive"),
    ],
)
def test_wrong_specs_are_refused(glove, spec, says):
    with pytest.raises(ValueError, match=says):
        build(spec.format(glove))


def test_vectors_that_are_not_there(tmp_path):
    spec = f"bilstm(vectors=static, vectors_file='{tmp_path}/none.txt')"
    with pytest.raises(OSError, match=r"none\.txt"):
        build(spec)
    assert not needs_teacher(spec)


@pytest.mark.parametrize("name", WORD_STUDENTS)
def test_records_must_hold_words(name):
    with pytest.raises(ValueError, match=f"{name} reads whole words, which"):
        build(name, words=None)


def test_a_student_cannot_be_made_of_a_teacher_of_words():
    teacher = build("kim_cnn(num_filters=2, vector_dim=3)")
    with pytest.raises(ValueError, match="and the teacher is a kim_cnn"):
        build("teacher_layers(layers=[0])", teacher=teacher)


SMALL = {
    "bilstm": "hidden_dim=3, fc_dim=4, rnn=gru",
    "siamese_bilstm": "hidden_dim=3, fc_dim=4",
    "conv_rnn": "hidden_dim=3, fc_dim=4, num_feature_maps=5",
    "kim_cnn": "num_filters=3",
}


def saved(path, name="bilstm", **more) -> LoadedModel:
    student = build(f"{name}({SMALL[name]}, vector_dim=3)", **more)
    save_model(
        student.model,
        student.tokenizer,
        parts=student.model.parts,
        path=path,
    )
    return student


@pytest.mark.parametrize("name", WORD_STUDENTS)
def test_folders_are_read_back(tmp_path, name):
    student = saved(tmp_path, name, num_classes=3)
    loaded = load_model(
        str(tmp_path),
        heads=("classifier",),
        num_classes=3,
        needs=("encoder", "pooler", "classifier"),
    )
    assert loaded.model.config == student.model.config
    assert loaded.parts == student.model.parts
    assert loaded.fingerprint == student.fingerprint
    assert loaded.tokenizer.fingerprint == WORDS.fingerprint
    for n, array in named_weights(student.model).items():
        np.testing.assert_array_equal(named_weights(loaded.model)[n], array)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"model.json", "model.safetensors", "words.txt"}
    assert json.loads((tmp_path / "model.json").read_text())["kind"] == name


def test_a_classifier_of_other_classes_starts_anew(tmp_path):
    student = saved(tmp_path)
    again = build(f"{tmp_path}/", num_classes=5)
    assert again.parts == {"encoder", "pooler"}
    ours, theirs = named_weights(again.model), named_weights(student.model)
    assert ours["classifier/kernel"].shape == (4, 5)
    for name in theirs:
        if not name.startswith("classifier"):
            np.testing.assert_array_equal(ours[name], theirs[name])
    with pytest.raises(ValueError, match="tells 2 classes apart, the task"):
        load_model(
            str(tmp_path),
            heads=("classifier",),
            num_classes=5,
            needs=("classifier",),
        )


def test_a_folder_s_words_must_be_those_of_the_records(tmp_path):
    saved(tmp_path)
    other = Words([*RESERVED, "film"], do_lower_case=True)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        build(f"{tmp_path}/", words=other)
    with pytest.raises(ValueError, match="reads whole words, which"):
        build(f"{tmp_path}/", words=None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "lstm"}, "unknown kind 'lstm'. Known: bert, bilstm, "),
        ({"kind": ["bilstm"]}, "unknown kind .*Known: bert, bilstm, "),
        ({"kind": "kim_cnn"}, "unexpected keyword argument"),
        ({"config": {"rnn": "elman"}}, "Unknown rnn 'elman'"),
        ({"config": {"hidden_dim": 5}}, "has shape .*, expected "),
        ({"parts": ["encoder"]}, "holds the weight .* not expected there"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, change, says):
    saved(tmp_path)
    path = tmp_path / "model.json"
    settings = json.loads(path.read_text())
    inner = settings["config"] | change.pop("config", {})
    path.write_text(json.dumps(settings | change | {"config": inner}))
    with pytest.raises(ValueError, match=says) as error:
        load_model(str(tmp_path), heads=("classifier",))
    assert str(tmp_path) in str(error.value)


def test_what_a_model_of_words_lacks_is_said(tmp_path):
    saved(tmp_path)
    with pytest.raises(ValueError, match="has no masked_lm weights, which"):
        load_model(str(tmp_path), needs=("masked_lm",))
