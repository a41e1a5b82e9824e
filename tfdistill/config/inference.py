"""Options of models that are asked, not trained."""

import dataclasses

from tfdistill.config.fields import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inference(Options):
    """How a model is asked that is not trained."""

    precision: str = option(
        "float32",
        "float32; bfloat16 or int8: an encoder's products in fewer bits, "
        "which is faster on processors that can.",
        choices=("float32", "bfloat16", "int8"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knowledge(Options):
    """What is stored of the teacher."""

    knowledge: tuple[str, ...] = option(
        (),
        "Codec, may be repeated: top_k(k=10), or top_k(k=all) for the whole "
        "distribution; hybrid(k=4, samples=8); hidden(bits=8); logits of "
        "classes or answers; "
        "features(hidden_states=[0, 3], attention_scores=[5]). Empty: "
        "top_k(k=10), of texts to write top_k(k=8), but logits of classes "
        "and answers.",
    )
    cmlm_groups: int = option(
        7,
        "Passes in which a conditional masked LM is asked about a target: "
        "each masks every so-manieth piece.",
        minimum=1,
        maximum=1 << 10,
    )
    report_examples: int = option(
        256,
        "Records that knowledge_report looks at, drawn by --random_seed.",
        minimum=2,
    )
    predict_batch_size: int = option(
        32,
        "Examples in a batch of inference; extract_teacher gives each "
        "device as many.",
        minimum=1,
        maximum=1 << 20,
    )
