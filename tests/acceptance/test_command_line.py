"""The command line as a person uses it: a real `serve`, and the verbs that speak to it.

A verb runs in the test's own process, where it takes milliseconds; what starts, listens or is
refused is a process of its own.
"""

import contextlib
import datetime as dt
import io
import json
import re
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from harness.commands import WITHIN_S, Ended, command, read_until, started
from noticebus.cli.app import hoist, run
from noticebus.store.columns import SQLITE_INSTANT

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
OVERDUE = 3
USAGE = 2
EXERCISE_TOML = """
name = "Spring exercise"
starts_at = 2099-04-01T14:00:00Z
ends_at = 2099-04-01T17:00:00Z

[notice]
kind = "enforcement_action"
status = "exercise"
class = "B"
occurred_at = 2099-04-01T13:30:00Z
headline = "Exercise: enforcement action near Morton"
areas = [{ county_fips = ["28123"] }]
children = { status = "unknown" }

[notice.sender]
unit = "Field office"
role = "duty officer"
callback_phone = "+16015550100"
"""
pytestmark = pytest.mark.slow(reason="starts processes, each with seconds of imports to trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """A bus served by a process of its own, and commands that speak to it."""

    folder: Path
    process: "subprocess.Popen[str]"
    said: str
    url: str

    def do(self, *words: str, key_file: str = "first-admin.key") -> Ended:
        """Run a verb against this bus, in its folder."""
        return verb(
            *words,
            folder=self.folder,
            NOTICEBUS_URL=self.url,
            NOTICEBUS_KEY_FILE=key_file,
        )

    def json(self, *words: str, key_file: str = "first-admin.key") -> Any:
        ended = self.do(*words, "--format", "json", key_file=key_file)
        assert ended.code == 0, ended
        return json.loads(ended.out)


def verb(*words: str, folder: Path, **variables: str) -> Ended:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as environment,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in variables.items():
            environment.setenv(name, value)
        code = run(hoist(words))
    return Ended(code=code, out=out.getvalue(), err=err.getvalue())


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Bus]:
    with started(
        "serve", "--port", "0", folder=folder, NOTICEBUS_EGRESS_ALLOW="127.0.0.1/32"
    ) as process:
        said = read_until(process, "next:")
        found = re.search(r"address: +(\S+)", said)
        assert found is not None, said
        yield Bus(folder=folder, process=process, said=said, url=found[1])


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    with served(tmp_path_factory.mktemp("bus")) as running:
        yield running


@pytest.fixture(scope="module")
def agencies(bus: Bus) -> dict[str, str]:
    """Furnish the bus: a poster with its key, and Mississippi's child protection."""
    zone = ("--zone", "America/Chicago")
    poster = bus.json("agency", "add", "Field office", "--kind", "federal", *zone)["id"]
    cps = bus.json("agency", "add", "State CPS", "--kind", "cps", *zone)["id"]
    bus.json(
        "contact", "add", cps, "Intake desk", "--role", "intake", "--email", "in@cps.example",
        "--phone", "+16015550110",
    )  # fmt: skip
    bus.json("responsibility", "add", cps, "--role", "cps", "--state", "28")
    for name, agency, scope in (("poster", poster, "post"), ("cps", cps, "answer")):
        words = ("key", "add", name, "--agency", agency, "--scope", scope)
        bus.json(*words, "--secret-file", f"{name}.key")
    return {"poster": poster, "cps": cps}


def notice_file(folder: Path, **changes: object) -> str:
    """Write the example of the schemas as a notice of this hour."""
    notice = json.loads((EXAMPLES / "notice-post.v1.least.json").read_text())
    ago = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)  # noqa: TID251 - the bus runs on it
    said = {"status": "actual", "class": "B", "occurred_at": f"{ago:%Y-%m-%dT%H:%M:%SZ}"}
    notice |= {**said, **changes}
    notice["areas"] = [{"county_fips": ["28123"]}]
    path = folder / "notice.json"
    path.write_text(json.dumps(notice))
    return path.name


