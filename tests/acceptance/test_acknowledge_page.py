"""The page that a mail's link opens: looking answers nothing, a code and a name do (I4)."""

import asyncio
import contextlib
import datetime as dt
import io
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import desk as furnish
from harness import tables
from harness.apps import lent_app
from noticebus.access.links import LinkClaims, code_for, mint
from noticebus.casework import links
from noticebus.casework.desk import Desk
from noticebus.console import acknowledge, static_files
from noticebus.contracts.vocabulary import (
    AgencyKind,
    ChangeReason,
    IncidentState,
    Msg,
    NoticeClass,
    ObligationState,
    Owed,
    VerifiedBy,
)
from noticebus.domain.policies import default_policies
from noticebus.errors import UnavailableError
from noticebus.ids import new_notice_id, new_obligation_id
from noticebus.store import acknowledgements, notices, obligations, policies
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import Agency, Contact
from noticebus.store.database import Database
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation
from noticebus.store.tables import entries, obligation_history
from noticebus.telemetry import configure_logging

PAGE_BYTES_MAX = 30_000
CANARY = "Zebedee Quillfeather"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail as its reader holds it: a link, a code, and a browser without a script."""

    desk: Desk
    browser: httpx2.AsyncClient
    contact: Contact
    agency: Agency
    notice: Notice
    claims: LinkClaims

    @property
    def link(self) -> str:
        return links.link_address(self.desk, self.claims)

    @property
    def code(self) -> str:
        return code_for(self.desk.keyring, self.claims)

    @property
    def wrong_code(self) -> str:
        return f"{(int(self.code) + 1) % 10**6:06}"

    async def opens(self, **headers: str) -> httpx2.Response:
        return await self.browser.get(self.link, headers=headers)

    async def sends(self, *, query: str = "", **typed: str) -> httpx2.Response:
        form = {"answer": "accepted", "code": self.code, "name": "R. Alvarez", "role": "lead"}
        return await self.browser.post(self.link + query, data=form | typed)

    async def obligation(self) -> Obligation:
        return await furnish.obligation_of(self.desk, self.notice, self.agency.id)

    async def answers(self) -> list[Acknowledgement]:
        owed = await self.obligation()
        async with self.desk.database.read() as conn:
            found = await acknowledgements.acknowledgements_of(conn, [owed.id])
        return found.get(owed.id, [])

    async def entered(self, type_: str) -> int:
        """Count the ledger's entries of one type."""
        statement = sa.select(sa.func.count()).where(entries.c.type == type_)
        async with self.desk.database.read() as conn:
            return int((await conn.execute(statement)).scalar_one())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk of its own."""
    async with furnish.open_desk(tmp_path) as lent:
        yield lent


@contextlib.asynccontextmanager
async def browsing(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of the real application."""
    with lent_app(desk, routers=[acknowledge.router, static_files.router]) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=desk.base_url) as client:
            yield client


@pytest.fixture
async def browser(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of the application around `desk`."""
    async with browsing(desk) as client:
        yield client


async def mailed(
    desk: Desk,
    browser: httpx2.AsyncClient,
    *,
    kind: AgencyKind = AgencyKind.CPS,
    **changes: Any,
) -> Mail:
    """Post a notice that binds one agency, and give its contact's mail."""
    poster = await furnish.add_agency(
        desk, "Field office", kind=AgencyKind.FEDERAL, county_fips=None
    )
    agency = await furnish.add_agency(desk, "Scott County Office", kind=kind)
    contact = await furnish.add_contact(desk, agency, "R Alvarez")
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk, **changes))
    owed = await furnish.obligation_of(desk, notice, agency.id)
    claims = links.claims_of(obligation_id=owed.id, notice=notice, contact_id=contact.id)
    return Mail(
        desk=desk, browser=browser, contact=contact, agency=agency, notice=notice, claims=claims
    )


@pytest.fixture
async def mail(desk: Desk, browser: httpx2.AsyncClient) -> Mail:
    """Give the mail of a child protection agency's contact."""
    return await mailed(desk, browser)


async def add_version(mail: Mail, **changes: Any) -> Notice:
    """Store the next version of the mail's notice, as an update does."""
    new = replace(
        mail.notice,
        id=new_notice_id(),
        version=mail.notice.version + 1,
        msg=Msg.UPDATE,
        material=False,
        change_reason=ChangeReason.NEW_INFO,
        **changes,
    )
    async with mail.desk.database.begin() as conn:
        await notices.insert_notices(conn, [new])
        await notices.advance_incident(conn, notice=new, state=IncidentState.OPEN, ended_at=None)
    return new


