import numpy as np
import pytest

from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.models.weights import PARTS, named_weights
from tfdistill.text.tokenizer import Tokenizer


@pytest.fixture
def tokenizer(vocabulary):
    return Tokenizer(vocabulary, do_lower_case=True)


@pytest.fixture
def teacher(saved):
    return load_model(str(saved))


def build(spec, tokenizer, teacher=None, seed=0):
    return build_student(spec, tokenizer=tokenizer, teacher=teacher, seed=seed)


def test_bert(tokenizer, vocabulary):
    student = build("bert(num_layers=2, hidden_dim=24, dropout=0)", tokenizer)
    assert student.model.config == BertConfig(
        vocabulary_size=40, num_layers=2, hidden_dim=24, dropout=0
    )
    assert student.parts == frozenset()
    assert student.vocabulary == vocabulary
    assert student.do_lower_case


def test_seed_decides_a_new_student(tokenizer):
    spec = "bert(num_layers=1, hidden_dim=12)"
    first, same, other = (
        build(spec, tokenizer, seed=seed).fingerprint for seed in (1, 1, 2)
    )
    assert first == same != other


def test_teacher_layers(tokenizer, teacher, weights):
    student = build("teacher_layers(layers=[2, 0])", tokenizer, teacher)
    assert student.parts == PARTS.keys()
    config = student.model.config
    assert (config.num_layers, config.hidden_dim, config.num_heads) == (
        2,
        12,
        3,
    )
    for name, array in named_weights(student.model).items():
        source = name.replace("layer_1/", "layer_00/")
        source = source.replace("layer_0/", "layer_2/")
        source = source.replace("layer_00/", "layer_0/")
        np.testing.assert_array_equal(array, weights[source], err_msg=name)


def test_teacher_layers_alone(tokenizer, teacher, weights):
    spec = "teacher_layers(layers=[1], embeddings=false, heads=false)"
    student = build(spec, tokenizer, teacher)
    assert student.parts == {"encoder"}
    for name, array in named_weights(student.model).items():
        source = name.replace("layer_0/", "layer_1/")
        is_copied = "layer_0" in name
        assert np.array_equal(array, weights[source]) == is_copied, name


def test_teacher_without_heads(tokenizer, model, vocabulary, tmp_path):
    save_model(
        model,
        vocabulary,
        do_lower_case=True,
        parts=("encoder",),
        path=tmp_path,
    )
    teacher = load_model(str(tmp_path))
    student = build("teacher_layers(layers=[0])", tokenizer, teacher)
    assert student.parts == {"encoder"}


def test_student_has_keras_conventions_whatever_the_teacher(tokenizer, teacher):
    odd = BertConfig(**{**vars(teacher.model.config), "activation": "relu"})
    teacher.model.config = odd
    student = build("teacher_layers(layers=[0])", tokenizer, teacher)
    assert student.model.config.activation == "gelu_tanh"


def test_folder(saved, teacher, tokenizer):
    student = build(str(saved), tokenizer)
    assert student.fingerprint == teacher.fingerprint
    assert student.parts == PARTS.keys()


def test_folder_with_another_vocabulary(saved, vocabulary):
    other = Tokenizer((*vocabulary[:-1], "other"), do_lower_case=True)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        build(str(saved), other)
    cased = Tokenizer(vocabulary, do_lower_case=False)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        build(str(saved), cased)


def test_needs_teacher(saved):
    assert needs_teacher("teacher_layers(layers=[0])")
    assert not needs_teacher("bert(num_layers=2)")
    assert not needs_teacher(str(saved))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lstm(num_layers=2)", "Unknown name 'lstm'.*Known: bert, teacher_l"),
        ("bert(layers=2)", "Unknown argument 'layers'"),
        ("bert(num_layers=two)", "num_layers=two .* is not a whole number"),
        ("bert(hidden_dim=13)", "hidden_dim=13 is no multiple of"),
        ("teacher_layers", "lacks layers"),
        (
            "teacher_layers(layers=[0], hidden_dim=8)",
            "not as wide as the teacher",
        ),
        (
            "teacher_layers(layers=[0], hidden_dim=6, pruning=first)",
            "no multiple of the 4 channels",
        ),
        (
            "teacher_layers(layers=[0], hidden_dim=16, pruning=first)",
            "hidden_dim=16 is not 1 to",
        ),
        (
            "teacher_layers(layers=[0], hidden_dim=8, pruning=last)",
            "Unknown pruning 'last'",
        ),
        ("teacher_layers(layers=[])", "is not a list such as"),
        ("teacher_layers(layers=2)", "is not a list such as"),
        ("teacher_layers(layers=[0, 3])", "layer 3; the teacher's are 0 to 2"),
        ("no/such/folder", "There is no model folder no/such/folder"),
    ],
)
def test_wrong_spec(spec, message, tokenizer, teacher):
    with pytest.raises(ValueError, match=message):
        build(spec, tokenizer, teacher)


def test_teacher_layers_without_teacher(tokenizer):
    with pytest.raises(ValueError, match="needs a teacher"):
        build("teacher_layers(layers=[0])", tokenizer)
