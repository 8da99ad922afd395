"""A state's counties as paths to draw: projected, simplified, computed once per state.

Every point is put on the same grid of whole numbers, so that what two counties share stays shared.
The largest state takes less than `PATHS_CHARACTERS_MAX`.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from noticebus.refdata.counties import county_shapes
from noticebus.refdata.shapes import Ring, wrap

PATHS_CHARACTERS_MAX = 24_000
GRID = 600  # the longer side of a map

_Point = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountyPath:
    """One county: its outline in SVG's path language, and where a mark on it stands."""

    county_fips: str
    path: str
    mark: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMap:
    """The counties of a state in code order, on a canvas of `width` by `height`."""

    state_fips: str
    width: int
    height: int
    counties: tuple[CountyPath, ...]


@functools.cache
def state_map(state_fips: str) -> StateMap | None:
    """Draw a state; None where the outlines know none of its counties."""
    rings = [one for one in county_shapes().rings if one.county_fips[:2] == state_fips]
    if not rings:
        return None
    return _drawn(state_fips, rings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canvas:
    """From degrees to the grid: true to scale in the middle, north up."""

    west: float
    north: float
    middle: float
    shrink: float
    scale: float

    def place(self, longitude: float, latitude: float) -> _Point:
        east = self.middle + wrap(longitude - self.middle)
        return (
            round((east - self.west) * self.shrink * self.scale),
            round((self.north - latitude) * self.scale),
        )


def _drawn(state_fips: str, rings: Sequence[Ring]) -> StateMap:
    # A state may reach over the antimeridian (Alaska): longitudes are counted from its first ring.
    middle = rings[0].centre_longitude
    columns = [middle + wrap(x - middle) for ring in rings for x, _ in ring.points]
    rows = [y for ring in rings for _, y in ring.points]
    shrink = math.cos(math.radians((min(rows) + max(rows)) / 2))
    wide, high = (max(columns) - min(columns)) * shrink, max(rows) - min(rows)
    scale = GRID / max(wide, high)
    canvas = _Canvas(west=min(columns), north=max(rows), middle=middle, shrink=shrink, scale=scale)
    lines: defaultdict[str, list[list[_Point]]] = defaultdict(list)
    for ring in rings:
        lines[ring.county_fips].append(_simple([canvas.place(x, y) for x, y in ring.points]))
    return StateMap(
        state_fips=state_fips,
        width=math.ceil(wide * scale),
        height=math.ceil(high * scale),
        counties=tuple(_county(fips, found) for fips, found in sorted(lines.items())),
    )


def _simple(points: Sequence[_Point]) -> list[_Point]:
    """Leave out what falls on the point before it, and what lies on a straight line."""
    kept = [points[0]]
    for point in points[1:]:
        if point == kept[-1]:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def _straight(a: _Point, b: _Point, c: _Point) -> bool:
    across = (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
    onward = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return across == 0 and onward > 0


def _county(fips: str, lines: Sequence[Sequence[_Point]]) -> CountyPath:
    largest = max(lines, key=lambda line: abs(_area(line)))
    shown = [line for line in lines if line is largest or abs(_area(line)) >= 1]
    return CountyPath(
        county_fips=fips, path="".join(_path(line) for line in shown), mark=_middle(largest)
    )


def _path(line: Sequence[_Point]) -> str:
    (x, y), rest = line[0], line[1:]
    moves = [f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise([(x, y), *rest])]
    return f"M{x} {y}l{' '.join(moves).replace(' -', '-')}z" if moves else f"M{x} {y}h1v1z"


def _area(line: Sequence[_Point]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(line)) / 2


def _middle(line: Sequence[_Point]) -> _Point:
    """Give the centre of mass; of what is too small to have one, its first point."""
    area = _area(line)
    if not area:
        return line[0]
    x = y = 0.0
    for a, b in pairwise(line):
        weight = a[0] * b[1] - b[0] * a[1]
        x += (a[0] + b[0]) * weight
        y += (a[1] + b[1]) * weight
    return round(x / (6 * area)), round(y / (6 * area))
