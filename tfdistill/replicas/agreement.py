"""Processes that work together must agree on what they do."""

import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

import tfdistill
from tfdistill.replicas.replicas import Replicas


@functools.cache
def fingerprint_of_code() -> str:
    """Returns what changes with this package's source and its libraries."""
    hashed = hashlib.sha256(f"{tf.__version__} {keras.__version__}".encode())
    root = pathlib.Path(tfdistill.__file__).parent
    for path in sorted(root.rglob("*.py")):
        hashed.update(str(path.relative_to(root)).encode() + b"\0")
        hashed.update(path.read_bytes() + b"\0")
    return f"{tfdistill.__version__}-{hashed.hexdigest()[:12]}"


def check_same(replicas: Replicas, facts: Mapping[str, Any]) -> None:
    """Refuse to go on unless all processes hold the same facts.

    All processes must call it.

    Args:
        replicas: The processes.
        facts: JSON values by what they are, such as `records`.

    Raises:
        ValueError: A process differs from the first; the message names its
            rank and the first fact that is not the same. All raise it.
    """
    mine = {name: json.dumps(value) for name, value in facts.items()}
    first, *others = map(json.loads, replicas.gather(json.dumps(mine)))
    for rank, theirs in enumerate(others, start=1):
        for name in [*first, *(n for n in theirs if n not in first)]:
            if first.get(name) != theirs.get(name):
                raise ValueError(
                    f"Rank {rank} has another {name} "
                    f"({_short(theirs.get(name))}) than rank 0 "
                    f"({_short(first.get(name))})."
                )


def _short(value: str | None) -> str:
    text = "none" if value is None else value
    return text if len(text) <= 60 else f"{text[:57]}..."
