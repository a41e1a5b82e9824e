"""Recipes of papers hold the numbers that were published."""

import pytest
from golden import golden

from tfdistill.config.command import read_options
from tfdistill.config.options import Artefacts, Training
from tfdistill.config.specs import parse_spec
from tfdistill.distillation import OBJECTIVES
from tfdistill.models.specs import STUDENTS


def published(paper):
    """What is held of each task of a paper, by name."""
    table = golden("recipes")[paper]
    return [
        pytest.param(
            f"configs/recipes/{paper}/{task}.flags",
            dict(zip(table["columns"], row, strict=True)),
            id=task,
        )
        for task, row in table["rows"].items()
    ]


def arguments(
    *,
    weight=1.0,
    temperature=1.0,
    scale_by_temperature=True,
    layers="",
    window=0,
    reduction="",
    alpha=0.5,
    k=0,
):
    """All that an objective of a recipe may be given."""


def read(path):
    """The options of a recipe, and its objectives' arguments by name."""
    training, artefacts = read_options(
        [f"--flagfile={path}"], Training, Artefacts
    )
    known = dict.fromkeys(OBJECTIVES, arguments)
    specs = [parse_spec(text, known) for text in training.objective]
    return training, artefacts, {spec.name: spec.arguments for spec in specs}


@pytest.mark.parametrize(("path", "expected"), published("ckd"))
def test_ckd(path, expected):
    training, _, objectives = read(path)
    layers = {"layers": "emb+skip", "reduction": "original"}
    distance = {"weight": expected.pop("distance_weight"), **layers}
    angle = {"weight": expected.pop("angle_weight"), **layers}
    temperature = {"temperature": expected.pop("temperature")}
    prediction = {"soft_targets": temperature | {"scale_by_temperature": False}}
    if path.endswith("stsb.flags"):
        prediction = {"logit_mse": temperature}
    assert objectives == {
        **prediction,
        "word_distance": distance,
        "word_angle": angle | {"window": 21},
        "layer_distance": distance,
        "layer_angle": angle,
    }
    assert {name: getattr(training, name) for name in expected} == expected
    assert training.optimizer == "adamw(weight_decay=0, epsilon=1e-8)"
    assert (training.schedule, training.clip_norm) == ("warmup_linear", 1)
    # The best by the task's own metric is kept, whenever it comes.
    assert training.early_stop_metric == "auto"
    assert training.early_stop_patience == 0


@pytest.mark.parametrize(("path", "expected"), published("how_to_distill"))
def test_how_to_distill(path, expected):
    training, artefacts, objectives = read(path)
    assert {name: getattr(training, name) for name in expected} == expected
    assert objectives == {
        "soft_targets": {"weight": 0.5, "temperature": 2},
        "labels": {"weight": 0.5},
    }
    student = parse_spec(artefacts.student, STUDENTS)
    assert student.name == "teacher_layers"
    assert student.arguments == {"layers": [3, 7, 11], "heads": False}
    assert (training.schedule, training.clip_norm) == ("warmup_linear", 0)
    # Of every task the most accurate epoch is kept, whenever it comes.
    assert training.early_stop_metric == "accuracy"
    assert training.early_stop_patience == 0
    assert training.eval_every_steps == expected["num_train_steps"] // 10


def test_textgen():
    """What Distill-BERT-Textgen's scripts set for its student of IWSLT14."""
    path = "configs/recipes/textgen/iwslt14_de_en.flags"
    training, artefacts, objectives = read(path)
    assert objectives == {
        "text_generation": {"alpha": 0.5, "temperature": 10, "k": 8}
    }
    known = parse_spec(artefacts.student, STUDENTS).arguments
    assert known == {
        "num_layers": 6,
        "hidden_dim": 512,
        "num_heads": 8,
        "intermediate_dim": 2048,
        "dropout": 0.3,
    }
    assert (training.schedule, training.num_warmup_steps) == ("noam", 8000)
    assert training.learning_rate == pytest.approx(2 / (512 * 8000) ** 0.5)
    assert (training.num_train_steps, training.clip_norm) == (100_000, 5)
    optimizer = "adamw(weight_decay=0, beta_1=0.9, beta_2=0.98, epsilon=1e-9)"
    assert training.optimizer == optimizer
