"""What the scenarios' command lines have in common: options, tables, JSON with the machine."""

import argparse
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.processes import machine
from noticebus.clock import SystemClock

PROFILES = ("embedded", "production")
WIDTH = 200
LIBRARIES = ("noticebus", "uvloop", "asyncpg", "SQLAlchemy", "aiokafka", "aiohttp", "fastapi")
COLUMNS = {
    "scenario": "",
    "profile": "profile",
    "fan_out": "fan-out",
    "per_second": "offered/s",
    "accepted_per_s": "accepted/s",
    "delivered_per_s": "delivered/s",
    "accept_p50_ms": "accept p50 ms",
    "arrival_p50_ms": "arrival p50",
    "arrival_p95_ms": "p95",
    "arrival_p99_ms": "p99",
    "arrival_max_ms": "max",
    "statements_per_notice": "SQL/notice",
    "statements_per_delivery": "SQL/delivery",
    "cpu_us_per_delivery": "CPU µs/delivery",
    "refused_and_repeated": "refused",
    "missing": "missing",
    "doubled": "doubled",
}


def parser(about: str | None) -> argparse.ArgumentParser:
    """Make a parser with what every scenario takes."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--profile", action="append", choices=PROFILES)
    made.add_argument("--layout", help='our processes by role: "gateway,ledger dispatcher*2"')
    made.add_argument("--addresses", type=int, help="how many the endpoints share")
    made.add_argument("--uncounted", action="store_true", help="do not count SQL statements")
    made.add_argument("--statements", action="store_true", help="list the most frequent statements")
    made.add_argument("--json", type=Path)
    return made


def profiles(options: argparse.Namespace) -> Sequence[str]:
    """Give the profiles asked for, or both."""
    return options.profile or PROFILES


def of_profile(options: argparse.Namespace) -> dict[str, Any]:
    """Give what `harness.profile` is to be told of the options."""
    return {
        "layout": options.layout,
        "addresses": options.addresses,
        "count": not options.uncounted,
    }


def show(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Print rows as a table, then what each process used."""
    table = Table()
    columns = {name: said for name, said in COLUMNS.items() if any(name in row for row in rows)}
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in columns))
    console = Console(width=WIDTH)
    console.print(table)
    for row in rows:
        if "cpu_us_of" in row:
            console.print(f"CPU µs a delivery: {_pairs(row['cpu_us_of'])}")
            console.print(f"most memory, MB: {_pairs(row['memory_mb'])}")
        for count, said in row["most_statements"] if options.statements else ():
            console.print(f"{count:6} {said}", markup=False, highlight=False)


def _pairs(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def finish(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Print all rows once more, and write them down with the machine where that was asked for."""
    if len(rows) > 1:
        show(rows, options)
    if options.json is not None:
        write(options.json, {"rows": rows})


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write figures as JSON, with what they were taken on."""
    about = {
        "date": SystemClock().now().date().isoformat(),
        "machine": machine(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
    path.write_text(json.dumps({**about, **found}, indent=1) + "\n")
