"""The page of a report: one HTML file that needs nothing else."""

import importlib.resources
import itertools
from collections.abc import Mapping, Sequence
from html import escape

from tfdistill.reporting.breakdowns import Breakdown
from tfdistill.reporting.charts import Scale, dot_chart, line_chart
from tfdistill.reporting.groups import Group, Section
from tfdistill.reporting.latency import BATCH_SIZES, Latency
from tfdistill.reporting.runs import FinishedRun

_NOTHING = "–"
# More than this many models are easier to compare in the table.
_MOST_DOTS = 60


def make_page(
    title: str,
    sections: Sequence[Section],
    latencies: Mapping[str, Latency],
    breakdowns: Mapping[str, Sequence[Breakdown]],
    machine: str,
) -> str:
    """Lay out a report.

    Args:
        title: Its title.
        sections: What it is on.
        latencies: Of the first run of each group, by the run's path.
        breakdowns: By a section's `--eval_records`.
        machine: What latencies were measured on.

    Returns:
        HTML without scripts or links to other files.
    """
    style = (importlib.resources.files(__package__) / "style.css").read_text()
    body = [f"<h1>{escape(title)}</h1>", _notes(latencies, machine)]
    for section in sections:
        body.append(_heading(section))
        body.append(_table(section, latencies))
        body.append(_scores(section))
        for breakdown in breakdowns.get(section.eval_records, ()):
            body.append(_breakdown(section, breakdown))
        body.append(_curves(section))
        body.append(_commands(section))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        "<body>" + "\n".join(part for part in body if part) + "</body></html>\n"
    )


def _notes(latencies: Mapping[str, Latency], machine: str) -> str:
    lengths = sorted({one.length for one in latencies.values()})
    return (
        "<p>T is a teacher, students have numbers. A score is the mean over "
        "runs that differ in their seed alone, ± their sample standard "
        "deviation. Size is that of weights and vocabulary, as they are "
        "stored. Latency is the median time of a batch on one core, "
        f"throughput is with batches of {BATCH_SIZES[-1]} on all cores, for "
        f"examples of {', '.join(map(str, lengths))} tokens without padding "
        f"on {escape(machine)}.</p>"
        if latencies
        else "<p>T is a teacher, students have numbers. A score is the mean "
        "over runs that differ in their seed alone, ± their sample standard "
        "deviation. Size is that of weights and vocabulary, as they are "
        "stored. Latencies were not measured.</p>"
    )


def _heading(section: Section) -> str:
    where = section.eval_records
    direction = "higher" if section.higher_is_better else "lower"
    measured = (
        f"Measured on <code>{escape(where)}</code>: "
        f"{escape(section.metric)}, {direction} is better."
        if where
        else "Nothing was held out, so there are no scores."
    )
    return f"<h2>{escape(section.task)}</h2><p>{measured}</p>"


def _table(section: Section, latencies: Mapping[str, Latency]) -> str:
    heads = [
        "",
        "model",
        "objectives",
        "runs",
        section.metric,
        "of teacher",
        "parameters",
        "size, MB",
        *(f"ms, batch {size}" for size in BATCH_SIZES),
        "examples/s",
    ]
    best = _best(section)
    rows = []
    for group in section.groups:
        first = group.runs[0]
        latency = latencies.get(str(first.path))
        cells = [
            group.name,
            f"<code>{escape(group.start or str(first.path))}</code>",
            _objectives(first),
            str(len(group.runs)),
            f"<b>{_score(group)}</b>" if group is best else _score(group),
            _NOTHING if group.share is None else f"{100 * group.share:.1f} %",
            f"{first.result['parameters']:,}",
            f"{first.bytes_on_disk / 1e6:.2f}",
            *(
                _NOTHING
                if latency is None
                else _three_digits(latency.milliseconds[size])
                for size in BATCH_SIZES
            ),
            _NOTHING
            if latency is None
            else f"{latency.examples_per_second:,.0f}",
        ]
        rows.append(_row(heads, cells, group.is_teacher))
    return _html_table(heads, rows)


def _objectives(run: FinishedRun) -> str:
    specs = "<br>".join(map(escape, run.config["objectives"]))
    return f"<code>{specs}</code>"


