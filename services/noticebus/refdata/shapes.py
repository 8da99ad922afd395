"""County outlines, and the questions asked of them: which meet a point, a circle, a polygon.

Longitudes are compared as differences wrapped to 180 degrees either way, so the antimeridian is no
special case: no ring of the data crosses it, but a circle or a polygon may.
"""

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from itertools import accumulate, chain, pairwise

EARTH_RADIUS_KM = 6371.0088
KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180
NORTH_POLE = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """One closed line of a county, outer or hole, and its bounding box in degrees."""

    county_fips: str
    points: tuple[tuple[float, float], ...]  # (longitude, latitude), first = last
    centre_longitude: float
    centre_latitude: float
    half_width: float
    half_height: float


def wrap(degrees: float) -> float:
    """Return a difference of longitudes as the shorter way round, from -180 up to 180."""
    return (degrees + 180.0) % 360.0 - 180.0


def distance_km(*, longitude: float, latitude: float, to: tuple[float, float]) -> float:
    """Return the great-circle distance on a sphere, within 0.6 % of the ellipsoid's."""
    south_north = math.radians(to[1] - latitude) / 2
    west_east = math.radians(to[0] - longitude) / 2
    scale = math.cos(math.radians(latitude)) * math.cos(math.radians(to[1]))
    half_chord = math.sin(south_north) ** 2 + scale * math.sin(west_east) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(half_chord, 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountyShapes:
    """The outlines of all counties. Immutable; each question scans the boxes of all 3,500 rings."""

    rings: tuple[Ring, ...]

    def containing(self, *, latitude: float, longitude: float) -> frozenset[str]:
        """Return the counties that contain the point: one, or none at sea and abroad."""
        near = self._near(longitude=longitude, latitude=latitude, width=0.0, height=0.0)
        return frozenset(_holding(near, longitude, latitude))

    def meeting_circle(
        self, *, latitude: float, longitude: float, radius_km: float
    ) -> frozenset[str]:
        """Return every county that has a point within `radius_km` of the centre."""
        height = radius_km / KM_PER_DEGREE
        # The widest reach of the circle east and west; near a pole it goes all the way round.
        circumference = max(math.cos(math.radians(latitude)), 1e-9)
        ratio = math.sin(math.radians(min(height, NORTH_POLE))) / circumference
        width = 180.0 if ratio >= 1.0 else math.degrees(math.asin(ratio))
        near = self._near(longitude=longitude, latitude=latitude, width=width, height=height)
        found = _holding(near, longitude, latitude)
        for ring in near:
            if ring.county_fips not in found and _within(
                ring, longitude=longitude, latitude=latitude, radius_km=radius_km
            ):
                found.add(ring.county_fips)
        return frozenset(found)

    def meeting_polygon(self, points: Sequence[tuple[float, float]]) -> frozenset[str]:
        """Return every county that meets the polygon of (latitude, longitude) `points`."""
        polygon = _unrolled(points)
        west, east = min(x for x, _ in polygon), max(x for x, _ in polygon)
        south, north = min(y for _, y in polygon), max(y for _, y in polygon)
        width, height = (east - west) / 2, (north - south) / 2
        middle = west + width
        near = self._near(longitude=middle, latitude=south + height, width=width, height=height)
        # Where no lines cross, each is wholly inside or outside the other: one corner tells.
        found = _holding(near, *polygon[0])
        for ring in near:
            if ring.county_fips not in found:
                line = [(middle + wrap(x - middle), y) for x, y in ring.points]
                if _inside(line[0], polygon) or _lines_cross(line, polygon):
                    found.add(ring.county_fips)
        return frozenset(found)

    def _near(
        self, *, longitude: float, latitude: float, width: float, height: float
    ) -> list[Ring]:
        """Return the rings whose box meets one that reaches `width` and `height` each way."""
        return [
            ring
            for ring in self.rings
            if abs(latitude - ring.centre_latitude) <= ring.half_height + height
            and abs(wrap(longitude - ring.centre_longitude)) <= ring.half_width + width
        ]


def load(file: Traversable) -> CountyShapes:
    """Read and decode the outlines: about 0.1 s, some 10 MB afterwards."""
    raw = json.loads(gzip.decompress(file.read_bytes()))
    (scale_x, scale_y), (origin_x, origin_y) = raw["scale"], raw["translate"]
    arcs = []
    for numbers in raw["arcs"]:
        columns = (origin_x + scale_x * step for step in accumulate(numbers[0::2]))
        rows = (origin_y + scale_y * step for step in accumulate(numbers[1::2]))
        arcs.append(list(zip(columns, rows, strict=True)))
    return CountyShapes(
        rings=tuple(
            _ring(county_fips, [arcs[n] if n >= 0 else arcs[~n][::-1] for n in numbers])
            for county_fips, rings in raw["rings"].items()
            for numbers in rings
        )
    )


def _ring(county_fips: str, parts: list[list[tuple[float, float]]]) -> Ring:
    points = (parts[0][0], *chain.from_iterable(part[1:] for part in parts))
    columns, rows = zip(*points, strict=True)
    west, east, south, north = min(columns), max(columns), min(rows), max(rows)
    return Ring(
        county_fips=county_fips,
        points=points,
        centre_longitude=(west + east) / 2,
        centre_latitude=(south + north) / 2,
        half_width=(east - west) / 2,
        half_height=(north - south) / 2,
    )


def _holding(rings: Sequence[Ring], longitude: float, latitude: float) -> set[str]:
    """Return the counties the point lies in: within an odd number of their rings, holes counted."""
    holding: set[str] = set()
    for ring in rings:
        # No ring crosses the antimeridian, so moving the point to the ring's side is enough.
        near = ring.centre_longitude + wrap(longitude - ring.centre_longitude)
        if _inside((near, latitude), ring.points):
            holding ^= {ring.county_fips}
    return holding


def _inside(point: tuple[float, float], line: Sequence[tuple[float, float]]) -> bool:
    """Say whether a closed line goes round the point: a ray eastward crosses it oddly often."""
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in pairwise(line):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def _within(ring: Ring, *, longitude: float, latitude: float, radius_km: float) -> bool:
    """Say whether any segment of the ring comes within `radius_km` of the centre."""
    if distance_km(longitude=longitude, latitude=latitude, to=ring.points[0]) <= radius_km:
        return True
    shrink = math.cos(math.radians(latitude))
    height = radius_km / KM_PER_DEGREE
    line = [(wrap(x - longitude), y - latitude) for x, y in ring.points]
    for (x1, y1), (x2, y2) in pairwise(line):
        if (y1 > height and y2 > height) or (y1 < -height and y2 < -height):
            continue
        # The nearest point of the segment, on a map that is true to scale at the centre.
        run, rise = (x2 - x1) * shrink, y2 - y1
        length = run * run + rise * rise
        along = -(x1 * shrink * run + y1 * rise) / length if length else 0.0
        along = min(max(along, 0.0), 1.0)
        nearest = (x1 + along * (x2 - x1), latitude + y1 + along * rise)
        if distance_km(longitude=0.0, latitude=latitude, to=nearest) <= radius_km:
            return True
    return False


def _unrolled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return closed (longitude, latitude) pairs, each following the last the shorter way round."""
    line = [(points[0][1], points[0][0])]
    for latitude, longitude in points[1:]:
        before = line[-1][0]
        line.append((before + wrap(longitude - before), latitude))
    return line if line[0] == line[-1] else [*line, line[0]]


def _lines_cross(
    line: Sequence[tuple[float, float]], polygon: Sequence[tuple[float, float]]
) -> bool:
    columns, rows = zip(*line, strict=True)
    west, east, south, north = min(columns), max(columns), min(rows), max(rows)
    return any(
        _cross(a, b, c, d)
        for c, d in pairwise(polygon)
        if min(c[0], d[0]) <= east
        and max(c[0], d[0]) >= west
        and min(c[1], d[1]) <= north
        and max(c[1], d[1]) >= south
        for a, b in pairwise(line)
    )


def _cross(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> bool:
    """Say whether the segments a-b and c-d cross. Touching at a point alone may go either way."""
    return _left(a, b, c) != _left(a, b, d) and _left(c, d, a) != _left(c, d, b)


def _left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])
