"""Reads a record set through and says whether it is sound.

python -m tfdistill.verify_records --records=DIR
"""

import pathlib
from typing import Any

from tfdistill.config import run_command
from tfdistill.config.options import Artefacts
from tfdistill.records import open_record_set


def verify_records(artefacts: Artefacts) -> dict[str, Any]:
    """Check every byte of a record set against its manifest.

    Raises:
        ValueError: A file is missing, cut or changed, or examples are not
            of the schema; the message names the file.
    """
    records = open_record_set(artefacts.records)
    damage = records.damage()
    if damage is not None:
        raise ValueError(damage)
    return {
        "records": artefacts.records,
        "examples": records.examples,
        "shards": len(records.shards),
        "bytes": sum(
            pathlib.Path(s.path).stat().st_size for s in records.shards
        ),
        "knowledge": list(records.knowledge),
        "fingerprint": records.fingerprint,
    }


if __name__ == "__main__":
    run_command(
        verify_records,
        Artefacts,
        needs=("records",),
        examples=(
            "--records=records/wiki",
            "--records='shards/*.tfrecord'",
        ),
    )
