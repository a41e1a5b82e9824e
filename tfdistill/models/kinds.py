"""The kinds of models: what fixes their shape, and what makes them."""

import dataclasses
from collections.abc import Callable

from tfdistill.models.bert import Bert
from tfdistill.models.causal import (
    Gpt2Config,
    LanguageModel,
    TransformerXlConfig,
)
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.configuration import BertConfig
from tfdistill.models.outputs import Model
from tfdistill.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tfdistill.models.weights import Config
from tfdistill.models.words import (
    BiLstmConfig,
    ConvRnnConfig,
    KimCnn,
    KimCnnConfig,
    RecurrentModel,
    SiameseBiLstmConfig,
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        config: The class of its configurations, which is no other kind's.
        make: From a configuration, a seed and heads to a model.
    """

    config: type[Config]
    make: Callable[..., Model]


# By the name in a model's folder.
KINDS: dict[str, Kind] = {
    "bert": Kind(BertConfig, Bert),
    "bilstm": Kind(BiLstmConfig, RecurrentModel),
    "siamese_bilstm": Kind(SiameseBiLstmConfig, RecurrentModel),
    "conv_rnn": Kind(ConvRnnConfig, RecurrentModel),
    "kim_cnn": Kind(KimCnnConfig, KimCnn),
    "gpt2": Kind(Gpt2Config, LanguageModel),
    "transformer_xl": Kind(TransformerXlConfig, LanguageModel),
    "seq2seq": Kind(Seq2SeqConfig, Seq2Seq),
    "cmlm": Kind(ConditionalConfig, ConditionalLM),
}


def kind_of(config: Config) -> str:
    """Returns the name of a configuration's kind."""
    return next(n for n, kind in KINDS.items() if kind.config is type(config))
