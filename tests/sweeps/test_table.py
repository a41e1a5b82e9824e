"""Numbers of runs come to the right table."""

import pytest

from tfdistill.sweeps import (
    Plan,
    Run,
    Score,
    Table,
    best_scores,
    make_table,
    score_of,
)

AXES = {
    "objective": ("labels", "attention"),
    "init": ("random", "low"),
    "seed": ("1", "2", "3"),
}


def plan(average="seed", columns="init", axes=AXES):
    return Plan(
        path="axes.sweep",
        command="distill",
        axes={axis: dict.fromkeys(points, ()) for axis, points in axes.items()},
        average=average,
        columns=columns,
        metric="",
    )


def score(points, value, metric="accuracy", higher=True, task="mlm", axes=AXES):
    return Score(
        points=dict(zip(axes, points.split(), strict=True)),
        task=task,
        metric=metric,
        value=value,
        higher_is_better=higher,
    )


SCORES = [
    score("labels random 1", 0.5),
    score("labels random 2", 0.6),
    score("labels random 3", 0.7),
    score("labels low 1", 0.25),
    score("attention low 1", 0.75),
    score("attention low 3", 0.85),
]


def test_means_and_sample_standard_deviations():
    table = make_table(plan(), SCORES)
    assert table.head == ("objective", "random", "low")
    assert table.rows == (
        ("labels", "0.600 ± 0.100 (3)", "0.250"),
        # sqrt(0.05² + 0.05²)
        ("attention", "–", "0.800 ± 0.071 (2)"),
    )
    assert table.num_keys == 1
    assert table.caption == (
        "accuracy (higher is better); mean ± sample standard deviation over "
        "seed (runs)"
    )


def test_without_an_average_every_axis_is_there():
    table = make_table(plan(average="", columns="seed"), SCORES)
    assert table.head == ("objective", "init", "1", "2", "3")
    assert table.rows == (
        ("labels", "random", "0.500", "0.600", "0.700"),
        ("labels", "low", "0.250", "–", "–"),
        ("attention", "random", "–", "–", "–"),
        ("attention", "low", "0.750", "–", "0.850"),
    )
    assert table.caption == "accuracy (higher is better)"


def test_a_single_axis_that_is_averaged():
    axes = {"seed": ("1", "2")}
    scores = [score("1", 100.0, axes=axes), score("2", 104.0, axes=axes)]
    table = make_table(plan(columns="", axes=axes), scores)
    assert table.head == ("accuracy",)
    assert table.rows == (("102.0 ± 2.8 (2)",),)


def test_no_numbers():
    table = make_table(plan(), [])
    assert table.rows == (("labels", "–", "–"), ("attention", "–", "–"))
    assert table.caption.startswith("No numbers")


def test_what_is_not_a_number_is_shown():
    nan = float("nan")
    scores = [
        score("labels random 1", nan),
        score("labels random 2", 0.5),
        score("labels low 1", 0.1),
    ]
    table = make_table(plan(), scores)
    assert table.rows[0] == ("labels", "nan ± nan (2)", "0.100")
    assert best_scores(plan(), scores)[0]["points"]["init"] == "low"


TASKS = {"task": ("cola", "mrpc"), "objective": ("labels", "soft")}


def of_tasks():
    values = {"cola": ("mcc", 0.4), "mrpc": ("f1", 0.8)}
    return [
        score(
            f"{task} {objective}",
            value + (objective == "soft") / 10,
            metric,
            task=task,
            axes=TASKS,
        )
        for task, (metric, value) in values.items()
        for objective in ("labels", "soft")
    ]


def test_metrics_stand_in_the_head_where_tasks_are_columns():
    table = make_table(plan("", "task", TASKS), of_tasks())
    assert table.head == ("objective", "cola (mcc)", "mrpc (f1)")
    assert table.rows == (
        ("labels", "0.400", "0.800"),
        ("soft", "0.500", "0.900"),
    )
    assert table.caption == "mcc (higher is better), f1 (higher is better)"


