"""Small models of whole words: recurrent and convolutional, for distillation.

Reference: Tang et al., "Distilling Task-Specific Knowledge from BERT into
    Simple Neural Networks", 2019, and the code that they published.
"""

from tfdistill.models.words.configuration import (
    BiLstmConfig,
    ConvRnnConfig,
    KimCnnConfig,
    SiameseBiLstmConfig,
    WordConfig,
)
from tfdistill.models.words.kim_cnn import KimCnn
from tfdistill.models.words.recurrent_models import RecurrentModel

__all__ = [
    "BiLstmConfig",
    "ConvRnnConfig",
    "KimCnn",
    "KimCnnConfig",
    "RecurrentModel",
    "SiameseBiLstmConfig",
    "WordConfig",
]
