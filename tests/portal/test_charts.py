"""Bars and lines as pure values: inside the frame, in proportion, never written with a separator."""

from hypothesis import given
from hypothesis import strategies as some

from portal import charts

COUNTS = some.lists(some.integers(min_value=0, max_value=10**12), min_size=1, max_size=120)


@given(COUNTS)
def test_every_bar_stands_on_the_base_line_inside_the_frame(values):
    top = charts.scale_top(values)
    for rect in charts.bars(values, top=top, width=280, height=168):
        x, y, width, height = (float(number) for number in (rect.x, rect.y, rect.width, rect.height))
        assert x >= 0
        assert x + width <= 280.2
        assert 0 <= y <= 168
        assert abs(y + height - 168) <= 0.11


@given(COUNTS)
def test_a_larger_number_never_has_a_lower_bar(values):
    rects = charts.bars(values, top=charts.scale_top(values), width=280, height=168)
    pairs = sorted(zip(values, (float(rect.height) for rect in rects), strict=True))
    heights = [height for _, height in pairs]
    assert heights == sorted(heights)


@given(COUNTS)
def test_the_scale_holds_every_value_wastes_little_and_labels_its_quarters_truly(values):
    top = charts.scale_top(values)
    assert max(values) <= top <= max(4, 2 * max(values))
    assert top % 4 == 0
    assert charts.ticks(top, 4) == [charts.short(top * part // 4) for part in (4, 3, 2, 1, 0)]


@given(COUNTS)
def test_a_sparkline_has_a_point_a_value_or_is_not_drawn(values):
    spark = charts.sparkline(values, width=84, height=24)
    if spark is None:
        assert max(values) == 0 or len(values) == 1
    else:
        assert spark.line.count("L") == len(values) - 1
        assert "," not in spark.line + spark.area


def test_nothing_makes_no_bars_and_no_line():
    assert charts.bars([], top=4, width=280, height=168) == []
    assert charts.sparkline([0, 0, 0], width=84, height=24) is None


def test_axis_labels_are_short():
    assert [charts.short(number) for number in (0, 950, 1_000, 1_600, 25_000, 3_200_000)] == [
        "0",
        "950",
        "1k",
        "1.6k",
        "25k",
        "3.2M",
    ]