def test_serve_names_address_key_file_and_next_command_and_never_prints_the_key(bus: Bus) -> None:
    key_file = bus.folder / "first-admin.key"

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert str(key_file) in bus.said
    assert key_file.read_text().strip() not in bus.said
    assert "noticebus agency add" in bus.said


def test_serve_names_the_first_sign_in_and_never_prints_its_password(bus: Bus) -> None:
    file = bus.folder / "first-sign-in.txt"
    address, login, password = file.read_text().splitlines()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert address == f"{bus.url}/sign-in"
    assert login == "login: supervisor"
    assert password.removeprefix("one-time password: ") not in bus.said
    assert f"sign in:  {address} (as supervisor; its one-time password is in {file})" in bus.said


def test_nothing_that_serve_writes_is_open_to_others(bus: Bus) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in bus.folder.glob("noticebus*")}

    assert "noticebus.db" in modes
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


def test_a_second_serve_on_the_same_database_is_refused(bus: Bus) -> None:
    ended = command("serve", "--port", "0", folder=bus.folder)

    assert ended.code == 1
    assert f"Another `noticebus serve` (process {bus.process.pid})" in ended.err
    assert "remedy: " in ended.err


def test_doctor_finds_nothing_that_fails(bus: Bus) -> None:
    ended = bus.do("doctor", "--format", "csv")

    assert ended.code == 0, ended
    assert '"database","ok"' in ended.out


def test_the_schedules_in_force_are_listed_with_their_phases(bus: Bus) -> None:
    ended = bus.do("schedule", "list", "--format", "csv")
    listed = bus.json("schedule", "list")

    assert ended.code == 0, ended
    assert "immediate 2 x 1 s, quick 4 x 5 s, backoff 5 x 10 to 300 s" in ended.out
    assert [one["class"] for one in listed] == ["A", "B", "C", "D"]


def test_agencies_are_listed_and_shown_with_what_belongs_to_them(
    bus: Bus, agencies: dict[str, str]
) -> None:
    listed = bus.json("agency", "list")
    shown = bus.json("agency", "show", agencies["cps"])

    assert {one["name"] for one in listed} >= {"Field office", "State CPS"}
    assert shown["contacts"] == ["Intake desk (intake, on_duty)"]
    assert shown["responsibilities"][0]["role"] == "cps"


def test_the_client_variables_are_no_unknown_settings(bus: Bus) -> None:
    ended = bus.do("config", "show", "--format", "json")

    assert ended.code == 0, ended
    assert "base_url" in ended.out


def test_a_wrong_key_is_told_what_to_do(bus: Bus) -> None:
    (bus.folder / "wrong.key").write_text("noticebus_live_nonsense\n")

    ended = bus.do("agency", "list", key_file="wrong.key")

    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert "remedy: Give a valid key" in ended.err
    assert "Traceback" not in ended.err


def test_a_notice_is_posted_shown_reported_and_acknowledged(
    bus: Bus, agencies: dict[str, str]
) -> None:
    file = notice_file(bus.folder, **{"class": "A"})
    asked = ("unacked", "--class", "A")  # of which there is no other on the bus of these tests
    posted = bus.json("notice", "post", file, key_file="poster.key")
    shown = bus.json("notice", "show", posted["id"])
    before = bus.do(*asked)
    _make_overdue(bus, posted["recipients"]["obligations"][0]["id"])
    late = bus.do(*asked, "--overdue")
    late_csv = bus.do(*asked, "--format", "csv")
    answer = bus.json(
        "acknowledge", posted["id"], "--name", "R. Alvarez", "--role", "intake", key_file="cps.key"
    )
    after = bus.do(*asked)

    assert shown["notice"]["incident_id"] == posted["incident_id"]
    assert [one["agency"]["name"] for one in shown["obligations"]] == ["State CPS"]
    assert before.code == 0, before
    assert "1 open obligations, 0 overdue" in before.out
    assert late.code == OVERDUE, late
    assert "State CPS" in late.out
    assert late_csv.code == OVERDUE, late_csv
    assert answer["closed"] is True
    assert after.code == 0, after


