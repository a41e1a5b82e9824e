"""Extraction ends with the same bytes whatever was killed, or ran full.

`KILLS=50 pytest tests/distillation/test_kills.py` is the long run.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import mpi
import pytest
from ranks_by_files import Rank
from tiny_training import CONFIG, V, examples, features

from tfdistill.distillation.extraction import extract_shards, knowledge_schema
from tfdistill.models.bert import Bert
from tfdistill.records import (
    RecordSetWriter,
    Schema,
    make_codec,
    open_record_set,
    training_batches,
)
from tfdistill.replicas import OneDevice, from_chief

KILLS = int(os.environ.get("KILLS", "4"))
SPEC = "hybrid(k=3, samples=4)"
NAMES = [f"{i:02d}.tfrecord" for i in range(12)]
EXAMPLES = 40
# Of a whole extraction, start of TensorFlow included.
SECONDS = 120


def write_inputs(folder):
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(features()),
        identity={"task": "mlm"},
        shard_names=NAMES,
        files={"vocab.txt": b"a\n" * V},
    )
    made = examples(EXAMPLES * len(NAMES))
    for name in NAMES:
        with writer.shard(name) as shard:
            for _ in range(EXAMPLES):
                shard.add(next(made))
    return writer.finish()


def extract(inputs, output, replicas):
    records = open_record_set(str(inputs))
    codec = make_codec([SPEC], records.shapes())
    added, schema = knowledge_schema(records, codec)
    writer = RecordSetWriter(
        str(output),
        schema=schema,
        identity={"knowledge": SPEC},
        shard_names=NAMES,
        files={"vocab.txt": b"a\n" * V},
    )
    if from_chief(replicas, lambda: writer.finished is not None):
        return {"shards": 0, "examples": 0}
    teacher = Bert(CONFIG, 99)
    return extract_shards(
        records,
        teacher,
        codec,
        added,
        writer,
        replicas=replicas,
        batch_size=4,
    )


def extract_by(workers, inputs, output, said):
    """Extract in so many threads; returns what the first one does."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(extract, inputs, output, Rank(said, rank, workers))
            for rank in range(workers)
        ]
        first, *_ = [job.result(SECONDS) for job in jobs]
    return first


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """What one process makes that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    done = extract(inputs, folder, OneDevice())
    assert done == {"shards": len(NAMES), "examples": EXAMPLES * len(NAMES)}
    return contents(folder)


class Ranks:
    """Starts ranks, and waits for their end or kills them."""

    def __init__(self, inputs, output, scratch):
        script = pathlib.Path(__file__).parents[1] / "support/forked_ranks.py"
        path = [str(mpi.ROOT), str(script.parent), str(script.parents[1])]
        environment = mpi.environment()
        environment["PYTHONPATH"] = os.pathsep.join(
            [*path, str(pathlib.Path(__file__).parent)]
        )
        self._process = subprocess.Popen(
            [sys.executable, str(script), inputs, output, scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._scratch = scratch

    def start(self, name, count):
        self._process.stdin.write(f"{name} {count}\n")
        self._process.stdin.flush()
        return [int(pid) for pid in self._process.stdout.readline().split()]

    def are_done(self, name, count):
        marks = [self._scratch / f"{name}-{r}.done" for r in range(count)]
        return all(mark.exists() for mark in marks)

    def finish(self, name, count):
        """Let ranks come to their end; returns the seconds it took."""
        began = time.monotonic()
        self.start(name, count)
        while not self.are_done(name, count):
            assert time.monotonic() - began < SECONDS
            time.sleep(0.02)
        return time.monotonic() - began

    def close(self):
        self._process.kill()
        self._process.wait()


def test_killed_at_random_moments_by_any_mix_of_ranks(inputs, whole, tmp_path):
    output, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    rng = random.Random(20)
    ranks = Ranks(inputs, output, scratch)
    try:
        seconds = ranks.finish("first", 1)
        assert contents(output) == whole
        for number in range(KILLS):
            if number % 4 == 0:
                # From the start again, now and then.
                shutil.rmtree(output)
            before = {
                p.name: p.stat().st_mtime_ns for p in output.glob("*.tfrecord")
            }
            count = rng.choice([1, 2, 3])
            pids = ranks.start(str(number), count)
            time.sleep(rng.random() * seconds)
            for pid in rng.sample(pids, len(pids)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for path in output.glob("*.tfrecord"):
                # What has its name is whole and is not done again.
                assert path.read_bytes() == whole[path.name]
                if path.name in before:
                    assert path.stat().st_mtime_ns == before[path.name]
            begun = list(output.glob(".*.tfrecord.*.partial"))
            assert len(begun) <= 3 * (number % 4 + 1)
        ranks.finish("last", rng.choice([1, 2, 3]))
    finally:
        ranks.close()
    assert contents(output) == whole


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 15])
def test_any_number_of_workers_writes_the_same_bytes(
    inputs, whole, tmp_path, workers
):
    """Also more workers than shards: those that have none wait for nobody."""
    output = tmp_path / "out"
    done = extract_by(workers, inputs, output, tmp_path / "said")
    assert done == {"shards": len(NAMES), "examples": EXAMPLES * len(NAMES)}
    assert contents(output) == whole


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_mend_a_finished_set(inputs, whole, tmp_path, workers):
    output = tmp_path / "out"
    output.mkdir()
    for name, data in whole.items():
        (output / name).write_bytes(data)
    flipped = bytearray(whole[NAMES[1]])
    flipped[len(flipped) // 2] ^= 1
    (output / NAMES[1]).write_bytes(flipped)
    (output / NAMES[5]).unlink()
    (output / NAMES[6]).write_bytes(b"")
    (output / "vocab.txt").unlink()
    kept = (output / NAMES[0]).stat().st_mtime_ns
    done = [
        extract_by(workers, inputs, output, tmp_path / said)
        for said in ("first", "second")
    ]
    assert done[0] == {"shards": 3, "examples": EXAMPLES * 3}
    assert done[1] == {"shards": 0, "examples": 0}
    assert contents(output) == whole
    assert (output / NAMES[0]).stat().st_mtime_ns == kept


def test_any_number_of_ranks_trains_in_the_same_order(inputs):
    """With the bytes above, whoever wrote what is read."""
    first, *others = (global_order(inputs, ranks) for ranks in (1, 2, 3, 4))
    assert others == [first] * 3


def global_order(folder, ranks):
    """Hash the order in which so many ranks together train on examples."""
    records, size = open_record_set(str(folder)), 60
    share = size // ranks
    streams = [
        training_batches(
            records,
            batch_size=size,
            seed=7,
            shuffle_buffer_size=100,
            first_step=0,
            process_slice=(rank * share, share),
        )
        for rank in range(ranks)
    ]
    hashed = hashlib.sha256()
    # More than an epoch.
    for _ in range(EXAMPLES * len(NAMES) // size + 2):
        for stream in streams:
            hashed.update(next(stream)["record_index"].numpy().tobytes())
    return hashed.hexdigest()


def test_a_full_disk_loses_nothing_that_was_finished(inputs, whole, tmp_path):
    output = tmp_path / "out"
    sizes = [len(whole[name]) for name in NAMES]
    # As a full disk, but for one process: files may only be so long, and the
    # longest of the shards is longer.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = max(sizes[1:]) - 1
    assert limit > 2 * len(whole["vocab.txt"])
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            extract(inputs, output, OneDevice())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "tfrecord" in str(error.value)
    finished = sorted(p.name for p in output.glob("*.tfrecord"))
    assert not list(output.glob(".*.partial"))
    for name in finished:
        assert (output / name).read_bytes() == whole[name]
    done = extract(inputs, output, OneDevice())
    assert done["shards"] == len(NAMES) - len(finished)
    assert contents(output) == whole
