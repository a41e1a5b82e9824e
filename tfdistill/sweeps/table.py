"""Numbers of runs, and the table that they come to."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdistill.sweeps.plan import Plan, Run

_NOTHING = "–"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """The number that a run adds to the table.

    Attributes:
        points: The run's point on each axis.
        task: Name of its task.
        metric: What the number is.
        value: The number.
        higher_is_better: Whether it should be high.
    """

    points: Mapping[str, str]
    task: str
    metric: str
    value: float
    higher_is_better: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
        caption: What the numbers are; a line.
        head: Names of the columns.
        rows: Cells, as many in each row as in the head.
        num_keys: Cells in the front of a row that say what it is of.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_keys: int

    def markdown(self) -> str:
        """Returns it for Markdown, the caption above it."""
        sides = [
            ":--" if i < self.num_keys else "--:" for i in range(len(self.head))
        ]
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (self.head, sides, *self.rows)
        ]
        return "\n".join([self.caption, "", *lines]) + "\n"

    def aligned(self) -> str:
        """Returns it for a terminal, the caption above it."""
        table = (self.head, *self.rows)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < self.num_keys else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([self.caption, *lines]) + "\n"


def score_of(run: Run, summary: Mapping[str, Any], metric: str) -> Score | None:
    """Returns the score of a run, None if its summary does not have it.

    Args:
        run: The run.
        summary: What it printed.
        metric: Name of the metric; empty: the task's own. One that is not
            the task's own is taken for better when high, unless its name is
            that of a loss, a divergence or perplexity.
    """
    own = summary.get("best_metric", "")
    metric = metric or own
    value = summary.get("eval", {}).get(metric)
    if not isinstance(value, int | float):
        return None
    return Score(
        points=run.points,
        task=run.task,
        metric=metric,
        value=float(value),
        higher_is_better=(
            summary["higher_is_better"]
            if metric == own
            else metric != "perplexity"
            and not metric.endswith(("_loss", "_kl"))
        ),
    )


def make_table(plan: Plan, scores: Sequence[Score]) -> Table:
    """Returns a row for each combination of points, averaged over one axis.

    One axis becomes columns. Where scores are of several metrics, they stand
    in the head if each column has only one, else in a column of their own.
    """
    key_axes = [a for a in plan.axes if a not in (plan.average, plan.columns)]
    columns = list(plan.axes.get(plan.columns, [""]))
    metrics = list(dict.fromkeys(score.metric for score in scores))
    of_column = [
        {s.metric for s in scores if s.points.get(plan.columns, "") == column}
        for column in columns
    ]
    is_mixed = len(metrics) > 1 and any(len(m) > 1 for m in of_column)
    titles = columns
    if len(metrics) > 1 and not is_mixed:
        titles = [
            f"{column} ({min(found)})" if found else column
            for column, found in zip(columns, of_column, strict=True)
        ]
    elif not plan.columns:
        titles = [metrics[0] if len(metrics) == 1 else "value"]
    rows = []
    for key in itertools.product(*(plan.axes[axis] for axis in key_axes)):
        of_row = [
            s for s in scores if tuple(s.points[a] for a in key_axes) == key
        ]
        groups: dict[tuple[str, ...], list[Score]] = {(): of_row}
        if is_mixed:
            groups = {
                (metric,): [s for s in of_row if s.metric == metric]
                for metric in dict.fromkeys(s.metric for s in of_row)
            } or {(_NOTHING,): []}
        for beside, group in groups.items():
            cells = [
                _cell(
                    s.value
                    for s in group
                    if s.points.get(plan.columns, "") == column
                )
                for column in columns
            ]
            rows.append((*key, *beside, *cells))
    keys = [*key_axes, *(["metric"] if is_mixed else [])]
    return Table(
        caption=_caption(plan, scores),
        head=(*keys, *titles),
        rows=tuple(rows),
        num_keys=len(keys),
    )


def best_scores(plan: Plan, scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Returns the best combination for each task and its mean.

    Where several are equally good, it is the first one.
    """
    found = []
    for task, metric in dict.fromkeys((s.task, s.metric) for s in scores):
        mine = [s for s in scores if (s.task, s.metric) == (task, metric)]
        cells: dict[tuple[str, ...], list[Score]] = {}
        for score in mine:
            key = tuple(
                point
                for axis, point in score.points.items()
                if axis != plan.average
            )
            cells.setdefault(key, []).append(score)
        means = {
            key: statistics.fmean(s.value for s in cell)
            for key, cell in cells.items()
        }
        numbers = {k: mean for k, mean in means.items() if mean == mean}
        if not numbers:
            continue
        choose = max if mine[0].higher_is_better else min
        key = choose(numbers, key=numbers.__getitem__)
        axes = [axis for axis in plan.axes if axis != plan.average]
        found.append(
            {
                "task": task,
                "metric": metric,
                "points": dict(zip(axes, key, strict=True)),
                "mean": numbers[key],
                "runs": len(cells[key]),
            }
        )
    return found


def _caption(plan: Plan, scores: Sequence[Score]) -> str:
    directions = {s.metric: s.higher_is_better for s in scores}
    metrics = [
        f"{name} ({'higher' if higher else 'lower'} is better)"
        for name, higher in directions.items()
    ]
    caption = ", ".join(metrics) or "No numbers"
    if plan.average:
        caption += (
            f"; mean ± sample standard deviation over {plan.average} (runs)"
        )
    return caption


def _cell(values: Iterable[float]) -> str:
    values = list(values)
    if not values:
        return _NOTHING
    mean = statistics.fmean(values)
    digits = 3 if abs(mean) < 100 else 1
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    # The module's own stdev takes no numbers that are not finite.
    spread = math.sqrt(
        sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    )
    return f"{mean:.{digits}f} ± {spread:.{digits}f} ({len(values)})"
