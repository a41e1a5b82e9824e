import numpy as np
import pytest


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
def assert_holds():
    """A function that compares a loaded model's weights with others."""
    from tfdistill.models.weights import named_weights

    def compare(loaded, weights):
        read = named_weights(loaded.model, loaded.parts)
        assert read.keys() == weights.keys()
        for name, array in weights.items():
            np.testing.assert_array_equal(read[name], array, err_msg=name)

    return compare
