"""How cost grows with each dimension: draws what the scenarios wrote as JSON, as one SVG.

python -m bench.plot FILE.json [MORE.json …] --svg docs/images/performance.svg

Takes the JSON of any scenario, of the short set, and of escalation, report and routing. Both axes
are logarithmic: a straight line at 45° is a cost in proportion.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 460, 330  # of one panel, all that belongs to it included
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 42, 50
COLUMNS = 2
COLOURS = ("#005ea2", "#b50909", "#008817", "#936f38", "#54278f", "#1b1b1b")
STEPS = (1, 2, 5)
STEPS_UP_TO = 2.5  # decades on an axis: beyond, powers of ten alone are marked
LEGEND_LINE = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One diagram: rows of these scenarios, a line for each key and each profile or scope."""

    title: str
    scenarios: tuple[str, ...]
    x: str
    x_said: str
    y_said: str
    keys: Mapping[str, str]
    apart: str = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, its points by x."""

    said: str
    points: Sequence[tuple[float, float]]


_FAN_OUT = {"x": "fan_out", "x_said": "recipients of a notice"}
PANELS = (
    Panel(
        title="Accepting a notice, by recipients", scenarios=("fan-out", "one to many"), **_FAN_OUT,
        y_said="ms, median", keys={"accept_p50_ms": "accept"},
    ),
    Panel(
        title="CPU of our processes, by recipients", scenarios=("fan-out", "one to many"),
        **_FAN_OUT, y_said="µs a delivery", keys={"cpu_us_per_delivery": "CPU"},
    ),
    Panel(
        title="SQL statements, by recipients", scenarios=("fan-out", "one to many"), **_FAN_OUT,
        y_said="statements a delivery", keys={"statements_per_delivery": "SQL"},
    ),
    Panel(
        title="Post to arrival, by rate", scenarios=("latency",), x="per_second",
        x_said="notices a second, one recipient each", y_said="ms",
        keys={"arrival_p50_ms": "p50", "arrival_p99_ms": "p99"},
    ),
    Panel(
        title="Routing a notice, by subscribers", scenarios=("routing",), x="subscribers",
        x_said="subscriptions", y_said="ms of our CPU", keys={"cpu_ms": ""}, apart="scope",
    ),
    Panel(
        title="Escalation and report, by open obligations", scenarios=("escalation", "report"),
        x="open", x_said="open obligations", y_said="ms",
        keys={
            "due_p99_ms": "due → written, p99", "idle_p50_ms": "idle look, p50",
            "page_p50_ms": "report's first page, p50",
        },
    ),
)  # fmt: skip


def rows_of(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """List the rows of one file, whichever scenario wrote it."""
    yield from found.get("rows", ())
    if "views" in found:
        page = found["views"].get("operator, all", {})
        yield {"scenario": "report", "open": found["open"], "page_p50_ms": page.get("p50_ms")}
    for one in found.get("routing", ()):
        if one["database"] == "postgresql":
            for name, scope in one["scopes"].items():
                yield {
                    "scenario": "routing",
                    "subscribers": one["subscribers"],
                    "scope": name,
                    "cpu_ms": scope.get("cpu_ms"),
                }


def lines_of(panel: Panel, rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Gather the lines of a panel; what was not measured, or is nothing, has no point."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        if row["scenario"] not in panel.scenarios:
            continue
        for key, said in panel.keys.items():
            if row.get(key) and row.get(panel.x):
                name = ", ".join(word for word in (said, row.get(panel.apart)) if word)
                found.setdefault(name, {})[float(row[panel.x])] = float(row[key])
    return [Line(said=name, points=sorted(points.items())) for name, points in found.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A logarithmic axis: from what to what, and where that is drawn."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], *, start: float, end: float) -> "Axis":
        """Make an axis with a little room around `values`, which are above zero."""
        low, high = min(values) / 1.25, max(values) * 1.25
        if high / low < 10:  # at least a decade: else noise looks like growth
            middle = math.sqrt(low * high)
            low, high = middle / math.sqrt(10), middle * math.sqrt(10)
        return cls(low=low, high=high, start=start, end=end)

    def place(self, value: float) -> float:
        """Give where a value is drawn."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def marks(self) -> list[float]:
        """List the values that are marked."""
        decades = math.log10(self.high / self.low)
        steps = STEPS if decades < STEPS_UP_TO else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [step * 10.0**power for power in powers for step in steps]
        return [one for one in marks if self.low <= one <= self.high]


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw every panel that has a point, two in a row, as the text of an SVG."""
    drawn = [(panel, lines) for panel in PANELS if (lines := lines_of(panel, rows))]
    parts = []
    for place, (panel, lines) in enumerate(drawn):
        x, y = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, lines), "</g>"]
    wide, high = COLUMNS * WIDTH, math.ceil(len(drawn) / COLUMNS) * HEIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"'
        f' height="{high}" role="img" font-family="sans-serif" font-size="12">'
    )
    title = "<title>How cost grows with recipients, rate, subscriptions and obligations</title>"
    paper = f'<rect width="{wide}" height="{high}" fill="#ffffff"/>'
    return "\n".join([head, title, paper, *parts, "</svg>"]) + "\n"


def _panel(panel: Panel, lines: Sequence[Line]) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    points = [point for line in lines for point in line.points]
    across = Axis.over([x for x, _ in points], start=LEFT, end=right)
    up = Axis.over([y for _, y in points], start=bottom, end=TOP)
    yield _text(WIDTH / 2, 20, panel.title, anchor="middle", more='font-weight="bold"')
    yield _text((LEFT + right) / 2, HEIGHT - 14, panel.x_said, anchor="middle")
    turned = f'transform="rotate(-90 14 {(TOP + bottom) / 2})"'
    yield _text(14, (TOP + bottom) / 2, panel.y_said, anchor="middle", more=turned)
    for value in across.marks():
        x = across.place(value)
        yield f'<path d="M{x} {TOP}V{bottom}" stroke="#dfe1e2"/>'
        yield _text(x, bottom + 16, _number(value), anchor="middle")
    for value in up.marks():
        y = up.place(value)
        yield f'<path d="M{LEFT} {y}H{right}" stroke="#dfe1e2"/>'
        yield _text(LEFT - 6, y + 4, _number(value), anchor="end")
    yield f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#1b1b1b"/>'
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        places = [(across.place(x), up.place(y)) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in places:
            yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
        more = f'fill="{colour}"'
        yield _text(LEFT + 8, TOP + 12 + number * LEGEND_LINE, line.said, more=more)


def _number(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1_000:g} k" if value >= 10_000 else f"{value:,g}"


def _text(x: float, y: float, said: str, *, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {more}>{escape(said)}</text>'


def main() -> None:
    """Draw what the files hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--svg", type=Path, required=True)
    options = parser.parse_args()
    rows = [row for file in options.files for row in rows_of(json.loads(file.read_text()))]
    options.svg.write_text(draw(rows))


if __name__ == "__main__":
    main()
