"""The one contract at which models meet objectives.

A model returns a dictionary. It leaves out what it does not have, and
computes only the fields that were asked for:

    logits                 task logits; masked LM: `[B, P, V]`
    next_sentence_logits   `[B, 2]`: is the next sentence, is a random one
    pooled                 `[B, D]`
    hidden_states          N + 1 tensors `[B, L, D]`, embeddings first
    attention_scores       N tensors `[B, H, L, L]`, scaled by
                           1 / sqrt(d), before mask and softmax
    queries, keys, values  N tensors `[B, H, L, d]` each
"""

from typing import Any

Outputs = dict[str, Any]

ATTENTION_FIELDS = ("attention_scores", "queries", "keys", "values")
FIELDS = (
    "logits",
    "next_sentence_logits",
    "pooled",
    "hidden_states",
    *ATTENTION_FIELDS,
)
