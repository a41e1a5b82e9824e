"""Names of classes: what a model says of them, and the order of a task's."""

import dataclasses

import numpy as np
import pytest
from model_folders import hugging_face_tensors, write_hugging_face

from tfdistill.models.bert import Bert
from tfdistill.models.formats import load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.specs import build_student
from tfdistill.tasks.class_names import names_of_classes
from tfdistill.tasks.glue import GLUE

NLI = names_of_classes("mnli", GLUE["mnli"].labels)
# As of published models that were trained with RoBERTa's first recipe.
ROBERTA = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
LOADED = {"heads": ("classifier",), "needs": ("classifier",)}


@pytest.fixture
def classifier(config, draw_parts):
    return draw_parts(config, "encoder", "pooler", "classifier", num_classes=3)


@pytest.fixture
def write(tmp_path, classifier, settings, vocabulary):
    """A function that writes a Hugging Face folder with named classes."""

    def to_folder(*names, **changes):
        labels = {str(i): name for i, name in enumerate(names)}
        return str(
            write_hugging_face(
                tmp_path / "model",
                hugging_face_tensors(classifier),
                settings,
                vocabulary,
                **({"id2label": labels} | changes),
            )
        )

    return to_folder


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("b", "a", "c"), ("b", "a", "c")),
        ((0, 1, 2), ("0", "1", "2")),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ()),
        (("LABEL_0", "LABEL_1", "c"), ("LABEL_0", "LABEL_1", "c")),
    ],
)
def test_names_of_hugging_face(write, names, labels):
    assert load_model(write(*names), **LOADED).labels == labels
    # Without a classifier there are no classes.
    assert load_model(write(*names), heads=()).labels == ()


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ({"0": "a", "1": "b", "3": "c"}, 2),
        ({"0": "a", "1": None, "2": "c"}, 1),
        ({"0": ["a"], "1": "b", "2": "c"}, 0),
    ],
)
def test_no_name(write, assert_refused, names, number):
    folder = write(id2label=names)
    message = f"id2label has no name of the class {number}."
    assert_refused(folder, "config.json", message)


@pytest.mark.parametrize("names", [GLUE["mnli"].labels, ROBERTA])
def test_classes_come_in_the_order_of_the_task(
    write, classifier, assert_holds, names
):
    loaded = load_model(write(*names), classes=NLI, num_classes=3, **LOADED)
    order = [names.index(n) for n in sorted(names)]
    assert_holds(
        loaded,
        {
            name: array[..., order] if "classifier" in name else array
            for name, array in classifier.items()
        },
    )
    assert [label.lower() for label in loaded.labels] == [*GLUE["mnli"].labels]
    as_it_is = load_model(write(*names), **LOADED)
    assert as_it_is.labels == names
    assert (as_it_is.fingerprint == loaded.fingerprint) == (
        order == sorted(order)
    )


def test_names_that_are_not_known_are_not_compared(
    write, classifier, assert_holds
):
    unnamed = write("LABEL_0", "LABEL_1", "LABEL_2")
    assert_holds(load_model(unnamed, classes=NLI, **LOADED), classifier)
    assert_holds(load_model(write("c", "b", "a"), **LOADED), classifier)


@pytest.mark.parametrize(
    "names",
    [
        ("entailment", "neutral", "no"),
        ("entailment", "neutral", "neutral"),
        ("entailment", "Neutral", "neutral"),
    ],
)
def test_other_classes_are_refused(write, assert_refused, names):
    assert_refused(
        write(*names),
        f"has the classes {', '.join(names)}, the task has contradiction, "
        "entailment, neutral; if they are the same",
        classes=NLI,
        **LOADED,
    )


def test_a_classifier_that_is_not_kept_has_no_names(write):
    pair = names_of_classes("rte", GLUE["rte"].labels)
    loaded = load_model(
        write(*ROBERTA), heads=("classifier",), classes=pair, num_classes=2
    )
    assert loaded.labels == () and "classifier" not in loaded.parts


def test_names_that_differ_in_case_alone_are_told_apart(
    config, tokenizer, tmp_path
):
    model = Bert(
        dataclasses.replace(config, num_classes=2), heads=("classifier",)
    )
    saving = {"parts": model.parts, "path": tmp_path}
    save_model(model, tokenizer, labels=("b", "B"), **saving)
    loaded = load_model(str(tmp_path), classes=[("B",), ("b",)], **LOADED)
    assert loaded.labels == ("B", "b")
    np.testing.assert_array_equal(
        loaded.model.classifier.kernel, model.classifier.kernel[:, ::-1]
    )
    with pytest.raises(ValueError, match="has the classes b, B, the task has"):
        load_model(str(tmp_path), classes=[("b",), ("c",)], **LOADED)


def test_students_of_a_folder_are_compared_too(write, tokenizer):
    made = {
        "tokenizer": tokenizer,
        "teacher": None,
        "seed": 0,
        "heads": ("classifier",),
        "num_classes": 3,
    }
    student = build_student(write(*ROBERTA), classes=NLI, **made)
    assert student.labels == ("CONTRADICTION", "ENTAILMENT", "NEUTRAL")
    with pytest.raises(ValueError, match="has the classes a, b, c, the task"):
        build_student(write("a", "b", "c"), classes=NLI, **made)


@pytest.mark.parametrize("task", ["cola", "sst2", "mrpc", "qqp", "wnli"])
def test_classes_that_glue_numbers_have_names(task):
    names = names_of_classes(task, GLUE[task].labels)
    assert [first for first, _ in names] == ["0", "1"]
    # Entailment is class 0 of RTE, but 1 here.
    assert names_of_classes("rte", GLUE["rte"].labels) == [
        ("entailment",),
        ("not_entailment",),
    ]
    assert ("1", "entailment") in names_of_classes("wnli", ("0", "1"))
