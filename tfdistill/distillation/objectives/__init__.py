"""What a student can be asked to learn.

`OBJECTIVES` maps the name in `--objective='name(weight=…, …)'` to its kind.
"""

from tfdistill.distillation.objectives.attention import (
    attention_kl,
    attention_mse,
    attention_pearson,
    minilm,
    minilm_v2,
    relation_kl,
    tinybert,
)
from tfdistill.distillation.objectives.contexts import (
    layer_angle,
    layer_distance,
    word_angle,
    word_distance,
)
from tfdistill.distillation.objectives.contrast import crd
from tfdistill.distillation.objectives.generation import text_generation
from tfdistill.distillation.objectives.objective import (
    FEATURES,
    LOGITS,
    Bind,
    Context,
    Declared,
    Kind,
    Known,
    Memory,
    Objective,
    Outputs,
    bind_objectives,
    declare_objectives,
)
from tfdistill.distillation.objectives.predictions import (
    labels,
    logit_mse,
    next_sentence,
    soft_targets,
)
from tfdistill.distillation.objectives.states import (
    alp_kd,
    hidden_concatenated,
    hidden_cosine,
    hidden_mse,
    pkd,
)
from tfdistill.records import DISTRIBUTION

OBJECTIVES: dict[str, Kind] = {
    "soft_targets": Kind(soft_targets, needs=DISTRIBUTION),
    "labels": Kind(labels),
    "logit_mse": Kind(logit_mse, needs=LOGITS),
    "next_sentence": Kind(next_sentence),
    "text_generation": Kind(text_generation, needs=DISTRIBUTION),
    "hidden_mse": Kind(hidden_mse, needs=FEATURES),
    "hidden_cosine": Kind(hidden_cosine, needs=FEATURES),
    "hidden_concatenated": Kind(hidden_concatenated, needs=FEATURES),
    "pkd": Kind(pkd, needs=FEATURES),
    "alp_kd": Kind(alp_kd, needs=FEATURES),
    "attention_mse": Kind(attention_mse, needs=FEATURES),
    "attention_kl": Kind(attention_kl, needs=FEATURES),
    "attention_pearson": Kind(attention_pearson, needs=FEATURES),
    "relation_kl": Kind(relation_kl, needs=FEATURES),
    "minilm": Kind(minilm, needs=FEATURES),
    "minilm_v2": Kind(minilm_v2, needs=FEATURES),
    "tinybert": Kind(tinybert, needs=FEATURES),
    "crd": Kind(crd, needs=FEATURES),
    "word_distance": Kind(word_distance, needs=FEATURES),
    "word_angle": Kind(word_angle, needs=FEATURES),
    "layer_distance": Kind(layer_distance, needs=FEATURES),
    "layer_angle": Kind(layer_angle, needs=FEATURES),
}

__all__ = [
    "DISTRIBUTION",
    "FEATURES",
    "LOGITS",
    "OBJECTIVES",
    "Bind",
    "Context",
    "Declared",
    "Kind",
    "Known",
    "Memory",
    "Objective",
    "Outputs",
    "bind_objectives",
    "declare_objectives",
]
