"""Every example is seen as often as it should be, in one global order."""

import itertools

import numpy as np
import pytest
from small_records import write_set

from tfdistill.records import (
    evaluation_batches,
    read_feature,
    training_batches,
)


@pytest.fixture
def records(tmp_path):
    """Fifty examples over uneven shards, an empty one among them."""
    return write_set(tmp_path / "set", [20, 3, 0, 27])


def order(records, batches, *, processes=1, batch_size=10, **more):
    """The global order that all processes together see."""
    size = batch_size // processes
    streams = [
        training_batches(
            records,
            batch_size=batch_size,
            seed=more.get("seed", 1),
            shuffle_buffer_size=more.get("shuffle_buffer_size", 1000),
            first_step=more.get("first_step", 0),
            process_slice=(p * size, size),
        )
        for p in range(processes)
    ]
    seen = []
    for _ in range(batches):
        for stream in streams:
            batch = next(stream)
            seen += batch["input_ids"][:, 1].numpy().tolist()
    return seen


def test_an_epoch_holds_every_example_once(records):
    seen = order(records, 15)
    epochs = [seen[:50], seen[50:100], seen[100:150]]
    assert all(sorted(e) == list(range(50)) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 3


@pytest.mark.parametrize("buffer", [7, 1000])
@pytest.mark.parametrize("processes", [2, 5])
def test_order_does_not_depend_on_the_number_of_processes(
    records, processes, buffer
):
    assert order(
        records, 9, processes=processes, shuffle_buffer_size=buffer
    ) == order(records, 9, shuffle_buffer_size=buffer)


def test_order_depends_on_the_seed(records):
    assert order(records, 5) != order(records, 5, seed=2)


@pytest.mark.parametrize("first_step", [1, 4, 5, 6, 13])
def test_resumed_order_goes_on(records, first_step):
    rest = order(records, 16 - first_step, first_step=first_step)
    assert rest == order(records, 16)[first_step * 10 :]


def test_batches_run_across_epochs(records):
    seen = order(records, 25, batch_size=8)
    assert sorted(seen) == sorted(list(range(50)) * 4)


@pytest.mark.parametrize("batch_size", [1, 7, 10, 64])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_evaluation_sees_every_example_once_in_order(
    records, batch_size, processes
):
    size = -(-batch_size // processes)
    streams = [
        evaluation_batches(
            records,
            batch_size=batch_size,
            process_slice=(p * size, size),
            rows=processes * size,
        )
        for p in range(processes)
    ]
    seen, weights = [], 0.0
    for batch in itertools.chain.from_iterable(zip(*streams, strict=True)):
        real = batch["is_real_example"].numpy().astype(bool)
        assert batch["input_ids"].shape == (size, 8)
        seen += batch["input_ids"].numpy()[real, 1].tolist()
        weights += float(batch["masked_lm_weights"].numpy().sum())
        assert not batch["masked_lm_weights"].numpy()[~real].any()
    assert seen == list(range(50))
    assert weights == 50


def test_record_index_is_that_of_the_set(records):
    """Whatever order the records come in."""
    stream = training_batches(
        records,
        batch_size=10,
        seed=1,
        shuffle_buffer_size=7,
        first_step=3,
        process_slice=(5, 5),
    )
    for _ in range(12):
        batch = next(stream)
        # The second id of a record is its number.
        np.testing.assert_array_equal(
            batch["record_index"], batch["input_ids"][:, 1]
        )


def test_a_feature_is_read_in_the_order_of_the_set(records):
    found = read_feature(records, "input_ids")
    assert found[:, 1].tolist() == list(range(50))


def test_example_index_is_that_of_the_global_batch(records):
    batch = next(
        training_batches(
            records,
            batch_size=10,
            seed=1,
            shuffle_buffer_size=10,
            first_step=0,
            process_slice=(5, 5),
        )
    )
    np.testing.assert_array_equal(batch["example_index"], range(5, 10))


def test_empty_set_is_refused(tmp_path):
    empty = write_set(tmp_path / "empty", [0])
    with pytest.raises(ValueError, match="holds no examples"):
        order(empty, 1)
    with pytest.raises(ValueError, match="holds no examples"):
        next(evaluation_batches(empty, batch_size=1, process_slice=(0, 1)))


def test_damage_that_shows_while_reading_names_the_file(records):
    path = records.shards[3].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"3\.tfrecord is cut or damaged"):
        order(records, 10)
