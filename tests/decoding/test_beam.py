"""Beam search: all of a small model's texts, greedy search, early stops."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.decoding import beam_search, length_penalty

START, END, PADDING = 0, 1, 2


class Model:
    """Next pieces depend on all before; a table of random distributions."""

    def __init__(self, size, length, seed, examples=3):
        self.size, self.length, self.examples = size, length, examples
        rng = np.random.default_rng(seed)
        shape = (examples, *([size] * (length - 1)), length, size)
        logits = rng.normal(scale=2.0, size=shape)
        self.table = tf.constant(
            logits - np.log(np.exp(logits).sum(-1, keepdims=True)), tf.float32
        )

    def step(self, last, place, state):
        beams = state["example"].shape[0]
        # What stands before: pieces as far as there are any, else 0.
        history = state["history"]
        is_here = tf.range(self.length - 1) == place - 1
        history = tf.where(is_here, last[:, None], history)
        rows = tf.concat([state["example"][:, None], history], axis=1)
        log_probs = tf.gather(tf.gather_nd(self.table, rows), place, axis=1)
        state = {"example": state["example"], "history": history}
        return log_probs, tf.fill([beams], place) + 7, state

    def start(self, beams):
        example = tf.repeat(tf.range(self.examples), beams)
        history = tf.zeros([self.examples * beams, self.length - 1], tf.int32)
        return {"example": example, "history": history}

    def log_prob(self, example, ids):
        total, history = 0.0, [0] * (self.length - 1)
        for place, piece in enumerate(ids):
            row = self.table.numpy()[(example, *history)]
            total += float(row[place, piece])
            if place < self.length - 1:
                history[place] = piece
        return total

    def texts(self):
        others = [p for p in range(self.size) if p != END]
        for n in range(self.length):
            for head in itertools.product(others, repeat=n):
                yield (*head, END)
        yield from itertools.product(others, repeat=self.length)


def search(model, beams, alpha, step=None):
    run = tf.function(
        lambda: beam_search(
            step or model.step,
            model.start(beams),
            batch_size=model.examples,
            beam_size=beams,
            max_length=model.length,
            alpha=alpha,
            start_id=START,
            end_id=END,
            padding_id=PADDING,
        ),
        autograph=False,
    )
    return run()


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wide_beam_finds_the_best_of_all_texts(alpha, seed):
    model = Model(size=4, length=4, seed=seed)
    found = search(model, 3**4 * 4, alpha)
    for example in range(model.examples):
        scores = {
            ids: model.log_prob(example, ids)
            / float(length_penalty(len(ids), alpha))
            for ids in model.texts()
        }
        best = max(scores, key=scores.get)
        length = int(found.lengths[example])
        assert tuple(found.ids[example].numpy()[:length]) == best
        assert (found.ids[example, length:].numpy() == PADDING).all()
        assert float(found.scores[example]) == pytest.approx(
            scores[best], rel=1e-5
        )


def greedy(model, example):
    ids, history = [], [0] * (model.length - 1)
    for place in range(model.length):
        ids.append(
            int(model.table.numpy()[(example, *history)][place].argmax())
        )
        if ids[-1] == END:
            break
        if place < model.length - 1:
            history[place] = ids[-1]
    return ids


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_a_beam_of_one_is_greedy_search(alpha):
    model = Model(size=4, length=5, seed=3, examples=8)
    found = search(model, 1, alpha)
    for example in range(8):
        ids = greedy(model, example)
        length = int(found.lengths[example])
        assert found.ids[example].numpy()[:length].tolist() == ids
        penalty = float(length_penalty(len(ids), alpha))
        score = model.log_prob(example, ids) / penalty
        assert float(found.scores[example]) == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("beams", [2, 5])
def test_scores_are_those_of_the_text_alone(beams):
    model = Model(size=4, length=5, seed=4, examples=6)
    found = search(model, beams, 0.6)
    for example in range(6):
        length = int(found.lengths[example])
        ids = found.ids[example].numpy()[:length].tolist()
        score = model.log_prob(example, ids) / float(
            length_penalty(length, 0.6)
        )
        assert float(found.scores[example]) == pytest.approx(score, rel=1e-5)
        # What is looked at stays with its piece.
        assert found.attended[example].numpy()[:length].tolist() == [
            7 + i for i in range(length)
        ]


def test_a_search_stops_where_nothing_better_can_come():
    places = []

    def step(last, place, state):
        tf.numpy_function(lambda p: places.append(int(p)), [place], [])
        probs = tf.constant([0.01, 0.98, 0.01])
        beams = state.shape[0]
        return (
            tf.repeat(tf.math.log(probs)[None], beams, axis=0),
            tf.zeros([beams], tf.int32),
            state,
        )

    found = beam_search(
        step,
        tf.zeros([4, 1]),
        batch_size=2,
        beam_size=2,
        max_length=50,
        alpha=0.6,
        start_id=START,
        end_id=END,
        padding_id=PADDING,
    )
    assert found.lengths.numpy().tolist() == [1, 1]
    assert places == [0]


def search_to_the_end(model, example, beams, alpha):
    """A beam as its definition says, which stops for nothing."""
    followed, best = [(0.0, ())], (-np.inf, ())
    for place in range(1, model.length + 1):
        everything = [
            (model.log_prob(example, (*ids, piece)), (*ids, piece))
            for _, ids in followed
            for piece in range(model.size)
        ]
        chosen = sorted(everything, reverse=True)[:beams]
        is_last = place == model.length
        ended = [x for x in chosen if is_last or x[1][-1] == END]
        penalty = float(length_penalty(place, alpha))
        best = max([best, *((score / penalty, ids) for score, ids in ended)])
        followed = [x for x in chosen if x not in ended]
    return best


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_narrow_beams_find_what_they_do_without_stopping(beams, alpha):
    for seed in range(3):
        model = Model(size=4, length=5, seed=seed, examples=6)
        found = search(model, beams, alpha)
        for example in range(model.examples):
            score, ids = search_to_the_end(model, example, beams, alpha)
            length = int(found.lengths[example])
            assert tuple(found.ids[example].numpy()[:length]) == ids
            assert float(found.scores[example]) == pytest.approx(
                score, rel=1e-5
            )


def test_published_length_penalties():
    for n, value in {
        1: 1.096903,
        2: 1.188402,
        5: 1.438616,
        10: 1.801280,
        20: 2.410423,
    }.items():
        assert float(length_penalty(n, 0.6)) == pytest.approx(value, rel=1e-6)
    assert float(length_penalty(9, 0.0)) == 1.0


def test_a_negative_exponent_is_refused():
    with pytest.raises(ValueError, match="negative"):
        search(Model(3, 2, 0), 2, -1.0)
