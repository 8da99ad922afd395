"""Lint the SQL that the migrations run on PostgreSQL: `python tools/lint_migrations.py`."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
OLDEST_POSTGRESQL = "15.0"  # the oldest release that the production profile runs on
EXCLUDED = {
    "ban-drop-constraint": "a list of words gives way to a longer one, in the same transaction",
    "constraint-missing-not-valid": "one transaction, all or nothing; a time limit bounds the scan",
    "prefer-bigint-over-int": "versions, rounds, steps and attempts stay small",
    "require-concurrent-index-deletion": "one transaction; what waits is bounded by lock_timeout",
    "prefer-text-field": "a longer id is a change of the catalogue alone, no rewrite",
}


def main() -> int:
    """Pipe the SQL of every migration through squawk and hand on its verdict."""
    sys.path.insert(0, str(CHECKOUT / "services"))
    from noticebus.store.migrate import render_sql  # noqa: PLC0415 - found on the line above

    squawk = Path(sys.executable).with_name("squawk")
    options = ["--pg-version", OLDEST_POSTGRESQL, "--stdin-filepath", "migrations.sql"]
    for rule in EXCLUDED:
        options += ["--exclude", rule]
    return subprocess.run(  # noqa: S603 - our own tool, our own text
        [squawk, *options], input=render_sql(), text=True, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
