import json

import numpy as np
import pytest

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import PRETRAINING_PARTS as PARTS
from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.word_pieces import WordPiece


def assert_refused(folder, *parts_of_message):
    with pytest.raises(ValueError) as caught:
        load_model(str(folder))
    for part in (str(folder), *parts_of_message):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_round_trip(saved, weights, config, tokenizer, assert_holds):
    loaded = load_model(str(saved), needs=PARTS)
    assert_holds(loaded, weights)
    assert loaded.model.config == config
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    assert loaded.parts == set(PARTS)


def test_any_conventions(tmp_path, vocabulary, config):
    tokenizer = WordPiece(vocabulary, do_lower_case=False)
    odd = BertConfig(
        **{**vars(config), "activation": "relu", "layer_norm_epsilon": 0.1}
    )
    model = Bert(odd)
    save_model(model, tokenizer, parts=("encoder",), path=tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.model.config == odd
    assert loaded.parts == {"encoder"}
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint


def test_folders_that_do_not_say_their_kind(saved, weights, assert_holds):
    path = saved / "model.json"
    settings = json.loads(path.read_text())
    assert settings.pop("kind") == "bert"
    path.write_text(json.dumps(settings))
    assert_holds(load_model(str(saved), needs=PARTS), weights)


def test_names_of_classes(tmp_path, vocabulary, config):
    model = Bert(config, heads=("classifier",))
    assert config.num_classes == 2
    tokenizer = WordPiece(vocabulary, do_lower_case=True)
    save_model(
        model, tokenizer, parts=model.parts, path=tmp_path, labels=("no", "ja")
    )

    def load(**more):
        return load_model(str(tmp_path), heads=("classifier",), **more)

    assert load().labels == ("no", "ja")
    # They are not those of another head.
    assert load(num_classes=3).labels == ()
    assert load_model(str(tmp_path)).labels == ()
    path = tmp_path / "model.json"
    settings = json.loads(path.read_text())
    for labels, message in (
        (["no"], "names 1 classes of 2"),
        ({"no": 0, "ja": 1}, "are no list of names"),
        ([0, 1], "are no list of names"),
    ):
        path.write_text(json.dumps(settings | {"labels": labels}))
        assert_refused(tmp_path, message)
    # As it was written before there were names.
    del settings["labels"]
    path.write_text(json.dumps(settings))
    assert load().labels == ()


@pytest.fixture
def of_bytes(byte_pairs):
    pieces, merges = byte_pairs
    merges = parse_merges(merges, "the test")
    return BytePair(pieces, merges, add_prefix_space=True)


@pytest.fixture
def saved_with_merges(of_bytes, tmp_path):
    config = BertConfig(
        vocabulary_size=len(of_bytes.vocabulary),
        num_layers=1,
        hidden_dim=4,
        num_heads=1,
        num_segments=1,
        num_classes=5,
    )
    model = Bert(config, heads=("classifier",))
    save_model(model, of_bytes, parts=model.parts, path=tmp_path / "m")
    return tmp_path / "m"


def test_byte_pairs_and_classes(saved_with_merges, of_bytes):
    loaded = load_model(
        str(saved_with_merges), heads=("classifier",), needs=("classifier",)
    )
    assert loaded.tokenizer.fingerprint == of_bytes.fingerprint
    assert loaded.tokenizer.settings == {"add_prefix_space": True}
    assert loaded.model.config.num_classes == 5
    assert sorted(p.name for p in saved_with_merges.iterdir()) == [
        "merges.txt",
        "model.json",
        "model.safetensors",
        "vocab.json",
    ]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("vocab.json", '"!"', '"more"'), ("merges.txt", "h e\n", "")],
)
def test_other_byte_pairs(saved_with_merges, name, old, new):
    path = saved_with_merges / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert_refused(
        saved_with_merges, "/vocab.json or merges.txt is not the file that"
    )


def test_other_files_of_the_folder_stay(saved, model, tokenizer):
    (saved / "config.json").write_text('{"a": "run"}')
    (saved / "checkpoints").mkdir()
    save_model(model, tokenizer, parts=PARTS, path=saved)
    assert load_model(str(saved)).parts == set(PARTS)
    assert sorted(p.name for p in saved.iterdir()) == [
        "checkpoints",
        "config.json",
        "model.json",
        "model.safetensors",
        "vocab.txt",
    ]


def test_unfinished_run(saved):
    (saved / "model.json").unlink()
    (saved / "checkpoints").mkdir()
    assert_refused(saved, "is a run that has not finished")


def change(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": 2}, "version 2; expected 'tfdistill model', 1"),
        ({"config": {"layers": 3}}, "layers"),
        ({"config": 5}, "mapping"),
        ({"parts": ["heads"]}, "unknown parts ['heads']. Known: encoder,"),
        ({"parts": 3}, "unknown parts 3"),
        ({"parts": ["encoder", "pooler"]}, "holds the weight cls/"),
        ({"vocabulary_sha256": "0"}, "vocab.txt is not the file"),
    ],
)
def test_wrong_settings(saved, settings, message):
    change(saved / "model.json", **settings)
    assert_refused(saved, message)


def test_weights_of_another_size(saved, config):
    fields = vars(config) | {"num_layers": 2}
    change(saved / "model.json", config=fields)
    assert_refused(saved, "model.safetensors holds the weight bert/encoder/")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_cut_file(saved, name, share):
    path = saved / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(saved, name)


def test_flipped_byte(saved):
    path = saved / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert_refused(saved, "model.safetensors", "does not match its check sum")


@pytest.mark.parametrize("name", ["vocab.txt", "model.safetensors"])
def test_absent_file(saved, name):
    (saved / name).unlink()
    assert_refused(saved, name)


def test_interrupted_saving_leaves_no_model(
    saved, model, tokenizer, monkeypatch
):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(
        "tfdistill.models.formats.run_directory.save_tensors", fail
    )
    with pytest.raises(OSError, match="disk full"):
        save_model(model, tokenizer, parts=PARTS, path=saved)
    assert_refused(saved, "no model folder")


def test_random_parts_depend_on_the_seed(tmp_path, model, tokenizer):
    save_model(model, tokenizer, parts=("encoder",), path=tmp_path)
    first, same, other = (
        np.asarray(load_model(str(tmp_path), seed=s).model.pooler.kernel)
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
