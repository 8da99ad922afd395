"""The house's own rules, where no other tool holds them. Each exception has its reason."""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "services" / "noticebus"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

BODY_LINES_MAX = 60
MODULE_LINES_MAX = 400

# path[::function]: why it may be longer
LONG_MODULES = {
    "store/tables.py": "the whole schema on one page is easier to review than in parts",
}
LONG_FUNCTIONS: dict[str, str] = {}

# Where a broad `except Exception` is right. Each logs the traceback.
BROAD_EXCEPTS = {
    "gateway/middleware.py": "the HTTP error handler: every error becomes a problem",
    "cli/app.py": "the command line: every error becomes cause and remedy",
    "bus/kafka_reader.py": "the per-item boundary of a worker",
    "bus/publisher.py": "the per-item boundary of a worker",
    "dispatcher/recorder.py": "the per-item boundary of a worker",
    "dispatcher/worker.py": "the per-item boundary of a worker",
    "ledger/engine.py": "the per-item boundary of a worker",
    "casework/step.py": "the per-item boundary: what cannot fire is parked alone",
    "casework/intake.py": "the per-item boundary: a failed batch is tried one by one",
}

BUCKETS = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "models",
    "types",
    "misc",
    "shared",
}

# Tests and their harness that may sleep.
SLEEPERS = {
    "bus/test_kafka.py": "between two questions to a broker, within a time limit",
    "harness/kafka.py": "between two questions whether a broker is ready",
    "harness/receivers.py": "plays a slow recipient",
    "harness/roles.py": "what ends the wait is another process, within a time limit",
    "harness/system.py": "between two looks whether the database is quiet, within a time limit",
    "faults/test_two_engines.py": "a kill comes at a random moment; another process's end is seen",
    "faults/test_kill.py": "a kill comes at a random moment",
    "fuzz/findings.py": "as long as a busy bus asks for, three times at most",
    "harness/served.py": "another process gives no signal; it is looked at within a time limit",
}

# second word: the word we use
SECOND_WORDS = {
    "alert_id": "notice_id",
    "message_id": "notice_id",
    "event_id": "notice_id or delivery_id",
    "organisation_id": "agency_id",
    "organization_id": "agency_id",
    "org_id": "agency_id",
    "tenant_id": "agency_id",
    "subscriber_id": "agency_id",
    "duty_id": "obligation_id",
    "task_id": "obligation_id",
    "dispatch_id": "delivery_id",
    "hook_id": "subscription_id",
    "ack": "acknowledgement",
    "ack_id": "acknowledgement_id",
    "ack_at": "acknowledged_at",
    "acknowledgment": "acknowledgement",
    "acks_at": "acknowledged_at",
    "cancelled_flag": "state",
}

MACHINE_PATHS = re.compile(r"(?<![\w.$}~-])/(work|root|Users|home/(?!noticebus))/[\w.]")
REGISTRY_HOSTS = re.compile(
    r"\b("
    + "|".join(
        (
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "maven" + r"\.org",
            "npmjs" + r"\.(?:org|com)",
        )
    )
    + r")\b"
)
TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
THIS = Path(__file__).relative_to(ROOT)


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    last = function.end_lineno or function.lineno
    return last - body[0].lineno + 1 if body else 0


