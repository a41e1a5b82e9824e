"""Presets of every family and head, and keras-nlp's models beside ours."""

import dataclasses
import json

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.families import BERT, DISTILBERT, FAMILIES, ROBERTA
from tfdistill.models.formats import load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.weights import assign_weights, named_weights
from tfdistill.text.byte_pairs import BytePair, parse_merges

TOLERANCE = 1e-5
HEADS = {
    "Backbone": (),
    "MaskedLM": ("masked_lm",),
    "TextClassifier": ("classifier",),
}
SEGMENTS = "bert/embeddings/token_type_embeddings"
SHAPE = {
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 16,
}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request):
    return request.param


@pytest.fixture(params=HEADS)
def kind(request):
    return request.param


@pytest.fixture
def tokenizer_of(tokenizer, byte_pairs):
    """A function that gives a family's tokenizer."""
    pieces, merges = byte_pairs
    of_bytes = BytePair(pieces, parse_merges(merges, "the test"))
    return lambda family: of_bytes if family is ROBERTA else tokenizer


def keras_class(family, kind):
    return getattr(keras_hub.models, f"{family.name}{kind}")


def keras_tokenizer(family, tokenizer):
    if family is ROBERTA:
        return keras_hub.models.RobertaTokenizer(
            {piece: i for i, piece in enumerate(tokenizer.vocabulary)},
            [" ".join(merge) for merge in tokenizer.merges],
        )
    return keras_class(family, "Tokenizer")(
        list(tokenizer.vocabulary), lowercase=True, strip_accents=True
    )


def keras_model(family, kind, tokenizer, **of_head):
    """A model of keras-nlp with random weights that all matter."""
    text = keras_tokenizer(family, tokenizer)
    model = keras_class(family, "Backbone")(
        vocabulary_size=len(tokenizer.vocabulary), **SHAPE
    )
    if kind == "Backbone":
        model.tokenizer_of_the_test = text
    else:
        if kind == "TextClassifier":
            of_head = {"num_classes": 3, **of_head}
        preprocessor = keras_class(family, f"{kind}Preprocessor")(text)
        model = keras_class(family, kind)(
            model, preprocessor=preprocessor, **of_head
        )
    draw = np.random.default_rng(8)
    for variable in model.weights:
        variable.assign(draw.normal(0, 0.3, variable.shape))
    return model


def save_keras(model, path):
    if hasattr(model, "tokenizer_of_the_test"):
        model.tokenizer_of_the_test.save_to_preset(str(path))
    model.save_to_preset(str(path))
    return path


def our_model(family, kind, tokenizer, **changes):
    """A model of ours that a preset can hold, with weights that matter."""
    fields = SHAPE | family.conventions | changes
    config = BertConfig(
        vocabulary_size=len(tokenizer.vocabulary),
        num_segments=2 if family.has_segments else 1,
        num_classes=3 if kind == "TextClassifier" else 2,
        **fields,
    )
    made = Bert(config, heads=HEADS[kind])
    draw = np.random.default_rng(9)
    weights = {
        name: draw.normal(0, 0.3, array.shape).astype(np.float32)
        for name, array in named_weights(made).items()
    }
    assign_weights(made, weights, source="the test")
    return made


def assert_agree(ours, theirs, features, kind):
    """Both give the same to `TOLERANCE`."""
    reads = {"hidden_states"} if kind == "Backbone" else {"logits"}
    given = {
        "token_ids": features["input_ids"],
        "padding_mask": features["input_mask"],
        "segment_ids": features["segment_ids"],
        "mask_positions": features["masked_lm_positions"],
    }
    found = ours(features, reads=frozenset(reads))
    expected = theirs({name: given[name] for name in theirs.input})
    if kind != "Backbone":
        assert np.ptp(found["logits"]) > 0.1
        np.testing.assert_allclose(found["logits"], expected, atol=TOLERANCE)
        return
    if isinstance(expected, dict):
        expected = expected["sequence_output"]
    real = features["input_mask"].numpy().astype(bool)
    states = found["hidden_states"][ours.config.num_layers]
    np.testing.assert_allclose(
        states.numpy()[real], expected.numpy()[real], atol=TOLERANCE
    )


def test_we_load_what_keras_nlp_saved(
    family, kind, tokenizer_of, features, tmp_path
):
    tokenizer = tokenizer_of(family)
    theirs = keras_model(family, kind, tokenizer)
    path = save_keras(theirs, tmp_path / "preset")
    needs = HEADS[kind]
    ours = load_model(str(path), heads=needs, needs=needs)
    assert_agree(ours.model, theirs, features, kind)
    config = ours.model.config
    assert family.conventions.items() <= vars(config).items()
    assert config.num_segments == (2 if family.has_segments else 1)
    assert ours.tokenizer.fingerprint == tokenizer.fingerprint
    if kind == "TextClassifier":
        assert config.num_classes == 3


def test_keras_nlp_alone_loads_what_we_save(
    family, kind, tokenizer_of, features, tmp_path
):
    tokenizer = tokenizer_of(family)
    ours = our_model(family, kind, tokenizer)
    path = tmp_path / "preset"
    save_preset(ours, tokenizer, parts=ours.parts, path=path)
    theirs = keras_class(family, kind).from_preset(str(path))
    assert_agree(ours, theirs, features, kind)
    text = keras_class(family, "Tokenizer").from_preset(str(path))
    if family is ROBERTA:
        assert dict(text.vocabulary) == {
            piece: i for i, piece in enumerate(tokenizer.vocabulary)
        }
        line = " the he"
    else:
        assert tuple(text.get_vocabulary()) == tokenizer.vocabulary
        line = "W3 w4"
    assert list(text(line)) == tokenizer.tokenize([line])[0]
    if kind == "TextClassifier":
        assert theirs.num_classes == 3

    again = load_model(str(path), heads=HEADS[kind], needs=ours.parts)
    assert again.parts == ours.parts
    assert again.model.config == ours.config
    assert again.tokenizer.fingerprint == tokenizer.fingerprint
    assert_agree(again.model, theirs, features, kind)


