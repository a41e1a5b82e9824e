"""Windows of a file of SQuAD, against tf-models-official's feature builder.

    python -m benchmarks.squad_windows FILE VOCABULARY

Makes records of the file with the published settings and compares every
window with the one of the published code, which knows the first answer to each
question: ids, segments, where the context is and has most context, and where
the answer is. Then it cuts the answers out of the texts by the windows that
hold them. Prints one line of JSON with what differs, and how long both took on
one process.
"""

import itertools
import json
import pathlib
import sys
import tempfile
import time
from typing import Any

from absl import logging
from official.nlp.data import squad_lib
from official.nlp.tools import tokenization

from tfdistill.config.options import Artefacts, Examples, General, Windows
from tfdistill.records import evaluation_batches, open_record_set
from tfdistill.records.spans import MOST_CONTEXT, NO_CONTEXT
from tfdistill.tasks.squad_records import make_squad_records
from tfdistill.text.squad import read_questions
from tfdistill.text.tokenizer import read_tokenizer

LENGTH, STRIDE, QUERY = 384, 128, 64
BATCH = 256
INPUTS, MARKS, ANSWER = "inputs", "context_marks", "answer_positions"


def main() -> None:
    path, vocabulary = sys.argv[1:]
    logging.set_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        first_answers = pathlib.Path(folder) / "questions.json"
        keep_first_answers(path, first_answers)
        started = time.perf_counter()
        records = pathlib.Path(folder) / "records"
        make_squad_records(
            Artefacts(
                input=path,
                records=str(records),
                vocab_file=vocabulary,
            ),
            General(task="squad_v1", num_processes=1),
            Examples(max_seq_length=LENGTH),
            Windows(doc_stride=STRIDE, max_query_length=QUERY),
            read_tokenizer(vocabulary, {}),
        )
        seconds = {"ours": time.perf_counter() - started}
        ours = windows_of(records)
        started = time.perf_counter()
        theirs = published_windows(str(first_answers), vocabulary)
        seconds["published"] = time.perf_counter() - started
    questions = read_questions(path).questions
    differing = dict.fromkeys((INPUTS, MARKS, ANSWER), 0)
    nothing: dict[str, Any] = {}
    for one, other in itertools.zip_longest(ours, theirs, fillvalue=nothing):
        for name in differing:
            differing[name] += one.get(name) != other.get(name)
    returned: set[int] = set()
    for window in ours:
        number, (first, last) = window["question"], window[ANSWER]
        question = questions[number]
        begin, end = window["starts"][first], window["ends"][last]
        if first and question.context[begin:end] in question.answers:
            returned.add(number)
    print(
        json.dumps(
            {
                "questions": len(questions),
                "windows": len(ours),
                "published_windows": len(theirs),
                "differing": differing,
                "answers_cut_out_exactly": len(returned),
                "others": [
                    q.id for i, q in enumerate(questions) if i not in returned
                ],
                "seconds": {n: round(x, 1) for n, x in seconds.items()},
            }
        )
    )


def keep_first_answers(path: str, to: pathlib.Path) -> None:
    """Write the file as one for training, which has an answer a question."""
    content = json.loads(pathlib.Path(path).read_text("utf-8"))
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                del question["answers"][1:]
    to.write_text(json.dumps(content), "utf-8")


def windows_of(records: pathlib.Path) -> list[dict[str, Any]]:
    found = []
    for batch in evaluation_batches(
        open_record_set(str(records)),
        batch_size=BATCH,
        process_slice=(0, BATCH),
    ):
        rows = {name: x.numpy().tolist() for name, x in batch.items()}
        for i in range(BATCH):
            if not rows["is_real_example"][i]:
                continue
            size = sum(rows["input_mask"][i])
            found.append(
                {
                    INPUTS: [
                        rows["input_ids"][i][:size],
                        rows["segment_ids"][i][:size],
                    ],
                    MARKS: {
                        place: mark == MOST_CONTEXT
                        for place, mark in enumerate(rows[MARKS][i])
                        if mark != NO_CONTEXT
                    },
                    ANSWER: rows[ANSWER][i],
                    "question": rows["question_numbers"][i],
                    "starts": rows["character_starts"][i],
                    "ends": rows["character_ends"][i],
                }
            )
    return found


def published_windows(path: str, vocabulary: str) -> list[dict[str, Any]]:
    found = []

    def keep(feature: Any) -> None:
        size = sum(feature.input_mask)
        found.append(
            {
                INPUTS: [feature.input_ids[:size], feature.segment_ids[:size]],
                MARKS: feature.token_is_max_context,
                ANSWER: [feature.start_position, feature.end_position],
            }
        )

    squad_lib.convert_examples_to_features(
        squad_lib.read_squad_examples(path, True, False),
        tokenization.FullTokenizer(vocabulary),
        LENGTH,
        STRIDE,
        QUERY,
        True,
        keep,
    )
    return found


if __name__ == "__main__":
    main()
