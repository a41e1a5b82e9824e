"""How long models take for a batch, measured in a process of its own.

The process is tied to one core before TensorFlow starts its threads, so that
numbers do not depend on what else this one has started.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

from tfdistill.files import read_json
from tfdistill.models.configuration import BertConfig
from tfdistill.progress import Progress

BATCH_SIZES = (1, 32)
_SECONDS = 0.5
_FEWEST, _MOST = 5, 100
# Slots of a masked LM: 15 % of BERT's 128 tokens, as published.
_MASKED = 20
# No padding in any family's vocabulary.
_ANY_PIECE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """How fast a model is.

    Attributes:
        length: Tokens of every example, none of them padding.
        milliseconds: Median of a batch on one core, by its size.
        examples_per_second: With the largest batch on all cores.
    """

    length: int
    milliseconds: Mapping[int, float]
    examples_per_second: float


def measure_latencies(
    folders: Sequence[pathlib.Path], length: int
) -> list[Latency]:
    """Time models on the CPU with made-up examples, one after the other.

    Models of one shape are timed once: weights make no difference.

    Args:
        folders: Run directories.
        length: Tokens of an example; a model with fewer positions is timed
            with as many as it has.

    Returns:
        One for each folder.

    Raises:
        ValueError: A model cannot be loaded.
        ChildProcessError: The process that measures was killed.
    """
    shapes = [_shape(folder) for folder in folders]
    different = dict(zip(reversed(shapes), reversed(folders), strict=True))
    found: dict[bool, dict[str, dict[int, float]]] = {True: {}, False: {}}
    total = 2 * len(different)
    with Progress("timing models", total, unit=" models") as progress:
        for on_one_core, timed in found.items():
            with concurrent.futures.ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_use_cores,
                initargs=(on_one_core,),
            ) as pool:
                sizes = BATCH_SIZES if on_one_core else BATCH_SIZES[-1:]
                for shape, folder in different.items():
                    try:
                        timed[shape] = pool.submit(
                            _time, folder, length, sizes
                        ).result()
                    except BrokenProcessPool:
                        raise ChildProcessError(
                            f"the process that timed {folder} was killed."
                        ) from None
                    progress.advance(1)
    biggest = BATCH_SIZES[-1]
    return [
        Latency(
            length=_length_for(folder, length),
            milliseconds={n: 1e3 * t for n, t in found[True][shape].items()},
            examples_per_second=biggest / found[False][shape][biggest],
        )
        for folder, shape in zip(folders, shapes, strict=True)
    ]


def _shape(folder: pathlib.Path) -> str:
    settings = read_json(folder / "model.json")
    # Folders that were written before there were others do not say it.
    kind = settings.get("kind", "bert")
    found = [kind, settings["config"], settings["parts"]]
    return json.dumps(found, sort_keys=True)


def _use_cores(only_one: bool) -> None:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    if only_one:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _length_for(folder: pathlib.Path, length: int) -> int:
    config = read_json(folder / "model.json")["config"]
    return min(length, config.get("max_sequence_length", length))


def _time(
    folder: pathlib.Path, length: int, sizes: Sequence[int]
) -> dict[int, float]:
    """Returns the median seconds of a batch by its size."""
    import tensorflow as tf

    from tfdistill.models.bert import HEADS
    from tfdistill.models.formats import load_model

    parts = read_json(folder / "model.json")["parts"]
    model = load_model(
        str(folder), heads=[head for head in HEADS if head in parts]
    ).model
    length = _length_for(folder, length)
    found = {}
    for size in sizes:
        features = _features(model.config, size, length)

        @tf.function
        def run(features: dict[str, tf.Tensor]) -> tf.Tensor:
            outputs = model(features, reads=frozenset({"logits"}), noise=None)
            return tf.reduce_max(outputs["logits"])

        for _ in range(2):
            float(run(features))
        seconds: list[float] = []
        while len(seconds) < _FEWEST or (
            sum(seconds) < _SECONDS and len(seconds) < _MOST
        ):
            started = time.perf_counter()
            # Reading one number waits for all of them.
            float(run(features))
            seconds.append(time.perf_counter() - started)
        found[size] = statistics.median(seconds)
    return found


def _features(config: object, size: int, length: int) -> dict:
    """Returns examples of the length, whose second halves are segment 1."""
    import tensorflow as tf

    ones = tf.ones([size, length], tf.int32)
    second = tf.cast(tf.range(length) >= length // 2, tf.int32) * ones
    if isinstance(config, BertConfig):
        # RoBERTa has one segment.
        second *= int(config.num_segments > 1)
        return {
            "input_ids": _ANY_PIECE * ones,
            "input_mask": ones,
            "segment_ids": second,
            "masked_lm_positions": tf.ones(
                [size, min(_MASKED, length)], tf.int32
            ),
        }
    return {
        "word_ids": _ANY_PIECE * ones,
        "word_mask": ones,
        "word_segments": second,
    }