def _identifiers(node: ast.AST) -> Iterator[str]:
    for attribute in ("id", "arg", "name"):
        name = getattr(node, attribute, None)
        if isinstance(name, str):
            yield name


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler only tidies up and raises what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _tracked() -> list[Path]:
    """List the text files that git keeps; without git (a release archive) the package's own."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"],  # noqa: S607 - wherever it is
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return [path.relative_to(ROOT) for path in (*MODULES, *TESTS)]
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]


def _lines(path: Path) -> list[str]:
    try:
        return (ROOT / path).read_text().splitlines()
    except UnicodeDecodeError:
        return []


def test_a_module_is_at_most_400_lines() -> None:
    long = {
        _name(path): lines
        for path in MODULES
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES_MAX
        and _name(path) not in LONG_MODULES
    }

    assert long == {}, "split what holds two ideas"


def test_a_function_is_at_most_60_lines() -> None:
    long = {
        where: lines
        for path in MODULES
        for function in _functions(path)
        if (lines := _body_lines(function)) > BODY_LINES_MAX
        and (where := f"{_name(path)}::{function.name}") not in LONG_FUNCTIONS
    }

    assert long == {}


def test_everything_is_caught_only_where_that_is_right() -> None:
    broad = [
        f"{_name(path)}:{node.lineno}"
        for path in MODULES
        if _name(path) not in BROAD_EXCEPTS
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not _passes_on(node)
    ]

    assert broad == [], "catch what you can answer"


def test_one_thing_has_one_word() -> None:
    second = {
        f"{_name(path)}: {name}": SECOND_WORDS[name]
        for path in MODULES
        for node in ast.walk(_tree(path))
        for name in _identifiers(node)
        if name in SECOND_WORDS
    }

    assert second == {}


def test_a_module_is_named_for_what_it_is() -> None:
    names = {_name(path): set(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES}

    assert [name for name, parts in names.items() if parts & BUCKETS] == []


def test_a_module_says_first_what_it_is_for() -> None:
    assert [_name(path) for path in MODULES if not ast.get_docstring(_tree(path))] == []


def test_an_init_holds_no_code() -> None:
    inits = [path for path in MODULES if path.name == "__init__.py"]

    assert [_name(path) for path in inits if len(_tree(path).body) != 1] == []


def test_every_listed_exception_is_still_needed() -> None:
    """A list of exceptions that nobody prunes ends up excusing everything."""
    by_name = {_name(path): path for path in MODULES}
    stale = [
        name
        for name in LONG_MODULES
        if name in by_name and len(by_name[name].read_text().splitlines()) <= MODULE_LINES_MAX
    ]
    for key in LONG_FUNCTIONS:
        name, _, function_name = key.partition("::")
        sizes = [
            _body_lines(function)
            for function in (_functions(by_name[name]) if name in by_name else ())
            if function.name == function_name
        ]
        if not sizes or max(sizes) <= BODY_LINES_MAX:
            stale.append(key)

    assert stale == []


def test_what_is_left_to_do_names_its_issue() -> None:
    faults = [
        f"{path}:{number}"
        for path in _tracked()
        if path.suffix in {".py", ".html", ".sh", ".toml", ".yaml"} and path != THIS
        for number, line in enumerate(_lines(path), 1)
        if TODO.search(line) and "TODO(#n)" not in line and "a TODO" not in line
    ]

    assert faults == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    faults = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in _tracked()
        if path != THIS
        for number, line in enumerate(_lines(path), 1)
        if MACHINE_PATHS.search(line)
    ]

    assert faults == []


def test_no_file_names_the_address_of_a_package_registry() -> None:
    faults = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in _tracked()
        for number, line in enumerate(_lines(path), 1)
        if REGISTRY_HOSTS.search(line)
    ]

    assert faults == []


def test_every_pinned_requirement_has_its_digests() -> None:
    for name in ("run", "build", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
        pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

        assert pins
        assert all(re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:", line) for line in pins), name


def test_every_skip_and_every_expected_failure_has_a_reason() -> None:
    faults = []
    for path in TESTS:
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call | ast.Attribute):
                continue
            call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if call in {"pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}:
                assert isinstance(node, ast.Call)
                if not any(keyword.arg == "reason" for keyword in node.keywords):
                    faults.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert faults == []


def test_no_test_sleeps_for_luck() -> None:
    """`asyncio.sleep(0)` only lets others run; any longer needs a reason in the list."""
    faults = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in TESTS
        if str(path.relative_to(ROOT / "tests")) not in SLEEPERS
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"asyncio.sleep", "time.sleep"}
        and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]

    assert faults == []
