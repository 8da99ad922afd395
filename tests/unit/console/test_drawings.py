"""Drawings of the console: right in their figures, safe with any text, readable without them."""

import datetime as dt
import re
from typing import Any

import pytest

from noticebus.console.drawings import points_between
from noticebus.console.pages import _PAGES as PAGES


def draw(name: str, call: str, **facts: Any) -> str:
    imported = f'{{% from "parts/svg/{name}.html" import {name} %}}'
    template = PAGES.from_string(f"{imported}{{{{ {call} }}}}")
    return template.render(**facts)


def segment(key: str, count: int, *, label: str = "", href: str | None = None) -> dict[str, Any]:
    return {"key": key, "label": label or key, "count": count, "href": href}


def widths(svg: str) -> list[float]:
    return [float(one) for one in re.findall(r'width="([\d.]+)%" height="42"', svg)]


def test_parts_of_the_ageing_bar_fill_it_in_proportion_and_none_is_too_narrow_for_its_number() -> (
    None
):
    bar = draw(
        "ageing_bar",
        "ageing_bar(segments)",
        segments=[segment("early", 900), segment("late", 99), segment("oldest", 1)],
    )
    assert sum(widths(bar)) == pytest.approx(100, abs=0.1)
    assert widths(bar)[0] > widths(bar)[1] >= widths(bar)[2] > 7


def test_ageing_bar_says_each_count_beside_the_drawing_and_links_it() -> None:
    bar = draw(
        "ageing_bar",
        "ageing_bar(segments)",
        segments=[segment("early", 0), segment("late", 4, label="overdue < 1 h", href="?a=1&b=2")],
    )
    legend = bar.partition("<ul")[2]
    assert re.search(r'href="\?a=1&amp;b=2">overdue &lt; 1 h</a>:\s*<strong>4</strong>', legend)
    assert re.search(r"early:\s*<strong>0</strong>", legend)


def test_ageing_bar_of_nothing_is_a_list_of_zeros() -> None:
    bar = draw("ageing_bar", "ageing_bar(segments)", segments=[segment("early", 0)])
    assert "ageing__bar" not in bar
    assert "<strong>0</strong>" in bar


def test_ring_says_its_figures_as_words_and_draws_nothing_where_nobody_was_asked() -> None:
    assert "9 of 12 acknowledged" in draw("ring", "ring(9, 12)")
    assert "stroke-dasharray" not in draw("ring", "ring(0, 12)")
    assert "nobody to ask" in draw("ring", "ring(0, 0)")


def test_points_of_a_line_stand_where_their_times_fall() -> None:
    start = dt.datetime(2019, 8, 7, 12, tzinfo=dt.UTC)
    hour = dt.timedelta(hours=1)
    points = points_between(
        [("now", "now", start + hour), ("posted", "start", start), ("due", "due", start + 4 * hour)]
    )
    assert [(one.label, one.x) for one in points] == [("start", 0), ("now", 25), ("due", 100)]
    assert points_between([]) == []
    assert [one.x for one in points_between([("now", "now", start)])] == [0]


def test_line_in_time_says_its_points_beside_the_drawing() -> None:
    start = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)
    points = points_between([("posted", "its clock started", start)])
    drawn = PAGES.from_string(
        '{% from "parts/svg/timeline.html" import strip %}'
        '{{ strip(points, "America/Chicago", title="Its clock") }}'
    ).render(points=points)
    listed = drawn.partition("<figcaption>")[2]
    assert "its clock started" in listed
    assert "Wed 07 Aug 2019, 07:55 CDT" in listed
    assert "(12:55Z)" in listed


@pytest.mark.parametrize("kind", ["answered", "late", "silent", "ended"])
def test_lane_says_in_words_what_it_draws(kind: str) -> None:
    lane = {
        "name": "<b>Pine</b>",
        "href": "/obligations/obl_1",
        "said": "no closing answer for 3 h",
        "kind": kind,
        "end": 80.0,
        "due": 50.0,
        "delivered": 1.0,
        "opened": None,
    }
    drawn = draw("time_to_answer", "time_to_answer(lanes)", lanes=[lane])
    assert "&lt;b&gt;Pine&lt;/b&gt;: no closing answer for 3 h</title>" in drawn
    assert '<td data-label="In words">no closing answer for 3 h</td>' in drawn
    assert ("stroke-dasharray" in drawn) is (kind == "silent")
