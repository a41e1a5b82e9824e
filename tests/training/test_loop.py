"""The loop: interrupted runs end as uninterrupted ones do."""

import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
from tiny_training import Run, largest_difference, write_records

from tfdistill.records import training_batches
from tfdistill.replicas import OneDevice
from tfdistill.training import Cadence, RunDirectory, train

BATCH, STEPS = 8, 10


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records") / "set", 21)


def cadence(**changes):
    return Cadence(
        **{
            "num_train_steps": STEPS,
            "log_every_steps": 3,
            "eval_every_steps": 4,
            "save_checkpoints_steps": 4,
            **changes,
        }
    )


class Stop(Exception):
    """Stands for a kill: nothing is saved on the way out."""


def run_once(records, path, *, die_at=None, evaluate=None, step=None, **more):
    """Train in a folder; `die_at` kills the run before that step."""
    made = Run(OneDevice())
    directory = RunDirectory(
        str(path), config={"a": 1}, flag_lines=["--a=1"], keep_checkpoint_max=2
    )

    def batches(first_step):
        stream = training_batches(
            records,
            batch_size=BATCH,
            seed=1,
            shuffle_buffer_size=100,
            first_step=first_step,
            process_slice=(0, BATCH),
        )
        for number, batch in enumerate(stream, first_step):
            if number == die_at:
                raise Stop
            yield batch

    result = train(
        step or made.step,
        batches=batches,
        state=made.state,
        run=directory,
        cadence=cadence(**more),
        evaluate=evaluate,
        replicas=OneDevice(),
    )
    directory.close()
    return made, result


def lines(path):
    return [json.loads(x) for x in (path / "metrics.jsonl").open()]


@pytest.fixture(scope="module")
def whole(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    made, result = run_once(records, path)
    return made, result, path


@pytest.mark.parametrize("die_at", [2, 4, 7, 9])
def test_resumed_run_equals_an_uninterrupted_one(
    records, whole, tmp_path, die_at
):
    path = tmp_path / "run"
    with pytest.raises(Stop):
        run_once(records, path, die_at=die_at)
    made, result = run_once(records, path)
    assert result["steps"] == STEPS
    difference = largest_difference(made.weights(), whole[0].weights())
    assert difference[0] == 0.0, difference
    for name, variable in made.state.items():
        np.testing.assert_array_equal(variable, whole[0].state[name], name)
    steps = [line["step"] for line in lines(path)]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_checkpoints_are_kept_as_asked(whole):
    found = sorted(p.name for p in (whole[2] / "checkpoints").iterdir())
    assert found == ["step-000000008.safetensors", "step-000000010.safetensors"]


def test_finished_runs_may_keep_no_checkpoints(tmp_path):
    run = RunDirectory(
        str(tmp_path / "run"), config={}, flag_lines=[], keep_checkpoint_max=0
    )
    state = {"model/x": tf.Variable([1.0])}
    run.save_checkpoint(state, 1, {})
    run.save_checkpoint(state, 2, {})
    kept = [p.name for p in run.checkpoints.iterdir()]
    assert kept == ["step-000000002.safetensors"]
    run.finish({"steps": 2})
    assert run.result == {"steps": 2}
    assert not run.checkpoints.exists()
    run.close()


def test_recorded_metrics(whole):
    found = lines(whole[2])
    assert [line["step"] for line in found] == [3, 6, 9, 10]
    for name in (
        "loss",
        "soft_targets",
        "labels",
        "next_sentence",
        "gradient_norm",
        "learning_rate",
        "examples_per_second",
        "tokens_per_second",
    ):
        assert np.isfinite(found[0][name]), name


def test_tensorboard_reads_the_same_values(whole):
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(
        str(whole[2] / "summaries" / "train"),
        size_guidance={event_accumulator.TENSORS: 0},
    )
    events.Reload()
    assert "config" in events.Tags()["tensors"]
    found = [
        (e.step, float(tf.make_ndarray(e.tensor_proto)))
        for e in events.Tensors("loss/total")
    ]
    expected = [(line["step"], line["loss"]) for line in lines(whole[2])]
    assert [s for s, _ in found] == [s for s, _ in expected]
    np.testing.assert_allclose(
        [v for _, v in found], [v for _, v in expected], rtol=1e-6
    )


def test_termination_saves_a_checkpoint_and_the_run_goes_on(
    records, whole, tmp_path
):
    path = tmp_path / "run"
    made = Run(OneDevice())

    def step(batch):
        if int(batch["step"][0]) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return made.step(batch)

    directory = RunDirectory(
        str(path), config={"a": 1}, flag_lines=[], keep_checkpoint_max=2
    )
    with pytest.raises(KeyboardInterrupt, match="step 8"):
        train(
            step,
            batches=lambda first: training_batches(
                records,
                batch_size=BATCH,
                seed=1,
                shuffle_buffer_size=100,
                first_step=first,
                process_slice=(0, BATCH),
            ),
            state=made.state,
            run=directory,
            cadence=cadence(),
            evaluate=None,
            replicas=OneDevice(),
        )
    assert directory.latest_checkpoint().name == "step-000000008.safetensors"
    again, _ = run_once(records, path)
    assert largest_difference(again.weights(), whole[0].weights())[0] == 0.0


def test_early_stop_keeps_the_best_step(records, tmp_path):
    values = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    at_best = {}
    holder = []

    def evaluate():
        value = next(values)
        if value == 0.5:
            at_best.update(holder[0].weights())
        return {"masked_accuracy": value}

    made = Run(OneDevice())
    holder.append(made)
    directory = RunDirectory(
        str(tmp_path / "run"), config={}, flag_lines=[], keep_checkpoint_max=2
    )
    result = train(
        made.step,
        batches=lambda first: training_batches(
            records,
            batch_size=BATCH,
            seed=1,
            shuffle_buffer_size=100,
            first_step=first,
            process_slice=(0, BATCH),
        ),
        state=made.state,
        run=directory,
        cadence=cadence(
            eval_every_steps=1,
            early_stop_metric="masked_accuracy",
            early_stop_patience=2,
        ),
        evaluate=evaluate,
        replicas=OneDevice(),
    )
    assert result["steps"] == 4
    assert result["eval"] == {"masked_accuracy": 0.5}
    assert largest_difference(made.weights(), at_best)[0] == 0.0


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(
    records, tmp_path
):
    made = Run(OneDevice())

    def step(batch):
        result = made.step(batch)
        if int(batch["step"][0]) == 4:
            result["loss"] = result["loss"] * float("nan")
        return result

    path = tmp_path / "run"
    with pytest.raises(FloatingPointError, match="step 5 is nan"):
        run_once(records, path, step=step, save_checkpoints_steps=5)
    assert list((path / "checkpoints").iterdir()) == []


def test_damaged_checkpoint_is_named(records, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Stop):
        run_once(records, path, die_at=5)
    checkpoint = path / "checkpoints" / "step-000000004.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"step-000000004\.safetensors"):
        run_once(records, path)


def test_another_run_in_the_folder_is_refused(records, tmp_path):
    run_once(records, tmp_path / "run", num_train_steps=1)
    with pytest.raises(ValueError, match="a=1, not 2"):
        RunDirectory(
            str(tmp_path / "run"),
            config={"a": 2},
            flag_lines=[],
            keep_checkpoint_max=1,
        )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ValueError, match="not empty"):
        RunDirectory(
            str(tmp_path / "other"),
            config={},
            flag_lines=[],
            keep_checkpoint_max=1,
        )