def test_metrics_are_a_column_where_tasks_are_rows():
    table = make_table(plan("", "objective", TASKS), of_tasks())
    assert table.head == ("task", "metric", "labels", "soft")
    assert table.num_keys == 2
    assert table.rows == (
        ("cola", "mcc", "0.400", "0.500"),
        ("mrpc", "f1", "0.800", "0.900"),
    )
    # A task of which nothing is known yet.
    axes = {"task": ("cola", "mrpc", "rte"), "objective": ("labels", "soft")}
    table = make_table(plan("", "objective", axes), of_tasks())
    assert table.rows[-1] == ("rte", "–", "–", "–")


def test_different_metrics_are_not_averaged():
    table = make_table(plan("task", "objective", TASKS), of_tasks())
    assert table.head == ("metric", "labels", "soft")
    assert table.rows == (("mcc", "0.400", "0.500"), ("f1", "0.800", "0.900"))


def test_best_of_each_task():
    assert best_scores(plan("", "task", TASKS), of_tasks()) == [
        {
            "task": task,
            "metric": metric,
            "points": {"task": task, "objective": "soft"},
            "mean": pytest.approx(mean),
            "runs": 1,
        }
        for task, metric, mean in (("cola", "mcc", 0.5), ("mrpc", "f1", 0.9))
    ]


def test_best_is_the_lowest_where_lower_is_better():
    losses = [
        score("labels random 1", 3.0, "masked_loss", higher=False),
        score("labels random 2", 2.0, "masked_loss", higher=False),
        score("labels low 1", 2.25, "masked_loss", higher=False),
    ]
    assert best_scores(plan(), losses) == [
        {
            "task": "mlm",
            "metric": "masked_loss",
            "points": {"objective": "labels", "init": "low"},
            "mean": 2.25,
            "runs": 1,
        }
    ]
    assert "(lower is better)" in make_table(plan(), losses).caption


RUN = Run(points={"seed": "1"}, flags=(), settings=(), task="mlm")
SUMMARY = {
    "eval": {
        "masked_loss": 2.5,
        "masked_accuracy": 0.5,
        "perplexity": 12,
        "teacher_kl": 0.1,
        "missing": None,
    },
    "best_metric": "masked_loss",
    "higher_is_better": False,
}


@pytest.mark.parametrize(
    ("metric", "name", "value", "higher"),
    [
        ("", "masked_loss", 2.5, False),
        ("masked_loss", "masked_loss", 2.5, False),
        ("masked_accuracy", "masked_accuracy", 0.5, True),
        ("perplexity", "perplexity", 12.0, False),
        ("teacher_kl", "teacher_kl", 0.1, False),
    ],
)
def test_score_of_a_run(metric, name, value, higher):
    found = score_of(RUN, SUMMARY, metric)
    assert (found.metric, found.value) == (name, value)
    assert found.higher_is_better is higher
    assert (found.points, found.task) == (RUN.points, "mlm")


@pytest.mark.parametrize(
    ("summary", "metric"),
    [(SUMMARY, "f1"), (SUMMARY, "missing"), ({}, ""), ({"steps": 1}, "f1")],
)
def test_no_score(summary, metric):
    assert score_of(RUN, summary, metric) is None


TABLE = Table(
    caption="f1",
    head=("axis", "x|y", "z"),
    rows=(("a point", "0.873 ± 0.004 (3)", "–"), ("b", "0.5", "0.25")),
    num_keys=1,
)


def test_markdown():
    assert TABLE.markdown() == (
        "f1\n"
        "\n"
        "| axis | x\\|y | z |\n"
        "| :-- | --: | --: |\n"
        "| a point | 0.873 ± 0.004 (3) | – |\n"
        "| b | 0.5 | 0.25 |\n"
    )


def test_aligned():
    assert TABLE.aligned() == (
        "f1\n"
        "axis                   x|y     z\n"
        "a point  0.873 ± 0.004 (3)     –\n"
        "b                      0.5  0.25\n"
    )
