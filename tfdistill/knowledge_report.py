"""Says what each way to store knowledge costs and is worth, before it is done.

python -m tfdistill.knowledge_report --records=DIR --teacher=DIR \
        --output_dir=DIR [--student=DIR]
"""

import pathlib
from typing import Any

import numpy as np

from tfdistill import assembly
from tfdistill.agreement import check_length, tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Devices,
    General,
    Knowledge,
)
from tfdistill.distillation.comparison import (
    Candidate,
    Comparison,
    Measured,
    candidates,
)
from tfdistill.distillation.extraction import check_open
from tfdistill.files import write_atomically, write_json
from tfdistill.models.specs import build_student
from tfdistill.progress import Progress
from tfdistill.records import open_record_set, training_batches
from tfdistill.tasks import find_task

# Of nearly equal bytes are top 10, 4 with 8 draws, and 14 draws alone.
_CODECS = (
    "top_k(k=10)",
    "hybrid(k=4, samples=8)",
    "hybrid(k=0, samples=14)",
    "top_k(k=64)",
    "hybrid(k=32, samples=48)",
    "hidden(bits=8)",
    "hidden(bits=16)",
    "top_k(k=all)",
)
_STUDENTS = {
    "": "bert(num_layers=2, hidden_dim=128, num_heads=2)",
    "seq2seq": "seq2seq(num_layers=2, hidden_dim=128, num_heads=2)",
}
_COLUMNS = {
    "bytes_per_position": "bytes a position",
    "kl": "KL, nats",
    "gradient_angle_degrees": "angle, degrees",
    "gradient_norm_ratio": "norm ratio",
    "bias": "bias",
    "bias_standard_error": "its standard error",
}


def knowledge_report(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Compare codecs on a sample of records, with a real teacher."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    if not replicas.process.is_alone:
        raise ValueError("knowledge_report runs in one process.")
    records = open_record_set(artefacts.records)
    task = find_task(general.task, records)
    check_open(records)
    teacher = assembly.load_teacher(task, artefacts.teacher, knowledge)
    tokenizer = tokenizer_of(
        records,
        teacher,
        artefacts.vocab_file,
        corpus.do_lower_case,
        role="teacher",
    )
    records = records.with_vocabulary(len(tokenizer.vocabulary))
    check_length(teacher.model, records, "teacher")
    spec = artefacts.student or _STUDENTS.get(task.kind, _STUDENTS[""])
    student = build_student(
        spec,
        tokenizer=tokenizer,
        teacher=teacher,
        seed=general.random_seed,
        heads=task.heads,
        kind=task.kind,
    )
    check_length(student.model, records, "student")
    compared = candidates(
        knowledge.knowledge or _CODECS, records, teacher.model
    )
    sample = min(knowledge.report_examples, records.examples)
    if sample < 2:
        raise ValueError(
            f"{records.path} holds {sample} of the 2 examples that are needed "
            "for a standard error."
        )
    # Of one batch alone there is no standard error.
    size = min(knowledge.predict_batch_size, sample // 2)
    batches = training_batches(
        records,
        batch_size=size,
        seed=general.random_seed,
        shuffle_buffer_size=100_000,
        first_step=0,
        process_slice=(0, size),
    )
    comparison = Comparison(student.model, teacher.model)
    found = []
    with Progress("comparing", sample // size, unit=" batches") as progress:
        for _ in range(sample // size):
            found.append(comparison.measure(next(batches), compared))
            progress.advance(1)
    codecs = {
        one.name: _summary([batch[i] for batch in found])
        for i, one in enumerate(compared)
    }
    summary = {
        "records": artefacts.records,
        "teacher": artefacts.teacher,
        "student": spec,
        "examples": sample // size * size,
        "positions": sum(batch[0].positions for batch in found),
        "codecs": codecs,
    }
    folder = pathlib.Path(artefacts.output_dir)
    write_json(folder / "report.json", summary)
    with write_atomically(folder / "report.md") as temporary:
        temporary.write_text(_table(codecs), "utf-8")
    _plot(folder / "report.png", codecs, compared)
    return {"output_dir": artefacts.output_dir, **summary}


def _summary(found: list[Measured]) -> dict[str, float]:
    """Returns means, and the standard error over batches of the bias."""
    positions = sum(one.positions for one in found)
    biases = [one.bias for one in found]
    error = np.std(biases, ddof=1) / len(found) ** 0.5
    return {
        "bytes_per_position": round(
            sum(one.stored_bytes for one in found) / positions, 2
        ),
        "kl": sum(one.kl for one in found) / positions,
        "gradient_angle_degrees": float(np.mean([one.angle for one in found])),
        "gradient_norm_ratio": float(
            np.mean([one.norm_ratio for one in found])
        ),
        "bias": float(np.mean(biases)),
        "bias_standard_error": float(error),
    }


def _table(codecs: dict[str, dict[str, float]]) -> str:
    lines = [
        "| knowledge | " + " | ".join(_COLUMNS.values()) + " |",
        "| --- |" + " --- |" * len(_COLUMNS),
    ]
    for name, values in codecs.items():
        cells = [f"{values[key]:.4g}" for key in _COLUMNS]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plot(
    path: pathlib.Path,
    codecs: dict[str, dict[str, float]],
    compared: list[Candidate],
) -> None:
    # Costs a second, and other commands don't draw.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {
        "kl": "KL (nats)",
        "gradient_angle_degrees": "gradient angle (degrees)",
        "bias": "bias (share of squared gradient)",
    }
    figure = Figure(figsize=(15, 5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (key, label) in zip(
        figure.subplots(1, len(shown)), shown.items(), strict=True
    ):
        for tail in dict.fromkeys(one.tail for one in compared):
            of_tail = [codecs[o.name] for o in compared if o.tail == tail]
            axes.scatter(
                [values["bytes_per_position"] for values in of_tail],
                # Nothing less is told from none, or drawn on such an axis.
                [max(values[key], 1e-9) for values in of_tail],
                label=tail,
            )
        axes.set(xscale="log", yscale="log", ylabel=label)
        axes.set_xlabel("bytes a position")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")


if __name__ == "__main__":
    run_command(
        knowledge_report,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        needs=("records", "teacher", "output_dir"),
        examples=(
            "--records=records/wiki --teacher=bert --output_dir=runs/knowledge",
            "--records=records/wiki --teacher=bert --output_dir=runs/knowledge "
            "--knowledge='top_k(k=10)' --knowledge='hybrid(k=4, samples=8)'",
        ),
    )