def test_what_keras_nlp_has_no_place_for(tokenizer_of, tmp_path):
    """RoBERTa has a pooler in its classifier only, and no next sentence."""
    tokenizer = tokenizer_of(ROBERTA)
    model = Bert(our_model(ROBERTA, "Backbone", tokenizer).config)
    path = tmp_path / "preset"
    save_preset(model, tokenizer, parts=model.parts, path=path)
    read = load_model(str(path))
    assert read.parts == model.parts
    theirs = named_weights(read.model)
    for name, array in named_weights(model).items():
        if "embeddings" not in name:
            np.testing.assert_array_equal(theirs[name], array, err_msg=name)
    keras_class(ROBERTA, "MaskedLM").from_preset(str(path))
    save_preset(model, tokenizer, parts=("encoder",), path=path)
    assert load_model(str(path)).parts == {"encoder"}


def test_a_segment_that_adds_nothing_is_kept_exactly(
    tokenizer_of, tmp_path, assert_holds
):
    tokenizer = tokenizer_of(ROBERTA)
    ours = our_model(ROBERTA, "MaskedLM", tokenizer)
    weights = named_weights(ours)
    weights[SEGMENTS] = np.zeros_like(weights[SEGMENTS])
    assign_weights(ours, weights, source="the test")
    save_preset(ours, tokenizer, parts=ours.parts, path=tmp_path / "preset")
    assert_holds(load_model(str(tmp_path / "preset")), weights)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        (BERT, {"pooler_activation": "gelu"}, "of Bert has pooler_activation="),
        (ROBERTA, {"num_segments": 2}, "of Roberta has num_segments=1; this"),
        (ROBERTA, {"layer_norm_epsilon": 1e-12}, "layer_norm_epsilon=1e-05"),
        (ROBERTA, {"activation": "gelu_tanh"}, "has activation=gelu; this"),
        (DISTILBERT, {"num_segments": 2}, "of DistilBert has num_segments=1"),
        (DISTILBERT, {"head_layer_norm_epsilon": 1e-12}, ""),
    ],
)
def test_conventions_that_no_preset_has(
    tokenizer_of, tmp_path, family, change, message
):
    tokenizer = tokenizer_of(family)
    model = our_model(family, "TextClassifier", tokenizer)
    config = dataclasses.replace(model.config, **change)
    model = Bert(config, heads=("classifier",))
    path = tmp_path / "preset"
    if message:
        with pytest.raises(ValueError, match=message):
            save_preset(model, tokenizer, parts=model.parts, path=path)
    else:
        # It is of the head that this model does not have.
        save_preset(model, tokenizer, parts=model.parts, path=path)
    assert path.exists() == (not message)


@pytest.mark.parametrize(
    ("of_head", "message"),
    [
        ({"activation": "sigmoid"}, "unknown activation 'sigmoid' of a cl"),
        ({"hidden_dim": 8}, "hidden_dim=8 has to be that of the encoder, 12"),
    ],
)
def test_other_classifiers_are_refused(
    tokenizer_of, tmp_path, of_head, message
):
    theirs = keras_model(
        ROBERTA, "TextClassifier", tokenizer_of(ROBERTA), **of_head
    )
    path = save_keras(theirs, tmp_path / "preset")
    with pytest.raises(ValueError, match=message) as caught:
        load_model(str(path))
    assert str(path / "task.json") in str(caught.value)


def test_probabilities_of_classes_have_the_same_logits(
    tokenizer_of, features, tmp_path
):
    theirs = keras_model(
        BERT, "TextClassifier", tokenizer_of(BERT), activation="softmax"
    )
    path = save_keras(theirs, tmp_path / "preset")
    ours = load_model(str(path), heads=("classifier",)).model
    logits = ours(features, reads=frozenset({"logits"}))["logits"]
    expected = theirs(
        {
            "token_ids": features["input_ids"],
            "padding_mask": features["input_mask"],
            "segment_ids": features["segment_ids"],
        }
    )
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, atol=TOLERANCE)


def test_dropout_of_the_classifier_is_warned_of(tokenizer_of, tmp_path, caplog):
    theirs = keras_model(
        DISTILBERT, "TextClassifier", tokenizer_of(DISTILBERT), dropout=0.2
    )
    path = save_keras(theirs, tmp_path / "preset")
    with caplog.at_level("WARNING", logger="absl"):
        loaded = load_model(str(path), heads=("classifier",))
    assert loaded.model.config.dropout == 0.1
    assert caplog.messages == [
        f"{path / 'task.json'} has dropout 0.2 in its classifier and 0.1 "
        "elsewhere; 0.1 is used."
    ]


def test_dropout_is_that_of_the_model(tokenizer_of, tmp_path):
    ours = our_model(BERT, "TextClassifier", tokenizer_of(BERT), dropout=0.25)
    path = tmp_path / "preset"
    save_preset(ours, tokenizer_of(BERT), parts=ours.parts, path=path)
    settings = json.loads((path / "task.json").read_text())
    assert settings["config"]["dropout"] == 0.25
    assert load_model(str(path)).model.config.dropout == 0.25