async def test_fifty_openings_and_one_answer_are_one_acknowledgement(mail: Mail) -> None:
    for _ in range(50):
        assert (await mail.opens()).status_code == 200
        assert (await mail.browser.head(mail.link)).status_code == 200
    untouched = await mail.answers()
    receipt = await mail.sends()

    assert untouched == []
    assert receipt.status_code == 201
    (made,) = await mail.answers()
    assert made.verified_by is VerifiedBy.LINK
    assert made.actor == mail.contact.id
    assert made.id in receipt.text
    assert (await mail.obligation()).state is ObligationState.CLOSED
    assert await mail.entered("link.opened") == 1


async def test_opening_is_noted_once_with_its_history_and_answers_nothing(mail: Mail) -> None:
    before = await mail.obligation()
    await mail.opens()
    furnish.world(mail.desk).advance(dt.timedelta(minutes=5))
    await mail.opens()
    after = await mail.obligation()

    assert after == replace(before, opened_at=furnish.MORNING)
    statement = (
        sa.select(obligation_history.c.facts)
        .join(entries, entries.c.id == obligation_history.c.entry_id)
        .where(entries.c.type == "link.opened")
    )
    async with mail.desk.database.read() as conn:
        (facts,) = (await conn.execute(statement)).scalars()
    assert facts == orjson.loads(orjson.dumps(obligations.facts_of(after)))


async def test_many_openings_at_the_same_moment_are_noted_once(mail: Mail) -> None:
    async with asyncio.TaskGroup() as scanners:
        for _ in range(10):
            scanners.create_task(mail.opens())

    assert await mail.entered("link.opened") == 1


async def test_head_and_prefetch_change_nothing_at_all(mail: Mail) -> None:
    before = await mail.obligation()
    head = await mail.browser.head(mail.link)
    prefetch = await mail.opens(**{"Sec-Purpose": "prefetch;prerender"})

    assert head.content == b""
    assert (head.status_code, prefetch.status_code) == (200, 200)
    assert await mail.obligation() == before
    assert await mail.entered("link.opened") == 0


@pytest.mark.parametrize("code", ["", "abc", "12345", "1234567"])
async def test_scanner_that_submits_the_form_without_a_code_answers_nothing(
    mail: Mail, code: str
) -> None:
    for _ in range(6):
        response = await mail.sends(code=code)
        assert response.status_code == 422
        assert "Type the six digits" in response.text

    assert await mail.answers() == []
    assert (await mail.sends()).status_code == 201  # no code was no guess: the link is not locked


async def test_an_empty_form_is_told_every_field_at_once_and_keeps_what_was_typed(
    mail: Mail,
) -> None:
    response = await mail.browser.post(
        mail.link, data={"note": "We ring back.", "role": '"><b>lead', "eta": "never"}
    )

    assert response.status_code == 422
    assert "Choose one of the answers." in response.text
    assert "Type your name" in response.text
    assert "Type the six digits" in response.text
    assert 'aria-invalid="true"' in response.text
    assert "We ring back." in response.text
    assert "<b>lead" not in response.text
    assert "&gt;&lt;b&gt;lead" in response.text


async def test_five_wrong_codes_lock_the_link_for_the_right_one_too(mail: Mail) -> None:
    said = [await mail.sends(code=mail.wrong_code) for _ in range(5)]
    right = await mail.sends()

    assert {one.status_code for one in said} == {403}
    assert "4 more tries" in said[0].text
    assert "1 more tries" in said[3].text
    assert "locked" in said[4].text
    assert right.status_code == 403
    assert "Ring the bus&#39;s operators" in right.text
    assert "<form" not in right.text
    assert "<form" not in (await mail.opens()).text
    assert await mail.answers() == []
    assert await mail.entered("link.locked") == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_parallel_guesses_are_all_counted(tmp_path: Path, database: str) -> None:
    async with (
        tables.database(database, tmp_path) as lent,
        furnish.open_desk(tmp_path, url=lent.url) as desk,
        browsing(desk) as browser,
    ):
        mail = await mailed(desk, browser)
        async with asyncio.TaskGroup() as guessers:
            guesses = [guessers.create_task(mail.sends(code=mail.wrong_code)) for _ in range(12)]
            guessers.create_task(mail.opens())
        async with desk.database.read() as conn:
            counted = await acknowledgements.wrong_codes(
                conn,
                obligation_id=mail.claims.obligation_id,
                contact_id=mail.claims.contact_id,
                version=mail.claims.version,
            )

        assert {one.result().status_code for one in guesses} == {403}
        assert counted == links.WRONG_CODES_MAX
        assert (await mail.sends()).status_code == 403
        assert (await mail.entered("link.locked"), await mail.entered("link.opened")) == (1, 1)


