"""TensorBoard is started on runs and asked over HTTP for what they wrote."""

import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import pytest

from tfdistill.sweeps import write_hparams
from tfdistill.training import RunDirectory
from tfdistill.training.summaries import tag_of

TRAIN = {
    "loss": 2.5,
    "soft_targets": 2.0,
    "labels": 0.5,
    "gradient_norm": 1.25,
    "learning_rate": 1e-3,
    "examples_per_second": 64.0,
}
EVAL = {"accuracy": 0.75, "label_loss": 0.625}
SECONDS = 60


def write_run(folder, seed):
    run = RunDirectory(
        str(folder),
        config={"task": "sst2", "random_seed": seed},
        flag_lines=["--task=sst2", f"--random_seed={seed}"],
        keep_checkpoint_max=1,
    )
    for step in (10, 20):
        run.record("train", step, {n: v * step for n, v in TRAIN.items()})
        run.record("eval", step, {n: v / seed for n, v in EVAL.items()})
        run.record_text(step, "predictions", f"| text |\n| --- |\n| {step} |")
    run.close()
    summary = {"steps": 20, "eval": {n: v / seed for n, v in EVAL.items()}}
    points = {"seed": str(seed), "objective": "labels"}
    for _ in range(2):  # the second time it is there
        write_hparams(folder, points, summary)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks a TensorBoard on two runs of a sweep for a path's JSON."""
    logdir = tmp_path_factory.mktemp("board")
    for seed in (1, 2):
        write_run(logdir / str(seed), seed)
    flags = ["--port=0", "--host=127.0.0.1", "--load_fast=false"]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tensorboard.main",
            f"--logdir={logdir}",
            *flags,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    stop = threading.Timer(2 * SECONDS, process.kill)
    stop.start()
    try:
        found = None
        for line in process.stderr:
            found = re.search(r"at (http://127\.0\.0\.1:\d+/)", line)
            if found:
                break
        assert found, "TensorBoard did not start"

        def get(path, body=None, **query):
            url = f"{found[1]}data/{path}?{urllib.parse.urlencode(query)}"
            data = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(url, data, headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return json.load(answer)

        yield get
    finally:
        stop.cancel()
        process.terminate()
        process.wait(SECONDS)


def test_scalars_stand_in_groups(ask):
    tags = ask("plugin/scalars/tags")
    assert set(tags["1/summaries/train"]) == {
        "loss/total",
        "loss/soft_targets",
        "loss/labels",
        "optimizer/gradient_norm",
        "optimizer/learning_rate",
        "speed/examples_per_second",
    }
    assert set(tags["1/summaries/eval"]) == {
        "metrics/accuracy",
        "loss/label_loss",
    }


def test_scalars_are_those_of_the_run(ask):
    for kind, metrics in (("train", TRAIN), ("eval", EVAL)):
        for name, value in metrics.items():
            events = ask(
                "plugin/scalars/scalars",
                run=f"1/summaries/{kind}",
                tag=tag_of(kind, name),
            )
            assert [event[1] for event in events] == [10, 20]
            expected = (
                [10 * value, 20 * value] if kind == "train" else [value] * 2
            )
            assert [e[2] for e in events] == pytest.approx(expected, rel=1e-6)


def texts(ask, kind, tag):
    return ask("plugin/text/text", run=f"2/summaries/{kind}", tag=tag)


def test_texts_tell_the_run_and_its_predictions(ask):
    (config,) = texts(ask, "train", "config")
    assert "&quot;random_seed&quot;: 2" in config["text"]
    (flags,) = texts(ask, "train", "flags")
    assert "--random_seed=2" in flags["text"]
    shown = texts(ask, "eval", "predictions")
    assert [text["step"] for text in shown] == [10, 20]
    for text in shown:
        assert f"<td>{text['step']}</td>" in text["text"]


def test_hparams_are_the_points_of_a_sweep(ask):
    experiment = ask("plugin/hparams/experiment", body={})
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert names == {"seed", "objective"}
    metrics = {"group": "", "tag": "metrics/accuracy"}
    groups = ask(
        "plugin/hparams/session_groups",
        body={
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_RUNNING"],
            "colParams": [{"metric": metrics}],
            "startIndex": 0,
            "sliceSize": 10,
        },
    )["sessionGroups"]
    found = {
        group["hparams"]["seed"]: value["value"]
        for group in groups
        for value in group["metricValues"]
        if value["name"]["tag"] == "metrics/accuracy"
    }
    assert found == pytest.approx({"1": 0.75, "2": 0.375})


def test_hparams_of_a_run_that_is_gone_are_not_written(tmp_path):
    write_hparams(tmp_path / "gone", {"seed": "1"}, {"eval": {}})
    assert not list(tmp_path.iterdir())
