import json

import numpy as np
import pytest
from model_folders import write_google, write_vocabulary

from tfdistill.models.formats import load_model

ALL = ("encoder", "pooler", "masked_lm", "next_sentence")


@pytest.fixture
def folder(tmp_path, weights, settings, vocabulary):
    slots = {
        "bert/pooler/dense/bias/adam_m": np.ones(12, np.float32),
        "bert/pooler/dense/bias/adam_v": np.ones(12, np.float32),
        "global_step": np.int64(1000),
    }
    return write_google(
        tmp_path / "uncased_L-3_H-12_A-3",
        weights | slots,
        settings,
        vocabulary,
        hidden_act="gelu",
        directionality="bidi",
    )


def test_reads_every_weight(folder, weights, vocabulary, assert_holds):
    loaded = load_model(str(folder), needs=ALL)
    assert_holds(loaded, weights)
    assert loaded.parts == set(ALL)
    assert loaded.tokenizer.vocabulary == vocabulary
    config = loaded.model.config
    assert config.activation == config.head_activation == "gelu_tanh"
    assert config.layer_norm_epsilon == 1e-12
    assert config.head_layer_norm_epsilon == 1e-12
    assert (config.dropout, config.initializer_range) == (0.2, 0.03)
    assert (config.num_heads, config.max_sequence_length) == (3, 16)


def test_segment_types_default_to_sixteen(
    tmp_path, weights, settings, vocabulary
):
    name = "bert/embeddings/token_type_embeddings"
    weights[name] = np.zeros((16, 12), np.float32)
    folder = write_google(
        tmp_path / "m", weights, settings, vocabulary, type_vocab_size=None
    )
    assert load_model(str(folder)).model.config.num_segments == 16


def is_uncased(folder):
    return load_model(str(folder)).tokenizer.settings["do_lower_case"]


@pytest.mark.parametrize(
    ("name", "do_lower_case"),
    [("uncased_L-2", True), ("cased_L-2", False), ("model", True)],
)
def test_casing(folder, name, do_lower_case):
    folder = folder.rename(folder.with_name(name))
    assert is_uncased(folder) == do_lower_case


def test_capitals_tell_a_cased_vocabulary(folder):
    text = (folder / "vocab.txt").read_text().replace("w7", "W7")
    (folder / "vocab.txt").write_text(text)
    folder = folder.rename(folder.with_name("model"))
    assert not is_uncased(folder)


def test_tokenizer_settings_outweigh_the_name(folder):
    path = folder / "tokenizer_config.json"
    path.write_text('{"do_lower_case": false}')
    assert not is_uncased(folder)


def assert_refused(folder, *parts_of_message):
    with pytest.raises(ValueError) as caught:
        load_model(str(folder))
    for part in (str(folder), *parts_of_message):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": None}, 'lacks the setting "num_attention'),
        ({"hidden_act": "swish"}, "unknown hidden_act 'swish'. Known: gelu"),
        ({"hidden_size": "12"}, "hidden_dim='12' of a BERT model"),
        ({"num_attention_heads": 5}, "no multiple of num_heads=5"),
        ({"num_hidden_layers": 2}, "holds the weight bert/encoder/layer_2/"),
        ({"num_hidden_layers": 4}, "lacks the weight bert/encoder/layer_3/"),
        (
            {"intermediate_size": 24},
            "bert/encoder/layer_0/intermediate/dense/kernel has shape "
            "(12, 20), expected (12, 24)",
        ),
        ({"vocab_size": 39}, "word_embeddings has shape (40, 12), expected"),
    ],
)
def test_wrong_configuration(folder, change, message):
    path = folder / "bert_config.json"
    settings = json.loads(path.read_text()) | change
    settings = {k: v for k, v in settings.items() if v is not None}
    path.write_text(json.dumps(settings))
    assert_refused(folder, message)


def test_missing_weight(tmp_path, weights, settings, vocabulary):
    name = "bert/encoder/layer_1/attention/self/key/bias"
    del weights[name]
    folder = write_google(tmp_path / "m", weights, settings, vocabulary)
    assert_refused(folder, "bert_model.ckpt", name, "(12,)")


@pytest.mark.parametrize("name", ["classifier/kernel", "cls/squad/bias"])
def test_unexpected_variable(tmp_path, weights, settings, vocabulary, name):
    weights[name] = np.zeros((2, 12), np.float32)
    folder = write_google(tmp_path / "m", weights, settings, vocabulary)
    assert_refused(folder, f"holds the unexpected {name}")


def test_classifier(tmp_path, weights, settings, vocabulary, assert_holds):
    draw = np.random.default_rng(9)
    kernel = draw.normal(size=(12, 3)).astype(np.float32)
    bias = draw.normal(size=3).astype(np.float32)
    encoder = {n: w for n, w in weights.items() if n.startswith("bert/")}
    slots = {
        "output_weights/adam_m": np.ones((3, 12), np.float32),
        "output_bias/adam_v": np.ones(3, np.float32),
    }
    head = {"output_weights": kernel.T, "output_bias": bias}
    folder = write_google(
        tmp_path / "m", encoder | head | slots, settings, vocabulary
    )
    loaded = load_model(
        str(folder), heads=("classifier",), needs=("classifier",)
    )
    assert loaded.model.config.num_classes == 3
    head = {"classifier/kernel": kernel, "classifier/bias": bias}
    assert_holds(loaded, encoder | head)

    folder = write_google(
        tmp_path / "n",
        encoder | {"output_weights": kernel.T},
        settings,
        vocabulary,
    )
    assert_refused(folder, "lacks the weight classifier/bias")


def test_absent_files(folder, vocabulary):
    (folder / "vocab.txt").unlink()
    assert_refused(folder, "looked for vocab.txt, vocab.json and tok")
    index = folder / "bert_model.ckpt.index"
    write_vocabulary(folder, vocabulary)
    index.rename(folder / "model.ckpt-100.index")
    assert_refused(folder, "bert_model.ckpt.index")


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_cut_checkpoint(folder, suffix, share):
    path = folder / f"bert_model.ckpt.{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(folder, "bert_model.ckpt", "cannot be read")


def test_flipped_byte(folder):
    path = folder / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_refused(folder, "bert_model.ckpt", "cannot be read")
