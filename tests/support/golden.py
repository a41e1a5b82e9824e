"""Golden numbers, from a folder that TFDISTILL_GOLDEN may name."""

import json
import os
import pathlib
from typing import Any

FOLDER = pathlib.Path(
    os.environ.get(
        "TFDISTILL_GOLDEN", pathlib.Path(__file__).parent.parent / "golden"
    )
)


def golden(name: str) -> dict[str, Any]:
    """Returns the numbers of one file of the folder."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
