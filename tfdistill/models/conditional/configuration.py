"""The shape of a conditional masked LM."""

import dataclasses
from typing import Any, ClassVar

from tfdistill.models.configuration import BertConfig, check_types

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalConfig:
    """Everything that fixes a conditional masked LM but its weights.

    Attributes:
        vocabulary_size: V, pieces that source and target share.
        num_groups: Groups that the places of a target are masked in, where
            each is to be masked once.
        bert: Shape of the BERT; its vocabulary are the rows that pieces are
            looked up in, which may be fewer than pieces.

    Raises:
        ValueError: A value is out of range.
    """

    vocabulary_size: int = 30_000
    num_groups: int = 7
    bert: BertConfig = dataclasses.field(default_factory=BertConfig)

    # How the canonical names of its weights begin.
    scope: ClassVar[str] = "conditional"

    def __post_init__(self) -> None:
        given: Any = self.bert
        if isinstance(given, dict):
            object.__setattr__(self, "bert", BertConfig(**given))
        for name in ("vocabulary_size", "num_groups"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value} is not a positive number.")
        check_types(self.bert, "a conditional masked LM")

    def weight_shapes(self) -> dict[str, Shape]:
        """Returns the shapes of all weights by the variables' names."""
        bert = self.bert
        dim, inner = bert.hidden_dim, bert.intermediate_dim
        shapes: dict[str, Shape] = {
            "encoder/input_rows": (self.vocabulary_size,),
            "generator/output_embedding/table": (self.vocabulary_size, dim),
            "generator/output_bias": (self.vocabulary_size,),
            **_dense("generator/transform", dim, dim),
            **_norm("generator/transform_layer_norm", dim),
            **_norm("encoder/encoder/embeddings_layer_norm", dim),
        }
        for name, rows in (
            ("word", bert.vocabulary_size),
            ("position", bert.max_sequence_length),
            ("segment", bert.num_segments),
        ):
            shapes[f"encoder/encoder/{name}_embeddings/table"] = (rows, dim)
        for i in range(bert.num_layers):
            layer = f"encoder/encoder/layer_{i}"
            shapes |= _dense(f"{layer}/qkv", dim, 3 * dim)
            shapes |= _dense(f"{layer}/attention_output", dim, dim)
            shapes |= _norm(f"{layer}/attention_layer_norm", dim)
            shapes |= _dense(f"{layer}/intermediate", dim, inner)
            shapes |= _dense(f"{layer}/output", inner, dim)
            shapes |= _norm(f"{layer}/output_layer_norm", dim)
        return shapes


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _norm(name: str, dim: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (dim,), f"{name}/beta": (dim,)}
