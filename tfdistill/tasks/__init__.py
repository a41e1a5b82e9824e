"""Tasks: what records hold, which labels there are, how models are scored.

`MLM` is about masked pieces, `SQUAD` about questions on texts, `GENERATION`
about texts to be written, and `CMLM` is what their teachers learn; `CAUSAL_LM`
is about what comes next in a text; all others are about sentences and pairs.
"""

from tfdistill.config.question_answering import Answering
from tfdistill.records import RecordSet
from tfdistill.tasks.causal_lm import CAUSAL_LM
from tfdistill.tasks.generation import CMLM, GENERATION, generation_task
from tfdistill.tasks.glue import GLUE
from tfdistill.tasks.mlm import MLM
from tfdistill.tasks.own_task import OWN_TASKS
from tfdistill.tasks.question_answering import SQUAD, question_task
from tfdistill.tasks.sentences import sentence_task
from tfdistill.tasks.task import Measured, Target, Task

# What --task takes.
TASKS = (
    MLM.name,
    CAUSAL_LM.name,
    *GLUE,
    *OWN_TASKS,
    *SQUAD,
    *GENERATION,
    CMLM,
)


def find_task(
    name: str, records: RecordSet, answering: Answering | None = None
) -> Task:
    """Returns the task of records.

    Args:
        name: As in `--task`.
        records: What it is about.
        answering: How answers to questions are chosen; None: as by default.

    Raises:
        ValueError: It is not known, or the records were made for another.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}. Known: {', '.join(TASKS)}.")
    made_for = records.identity.get("task", MLM.name)
    if name == CMLM and made_for in GENERATION:
        return generation_task(name, records)
    if made_for != name:
        raise ValueError(
            f"{records.path} was made for --task={made_for}, not for {name}."
        )
    if name in SQUAD:
        return question_task(records, answering or Answering())
    if name in GENERATION:
        return generation_task(name, records)
    of_language = {task.name: task for task in (MLM, CAUSAL_LM)}
    return of_language.get(name) or sentence_task(records)


__all__ = [
    "CAUSAL_LM",
    "CMLM",
    "GENERATION",
    "GLUE",
    "MLM",
    "SQUAD",
    "TASKS",
    "Measured",
    "Target",
    "Task",
    "find_task",
]
