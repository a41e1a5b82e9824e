"""Checkpoints and files of tensors that were harmed."""

import json

import keras
import numpy as np
import pytest
import safetensors.numpy
from hostile import cases, harmed, hostile_reading, retyped

from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.training import RunDirectory
from tfdistill.training.run_directory import find_result, load_state, save_state

WORDS = (b'"F32"', b'"BF16"', b'"shape":[2]', b'"__metadata__"', b'"crc32"')
ARRAYS = {
    "model/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "model/b": np.arange(4, dtype=np.int64),
    "step": np.array(7, np.float32),
}


def test_checkpoints_give_all_or_nothing(tmp_path):
    path = tmp_path / "step-000000007.safetensors"
    state = {n: keras.Variable(x, dtype=x.dtype) for n, x in ARRAYS.items()}
    save_state(path, state, {"step": 7})
    good = path.read_bytes()
    with hostile_reading() as found:
        for draw in cases("checkpoints", 3000):
            path.write_bytes(harmed(good, draw, WORDS))
            notes = found.of(path, load_state, path, state)
            assert notes in (None, {"step": 7})
            for name, variable in state.items():
                np.testing.assert_array_equal(variable, ARRAYS[name])
    assert found.refused > 2000


@pytest.mark.parametrize("is_ours", [True, False])
def test_headers_of_other_types(tmp_path, is_ours):
    path = tmp_path / "model.safetensors"
    if is_ours:
        save_tensors(path, ARRAYS, {"notes": "{}"})
    else:
        safetensors.numpy.save_file(ARRAYS, path, metadata={"format": "pt"})
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header, rest = json.loads(good[8 : 8 + length]), good[8 + length :]
    state = {n: keras.Variable(x, dtype=x.dtype) for n, x in ARRAYS.items()}
    with hostile_reading() as found:
        for draw in cases(f"headers {is_ours}", 2000):
            text = json.dumps(retyped(header, draw)).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text + rest)
            loaded = found.of(path, load_tensors, path)
            if loaded is not None:
                right = safetensors.numpy.load_file(path)
                assert loaded[0].keys() == right.keys()
                for name, array in right.items():
                    np.testing.assert_array_equal(loaded[0][name], array)
            found.of(path, load_state, path, state)
    assert found.refused > 1000


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_run_directories(tmp_path, name):
    config = {"records": "ab12", "objectives": ["labels"], "seed": 1}
    run = RunDirectory(
        str(tmp_path / "run"),
        config=config,
        flag_lines=["--random_seed=1"],
        keep_checkpoint_max=1,
    )
    run.finish({"steps": 2, "eval": {"accuracy": 0.5}})
    run.close()
    path = tmp_path / "run" / name
    good = json.loads(path.read_bytes())
    with hostile_reading() as found:
        for draw in cases(f"runs {name}", 2000):
            data = json.dumps(retyped(good, draw)).encode()
            if draw.random() < 0.5:
                data = harmed(path.read_bytes(), draw)
            path.write_bytes(data)
            result = found.of(tmp_path, find_result, tmp_path / "run", config)
            if result is not None and name == "config.json":
                assert json.loads(data) == config
            path.write_text(json.dumps(good))
    assert found.refused > 500
