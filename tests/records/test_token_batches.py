"""Batches by tokens: within the budget, nothing lost, alike for all."""

import numpy as np
import pytest

from tfdistill.records import (
    RecordSetWriter,
    Schema,
    make_codec,
    pair_features,
    token_batches,
    training_batches,
)
from tfdistill.records.token_batches import cut

EVERY = range(1, 200)


def test_published_example_but_nothing_is_dropped():
    tokens = np.array([10, 8, 8, 5, 5, 5, 2, 2])
    cuts = cut(tokens, np.zeros(8, int), 20, EVERY, EVERY)
    # The published samplers make three batches or two, and lose the rest.
    assert len(cuts) == 3
    assert sorted(i for c in cuts for i in c.examples) == list(range(8))
    for c in cuts:
        assert tokens[c.examples].max() * c.rows <= 20


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("budget", [60, 1000])
def test_budgets_hold_and_little_is_wasted(seed, budget):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 30, 3000)
    places = np.clip(tokens + rng.integers(-4, 5, 3000), 1, 29)
    grid = [8, 16, 24, 30]
    cuts = cut(tokens, places, budget, grid, grid)
    assert sorted(i for c in cuts for i in c.examples) == list(range(3000))
    room, shapes = 0, set()
    for c in cuts:
        s = grid[np.searchsorted(grid, tokens[c.examples].max())]
        t = grid[np.searchsorted(grid, places[c.examples].max())]
        assert len(c.examples) <= c.rows
        assert c.rows * (s + t) <= budget
        room += c.rows * (s + t)
        shapes.add((c.rows, s, t))
    assert len(shapes) <= 16
    # The grid alone wastes about a fifth.
    assert (tokens + places).sum() / room > 0.72


def test_an_example_beyond_the_budget_is_refused():
    with pytest.raises(ValueError, match="An example has 30 tokens"):
        cut(np.array([3, 15]), np.array([3, 15]), 20, EVERY, EVERY)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Sixty pairs; their first piece is their number."""
    folder = tmp_path_factory.mktemp("pairs") / "set"
    features = pair_features(20, 24, 100, 60)
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(features),
        identity={"task": "translation"},
        shard_names=["0.tfrecord", "1.tfrecord"],
        files={},
    )
    rng = np.random.default_rng(0)
    number = 0
    for name in writer.shard_names:
        with writer.shard(name) as shard:
            for _ in range(30):
                source, target = rng.integers(1, 20, 2)
                shard.add(
                    {
                        "input_ids": np.array([number, *[5] * source][:20]),
                        "target_ids": np.array([number, *[6] * target][:24]),
                        "pair_numbers": np.array([number]),
                    }
                )
                number += 1
    return writer.finish()


def stream(records, parts=1, part=0, first_step=0, window=25, tokens=200):
    return token_batches(
        records,
        batch_tokens=tokens,
        window=window,
        seed=3,
        shuffle_buffer_size=1000,
        first_step=first_step,
        process_slice=(part, 1),
        num_parts=parts,
    )


def seen(batches, count):
    rows = []
    for _, batch in zip(range(count), batches, strict=False):
        real = batch["is_real_example"].numpy() > 0
        rows.append(batch["record_index"].numpy()[real].tolist())
    return rows


def test_batches_hold_all_examples_as_often(records):
    rows = seen(stream(records), 80)
    counts = np.bincount([i for batch in rows for i in batch], minlength=60)
    assert counts.max() - counts.min() <= 1
    assert counts.min() > 3


def test_padding_and_copies(records):
    for _, batch in zip(range(30), stream(records), strict=False):
        rows, length = batch["input_ids"].shape
        places = batch["target_ids"].shape[1]
        assert rows * (length + places) <= 200
        assert batch["masked_lm_weights"].shape == (rows, places)
        real = batch["is_real_example"].numpy() > 0
        for name in ("input_mask", "masked_lm_weights"):
            tokens = batch[name].numpy().sum(1)
            assert (tokens[real] > 0).all()
            assert not tokens[~real].any()
        numbers = batch["pair_numbers"].numpy()
        assert (batch["target_ids"].numpy()[:, 0] == numbers).all()
        assert batch["example_index"].numpy().tolist() == list(range(rows))


@pytest.mark.parametrize("parts", [2, 3])
def test_any_number_of_processes_sees_the_same_batches(records, parts):
    alone = seen(stream(records), 20)
    streams = [stream(records, parts, part) for part in range(parts)]
    for batch in alone:
        parts_of = [next(s) for s in streams]
        shapes = {x["input_ids"].shape for x in parts_of}
        assert len(shapes) == 1
        found = [
            i
            for x in parts_of
            for i, real in zip(
                x["record_index"].numpy(),
                x["is_real_example"].numpy(),
                strict=True,
            )
            if real
        ]
        assert found == batch


@pytest.mark.parametrize("first_step", [1, 7, 19])
def test_a_run_goes_on_where_it_was(records, first_step):
    alone = seen(stream(records), 25)
    assert (
        seen(stream(records, first_step=first_step), 25 - first_step)
        == (alone[first_step:])
    )


def test_budgets_below_what_may_come_are_refused(records):
    with pytest.raises(ValueError, match="=40 is less than the 44 tokens"):
        next(stream(records, tokens=40))


def test_targets_are_trimmed_with_what_is_known_of_them(records):
    codec = make_codec(["top_k(k=3)"], records.shapes())
    assert records.shapes().num_slots == 24
    schema = Schema((*records.schema.features, *codec.features()))
    example = {
        "input_ids": np.array([1, 2]),
        "target_ids": np.array([7, 8, 3]),
        "pair_numbers": np.array([0]),
        "top_k_ids": np.arange(9),
        "top_k_log_probs": -np.arange(9.0, dtype=np.float32),
        "tail_log_mass": np.array([-5.0, -6.0, -7.0], np.float32),
    }
    batch = schema.decode([schema.encode(example)] * 2, 4)
    trimmed = schema.trim_places(batch, 3)
    known = codec.decode(trimmed)["distribution"]
    assert known.ids.numpy()[1].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    tail = known.tail_log_mass.numpy()[0]
    assert tail == pytest.approx([-5, -6, -7], rel=1e-4)


def test_batches_of_examples_are_trimmed_too(records):
    batches = training_batches(
        records,
        batch_size=4,
        seed=1,
        shuffle_buffer_size=100,
        first_step=0,
        process_slice=(0, 4),
    )
    for _, batch in zip(range(10), batches, strict=False):
        longest = batch["masked_lm_weights"].numpy().sum(1).max()
        places = batch["target_ids"].shape[1]
        assert places in (8, 16, 24)
        assert places - 8 < longest <= places
