"""Every example is seen as often as it should be, in one global order."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from small_records import write_set, write_uneven_set

from tfdistill.records import (
    RecordSetWriter,
    Schema,
    evaluation_batches,
    masked_lm_features,
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
            length_window=more.get("length_window", 1),
        )
        for p in range(processes)
    ]
    seen = []
    for _ in range(batches):
        for stream in streams:
            batch = next(stream)
            seen += batch["input_ids"][:, 1].numpy().tolist()
    return seen


def test_nothing_is_tuned_while_records_are_read(records):
    """The thread that does it can hold up the end for a minute."""
    paths = [str(shard.path) for shard in records.shards]
    options = records.schema.read(paths).batch(2).options()
    assert options.autotune.enabled is False


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


def test_order_is_always_the_same(records):
    """So that runs go on in later versions; the numbers were once printed."""
    seen = order(records, 3, shuffle_buffer_size=7, first_step=3)
    assert [seen[:10], seen[10:20], seen[20:]] == [
        [34, 30, 29, 32, 28, 40, 36, 37, 35, 39],
        [41, 38, 45, 47, 48, 44, 42, 46, 43, 49],
        [6, 2, 4, 3, 5, 0, 1, 7, 11, 9],
    ]


@pytest.mark.parametrize("first_step", [1, 4, 5, 6, 13])
@pytest.mark.parametrize("buffer", [1, 7, 20, 50, 1000])
def test_resumed_order_goes_on(records, first_step, buffer):
    rest = order(
        records,
        16 - first_step,
        first_step=first_step,
        shuffle_buffer_size=buffer,
    )
    whole = order(records, 16, shuffle_buffer_size=buffer)
    assert rest == whole[first_step * 10 :]


def test_examples_know_their_place_in_the_set(records):
    stream = training_batches(
        records,
        batch_size=10,
        seed=1,
        shuffle_buffer_size=7,
        first_step=2,
        process_slice=(0, 10),
    )
    for batch in itertools.islice(stream, 12):
        # What stands behind the first token of these is their number.
        np.testing.assert_array_equal(
            batch["record_index"], batch["input_ids"][:, 1]
        )


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


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_a_feature_of_a_damaged_shard_is_refused(tmp_path, compression):
    records = write_set(tmp_path / "set", [3, 2], compression=compression)
    path = records.shards[1].path
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"^\S*1\.tfrecord ") as error:
            read_feature(records, "masked_lm_ids")
        assert "\n" not in str(error.value)


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


# Of 50 examples; most of them are short.
LENGTHS = [
    100 if n == 7 else 3 + (13 * n) % (60 if n % 5 == 0 else 14)
    for n in range(50)
]


@pytest.fixture
def uneven(tmp_path):
    return write_uneven_set(tmp_path / "uneven", LENGTHS)


def global_batches(records, batches, *, processes=1, batch_size=5, **more):
    """Of each global batch all processes' parts."""
    size = batch_size // processes
    arguments = {"seed": 1, "shuffle_buffer_size": 1000, "first_step": 0}
    streams = [
        training_batches(
            records,
            batch_size=batch_size,
            process_slice=(p * size, size),
            **(arguments | more),
        )
        for p in range(processes)
    ]
    return [[next(stream) for stream in streams] for _ in range(batches)]


