"""Language models through all commands: from tables to a transfer set."""

import json
import re
import shutil

import numpy as np
import pytest
from mirrored import two_mirrored
from small_chain import call
from small_sentences import (
    RECORDS,
    ROWS,
    STUDENT,
    numbers,
    run,
    sentence,
    write_tables,
)

import tfdistill.assembly
from tfdistill.augmentation import parts
from tfdistill.records import open_record_set, read_feature
from tfdistill.tensors import load_tensors
from tfdistill.text.causal import read_causal_tokenizer

TABLES = "--task=sst2 --data_dir={c}/SST-2 --records_for=causal_lm "
LM_RECORDS = TABLES + "--max_seq_length=24 --examples_per_shard=25 "
MODELS = {
    "gpt2": (
        "bpe/vocab.json",
        "gpt2(num_layers=1,hidden_dim=16,num_heads=2,max_sequence_length=24)",
    ),
    "transformer_xl": (
        "words.txt",
        "transformer_xl(num_layers=1,hidden_dim=16,num_heads=2,"
        "segment_length=12,memory_length=8)",
    ),
}
FINETUNE = (
    "--task=causal_lm --train_batch_size=8 --optimizer=adamw "
    "--schedule=constant --learning_rate=2e-2 --num_warmup_steps=0 "
    "--num_train_steps=8 --save_checkpoints_steps=4 --early_stop_metric=auto "
    "--records={c}/{m}/train --eval_records={c}/{m}/dev --run_dir={new} "
)
SAMPLE = (
    "--task=sst2 --data_dir={c}/SST-2 --method=lm --model={c}/{m}/run "
    "--max_seq_length=24 --predict_batch_size=16 --num_samples=60 "
)


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    c = tmp_path_factory.mktemp("language")
    write_tables(c)
    return c


@pytest.fixture(scope="module", params=MODELS)
def made(request, c):
    """The name of a model, and what the commands printed."""
    name = request.param
    vocabulary, spec = MODELS[name]
    where = f"--vocab_file={{c}}/{vocabulary} "
    records = "--records={c}/{m}/train --eval_records={c}/{m}/dev"
    folders = {"c": c, "m": name, "new": c / name / "run"}
    return name, {
        "make_vocab": run(
            "make_vocab", TABLES + where + "--vocab_size=290", c=c
        ),
        "make_records": run(
            "make_records", LM_RECORDS + where + records, c=c, m=name
        ),
        "finetune": run("finetune", f"{FINETUNE} --model={spec}", **folders),
        "evaluate": run(
            "evaluate",
            "--task=causal_lm --run_dir={new} --eval_records={c}/{m}/dev",
            **folders,
        ),
    }


def test_records_are_the_texts_and_their_ends(made, c):
    name, summaries = made
    assert summaries["make_records"]["examples"] == ROWS["train"]
    records = open_record_set(str(c / name / "train"))
    tokenizer = read_causal_tokenizer(c / name / "train")
    ids = read_feature(records, "input_ids")
    lengths = read_feature(records, "input_mask").sum(1)
    texts = [sentence(n) for n in numbers("train")]
    for row, length, text in zip(ids, lengths, texts, strict=True):
        whole = row[:length].tolist()
        if whole[-1] == tokenizer.end_id:
            assert tokenizer.decode(whole) == text
        else:
            assert length == 24 and text.startswith(tokenizer.decode(whole))
    characters = read_feature(records, "num_characters")
    words = read_feature(records, "num_words")
    is_whole = ids[np.arange(len(ids)), lengths - 1] == tokenizer.end_id
    assert is_whole.sum() > 50
    for i in np.flatnonzero(is_whole):
        assert characters[i] == len(texts[i])
        assert words[i] == len(texts[i].split())


def test_a_model_learns_the_texts(made):
    _, summaries = made
    trained, evaluated = summaries["finetune"], summaries["evaluate"]
    pieces = summaries["make_vocab"]["vocabulary"]
    assert evaluated["token_loss"] < 0.9 * np.log(pieces)
    assert trained["best_metric"] == "bits_per_character"
    assert not trained["higher_is_better"]
    for name, value in trained["eval"].items():
        assert evaluated[name] == pytest.approx(value, rel=1e-4), name


