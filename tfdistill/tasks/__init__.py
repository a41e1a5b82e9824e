"""Tasks: what records hold, which labels there are, how models are scored.

`TASKS` maps the name that `--task` takes to a task.
"""

from tfdistill.tasks.mlm import MLM
from tfdistill.tasks.task import Target, Task

TASKS: dict[str, Task] = {"mlm": MLM}

__all__ = ["TASKS", "Target", "Task"]