async def test_a_lock_is_one_links_own(mail: Mail) -> None:
    second = await furnish.add_contact(mail.desk, mail.agency, "Second Person")
    other = replace(mail, contact=second, claims=replace(mail.claims, contact_id=second.id))
    for _ in range(5):
        await mail.sends(code=mail.wrong_code)

    assert (await other.sends()).status_code == 201


async def test_another_messages_code_does_not_open_this_one(mail: Mail) -> None:
    second = await furnish.add_contact(mail.desk, mail.agency, "Second Person")
    other = code_for(mail.desk.keyring, replace(mail.claims, contact_id=second.id))

    assert (await mail.sends(code=other)).status_code == 403
    assert await mail.answers() == []


async def test_code_may_be_typed_with_spaces_or_a_hyphen(mail: Mail) -> None:
    assert (await mail.sends(code=f" {mail.code[:3]}-{mail.code[3:]} ")).status_code == 201


@pytest.mark.parametrize("damage", ["x", "A", "%00", "é"])
async def test_tampered_link_leads_to_a_page_that_says_so(mail: Mail, damage: str) -> None:
    another = "y" if mail.link.endswith(damage) else damage  # the last letter is any of 64

    response = await mail.browser.get(mail.link[:-1] + another)

    assert response.status_code in {400, 404}
    assert response.status_code == 400 or "No such link" in response.text
    assert (await mail.browser.post(f"{mail.link}A", data={})).status_code in {404, 415}


async def test_link_signed_for_another_version_that_does_not_exist_is_unknown(mail: Mail) -> None:
    ahead = replace(mail, claims=replace(mail.claims, version=9))

    assert (await ahead.opens()).status_code == 404


async def test_link_expires_at_the_latest_after_400_days(mail: Mail) -> None:
    furnish.world(mail.desk).advance(dt.timedelta(days=400))
    opened, sent = await mail.opens(), await mail.sends()

    assert (opened.status_code, sent.status_code) == (410, 410)
    assert "This link has expired" in opened.text
    assert opened.headers["content-type"] == "text/html; charset=utf-8"
    assert await mail.answers() == []


async def test_link_is_refused_30_days_after_the_incident_ended(mail: Mail) -> None:
    cancel = replace(mail.notice, id=new_notice_id(), version=2, msg=Msg.CANCEL, material=False)
    async with mail.desk.database.begin() as conn:
        await notices.insert_notices(conn, [cancel])
        await notices.advance_incident(
            conn,
            notice=cancel,
            state=IncidentState.CANCELLED,
            ended_at=furnish.MORNING,
        )
    furnish.world(mail.desk).advance(dt.timedelta(days=30, seconds=-1))
    last = await mail.opens()
    furnish.world(mail.desk).advance(dt.timedelta(seconds=1))

    assert last.status_code == 200
    assert (await mail.opens()).status_code == 410


async def test_repeated_mail_carries_the_same_link_and_code(mail: Mail) -> None:
    furnish.world(mail.desk).advance(dt.timedelta(days=3))
    await mail.opens()
    again = links.claims_of(
        obligation_id=mail.claims.obligation_id, notice=mail.notice, contact_id=mail.contact.id
    )

    assert mint(mail.desk.keyring, again) == mint(mail.desk.keyring, mail.claims)


async def test_late_answer_is_taken_and_marked(mail: Mail) -> None:
    furnish.world(mail.desk).advance(dt.timedelta(days=2))
    page = await mail.opens()
    receipt = await mail.sends()

    assert "This time has passed." in page.text
    assert receipt.status_code == 201
    assert "after the time asked for" in receipt.text
    (made,) = await mail.answers()
    assert made.late


async def test_same_answer_again_is_shown_as_recorded_and_adds_nothing(mail: Mail) -> None:
    first, again = await mail.sends(), await mail.sends(name="Somebody Else")

    assert (first.status_code, again.status_code) == (201, 200)
    assert "recorded already" in again.text
    (made,) = await mail.answers()
    assert made.id in again.text
    assert "R. Alvarez" in again.text