def test_an_operator_records_an_answer_given_by_phone(bus: Bus, agencies: dict[str, str]) -> None:
    posted = bus.json("notice", "post", notice_file(bus.folder), key_file="poster.key")
    obligation = posted["recipients"]["obligations"][0]["id"]

    answer = bus.json(
        "acknowledge", obligation, "--name", "Duty operator", "--role", "operator",
        "--how", "phone", "--on-behalf-of", "Intake desk",
    )  # fmt: skip

    assert answer["how"] == "phone"


def test_a_recipient_asks_the_poster_and_offers_help(bus: Bus, agencies: dict[str, str]) -> None:
    posted = bus.json("notice", "post", notice_file(bus.folder), key_file="poster.key")
    incident = posted["incident_id"]
    meals = json.loads((EXAMPLES / "offer-post.v1.meals.json").read_text())
    (bus.folder / "offer.json").write_text(
        json.dumps({name: said for name, said in meals.items() if name != "from"})
    )

    asked = bus.do("notice", "ask", incident, "--topic", "ages", key_file="cps.key")
    again = bus.json("notice", "ask", incident, "--topic", "ages", key_file="cps.key")
    wordless = bus.do("notice", "ask", incident, "--topic", "other", key_file="cps.key")
    offered = bus.do("notice", "offer", incident, "offer.json", key_file="cps.key")
    listed = bus.do("unacked")

    assert asked.code == 0, asked
    assert again["id"] in asked.out
    assert again["askers"]["count"] == 1
    assert "write the question" in wordless.err
    assert offered.code == 0, offered
    assert "Parish hall, Morton" in offered.out
    assert "OWED BY POSTER  Field office: question" in listed.out
    assert "OFFER  State CPS: 40 meals (meals), open" in listed.out


def test_a_notice_comes_from_standard_input_too(bus: Bus, agencies: dict[str, str]) -> None:
    text = (bus.folder / notice_file(bus.folder)).read_text()

    ended = command(
        "notice", "post", "-", folder=bus.folder, stdin=text,
        NOTICEBUS_URL=bus.url, NOTICEBUS_KEY_FILE="poster.key",
    )  # fmt: skip

    assert ended.code == 0, ended
    assert "State CPS" in ended.out


def test_a_faulty_notice_names_the_field(bus: Bus, agencies: dict[str, str]) -> None:
    file = notice_file(bus.folder, headlin="x")

    ended = bus.do("notice", "post", file, key_file="poster.key")

    assert ended.code == 1
    assert "/headlin" in ended.err


def test_listen_consents_and_finds_the_signature_of_the_bus_right(
    bus: Bus, agencies: dict[str, str]
) -> None:
    line = _listened(bus, agencies, secret_file="listen.secret")

    assert "signature ok (v1, v1a)" in line
    listening = next(one for one in bus.json("subscription", "list") if one["url"])
    assert bus.json("subscription", "renew", listening["id"])["lease_until"]
    listed = bus.do("subscription", "deliveries", listening["id"])
    assert re.search(r"dlv_\w+ +handshake +- +delivered", listed.out), listed
    sent = bus.json("subscription", "deliveries", listening["id"])
    shown = bus.do("subscription", "deliveries", listening["id"], "--delivery", sent[-1]["id"])
    assert "webhook-signature" in shown.out, shown
    assert re.search(r"\n1 +\S+ +delivered", shown.out), shown
    assert (
        bus.json("subscription", "deliveries", listening["id"], "--delivery", sent[-1]["id"])[
            "request"
        ]["method"]
        == "POST"
    )
    _pause_and_replay(bus, listening["id"])


