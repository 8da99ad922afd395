"""Timelines of what a contact gets when much happens at once, and after an outage."""

import contextlib
import datetime as dt
import re
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import sqlalchemy as sa

from harness import desk as furnish
from harness.apps import lent_app
from harness.member import Member, Posted
from harness.place import Place
from harness.receivers import Behaviour
from harness.statements import statements_of
from harness.system import Bus, hours, minutes, open_bus
from noticebus.casework import bundled, intake, reports
from noticebus.casework import links as link_rules
from noticebus.console import acknowledge
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    DeliveryState,
    HeldReason,
    Position,
    Scope,
    VerifiedBy,
)
from noticebus.ids import ObligationId
from noticebus.store import tables
from noticebus.store.deliveries import Delivery

DESK = (Position.ON_DUTY,)
YOU_ARE_DONE = "You can close this page"
ANSWERED = "acknowledgement.recorded"
SECOND = dt.timedelta(seconds=1)


def _turns(steps: list[Delivery], *, since: dt.datetime) -> dict[int, int]:
    """Count steps by the seconds for which they wait."""
    waits = [(one.due_at - since).total_seconds() for one in steps if one.due_at is not None]
    return dict(Counter(int(one) for one in waits))


async def _held_back(bus: Bus) -> list[str]:
    """Read what the report says of messages held back."""
    read = await reports.read_report(
        bus.desk, furnish.principal(Scope.OPERATE), asked=reports.Asked(), output="json"
    )
    return [one.message for one in read.report.data_quality if one.code == "messages_held"]


def parts_of(text: str) -> tuple[list[str], list[str]]:
    """Give the links and the codes of a message, part by part."""
    links = list(dict.fromkeys(re.findall(r"/a/([^\s?]+)", text)))
    return links, re.findall(r"^ +([0-9]{6})\s*$", text, flags=re.MULTILINE)


