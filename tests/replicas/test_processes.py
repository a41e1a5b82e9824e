"""Real processes under mpirun train as one process does."""

import pathlib

import mpi
import numpy as np
import pytest
import tensorflow as tf
from mirrored import two_mirrored
from tiny_training import write_records
from train_twenty_steps import STEPS, train

from tfdistill.replicas import OneDevice

SCRIPT = pathlib.Path(__file__).parents[1] / "support/train_twenty_steps.py"
# Dropout, uneven masks, three objectives and a norm that clips come with it.
RATE = 1e-3
SETTINGS = {"accumulation_steps": 2, "clip_norm": 0.1}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records") / "set", 50)


@pytest.fixture(scope="module")
def reference(records):
    weights, results = train(OneDevice(), records, **SETTINGS)
    assert all(r["gradient_norm"] > 0.1 for r in results)
    return weights, [r["loss"] for r in results]


@pytest.fixture(scope="module")
def rounding(records, reference):
    """What sums in another order change, with one device and no ranks.

    About 1e-6, and another number for each kind of processor.
    """
    found = max(
        largest_relative_difference(
            train(OneDevice(), records, **SETTINGS | {"accumulation_steps": n})[
                0
            ],
            reference[0],
        )[0]
        for n in (1, 6)
    )
    assert 0 < found < 2e-6
    return found


def largest_relative_difference(ours, theirs):
    """Of whole weights, by their norm; and the name of the weight.

    Adam moves every number by up to the rate in each step, however little
    of its gradient is more than rounding; a bias that began at 0 is smaller
    than the way it has come, which is what it is compared with then.
    """
    way = RATE * STEPS
    return max(
        (
            np.linalg.norm(ours[n] - theirs[n])
            / max(np.linalg.norm(theirs[n]), way * theirs[n].size ** 0.5),
            n,
        )
        for n in theirs
    )


def in_ranks(ranks, name, records, path, **settings):
    result = path / "result.npz"
    done = mpi.run(
        mpi.mpirun(
            ranks,
            SCRIPT,
            name,
            records.path,
            result,
            *(f"{k}={v}" for k, v in settings.items()),
        ),
        PYTHONPATH=f"{mpi.ROOT}:{SCRIPT.parent}",
    )
    assert done.returncode == 0, done.stderr
    found = dict(np.load(result))
    return found, found.pop("losses")


def test_mirrored(records, reference, rounding):
    weights, _ = train(two_mirrored(), records, **SETTINGS)
    difference, name = largest_relative_difference(weights, reference[0])
    assert difference < 1.5 * rounding, name


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.int32, tf.int64])
def test_mirrored_sums_several_tensors_of_a_type(dtype):
    replicas = two_mirrored()

    def step(batch):
        x = tf.cast(batch["x"], dtype)
        return replicas.sum({"both": [x, 2 * x], "last": tf.reduce_sum(x)})

    found = replicas.compile(step)({"x": tf.constant([1, 2, 10, 20])})
    assert found["last"].dtype == dtype
    found = {n: np.array(x, np.float32).tolist() for n, x in found.items()}
    assert found == {"both": [[11, 22], [22, 44]], "last": 33}


@pytest.mark.parametrize(
    ("ranks", "name"), [(2, "horovod"), (3, "horovod"), (2, "multi_worker")]
)
def test_ranks_give_the_weights_of_one_process(
    tmp_path, records, reference, rounding, ranks, name
):
    """Up to rounding: gradients of ranks are summed in another order."""
    weights, losses = in_ranks(ranks, name, records, tmp_path, **SETTINGS)
    difference, where = largest_relative_difference(weights, reference[0])
    assert difference < 1.5 * rounding, where
    np.testing.assert_allclose(losses, reference[1], rtol=1e-5)


@pytest.mark.parametrize("compression", ["fp16", "bf16"])
def test_compressed_gradients_train_nearly_alike(
    tmp_path, records, reference, compression
):
    weights, losses = in_ranks(
        2, "horovod", records, tmp_path, **SETTINGS, compression=compression
    )
    difference, where = largest_relative_difference(weights, reference[0])
    assert 1e-6 < difference < 0.05, where
    np.testing.assert_allclose(losses, reference[1], rtol=1e-2)
