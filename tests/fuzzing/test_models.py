"""Model folders of every format that were harmed."""

import base64
import json
import marshal
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
from hostile import cases, harmed, hostile_reading, retyped
from model_folders import hugging_face_tensors, write_google, write_hugging_face

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import load_model, read_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import named_weights
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

PIECES = [*SPECIAL_PIECES, "the", "##s", "a"]
SETTINGS = {
    "vocab_size": len(PIECES),
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 6,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
WORDS = (b'"model_type"', b'"vocab_size": 9', b"[PAD]", b"1e99", b'"bert"')


@pytest.fixture(scope="module")
def model():
    config = BertConfig(
        vocabulary_size=len(PIECES),
        hidden_dim=4,
        num_layers=1,
        num_heads=2,
        intermediate_dim=6,
        max_sequence_length=16,
    )
    return Bert(config)


@pytest.fixture(scope="module")
def good(model, tmp_path_factory):
    """A folder of each format."""
    folder = tmp_path_factory.mktemp("models")
    weights = named_weights(model, model.parts)
    write_google(folder / "google", weights, SETTINGS, PIECES)
    write_hugging_face(
        folder / "hugging_face", hugging_face_tensors(weights), SETTINGS, PIECES
    )
    pieces = WordPiece(PIECES, do_lower_case=True)
    save_model(model, pieces, parts=model.parts, path=folder / "run")
    save_preset(model, pieces, parts=model.parts, path=folder / "preset")
    return folder


def harm(path, draw):
    """Harm a file; of JSON also the types of what is in it."""
    data = path.read_bytes()
    if path.suffix == ".json" and draw.random() < 0.5:
        path.write_text(json.dumps(retyped(json.loads(data), draw)))
    else:
        path.write_bytes(harmed(data, draw, WORDS))


def check(contents):
    """What was read fits together: shapes, types and the vocabulary."""
    config = contents.config
    table = contents.weights["bert/embeddings/word_embeddings"]
    assert table.shape == (config.vocabulary_size, config.hidden_dim)
    assert len(contents.tokenizer.vocabulary) == len(table)
    for value in contents.tokenizer.settings.values():
        assert isinstance(value, bool)
    assert all(x.dtype == np.float32 for x in contents.weights.values())


@pytest.mark.parametrize(
    ("name", "number"),
    [("run", 2000), ("hugging_face", 2000), ("google", 2000)],
)
def test_harmed_folders(good, tmp_path, name, number):
    folder = pathlib.Path(shutil.copytree(good / name, tmp_path / name))
    files = [p for p in sorted(folder.iterdir()) if p.name != "checkpoint"]
    whole = {path: path.read_bytes() for path in files}
    right = read_model(folder)
    with hostile_reading() as found:
        for case, draw in enumerate(cases(name, number)):
            path = draw.choice(files)
            harm(path, draw)
            contents = found.of(folder, read_model, folder)
            if contents is not None:
                check(contents)
                if name == "run":
                    # Check sums cover all that it is made of.
                    for key, array in right.weights.items():
                        np.testing.assert_array_equal(
                            contents.weights[key], array
                        )
                if case % 40 == 0:
                    assert found.of(folder, load_model, str(folder))
            path.write_bytes(whole[path])
    assert found.read > 20 and found.refused > number // 3


def test_harmed_presets(good, tmp_path):
    folder = pathlib.Path(shutil.copytree(good / "preset", tmp_path / "preset"))
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    whole = {path: path.read_bytes() for path in files}
    with hostile_reading() as found:
        # Keras takes its time over each.
        for draw in cases("preset", 60):
            path = draw.choice(files)
            harm(path, draw)
            contents = found.of(folder, read_model, folder)
            if contents is not None:
                check(contents)
            path.write_bytes(whole[path])
    assert found.read > 5 and found.refused > 15


@pytest.mark.parametrize("shard", ["../outside", "/outside", "..", "a/../../b"])
def test_an_index_does_not_lead_elsewhere(good, tmp_path, shard):
    folder = pathlib.Path(
        shutil.copytree(good / "hugging_face", tmp_path / "in" / "model")
    )
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(tmp_path / "outside")
    index = {"weight_map": dict.fromkeys(tensors, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with hostile_reading(outside="outside") as found:
        assert found.of(folder, read_model, folder) is None
    (line,) = found.lines
    assert "which is elsewhere" in line


def of_keras(module, class_name, config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }


@pytest.mark.parametrize("kind", ["lambda", "class", "function"])
@pytest.mark.parametrize("file", ["config.json", "task.json"])
def test_presets_run_nothing_of_theirs(good, tmp_path, kind, file):
    mark = tmp_path / "mark"
    code = marshal.dumps(compile(f"open({str(mark)!r}, 'w')", "x", "eval"))
    packed = {"code": base64.b64encode(code).decode(), "defaults": None}
    hidden = {
        "lambda": of_keras(
            "keras.layers",
            "Lambda",
            {"function": of_keras("builtins", "__lambda__", packed)},
        ),
        "class": of_keras(
            "subprocess", "Popen", {"args": ["touch", str(mark)]}
        ),
        "function": of_keras("os", "function", "system"),
    }[kind]
    folder = pathlib.Path(shutil.copytree(good / "preset", tmp_path / "preset"))
    settings = json.loads((folder / file).read_text())
    for key in ("dtype", "activation", "dropout", "backbone", "num_layers"):
        changed = settings | {"config": settings["config"] | {key: hidden}}
        (folder / file).write_text(json.dumps(changed))
        with hostile_reading(outside="mark") as found:
            contents = found.of(folder, read_model, folder)
        if contents is not None:
            check(contents)
        assert not mark.exists()


def test_a_folder_that_is_called_as_a_preset_is_read(
    good, tmp_path, monkeypatch
):
    """keras-nlp would download what it knows by that name."""
    shutil.copytree(good / "preset", tmp_path / "bert_tiny_en_uncased")
    monkeypatch.chdir(tmp_path)
    with hostile_reading() as found:
        contents = found.of(
            "", read_model, pathlib.Path("bert_tiny_en_uncased")
        )
    assert contents.tokenizer.vocabulary == tuple(PIECES)


@pytest.mark.parametrize(
    "name", ["bert-base-uncased", "hf://google/bert", "kaggle://a/b/keras/c"]
)
def test_nothing_is_downloaded(name):
    with hostile_reading() as found:
        assert found.of("", load_model, name) is None
    (line,) = found.lines
    assert line.startswith("There is no model folder")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", **SETTINGS})
    )
    (tmp_path / "a.npy").rename(tmp_path / "pytorch_model.bin")
    with hostile_reading(outside="pytorch_model.bin") as found:
        assert found.of(tmp_path, read_model, tmp_path) is None
    (line,) = found.lines
    assert "a pickle, which is not opened here" in line


def test_code_opens_no_pickles():
    """Nothing asks for what would unpickle, download or unpack."""
    root = pathlib.Path(__file__).parents[2] / "tfdistill"
    asked = (
        "import pickle",
        "allow_pickle=True",
        "np.load(",
        "torch.load(",
        "unsafe_deserialization",
        "safe_mode=False",
        "urllib",
        "requests",
        "snapshot_download",
        "extractall(",
        "yaml.load(",
    )
    for path in root.rglob("*.py"):
        text = path.read_text()
        assert not [word for word in asked if word in text], path