def _pause_and_replay(bus: Bus, order: str) -> None:
    assert bus.json("subscription", "pause", order)["state"] == "paused"
    assert bus.json("subscription", "resume", order, "--leave")["state"] == "active"
    counted = bus.json("subscription", "replay", order, "--after", "999", "--dry-run")
    assert counted["total"] == 0
    ended = bus.do("subscription", "replay", order, "--after", "999", "--wait", "--format", "json")
    assert "100 %: 0 of 0 delivered" in ended.err, ended
    assert json.loads(ended.out)["state"] == "done"
    misused = bus.do("subscription", "replay", order)
    assert misused.code == 2
    assert "--after" in misused.err


def test_listen_explains_a_wrong_secret(bus: Bus, agencies: dict[str, str]) -> None:
    (bus.folder / "other.secret").write_text("whsec_" + "A" * 43 + "=\n")

    line = _listened(bus, agencies, secret_file="other.secret")

    assert "signature WRONG: v1 does not match, v1a does" in line
    assert "your secret is the wrong one" in line


def test_serve_ends_with_0_when_it_is_told_to_stop_and_keeps_its_key(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(WITHIN_S) == 0
    key = (tmp_path / "first-admin.key").read_text()
    with served(tmp_path) as second:
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(WITHIN_S) == 0

    assert (tmp_path / "first-admin.key").read_text() == key
    assert "made earlier" in second.said


def test_roles_on_the_embedded_profile_are_refused(tmp_path: Path) -> None:
    ended = command("serve", "--role", "ledger", folder=tmp_path)

    assert ended.code == 1
    assert "one process does everything" in ended.err


def test_serve_on_postgresql_without_migrations_names_the_command(
    postgres_url: str, tmp_path: Path
) -> None:
    refused = command("serve", "--port", "0", "--database-url", postgres_url, folder=tmp_path)
    upgraded = verb("db", "upgrade", "--database-url", postgres_url, folder=tmp_path)
    now = verb("db", "current", "--database-url", postgres_url, folder=tmp_path)

    assert refused.code == 1
    assert "noticebus db upgrade" in refused.err
    assert upgraded.out.startswith("applied ")
    assert re.search(r"pending +-", now.out)


def test_an_incident_is_cancelled_by_two_people_and_another_ended_by_an_all_clear(
    bus: Bus, agencies: dict[str, str]
) -> None:
    posted = bus.json("notice", "post", notice_file(bus.folder), key_file="poster.key")
    incident, first = posted["incident_id"], ("--name", "A. First", "--role", "duty officer")
    second = ("--name", "B. Second", "--role", "operator")
    asked = ("notice", "cancel", incident, "--reason", "Posted in error.", *first)

    waiting = bus.json(*asked, key_file="poster.key")
    alone = bus.do("notice", "confirm-cancel", incident, *second, key_file="poster.key")
    kept = bus.do("notice", "keep", incident, key_file="poster.key")
    again = bus.do(*asked, key_file="poster.key")
    ended = bus.do("notice", "confirm-cancel", incident, *second)

    assert waiting["needs_second_person"] is True
    assert alone.code == 1
    assert "Somebody else must confirm it" in alone.err
    assert kept.code == again.code == ended.code == 0, (kept, again, ended)
    assert "Another person confirms it" in again.err
    assert re.search(r"version +2", ended.out)

    posted = bus.json("notice", "post", notice_file(bus.folder), key_file="poster.key")
    over = ("notice", "all-clear", posted["incident_id"], "--headline", "It is over")
    unsaid = bus.do(*over, key_file="poster.key")
    cleared = bus.json(*over, "--still-open", "One child not located", key_file="poster.key")
    assert unsaid.code == USAGE
    assert (cleared["version"], cleared["material"]) == (2, False)


def test_an_exercise_is_run_from_a_file_followed_and_reported(
    bus: Bus, agencies: dict[str, str]
) -> None:
    notice_file(bus.folder, status="exercise")
    notice = json.loads((bus.folder / "notice.json").read_text())
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - the bus runs on it
    exercise = {
        "name": "Autumn exercise",
        "starts_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "ends_at": f"{now + dt.timedelta(seconds=20):%Y-%m-%dT%H:%M:%SZ}",
        "notice": notice,
    }
    (bus.folder / "exercise.json").write_text(json.dumps(exercise))

    ran = bus.do("exercise", "run", "exercise.json", key_file="poster.key")

    assert ran.code == 0, ran
    assert "EXERCISE ended: " in ran.err
    assert "EXERCISE: Autumn exercise (ended)" in ran.out
    assert "Never answered: State CPS." in ran.out
    (listed,) = bus.json("exercise", "list", key_file="poster.key")
    as_csv = bus.do("exercise", "report", listed["id"], "--format", "csv")
    assert as_csv.out.startswith('"recipient","standing","class","score"')
    report = bus.json("exercise", "report", listed["id"])
    assert report["summary"]["within_target"] == 0


def test_an_exercise_in_toml_is_scheduled_and_called_off(
    bus: Bus, agencies: dict[str, str]
) -> None:
    (bus.folder / "exercise.toml").write_text(EXERCISE_TOML)
    (bus.folder / "naive.toml").write_text(EXERCISE_TOML.replace("00Z", "00"))

    made = bus.json("exercise", "run", "exercise.toml", "--no-wait", key_file="poster.key")
    off = bus.json("exercise", "cancel", made["id"], key_file="poster.key")
    naive = bus.do("exercise", "run", "naive.toml", key_file="poster.key")
    missing = bus.do("exercise", "run", "nowhere.toml", key_file="poster.key")

    assert (made["state"], off["state"]) == ("scheduled", "cancelled")
    assert "no time with a zone" in naive.err
    assert "cannot be read" in missing.err


def test_a_port_in_use_costs_no_migration(bus: Bus, tmp_path: Path) -> None:
    port = bus.url.rpartition(":")[2]

    ended = command("serve", "--port", port, folder=tmp_path)

    assert ended.code == 1
    assert "Address already in use" in ended.err
    assert not (tmp_path / "noticebus.db").exists()


def _listened(bus: Bus, agencies: dict[str, str], *, secret_file: str) -> str:
    """Receive one event by `listen`, of a subscription made for it, and give its line."""
    with started(
        "listen", "--port", "0", "--secret-file", secret_file, folder=bus.folder,
        NOTICEBUS_URL=bus.url,
    ) as listening:  # fmt: skip
        found = re.search(r"http\S+", read_until(listening, "\n"))
        assert found is not None
        made = bus.json(
            "subscription", "add", agencies["cps"], secret_file, "--state", "28",
            "--url", found[0], "--secret-file", "listen.secret",
        )  # fmt: skip
        if secret_file != "listen.secret":
            return read_until(listening, "answered 401")
        read_until(listening, "answered 200")
        _until_active(bus, made["id"])
        posted = bus.json("notice", "post", notice_file(bus.folder), key_file="poster.key")
        line = read_until(listening, "  notice  ")
        assert made["channel"] == "webhook"
        assert posted["recipients"]["count"] == 1
        return line


def test_a_calendar_a_roster_and_a_delegation_come_from_files_and_words(
    bus: Bus, agencies: dict[str, str]
) -> None:
    cps, poster = agencies["cps"], agencies["poster"]
    (bus.folder / "hours.json").write_text(
        '{"hours": {"opens": "08:00", "closes": "17:00", "weekdays": ["mon"]}}'
    )
    (bus.folder / "night.csv").write_text(
        "contact,position,starts,ends\nIntake desk,on_duty,2098-01-01 20:00,2098-01-02 08:00\n"
    )

    for revision in (1, 2):
        assert bus.json("calendar", "set", cps, "hours.json")["revision"] == revision
        imported = bus.json("roster", "import", cps, "night.csv")
        assert [one["contact_name"] for one in imported] == ["Intake desk"]
    assert bus.json("calendar", "show", cps)["hours"]["opens"] == "08:00"
    span = ("--from", "2098-01-01T00:00:00Z", "--until", "2098-02-01T00:00:00Z")
    assert len(bus.json("roster", "show", cps, *span)) == 1
    made = bus.json("delegation", "create", cps, poster)
    assert [one["hours"] for one in bus.json("delegation", "list", cps)] == ["out_of_hours"]
    assert bus.json("delegation", "end", cps, made["id"])["ended_at"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calendar", "import", "night.txt"), "Line 1"),
        (("roster", "import", "night.txt"), "no ending that says what it is"),
        (("roster", "import", "nowhere.csv"), "cannot be read"),
        (("roster", "import", "large.csv"), "larger than 262,144 bytes"),
    ],
)
def test_a_file_that_is_no_roster_is_refused_with_what_to_do(
    bus: Bus, agencies: dict[str, str], words: tuple[str, str, str], said: str
) -> None:
    (bus.folder / "night.txt").write_text("nothing")
    (bus.folder / "large.csv").write_bytes(b"x" * (256 * 1024 + 1))

    group, action, file = words
    ended = bus.do(group, action, agencies["cps"], file)

    assert ended.code == 1
    assert said in ended.err
    assert "remedy: " in ended.err