async def test_page_says_who_has_answered_and_when_in_local_time(mail: Mail) -> None:
    furnish.world(mail.desk).advance(dt.timedelta(minutes=20))
    await mail.sends()

    page = await mail.opens()
    assert "Already accepted by R. Alvarez at Wed Aug 7, 8:20 AM CDT" in page.text


async def test_older_versions_page_says_so_and_its_answer_counts_for_that_version(
    mail: Mail,
) -> None:
    await add_version(mail)
    page = await mail.opens()
    receipt = await mail.sends()

    assert "There is a newer version of this notice: version 2." in page.text
    assert "1 of 2" in page.text
    assert "your answer counts for version 1" in receipt.text
    (made,) = await mail.answers()
    assert (made.version, made.notice_id) == (1, mail.notice.id)


async def test_ended_contacts_link_shows_and_takes_nothing(mail: Mail) -> None:
    await furnish.end_contact(mail.desk, mail.contact)
    opened, sent = await mail.opens(), await mail.sends()

    assert (opened.status_code, sent.status_code) == (403, 403)
    assert "no longer answers for the agency" in opened.text
    assert "Morton" not in opened.text
    assert await mail.answers() == []
    assert (await mail.obligation()).opened_at is None


async def test_operators_contact_reads_along_and_cannot_answer_for_the_recipient(
    mail: Mail,
) -> None:
    operators = await furnish.add_agency(mail.desk, "Operators", kind=AgencyKind.OPERATOR)
    watcher = await furnish.add_contact(mail.desk, operators, "Night Desk")
    reading = replace(mail, claims=replace(mail.claims, contact_id=watcher.id))
    page, sent = await reading.opens(), await reading.sends()

    assert "Morton" in page.text
    assert "<form" not in page.text
    assert sent.status_code == 403
    assert await mail.answers() == []
    assert (await mail.obligation()).opened_at is None


async def test_more_time_is_asked_for_with_a_choice_and_only_once(mail: Mail) -> None:
    page = await mail.opens()
    until = re.findall(r'<option value="([^"]+Z)">', page.text)[1]
    missing = await mail.sends(answer="need_more_time")
    past = await mail.sends(answer="need_more_time", eta="2019-08-07T12:00:00Z")
    far = await mail.sends(answer="need_more_time", eta="2019-08-09T12:00:00Z")
    furnish.world(mail.desk).advance(dt.timedelta(minutes=1))
    taken = await mail.sends(answer="need_more_time", eta=until, reason="other")
    again = await mail.sends(answer="need_more_time", eta=until)

    assert (missing.status_code, past.status_code, far.status_code) == (422, 422, 422)
    assert "Choose until when" in missing.text
    assert "That time has passed" in past.text
    assert "later than this notice allows" in far.text
    assert 'value="2019-08-09T12:00:00Z" selected' in far.text
    assert taken.status_code == 201
    assert "Reminders wait until Wed Aug 7, 9:00 AM CDT" in taken.text
    assert again.status_code == 200
    assert 'value="need_more_time"' not in (await mail.opens()).text
    other = await mail.sends(answer="need_more_time", eta="2019-08-07T14:30:00Z")
    assert other.status_code == 422
    assert "given more time once already" in other.text


async def test_decline_needs_a_reason_and_is_recorded_with_it(mail: Mail) -> None:
    missing = await mail.sends(answer="declined")
    taken = await mail.sends(answer="declined", reason="no_capacity", note="Ask the state desk.")

    assert missing.status_code == 422
    assert "Choose why this is not yours." in missing.text
    assert taken.status_code == 201
    assert (await mail.obligation()).state is ObligationState.DECLINED
    assert "without a taker" in taken.text


async def test_received_leaves_it_open_and_says_what_is_still_asked(mail: Mail) -> None:
    receipt = await mail.sends(answer="received")

    assert "It still needs your agency to accept or decline" in receipt.text
    assert "Write the reference down." in receipt.text
    assert "See to it that somebody acts now" not in receipt.text
    assert (await mail.obligation()).state is ObligationState.OPEN


async def asked_of_two(desk: Desk, browser: httpx2.AsyncClient, notice_class: NoticeClass) -> Mail:
    """Post a notice of a class for which the policies ask for two people, and give a mail of it."""
    async with desk.database.begin() as conn:
        for one in default_policies():
            if one.recipient_kind is AgencyKind.CPS and one.notice_class is notice_class:
                wanted = replace(one, version=2, quorum=2)
                await policies.insert_policy(conn, wanted, agency_id=None, now=furnish.MORNING)
    changes: dict[str, Any] = {"class": notice_class}
    return await mailed(desk, browser, **changes)


