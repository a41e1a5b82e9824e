"""Puts finished runs on one HTML page that needs neither network nor scripts.

    python -m tfdistill.report runs/teacher runs/student --output=report.html

A folder that is no run, such as that of a sweep, stands for all runs below
it. Teachers that students name by --teacher are added where they are runs.
"""

import os
import pathlib
import platform
import shlex
from typing import Any

from tfdistill.config import run_command
from tfdistill.config.options import Artefacts, Examples, General, Knowledge
from tfdistill.files import write_atomically
from tfdistill.records import open_record_set
from tfdistill.reporting import (
    Breakdown,
    FinishedRun,
    Section,
    arrange,
    break_down,
    find_runs,
    make_page,
    measure_latencies,
)
from tfdistill.tasks import find_task


def report(
    paths: tuple[str, ...],
    artefacts: Artefacts,
    general: General,
    examples: Examples,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Put finished runs on one HTML page."""
    output = pathlib.Path(artefacts.output)
    if output.is_dir():
        raise ValueError(f"--output={output} is a folder, expected a file.")
    runs = _with_teachers(find_runs(paths))
    sections = arrange(runs)
    breakdowns = {}
    if artefacts.eval_records:
        section = _section_of(sections, artefacts.eval_records, general.task)
        breakdowns[section.eval_records] = _break_down(
            section, artefacts.eval_records, knowledge.predict_batch_size
        )
    machine = _machine()
    firsts = [g.runs[0].path for section in sections for g in section.groups]
    latencies = measure_latencies(firsts, examples.max_seq_length)
    page = make_page(
        "Report: " + shlex.join(paths),
        sections,
        dict(zip(map(str, firsts), latencies, strict=True)),
        breakdowns,
        machine,
    )
    with write_atomically(output) as temporary:
        temporary.write_text(page, "utf-8")
    return {
        "output": str(output),
        "runs": len(runs),
        "models": len(firsts),
        "bytes": len(page.encode()),
    }


def _with_teachers(runs: list[FinishedRun]) -> list[FinishedRun]:
    """Add the runs that are teachers of others."""
    asked = dict.fromkeys(r.flag("teacher") for r in runs)
    there = [
        p for p in asked if p and (pathlib.Path(p) / "config.json").exists()
    ]
    known = {run.path.resolve() for run in runs}
    return runs + [
        run
        for path in there
        if (pathlib.Path(path) / "result.json").exists()
        for run in find_runs([path])
        if run.path.resolve() not in known
    ]


def _section_of(
    sections: list[Section], eval_records: str, task: str
) -> Section:
    for section in sections:
        if section.task == task and section.eval_records == eval_records:
            return section
    known = ", ".join(
        f"--task={s.task} --eval_records={s.eval_records}" for s in sections
    )
    raise ValueError(
        f"No run is of --task={task} and was evaluated on "
        f"--eval_records={eval_records}. Known: {known}."
    )


def _break_down(
    section: Section, eval_records: str, batch_size: int
) -> list[Breakdown]:
    records = open_record_set(eval_records)
    return break_down(
        {group.name: group.runs[0].path for group in section.groups},
        records,
        find_task(section.task, records),
        batch_size,
    )


def _machine() -> str:
    """Returns the processor's name, its cores and how busy they are."""
    name = platform.processor() or platform.machine()
    listed = pathlib.Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    # What else runs makes latencies longer.
    load = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores, load {load:.1f} beforehand"


if __name__ == "__main__":
    run_command(
        report,
        Artefacts,
        General,
        Examples,
        Knowledge,
        arguments="RUN…",
        needs=("output",),
        examples=(
            "runs/teacher runs/student --output=report.html",
            "runs/study/objectives --task=sst2 "
            "--eval_records=runs/study/sst2/dev --output=study.html",
        ),
    )
