"""A sweep of real training: two objectives with two seeds each."""

import json
import pathlib

import pytest
from small_chain import RECORDS, STEPS, STUDENT, VOCABULARY, Done, call, text

AXES = """
[sweep]
average = seed
metric = masked_accuracy

[objective]
labels = --objective=labels
soft = --objective='soft_targets(tail=bucket)'

[seed]
1 = --random_seed=1
2 = --random_seed=2
"""
ONE = """
[objective]
labels = --objective=labels
[seed]
1 = --random_seed=1
"""
CHAIN = (
    (
        "make_records",
        RECORDS + " --records={c}/records --eval_records={c}/eval "
        "--eval_fraction=0.2",
    ),
    (
        "finetune",
        f"--model={STUDENT} {STEPS} --records={{c}}/records "
        "--run_dir={c}/teacher",
    ),
    (
        "extract_teacher",
        "--records={c}/records --teacher={c}/teacher "
        "--knowledge=top_k(k=3) --knowledge_records={c}/knowledge",
    ),
)
DISTILL = (
    f"--student={STUDENT} {STEPS} --knowledge_records={{c}}/knowledge "
    "--records={c}/records --eval_records={c}/eval"
)


@pytest.fixture(scope="module")
def c(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("chain")
    (folder / "text.txt").write_text(text())
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "axes.sweep").write_text(AXES)
    (folder / "one.sweep").write_text(ONE)
    for command, flags in CHAIN:
        done = use(command, flags, folder)
        assert done.status == 0, done.stderr
    return folder


def use(command: str, flags: str, c: pathlib.Path) -> Done:
    return call(command, flags.format(c=c).split())


SWEEP = (
    f"{DISTILL} --sweep={{c}}/axes.sweep --run_dir={{c}}/sweep "
    "--num_processes=2"
)


def test_sweep(c):
    done = use("sweep", SWEEP, c)
    assert done.status == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["runs"], summary["skipped"]) == (4, 0)
    assert summary["metrics"] == ["masked_accuracy"]
    (best,) = summary["best"]
    assert best["points"]["objective"] in ("labels", "soft")
    results = json.loads((c / "sweep" / "results.json").read_text())
    for result in results:
        run = c / "sweep" / "/".join(result["points"].values())
        assert result["run_dir"] == str(run)
        stored = json.loads((run / "result.json").read_text())
        assert result["metrics"] == stored["eval"]
        assert result["parameters"] == stored["parameters"] > 0
        assert len(list((run / "summaries/hparams").iterdir())) == 1
    losses = {result["metrics"]["masked_loss"] for result in results}
    assert len(losses) == 4
    # A run is what its command alone would give.
    alone = use(
        "distill",
        f"{DISTILL} --objective=labels --random_seed=2 --run_dir={{c}}/alone",
        c,
    )
    trained = json.loads(alone.stdout)["eval"]
    assert trained == pytest.approx(results[1]["metrics"], rel=1e-5)
    # Its own configuration is what refuses other flags.
    other = use(
        "sweep", f"{SWEEP} --sweep={{c}}/one.sweep --num_train_steps=3", c
    )
    assert other.status == 1
    assert "1 of 1 runs failed; the first, labels+1: " in other.stderr
    assert "holds a run with num_train_steps=2, not 3. Ch" in other.stderr
    again = use("sweep", SWEEP, c)
    assert json.loads(again.stdout)["skipped"] == 4