def evaluated(records, *, processes=1, batch_size=5):
    rows = -(-batch_size // processes)
    streams = [
        evaluation_batches(
            records,
            batch_size=batch_size,
            process_slice=(p * rows, rows),
            rows=rows * processes,
        )
        for p in range(processes)
    ]
    return list(zip(*streams, strict=True))


def untrimmed(records):
    """All examples, decoded to their full length."""
    paths = [str(shard.path) for shard in records.shards]
    examples = list(tf.data.TFRecordDataset(paths))
    return records.schema.decode(tf.stack(examples))


@pytest.mark.parametrize("read", [global_batches, evaluated])
def test_batches_are_as_long_as_the_longest_of_all_processes(uneven, read):
    args = {"batches": 20} if read is global_batches else {}
    whole = untrimmed(uneven)
    shorter_parts = 0
    seen = set()
    for parts in read(uneven, **args, processes=2, batch_size=4):
        # Of copies at the end, too.
        numbers = [part["input_ids"].numpy()[:, 1] for part in parts]
        longest = [max(LENGTHS[n] for n in part) for part in numbers]
        # Multiples of 16, and the most that there is.
        length = min(-(-max(longest) // 16) * 16, 100)
        shorter_parts += min(longest) <= length - 16
        seen.add(length)
        for part, rows in zip(parts, numbers, strict=True):
            for name in ("input_ids", "input_mask", "segment_ids"):
                expected = whole[name].numpy()[rows]
                np.testing.assert_array_equal(
                    part[name], expected[:, :length], name
                )
                assert not expected[:, length:].any()
    assert shorter_parts > 3
    assert seen == {16, 32, 48, 100}


@pytest.mark.parametrize(
    ("longest", "most", "length"),
    [
        (3, 512, 16),
        (17, 512, 32),
        (129, 512, 160),
        (257, 512, 320),
        (513, 1000, 640),
        (900, 1000, 1000),
        (9, 10, 10),
    ],
)
def test_few_lengths_come_by(tmp_path, longest, most, length):
    records = write_uneven_set(tmp_path / "set", [longest], most)
    (batch,) = evaluation_batches(records, batch_size=1, process_slice=(0, 1))
    assert batch["input_ids"].shape == (1, length)


def write_masked_set(folder, count, layout):
    """Write examples of 16 tokens, runs of which have few masks or many."""
    schema = Schema(
        masked_lm_features(
            max_seq_length=16,
            max_predictions_per_seq=9,
            vocabulary_size=100,
            is_masked=True,
            has_next_sentence=False,
        ),
        layout,
    )
    writer = RecordSetWriter(
        str(folder),
        schema=schema,
        identity={"task": "mlm"},
        shard_names=["0.tfrecord"],
        files={},
    )
    with writer.shard("0.tfrecord") as shard:
        for number in range(count):
            masked = 1 + (7 * number) % (1 + number // 4)
            shard.add(
                {
                    "input_ids": np.arange(16),
                    "segment_ids": np.zeros(16, int),
                    "masked_lm_positions": np.arange(masked),
                    "masked_lm_ids": np.full(masked, number),
                }
            )
    return writer.finish()


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("parts", [1, 2])
def test_slots_are_as_many_as_an_example_of_any_process_has(
    tmp_path, layout, parts
):
    records = write_masked_set(tmp_path / "set", 36, layout)
    whole = untrimmed(records)
    masked = whole["masked_lm_weights"].numpy().sum(1)
    seen, fewer = set(), 0
    for batch in evaluated(records, processes=parts, batch_size=4):
        numbers = [part["record_index"].numpy() for part in batch]
        most = max(masked[rows].max() for rows in numbers)
        slots = min(n for n in (1, 2, 4, 6, 8, 9) if n >= most)
        seen.add(slots)
        for part, rows in zip(batch, numbers, strict=True):
            fewer += masked[rows].max() <= slots - 2
            for name in ("positions", "ids", "weights"):
                name = f"masked_lm_{name}"
                expected = whole[name].numpy()[rows]
                np.testing.assert_array_equal(
                    part[name], expected[:, :slots], name
                )
                assert not expected[:, slots:].any()
    assert seen == {1, 2, 4, 6, 9}
    assert (fewer > 0) == (parts == 2)


WINDOW = 5


def test_an_epoch_of_windows_holds_every_example_once(uneven):
    seen = order(uneven, 15, length_window=WINDOW)
    epochs = [seen[:50], seen[50:100], seen[100:150]]
    assert all(sorted(e) == list(range(50)) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 3


def test_windows_run_across_epochs(uneven):
    # Of 24 examples each: 25 of them are 12 epochs.
    seen = order(uneven, 75, batch_size=8, length_window=3)
    assert sorted(seen) == sorted([*range(50)] * 12)


def test_windows_do_not_depend_on_the_number_of_processes(uneven):
    alone = order(uneven, 7, length_window=WINDOW)
    assert order(uneven, 7, processes=2, length_window=WINDOW) == alone
    assert alone != order(uneven, 7, length_window=WINDOW, seed=2)


@pytest.mark.parametrize("first_step", [4, 5, 18])
def test_windows_go_on_at_any_step(uneven, first_step):
    """In the middle of a window and of an epoch."""
    args = {"batch_size": 3, "length_window": WINDOW}
    rest = order(uneven, 22 - first_step, first_step=first_step, **args)
    assert rest == order(uneven, 22, **args)[first_step * 3 :]


def test_examples_of_like_length_are_dealt_out_together(uneven):
    def lengths(window):
        found = global_batches(uneven, 40, length_window=window)
        return [
            [LENGTHS[n] for n in part["record_index"].numpy()]
            for (part,) in found
        ]

    def padding(batches):
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    dealt, plain = lengths(WINDOW), lengths(1)
    assert sum(map(sum, dealt)) == sum(map(sum, plain))
    assert padding(dealt) < 0.5 * padding(plain)
    shuffled = 0
    for start in range(0, 40, WINDOW):
        window = dealt[start : start + WINDOW]
        # The same examples as without, cut where their lengths are.
        before = plain[start : start + WINDOW]
        assert sorted(itertools.chain(*window)) == sorted(
            itertools.chain(*before)
        )
        for one, other in itertools.pairwise(sorted(window, key=max)):
            assert max(one) <= min(other)
        shuffled += window != sorted(window, key=max)
    # Short batches do not all come first.
    assert shuffled > 4


@pytest.mark.parametrize("processes", [1, 2])
def test_evaluation_in_order_of_length(uneven, processes):
    size = 4 // processes
    streams = [
        evaluation_batches(
            uneven,
            batch_size=4,
            process_slice=(p * size, size),
            length_window=WINDOW,
        )
        for p in range(processes)
    ]
    whole, seen, shapes = untrimmed(uneven), [], set()
    for parts in zip(*streams, strict=True):
        numbers = np.concatenate([p["record_index"].numpy() for p in parts])
        real = numbers[numbers < 50]
        longest = max(LENGTHS[n] for n in real)
        for part in parts:
            length = part["input_ids"].shape[1]
            assert length - 16 < longest <= length
            is_real = part["is_real_example"].numpy().astype(bool)
            rows = part["record_index"].numpy()[is_real]
            np.testing.assert_array_equal(
                part["input_ids"].numpy()[is_real],
                whole["input_ids"].numpy()[rows, :length],
            )
            shapes.add(length)
        seen += real.tolist()
    window = 4 * WINDOW
    for start in range(0, 50, window):
        part = range(50)[start : start + window]
        # Those of one length come in their own order.
        expected = sorted(part, key=lambda n: LENGTHS[n])
        assert seen[start : start + window] == expected
    # Closer together than those of batches in the order of the set.
    assert {8, 40} <= shapes