async def test_a_decline_that_is_taken_back_stops_the_reminders(mail: Mail) -> None:
    await mail.sends(answer="declined", reason="no_capacity")
    receipt = await mail.sends()
    again = await mail.sends()
    furnish.world(mail.desk).advance(dt.timedelta(minutes=1))
    later = await mail.sends(answer="received")

    assert "Reminders to your agency stop." in receipt.text
    assert "See to it that somebody acts now" in receipt.text
    assert "Reminders to your agency stop." in again.text
    assert "changes nothing else" in later.text
    assert (await mail.obligation()).state is ObligationState.CLOSED


async def test_what_does_not_take_a_decline_back_says_what_would(mail: Mail) -> None:
    await mail.sends(answer="declined", reason="no_capacity")
    receipt = await mail.sends(answer="received")
    spanish = await mail.sends(answer="received", query="?lang=es")

    assert "Your agency has declined this." in receipt.text
    assert "open this link again and accept" in receipt.text
    assert "Su agencia lo ha rechazado." in spanish.text
    assert (await mail.obligation()).state is ObligationState.DECLINED


async def test_where_two_must_accept_one_yes_after_the_decline_says_that_it_is_not_enough(
    desk: Desk, browser: httpx2.AsyncClient
) -> None:
    mail = await asked_of_two(desk, browser, NoticeClass.B)
    await mail.sends(answer="declined", reason="no_capacity")
    receipt = await mail.sends()
    spanish = await mail.sends(query="?lang=es")

    assert "Your agency has declined this. Another person at it has to accept too" in receipt.text
    assert "Su agencia lo ha rechazado. Otra persona de ella también" in spanish.text
    assert (await mail.obligation()).state is ObligationState.DECLINED


@pytest.mark.parametrize(
    ("notice_class", "answer"),
    [(NoticeClass.B, "accepted"), (NoticeClass.C, "received"), (NoticeClass.C, "accepted")],
)
async def test_the_first_of_two_reads_that_another_person_has_to_confirm(
    desk: Desk, browser: httpx2.AsyncClient, notice_class: NoticeClass, answer: str
) -> None:
    mail = await asked_of_two(desk, browser, notice_class)
    receipt = await mail.sends(answer=answer)
    spanish = await mail.sends(answer=answer, query="?lang=es")

    assert "Another person at your agency has to confirm too" in receipt.text
    assert "Otra persona de su agencia también tiene que confirmar" in spanish.text
    assert (await mail.obligation()).state is ObligationState.OPEN


DETAILED: dict[str, Any] = {
    "description": "A worksite action took place this morning.",
    "instruction": {"en": "Keep children at school.", "es": "Mantengan a los niños en la escuela."},
    "sites": [{"site_id": "s1", "label": "food plant"}],
    "counts": [
        {
            "site_id": "s1",
            "as_of": "2019-08-07T12:40:00Z",
            "basis": "estimate",
            "detained_total": 40,
            "in_custody": None,
            "minors_encountered": None,
        }
    ],
    "children": {"status": "estimate", "low": 12, "high": 18, "as_of": "2019-08-07T12:40:00Z"},
    "family_line": {"phone": "+16015550111", "hours": "day and night"},
    "processing_place": {"label": "hangar", "address": "1 Airport Road", "access": "by phone"},
    "requested_actions": [
        {"recipient_kind": "cps", "action": "Send screeners."},
        {"recipient_kind": "faith", "action": "Open the hall."},
    ],
}


async def test_summary_shows_the_public_tier_and_the_code_opens_the_rest(
    desk: Desk, browser: httpx2.AsyncClient
) -> None:
    mail = await mailed(desk, browser, **DETAILED)
    page, receipt = await mail.opens(), await mail.sends()

    assert "11–25" in page.text  # noqa: RUF001  (a band is written with a dash)
    assert "26–50" in page.text  # noqa: RUF001
    assert 'href="tel:+16015550111">(601) 555-0111</a>, day and night' in page.text
    for hidden in ("worksite action", "Keep children", "food plant", "Airport", "12 to 18"):
        assert hidden not in page.text
        assert hidden in receipt.text
    assert "detained 40, in custody not known, children met not known" in receipt.text
    assert "Send screeners." in receipt.text
    assert "Open the hall." not in receipt.text


