"""The training loop.

    restore the newest checkpoint
    for step, batch in batches(first step):
        results = train_step(batch, step)
        now and then: record means, evaluate, save, stop early

It is handed a step and knows nothing of models, tasks or objectives.
"""

import collections
import dataclasses
import functools
import math
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tfdistill.progress import Progress
from tfdistill.replicas import Replicas, check_same, from_chief
from tfdistill.training.run_directory import (
    RunDirectory,
    State,
    load_state,
    save_state,
)

Batch = dict[str, tf.Tensor]
TrainStep = Callable[[Batch], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """How long a run is and how often it does what.

    Attributes:
        num_train_steps: Steps in all.
        log_every_steps: Steps between records of the training metrics.
        eval_every_steps: Steps between evaluations.
        save_checkpoints_steps: Steps between checkpoints.
        early_stop_metric: Evaluation metric to watch; empty for none.
        higher_is_better: Whether that metric should rise.
        early_stop_patience: Evaluations without improvement before it
            stops; 0: it never does, but the best checkpoint is kept.
    """

    num_train_steps: int
    log_every_steps: int
    eval_every_steps: int
    save_checkpoints_steps: int
    early_stop_metric: str = ""
    higher_is_better: bool = True
    early_stop_patience: int = 3


@dataclasses.dataclass
class _Progressed:
    """What a checkpoint notes beside the variables."""

    best: float | None = None
    best_step: int = 0
    without_improvement: int = 0
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    eval: dict[str, float] = dataclasses.field(default_factory=dict)


def train(
    train_step: TrainStep,
    *,
    batches: Callable[[int], Iterator[Batch]],
    state: State,
    run: RunDirectory | None,
    cadence: Cadence,
    evaluate: Callable[[], dict[str, float]] | None,
    replicas: Replicas,
    samples: Callable[[], str] | None = None,
) -> dict[str, Any]:
    """Train to the end, or until the watched metric stops improving.

    A run that was interrupted goes on from its newest checkpoint exactly as
    if it had not been, on any number of replicas. SIGTERM and SIGINT to any
    process save a checkpoint first.

    Args:
        train_step: Takes a batch with `step` and `is_stopping`; returns sums
            and means that are the same on all replicas, by name: `loss`,
            `examples`, `tokens`, `is_stopping`, …
        batches: From a first step to the batches from there on.
        state: Variables that a checkpoint holds, by name. They are changed
            in place; at the end they hold the last or, with early stop, the
            best values.
        run: Where everything goes; None on all processes but the first.
        cadence: When what happens.
        evaluate: Returns metrics on held-out data.
        replicas: Where the step runs.
        samples: Returns Markdown on some of what was found by the newest
            evaluation.

    Returns:
        `steps` done, and the newest metrics `train` and `eval` (the latter
        of the best step, if one is watched).

    Raises:
        FloatingPointError: The loss or a variable is not finite; the
            message names the step, of which no checkpoint is written.
        ValueError: The newest checkpoint is damaged or of another model, or
            the processes' states have come apart.
    """
    stored = from_chief(replicas, lambda: _restore(run, state))
    replicas.broadcast(list(state.values()))
    step = stored.pop("step", 0)
    notes = _Progressed(**stored)
    window = _Window()
    stream = batches(step)
    with (
        _StopSignals() as stop,
        Progress(
            "training",
            cadence.num_train_steps,
            unit=" steps",
            initial=step,
            shown=run is not None,
        ) as progress,
    ):
        while step < cadence.num_train_steps and not _is_over(notes, cadence):
            batch = next(stream)
            rows = [batch["example_index"].shape[0]]
            batch["step"] = tf.fill(rows, tf.constant(step, tf.int64))
            batch["is_stopping"] = tf.fill(rows, float(stop.asked))
            step += 1
            results = dict(train_step(batch))
            is_stopping = stop.agreed(results.pop("is_stopping"))
            window.add(results, step)
            is_last = step == cadence.num_train_steps or is_stopping
            if step % cadence.log_every_steps == 0 or is_last:
                notes.train = window.means()
                if run is not None:
                    run.record("train", step, notes.train)
            progress.advance(1, _note(notes.train))
            if evaluate is not None and (
                step % cadence.eval_every_steps == 0
                or step == cadence.num_train_steps
            ):
                window.check()
                metrics = evaluate()
                # What follows must not hang on the last bit of a sum.
                metrics = from_chief(replicas, functools.partial(dict, metrics))
                is_best = _improves(notes, metrics, step, cadence)
                if run is not None:
                    run.record("eval", step, metrics)
                    if samples is not None:
                        run.record_text(step, "predictions", samples())
                    logging.info("step %d: %s", step, _format(metrics))
                    if is_best:
                        save_state(run.best, state, {})
            if step % cadence.save_checkpoints_steps == 0 or is_last:
                window.check()
                _check_states(replicas, state, step)
                if run is not None:
                    run.save_checkpoint(state, step, vars(notes))
            if is_stopping and step < cadence.num_train_steps:
                raise KeyboardInterrupt(f"stopped at step {step}, saved")
    if cadence.early_stop_metric and notes.best is not None:
        if run is not None:
            load_state(run.best, state)
        replicas.broadcast(list(state.values()))
        logging.info("The best step was %d.", notes.best_step)
    return {"steps": step, "train": notes.train, "eval": notes.eval}


def _restore(run: RunDirectory | None, state: State) -> dict[str, Any]:
    """Load the newest checkpoint, if there is one; returns its notes."""
    assert run is not None
    newest = run.latest_checkpoint()
    if newest is None:
        run.rewind(0)
        return {}
    try:
        stored = load_state(newest, state)
    except ValueError as error:
        raise ValueError(
            f"{error} Remove it to go on from the one before."
        ) from None
    logging.info("Going on from step %d (%s).", stored["step"], newest)
    run.rewind(stored["step"])
    return stored


def _check_states(replicas: Replicas, state: State, step: int) -> None:
    """Refuse to save what the processes do not agree on."""
    if not replicas.process.is_alone:
        sums = (zlib.crc32(np.asarray(v).tobytes()) for v in state.values())
        check_same(replicas, {f"state after step {step}": list(sums)})


def _is_over(notes: _Progressed, cadence: Cadence) -> bool:
    return bool(cadence.early_stop_metric) and (
        0 < cadence.early_stop_patience <= notes.without_improvement
    )


def _improves(
    notes: _Progressed,
    metrics: Mapping[str, float],
    step: int,
    cadence: Cadence,
) -> bool:
    if not cadence.early_stop_metric:
        notes.eval = dict(metrics)
        return False
    value = metrics[cadence.early_stop_metric]
    better = not math.isnan(value) and (
        notes.best is None
        or (
            value > notes.best
            if cadence.higher_is_better
            else value < notes.best
        )
    )
    if better:
        notes.best, notes.best_step = value, step
        notes.eval = dict(metrics)
    notes.without_improvement = 0 if better else notes.without_improvement + 1
    return better


class _Window:
    """Means since the last record, and the first loss that was no number.

    Values stay tensors until they are asked for, so that steps need not
    wait for each other.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tf.Tensor] = {}
        # Objectives that take turns are not in the results of every step.
        self._counts: collections.Counter[str] = collections.Counter()
        self._started = time.monotonic()
        self._losses: list[tuple[int, tf.Tensor]] = []

    def add(self, results: Mapping[str, tf.Tensor], step: int) -> None:
        for name, value in results.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] += 1
        self._losses.append((step, results["loss"]))

    def check(self) -> None:
        """Raise if a loss since the last check was not finite."""
        for step, loss in self._losses:
            if not math.isfinite(float(loss)):
                raise FloatingPointError(
                    f"The loss of step {step} is {float(loss)}: training "
                    "stopped. Try a smaller learning rate."
                )
        self._losses = []

    def means(self) -> dict[str, float]:
        """Returns means and rates, and begins the next window."""
        self.check()
        seconds = max(time.monotonic() - self._started, 1e-9)
        sums = {name: float(value) for name, value in self._sums.items()}
        examples, tokens = sums.pop("examples"), sums.pop("tokens")
        means = {n: value / self._counts[n] for n, value in sums.items()}
        means["examples_per_second"] = examples / seconds
        means["tokens_per_second"] = tokens / seconds
        self.__init__()  # type: ignore[misc]
        return means


class _StopSignals:
    """Turns SIGTERM and SIGINT into a wish to stop, soon and everywhere."""

    def __init__(self) -> None:
        self.asked = False
        self._agreed = tf.constant(0.0)

    def agreed(self, wishes: tf.Tensor) -> bool:
        """Returns whether any process wished to stop in the step before.

        All processes learn of it in the same step. The newest wishes are
        only kept: reading them would wait for the step to end.
        """
        self._agreed, newest = wishes, self._agreed
        return float(newest) > 0

    def _ask(self, *_: Any) -> None:
        self.asked = True

    def __enter__(self) -> "_StopSignals":
        self._previous = {
            number: signal.signal(number, self._ask)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _note(metrics: Mapping[str, float]) -> str:
    return f"loss {metrics['loss']:.3f}" if metrics else ""


def _format(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
