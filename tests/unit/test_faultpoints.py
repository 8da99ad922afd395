import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from noticebus import faultpoints
from noticebus.faultpoints import CRASH_AT, FaultPoint, reach

PACKAGE = Path(faultpoints.__file__).parent


def _reached() -> Counter[str]:
    """Count the calls `reach(FaultPoint.NAME)` in the package, by name."""
    calls = (
        node
        for path in PACKAGE.rglob("*.py")
        if "faultpoints" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "reach"
    )
    return Counter(ast.unparse(call.args[0]).removeprefix("FaultPoint.") for call in calls)


def _run(passes: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Reach one point so many times in a process of its own, which then says that it is there."""
    program = (
        "from noticebus.faultpoints import FaultPoint, reach\n"
        f"for _ in range({passes}):\n"
        "    reach(FaultPoint.DISPATCHER_CLAIMED)\n"
        "    reach(FaultPoint.DISPATCHER_RECORDED)\n"
        "print('alive')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_point_is_at_exactly_one_place() -> None:
    assert _reached() == Counter(one.name for one in FaultPoint)


def test_nothing_happens_at_any_point_where_no_test_asks_for_it() -> None:
    for one in FaultPoint:
        reach(one)

    assert faultpoints._trap is None, "there is nothing to look up at a point"


@pytest.mark.parametrize(
    ("at", "alive_after"), [("dispatcher.claimed", 0), ("dispatcher.claimed:3", 2)]
)
def test_a_process_dies_at_the_named_point_the_nth_time(at: str, alive_after: int) -> None:
    assert _run(alive_after, **{CRASH_AT: at}).stdout == "alive\n"

    assert _run(alive_after + 1, **{CRASH_AT: at}).returncode == -signal.SIGKILL


def test_a_point_that_does_not_exist_stops_the_start() -> None:
    ended = _run(0, **{CRASH_AT: "dispatcher.clamied"})

    assert ended.returncode == 1
    assert "dispatcher.clamied" in ended.stderr
