"""Sampling: what is drawn, that a cache changes nothing, and what decides."""

import collections
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.augmentation.sampling import (
    Prefixes,
    Sampling,
    draw,
    kept_logits,
    sample,
    stepping,
)
from tfdistill.models.causal import (
    Gpt2Config,
    LanguageModel,
    TransformerXlConfig,
)

SIZE, END = 9, 0
SMALL = dict(
    vocabulary_size=SIZE,
    num_layers=2,
    hidden_dim=8,
    num_heads=2,
    initializer_range=0.5,
)
CONFIGS = {
    "gpt2": Gpt2Config(**SMALL, max_sequence_length=16),
    "transformer_xl": TransformerXlConfig(
        **SMALL, segment_length=4, memory_length=3
    ),
}
SAMPLING = Sampling(max_tokens=12)
PREFIXES = Prefixes([[1], [2], [2], [3]])
# First sentences and their ends.
SENTENCES = Prefixes([[5, END], [1, 2, 3, 6, END], [7, 4, END], [8] * 30])
LOGITS = np.log([[0.5, 0.25, 0.15, 0.1]]).astype(np.float32)


def kept(**fields):
    found = kept_logits(tf.constant(LOGITS), Sampling(**fields)).numpy()
    return np.flatnonzero(found[0] > -1e8).tolist()


def test_first_tokens_are_as_probable_as_they_are_frequent():
    """T6: of "the cat", "the dog", "a cat"."""
    the, a = 7, 3
    prefixes = Prefixes([[the], [the], [a]])
    assert prefixes.counts == {(the,): 2, (a,): 1}
    drawn = [prefixes.look_up(u) for u in (0.0, 0.333, 0.334, 0.999)]
    assert drawn == [(a,), (a,), (the,), (the,)]
    with pytest.raises(ValueError, match="no texts"):
        Prefixes([])


def test_what_may_be_drawn():
    assert kept() == [0, 1, 2, 3]
    assert kept(top_k=2) == [0, 1]
    assert kept(top_k=9) == [0, 1, 2, 3]
    assert kept(top_p=0.5) == [0]
    assert kept(top_p=0.51) == [0, 1]
    assert kept(top_p=1e-3) == [0]
    # The mass is that at the temperature: flatter, more is needed.
    assert kept(top_p=0.51, temperature=100.0) == [0, 1, 2]
    assert kept(top_k=3, top_p=0.8) == [0, 1]
    assert kept(never_ids=(0, 2)) == [1, 3]
    ties = tf.constant([[1.0, 1.0, 0.0]])
    found = kept_logits(ties, Sampling(top_k=1)).numpy()
    assert (found[0] > -1e8).tolist() == [True, True, False]


def test_draws_follow_the_distribution():
    uniforms = (np.arange(1000) + 0.5) / 1000
    rows = tf.constant(np.repeat(LOGITS, 1000, axis=0))
    drawn = draw(rows, tf.constant(uniforms), Sampling()).numpy()
    assert collections.Counter(drawn.tolist()) == {
        0: 500,
        1: 250,
        2: 150,
        3: 100,
    }
    cold = draw(rows, tf.constant(uniforms), Sampling(temperature=0.5)).numpy()
    share = 0.5**2 / (0.5**2 + 0.25**2 + 0.15**2 + 0.1**2)
    assert abs((cold == 0).mean() - share) < 2e-3
    # Neither end of [0, 1) falls outside.
    ends = draw(rows[:2], tf.constant([0.0, 1 - 1e-16]), Sampling(top_k=2))
    assert ends.numpy().tolist() == [0, 1]


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return LanguageModel(CONFIGS[request.param], seed=3)


@functools.cache
def step_of(model, sampling):
    return stepping(model, sampling)


def samples(
    model, numbers, sampling=SAMPLING, *, seed=1, ends=1, prefixes=PREFIXES
):
    return sample(
        model,
        step_of(model, sampling),
        numbers,
        prefixes=prefixes,
        sampling=sampling,
        seed=seed,
        end_id=END,
        ends=ends,
    )


def without_cache(model, numbers, *, ends, prefixes):
    """Samples, whole texts computed anew for each of their tokens."""
    uniforms = [np.random.default_rng([1, n]).random(12) for n in numbers]
    given = [prefixes.look_up(u[0])[:12] for u in uniforms]
    ids = np.array([row[:1] for row in given], np.int32)
    for place in range(1, 12):
        features = {"input_ids": tf.constant(ids)}
        logits = model(features, reads=frozenset({"logits"}))["logits"][:, -1]
        wanted = tf.constant([u[place] for u in uniforms])
        found = draw(logits, wanted, SAMPLING).numpy()
        for n, row in enumerate(given):
            if place < len(row):
                found[n] = row[place]
        ids = np.concatenate([ids, found[:, None]], axis=1)
    texts = []
    for row in ids.tolist():
        places = [i for i, token in enumerate(row) if token == END]
        is_whole = len(places) >= ends
        texts.append(row[: places[ends - 1] + 1] if is_whole else None)
    return texts


@pytest.mark.parametrize(
    ("ends", "prefixes"), [(1, PREFIXES), (2, PREFIXES), (2, SENTENCES)]
)
def test_a_cache_changes_nothing(model, ends, prefixes):
    found = samples(model, range(20), ends=ends, prefixes=prefixes)
    wanted = without_cache(model, range(20), ends=ends, prefixes=prefixes)
    assert found == wanted
    lengths = {len(ids) for ids in found if ids}
    # Some were left out of the batch on the way, some never ended.
    assert len(lengths) > 3 and None in found
    assert all(ids.count(END) == ends for ids in found if ids)


@pytest.mark.parametrize("prefixes", [PREFIXES, SENTENCES])
def test_a_sample_depends_on_its_number_alone(model, prefixes):
    draw_some = functools.partial(samples, model, prefixes=prefixes, ends=2)
    whole = draw_some(range(40))
    assert draw_some(range(30, 40)) == whole[30:]
    assert draw_some([7, 2]) == [whole[7], whole[2]]
    assert draw_some(range(40), seed=2) != whole


def test_samples_go_on_from_whole_sentences(model):
    found = samples(model, range(40), ends=2, prefixes=SENTENCES)
    given = {tuple(ids[: ids.index(END) + 1]) for ids in found if ids}
    # That of 30 tokens leaves no room for another sentence.
    assert given == {ids for ids in SENTENCES.counts if len(ids) < 12}


def test_what_is_never_drawn(model):
    sampling = dataclasses.replace(SAMPLING, never_ids=(END, 4))
    assert samples(model, range(8), sampling) == [None] * 8
    sampling = dataclasses.replace(SAMPLING, never_ids=(4,))
    drawn = [
        i for ids in samples(model, range(40), sampling) if ids for i in ids
    ]
    assert drawn and 4 not in drawn


def test_greedy_samples_follow_from_their_first_token(model):
    sampling = dataclasses.replace(SAMPLING, top_k=1)
    by_first = collections.defaultdict(set)
    for n, ids in enumerate(samples(model, range(30), sampling)):
        uniforms = np.random.default_rng([1, n]).random(12)
        by_first[PREFIXES.look_up(uniforms[0])].add(str(ids))
    assert set(by_first) == {(1,), (2,), (3,)}
    assert all(len(texts) == 1 for texts in by_first.values())


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.0},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"max_tokens": 1},
    ],
)
def test_what_cannot_be_asked_for(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=name):
        Sampling(**fields)