@contextlib.asynccontextmanager
async def browsing(bus: Bus) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a browser without a script."""
    with lent_app(bus.desk, routers=[acknowledge.router]) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=bus.desk.base_url) as client:
            yield client


async def states(county: Member, *posted: Posted) -> list[str]:
    return [(await county.obligation(one)).state for one in posted]


async def guesses(bus: Bus, *owed: ObligationId) -> list[int]:
    """Count the wrong codes tried about obligations."""
    async with bus.desk.database.read() as conn:
        rows = await conn.execute(
            sa.select(tables.links.c.obligation_id, tables.links.c.wrong_codes)
        )
        found = {row[0]: row[1] for row in rows}
    return [found.get(one, 0) for one in owed]


def links_in(text: str) -> set[str]:
    return set(re.findall(r"/a/([^\s?]+)", text))


async def test_three_notices_in_a_minute_are_two_mails_and_three_facts(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)

    posted = [await bus.post_notice()]
    (first,) = await county.mailed(Position.ON_DUTY)
    for _ in range(2):
        await bus.fast_forward(30 * SECOND)
        posted.append(await bus.post_notice())
    await bus.fast_forward(59 * SECOND)
    assert len(county.mails_to(Position.ON_DUTY)) == 1
    await bus.fast_forward(SECOND)
    (second,) = await county.mailed(Position.ON_DUTY)
    await bus.settled()

    assert len(links_in(first.text)) == 1
    assert len(links_in(second.text)) == 2
    assert second.message["Subject"] == "2 messages in one, the gravest of class B"
    delivered = [
        one["data"]["obligation_id"]
        for one in await bus.entries_of()
        if one["type"] == "obligation.delivered"
    ]
    owed = [(await county.obligation(one)).id for one in posted]
    assert sorted(delivered) == sorted(owed)
    tries = [
        attempt
        for one in posted[1:]
        for delivery in await bus.deliveries_of(one)
        for attempt in await bus.attempts_of(delivery)
    ]
    assert len({one.body_digest for one in tries}) == 1
    assert len(tries) == 2


async def test_an_answer_before_the_bundle_goes_leaves_the_others_in_it(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    answered, second, third = [await bus.post_notice() for _ in range(3)]

    await county.answers(answered)
    await bus.fast_forward(minutes(2))
    (mail,) = await county.mailed(Position.ON_DUTY)

    assert len(links_in(mail.text)) == 2
    states = {
        one.incident_id: one.state
        for posted in (answered, second, third)
        for one in await bus.deliveries_of(posted)
    }
    assert states == {
        answered.incident_id: DeliveryState.MOOT,
        second.incident_id: DeliveryState.DELIVERED,
        third.incident_id: DeliveryState.DELIVERED,
    }


async def test_one_person_answers_all_of_one_message_by_one_code_and_leaves_what_is_not_ticked(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    alone = await bus.post_notice(headline="Alone")
    (first,) = await county.mailed(Position.ON_DUTY)
    here, ticked, left, lone_again = [
        await bus.post_notice(headline=one) for one in ("Here", "Ticked & all", "Left", "Gone")
    ]
    minor = await bus.post_notice(headline="Minor", **{"class": "C"})
    await bus.fast_forward(minutes(2))
    (mail,) = await county.mailed(Position.ON_DUTY)
    await bus.settled()
    await county.answers(lone_again)
    links, codes = parts_of(mail.text)
    owed = {one.id: (await county.obligation(one)).id for one in (here, ticked, left, alone)}
    async with browsing(bus) as browser:
        (lone,) = parts_of(first.text)[0]
        by_itself = (await browser.get(f"/a/{lone}")).text
        went_alone = await link_rules.look(bus.desk, lone)
        with statements_of(bus.desk) as asked:
            assert not await bundled.others_of(bus.desk, went_alone)
        assert len(asked) == 1
        page = (await browser.get(f"/a/{links[0]}?lang=es")).text
        form = {"name": "R. Alvarez", "role": "lead", "all": "accepted", "code": codes[0]}
        form["also"] = owed[ticked.id]
        guessed = [
            await browser.post(f"/a/{links[0]}", data=form | {"code": codes[1]}),
            await browser.post(f"/a/{links[0]}", data=form | {"code": "000000"}),
        ]
        assert [one.status_code for one in guessed] == [403, 403]
        assert await states(county, here, ticked) == ["open", "open"]
        stranger = {**form, "also": [owed[ticked.id], owed[alone.id]]}
        done = await browser.post(f"/a/{links[0]}", data=stranger)
        ends = form | {"all": "received", "also": owed[left.id], "code": codes[-1]}
        noted = await browser.post(f"/a/{links[-1]}", data=ends)
        assert await states(county, minor, left) == ["closed", "open"]
        last = await browser.post(f"/a/{links[0]}", data=form | {"also": owed[left.id]})

    assert 'name="also"' not in by_itself
    assert ("debajo de este aviso" in page, "under this notice" in by_itself) == (True, False)
    assert page.count('name="also"') == 3  # neither the page's own, nor what is answered by now
    assert "Ticked &amp; all" in page
    assert "Más en el mismo mensaje: 3" in page
    assert (done.status_code, "Left open from the same message: 2" in done.text) == (201, True)
    assert await states(county, here, ticked, left, alone) == ["closed"] * 3 + ["open"]
    assert (noted.status_code, "Still open: accept or decline" in noted.text) == (201, True)
    assert [YOU_ARE_DONE in one.text for one in (done, noted, last)] == [False, False, True]
    assert (last.status_code, "Your answer is recorded" in last.text) == (201, True)
    made = [one for posted in (here, ticked) for one in await bus.answers_to(owed[posted.id])]
    assert {(one.by_name, one.verified_by) for one in made} == {("R. Alvarez", VerifiedBy.LINK)}
    assert len({one.id for one in made}) == 2
    told = [one["data"] for one in await bus.entries_of() if one["type"] == ANSWERED]
    answered = [one["obligation_id"] for one in told]
    assert answered[1:3] == [owed[here.id], owed[ticked.id]]
    assert await guesses(bus, owed[here.id], owed[ticked.id], owed[left.id]) == [2, 0, 0]


async def test_class_a_goes_at_once_within_the_window_of_another(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    await bus.post_notice()

    grave = await bus.post_notice(**{"class": "A"})
    (mail,) = await county.mailed(Position.ON_DUTY)

    assert "class A" in mail.message["Subject"]
    assert [one.held_reason for one in await bus.deliveries_of(grave)] == [None]
    await bus.fast_forward(minutes(2))
    await county.mailed(Position.ON_DUTY)


async def test_an_exercise_shares_no_mail_with_the_actual_and_delays_none(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    for _ in range(3):
        await bus.post_notice(status="exercise")
    (drill,) = await county.mailed(Position.ON_DUTY)
    assert "EXERCISE" in drill.message["Subject"]

    for _ in range(3):
        await bus.post_notice()
    (actual,) = await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(2))
    mails = await county.mailed(Position.ON_DUTY, times=2)

    assert "EXERCISE" not in actual.message["Subject"]
    subjects = sorted(one.message["Subject"] for one in mails)
    assert subjects == [
        "2 messages in one, the gravest of class B",
        "[EXERCISE] 2 messages in one, the gravest of class B",
    ]
    (drilled,) = [one for one in mails if "EXERCISE" in one.message["Subject"]]
    assert drilled.text.startswith("THIS IS AN EXERCISE.")
    assert len(links_in(drilled.text)) == 2


async def test_notices_of_one_batch_to_one_contact_are_spaced_too(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(3))

    drafts = [await bus.draft() for _ in range(3)]
    await intake.take_in(bus.desk, drafts)
    (alone,) = await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(2))
    (rest,) = await county.mailed(Position.ON_DUTY)

    assert len(links_in(alone.text)) == 1
    assert len(links_in(rest.text)) == 2


async def test_a_contact_gets_twenty_messages_an_hour_and_the_rest_when_one_is_free(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    for _ in range(20):
        await bus.post_notice(**{"class": "D"})
        await county.mailed(Position.ON_DUTY)
        await bus.fast_forward(minutes(2))

    capped = [await bus.post_notice(**{"class": "D"}) for _ in range(3)]
    (grave,) = [await bus.post_notice(**{"class": "A"})]
    (passed,) = await county.mailed(Position.ON_DUTY)
    held = [one for posted in capped for one in await bus.deliveries_of(posted)]
    assert {one.held_reason for one in held} == {HeldReason.HOURLY_CAP}
    assert len({one.bundle for one in held}) == 1
    (said,) = await _held_back(bus)
    assert said.startswith("Scott County CPS has messages held back (3)")
    await county.answers(grave)
    await bus.fast_forward(minutes(19))
    assert len(county.mails_to(Position.ON_DUTY)) == 21
    await bus.fast_forward(minutes(1))
    (mail,) = await county.mailed(Position.ON_DUTY)

    assert "class A" in passed.message["Subject"]
    assert len(links_in(mail.text)) == 3
    assert await _held_back(bus) == []


async def test_mails_that_stand_in_for_a_failing_endpoint_are_one(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK)
    county.receiver.always = Behaviour(status=503)
    for _ in range(3):
        notice = await bus.post_notice()
        await county.receives("notice", notice)
        await bus.settled()

    await bus.fast_forward(minutes(2))
    mails = await county.mailed(Position.ON_DUTY, times=2)
    await county.next_events(len(county.received()) - 3)

    warned = [one for one in mails if "Endpoint failing" in one.message["Subject"]]
    (mail,) = [one for one in mails if one not in warned]
    assert len(warned) == 1, "of its endpoint, apart"
    assert len(links_in(mail.text)) == 3


async def test_a_bundle_that_fails_goes_again_as_one_message(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=DESK, endpoint=False)
    await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    posted = [await bus.post_notice(), await bus.post_notice(**{"class": "C"})]

    bus.mail.data_then.append("451 try later")
    await bus.fast_forward(minutes(2))
    await bus.fast_forward(minutes(10))
    (mail,) = await county.mailed(Position.ON_DUTY)

    assert len(links_in(mail.text)) == 2
    for one in posted:
        for delivery in await bus.deliveries_of(one):
            assert len(await bus.attempts_of(delivery)) == 2
            assert delivery.state is DeliveryState.DELIVERED


async def test_after_two_hours_of_outage_a_recipient_gets_its_steps_in_turns(
    place: Place,
) -> None:
    async with open_bus(place, roles=(), strict=False) as bus:
        parish = await bus.agency("Parish", kind=AgencyKind.FAITH, contacts_at=DESK)
        posted = [await bus.post_notice() for _ in range(60)]
        bus.world.advance(hours(2))

        await bus.system.engine.sweep()
        back_at = bus.world.now()
        steps = [
            one
            for notice in posted
            for one in await bus.deliveries_of(notice)
            if one.cause is Cause.STEP
        ]
        fired = [step for one in posted for step in await parish.steps(one)]
        calls = [one for one in steps if one.channel is Channel.WEBHOOK]
        mails = [one for one in steps if one.channel is Channel.EMAIL]

    assert len(fired) == 60
    assert _turns(calls, since=back_at) == {0: 20, 10: 20, 20: 20}
    assert _turns(mails, since=back_at) == {0: 1, 120: 59}
    assert Counter(one.held_reason for one in calls) == {None: 20, HeldReason.BURST: 40}


async def test_steps_in_turns_all_arrive(bus: Bus) -> None:
    parish = await bus.agency("Parish", kind=AgencyKind.FAITH)
    operators = await bus.operators()
    for _ in range(25):
        await bus.post_notice()
    await parish.next_events(25)

    await bus.fast_forward(hours(2))
    first = await parish.next_events(20)
    await bus.fast_forward(10 * SECOND)
    rest = await parish.next_events(5)

    told = [one["data"]["obligation"]["id"] for one in first + rest]
    assert len(set(told)) == 25
    (alone,) = await bus.expect_mail(operators)
    await bus.fast_forward(minutes(2))
    (bundle,) = await bus.expect_mail(operators)
    assert len(links_in(alone.text) | links_in(bundle.text)) == 25


async def test_spacing_costs_one_statement_and_none_where_nobody_is_written_to(
    place: Place,
) -> None:
    counted = {}
    async with open_bus(place, roles=(), strict=False) as bus:
        await bus.agency("Scott County CPS")
        await bus.post_notice()
        for what in ("webhook", "mail"):
            for size in (8, 20):  # of fewer, rows of several tables go in one statement
                drafts = [await bus.draft() for _ in range(size)]
                with statements_of(bus.desk) as seen:
                    await intake.take_in(bus.desk, drafts)
                counted[what, size] = len(seen)
            await bus.agency("Scott County Schools", contacts_at=DESK, endpoint=False)

    assert counted["webhook", 8] == counted["webhook", 20]
    assert counted["mail", 8] == counted["mail", 20] == counted["webhook", 8] + 1
