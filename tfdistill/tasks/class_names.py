"""What models of other programs call the classes of GLUE's tasks."""

from collections.abc import Sequence

# Of those that GLUE's own files have as 0 and 1.
_OTHER_NAMES = {
    "cola": ("unacceptable", "acceptable"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "qqp": ("not_duplicate", "duplicate"),
    "wnli": ("not_entailment", "entailment"),
}


def names_of_classes(task: str, labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the names that each class of a task goes by, its label first.

    Args:
        task: The task's name.
        labels: In the order of the classes; empty for regression.
    """
    if task not in _OTHER_NAMES:
        return [(label,) for label in labels]
    return list(zip(labels, _OTHER_NAMES[task], strict=True))