async def test_partner_reads_no_address_that_is_for_child_protection(
    desk: Desk, browser: httpx2.AsyncClient
) -> None:
    mail = await mailed(desk, browser, kind=AgencyKind.FAITH, **DETAILED)
    receipt = await mail.sends()

    assert "hangar" in receipt.text
    assert "Airport" not in receipt.text


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ({"status": "unknown"}, "number not known"),
        ({"status": "not_asked"}, "nobody has been asked yet"),
        ({"status": "none_reported"}, "none reported so far; that does not mean there are none"),
        ({"status": "count", "value": 0}, "none reported counted"),
        ({"status": "estimate", "low": 0, "high": 9}, "estimated: up to 1–10"),  # noqa: RUF001
    ],
)
async def test_unknown_children_are_never_a_zero(
    desk: Desk, browser: httpx2.AsyncClient, children: dict[str, Any], said: str
) -> None:
    mail = await mailed(desk, browser, children=children)

    assert said in (await mail.opens()).text


@pytest.mark.parametrize(
    ("status", "mark"), [("exercise", "[EXERCISE]"), ("test", "[TEST]"), ("actual", None)]
)
async def test_drill_says_so_before_everything_else(
    desk: Desk, browser: httpx2.AsyncClient, status: str, mark: str | None
) -> None:
    page = (await (await mailed(desk, browser, status=status)).opens()).text

    if mark is None:
        assert 'class="drill"' not in page
    else:
        assert f"<title>{mark}" in page
        assert page.index('class="drill"') < page.index('class="hotline"') < page.index("<h1>")


@pytest.mark.parametrize(
    "kind", [AgencyKind.CPS, AgencyKind.SCHOOL_DISTRICT, AgencyKind.FAITH, AgencyKind.COMMUNITY]
)
async def test_hotline_comes_before_the_notice(
    desk: Desk, browser: httpx2.AsyncClient, kind: AgencyKind
) -> None:
    page = (await (await mailed(desk, browser, kind=kind)).opens()).text

    assert page.index("call 911") < page.index("<h1>")


async def test_record_only_notice_asks_for_no_answer(
    desk: Desk, browser: httpx2.AsyncClient
) -> None:
    record_only: dict[str, Any] = {"class": "D"}
    page = (await (await mailed(desk, browser, **record_only)).opens()).text

    assert "No answer is asked for." in page
    assert "<form" not in page


async def test_page_speaks_spanish_when_asked_or_when_the_browser_does(mail: Mail) -> None:
    asked = await mail.browser.get(f"{mail.link}?lang=es")
    accepted = await mail.opens(**{"Accept-Language": "fr, es-MX;q=0.9, en;q=0.4"})
    wrong = await mail.sends(query="?lang=es", name="")
    receipt = await mail.sends(query="?lang=es")

    for page in (asked, accepted):
        assert '<html lang="es">' in page.text
        assert "Aceptamos: vamos a actuar" in page.text
        assert "mié 7 ago, 9:00 CDT" in page.text
        assert page.headers["content-language"] == "es"
    assert 'action="?lang=es"' in asked.text
    assert "Escriba su nombre" in wrong.text
    assert "Su respuesta está registrada" in receipt.text


async def test_refusals_speak_spanish_too(mail: Mail) -> None:
    response = await mail.browser.get(f"{mail.link}A?lang=es")

    assert (response.status_code, "No existe ese enlace" in response.text) == (404, True)


