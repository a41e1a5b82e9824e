"""Which runs repeat each other, and which can be compared."""

import dataclasses
import json
import math
import statistics
from collections.abc import Sequence

from tfdistill.reporting.runs import FinishedRun

# What differs between runs that only have other seeds: what a student starts
# from is drawn from the seed.
_OF_THE_SEED = ("random_seed", "model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        name: "T" for a teacher, else a number.
        runs: At least one.
        is_teacher: Whether others in the section learnt from it.
        teacher: Name of the group that it learnt from; "" if unknown.
        share: Its mean score by that of its teacher; None where either is
            not known, or a share makes no sense.
    """

    name: str
    runs: tuple[FinishedRun, ...]
    is_teacher: bool = False
    teacher: str = ""
    share: float | None = None

    @property
    def scores(self) -> list[float]:
        """Scores of the runs that have one."""
        return [run.score for run in self.runs if run.score is not None]

    @property
    def mean(self) -> float | None:
        """The mean score."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation; None of less than two scores."""
        scores = self.scores
        if len(scores) < 2 or not all(map(math.isfinite, scores)):
            return None
        return statistics.stdev(scores)

    @property
    def start(self) -> str:
        """What was trained, as the command line said it."""
        first = self.runs[0]
        return first.flag("student" if first.command == "distill" else "model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """Runs of one task that were evaluated on the same records.

    Attributes:
        task: As in `--task`.
        eval_records: As in `--eval_records`; empty for none.
        metric: The task's own.
        higher_is_better: Whether that should be high.
        groups: Teachers first, then as the runs were given.
    """

    task: str
    eval_records: str
    metric: str
    higher_is_better: bool
    groups: tuple[Group, ...]


def arrange(runs: Sequence[FinishedRun]) -> list[Section]:
    """Put runs that can be compared together, and repeats into groups.

    Args:
        runs: In the order in which they shall stand.
    """
    sections: dict[tuple[str, str, str], list[FinishedRun]] = {}
    for run in runs:
        key = (run.config["task"], run.flag("eval_records"), run.metric)
        sections.setdefault(key, []).append(run)
    return [
        Section(
            task=task,
            eval_records=eval_records,
            metric=metric,
            higher_is_better=bool(found[0].result["higher_is_better"]),
            groups=_groups(found),
        )
        for (task, eval_records, metric), found in sections.items()
    ]


def _groups(runs: Sequence[FinishedRun]) -> tuple[Group, ...]:
    repeats: dict[str, list[FinishedRun]] = {}
    for run in runs:
        repeats.setdefault(_key(run), []).append(run)
    asked = {run.flag("teacher") for run in runs if run.command == "distill"}
    teachers: list[list[FinishedRun]] = []
    students: list[list[FinishedRun]] = []
    for group in repeats.values():
        is_teacher = any(
            run.command == "finetune" and _names(run) & asked for run in group
        )
        (teachers if is_teacher else students).append(group)
    found = [
        Group(
            name=f"T{i if len(teachers) > 1 else ''}",
            runs=tuple(group),
            is_teacher=True,
        )
        for i, group in enumerate(teachers, 1)
    ]
    by_folder = {n: t for t in found for run in t.runs for n in _names(run)}
    for i, group in enumerate(students, 1):
        teacher = None
        if group[0].command == "distill":
            teacher = by_folder.get(group[0].flag("teacher"))
        student = Group(name=str(i), runs=tuple(group))
        if teacher is not None:
            student = dataclasses.replace(
                student, teacher=teacher.name, share=_share(student, teacher)
            )
        found.append(student)
    return tuple(found)


def _names(run: FinishedRun) -> set[str]:
    """Returns what a --teacher flag may call the run's folder."""
    return {str(run.path), str(run.path.resolve()), run.flag("run_dir")}


def _key(run: FinishedRun) -> str:
    config = {k: v for k, v in run.config.items() if k not in _OF_THE_SEED}
    start = run.flag("student" if run.command == "distill" else "model")
    return json.dumps([run.command, start, config], sort_keys=True)


def _share(student: Group, teacher: Group) -> float | None:
    ours, theirs = student.mean, teacher.mean
    is_higher = student.runs[0].result["higher_is_better"]
    if ours is None or theirs is None or not is_higher or not theirs > 0:
        return None
    return ours / theirs
