"""What records do not hold of a teacher, a live one is asked for."""

import types

import pytest
import tensorflow as tf

from tfdistill.distillation import recorded_teacher
from tfdistill.records import DISTRIBUTION

BATCH = {"input_ids": tf.zeros([2, 8], tf.int32)}
CODEC = types.SimpleNamespace(
    gives=frozenset({"logits", DISTRIBUTION, "hidden_states/1"}),
    decode=lambda batch: {
        "logits": "stored",
        DISTRIBUTION: "stored",
        "hidden_states": {1: "stored"},
    },
)


@pytest.fixture
def live():
    """A teacher that notes what it was asked for."""

    def ask(batch, reads):
        assert batch is BATCH
        ask.asked.append(reads)
        found = {}
        for name in sorted(reads):
            field, _, number = name.partition("/")
            if number:
                found.setdefault(field, {})[int(number)] = "live"
            else:
                found[field] = "live"
        return found

    ask.asked = []
    return ask


def test_nothing_is_asked_that_is_stored(live):
    known = recorded_teacher(CODEC, live)(
        BATCH, frozenset({DISTRIBUTION, "hidden_states/1"})
    )
    assert live.asked == []
    assert known[DISTRIBUTION] == "stored"
    assert known["hidden_states"] == {1: "stored"}


def test_layers_that_are_missing_are_asked_for(live):
    known = recorded_teacher(CODEC, live)(
        BATCH, frozenset({"hidden_states/1", "hidden_states/3", "keys/0"})
    )
    assert live.asked == [{"hidden_states/3", "keys/0"}]
    assert known["hidden_states"] == {1: "stored", 3: "live"}
    assert known["keys"] == {0: "live"}
    assert known["logits"] == "stored"


def test_without_a_live_teacher_there_is_what_is_stored():
    known = recorded_teacher(CODEC)(BATCH, frozenset({"hidden_states/1"}))
    assert known == CODEC.decode(BATCH)
