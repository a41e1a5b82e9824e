"""Label losses against golden numbers."""

import numpy as np
from golden import golden

from tfdistill.losses.labels import cross_entropy

GOLDEN = golden("transformer_distillation")["next_sentence"]


def test_next_sentence_values():
    logits = np.array(GOLDEN["logits"], np.float32)
    values = cross_entropy(logits, np.array(GOLDEN["labels"]))
    np.testing.assert_allclose(values, GOLDEN["values"], atol=1e-6)
    np.testing.assert_allclose(np.mean(values), GOLDEN["mean"], atol=1e-6)
