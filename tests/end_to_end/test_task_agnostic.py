"""A student that learnt from text what a teacher attends to, then a task."""

import numpy as np
from small_chain import text
from small_sentences import RECORDS, TRAIN, VOCABULARY, run, write_tables

from tfdistill.models.formats import load_model
from tfdistill.models.weights import named_weights

BERT = "bert(num_layers={},hidden_dim=16,num_heads=2,max_sequence_length=24)"
STEPS = "--num_train_steps=3 --num_warmup_steps=0 --train_batch_size=8 "


def test_a_student_of_text_is_fine_tuned_on_a_task(tmp_path):
    c = tmp_path
    write_tables(c)
    lines = text().split("\n")
    words = VOCABULARY[5:]
    # Of the words that the sentences have.
    (c / "text.txt").write_text(
        "\n".join(
            " ".join(words[len(w) * 3 % len(words)] for w in line.split())
            for line in lines
        )
    )
    run(
        "make_records",
        "--text={c}/text.txt --vocab_file={c}/vocab.txt --max_seq_length=24 "
        "--max_predictions_per_seq=3 --dupe_factor=1 --num_processes=1 "
        "--use_next_sentence_label=false --records={c}/mlm",
        c=c,
    )
    run(
        "finetune",
        f"{STEPS} --model={BERT.format(2)} --records={{c}}/mlm "
        "--run_dir={c}/teacher",
        c=c,
    )
    run(
        "distill",
        f"{STEPS} --records={{c}}/mlm --teacher={{c}}/teacher "
        f"--student={BERT.format(1)} --run_dir={{c}}/student "
        "--objective=attention_kl(layers=final)",
        c=c,
    )
    run(
        "make_records",
        RECORDS + "--records={c}/train --eval_records={c}/dev",
        c=c,
    )
    # In such small steps nothing but the new classifier can be another.
    done = run(
        "finetune",
        f"{TRAIN} --learning_rate=1e-9 --model={{c}}/student "
        "--records={c}/train --eval_records={c}/dev --run_dir={c}/task",
        c=c,
    )
    assert done["steps"] == 5 and "accuracy" in done["eval"]
    found, start = (
        named_weights(load_model(str(c / name)).model, {"encoder"})
        for name in ("task", "student")
    )
    assert found.keys() == start.keys()
    for name, expected in start.items():
        np.testing.assert_allclose(
            found[name], expected, rtol=0, atol=1e-6, err_msg=name
        )
