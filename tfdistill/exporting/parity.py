"""The gate: an export says what the model says, or it is not kept."""

import numpy as np

from tfdistill.exporting.examples import RealExamples, predictions_of
from tfdistill.metrics import sentence_metrics

LARGEST_DIFFERENCE = 1e-3
LARGEST_LOSS = 0.01
_ROUNDING = 1e-9


def check_parity(
    examples: RealExamples,
    exported: np.ndarray,
    *,
    metric: str,
    is_exact: bool,
) -> dict[str, float]:
    """Compare an export with the model that it was made of.

    Args:
        examples: What both were run on.
        exported: float `[N, C]`, logits of the export.
        metric: The task's own, in points of 0.01.
        is_exact: Whether logits must agree within `LARGEST_DIFFERENCE`; else
            the metric must be within `LARGEST_LOSS`.

    Returns:
        `examples`, `largest_difference` of logits, `same_predictions` (a
        share; of classes alone), and the metric of both where there are
        labels.

    Raises:
        ValueError: They differ by more, or there are no labels to tell.
    """
    ours = examples.logits
    if exported.shape != ours.shape:
        raise ValueError(
            f"The export's logits are {list(exported.shape)}, the model's "
            f"{list(ours.shape)}: it is not kept."
        )
    # What is no number is not close to anything.
    difference = float(np.abs(exported - ours).max())
    found = {"examples": len(ours), "largest_difference": difference}
    ours_predicts = predictions_of(ours)
    theirs_predicts = predictions_of(exported)
    if ours.shape[1] > 1:
        same = ours_predicts == theirs_predicts
        found["same_predictions"] = float(same.mean())
    if not np.isfinite(difference):
        raise ValueError(
            "The export's logits are not finite numbers: it is not kept."
        )
    if examples.labels is not None:
        for name, predicted in (
            (metric, ours_predicts),
            (f"exported_{metric}", theirs_predicts),
        ):
            found[name] = sentence_metrics(
                [metric], predicted, examples.labels
            )[metric]
    elif not is_exact:
        raise ValueError(
            "--eval_records with labels are needed to tell what is lost."
        )
    if is_exact and difference > LARGEST_DIFFERENCE:
        raise ValueError(
            f"The export's logits differ by {difference:.2g} on "
            f"{len(ours)} examples, at most {LARGEST_DIFFERENCE} is allowed: "
            "it is not kept."
        )
    if not is_exact:
        loss = abs(found[metric] - found[f"exported_{metric}"])
        if loss > LARGEST_LOSS + _ROUNDING:
            raise ValueError(
                f"The export's {metric} is {found[f'exported_{metric}']:.4f}, "
                f"the model's {found[metric]:.4f} on {len(ours)} examples; a "
                f"difference of {LARGEST_LOSS} is allowed: it is not kept."
            )
    return found
