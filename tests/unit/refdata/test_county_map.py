"""Maps of counties: every state fits on a page, and what two counties share stays shared."""

import re
from itertools import pairwise

from noticebus.refdata import counties
from noticebus.refdata.county_map import GRID, PATHS_CHARACTERS_MAX, state_map

MISSISSIPPI, ALASKA, TEXAS = "28", "02", "48"


def corners(path: str) -> list[tuple[int, int]]:
    """Give the corners of the first line of a path, as absolute places."""
    x, y, steps = re.match(r"M(-?\d+) (-?\d+)l([^z]*)z", path).groups()  # type: ignore[union-attr]
    numbers = [int(one) for one in re.findall(r"-?\d+", steps)]
    found = [(int(x), int(y))]
    for right, down in zip(numbers[0::2], numbers[1::2], strict=True):
        found.append((found[-1][0] + right, found[-1][1] + down))
    return found


def test_every_state_is_drawn_with_all_its_counties_and_is_small() -> None:
    places = counties.load()
    for number in range(1, 79):
        fips = f"{number:02}"
        drawn = state_map(fips)
        if places.state(fips) is None or drawn is None:
            continue
        known = {one.county_fips for one in drawn.counties}
        assert known <= places.counties_of_state(fips)
        assert sum(len(one.path) for one in drawn.counties) < PATHS_CHARACTERS_MAX
        assert max(drawn.width, drawn.height) <= GRID + 1


def test_texas_has_its_254_counties_each_with_a_mark_on_the_canvas() -> None:
    drawn = state_map(TEXAS)
    assert drawn is not None
    assert len(drawn.counties) == 254
    for one in drawn.counties:
        assert 0 <= one.mark[0] <= drawn.width
        assert 0 <= one.mark[1] <= drawn.height


def test_state_over_the_antimeridian_is_drawn_in_one_piece() -> None:
    drawn = state_map(ALASKA)
    assert drawn is not None
    assert drawn.width > drawn.height / 2


def test_neighbours_share_the_corners_of_their_border() -> None:
    drawn = state_map(MISSISSIPPI)
    assert drawn is not None
    paths = {one.county_fips: one.path for one in drawn.counties}
    scott, newton = corners(paths["28123"]), corners(paths["28101"])
    assert len(set(scott) & set(newton)) >= 2


def test_lines_close_and_turn_at_every_corner() -> None:
    drawn = state_map(MISSISSIPPI)
    assert drawn is not None
    line = corners(drawn.counties[0].path)
    assert line[0] == line[-1]
    assert all(a != b for a, b in pairwise(line))


def test_no_state_is_drawn_where_the_outlines_know_none() -> None:
    assert state_map("99") is None
