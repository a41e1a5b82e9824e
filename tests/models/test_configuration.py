import pytest

from tfdistill.models.configuration import BertConfig


@pytest.mark.parametrize(
    ("hidden_dim", "num_heads"), [(768, 12), (128, 2), (312, 12)]
)
def test_zero_picks_heads_and_width(hidden_dim, num_heads):
    config = BertConfig(hidden_dim=hidden_dim)
    assert config.num_heads == num_heads
    assert config.intermediate_dim == 4 * hidden_dim
    assert config.head_dim == hidden_dim // num_heads


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_layers", 0, "num_layers=0 is not positive"),
        ("num_heads", -1, "num_heads=-1 is not positive"),
        ("hidden_dim", "768", "hidden_dim='768' of a BERT model is not of"),
        ("num_layers", True, "num_layers=True of a BERT model is not of"),
        ("num_heads", 7, "hidden_dim=768 is no multiple of num_heads=7"),
        ("dropout", 1, "dropout=1.0 is not in"),
        ("dropout", float("nan"), "dropout=nan is not in"),
        ("layer_norm_epsilon", -1e-5, "layer_norm_epsilon=-1e-05 is not in"),
        ("activation", "swish", "Unknown activation 'swish'. Known: gelu"),
    ],
)
def test_wrong_values_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        BertConfig(**{field: value})