def test_a_policy_of_ones_own_is_set_shown_tried_out_and_ended(
    bus: Bus, agencies: dict[str, str]
) -> None:
    cps = agencies["cps"]
    steps = [
        {"after_s": 300, "notify": "on_duty", "channels": ["email"]},
        {"after_s": 600, "notify": "second", "channels": ["email"]},
    ]
    policy = {"due_after_s": 300, "hold": "never", "steps": steps}
    (bus.folder / "policy.json").write_text(json.dumps(policy))
    of_cps = ("--agency", cps, "--class", "B")

    made = bus.json("policy", "set", "policy.json", *of_cps)
    warned = bus.do("policy", "set", "policy.json", *of_cps)
    again = bus.json("policy", "show", f"{cps}.B")
    applied = bus.json("policy", "list", "--agency", cps)
    by_id = bus.json("policy", "set", "policy.json", "--policy", "default.cps.county_office.B")
    every = {one["id"] for one in bus.json("policy", "list")}
    ended = bus.json("policy", "end", *of_cps)

    assert (made["version"], again["version"], by_id["version"]) == (1, 2, 2)
    assert warned.code == 0
    assert "warning: /steps/1: " in warned.err
    assert [one["id"] for one in applied][1] == f"{cps}.B"
    assert applied[1]["why"] == "State CPS has a policy of its own for class B."
    assert {f"{cps}.B", "default.cps.state_desk.A"} <= every
    assert ended["ended_at"]


