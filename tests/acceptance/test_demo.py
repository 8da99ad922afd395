"""August 2019, as `noticebus demo` plays it: the same run, its clock stepped, beat by beat."""

import re
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from noticebus.cli import app
from noticebus.cli.demo import doors as demo_doors
from noticebus.cli.demo import scenario as demo_scenario
from noticebus.cli.demo import show as demo_show
from noticebus.cli.demo import summary as demo_summary
from noticebus.cli.demo.doors import Doors
from noticebus.cli.demo.mail import Mail
from noticebus.cli.demo.scenario import Scenario
from noticebus.cli.demo.show import Played, Wanted
from noticebus.cli.output import CommandError
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import ObligationState
from noticebus.store import obligations

BANNER = "Dramatisation. Not a record of what any agency did."
COUNTIES = {"28061", "28079", "28089", "28121", "28123"}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return demo_scenario.load()


class Told:
    """What the bus says of one recipient at the end."""

    def __init__(self, over: Played, obligations: list[dict[str, Any]]) -> None:
        self._by_key = {
            key: next(one for one in obligations if one["agency"]["id"] == member.id)
            for key, member in over.cast.items()
            if member.agency.is_recipient
        }
        self.all = list(self._by_key.values())

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._by_key[key]

    def answers(self, key: str) -> list[tuple[int, str, str | None, bool]]:
        """Give version, who identified the person, how, and whether late."""
        given = sorted(self[key]["acknowledgements"], key=lambda one: one["recorded_at"])
        return [(one["version"], one["verified_by"], one["how"], one["late"]) for one in given]


