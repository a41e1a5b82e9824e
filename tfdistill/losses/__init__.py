"""Pure maths of the objectives: functions of tensors, no models, no state.

On predictions: `soft_targets`, `labels`, `logits`, element-wise. On states:
`hidden`, `attention`, `relations`, `word_relations`, `layer_relations` and
`contrastive`, which return the `Parts` of `reduction`.
"""
