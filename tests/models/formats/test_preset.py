"""Presets, and our model against keras-nlp's on the same weights."""

import json
import shutil

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.outputs import FIELDS
from tfdistill.models.weights import PRETRAINING_PARTS as PARTS

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def saved_once(model, tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "preset"
    return save(model, tokenizer, path, PARTS)


@pytest.fixture
def preset(saved_once, tmp_path):
    """All parts of the small model, to be changed freely."""
    return shutil.copytree(saved_once, tmp_path / "preset")


def save(model, tokenizer, path, parts):
    save_preset(model, tokenizer, parts=parts, path=path)
    return path


def keras_features(features):
    return {
        "token_ids": features["input_ids"],
        "segment_ids": features["segment_ids"],
        "padding_mask": features["input_mask"],
    }


def assert_backbones_agree(model, backbone, features):
    ours = model(features, reads=frozenset({"hidden_states", "pooled"}))
    theirs = backbone(keras_features(features))
    is_real = features["input_mask"].numpy().astype(bool)
    np.testing.assert_allclose(
        ours["hidden_states"][model.config.num_layers].numpy()[is_real],
        theirs["sequence_output"].numpy()[is_real],
        atol=TOLERANCE,
    )
    np.testing.assert_allclose(
        ours["pooled"], theirs["pooled_output"], atol=TOLERANCE
    )


def assert_heads_agree(model, masked_lm, features):
    ours = model(features, reads=frozenset({"logits"}))
    theirs = masked_lm(
        {
            **keras_features(features),
            "mask_positions": features["masked_lm_positions"],
        }
    )
    np.testing.assert_allclose(ours["logits"], theirs, atol=TOLERANCE)


def test_keras_nlp_alone_loads_what_we_save(
    preset, model, features, vocabulary
):
    theirs = keras_hub.models.BertMaskedLM.from_preset(str(preset))
    assert_backbones_agree(model, theirs.backbone, features)
    assert_heads_agree(model, theirs, features)
    tokenizer = theirs.preprocessor.tokenizer
    assert tuple(tokenizer.get_vocabulary()) == vocabulary
    np.testing.assert_array_equal(tokenizer("W3 ẃ4"), [8, 9])
    assert theirs.preprocessor.sequence_length == 16


def test_round_trip(preset, weights, config, tokenizer, assert_holds):
    loaded = load_model(str(preset), needs=PARTS)
    assert_holds(loaded, weights)
    assert loaded.model.config == config
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize(
    "parts", [("encoder",), ("encoder", "pooler"), ("encoder", "masked_lm")]
)
def test_some_parts(model, tokenizer, tmp_path, parts, features):
    path = save(model, tokenizer, tmp_path / "preset", parts)
    loaded = load_model(str(path))
    assert loaded.parts == set(parts)
    backbone = keras_hub.models.BertBackbone.from_preset(str(path))
    if "pooler" in parts:
        assert_backbones_agree(model, backbone, features)
    absent = next(part for part in PARTS if part not in parts)
    with pytest.raises(ValueError, match=f"has no {absent} weights"):
        load_model(str(path), needs=(absent,))


@pytest.fixture
def keras_made(tmp_path, vocabulary):
    """A preset of keras-nlp's own, with weights that all matter."""
    model = keras_hub.models.BertMaskedLM(
        keras_hub.models.BertBackbone(
            vocabulary_size=40,
            num_layers=2,
            num_heads=2,
            hidden_dim=8,
            intermediate_dim=20,
            max_sequence_length=16,
            num_segments=3,
        ),
        keras_hub.models.BertMaskedLMPreprocessor(
            keras_hub.models.BertTokenizer(vocabulary, lowercase=False)
        ),
    )
    draw = np.random.default_rng(8)
    for variable in model.weights:
        variable.assign(draw.normal(0, 0.3, variable.shape))
    model.save_to_preset(str(tmp_path / "keras"))
    return tmp_path / "keras", model


def test_we_load_what_keras_nlp_saved(keras_made, features, vocabulary):
    path, theirs = keras_made
    loaded = load_model(str(path), needs=("encoder", "pooler", "masked_lm"))
    assert_backbones_agree(loaded.model, theirs.backbone, features)
    assert_heads_agree(loaded.model, theirs, features)
    assert loaded.tokenizer.vocabulary == vocabulary
    assert not loaded.tokenizer.settings["do_lower_case"]
    assert loaded.model.config.num_segments == 3


def test_taps_equal_keras_nlp_layers(keras_made, features):
    path, theirs = keras_made
    model = load_model(str(path)).model
    ours = model(features, reads=frozenset(FIELDS))
    backbone = theirs.backbone
    states = keras.Model(
        backbone.inputs,
        [
            layer.output
            for layer in (
                backbone.embeddings_dropout,
                *backbone.transformer_layers,
            )
        ],
    )(keras_features(features))
    mask = features["input_mask"].numpy().astype(bool)
    for mine, other in zip(ours["hidden_states"].values(), states, strict=True):
        np.testing.assert_allclose(
            mine.numpy()[mask], other.numpy()[mask], atol=TOLERANCE
        )
    key_mask = tf.constant(mask)[:, None, None, :]
    for i, layer in enumerate(backbone.transformer_layers):
        attention = layer._self_attention_layer
        projections = {
            "queries": attention.query_dense,
            "keys": attention.key_dense,
            "values": attention.value_dense,
        }
        for name, dense in projections.items():
            theirs_here = tf.transpose(dense(states[i]), [0, 2, 1, 3])
            np.testing.assert_allclose(
                tf.transpose(ours[name][i], [0, 2, 1, 3])[mask],
                tf.transpose(theirs_here, [0, 2, 1, 3])[mask],
                atol=TOLERANCE,
            )
        _, probs = layer(
            states[i], padding_mask=mask, return_attention_scores=True
        )
        scores = ours["attention_scores"][i]
        ours_probs = tf.nn.softmax(tf.where(key_mask, scores, -np.inf))
        np.testing.assert_allclose(
            tf.transpose(ours_probs, [0, 2, 1, 3])[mask],
            tf.transpose(probs, [0, 2, 1, 3])[mask],
            atol=TOLERANCE,
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "gelu"),
        ("layer_norm_epsilon", 1e-6),
        ("head_activation", "gelu_tanh"),
        ("head_layer_norm_epsilon", 1e-12),
    ],
)
def test_other_conventions_are_refused(
    config, tokenizer, tmp_path, field, value
):
    model = Bert(BertConfig(**{**vars(config), field: value}))
    with pytest.raises(ValueError, match=f"{field}=.*; this model has {value}"):
        save(model, tokenizer, tmp_path / "preset", PARTS)
    assert not (tmp_path / "preset").exists()
    if field.startswith("head_"):
        save(model, tokenizer, tmp_path / "preset", ("encoder",))