@pytest.mark.slow(reason="plays 24 hours of deadlines, retries and answers")
async def test_august_2019_ends_with_one_district_silent_and_one_question_open(
    scenario: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run, since it is a story; each `_says` holds one group of its beats."""
    wanted = Wanted(
        scenario=scenario, began=SystemClock().now(), speed=0.0, pause_s=0.0, plain=True
    )
    async with demo_show.played(wanted, folder=tmp_path) as over:
        path = f"/v1/incidents/{over.record.incident_id}/obligations"
        listed = await over.stage.operator.list_all(path)
        told = Told(over, [one for one in listed if one["owed"] == "notice"])
        _one_notice_binds_ten(over, told)
        _those_who_answer_do_so_in_every_way(told)
        _delivery_survives_bad_endpoints(over, told)
        _the_scanner_acknowledged_nothing(told)
        _the_silent_one_was_escalated_to_the_end(over, told)
        _the_poster_was_chased_up_its_own_line(over)
        await _the_updates_asked_again_only_where_it_mattered(over)
        await _the_report_says_who_is_silent_and_what_the_poster_owes(over)
        _nothing_vanished_and_the_ledger_has_no_gap(over, told)
        written = list(demo_summary.lines(scenario, over.ending, names=over.names))
        await _what_stays_open_lets_one_look_and_answer(over, await over.doors(wanted))

    assert BANNER in written
    assert any(line.startswith("Pine County schools") and "SILENT" in line for line in written)
    said = capsys.readouterr().out
    assert "duplicate ignored" in said
    assert "opens the link of Hope Mission 5 times: opened, 0 answers" in said
    assert "a new round for all 10; 6 have accepted version 1 of 2" in said
    assert "The last bus leaves at 11:15, so every step must fall by 10:15" in said
    assert "while nobody answers: 08:41 first_two, 08:51 head, 09:01 operators." in said
    assert "It was promised for 10:45: 45 min late, and marked so." in said
    assert any("chased 4 times" in line for line in written)
    assert (
        "Updates promised by the poster: 3 (1 in time, 1 late, 0 overdue, 1 not yet due)."
        in written
    )


def _one_notice_binds_ten(over: Played, told: Told) -> None:
    recipients = over.record.posted["recipients"]
    assert (recipients["count"], recipients["mandatory"], recipients["advisory"]) == (10, 6, 4)
    assert (recipients["unreachable"], recipients["uncovered"]) == ([], [])
    assert over.record.duplicate_ignored
    assert over.record.repeated == over.record.posted
    assert len(told.all) == 10


def _those_who_answer_do_so_in_every_way(told: Told) -> None:
    by_api, by_link = "api_key", "link"
    assert told.answers("cps") == [(1, by_api, None, False), (2, by_api, None, False)]
    assert told.answers("scott") == [(1, by_api, None, False), (2, by_api, None, False)]
    assert told.answers("canton") == [(1, by_link, None, False), (2, by_link, None, False)]
    assert told.answers("grace") == [(1, by_link, None, False), (2, by_link, None, False)]
    # The second contact, once the bus had turned to it; a late answer; an operator's phone record.
    assert told.answers("cedar_creek") == [(2, by_link, None, True)]
    assert told.answers("hope") == [(2, by_link, None, True)]
    assert told.answers("mercy") == [(2, "operator", "phone", True)]
    assert told["cedar_creek"]["acknowledgements"][0]["by"]["name"] == "Deputy superintendent"


def _delivery_survives_bad_endpoints(over: Played, told: Told) -> None:
    receiver = over.cast["red_clay"].receiver
    assert receiver is not None
    firsts = [one.status for one in receiver.received if one.cause == "notice"][:3]
    assert firsts == [500, 500, 200]
    assert len({one.delivery_id for one in receiver.received if one.status == 500}) == 1
    assert told.answers("red_clay") == [(1, "api_key", None, False), (2, "api_key", None, False)]

    down = over.cast["st_brendan"].receiver
    assert down is not None
    assert {one.status for one in down.received if one.cause == "notice"} == {503}
    mails = [one for one in over.sink.mails if one.to == "office@stbrendan.example"]
    carrying = {one.version for one in mails if one.version is not None}
    warned = [one for one in mails if one.version is None]
    assert carrying == {1, 2, 3, 4}
    assert {one.subject.partition(" since")[0] for one in warned} == {
        "Endpoint failing",
        "Endpoint down",
    }
    assert told.answers("st_brendan") == [(1, "link", None, False), (2, "link", None, False)]


def _the_scanner_acknowledged_nothing(told: Told) -> None:
    """Find one answer only, a person's, long after the scanner's GETs and HEADs of 08:05."""
    (answer,) = told["hope"]["acknowledgements"]
    assert answer["recorded_at"] == "2019-08-07T15:55:00Z"
    assert (answer["late"], answer["closed"]) == (True, True)
    assert told["hope"]["state"] == "closed"


def _the_silent_one_was_escalated_to_the_end(over: Played, told: Told) -> None:
    pine = told["pine"]
    assert (pine["state"], pine["step"], pine["next_step_at"]) == ("open", 3, None)
    assert pine["due_at"] == "2019-08-07T13:50:00Z"  # ten minutes: it lets out early
    assert pine["acknowledgements"] == []
    assert pine["delivered_at"] is not None
    chased = [one.to for one in over.sink.mails if one.chases]
    assert Counter(one for one in chased if one.endswith("@pine.example")) == {
        "office@pine.example": 1,  # in the first round
        "head@pine.example": 1,
    }
    beside = [one for one in over.sink.mails if one.to == "deputy@pine.example"]
    assert [one.chases for one in beside] == [False]  # the second round tells two people at once
    assert "desk@operators.example" in chased
    assert not any("canton" in one or "grace" in one for one in chased)


def _the_poster_was_chased_up_its_own_line(over: Played) -> None:
    chased = [one for one in over.sink.mails if one.chases and "Question" in one.subject]
    assert [one.to for one in chased] == [
        "duty@poster.example",
        "watch@poster.example",
        "head@poster.example",
        "desk@operators.example",
    ]
    reminded = [one.to for one in over.sink.mails if one.chases and "Update" in one.subject]
    assert reminded == ["duty@poster.example"]


async def _the_updates_asked_again_only_where_it_mattered(over: Played) -> None:
    incident = await over.stage.operator.call("GET", f"/v1/incidents/{over.record.incident_id}")
    versions = incident.body["versions"]
    assert [one["version"] for one in versions] == [1, 2, 3, 4]
    assert [one["material"] for one in versions][1:] == [True, False, False]
    newest = await over.stage.operator.call("GET", f"/v1/notices/{over.record.notice_ids[-1]}")
    assert sum(one["detained_total"] for one in newest.body["counts"]) == 680
    assert newest.body["children"]["status"] == "unknown"
    assert {site["county_fips"] for site in newest.body["sites"]} == COUNTIES
    assert newest.body["headline"].startswith("DRAMATISATION")


async def _the_report_says_who_is_silent_and_what_the_poster_owes(over: Played) -> None:
    report = over.ending.report
    assert report.items[0].agency.name == "Pine County School District (fictional)"
    assert (report.summary.open, report.summary.overdue) == (1, 1)
    (question,) = over.ending.questions
    assert (question.topic, question.state, question.answer) == ("how_many_children", "open", None)
    assert question.due_at < over.ending.at
    owed, promised = report.owed_by_posters
    assert owed.question_id == question.id
    assert owed.overdue_s is not None
    assert (promised.owed, promised.overdue_s) == ("update", None)

    made = await over.stage.operator.call("POST", "/v1/reports/unacknowledged/links", body={})
    async with aiohttp.ClientSession() as browser, browser.get(made.body["url"]) as page:
        assert page.status == 200
        assert "Pine County School District (fictional)" in await page.text()


def _nothing_vanished_and_the_ledger_has_no_gap(over: Played, told: Told) -> None:
    states = Counter(one["state"] for one in told.all)
    assert states == {"closed": 9, "open": 1}
    assert over.ending.bound == sum(states.values())
    assert over.ending.ledger.gap_free
    assert over.ending.ledger.entries > 100
    assert over.ending.wrong == 0
    assert over.ending.verified > 10


async def _what_stays_open_lets_one_look_and_answer(over: Played, doors: Doors) -> None:
    """Open what the last lines name, and answer for the silent one with the code they give."""
    said = list(demo_doors.lines(doors, plain=True))
    address = next(line for line in said if line.startswith("Answer for Pine County")).split()[-1]
    code = next(line for line in said if line.startswith("Its code")).split()[-1]
    cookies = aiohttp.CookieJar(unsafe=True)  # it is an address, not a name
    async with aiohttp.ClientSession(cookie_jar=cookies) as browser:
        async with browser.get(doors.console) as page:
            token = re.search(r'name="csrf" value="([^"]+)"', await page.text())
        assert token is not None
        async with browser.post(doors.console, data={"csrf": token[1]}) as home:
            assert (home.status, home.url.path) == (200, "/")
            assert "Operator of the demo" in await home.text()
        form = {"answer": "accepted", "code": code, "name": "You", "role": "reader"}
        async with browser.post(address, data=form) as receipt:
            assert receipt.status == 201
    pine = next(one for one in over.ending.report.items if one.agency.name.startswith("Pine"))
    async with over.stage.system.desk.database.read() as conn:
        owed = await obligations.obligation_by_id(conn, pine.obligation_id)
    assert owed is not None
    assert owed.state is ObligationState.CLOSED


def test_the_qr_code_is_square_black_and_white_and_left_out_of_plain_lines() -> None:
    doors = Doors(
        console="http://127.0.0.1:1/sign-in/link/x",
        password="p",
        report="http://127.0.0.1:1/r/x",
        waiting=Mail(to="a@b.example", subject="s", text="http://127.0.0.1:1/a/x\n\n    123456\n"),
        silent="Pine County",
        host="127.0.0.1",
    )
    drawn = [one for one in demo_doors.lines(doors, plain=False) if one.startswith("\x1b[97;40m")]
    plain = list(demo_doors.lines(doors, plain=True))

    width = {len(one.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m")) for one in drawn}
    assert len(width) == 1
    assert width.pop() in {2 * len(drawn), 2 * len(drawn) - 1}
    assert not any("\x1b" in one for one in plain)
    assert any('ARGS="--host 0.0.0.0"' in one for one in plain)


@pytest.mark.parametrize("host", ["127.0.0.1", "bus.example"])
def test_a_chosen_address_is_the_one_in_the_links(host: str) -> None:
    assert demo_doors.address_for_others(host) == host


def test_every_recipient_that_fails_is_marked_fictional_and_every_address_an_example(
    scenario: Scenario,
) -> None:
    succeed = {"cps", "scott", "canton"}
    for agency in scenario.recipients:
        assert (agency.key in succeed) is not agency.name.endswith("(fictional)")
    emails = [contact.email for agency in scenario.agencies for contact in agency.contacts]
    assert all(email.endswith(".example") for email in emails)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (("who = 'scott'", "who = 'skott'"), "/beats/3/who: no recipient has the key 'skott'"),
        (("28061", "28O61"), "/agencies/7/areas/0/county_fips/0"),
        (("do = 'repeat'", "do = 'repeet'"), "/beats/1/do"),
        (("phase = 'in_progress'", "phaze = 'in_progress'"), "/notice/phaze"),
        (("detained_total = 60", "detained_total = 50"), "/updates/secured/counts/0"),
        (("at = 08:02:00", "at = 07:02:00"), "/beats/2/at: beats are in order of time"),
        (("update = 'secured'", "update = 'sekured'"), "no update is called 'sekured'"),
        (("zone = 'America/Chicago'", "zone = 'America/Chikago'"), "/zone: use an IANA name"),
        (
            ("dismissal = '11:15'", "dismissal = '11h15'"),
            "/agencies/7/calendar/bell/early_release/0",
        ),
        (("after_s = 7200", "after_s = 3600"), "/agencies/0/policies/B/steps/1/after_s"),
        (("do = 'ask'", "do = 'answer'"), "/beats/9/person: name it"),
        (("title = ", "title "), "line"),
    ],
)
def test_a_mistake_in_the_scenario_is_named_by_place_before_anything_starts(
    mistake: tuple[str, str], said: str, tmp_path: Path
) -> None:
    wrong, right = mistake[0].replace("'", '"'), mistake[1].replace("'", '"')
    text = (files("noticebus.cli.demo") / "scenarios" / demo_scenario.BUILT_IN).read_text("utf-8")
    assert wrong in text
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(wrong, right, 1), "utf-8")

    with pytest.raises(CommandError) as refused:
        demo_scenario.load(file)

    assert str(file) in refused.value.cause
    assert said in refused.value.cause
    assert refused.value.remedy


def test_the_command_says_what_is_wrong_with_a_scenario_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = app.run(["demo", "--scenario", str(tmp_path / "none.toml")])

    assert code == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_built_in_scenario_is_plain_data(scenario: Scenario) -> None:
    text = (files("noticebus.cli.demo") / "scenarios" / demo_scenario.BUILT_IN).read_text("utf-8")

    assert tomllib.loads(text)["banner"] == scenario.banner == BANNER
