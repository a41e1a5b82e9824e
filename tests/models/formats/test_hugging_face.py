import json

import numpy as np
import pytest
import safetensors.numpy
from model_folders import hugging_face_tensors, write_hugging_face

from tfdistill.models.formats import load_model

ALL = ("encoder", "pooler", "masked_lm", "next_sentence")


@pytest.fixture
def tensors(weights):
    return hugging_face_tensors(weights)


@pytest.fixture
def folder(tmp_path, tensors, settings, vocabulary):
    return write_hugging_face(tmp_path / "model", tensors, settings, vocabulary)


@pytest.fixture
def classifier(config, draw_parts):
    """Weights of a classifier of three classes."""
    return draw_parts(config, "encoder", "pooler", "classifier", num_classes=3)


def rewrite(folder, tensors):
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def assert_refused(folder, *parts_of_message, needs=()):
    with pytest.raises(ValueError) as caught:
        load_model(str(folder), needs=needs)
    for part in (str(folder), *parts_of_message):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["bert.", ""])
@pytest.mark.parametrize("old_norms", [False, True])
def test_reads_every_weight(folder, weights, prefix, old_norms, assert_holds):
    tensors = hugging_face_tensors(weights, prefix=prefix, old_norms=old_norms)
    rewrite(folder, tensors)
    loaded = load_model(str(folder), needs=ALL)
    assert_holds(loaded, weights)
    assert loaded.parts == set(ALL)


def test_conventions(folder, tensors, settings, vocabulary):
    config = load_model(str(folder)).model.config
    assert config.activation == config.head_activation == "gelu_tanh"
    assert config.dropout == 0.2
    write_hugging_face(
        folder,
        tensors,
        settings,
        vocabulary,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )
    config = load_model(str(folder)).model.config
    assert config.activation == config.head_activation == "gelu"
    assert config.layer_norm_epsilon == 1e-6
    assert config.head_layer_norm_epsilon == 1e-6


def test_copies_of_tied_weights_are_left_out(
    folder, tensors, weights, assert_holds
):
    words = tensors["bert.embeddings.word_embeddings.weight"]
    bias = tensors.pop("cls.predictions.bias")
    tensors["cls.predictions.decoder.weight"] = words
    tensors["cls.predictions.decoder.bias"] = bias
    tensors["bert.embeddings.position_ids"] = np.arange(16)[None]
    rewrite(folder, tensors)
    assert_holds(load_model(str(folder)), weights)


def test_classifier(folder, classifier, assert_holds):
    rewrite(folder, hugging_face_tensors(classifier))
    loaded = load_model(
        str(folder), heads=("classifier",), needs=("classifier",)
    )
    assert_holds(loaded, classifier)
    assert loaded.model.config.num_classes == 3
    assert load_model(str(folder)).parts == {"encoder", "pooler"}


def test_classifier_of_other_classes(folder, classifier, assert_holds):
    rewrite(folder, hugging_face_tensors(classifier))
    kept = {n: w for n, w in classifier.items() if n.startswith("bert/")}
    loaded = load_model(str(folder), heads=("classifier",), num_classes=2)
    assert_holds(loaded, kept)
    assert loaded.model.config.num_classes == 2
    with pytest.raises(ValueError, match="tells 3 classes apart, the task"):
        load_model(
            str(folder),
            heads=("classifier",),
            needs=("classifier",),
            num_classes=2,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, "id2label says 2 classes, the cl"),
        ({"num_labels": 2}, "num_labels says 2 classes, the classifier's"),
    ],
)
def test_labels_that_contradict_the_weights(
    folder, classifier, settings, vocabulary, change, message
):
    tensors = hugging_face_tensors(classifier)
    write_hugging_face(folder, tensors, settings, vocabulary, **change)
    assert_refused(folder, "config.json", message)


def test_labels_do_not_matter_without_a_classifier(
    folder, tensors, settings, vocabulary
):
    write_hugging_face(folder, tensors, settings, vocabulary, num_labels=7)
    assert load_model(str(folder)).parts == set(ALL)


def test_classifier_of_tokens_is_refused(folder, classifier):
    kept = {n: w for n, w in classifier.items() if "pooler" not in n}
    rewrite(folder, hugging_face_tensors(kept))
    assert load_model(str(folder)).parts == {"encoder"}
    with pytest.raises(ValueError, match="a classifier but no pooler, as of"):
        load_model(str(folder), heads=("classifier",))


@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_untied_output_is_refused(folder, tensors, kind):
    original = {
        "weight": "bert.embeddings.word_embeddings.weight",
        "bias": "cls.predictions.bias",
    }[kind]
    name = f"cls.predictions.decoder.{kind}"
    tensors[name] = tensors[original] + 1
    rewrite(folder, tensors)
    assert_refused(folder, "model.safetensors", name, "differs from")


def test_half_precision(folder, tensors, weights, assert_holds):
    halves = {n: t.astype(np.float16) for n, t in tensors.items()}
    rewrite(folder, halves)
    assert_holds(
        load_model(str(folder)),
        {
            n: w.astype(np.float16).astype(np.float32)
            for n, w in weights.items()
        },
    )


