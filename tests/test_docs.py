"""The documentation holds: links lead somewhere, names exist, and examples print what is pasted.

What a page marks is run against a real bus, in the order of the page, as a reader would:

    <!-- tested -->                  a block for the shell; it must succeed
    <!-- tested until it prints -->  the same, repeated for a while until it prints what follows
    <!-- tested as NAME -->          a block that is typed into a terminal of its own
    <!-- file NAME -->               a block that the reader saves
    <!-- prints -->                  what the block before it printed
    <!-- printed by NAME -->         what the other terminal has printed so far

After a change, `NOTICEBUS_TEST_DOCS=paste pytest tests/test_docs.py` pastes what a run printed.
"""

import ast
import asyncio
import contextlib
import datetime as dt
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import pytest
from fastapi.routing import APIRoute

from harness.desk import open_desk, principal
from harness.district import furnish_district
from harness.ports import free_port
from noticebus.casework import simulate
from noticebus.cli import policies
from noticebus.cli.output import as_markdown
from noticebus.cli.session import KEY, KEY_FILE, URL
from noticebus.console import acknowledge, report
from noticebus.contracts.schedule import PHASES
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Scope, Status
from noticebus.contracts.webhook import EVENT_DATA, event_type, schema_name
from noticebus.domain.policies import Hold, Policy, default_policies
from noticebus.domain.schedules import Phase, default_schedules
from noticebus.gateway.app import ROUTERS
from noticebus.gateway.problem_pages import PROBLEMS
from noticebus.settings import FILE_SUFFIX, PREFIX, SETTINGS_FILE, Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md")),
    *sorted(DOCS.rglob("*.md")),
]
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
DECISION_LINES_MAX = 40
PASTES = os.environ.get("NOTICEBUS_TEST_DOCS") == "paste"
PASTED_WIDTH = 112
WAIT_S = 120.0

# Each line is one bus; its pages follow one another in one pair of hands.
JOURNEYS = (
    (
        "README.md",
        "docs/how-to/answer.md",
        "docs/how-to/rotate-a-secret.md",
        "docs/reference/errors.md",
    ),
    ("docs/tutorial/first-notice.md", "docs/how-to/backup.md"),
)
BUS, ENDPOINT = "127.0.0.1:8080", "9000"  # what the pages say; a run takes free ports
SERVE = "make serve"
FOLDER = "/srv/noticebus"  # where the pages' reader works

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^>]*) -->\n)?"
    r"(?P<fence>```+)(?P<language>[^\n]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
GENERATED = re.compile(
    r"(<!-- generated: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\bNOTICEBUS_[A-Z][A-Z_]*\b")
TEST_NAME = re.compile(r"\btest_[a-z0-9_]+\b(?!\.py)")
PATH = re.compile(
    r"`((?:services|tests|docs|schemas|deploy|bench|migrations|requirements)/[\w./-]+)`"
)