def assert_same_weights(folder, other, exact=False):
    ours, theirs = (
        load_tensors(path / "model.safetensors")[0] for path in (folder, other)
    )
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_allclose(
            ours[name],
            expected,
            rtol=0,
            atol=0 if exact else 2e-5,
            err_msg=name,
        )


def test_two_replicas_train_the_same_model(made, c, tmp_path, monkeypatch):
    name, _ = made
    monkeypatch.setattr(
        tfdistill.assembly,
        "make_replicas",
        lambda name, num_devices: two_mirrored(),
    )
    flags = f"{FINETUNE} --model={MODELS[name][1]} --accumulation_steps=2"
    done = run("finetune", flags, c=c, m=name, new=tmp_path / "run")
    assert done["world_size"] == 2
    assert_same_weights(tmp_path / "run", c / name / "run")


def test_a_run_that_was_cut_ends_as_one_that_was_not(made, c, tmp_path):
    name, _ = made
    cut = tmp_path / "run"
    shutil.copytree(c / name / "run", cut)
    for file in (
        "result.json",
        "model.json",
        "checkpoints/step-000000008.safetensors",
    ):
        (cut / file).unlink()
    flags = f"{FINETUNE} --model={MODELS[name][1]}"
    run("finetune", flags, c=c, m=name, new=cut)
    assert_same_weights(cut, c / name / "run", exact=True)


@pytest.fixture(scope="module")
def samples(made, c):
    """The name of a model, its transfer set, and what was printed."""
    name, _ = made
    path = c / name / "samples.tsv"
    done = run("augment", SAMPLE + "--output={new}", c=c, m=name, new=path)
    return name, path, done


def test_samples_stand_behind_the_sentences(samples, c):
    _, path, done = samples
    head, *lines = path.read_text().splitlines()
    texts = [sentence(n) for n in numbers("train")]
    assert head == "sentence"
    assert lines[: len(texts)] == texts
    new = lines[len(texts) :]
    assert len(new) == len(set(new)) == len(set(new) - set(texts)) > 5
    dropped = sum(done[k] for k in ("unfinished", "malformed", "repeated"))
    assert done["samples"] == 60 == len(new) + dropped
    assert done["examples"] == len(lines)
    assert sorted(p.name for p in path.parent.glob("*samples*")) == [
        "samples.tsv",
        "samples.tsv.json",
    ]


def test_the_seed_and_the_temperature_decide(samples, c, tmp_path):
    name, path, _ = samples
    for flags, is_same in (
        ("", True),
        ("--random_seed=9", False),
        ("--temperature=0.5", False),
    ):
        new = tmp_path / f"made{flags}.tsv"
        run("augment", SAMPLE + "--output={new} " + flags, c=c, m=name, new=new)
        assert (new.read_bytes() == path.read_bytes()) == is_same, flags


def test_a_kill_costs_one_part(samples, c, tmp_path, monkeypatch):
    name, path, _ = samples
    monkeypatch.setattr(parts, "PART", 32)
    new = tmp_path / "samples.tsv"
    kept = []

    def die(numbers):
        raise KeyboardInterrupt

    def note_and_write(file, values, write=parts.write_json):
        if kept and "samples" in values:
            die(())
        write(file, values)
        kept.append(file.name) if "samples" in values else None

    flags = (SAMPLE + "--output={new}").format(c=c, m=name, new=new).split()
    with monkeypatch.context() as patched:
        patched.setattr(parts, "write_json", note_and_write)
        assert call("augment", flags).status == 130
    assert kept == ["000000000.json"] and not new.exists()
    folder = tmp_path / ".samples.tsv.parts"
    before = (folder / kept[0]).stat().st_mtime_ns
    with monkeypatch.context() as patched:
        patched.setattr(parts, "remove_parts", lambda output: None)
        assert call("augment", flags).status == 0
    assert (folder / kept[0]).stat().st_mtime_ns == before
    assert new.read_bytes() == path.read_bytes()