def test_several_files(folder, tensors, weights, assert_holds):
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shard_of = {n: f"model-{i % 2}.safetensors" for i, n in enumerate(names)}
    for shard in set(shard_of.values()):
        safetensors.numpy.save_file(
            {n: tensors[n] for n in names if shard_of[n] == shard},
            folder / shard,
        )
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shard_of}))
    assert_holds(load_model(str(folder)), weights)

    index.write_text(json.dumps({"weight_map": shard_of | {"x": "../y"}}))
    assert_refused(folder, "../y, which is elsewhere")
    lost = {"bert.lost": "model-1.safetensors"}
    index.write_text(json.dumps({"weight_map": shard_of | lost}))
    assert_refused(folder, "model-1.safetensors holds bert.lost")
    (folder / "model-1.safetensors").unlink()
    assert_refused(folder, "model-1.safetensors, which is not there")


def test_absent_parts(folder, tensors, caplog):
    bare = {n: t for n, t in tensors.items() if n.startswith("bert.e")}
    rewrite(folder, bare)
    with caplog.at_level("INFO", logger="absl"):
        loaded = load_model(str(folder))
    assert loaded.parts == {"encoder"}
    assert caplog.messages == [
        f"{folder} has no pooler, masked_lm, next_sentence: random weights "
        "are used there."
    ]
    assert_refused(
        folder, "has no masked_lm weights", needs=("encoder", "masked_lm")
    )


def test_vocabulary_of_tokenizer_json(folder, vocabulary):
    (folder / "vocab.txt").unlink()
    tokenizer = {
        "normalizer": {"type": "BertNormalizer", "lowercase": False},
        "model": {
            "type": "WordPiece",
            "vocab": {p: i for i, p in reversed([*enumerate(vocabulary)])},
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    loaded = load_model(str(folder))
    assert loaded.tokenizer.vocabulary == vocabulary
    assert not loaded.tokenizer.settings["do_lower_case"]

    tokenizer["model"]["vocab"]["w3"] = 999
    path.write_text(json.dumps(tokenizer))
    assert_refused(folder, "tokenizer.json: the ids of its 40 pieces are not")
    path.write_text('{"model": {"type": "Unigram", "vocab": {"a": 0}}}')
    assert_refused(folder, "tokenizer.json holds neither a WordPiece nor")


@pytest.mark.parametrize("rows", [40, 64, 167])
def test_padded_table(folder, tensors, settings, vocabulary, rows):
    name = "bert.embeddings.word_embeddings.weight"
    bare = {n: t for n, t in tensors.items() if n.startswith("bert.")}
    bare[name] = np.resize(bare[name], (rows, 12))
    write_hugging_face(folder, bare, settings, vocabulary, vocab_size=rows)
    loaded = load_model(str(folder))
    assert loaded.model.config.vocabulary_size == 40
    np.testing.assert_array_equal(
        loaded.model.encoder.word_embeddings.table, bare[name][:40]
    )
    bare[name] = np.resize(bare[name], (rows + 128, 12))
    write_hugging_face(
        folder, bare, settings, vocabulary, vocab_size=rows + 128
    )
    assert_refused(folder, f"of 40 pieces, but {rows + 128} rows")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "electra"},
            "model_type 'electra'. Known: bert, roberta, distilbert.",
        ),
        (
            {"position_embedding_type": "relative_key"},
            "unknown position_embedding_type 'relative_key'",
        ),
        ({"is_decoder": True}, "unknown is_decoder True"),
        ({"hidden_act": "silu"}, "unknown hidden_act 'silu'. Known: gelu,"),
        ({"hidden_size": None}, 'lacks the setting "hidden_size"'),
        ({"max_position_embeddings": 8}, "position_embeddings has shape"),
    ],
)
def test_wrong_configuration(
    folder, tensors, settings, vocabulary, change, message
):
    write_hugging_face(folder, tensors, settings, vocabulary, **change)
    assert_refused(folder, message)


def test_missing_weight(folder, tensors):
    del tensors["bert.encoder.layer.2.output.dense.bias"]
    rewrite(folder, tensors)
    assert_refused(folder, "bert/encoder/layer_2/output/dense/bias", "lacks")


@pytest.mark.parametrize(
    "name",
    [
        "qa_outputs.dense.weight",
        "bert.encoder.layer.0.output.dense.scale",
        "bert.embeddings.word_embeddings.bias",
    ],
)
def test_unexpected_tensor(folder, tensors, name):
    tensors[name] = np.zeros((2, 12), np.float32)
    rewrite(folder, tensors)
    assert_refused(folder, "model.safetensors", f"unexpected {name}")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.999])
def test_cut_file(folder, share):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(folder, "model.safetensors")


def test_pickles_are_not_opened(folder):
    path = folder / "model.safetensors"
    path.rename(folder / "pytorch_model.bin")
    assert_refused(folder, "pytorch_model.bin", "Convert it")
