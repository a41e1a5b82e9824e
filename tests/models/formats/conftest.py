import dataclasses

import numpy as np
import pytest
from model_folders import roberta_vocabulary

from tfdistill.models.weights import weight_shapes

MERGES = ["h e", "Ġ t", "Ġt he"]


@pytest.fixture
def settings():
    """The shape of the small model, as bert_config.json has it."""
    return {
        "vocab_size": 40,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "intermediate_size": 20,
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.2,
        "max_position_embeddings": 16,
        "type_vocab_size": 2,
        "initializer_range": 0.03,
    }


@pytest.fixture
def byte_pairs():
    """Pieces and merges of a small vocabulary laid out as RoBERTa's."""
    return roberta_vocabulary(MERGES), MERGES


@pytest.fixture
def draw_parts():
    """A function that draws the weights of parts, by canonical name."""

    def draw(config, *parts, **changes):
        rng = np.random.default_rng(7)
        config = dataclasses.replace(config, **changes)
        return {
            name: rng.normal(0, 0.3, shape).astype(np.float32)
            for name, shape in weight_shapes(config, parts).items()
        }

    return draw


@pytest.fixture
def assert_holds():
    """A function that compares a loaded model's weights with others."""
    from tfdistill.models.weights import named_weights

    def compare(loaded, weights):
        read = named_weights(loaded.model, loaded.parts)
        assert read.keys() == weights.keys()
        for name, array in weights.items():
            np.testing.assert_array_equal(read[name], array, err_msg=name)

    return compare


@pytest.fixture
def assert_refused():
    """A function that expects one line that names the folder."""
    from tfdistill.models.formats import load_model

    def refuse(folder, *parts_of_message, **arguments):
        with pytest.raises(ValueError) as caught:
            load_model(str(folder), **arguments)
        for part in (str(folder), *parts_of_message):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)

    return refuse