def test_unfinished_parts_of_other_settings_are_made_anew(samples, c, tmp_path):
    name, path, _ = samples
    folder = tmp_path / ".samples.tsv.parts"
    folder.mkdir()
    (folder / "made_of.json").write_text(json.dumps({"model": "other"}))
    (folder / "000000000.json").write_text(json.dumps({"samples": ["x"]}))
    new = tmp_path / "samples.tsv"
    run("augment", SAMPLE + "--output={new}", c=c, m=name, new=new)
    assert new.read_bytes() == path.read_bytes()
    assert not folder.exists()


def test_a_teacher_can_be_asked_about_samples(samples, c, tmp_path):
    _, path, done = samples
    flags = RECORDS + f"--input={path} --records={{new}}"
    made = run("make_records", flags, c=c, new=tmp_path / "records")
    assert made["examples"] == done["examples"]
    features = open_record_set(str(tmp_path / "records")).schema.features
    assert "labels" not in {f.name for f in features}


PAIRS = "--task=classification --data_dir={c}/pairs --pair_column=other "


ROWS_OF_PAIRS = [(sentence(n), sentence(n + 1), str(n % 2)) for n in range(30)]


def write_pairs(c, vocabulary, kind):
    """Write the table and the vocabulary; returns flags that name them."""
    (c / "pairs").mkdir(exist_ok=True)
    lines = ["sentence\tother\tlabel", *map("\t".join, ROWS_OF_PAIRS)]
    (c / "pairs/train.tsv").write_text("\n".join(lines) + "\n")
    flags = PAIRS + f"--records_for={kind} --vocab_file={{c}}/{vocabulary} "
    run("make_vocab", flags + "--vocab_size=300", c=c)
    return flags


@pytest.mark.parametrize("kind", ["causal_lm", "conditional_lm"])
@pytest.mark.parametrize("vocabulary", ["pairs/vocab.json", "pairs/words.txt"])
def test_pairs(c, tmp_path, vocabulary, kind):
    flags = write_pairs(c, vocabulary, kind)
    rows = ROWS_OF_PAIRS
    run(
        "make_records",
        flags + "--max_seq_length=64 --records={new}/records",
        c=c,
        new=tmp_path,
    )
    spec = "gpt2(num_layers=1,hidden_dim=32,num_heads=2,max_sequence_length=64)"
    run(
        "finetune",
        "--task=causal_lm --train_batch_size=15 --optimizer=adamw "
        "--schedule=constant --learning_rate=1e-2 --num_warmup_steps=0 "
        f"--num_train_steps=60 --records={{new}}/records --model={spec} "
        "--run_dir={new}/run",
        new=tmp_path,
    )
    done = run(
        "augment",
        PAIRS + "--method=lm --model={new}/run --num_samples=30 "
        "--max_seq_length=64 --output={new}/pairs.tsv",
        c=c,
        new=tmp_path,
    )
    head, *lines = (tmp_path / "pairs.tsv").read_text().splitlines()
    assert head == "sentence1\tsentence2"
    assert done["examples"] == len(lines) > len(rows)
    assert [tuple(x.split("\t")) for x in lines[:30]] == [r[:2] for r in rows]
    assert all(all(line.split("\t")) for line in lines)
    firsts = {line.split("\t")[0] for line in lines[30:]}
    is_conditional = kind == "conditional_lm"
    assert (firsts <= {row[0] for row in rows}) == is_conditional


