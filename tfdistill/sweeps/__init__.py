"""Sweeps: every combination of the points of several axes, and one table."""

from tfdistill.sweeps.directory import SweepDirectory
from tfdistill.sweeps.environments import environments
from tfdistill.sweeps.hparams import write_hparams
from tfdistill.sweeps.plan import Plan, Run, plan_runs, read_plan
from tfdistill.sweeps.runs import Outcome, do_runs
from tfdistill.sweeps.table import (
    Score,
    Table,
    best_scores,
    make_table,
    score_of,
)

__all__ = [
    "Outcome",
    "Plan",
    "Run",
    "Score",
    "SweepDirectory",
    "Table",
    "best_scores",
    "do_runs",
    "environments",
    "make_table",
    "plan_runs",
    "read_plan",
    "score_of",
    "write_hparams",
]