# What is secret or says nothing to a reader is not pasted.
MASKED = (
    (re.compile(r"\b(whsec|whpk|noticebus_live)_[\w+/=-]+"), r"\1_…"),
    (re.compile(r"[\w+/-]{43}=|[\w-]{43}\.[\w-]{86}"), "…"),
)
# What differs from run to run, and what stands in its place when two outputs are compared.
VARYING = (
    (
        re.compile(r"\b(agy|cnt|rsp|sub|key|ntc|inc|obl|dlv|ack|qst|ent|req)_[0-9a-z]{26}\b"),
        r"\1_…",
    ),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d \w+ \(\d\d:\d\dZ\)"), "TIME"),
    (re.compile(r"\bin (?:\d+ (?:d|h|min|s) ?)+"), "in a while "),
    (re.compile(r"\b\d+ s\b"), "N s"),
    (re.compile(r'("(?:index|seconds|\w+_s)": )\d+'), r"\1N"),
    (re.compile(r"\bledger index \d+"), "ledger index N"),
    (re.compile(r"\b\d{6}\b"), "CODE"),
    (re.compile(r"\[\d\d/\w{3}/\d{4} [\d:]+\]"), "[TIME]"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" $", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page, and the mark before it."""

    page: Path
    mark: str
    language: str
    body: str
    span: tuple[int, int]


@dataclass(slots=True)
class Terminal:
    """A shell that a person types into: every block sees what those before it have set."""

    process: subprocess.Popen[str]
    lines: "queue.Queue[str]" = field(default_factory=queue.Queue)
    seen: str = ""

    @classmethod
    def open(cls, folder: Path) -> "Terminal":
        process = subprocess.Popen(
            ["bash", "--norc"],  # noqa: S607 - whichever bash the reader has
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        terminal = cls(process)
        threading.Thread(target=terminal._read, daemon=True).start()
        return terminal

    def type(self, commands: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{commands}\n")
        self.process.stdin.flush()

    def run(self, commands: str) -> str:
        """Run a block and give what it printed; any command of it that fails, fails the test."""
        self.type(f"trap 'failed=$?' ERR; failed=0\n{commands}\nprintf '\\n<ended %s>\\n' $failed")
        printed: list[str] = []
        while not (line := self.next_line()).startswith("<ended "):
            printed.append(line)
        text = "".join(printed).rstrip("\n") + "\n"
        assert line == "<ended 0>\n", f"this failed:\n{commands}\nwith:\n{text}"
        return text

    def next_line(self) -> str:
        try:
            line = self.lines.get(timeout=WAIT_S)
        except queue.Empty:
            pytest.fail(f"nothing more was printed within {WAIT_S:.0f} s after:\n{self.seen}")
        self.seen += line
        return line

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        stream: IO[str] | None = self.process.stdout
        assert stream is not None
        with contextlib.suppress(ValueError):  # closed while reading
            for line in stream:
                self.lines.put(line)


@dataclass(slots=True)
class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    folder: Path
    ports: dict[str, str]
    terminals: dict[str, Terminal] = field(default_factory=dict)

    def follow(self, page: Path) -> None:
        blocks = blocks_of(page)
        pasted: list[tuple[Block, str]] = []
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            wanted = after if after is not None and after.mark == "prints" else None
            printed = self._do(block, wanted)
            if wanted is not None:
                pasted.append((wanted, printed))
        if PASTES:
            paste(page, pasted)
            return
        for block, printed in pasted:
            assert comparable(printed) == comparable(block.body), f"{page.name}: {block.body}"

    def _do(self, block: Block, wanted: Block | None) -> str:
        match block.mark.split():
            case ["file", name]:
                (self.folder / name).write_text(self._real(block.body))
            case ["tested"]:
                return self._said(self._terminal("own").run(self._real(block.body)))
            case ["tested", "until", "it", "prints"]:
                return self._repeat(block, wanted)
            case ["tested", "as", name]:
                return self._begin(name, block, wanted)
            case ["printed", "by", name]:
                self._expect(self._terminal(name), block)
            case _:
                pass
        return ""

    def _repeat(self, block: Block, wanted: Block | None) -> str:
        assert wanted is not None, "a block that is repeated says until what it prints"
        until = time.monotonic() + WAIT_S
        while True:
            printed = self._said(self._terminal("own").run(self._real(block.body)))
            if comparable(printed) == comparable(wanted.body) or time.monotonic() > until:
                return printed

    def _begin(self, name: str, block: Block, wanted: Block | None) -> str:
        """Type into another terminal, and wait for as many lines as the page shows."""
        terminal = self._terminal(name)
        terminal.type(self._real(block.body))
        expected = wanted.body.count("\n") if wanted is not None else 0
        printed = "".join(terminal.next_line() for _ in range(expected))
        if SERVE in block.body:
            (found,) = re.findall(r"^address: +http://(\S+)$", printed, flags=re.MULTILINE)
            self.ports[BUS] = found
        return self._said(printed)

    def _expect(self, terminal: Terminal, block: Block) -> None:
        """Wait for each line in turn; what was seen before may come again (at least once, I3)."""
        for wanted in block.body.splitlines():
            seen = {comparable(one) for one in terminal.seen.splitlines()}
            printed = comparable(self._said(terminal.next_line()))
            while printed in seen and printed != comparable(wanted):
                printed = comparable(self._said(terminal.next_line()))
            assert printed == comparable(wanted)

    def _terminal(self, name: str) -> Terminal:
        if name not in self.terminals:
            self.terminals[name] = Terminal.open(self.folder)
        return self.terminals[name]

    def _real(self, commands: str) -> str:
        """Take free ports, and the command that `make serve` runs."""
        said = {SERVE: "noticebus serve --port 0", **self.ports}
        for shown, real in said.items():
            commands = commands.replace(shown, real)
        return commands

    def _said(self, printed: str) -> str:
        for shown, real in {FOLDER: str(self.folder), **self.ports}.items():
            printed = printed.replace(real, shown)
        return printed


def blocks_of(page: Path) -> list[Block]:
    return [
        Block(
            page=page,
            mark=found["mark"] or "",
            language=found["language"].strip(),
            body=found["body"],
            span=found.span("body"),
        )
        for found in BLOCK.finditer(page.read_text())
    ]


def comparable(text: str) -> str:
    """Take out of an output what differs from run to run, and how it is wrapped."""
    with contextlib.suppress(ValueError):
        text = json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False)
    for pattern, stands_for in (*MASKED, *VARYING):
        text = pattern.sub(stands_for, text)
    return text.strip()


def paste(page: Path, pasted: list[tuple[Block, str]]) -> None:
    """Write what was printed into the page; JSON is wrapped so that a person can read it."""
    text = page.read_text()
    for block, printed in reversed(pasted):
        if comparable(printed) != comparable(block.body):
            start, end = block.span
            text = text[:start] + wrapped(printed) + text[end:]
    page.write_text(text)


def wrapped(printed: str) -> str:
    for pattern, stands_for in MASKED:
        printed = pattern.sub(stands_for, printed)
    try:
        return laid_out(json.loads(printed)) + "\n"
    except ValueError:
        return "".join(f"{line.rstrip()}\n" for line in printed.splitlines())


def laid_out(value: object, *, indent: int = 0) -> str:
    """Write JSON so that what fits on a line is on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= PASTED_WIDTH or not isinstance(value, dict | list):
        return flat
    space = " " * (indent + 1)
    if isinstance(value, list):
        items = [laid_out(one, indent=indent + 1) for one in value]
        return "[" + f",\n{space}".join(items) + "]"
    lines: list[str] = []
    for name, one in value.items():
        text = f"{json.dumps(name)}: {laid_out(one, indent=indent + 2)}"
        joined = f"{lines[-1]}, {text}" if lines else ""
        if lines and "\n" not in joined and len(joined) + indent < PASTED_WIDTH:
            lines[-1] = joined
        else:
            lines.append(text)
    return "{" + f",\n{space}".join(lines) + "}"


def _environment(folder: Path) -> dict[str, str]:
    tools = str(Path(sys.executable).parent)
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "NOTICEBUS_RECORDS_KEPT_S": "0",  # what a page repairs is on its next report
    }


def _follow(folder: Path, journey: tuple[str, ...]) -> None:
    folder.mkdir()
    (folder / ".venv").symlink_to(Path(sys.prefix))
    reader = Reader(folder=folder, ports={ENDPOINT: str(free_port())})
    try:
        for name in journey:
            reader.follow(ROOT / name)
    finally:
        for terminal in reversed(reader.terminals.values()):
            terminal.close()


@pytest.mark.slow(reason="types every command of the pages, each a process of its own")
def test_examples_print_what_the_pages_show(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as readers:
        at_once = [
            readers.submit(_follow, tmp_path / str(number), journey)
            for number, journey in enumerate(JOURNEYS)
        ]

    for followed in at_once:
        followed.result()


def test_every_tested_block_is_on_a_page_that_is_followed() -> None:
    followed = {ROOT / name for journey in JOURNEYS for name in journey}

    marked = {page for page in PAGES for block in blocks_of(page) if "tested" in block.mark}

    assert marked == followed


# --- what is generated ----------------------------------------------------------------------------


def _policies() -> str:
    rows = ["| recipient | class | delays count | due | steps |", "| --- | --- | --- | --- | --- |"]
    rows += [_policy_row(one) for one in default_policies()]
    return "\n".join(rows) + "\n"


def _policy_row(policy: Policy) -> str:
    _, kind, profile, notice_class = policy.id.split(".")
    held = {
        Hold.NEVER: "at once, day and night",
        Hold.WINDOW: "from the next opening",
        Hold.BUSINESS_DAY: f"from {policy.hold.at} on the next business day",
    }[policy.hold.hold]
    steps = [
        f"{_minutes(step.after.total_seconds())} {step.notify}" + " (list)" * step.lists_only
        for step in policy.steps
    ]
    due = "-" if policy.due_after is None else _minutes(policy.due_after.total_seconds())
    shown = held if steps else "-"
    return f"| {kind}, {profile} | {notice_class} | {shown} | {due} | {' → '.join(steps) or '-'} |"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"


def _schedules() -> str:
    rows = [
        f"| class | {' | '.join(PHASES)} | tries | in all | `Retry-After` counts up to |",
        f"| --- | {'--- | ' * len(PHASES)}--- | --- | --- |",
    ]
    for notice_class, schedule in default_schedules().items():
        phases = {one.name: _phase(one) for one in schedule.phases}
        columns = " | ".join(phases.get(name, "-") for name in PHASES)
        hours = f"{schedule.horizon.total_seconds() / 3600:.0f} h"
        most = _span(schedule.retry_after_max)
        rows.append(f"| {notice_class} | {columns} | {schedule.tries_max} | {hours} | {most} |")
    return "\n".join(rows) + "\n"


def _phase(phase: Phase) -> str:
    last = min(phase.first * phase.factor ** (phase.tries - 1), phase.top)
    grows = f" to {_span(last)}" if last != phase.first else ""
    return f"{phase.tries} \N{MULTIPLICATION SIGN} {_span(phase.first)}{grows}"


def _span(span: dt.timedelta) -> str:
    """Write a time in the greatest unit of which it is a whole number."""
    for seconds, unit in ((3600, "h"), (60, "min")):
        if span.total_seconds() % seconds == 0:
            return f"{span.total_seconds() / seconds:.0f} {unit}"
    return f"{span.total_seconds():.0f} s"


def _problems() -> str:
    rows = ["| code | status | what it means | what to do |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{one.code}` | {one.status} | {one.meaning} | {one.remedy} |".replace("\n", " ")
        for one in PROBLEMS.values()
    ]
    return "\n".join(rows) + "\n"


def _events() -> str:
    rows = ["| `type` | what it says | schema of `data` |", "| --- | --- | --- |"]
    for cause, model in EVENT_DATA.items():
        _, _, said = (model.__doc__ or "").partition(": ")
        path = f"../../schemas/{schema_name(cause)}"
        rows.append(f"| `{event_type(cause)}` | {said} | [{schema_name(cause)}]({path}) |")
    return "\n".join(rows) + "\n"


def _operations() -> str:
    rows = ["| call | does |", "| --- | --- |"]
    for router in (*ROUTERS, acknowledge.router, report.router):
        for route in router.routes:
            if isinstance(route, APIRoute) and not route.path.startswith("/static"):
                said = " ".join((route.description or "").partition("\n\n")[0].split())
                methods = ", ".join(sorted(route.methods or ()))
                rows.append(f"| `{methods} {route.path}` | {said} |")
    return "\n".join(rows) + "\n"


FRIDAY = "2019-08-09T13:50-05:00"
OTHER_TIMES = (
    (NoticeClass.A, "2019-08-09T09:00-05:00"),
    (NoticeClass.A, "2019-08-16T09:45-05:00"),
    (NoticeClass.A, "2019-08-09T18:30-05:00"),
    (NoticeClass.B, "2019-08-09T11:30-05:00"),
    (NoticeClass.B, "2019-08-09T13:50-05:00"),
    (NoticeClass.B, "2019-08-09T16:00-05:00"),
)


def _friday_afternoon() -> str:
    (found,) = _simulated([(NoticeClass.A, FRIDAY)])
    said = f"{policies.headline_of(found)}\n".replace("\n", "\n\n", 1)
    return f"{said}{as_markdown(policies.rows_of(found), columns=policies.SIMULATION_COLUMNS)}"


def _friday_other_times() -> str:
    rows = ["| class | notice | due | steps |", "| --- | --- | --- | --- |"]
    for found in _simulated(OTHER_TIMES):
        steps = [
            f"{one['local'][11:16]} {one['notify']}"
            for one in found["calls"]
            if one["kind"] == "step"
        ]
        due = next(one["local"] for one in found["calls"] if one["kind"] == "due")
        rows.append(
            f"| {found['class']} | {found['calls'][0]['local']} | {due} | {' → '.join(steps)} |"
        )
    return "\n".join(rows) + "\n"


def _simulated(asked: Sequence[tuple[NoticeClass, str]]) -> list[dict[str, Any]]:
    """Play notices on a furnished district, on a bus with a telephone provider."""

    async def play(folder: Path) -> list[dict[str, Any]]:
        async with open_desk(folder) as desk:
            rings = replace(desk, dials=True)
            district = await furnish_district(rings)
            played = [
                await simulate.simulate(
                    rings,
                    principal(Scope.OPERATE),
                    agency_id=district.row.id,
                    notice_class=notice_class,
                    status=Status.ACTUAL,
                    at=policies.moment_of(at),
                )
                for notice_class, at in asked
            ]
            return [one.model_dump(mode="json", by_alias=True) for one in played]

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(play(Path(folder)))


TABLES: dict[str, Callable[[], str]] = {
    "friday-afternoon": _friday_afternoon,
    "friday-other-times": _friday_other_times,
    "policies": _policies,
    "schedules": _schedules,
    "problems": _problems,
    "events": _events,
    "operations": _operations,
}


@pytest.mark.parametrize("name", TABLES)
def test_generated_table_is_what_the_code_says(name: str) -> None:
    holders = {
        page: found
        for page in PAGES
        for found in GENERATED.finditer(page.read_text())
        if found["name"] == name
    }
    assert len(holders) == 1
    ((page, found),) = holders.items()
    if PASTES:
        text = page.read_text()
        page.write_text(text[: found.start("body")] + TABLES[name]() + text[found.end("body") :])
        return

    assert found["body"] == TABLES[name](), "paste it: NOTICEBUS_TEST_DOCS=paste"


def test_every_kind_of_recipient_and_class_has_a_default_policy_on_the_page() -> None:
    page = (DOCS / "explanation" / "escalation.md").read_text()

    missing = [
        (kind, notice_class)
        for kind in AgencyKind
        for notice_class in NoticeClass
        if not re.search(rf"^\| {kind}, \w+ \| {notice_class} \|", page, flags=re.MULTILINE)
    ]

    assert missing == []


# --- what is named exists -------------------------------------------------------------------------


def _said(page: Path) -> str:
    return f"{page.relative_to(ROOT)}"


def _anchors(page: Path) -> set[str]:
    titles = [found["text"] for found in HEADING.finditer(page.read_text())]
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_every_link_leads_to_a_file_and_a_heading_that_exist() -> None:
    broken = []
    for page in PAGES:
        prose = BLOCK.sub("", page.read_text())
        for found in LINK.finditer(prose):
            path, _, anchor = found["target"].partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{_said(page)}: {found['target']}")

    assert broken == []


def test_every_page_of_docs_is_linked_from_its_index() -> None:
    index = DOCS / "index.md"

    linked = {
        (DOCS / found["target"].partition("#")[0]).resolve()
        for found in LINK.finditer(index.read_text())
    }

    assert {page for page in PAGES if page.is_relative_to(DOCS)} - linked - {index} == set()


def test_every_variable_named_is_a_setting_or_one_of_the_commands_own() -> None:
    of_tests = {f"NOTICEBUS_TEST_{name}" for name in ("POSTGRES", "KAFKA", "CHROMIUM", "DOCS")}
    known = {URL, KEY, KEY_FILE, SETTINGS_FILE, *of_tests}
    known |= {PREFIX + name.upper() for name in Settings.model_fields}

    strangers = {
        f"{_said(page)}: {name}"
        for page in PAGES
        for name in VARIABLE.findall(page.read_text())
        if name not in known and name.removesuffix(FILE_SUFFIX) not in known
    }

    assert strangers == set()


def test_every_test_and_file_cited_exists() -> None:
    defined = set()
    for path in (ROOT / "tests").rglob("*.py"):
        defined |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))

    missing = set()
    for page in PAGES:
        text = page.read_text()
        missing |= {f"{_said(page)}: {name}" for name in set(TEST_NAME.findall(text)) - defined}
        missing |= {
            f"{_said(page)}: {path}" for path in PATH.findall(text) if not (ROOT / path).exists()
        }

    assert missing == set()


def test_every_python_and_json_block_can_be_read() -> None:
    readers: dict[str, Callable[[str], object]] = {"python": ast.parse, "json": json.loads}
    for page in PAGES:
        for block in blocks_of(page):
            readers.get(block.language, str)(block.body)


def test_the_receiver_of_the_readme_is_ten_lines() -> None:
    (receiver,) = (one for one in blocks_of(ROOT / "README.md") if one.mark == "file receiver.py")

    written = [line for line in receiver.body.splitlines() if line.strip()]

    assert len(written) == 10


def test_every_page_begins_with_its_title_and_what_it_is_for() -> None:
    for page in PAGES:
        title, empty, purpose = page.read_text().splitlines()[:3]

        assert title.startswith("# "), _said(page)
        assert not empty, _said(page)
        assert purpose.lstrip("`*[")[:1].isalnum(), _said(page)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_context_decision_and_consequences_on_one_screen(page: Path) -> None:
    text = page.read_text()

    assert re.match(r"\d{4}-[a-z0-9-]+$", page.stem)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.count("\n") < DECISION_LINES_MAX
