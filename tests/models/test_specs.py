import numpy as np
import pytest
from model_folders import roberta_vocabulary

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.families import BERT, DISTILBERT, ROBERTA
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.models.weights import PARTS, PRETRAINING_PARTS, named_weights
from tfdistill.text.byte_pairs import BytePair
from tfdistill.text.word_pieces import WordPiece


@pytest.fixture
def teacher(saved):
    return load_model(str(saved))


def build(spec, tokenizer, teacher=None, seed=0):
    return build_student(spec, tokenizer=tokenizer, teacher=teacher, seed=seed)


def test_bert(tokenizer):
    student = build("bert(num_layers=2, hidden_dim=24, dropout=0)", tokenizer)
    assert student.model.config == BertConfig(
        vocabulary_size=40, num_layers=2, hidden_dim=24, dropout=0
    )
    assert student.parts == frozenset()
    assert student.tokenizer is tokenizer


def test_seed_decides_a_new_student(tokenizer):
    spec = "bert(num_layers=1, hidden_dim=12)"
    first, same, other = (
        build(spec, tokenizer, seed=seed).fingerprint for seed in (1, 1, 2)
    )
    assert first == same != other


def test_teacher_layers(tokenizer, teacher, weights):
    student = build("teacher_layers(layers=[2, 0])", tokenizer, teacher)
    assert student.parts == set(PRETRAINING_PARTS)
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


def test_teacher_without_heads(tokenizer, model, tmp_path):
    save_model(model, tokenizer, parts=("encoder",), path=tmp_path)
    teacher = load_model(str(tmp_path))
    student = build("teacher_layers(layers=[0])", tokenizer, teacher)
    assert student.parts == {"encoder"}


def test_student_has_keras_conventions_whatever_the_teacher(tokenizer, teacher):
    odd = BertConfig(**{**vars(teacher.model.config), "activation": "relu"})
    teacher.model.config = odd
    student = build("teacher_layers(layers=[0])", tokenizer, teacher)
    assert student.model.config.activation == "gelu_tanh"


def of_family(family, tokenizer, heads, **changes):
    """A teacher of a family, as its folders are read."""
    config = BertConfig(
        vocabulary_size=len(tokenizer.vocabulary),
        num_layers=2,
        hidden_dim=12,
        num_heads=3,
        num_segments=2 if family.has_segments else 1,
        **(family.conventions | changes),
    )
    model = Bert(config, seed=5, heads=heads)
    return LoadedModel(
        model=model, tokenizer=tokenizer, parts=model.parts, fingerprint=""
    )


@pytest.fixture
def of_bytes():
    return BytePair(roberta_vocabulary(()), ())


def test_students_of_roberta(of_bytes):
    teacher = of_family(ROBERTA, of_bytes, ("masked_lm",))
    for spec in (
        "bert(num_layers=1, hidden_dim=12)",
        "teacher_layers(layers=[1])",
    ):
        student = build(spec, of_bytes, teacher)
        config = student.model.config
        assert ROBERTA.misfit(config, student.model.parts) == ""
        assert config.num_segments == 1
        assert student.tokenizer is of_bytes


def test_students_of_distilbert(tokenizer):
    # Its own head has another epsilon than that of keras-nlp.
    teacher = of_family(
        DISTILBERT,
        tokenizer,
        ("classifier",),
        head_layer_norm_epsilon=1e-12,
    )
    student = build_student(
        "teacher_layers(layers=[1])",
        tokenizer=tokenizer,
        teacher=teacher,
        seed=0,
        heads=("classifier",),
    )
    assert student.parts == {"encoder", "pooler", "classifier"}
    assert DISTILBERT.misfit(student.model.config, PARTS) == ""
    new = build("bert(num_layers=1, hidden_dim=12)", tokenizer, teacher)
    assert BERT.misfit(new.model.config, PARTS) == ""
    assert new.model.config.num_segments == 2


@pytest.mark.parametrize(
    ("num_classes", "copied"), [(0, True), (4, True), (3, False)]
)
def test_classifier_is_copied_if_its_classes_fit(
    tokenizer, num_classes, copied
):
    teacher = of_family(BERT, tokenizer, ("classifier",), num_classes=4)
    student = build_student(
        "teacher_layers(layers=[1, 0])",
        tokenizer=tokenizer,
        teacher=teacher,
        seed=0,
        heads=("classifier",),
        num_classes=num_classes,
    )
    assert ("classifier" in student.parts) == copied
    assert student.model.config.num_classes == (num_classes or 4)


def test_classifier_is_pruned(tokenizer):
    teacher = of_family(BERT, tokenizer, ("classifier",), num_classes=4)
    student = build_student(
        "teacher_layers(layers=[1], hidden_dim=8, pruning=first)",
        tokenizer=tokenizer,
        teacher=teacher,
        seed=0,
        heads=("classifier",),
    )
    np.testing.assert_array_equal(
        student.model.classifier.kernel, teacher.model.classifier.kernel[:8]
    )


def test_folder(saved, teacher, tokenizer):
    student = build(str(saved), tokenizer)
    assert student.fingerprint == teacher.fingerprint
    assert student.parts == set(PRETRAINING_PARTS)


def test_folder_with_another_vocabulary(saved, vocabulary):
    other = WordPiece((*vocabulary[:-1], "other"), do_lower_case=True)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        build(str(saved), other)
    cased = WordPiece(vocabulary, do_lower_case=False)
    with pytest.raises(ValueError, match="another vocabulary or casing"):
        build(str(saved), cased)


def test_needs_teacher(saved):
    assert needs_teacher("teacher_layers(layers=[0])")
    assert not needs_teacher("bert(num_layers=2)")
    assert not needs_teacher(str(saved))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lstm(num_layers=2)", "Unknown name 'lstm'.*Known: bert, bilstm, "),
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