@pytest.mark.parametrize("vocabulary", ["pairs/vocab.json", "pairs/words.txt"])
def test_what_a_conditional_model_predicts(c, tmp_path, vocabulary):
    flags = write_pairs(c, vocabulary, "conditional_lm")
    for length in (64, 16):
        made = f"--max_seq_length={length} --records={{new}}/{length}"
        run("make_records", flags + made, c=c, new=tmp_path)
    whole, cut = (open_record_set(str(tmp_path / x)) for x in ("64", "16"))
    tokenizer = read_causal_tokenizer(tmp_path / "64", is_conditional=True)
    ids, is_there, second, characters, words = (
        read_feature(whole, name)
        for name in (
            "input_ids",
            "input_mask",
            "segment_ids",
            "num_characters",
            "num_words",
        )
    )
    for n, (given, wanted, _) in enumerate(ROWS_OF_PAIRS):
        row = ids[n][is_there[n] > 0].tolist()
        assert tokenizer.decode(row) == f"{given} \t {wanted}"
        start = row.index(tokenizer.end_id) + 1
        assert second[n].tolist() == [0] * start + [1] * (len(row) - start) + [
            0
        ] * (64 - len(row))
        assert (characters[n], words[n]) == (len(wanted), len(wanted.split()))
    # Of pairs that are cut, what is left is counted.
    left = read_feature(cut, "num_characters")
    predicted = read_feature(cut, "segment_ids").sum(1)
    assert predicted.min() == 0 and ((left > 0) == (predicted > 1)).all()
    assert (left <= characters).all() and (left < characters).any()


def test_a_model_of_texts_becomes_one_of_second_sentences(c, tmp_path):
    flags = write_pairs(c, "pairs/words.txt", "conditional_lm")
    spec = MODELS["transformer_xl"][1]
    for kind, model in (
        ("causal_lm", spec),
        ("conditional_lm", "{new}/causal_lm"),
    ):
        folder = "{new}/" + kind
        run(
            "make_records",
            f"{flags} --records_for={kind} --records={folder}_records",
            c=c,
            new=tmp_path,
        )
        run(
            "finetune",
            "--task=causal_lm --train_batch_size=15 --num_train_steps=2 "
            "--num_warmup_steps=0 "
            f"--records={folder}_records --model={model} --run_dir={folder}",
            new=tmp_path,
        )
    plain, conditional = (
        json.loads((tmp_path / name / "model.json").read_text())
        for name in ("causal_lm", "conditional_lm")
    )
    assert conditional == plain | {"is_conditional": True}
    # It has no first sentences to go on from where there are single ones.
    done = call(
        "augment",
        [
            *SAMPLE.format(c=c, m=".").split(),
            f"--model={tmp_path}/conditional_lm",
            f"--output={tmp_path}/samples.tsv",
        ],
    )
    assert done.status == 1
    assert "writes second sentences of pairs" in done.stderr


@pytest.fixture(scope="module")
def masked(c):
    """The run of a masked LM that was trained on the sentences."""
    flags = RECORDS + "--records_for=mlm --max_predictions_per_seq=4 "
    run("make_records", flags + "--records={c}/mlm", c=c)
    run(
        "finetune",
        f"--task=mlm --model={STUDENT} --records={{c}}/mlm --run_dir={{c}}/bert "
        "--train_batch_size=8 --num_train_steps=3 --num_warmup_steps=0",
        c=c,
    )
    return c / "bert"


FILL = (
    "--task=sst2 --data_dir={c}/SST-2 --method=mlm --model={c}/bert "
    "--predict_batch_size=16 --max_seq_length=24 --augment_rounds=3 "
)


def test_a_masked_model_fills_in_words(masked, c, tmp_path):
    texts = [sentence(n) for n in numbers("train")]
    shares = {}
    for prob in ("0", "0.2", "1"):
        path = tmp_path / f"{prob}.tsv"
        done = run(
            "augment",
            FILL + f"--mask_prob={prob} --output={path}",
            c=c,
        )
        lines = path.read_text().splitlines()[1:]
        assert lines[: len(texts)] == texts
        assert done["samples"] == 3 * len(texts)
        shares[prob] = lines[len(texts) :]
    assert shares["0"] == []
    assert len(shares["1"]) > 150
    words = {len(line.split()) for line in shares["1"]}
    assert words == {len(text.split()) for text in texts}
    assert not any("[" in line for line in shares["1"])
    # A fifth of the words differs at most, and no word is lost.
    known = {text: len(text.split()) for text in texts}
    changed = total = 0
    for line in shares["0.2"]:
        found = line.split()
        nearest = max(
            (t.split() for t, n in known.items() if n == len(found)),
            key=lambda t: sum(a == b for a, b in zip(t, found, strict=True)),
        )
        changed += sum(a != b for a, b in zip(nearest, found, strict=True))
        total += len(found)
    assert 0.05 < changed / total < 0.3