class _Controls(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.labelled: set[str | None] = set()
        self.named: dict[str, dict[str, str | None]] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(found)
        if tag == "label" and "for" in found:
            self.labelled.add(found["for"])
        if tag in {"input", "select", "textarea"}:
            self.named[f"{found['name']}:{found.get('value')}"] = found


async def test_spanish_names_the_day_of_an_answer(mail: Mail) -> None:
    await mail.sends()
    page = (await mail.browser.get(f"{mail.link}?lang=es")).text

    assert re.search(r"Ya lo aceptó R\. Alvarez el (lun|mar|mié|jue|vie|sáb|dom) \d", page)
    assert " a las " not in page


async def test_operators_number_stands_at_the_foot_of_every_page(mail: Mail) -> None:
    bare = (await mail.opens()).text
    desk = replace(mail.desk, operators_phone="+16015550110")
    async with browsing(desk) as browser:
        there = replace(mail, desk=desk, browser=browser)
        pages = [
            await there.opens(),
            await there.browser.get(f"{there.link}?lang=es"),
            await there.browser.get("/a/nothing"),
            await there.sends(code=""),
            await there.sends(),
        ]
    feet = [one.text.partition("<footer>")[2] for one in pages]

    assert [one.status_code for one in pages] == [200, 200, 404, 422, 201]
    assert all('href="tel:+16015550110">(601) 555-0110</a>' in one for one in feet)
    assert feet[1].startswith("Operadores del sistema:")
    assert len(pages[1].content) < PAGE_BYTES_MAX
    assert "<footer>" not in bare


async def test_page_is_small_labelled_and_needs_no_script(mail: Mail) -> None:
    page = await mail.browser.get(f"{mail.link}?lang=es")
    controls = _Controls()
    controls.feed(page.text)

    assert len(page.content) < PAGE_BYTES_MAX
    assert not {"script", "style", "img", "iframe"} & controls.tags
    assert not {name for name in controls.attributes if name.startswith("on") or name == "style"}
    typed = [one for one in controls.named.values() if one.get("type") != "radio"]
    assert {one["id"] for one in typed} <= controls.labelled
    code = controls.named["code:"]
    assert (code["inputmode"], code["autocomplete"]) == ("numeric", "one-time-code")
    assert controls.named["name:"]["autocomplete"] == "name"


async def test_enter_in_a_field_presses_nothing_and_the_first_button_closes(mail: Mail) -> None:
    page = (await mail.opens()).text
    buttons = re.findall(r"<button[^>]*>", page)

    assert buttons[0] == '<button type="submit" disabled hidden>'
    assert 'value="accepted"' in buttons[1]


async def test_preparing_is_what_a_notice_that_asks_no_more_offers_first(
    desk: Desk, browser: httpx2.AsyncClient
) -> None:
    prepare: dict[str, Any] = {"class": "C"}
    page = (await (await mailed(desk, browser, **prepare)).opens()).text

    assert page.index('value="received"') < page.index('value="accepted"')
    assert "Your agency has this and is getting ready." in page


async def test_name_and_role_are_filled_in_only_for_who_wished_it(mail: Mail) -> None:
    await mail.sends(code=mail.wrong_code, remember="yes")
    refused = await mail.opens()
    taken = await mail.sends(answer="received", remember="yes", name="R. Álvarez")
    remembered = await mail.opens()
    await mail.sends(answer="accepted", name="Somebody else")
    forgotten = await mail.opens()

    assert 'id="name" name="name" value=""' in refused.text
    cookie = taken.headers["set-cookie"]
    assert {"HttpOnly", "Path=/a/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert 'value="R. Álvarez"' in remembered.text
    assert 'value="lead"' in remembered.text
    assert 'value="yes" checked' in remembered.text
    assert 'id="name" name="name" value=""' in forgotten.text


@pytest.mark.parametrize(
    "cookie", ["%%%", "bm90aGluZw", "WzEsIDJd", "WyJhIl0", "W" * 3000, "WyI8Yj4iLCAiPGI-Il0"]
)
async def test_cookie_that_somebody_made_up_breaks_nothing(mail: Mail, cookie: str) -> None:
    page = await mail.opens(Cookie=f"noticebus_reader={cookie}")

    assert page.status_code == 200
    assert "<b>" not in page.text


async def test_what_was_typed_is_all_there_again_and_a_mistake_in_the_fold_opens_it(
    mail: Mail,
) -> None:
    typed = {"name": "R. Alvarez", "role": "", "note": "On my way.", "remember": "yes"}
    page = (await mail.sends(**typed)).text
    undecided = (await mail.sends(answer="declined")).text

    assert 'value="R. Alvarez"' in page
    assert "\nOn my way.</textarea>" in page
    assert 'value="yes" checked' in page
    assert '<a href="#role">Type your role' in page
    assert "<details open>" in undecided
    assert '<a href="#reason">' in undecided


async def test_styles_come_from_the_bus_and_keep_buttons_large(mail: Mail) -> None:
    style = await mail.browser.get(acknowledge.STYLE_PATH)

    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "min-height: 48px" in style.text
    assert "http" not in style.text


async def test_every_answer_forbids_scripts_storing_and_referring(mail: Mail) -> None:
    said = [
        await mail.opens(),
        await mail.sends(name=""),
        await mail.sends(),
        await mail.browser.get(f"{mail.link}A"),
    ]

    for response in said:
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-robots-tag"] == "noindex, nofollow"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"note=" + b"a" * 17_000, 413),
        ("application/x-www-form-urlencoded", b"name=%FF", 400),
        ("application/x-www-form-urlencoded", b"name=\xff", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(50)), 400),
        ("application/x-www-form-urlencoded", b"name=%00", 422),
        ("application/x-www-form-urlencoded", b"", 422),
    ],
)
async def test_body_that_is_not_the_pages_form_gets_a_page_that_says_so(
    mail: Mail, content_type: str, body: bytes, status: int
) -> None:
    response = await mail.browser.post(
        mail.link, content=body, headers={"content-type": content_type}
    )

    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_long_name_is_refused_and_shown_again(mail: Mail) -> None:
    response = await mail.sends(name="N" * 121)

    assert response.status_code == 422
    assert "N" * 121 in response.text


