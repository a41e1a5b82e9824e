"""How keras-nlp names the weights that have canonical names."""

import re

# Their paths and canonical names, layers apart. The tables' owners differ
# from family to family.
_PATHS = {
    "token_embedding/embeddings": "bert/embeddings/word_embeddings",
    "position_embedding/embeddings": "bert/embeddings/position_embeddings",
    "segment_embedding/embeddings": "bert/embeddings/token_type_embeddings",
    "embeddings_layer_norm": "bert/embeddings/LayerNorm",
    "pooled_dense": "bert/pooler/dense",
    "logits": "classifier",
    "mlm_head/intermediate_dense": "cls/predictions/transform/dense",
    "mlm_head/intermediate_layer_norm": "cls/predictions/transform/LayerNorm",
    "mlm_head/output_bias": "cls/predictions/output_bias",
}
_TABLES_OWNER = re.compile(r"^(embeddings|token_and_position_embedding)/")
_LAYER_PATHS = {
    "self_attention_layer/query": "attention/self/query",
    "self_attention_layer/key": "attention/self/key",
    "self_attention_layer/value": "attention/self/value",
    "self_attention_layer/attention_output": "attention/output/dense",
    "self_attention_layer_norm": "attention/output/LayerNorm",
    "feedforward_intermediate_dense": "intermediate/dense",
    "feedforward_output_dense": "output/dense",
    "feedforward_layer_norm": "output/LayerNorm",
}


def canonical_name(path: str) -> str:
    """Returns the canonical name of a variable, such as `classifier/bias`.

    Args:
        path: Of the variable in a model of keras-nlp, such as `logits/bias`.
    """
    path = _TABLES_OWNER.sub("", path)
    if path in _PATHS:
        return _PATHS[path]
    owner, kind = path.rsplit("/", 1)
    if owner in _PATHS:
        return f"{_PATHS[owner]}/{kind}"
    layer, inner = owner.removeprefix("transformer_").split("/", 1)
    return f"bert/encoder/{layer}/{_LAYER_PATHS[inner]}/{kind}"
