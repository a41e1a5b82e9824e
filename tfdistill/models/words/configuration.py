"""The shapes of models of words."""

import dataclasses
from typing import ClassVar

from tfdistill.models.configuration import check_types

Shape = tuple[int, ...]

# The tables of each mode, in the order in which their vectors are joined.
VECTORS = {
    "random": ("non_static",),
    "static": ("static",),
    "non_static": ("non_static",),
    "multichannel": ("non_static", "static"),
}
# Gates of each kind of cell.
GATES = {"lstm": 4, "gru": 3}
# Words that a filter of the convolutional model sees.
WIDTHS = (3, 4, 5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordConfig:
    """What all models of words have.

    Attributes:
        vocabulary_size: V, words.
        vectors: One of `VECTORS`: a trained table that starts at random; a
            frozen one of given vectors; a trained one that starts from
            these; or both of these side by side.
        vector_dim: D, numbers of a word in each table.
        dropout: Rate before the last layer, in [0, 1).
        num_classes: C; 1 for scores.
        is_pair: Whether it reads pairs of sentences.

    Raises:
        ValueError: A value is of another type or out of range.
    """

    vocabulary_size: int = 30_000
    vectors: str = "random"
    vector_dim: int = 300
    dropout: float = 0.1
    num_classes: int = 2

    is_pair: ClassVar[bool] = False
    # How the canonical names of its weights begin.
    scope: ClassVar[str] = "words"

    def __post_init__(self) -> None:
        check_types(self, "a model of words")
        for name, value in dataclasses.asdict(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"{name}={value} is not positive.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1).")
        check_vectors(self.vectors)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables of vectors; `static` is frozen."""
        return VECTORS[self.vectors]

    @property
    def word_dim(self) -> int:
        """Width of a word's vectors, joined."""
        return len(self.tables) * self.vector_dim

    @property
    def conventions(self) -> list[float]:
        """What a model computes with its weights, beside its class."""
        return []

    def weight_shapes(self) -> dict[str, Shape]:
        """Returns the shapes of all weights by the variables' names."""
        raise NotImplementedError

    def _table_shapes(self, owner: str) -> dict[str, Shape]:
        shape = (self.vocabulary_size, self.vector_dim)
        return {f"{owner}/{table}/table": shape for table in self.tables}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrentConfig(WordConfig):
    """What all recurrent models have.

    Attributes:
        rnn: Kind of cells, one of `GATES`.
        hidden_dim: h, width of the state of one direction.
        fc_dim: Width of the layer before the last one.
    """

    rnn: str = "lstm"
    hidden_dim: int = 150
    fc_dim: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rnn not in GATES:
            raise ValueError(
                f"Unknown rnn {self.rnn!r}. Known: {', '.join(GATES)}."
            )

    @property
    def feature_dim(self) -> int:
        """Width of what the encoder makes of an example."""
        return 2 * self.hidden_dim

    def weight_shapes(self) -> dict[str, Shape]:
        """As `WordConfig`."""
        width = GATES[self.rnn] * self.hidden_dim
        shapes = self._table_shapes("encoder/embedding")
        for direction in ("forward", "backward"):
            owner = f"encoder/rnn/{direction}"
            shapes |= {
                f"{owner}/kernel": (self.word_dim, width),
                f"{owner}/recurrent_kernel": (self.hidden_dim, width),
                f"{owner}/bias": (width,) if self.rnn == "lstm" else (2, width),
            }
        return {
            **shapes,
            **dense("pooler", self.feature_dim, self.fc_dim),
            **dense("classifier", self.fc_dim, self.num_classes),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class BiLstmConfig(RecurrentConfig):
    """The last states of both directions, h each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SiameseBiLstmConfig(RecurrentConfig):
    """The same of both sentences u and v: u, v, |u - v|, u * v."""

    is_pair: ClassVar[bool] = True

    @property
    def feature_dim(self) -> int:
        """As `RecurrentConfig`."""
        return 8 * self.hidden_dim


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvRnnConfig(RecurrentConfig):
    """The last states, and the maxima over time of maps of all states.

    Attributes:
        num_feature_maps: Maps.
    """

    num_feature_maps: int = 200

    @property
    def feature_dim(self) -> int:
        """As `RecurrentConfig`."""
        return self.num_feature_maps + 2 * self.hidden_dim

    def weight_shapes(self) -> dict[str, Shape]:
        """As `WordConfig`."""
        maps = dense("encoder/maps", 2 * self.hidden_dim, self.num_feature_maps)
        return {**super().weight_shapes(), **maps}


@dataclasses.dataclass(frozen=True, kw_only=True)
class KimCnnConfig(WordConfig):
    """Filters over `WIDTHS` words, and their maxima over time.

    Attributes:
        num_filters: Filters of each width.
    """

    num_filters: int = 100

    @property
    def feature_dim(self) -> int:
        """Width of what the filters make of an example."""
        return len(WIDTHS) * self.num_filters

    def weight_shapes(self) -> dict[str, Shape]:
        """As `WordConfig`."""
        shapes = self._table_shapes("encoder")
        for width in WIDTHS:
            shapes |= {
                f"pooler/width_{width}/kernel": (
                    width,
                    self.word_dim,
                    self.num_filters,
                ),
                f"pooler/width_{width}/bias": (self.num_filters,),
            }
        last = dense("classifier", self.feature_dim, self.num_classes)
        return {**shapes, **last}


def check_vectors(vectors: str) -> None:
    """Refuse a mode of word vectors that is not known.

    Raises:
        ValueError: It is not one of `VECTORS`.
    """
    if vectors not in VECTORS:
        raise ValueError(
            f"Unknown vectors {vectors!r}. Known: {', '.join(VECTORS)}."
        )


def dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    """Returns the shapes of a linear map by the names of its weights."""
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}