async def test_name_typed_into_the_form_is_in_no_log_line_and_no_ledger_entry(mail: Mail) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = io.StringIO()
    configure_logging(log_format="json", level="debug", stream=lines)
    try:
        await mail.sends(name=CANARY, code=mail.wrong_code)
        await mail.sends(name=CANARY, note=f"ask for {CANARY}")
        await mail.opens()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    assert CANARY not in lines.getvalue()
    assert mail.link.rpartition("/")[2] not in lines.getvalue()
    async with mail.desk.database.read() as conn:
        bodies = list((await conn.execute(sa.select(entries.c.body))).scalars())
        histories = list((await conn.execute(sa.select(obligation_history.c.facts))).scalars())
    assert CANARY.encode() not in b"".join(bodies)
    assert CANARY not in str(histories)
    (made,) = await mail.answers()
    assert made.by_name == CANARY


async def test_page_says_so_when_the_database_does_not_answer(mail: Mail, tmp_path: Path) -> None:
    away = replace(mail.desk, database=Database(f"sqlite:///{tmp_path}/no/such/folder/bus.db"))
    async with browsing(away) as browser:
        page = await browser.get(mail.link)
        sent = await browser.post(mail.link, data={"answer": "accepted"})

    assert (page.status_code, sent.status_code) == (503, 503)
    assert "Please try again" in page.text
    assert page.headers["retry-after"] == "60"


class _Leaving(Database):
    """A database that goes away after so many readings."""

    readings_left = 1

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        if not self.readings_left:
            raise UnavailableError("The database does not answer.")
        self.readings_left -= 1
        async with super().read() as conn:
            yield conn


async def test_page_stands_and_speaks_when_the_database_leaves_in_the_middle(mail: Mail) -> None:
    leaving = _Leaving(mail.desk.database.url)
    desk = replace(mail.desk, operators_phone="+16015550110", database=leaving)
    form = {"answer": "accepted", "code": mail.code, "name": "R. Alvarez", "role": "lead"}
    try:
        async with browsing(desk) as browser:
            page = await browser.get(mail.link)
            leaving.readings_left = 1
            sent = await browser.post(mail.link, data=form)
    finally:
        await leaving.close()

    assert (page.status_code, 'id="code"' in page.text) == (200, True)
    assert sent.status_code == 503
    assert ["was not stored" in sent.text, "R. Alvarez" in sent.text] == [True, True]
    assert ["(601) 555-0110" in one.text for one in (page, sent)] == [True, True]
    assert await mail.answers() == []


@pytest.mark.parametrize(
    ("owed", "said"),
    [
        (Owed.QUESTION, "only the answer itself closes it"),
        (Owed.UPDATE, "only the update itself closes it"),
    ],
)
async def test_what_a_poster_owes_cannot_be_accepted_or_declined_away(
    mail: Mail, owed: Owed, said: str
) -> None:
    asked = replace(await mail.obligation(), id=new_obligation_id(), owed=owed, owed_for="qst_1")
    async with mail.desk.database.begin() as conn:
        await obligations.insert_obligations(conn, [asked])
    question = replace(mail, claims=replace(mail.claims, obligation_id=asked.id))
    page = await question.opens()
    receipt = await question.sends(answer="received")

    assert said in page.text
    assert 'value="accepted"' not in page.text
    assert 'value="declined"' not in page.text
    assert receipt.status_code == 201
    async with mail.desk.database.read() as conn:
        after = await obligations.obligation_by_id(conn, asked.id)
    assert after is not None
    assert after.state is ObligationState.OPEN


async def test_cancelled_notices_page_says_that_an_answer_changes_nothing(mail: Mail) -> None:
    before = await mail.obligation()
    withdrawn = replace(before, state=ObligationState.WITHDRAWN, next_step_at=None)
    async with mail.desk.database.begin() as conn:
        await obligations.save(conn, before=before, after=withdrawn)
    page, receipt = await mail.opens(), await mail.sends()

    assert "The notice was cancelled." in page.text
    assert "changes nothing else" in receipt.text
    assert (await mail.obligation()).state is ObligationState.WITHDRAWN
