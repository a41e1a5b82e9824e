"""Reports: finished runs read back, measured, and laid out on one page."""

from tfdistill.reporting.breakdowns import Breakdown, break_down
from tfdistill.reporting.groups import Group, Section, arrange
from tfdistill.reporting.latency import Latency, measure_latencies
from tfdistill.reporting.page import make_page
from tfdistill.reporting.runs import FinishedRun, find_runs

__all__ = [
    "Breakdown",
    "FinishedRun",
    "Group",
    "Latency",
    "Section",
    "arrange",
    "break_down",
    "find_runs",
    "make_page",
    "measure_latencies",
]
