"""The gate of exports."""

import numpy as np
import pytest

from tfdistill.exporting import RealExamples, check_parity

LOGITS = np.array([[2.0, 0], [0, 1], [0.2, 0], [0, 3]] * 50, np.float32)
LABELS = np.array([0, 1, 0, 1] * 50)


def examples(logits=LOGITS, labels=LABELS):
    return RealExamples(features={}, labels=labels, logits=logits, texts=None)


def test_what_is_the_same_passes():
    found = check_parity(
        examples(), LOGITS + 5e-4, metric="accuracy", is_exact=True
    )
    assert found["largest_difference"] == pytest.approx(5e-4, rel=1e-2)
    assert found["examples"] == 200 and found["same_predictions"] == 1
    assert found["accuracy"] == found["exported_accuracy"] == 1


def test_one_logit_is_enough_to_be_refused():
    exported = LOGITS.copy()
    exported[77, 1] += 2e-3
    with pytest.raises(ValueError, match=r"differ by 0\.002 on 200 examples"):
        check_parity(examples(), exported, metric="accuracy", is_exact=True)
    # One that is not exact may: it predicts the same.
    check_parity(examples(), exported, metric="accuracy", is_exact=False)


def test_what_is_not_exact_may_lose_a_point():
    exported = LOGITS.copy()
    exported[[0, 1]] = exported[[0, 1], ::-1]
    found = check_parity(
        examples(), exported, metric="accuracy", is_exact=False
    )
    assert found["exported_accuracy"] == pytest.approx(0.99)
    assert found["same_predictions"] == pytest.approx(0.99)
    exported[2] = exported[2, ::-1]
    with pytest.raises(ValueError, match=r"accuracy is 0\.9850.*1\.0000 on"):
        check_parity(examples(), exported, metric="accuracy", is_exact=False)


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(is_exact, value):
    exported = LOGITS.copy()
    exported[3, 0] = value
    with pytest.raises(ValueError, match="not finite"):
        check_parity(examples(), exported, metric="accuracy", is_exact=is_exact)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\[200, 1\], the model's \[200, 2\]"):
        check_parity(
            examples(), LOGITS[:, :1], metric="accuracy", is_exact=True
        )


def test_without_labels_only_logits_tell():
    found = check_parity(
        examples(labels=None), LOGITS, metric="accuracy", is_exact=True
    )
    assert "accuracy" not in found
    with pytest.raises(ValueError, match="--eval_records with labels"):
        check_parity(
            examples(labels=None), LOGITS, metric="accuracy", is_exact=False
        )


def test_scores_have_no_classes():
    scores = np.linspace(0, 5, 40, dtype=np.float32)[:, None]
    found = check_parity(
        examples(scores, scores[:, 0]),
        scores,
        metric="spearman",
        is_exact=False,
    )
    assert "same_predictions" not in found
    assert found["exported_spearman"] == pytest.approx(1)
