"""What lies beside a model that reads ids: vocabulary and names of classes."""

import pathlib

from tfdistill.models.formats import LoadedModel


def write_beside(loaded: LoadedModel, folder: pathlib.Path) -> None:
    """Write the tokenizer's files and, of classes with names, labels.txt."""
    for name, vocabulary in loaded.tokenizer.files().items():
        (folder / name).write_bytes(vocabulary)
    if loaded.labels:
        (folder / "labels.txt").write_text(
            "".join(f"{label}\n" for label in loaded.labels), "utf-8"
        )
