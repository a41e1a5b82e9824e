"""Tasks: what records hold, which labels there are, how models are scored.

`MLM` is about masked pieces; all others are about sentences and pairs.
"""

from tfdistill.records import RecordSet
from tfdistill.tasks.glue import GLUE
from tfdistill.tasks.mlm import MLM
from tfdistill.tasks.own_task import OWN_TASKS
from tfdistill.tasks.sentences import sentence_task
from tfdistill.tasks.task import Measured, Target, Task

# What --task takes.
TASKS = (MLM.name, *GLUE, *OWN_TASKS)


def find_task(name: str, records: RecordSet) -> Task:
    """Returns the task of records.

    Raises:
        ValueError: It is not known, or the records were made for another.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}. Known: {', '.join(TASKS)}.")
    made_for = records.identity.get("task", MLM.name)
    if made_for != name:
        raise ValueError(
            f"{records.path} was made for --task={made_for}, not for {name}."
        )
    return MLM if name == MLM.name else sentence_task(records)


__all__ = [
    "GLUE",
    "MLM",
    "TASKS",
    "Measured",
    "Target",
    "Task",
    "find_task",
]
