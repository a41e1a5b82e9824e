"""One training loop, its optimizers, evaluation and run directory."""

from tfdistill.training.evaluation import Findings, go_through
from tfdistill.training.loop import Cadence, train
from tfdistill.training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    Schedule,
    make_optimizer,
    scaled_rate,
)
from tfdistill.training.run_directory import RunDirectory, find_result

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Cadence",
    "Findings",
    "RunDirectory",
    "Schedule",
    "find_result",
    "go_through",
    "make_optimizer",
    "scaled_rate",
    "train",
]