def test_batches_change_no_filled_word(masked, c, tmp_path):
    made = []
    for size in (16, 5):
        path = tmp_path / f"{size}.tsv"
        flags = FILL + f"--predict_batch_size={size} --output={path}"
        run("augment", flags, c=c)
        made.append(path.read_text().splitlines())
    same = sum(a == b for a, b in zip(*made, strict=False))
    # Last bits of a product may depend on its rows.
    assert same >= 0.95 * max(map(len, made))


LM = "--task=causal_lm --records={c}/gpt2/train --run_dir={new} "
WRONG_USES = [
    ("make_vocab", TABLES, "--vocab_file is needed"),
    ("make_vocab", TABLES + "--vocab_file={c}/vocab.txt", "another vocabulary"),
    (
        "make_records",
        LM_RECORDS + "--vocab_file={c}/vocab.txt --records={new}",
        "no vocabulary of a language model",
    ),
    (
        "make_records",
        LM_RECORDS + "--task=mlm --text={c}/vocab.txt --records={new} "
        "--vocab_file={c}/words.txt",
        "is for the tables of a task",
    ),
    (
        "make_records",
        LM_RECORDS + "--records_for=conditional_lm --records={new} "
        "--vocab_file={c}/words.txt",
        "writes second sentences; the examples of sst2 have one",
    ),
    ("finetune", LM + f"--model={STUDENT}", "bert is no language model"),
    (
        "finetune",
        LM + "--model=gpt2(num_layers=1,hidden_dim=8,max_sequence_length=16)",
        "has max_seq_length=24, but the student has 16 positions",
    ),
    ("finetune", LM + "--model=gpt2(hidden_dim=9,num_heads=2)", "no multiple"),
    ("finetune", LM + "--model=gpt2(memory_length=9)", "memory_length"),
    (
        "finetune",
        LM + "--model={c}/transformer_xl/run",
        "another vocabulary",
    ),
    (
        "finetune",
        "--task=sst2 --records={c}/plain --run_dir={new} --model=gpt2",
        "gpt2 is a language model: it is trained with --task=causal_lm",
    ),
    (
        "finetune",
        "--task=sst2 --records={c}/gpt2/train --run_dir={new} --model=gpt2",
        "was made for --task=causal_lm, not for sst2",
    ),
    (
        "extract_teacher",
        "--task=causal_lm --records={c}/gpt2/train --teacher={c}/gpt2/run "
        "--knowledge_records={new}",
        "top_k is about masked positions",
    ),
    (
        "evaluate",
        "--task=sst2 --eval_records={c}/plain --run_dir={c}/gpt2/run",
        "has no (pooler|classifier) weights",
    ),
    ("augment", SAMPLE + "--model= --output={new}", "--model is needed"),
    (
        "augment",
        SAMPLE + "--model={c}/bert --output={new}.tsv",
        "is a bert and no language model",
    ),
    ("augment", SAMPLE + "--top_p=0 --output={new}", "--top_p=0.0 is not at"),
    (
        "augment",
        FILL + "--model={c}/gpt2/run --output={new}.tsv",
        "has no masked_lm weights",
    ),
]


@pytest.fixture(scope="module")
def everything(c, masked):
    for name in MODELS:
        if not (c / name / "run").exists():
            raise AssertionError(f"{name} is made by the tests above")
    run("make_records", RECORDS + "--records={c}/plain", c=c)
    return c


@pytest.mark.parametrize(("command", "flags", "says"), WRONG_USES)
def test_wrong_use(everything, tmp_path, command, flags, says):
    flags = flags.format(c=everything, m="gpt2", new=tmp_path / "new")
    done = call(command, flags.split())
    assert done.status > 0, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdistill.{command}: error: ")
    assert re.search(says, line), line
    assert not (tmp_path / "new").exists()