def test_older_preset_is_replaced_and_nothing_else(
    preset, config, tokenizer, features
):
    other = Bert(config, seed=4)
    save(other, tokenizer, preset, ("encoder", "pooler"))
    loaded = load_model(str(preset))
    assert loaded.parts == {"encoder", "pooler"}
    assert_backbones_agree(loaded.model, other_backbone(preset), features)
    shutil.rmtree(preset)
    preset.mkdir()
    (preset / "notes.txt").touch()
    with pytest.raises(ValueError, match="is no keras-nlp preset"):
        save(other, tokenizer, preset, PARTS)


def other_backbone(path):
    return keras_hub.models.BertBackbone.from_preset(str(path))


def assert_refused(folder, *parts_of_message):
    with pytest.raises(ValueError) as caught:
        load_model(str(folder), needs=("encoder", "masked_lm"))
    for part in (str(folder), *parts_of_message):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["model.weights.h5", "task.weights.h5", "config.json"]
)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_cut_file(preset, name, share):
    path = preset / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(preset)


@pytest.mark.parametrize(
    "name",
    [
        "model.weights.h5",
        "task.weights.h5",
        "tokenizer.json",
        "assets/tokenizer/vocabulary.txt",
    ],
)
def test_absent_file(preset, name):
    (preset / name).unlink()
    assert_refused(preset)


def test_configuration_of_another_size(preset):
    for name in ("config.json", "task.json"):
        text = (preset / name).read_text()
        text = text.replace('"intermediate_dim": 20', '"intermediate_dim": 24')
        (preset / name).write_text(text)
    assert_refused(preset, "cannot be read as a keras-nlp preset")


def test_other_backbone_is_refused(preset):
    settings = json.loads((preset / "config.json").read_text())
    settings["class_name"] = "ElectraBackbone"
    (preset / "config.json").write_text(json.dumps(settings))
    assert_refused(
        preset,
        "'ElectraBackbone'. Known: BertBackbone, RobertaBackbone, DistilBert",
    )
