"""Label losses against numbers worked out by hand."""

import numpy as np

from tfdistill.losses import cross_entropy


def test_next_sentence_values():
    logits = np.array([[0, 1], [2, -1]], np.float32)
    values = cross_entropy(logits, np.array([1, 0]))
    np.testing.assert_allclose(values, [0.3132617, 0.0485874], atol=1e-6)
    assert abs(float(np.mean(values)) - 0.1809245) < 1e-6