def _html_table(
    heads: Sequence[str], rows: Sequence[str], kind: str = ""
) -> str:
    head = "".join(f"<th{_kind(name)}>{escape(name)}</th>" for name in heads)
    return (
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _row(heads: Sequence[str], cells: Sequence[str], is_teacher: bool) -> str:
    inside = "".join(
        f'<td{_kind(name)} data-label="{escape(name, quote=True)}">{cell}</td>'
        for name, cell in zip(heads, cells, strict=True)
    )
    kind = ' class="teacher"' if is_teacher else ""
    return f"<tr{kind}>{inside}</tr>"


def _kind(name: str) -> str:
    return ' class="text"' if name in ("", "model", "objectives") else ""


def _best(section: Section) -> Group | None:
    """Returns the student whose mean is best, if there are several."""
    students = [
        g for g in section.groups if not g.is_teacher and g.mean is not None
    ]
    if len(students) < 2:
        return None
    choose = max if section.higher_is_better else min
    return choose(students, key=lambda group: group.mean or 0.0)


def _score(group: Group) -> str:
    if group.mean is None:
        return _NOTHING
    digits = 4 if abs(group.mean) < 10 else 2
    text = f"{group.mean:.{digits}f}"
    if group.spread is not None:
        # Kept on one line.
        text += f"\u00a0±\u00a0{group.spread:.{digits}f}"
    return text


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _scores(section: Section) -> str:
    rows = [
        (group.name, group.mean, group.spread)
        for group in section.groups
        if group.mean is not None
    ]
    if not 2 <= len(rows) <= _MOST_DOTS:
        return ""
    chart = dot_chart(
        f"{section.metric} of each model", rows, _reference(section)
    )
    return (
        f"<h3>Scores</h3><figure>{chart}<figcaption>"
        f"{escape(section.metric)}, mean ± deviation; dotted: the teacher."
        "</figcaption></figure>"
    )


def _reference(section: Section, group: Group | None = None) -> float | None:
    """Returns the score of a group's teacher, or of the only one."""
    teachers = {g.name: g.mean for g in section.groups if g.is_teacher}
    if group is not None:
        return teachers.get(group.teacher)
    return next(iter(teachers.values())) if len(teachers) == 1 else None


def _breakdown(section: Section, breakdown: Breakdown) -> str:
    slices = breakdown.slices
    heads = ["", *(f"{part.name} ({part.examples:,})" for part in slices)]
    rows = [
        _row(
            heads,
            [group.name, *(f"{x.values[group.name]:.4f}" for x in slices)],
            group.is_teacher,
        )
        for group in section.groups
    ]
    return (
        f"<h3>{escape(breakdown.title)}</h3><p>Of the first run of each "
        "model; how many examples there are stands in brackets.</p>"
        + _html_table(heads, rows, "narrow")
    )


def _curves(section: Section) -> str:
    metric, kinds = section.metric, ("eval", "train")
    all_runs = [run for group in section.groups for run in group.runs]
    points = {
        kind: list(
            itertools.chain.from_iterable(
                run.curve(kind, metric if kind == "eval" else "loss")
                for run in all_runs
            )
        )
        for kind in kinds
    }
    x = Scale.over([0, *(step for kind in kinds for step, _ in points[kind])])
    y = Scale.over([value for _, value in points["eval"]])
    figures = []
    for group in section.groups:
        caption = f"<b>{group.name}</b> {escape(group.start)}"
        scores = [run.curve("eval", metric) for run in group.runs]
        # A single evaluation is in the table.
        if any(len(points) > 1 for points in scores):
            chart = line_chart(
                f"{metric} of {group.name} by step",
                scores,
                x=x,
                y=y,
                reference=_reference(section, group),
            )
            figures.append(
                f"<figure>{chart}<figcaption>{caption}: {escape(metric)} on "
                "held-out records</figcaption></figure>"
            )
        losses = [run.curve("train", "loss") for run in group.runs]
        chart = line_chart(
            f"training loss of {group.name} by step",
            losses,
            x=x,
            y=Scale.over([value for loss in losses for _, value in loss]),
        )
        figures.append(
            f"<figure>{chart}<figcaption>{caption}: training loss"
            "</figcaption></figure>"
        )
    return (
        "<h3>Training</h3><p>By step, a line for each run of a model; "
        "dotted: the final score of its teacher. Losses of different "
        f'objectives cannot be compared.</p><div class="charts">'
        f"{''.join(figures)}</div>"
    )


def _commands(section: Section) -> str:
    parts = []
    for group in section.groups:
        for run in group.runs:
            flags = escape("\n".join(run.flags))
            parts.append(
                f"<details><summary><b>{group.name}</b> <code>"
                f"{escape(str(run.path))}</code></summary><pre>python -m "
                f"tfdistill.{run.command} --flagfile="
                f"{escape(str(run.path))}/run.flags</pre><pre>{flags}</pre>"
                "</details>"
            )
    return (
        "<h3>Commands</h3><p>Each run is repeated by its command with another "
        "<code>--run_dir</code>; below it is the flagfile.</p>" + "".join(parts)
    )
