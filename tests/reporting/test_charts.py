"""Charts: scales, and what is drawn of odd numbers."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tfdistill.reporting.charts import Scale, dot_chart, line_chart


@pytest.mark.parametrize(
    "low, high", [(0, 1), (0.913, 0.951), (-5, 30_000), (1e-9, 3e-9)]
)
def test_ticks_are_few_round_and_within(low, high):
    ticks = Scale(low, high).ticks()
    assert 3 <= len(ticks) <= 6
    assert all(low <= tick <= high * (1 + 1e-9) for tick in ticks)
    for tick in ticks:
        digits = re.sub(r"e.*|\D", "", f"{tick:.6g}").strip("0")
        assert len(digits) <= 3


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [math.nan, 1.0]])
def test_a_scale_of_few_values_has_room(values):
    scale = Scale.over(values)
    assert scale.low < scale.high


def test_places_are_linear():
    scale = Scale(10, 20)
    assert [scale.place(v, 0, 100) for v in (10, 15, 20)] == [0, 50, 100]
    assert scale.place(15, 100, 0) == 50


def test_a_line_goes_through_its_points():
    svg = line_chart(
        "t",
        [[(0, 0.0), (5, math.inf), (10, 1.0)], []],
        x=Scale(0, 10),
        y=Scale(0, 1),
        reference=0.5,
    )
    root = ElementTree.fromstring(svg)
    first, second = (e for e in root if e.tag == "polyline")
    assert first.get("points") == "46.0,146.0 310.0,12.0"
    assert second.get("points") == ""
    assert first.get("stroke-dasharray") != second.get("stroke-dasharray")
    (dotted,) = (e for e in root if e.get("class") == "reference")
    assert float(dotted.get("y1")) == 79.0


def test_dots_have_deviations():
    svg = dot_chart("a < b", [("T", 1.0, None), ("1", 0.5, 0.25)], 1.0)
    root = ElementTree.fromstring(svg)
    dots = [float(e.get("cx")) for e in root if e.tag == "circle"]
    (bar,) = (e for e in root if e.get("class") == "curve")
    low, high = float(bar.get("x1")), float(bar.get("x2"))
    assert low < dots[1] < high < dots[0]
    assert math.isclose(dots[1] - low, high - dots[1], abs_tol=0.11)
    assert root.get("aria-label") == "a < b"
