"""Trains a student for every combination of the points of several axes.

    python -m tfdistill.sweep --sweep=FILE --flagfile=FILE --run_dir=DIR

The flags of this call hold for all runs, a point's flags on top of them.
`tfdistill.sweeps.plan` describes the file of axes, `tfdistill.sweeps.directory`
what is written. Runs that are finished are not done again, and a run that was
cut goes on from its checkpoint.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tfdistill.config import Options, options, run_command
from tfdistill.config.command import flags_of
from tfdistill.config.options import Artefacts, General, Sweep
from tfdistill.launcher import this_process
from tfdistill.sweeps import (
    Outcome,
    Plan,
    Run,
    Score,
    SweepDirectory,
    best_scores,
    do_runs,
    environments,
    make_table,
    plan_runs,
    read_plan,
    score_of,
    write_hparams,
)


def sweep(*chosen: Options) -> dict[str, Any]:
    """Train a student for every combination of the points of several axes.

    Args:
        *chosen: One instance of each option class: all flags are passed on.

    Returns:
        How many runs there are, how many were `skipped`, and for each task
        the `best` combination with its mean.

    Raises:
        ValueError: The file of axes or a point's flags make no sense, the
            folder is not free, or no run has the metric.
        ChildProcessError: Runs failed. The table of the others is written.
        KeyboardInterrupt: It was asked to stop, and all runs have ended.
    """
    (artefacts,) = (group for group in chosen if isinstance(group, Artefacts))
    (general,) = (group for group in chosen if isinstance(group, General))
    (axes,) = (group for group in chosen if isinstance(group, Sweep))
    process = this_process()
    if not process.is_alone:
        raise ValueError(
            f"{process.launcher} has started {process.count} processes, but "
            "a sweep makes its own (--num_processes)."
        )
    plan = read_plan(axes.sweep)
    runs = plan_runs(plan, chosen)
    shares = environments(general.num_processes, len(runs))
    with SweepDirectory(artefacts.run_dir, flags_of(*chosen)) as directory:
        command = [sys.executable, "-m", f"tfdistill.{plan.command}"]
        outcomes = do_runs(runs, command, directory, shares)
        for run in runs:
            summary = outcomes[run.name].summary
            if summary is not None:
                write_hparams(directory.run_dir(run), run.points, summary)
        scores = _scores(plan, runs, outcomes)
        table = make_table(plan, scores)
        directory.write_results(
            [_result(run, outcomes[run.name], directory) for run in runs],
            table.markdown(),
        )
    sys.stderr.write(f"\n{table.aligned()}\n")
    _check(plan, outcomes, scores)
    return {
        "run_dir": artefacts.run_dir,
        "runs": len(runs),
        "skipped": sum(not outcome.is_new for outcome in outcomes.values()),
        "failed": 0,
        "metrics": list(dict.fromkeys(score.metric for score in scores)),
        "best": best_scores(plan, scores),
    }


def _scores(
    plan: Plan, runs: Sequence[Run], outcomes: Mapping[str, Outcome]
) -> list[Score]:
    found = (
        score_of(run, outcomes[run.name].summary or {}, plan.metric)
        for run in runs
    )
    return [score for score in found if score is not None]


def _result(
    run: Run, outcome: Outcome, directory: SweepDirectory
) -> dict[str, Any]:
    result = {
        "points": run.points,
        "task": run.task,
        "run_dir": str(directory.run_dir(run)),
    }
    if outcome.summary is None:
        return result | {"error": outcome.error}
    return result | {
        "metrics": outcome.summary.get("eval", {}),
        "best_metric": outcome.summary.get("best_metric"),
        "parameters": outcome.summary.get("parameters"),
        "seconds": outcome.summary.get("seconds"),
    }


def _check(
    plan: Plan, outcomes: Mapping[str, Outcome], scores: Sequence[Score]
) -> None:
    """Report what is missing in a table that is written already."""
    failed = {n: o.error for n, o in outcomes.items() if o.summary is None}
    if failed:
        name, error = next(iter(failed.items()))
        raise ChildProcessError(
            f"{len(failed)} of {len(outcomes)} runs failed; the first, "
            f"{name}: {error}"
        )
    if not scores:
        known = {
            metric: None
            for outcome in outcomes.values()
            for metric in (outcome.summary or {}).get("eval", {})
        }
        raise ValueError(
            f"{plan.path}: no run has the metric {plan.metric!r}. "
            f"Known: {', '.join(known)}."
        )


if __name__ == "__main__":
    run_command(
        sweep,
        *options.ALL,
        needs=("sweep", "run_dir"),
        examples=(
            "--sweep=study.sweep --flagfile=study.flags "
            "--run_dir=runs/study --num_processes=2",
            "--sweep=configs/study/objectives.sweep --run_dir=runs/study/objectives",
        ),
    )
