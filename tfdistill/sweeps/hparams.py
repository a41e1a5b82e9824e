"""What TensorBoard's HParams shows of a sweep: points and scores of its runs.

TensorBoard is imported where it is needed, as that takes a second.
"""

import pathlib
import time
from collections.abc import Mapping
from typing import Any

FOLDER = "summaries/hparams"


def write_hparams(
    run_dir: pathlib.Path, points: Mapping[str, str], summary: Mapping[str, Any]
) -> None:
    """Write the points of a finished run and the metrics that it reached.

    Nothing is done where they are written already, or where the run's folder
    is gone.

    Args:
        run_dir: The run's folder.
        points: The run's point on each axis.
        summary: What it printed.

    Raises:
        OSError: They cannot be written.
    """
    folder = run_dir / FOLDER
    if not run_dir.is_dir() or folder.exists():
        return
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import api
    from tensorboard.plugins.scalar.summary import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    step = int(summary.get("steps", 0))
    writer = EventFileWriter(str(folder))
    found = [api.hparams_pb(dict(points), trial_id="+".join(points.values()))]
    found += [
        scalar_pb(f"metrics/{name}", float(value))
        for name, value in summary.get("eval", {}).items()
    ]
    for part in found:
        event = Event(wall_time=time.time(), step=step)
        event.summary.CopyFrom(part)
        writer.add_event(event)
    writer.close()