def test_a_simulation_says_minute_by_minute_who_would_be_called(bus: Bus) -> None:
    zone = ("--zone", "America/Chicago")
    desk = bus.json("agency", "add", "Desk by night", "--kind", "cps", *zone)["id"]
    mail = ("--role", "intake", "--email", "night@cps.example")
    bus.json("contact", "add", desk, "Intake desk", *mail, "--position", "on_duty")
    bus.json("responsibility", "add", desk, "--role", "cps", "--state", "02")
    words = ("policy", "simulate", "--agency", desk, "--class", "A", "--at")
    moment = "2026-12-24T15:00-06:00"

    table = bus.do(*words, moment)
    as_csv = bus.do(*words, moment, "--format", "csv").out
    markdown = bus.do(*words, moment, "--format", "markdown").out
    found = bus.json(*words, moment)

    assert (table.code, found["at"]) == (0, "2026-12-24T21:00:00Z")
    assert table.out.startswith("Desk by night, class A, mandatory, actual: policy default.cps.")
    assert "2026-12-24 15:10 CST" in table.out
    assert "warning: " in table.err
    assert '"2026-12-24 15:10 CST","10","step 1: on_duty","Intake desk (intake)"' in as_csv
    assert "| 2026-12-24 15:10 CST | 10 | step 1: on_duty | Intake desk (intake) |" in markdown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("simulate", "--class", "A", "--at", "2026-12-24T15:00"), 1, "in which zone"),
        (("simulate", "--class", "A", "--at", "at three"), 1, "no moment of the calendar"),
        (("simulate", "--class", "E"), USAGE, "'E' is not one of"),
        (("set", "policy.json"), USAGE, "Give --policy, or --agency together with --class."),
        (("set", "nowhere.json", "--class", "A"), 1, "cannot be read"),
        (("set", "large.json", "--class", "A"), 1, "larger than 65,536 bytes"),
        (("set", "broken.json", "--class", "A"), 1, "is not JSON"),
        (("set", "loop.json", "--class", "A"), 1, "comes back to where it was"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_what_to_do(
    bus: Bus, agencies: dict[str, str], words: tuple[str, ...], code: int, said: str
) -> None:
    head = {"notify": "head", "channels": ["email"]}
    loop = {"due_after_s": 60, "hold": "never", "steps": [head | {"after_s": n} for n in (60, 90)]}
    (bus.folder / "large.json").write_bytes(b" " * (64 * 1024 + 1))
    (bus.folder / "broken.json").write_text("{")
    (bus.folder / "loop.json").write_text(json.dumps(loop))

    ended = bus.do("policy", *words, "--agency", agencies["cps"])

    assert ended.code == code
    assert said in ended.err


def _until_active(bus: Bus, subscription_id: str) -> None:
    """Wait until the bus has recorded that the endpoint echoed its challenge."""
    states: dict[str, str] = {}
    while states.get(subscription_id) != "active":  # within the test's own time limit
        states = {one["id"]: one["state"] for one in bus.json("subscription", "list")}


def _make_overdue(bus: Bus, obligation_id: str) -> None:
    """Move a deadline into the past: the bus runs on the real clock, and nobody waits an hour."""
    with contextlib.closing(sqlite3.connect(bus.folder / "noticebus.db", timeout=5)) as database:
        (due,) = database.execute(
            "SELECT due_at FROM obligations WHERE id = ?", (obligation_id,)
        ).fetchone()
        earlier = _earlier(due)
        database.execute("UPDATE obligations SET due_at = ? WHERE id = ?", (earlier, obligation_id))
        database.commit()


def _earlier(stored: str) -> str:
    moved = dt.datetime.fromisoformat(stored) - dt.timedelta(days=1)
    return moved.strftime(SQLITE_INSTANT)


def test_what_an_endpoint_is_shown_is_set_looked_at_and_removed(
    bus: Bus, agencies: dict[str, str]
) -> None:
    issued = Authority().issue("bus.test")
    for name, text in (
        ("bus.pem", issued.certificate_pem),
        ("bus.key", issued.key_pem),
        ("secret.txt", "psst-4711-psst"),
    ):
        (bus.folder / name).write_text(text)
    order = bus.json(
        "subscription", "add", agencies["cps"], "shown", "--county", "28123",
        "--url", "https://intake.cps.example/", "--secret-file", "shown.secret",
    )["id"]  # fmt: skip
    about = ("subscription", "credentials", order)
    certificate = ("--certificate", "bus.pem", "--key", "bus.key")
    client = (
        "--oauth2-token-url", "https://login.cps.example/token",
        "--oauth2-client-id", "noticebus", "--oauth2-secret-file", "secret.txt",
    )  # fmt: skip

    both = bus.json(*about, *certificate, *client)
    shown = bus.json(*about)
    only_client = bus.do(*about, *client)
    removed = bus.json(*about, "--remove")
    misused = [
        bus.do(*about, *words)
        for words in (
            ("--remove", *certificate),
            ("--certificate", "bus.pem"),
            ("--oauth2-scope", "x"),
        )
    ]
    unreadable = bus.do(*about, "--certificate", "none.pem", "--key", "bus.key")

    assert both == shown
    assert shown["client_certificate"]["subject"] == "CN=bus.test"
    assert shown["oauth2"]["client_id"] == "noticebus"
    assert "psst-4711" not in str(both)
    assert "The client certificate that was set before is removed." in only_client.err
    assert (removed["client_certificate"], removed["oauth2"]) == (None, None)
    assert [one.code for one in misused] == [USAGE] * 3
    assert "together" in misused[1].err
    assert unreadable.code == 1
    assert "Name a PEM file" in unreadable.err
