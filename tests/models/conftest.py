"""A small BERT whose every weight matters, and a batch for it."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import assign_weights, weight_shapes
from tfdistill.text.word_pieces import WordPiece

# Two devices for the tests of replicas.

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="session")
def config():
    """Three heads, so that no two widths are equal."""
    return BertConfig(
        vocabulary_size=40,
        num_layers=3,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_sequence_length=16,
    )


@pytest.fixture(scope="session")
def vocabulary():
    return tuple(SPECIAL + [f"w{i}" for i in range(35)])


@pytest.fixture(scope="session")
def tokenizer(vocabulary):
    return WordPiece(vocabulary, do_lower_case=True)


def draw_weights(config):
    draw = np.random.default_rng(5)
    return {
        name: draw.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in weight_shapes(config).items()
    }


@pytest.fixture
def weights(config):
    """The weights of `model`, to be changed freely."""
    return draw_weights(config)


@pytest.fixture(scope="session")
def model(config):
    """Made once; not to be changed."""
    model = Bert(config)
    assign_weights(model, draw_weights(config), source="the test")
    return model


@pytest.fixture
def features():
    """Three examples of 11, 7 and 4 tokens, padded to 11."""
    draw = np.random.default_rng(6)
    mask = (np.arange(11) < [[11], [7], [4]]).astype(np.int32)
    return {
        "input_ids": tf.constant(
            draw.integers(1, 40, (3, 11), np.int32) * mask
        ),
        "input_mask": tf.constant(mask),
        "segment_ids": tf.constant((np.arange(11) > [[5], [3], [2]]) * mask),
        "masked_lm_positions": tf.constant([[10, 1], [6, 6], [3, 0]]),
    }


@pytest.fixture
def saved(model, tokenizer, tmp_path):
    """A folder of our own format."""
    path = tmp_path / "run"
    save_model(
        model,
        tokenizer,
        parts=("encoder", "pooler", "masked_lm", "next_sentence"),
        path=path,
    )
    return path
