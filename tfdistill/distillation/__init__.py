"""What a student learns from whom, and the step in which it does."""

from tfdistill.distillation.objectives import (
    FEATURES,
    LOGITS,
    OBJECTIVES,
    Context,
    Declared,
    Objective,
    bind_objectives,
    declare_objectives,
)
from tfdistill.distillation.step import TrainStep
from tfdistill.distillation.teachers import (
    Teacher,
    live_teacher,
    recorded_teacher,
)

__all__ = [
    "FEATURES",
    "LOGITS",
    "OBJECTIVES",
    "Context",
    "Declared",
    "Objective",
    "Teacher",
    "TrainStep",
    "bind_objectives",
    "declare_objectives",
    "live_teacher",
    "recorded_teacher",
]
