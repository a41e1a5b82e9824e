"""What a student learns from whom, and the step in which it does."""

from tfdistill.distillation.objective import (
    OBJECTIVES,
    Objective,
    make_objectives,
)
from tfdistill.distillation.step import TrainStep
from tfdistill.distillation.teachers import (
    Teacher,
    live_teacher,
    recorded_teacher,
)

__all__ = [
    "OBJECTIVES",
    "Objective",
    "Teacher",
    "TrainStep",
    "live_teacher",
    "make_objectives",
    "recorded_teacher",
]
