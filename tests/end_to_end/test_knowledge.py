"""Knowledge as its users meet it: reports, checks and refusals."""

import json
import shutil
import time

import pytest
from small_chain import RECORDS, STEPS, STUDENT, VOCABULARY, call, text

from tfdistill import assembly
from tfdistill.files import read_json, write_json
from tfdistill.models.bert import Bert
from tfdistill.records.manifest import digest

EXTRACT = (
    "--records={c}/records --teacher={c}/teacher --knowledge=top_k(k=3) "
    "--knowledge_records={c}/knowledge"
)
DISTILL = (
    f"--student={STUDENT} {STEPS} --knowledge_records={{c}}/knowledge "
    "--objective=soft_targets --run_dir={c}/run"
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = tmp_path_factory.mktemp("chain")
    (c / "text.txt").write_text(text())
    (c / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    other = [*VOCABULARY[:-1], "##ed"]
    (c / "other.txt").write_text("\n".join(other) + "\n")
    for command, flags in (
        ("make_records", f"{RECORDS} --records={{c}}/records"),
        ("make_records", f"{RECORDS} --records={{c}}/seeded --random_seed=1"),
        (
            "finetune",
            f"--model={STUDENT} {STEPS} --records={{c}}/records "
            "--run_dir={c}/teacher",
        ),
        (
            "finetune",
            f"--model={STUDENT} {STEPS} --records={{c}}/records "
            "--random_seed=2 --run_dir={c}/retrained",
        ),
        ("extract_teacher", EXTRACT),
    ):
        done = call(command, flags.format(c=c).split())
        assert done.status == 0, done.stderr
    return c


def copied(chain, tmp_path):
    shutil.copytree(chain, tmp_path / "c")
    return tmp_path / "c"


def test_report(chain, tmp_path):
    flags = (
        f"--records={chain}/records --teacher={chain}/teacher "
        f"--output_dir={tmp_path}/report --student={STUDENT} "
        "--predict_batch_size=16 --report_examples=64 "
        "--knowledge=top_k(k=3) --knowledge=hybrid(k=1,samples=4) "
        "--knowledge=hidden --knowledge=top_k(k=all)"
    )
    done = call("knowledge_report", flags.split())
    assert done.status == 0, done.stderr
    summary = json.loads(done.stdout)
    codecs = summary["codecs"]
    assert list(codecs) == [
        "top_k(k=3), left_out",
        "top_k(k=3), renormalised",
        "top_k(k=3), bucket",
        "hybrid(k=1,samples=4)",
        "hidden",
        "top_k(k=all)",
    ]
    for values in codecs.values():
        assert list(values) == [
            "bytes_per_position",
            "kl",
            "gradient_angle_degrees",
            "gradient_norm_ratio",
            "bias",
            "bias_standard_error",
        ]
    # Pieces of a vocabulary below 256 take a byte.
    assert codecs["top_k(k=3), bucket"]["bytes_per_position"] == 3 * 2 + 2
    drawn = codecs["hybrid(k=1,samples=4)"]
    assert drawn["bytes_per_position"] == 2 + 2 + 4
    assert abs(drawn["bias"]) < 4 * drawn["bias_standard_error"]
    for tail in ("left_out", "renormalised", "bucket"):
        cut = codecs[f"top_k(k=3), {tail}"]
        assert cut["bias"] > 4 * cut["bias_standard_error"]
    whole = codecs["top_k(k=all)"]
    assert abs(whole["kl"]) < 1e-6 and abs(whole["bias"]) < 1e-9
    assert codecs["hidden"]["kl"] < 1e-3
    folder = tmp_path / "report"
    assert read_json(folder / "report.json")["codecs"] == codecs
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    table = (folder / "report.md").read_text().splitlines()
    assert len(table) == 2 + len(codecs)


@pytest.mark.parametrize(
    ("sample", "examples"), [(2, 2), (17, 16), (31, 30), (32, 32)]
)
def test_a_report_has_two_batches_at_least(chain, tmp_path, sample, examples):
    """A standard error needs them, whatever --predict_batch_size is."""
    flags = (
        f"--records={chain}/records --teacher={chain}/teacher "
        f"--output_dir={tmp_path}/report --student={STUDENT} "
        f"--predict_batch_size=16 --report_examples={sample} "
        "--knowledge=hybrid(k=1,samples=4)"
    )
    done = call("knowledge_report", flags.split())
    assert done.status == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["examples"] == examples
    (found,) = summary["codecs"].values()
    assert found["bias_standard_error"] > 0


def test_a_report_on_one_example_is_refused(chain, tmp_path):
    (tmp_path / "text.txt").write_text(" ".join(text(1).split()[:6]))
    made = f"{RECORDS} --text={{new}}/text.txt --records={{new}}/records "
    made += "--use_next_sentence_label=false"
    done = call("make_records", made.format(c=chain, new=tmp_path).split())
    assert json.loads(done.stdout)["examples"] == 1, done
    flags = f"--teacher={chain}/teacher --output_dir={tmp_path}/report "
    flags += "--knowledge=top_k(k=3) "
    for more, says in (
        (f"--records={tmp_path}/records", "holds 1 of the 2 examples that"),
        (
            f"--records={chain}/records --report_examples=1",
            "--report_examples=1 is not at least 2.",
        ),
    ):
        done = call("knowledge_report", (flags + more).split())
        assert done.status in (1, 2) and says in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_a_sound_set_is_verified_and_no_other(chain, tmp_path):
    c = copied(chain, tmp_path)
    done = call("verify_records", [f"--records={c}/knowledge"])
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["knowledge"] == ["top_k(k=3)"]
    for path in sorted((c / "knowledge").iterdir()):
        data = path.read_bytes()
        for place in (0, len(data) // 2, len(data) - 1):
            changed = bytearray(data)
            changed[place] ^= 4
            path.write_bytes(changed)
            done = call("verify_records", [f"--records={c}/knowledge"])
            assert done.status == 1 and not done.stdout
            assert path.name in done.stderr
        path.write_bytes(data)


def test_a_damaged_finished_set_is_mended(chain, tmp_path, caplog):
    c = copied(chain, tmp_path)
    flags = [f.format(c=c) for f in EXTRACT.split()]
    (shard,) = (c / "knowledge").glob("*.tfrecord")
    whole = {p: p.read_bytes() for p in (c / "knowledge").iterdir()}
    flipped = bytearray(whole[shard])
    flipped[len(flipped) // 2] ^= 4
    shard.write_bytes(flipped)
    done = call("verify_records", [f"--records={c}/knowledge"])
    assert done.status == 1 and shard.name in done.stderr
    assert "Run the command that made these records again" in done.stderr
    with caplog.at_level("WARNING"):
        done = call("extract_teacher", flags)
    assert done.status == 0, done.stderr
    assert f"missing or damaged: {shard.name}" in caplog.text
    assert json.loads(done.stdout)["extracted_shards"] == 1
    assert {p: p.read_bytes() for p in (c / "knowledge").iterdir()} == whole
    done = call("extract_teacher", flags)
    assert json.loads(done.stdout)["extracted_shards"] == 0


def rewritten(folder, **changes):
    """A manifest that is sound, and says something else."""
    manifest = read_json(folder / "manifest.json") | changes
    manifest.pop("digest")
    write_json(
        folder / "manifest.json", manifest | {"digest": digest(manifest)}
    )


def older(c):
    rewritten(c / "knowledge", version=1)


def other_text(c):
    (c / "text.txt").write_text(text(61))


# What is changed before, the command, its flags and what it says.
MUTATIONS = {
    "vocabulary": (
        None,
        "make_records",
        f"{RECORDS} --vocab_file={{c}}/other.txt --records={{c}}/records",
        "other input or settings: the vocabulary or its casing differs",
    ),
    "casing": (
        None,
        "make_records",
        f"{RECORDS} --do_lower_case=false --records={{c}}/records",
        "other input or settings: the vocabulary or its casing differs",
    ),
    "length": (
        None,
        "make_records",
        f"{RECORDS} --max_seq_length=32 --records={{c}}/records",
        "max_seq_length is 16 there and 32 here",
    ),
    "corpus": (
        other_text,
        "make_records",
        f"{RECORDS} --records={{c}}/records",
        "other input or settings: the text differs",
    ),
    "seed": (
        None,
        "make_records",
        f"{RECORDS} --random_seed=9 --records={{c}}/records",
        "random_seed is 12345 there and 9 here",
    ),
    "records of another seed": (
        None,
        "extract_teacher",
        EXTRACT + " --records={c}/seeded",
        "random_seed is 12345 there and 1 here",
    ),
    "teacher": (
        None,
        "extract_teacher",
        EXTRACT + " --teacher={c}/retrained",
        "the teacher differs",
    ),
    "k": (
        None,
        "extract_teacher",
        EXTRACT.replace("k=3", "k=2"),
        r'knowledge is ["top_k(k=3)"] there and ["top_k(k=2)"] here',
    ),
    "batches": (
        None,
        "extract_teacher",
        EXTRACT + " --predict_batch_size=8",
        "predict_batch_size is 32 there and 8 here",
    ),
    "more than k": (
        None,
        "distill",
        DISTILL + " --objective=soft_targets(k=4)",
        "k=4: only 3 pieces of each distribution are known",
    ),
    "temperature": (
        None,
        "distill",
        DISTILL + " --objective=soft_targets(tail=bucket,temperature=2)",
        "known at temperature 1 only; temperature=2",
    ),
    "no draws": (
        None,
        "distill",
        DISTILL + " --objective=soft_targets(tail=sampled)",
        "tail=sampled needs draws from the tail, which hybrid stores",
    ),
    "version": (
        older,
        "distill",
        DISTILL,
        "has version 1; this program reads version 2",
    ),
}
# Whose reason can only be seen in the weights themselves.
READ_A_MODEL = {"teacher"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_does_not_fit_is_refused_at_once(
    chain, tmp_path, monkeypatch, name
):
    change, command, flags, says = MUTATIONS[name]
    c = copied(chain, tmp_path)
    if change is not None:
        change(c)
    flags = [flag.format(c=c) for flag in flags.split()]
    if name not in READ_A_MODEL:
        monkeypatch.setattr(Bert, "__init__", lambda *_, **__: 1 / 0)
        monkeypatch.setattr(assembly, "load_for", lambda *_, **__: 1 / 0)
    before = {p: p.read_bytes() for p in c.rglob("*") if p.is_file()}
    # Of this process alone: others of the machine are not its fault.
    began = time.process_time()
    done = call(command, flags)
    assert time.process_time() - began < 1
    assert done.status == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert says.format(c=c) in line
    assert {p: p.read_bytes() for p in c.rglob("*") if p.is_file()} == before
