"""Distil BERT-family teachers into small students from stored knowledge.

Shapes in docstrings use one notation throughout the package:

    B  examples in the batch at hand       K  kept teacher candidates
    L  tokens in a sequence                V  vocabulary size
    P  masked positions of a sequence      D  width of the hidden states
    H  attention heads                     N  transformer layers

Packages form layers, and imports only point down:

    5  commands          one module per command, `python -m tfdistill.<name>`
    4  assembly, experiment, scoring, held_out, agreement, sweeps
    3  tasks, distillation
    2  models, training
    1  losses, metrics, text, records, replicas
    0  config, launcher, progress, files, tensors
"""

import os

# TensorFlow's C++ messages; what goes wrong is raised as an exception too.
# It reads this when it is imported, which is after this point.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"
