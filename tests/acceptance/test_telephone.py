"""Timelines by telephone: who is written to and rung, what their replies do, and what cannot."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx2
import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness import telephone
from harness.member import Member, Posted
from harness.place import Place
from harness.receivers import Behaviour
from harness.system import Bus, hours, minutes, open_bus
from harness.telephone import BASE, Fault, Handed, Line, Provider, sign
from noticebus.casework import contact_tests, reports
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Channel,
    DeclineReason,
    DeliveryState,
    NoticeClass,
    ObligationState,
    Outcome,
    Position,
    Scope,
    Status,
    VerifiedBy,
)
from noticebus.domain.policies import default_policies
from noticebus.store import obligations, policies
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.tables import acknowledgements, attempts, contacts, links

NIGHT = dt.datetime(2019, 8, 7, 7, 0, tzinfo=dt.UTC)  # 2 in the morning in Mississippi
PHONE = "+16015550123"
STRANGER = "+16015550177"


@dataclass(frozen=True, kw_only=True)
class Town:
    """A bus with a telephone provider, and a school district whose superintendent has one."""

    bus: Bus
    phones: Provider
    line: Line
    district: Member
    head: Contact

    async def delivery(self, notice: Posted, channel: Channel) -> Delivery:
        """Read the one delivery of a notice over a channel."""
        (found,) = [one for one in await self.bus.deliveries_of(notice) if one.channel is channel]
        return found

    async def attempt(self, notice: Posted, channel: Channel) -> Attempt:
        """Read the last attempt of the one delivery of a notice over a channel."""
        return (await self.bus.attempts_of(await self.delivery(notice, channel)))[-1]

    async def entries(self, notice: Posted, channel: Channel) -> list[tuple[str, str]]:
        """Give what the ledger says of a notice's delivery over a channel: type and word."""
        delivery = await self.delivery(notice, channel)
        return [
            (one["type"], one["data"].get("provider_status", ""))
            for one in await self.bus.entries_of(notice.incident_id)
            if one["data"].get("delivery_id") == delivery.id and one["type"].startswith("delivery.")
        ]

    async def answers(self) -> list[tuple[str, str, str, str]]:
        """Read every answer: what, by whom, identified by what, who is meant."""
        statement = sa.select(acknowledgements).order_by(acknowledgements.c.id)
        async with self.bus.desk.database.read() as conn:
            return [
                (row.answer, row.by_name, row.verified_by, row.actor)
                for row in await conn.execute(statement)
            ]

    async def wrong_codes(self) -> list[int]:
        """Read how many wrong codes were counted, for each link that has any."""
        async with self.bus.desk.database.read() as conn:
            return list((await conn.execute(sa.select(links.c.wrong_codes))).scalars())

    async def change_head(self, **values: object) -> None:
        """Change the superintendent's row."""
        statement = sa.update(contacts).where(contacts.c.id == self.head.id).values(**values)
        async with self.bus.desk.database.begin() as conn:
            await conn.execute(statement)

    async def ask_for_two(self) -> None:
        """Let the districts' policies for class A ask for two people."""
        async with self.bus.desk.database.begin() as conn:
            for one in default_policies():
                of_districts = one.recipient_kind is AgencyKind.SCHOOL_DISTRICT
                if of_districts and one.notice_class is NoticeClass.A:
                    wanted = replace(one, version=2, quorum=2)
                    await policies.insert_policy(
                        conn, wanted, agency_id=None, now=self.bus.world.now()
                    )

    async def unheard(self, status: Status = Status.ACTUAL) -> list[str]:
        """Read what the report says of messages that the provider has not spoken of."""
        operator = furnish.principal(Scope.OPERATE)
        asked = reports.Asked(status=status)
        read = await reports.read_report(self.bus.desk, operator, asked=asked, output="json")
        found = read.report.data_quality
        return [one.message for one in found if one.code == "telephone_not_heard_of"]

    async def told(self, **changes: str) -> tuple[Posted, Handed, Handed]:
        """Post a class A notice that reaches the superintendent by text message and call."""
        notice = await self.bus.post_notice(**({"class": "A"} | changes))
        (text,) = await self.phones.texts(PHONE)
        (call,) = await self.phones.calls(PHONE)
        await self.bus.settled()
        return notice, text, call


@pytest.fixture
async def town(place: Place) -> AsyncIterator[Town]:
    async with (
        telephone.provider() as phones,
        open_bus(place, world=ManualClock(NIGHT), telephone=phones) as bus,
    ):
        district = await bus.agency(
            "Scott County Schools", kind=AgencyKind.SCHOOL_DISTRICT, endpoint=False
        )
        head = await furnish.add_contact(
            bus.desk,
            district.row,
            "Dana Superintendent",
            position=Position.HEAD,
            phone=PHONE,
        )
        line = Line(bus.system.app, bus.desk.base_url)
        yield Town(bus=bus, phones=phones, line=line, district=district, head=head)


async def test_class_a_at_night_rings_the_superintendent_whose_reply_closes_it(town: Town) -> None:
    notice, text, call = await town.told()

    assert "class A, children may be without a carer now" in text.text
    assert "Scott County" in text.text
    assert "Morton" not in text.text + call.text
    assert text.code == call.code
    handed = await town.delivery(notice, Channel.SMS)
    assert handed.state is DeliveryState.HANDED_OVER
    assert handed.due_at is None
    attempt = await town.attempt(notice, Channel.SMS)
    assert (attempt.outcome, attempt.provider_id) == (Outcome.HANDED_OVER, text.sid)
    assert (await town.district.obligation(notice)).delivered_at is None

    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")
    await town.bus.fast_forward(hours(72))

    assert said.startswith("Recorded: accepted.")
    owed = await town.district.obligation(notice)
    assert owed.state is ObligationState.CLOSED
    assert await town.district.steps(notice) == []
    assert await town.answers() == [
        (Answer.ACCEPTED, "Dana Superintendent", VerifiedBy.TEXT, town.head.id)
    ]


async def test_silence_is_chased_by_text_message_until_the_code_is_typed(town: Town) -> None:
    notice, _, _ = await town.told()
    owed = await town.district.obligation(notice)
    assert owed.next_step_at is not None

    await town.bus.fast_forward(owed.next_step_at - town.bus.world.now())
    steps = await town.district.steps(notice)
    later = [one for one in town.phones.handed.all if one.kind == "Messages"][1:]
    for one in town.phones.handed.all[2:]:
        expect = town.phones.calls if one.kind == "Calls" else town.phones.texts
        await expect(one.to)

    assert len(steps) == 1
    assert all("STILL NO ANSWER" in one.text for one in later)
    call = next(one for one in town.phones.handed.all if one.kind == "Calls")
    assert "Recorded: accepted" in await town.line.types(call, call.code)
    await town.bus.fast_forward(hours(72))
    assert len(await town.district.steps(notice)) == 1
    assert [one[2] for one in await town.answers()] == [VerifiedBy.CALL]


async def test_delivered_is_what_the_provider_says_later_and_says_once(town: Town) -> None:
    notice, text, call = await town.told()
    await town.bus.fast_forward(minutes(1))

    for status in ("sent", "delivered", "delivered", "sent", "undelivered", "queued"):
        assert (await town.line.says(text, status)).status_code == 204
    await town.bus.settled()

    delivery = await town.delivery(notice, Channel.SMS)
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.finished_at == town.bus.world.now()
    assert (await town.attempt(notice, Channel.SMS)).provider_status == "delivered"
    assert (await town.district.obligation(notice)).delivered_at == town.bus.world.now()
    assert await town.entries(notice, Channel.SMS) == [
        ("delivery.handed_over", ""),
        ("delivery.reported", "sent"),
        ("delivery.delivered", "delivered"),
    ]
    assert (await town.delivery(notice, Channel.VOICE)).state is DeliveryState.HANDED_OVER

    await town.line.says(call, "completed")
    await town.bus.settled()
    assert (await town.delivery(notice, Channel.VOICE)).state is DeliveryState.DELIVERED


async def test_an_undelivered_text_is_tried_again_not_sooner_than_two_minutes(town: Town) -> None:
    notice, text, _ = await town.told()

    await town.line.says(text, "undelivered", ErrorCode="30003")
    await town.bus.settled()
    waiting = await town.delivery(notice, Channel.SMS)
    await town.bus.fast_forward(minutes(2))
    (again,) = await town.phones.texts(PHONE)
    await town.line.says(again, "delivered")
    await town.bus.settled()

    assert waiting.state is DeliveryState.QUEUED
    assert waiting.due_at == NIGHT + minutes(2)
    assert waiting.recipient_attempts == 1
    assert again.fields == text.fields
    assert again.sid != text.sid
    assert [word for _, word in await town.entries(notice, Channel.SMS)] == [
        "",
        "undelivered",
        "",
        "delivered",
    ]


async def test_a_message_that_carried_several_notices_is_delivered_for_each(town: Town) -> None:
    first, text, _ = await town.told()
    second, other, _ = await town.told()
    one_message = sa.update(attempts).where(attempts.c.provider_id == other.sid)
    async with town.bus.desk.database.begin() as conn:
        await conn.execute(one_message.values(provider_id=text.sid))

    await town.line.says(text, "undelivered")
    await town.bus.settled()
    waiting = [await town.delivery(one, Channel.SMS) for one in (first, second)]
    await town.bus.fast_forward(minutes(2))
    again = await town.phones.texts(PHONE, times=2)
    for one in again:
        await town.line.says(one, "delivered")
    await town.bus.settled()

    assert [one.state for one in waiting] == [DeliveryState.QUEUED] * 2
    assert len({one.due_at for one in waiting}) == 1
    for notice in (first, second):
        assert (await town.delivery(notice, Channel.SMS)).state is DeliveryState.DELIVERED
        await town.district.answers(notice)


async def test_a_telephone_that_nobody_answers_is_rung_five_times_and_no_more(town: Town) -> None:
    notice = await town.bus.post_notice(**{"class": "A"})
    (text,) = await town.phones.texts(PHONE)
    await town.line.says(text, "delivered")
    for word in ("no-answer", "busy", "canceled", "failed", "no-answer"):
        (call,) = await town.phones.calls(PHONE)
        await town.bus.settled()
        await town.line.says(call, word)
        await town.bus.fast_forward(minutes(2))

    assert (await town.delivery(notice, Channel.VOICE)).state is DeliveryState.EXHAUSTED
    assert len(await town.bus.attempts_of(await town.delivery(notice, Channel.VOICE))) == 5
    assert (await town.entries(notice, Channel.VOICE))[-1] == ("delivery.exhausted", "no-answer")
    await town.district.answers(notice)


async def test_a_text_that_is_not_delivered_is_followed_by_a_call_at_once(town: Town) -> None:
    notice = await town.bus.post_notice(**{"class": "B"})
    (text,) = await town.phones.texts(PHONE)
    await town.bus.settled()

    await town.line.says(text, "undelivered")
    (call,) = await town.phones.calls(PHONE)
    await town.line.says(call, "completed")
    await town.bus.settled()

    assert (await town.delivery(notice, Channel.VOICE)).state is DeliveryState.DELIVERED
    assert (await town.district.obligation(notice)).delivered_at == NIGHT
    await town.bus.fast_forward(minutes(2))
    await town.phones.texts(PHONE)


async def test_a_text_of_which_nothing_is_heard_is_followed_by_a_call_after_two_minutes(
    town: Town,
) -> None:
    await town.bus.post_notice(**{"class": "B"})
    (text,) = await town.phones.texts(PHONE)
    await town.bus.settled()
    await town.line.says(text, "sent")

    await town.bus.fast_forward(minutes(1))
    before = len(town.phones.handed.all)
    await town.bus.fast_forward(minutes(1))

    await town.phones.calls(PHONE)
    assert before == 1


async def test_a_text_that_arrives_in_time_is_followed_by_no_call(town: Town) -> None:
    notice = await town.bus.post_notice(**{"class": "B"})
    (text,) = await town.phones.texts(PHONE)
    await town.bus.settled()

    await town.line.says(text, "delivered")
    await town.bus.fast_forward(minutes(3))

    assert (await town.delivery(notice, Channel.VOICE)).state is DeliveryState.MOOT


async def test_a_refused_mail_is_followed_by_a_text_and_that_by_a_call(town: Town) -> None:
    await town.change_head(email="dana@agency.example", email_verified_at=NIGHT)
    town.phones.refused[PHONE] = 21614
    town.bus.mail.rcpt_then.append("550 no such user")
    notice = await town.bus.post_notice(**{"class": "B"})
    await town.bus.settled()
    (mail, text, call) = sorted(
        await town.bus.deliveries_of(notice), key=lambda one: list(Channel).index(one.channel)
    )

    assert [one.channel for one in (mail, text, call)] == [
        Channel.EMAIL,
        Channel.SMS,
        Channel.VOICE,
    ]
    assert {one.first_failed_at for one in (mail, text, call)} == {NIGHT}
    attempt = await town.attempt(notice, Channel.SMS)
    assert (attempt.outcome, attempt.provider_id) == (Outcome.REFUSED, None)
    assert town.phones.handed.all == []
    await town.line.reply(PHONE, "ACCEPT 000000")
    await town.district.answers(notice)


async def test_a_test_by_text_goes_to_one_contact_and_says_that_it_is_one(town: Town) -> None:
    sent = await contact_tests.send_test(
        town.bus.desk,
        furnish.principal(Scope.OPERATE),
        agency_id=town.head.agency_id,
        contact_id=town.head.id,
        channel=Channel.SMS,
    )
    (text,) = await town.phones.texts(PHONE)
    await town.bus.settled()

    assert text.text.startswith("TEST, not real. Notice bus: test message for Scott County Schools")
    found = await contact_tests.find_test(
        town.bus.desk, agency_id=town.head.agency_id, delivery_id=sent.id
    )
    assert found is not None
    assert found[0].state is DeliveryState.HANDED_OVER


async def test_a_wrong_code_answers_nothing_and_five_lock_the_message(town: Town) -> None:
    notice, text, call = await town.told()
    wrong = f"{(int(text.code) + 1) % 10**6:06}"

    said = [await town.line.reply(PHONE, f"ACCEPT {wrong}") for _ in range(5)]
    right = await town.line.reply(PHONE, f"ACCEPT {text.code}")
    typed = await town.line.types(call, text.code)

    assert [("4 more" in said[0]), ("1 more" in said[3])] == [True, True]
    assert "too many wrong codes" in said[4]
    assert "too many wrong codes" in right
    assert "too many wrong codes" in typed
    assert await town.wrong_codes() == [5]
    assert await town.answers() == []
    assert (await town.district.obligation(notice)).state is ObligationState.OPEN
    await town.district.answers(notice)


async def test_a_code_typed_wrong_on_a_call_is_spoken_again(town: Town) -> None:
    notice, _, call = await town.told()
    wrong = f"{(int(call.code) + 1) % 10**6:06}"

    again = await town.line.types(call, wrong)
    spoken = ", ".join(call.code)
    done = await town.line.types(call, call.code)

    assert "This was not the code." in again
    assert spoken in again
    assert "Recorded: accepted" in done
    assert await town.wrong_codes() == [1]
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED


async def test_a_voicemail_that_picks_up_answers_nothing(town: Town) -> None:
    notice, text, call = await town.told()

    await town.line.says(call, "completed")
    await town.bus.settled()

    assert (await town.district.obligation(notice)).state is ObligationState.OPEN
    assert await town.answers() == []
    await town.line.reply(PHONE, f"A {text.code}")


async def test_nobody_else_answers_with_the_right_code(town: Town) -> None:
    notice, text, call = await town.told()
    reply = f"ACCEPT {text.code}"

    stranger = await town.line.reply(STRANGER, reply)
    typed = await town.line.types(call, call.code, to=STRANGER)
    await town.change_head(valid_until=NIGHT)
    moved_on = await town.line.reply(PHONE, reply)
    over = await town.line.types(call, call.code)
    await town.change_head(valid_until=None, phone_verified_at=None)
    unverified = await town.line.reply(PHONE, reply)
    await town.change_head(phone_verified_at=NIGHT, ended_at=NIGHT)
    ended = await town.line.reply(PHONE, reply)

    assert {stranger, moved_on, unverified, ended} == {
        "Not recorded: this telephone is not known to the notice bus. Ring its operators."
    }
    assert "cannot be answered any more" in typed
    assert "cannot be answered any more" in over
    assert await town.answers() == []
    assert await town.wrong_codes() == []
    await town.district.answers(notice)


async def test_a_reply_that_is_no_answer_is_told_how_to_answer(town: Town) -> None:
    notice, text, _ = await town.told()

    assert "Reply with one word and the code" in await town.line.reply(PHONE, "Who is this?")
    assert "Reply with one word" in await town.line.reply(PHONE, f"A child {text.code}")
    assert await town.answers() == []
    await town.line.reply(PHONE, f"SÍ {text.code}")
    await town.bus.settled()
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED
    assert "No answer is needed" in await town.line.reply(PHONE, f"ACCEPT {text.code}")
    other = "000001" if text.code == "000000" else "000000"
    assert "nothing that was sent" in await town.line.reply(PHONE, f"ACCEPT {other}")


async def test_received_is_noted_and_says_what_is_still_asked(town: Town) -> None:
    notice, text, _ = await town.told()

    said = await town.line.reply(PHONE, f"R {text.code}")
    again = await town.line.reply(PHONE, f"R {text.code}")
    owed = await town.district.obligation(notice)
    await town.line.reply(PHONE, f"ACCEPT {text.code}")

    assert said == again
    assert f"reply ACCEPT {text.code}" in said
    assert owed.received_at == NIGHT
    assert owed.state is ObligationState.OPEN
    assert [one[0] for one in await town.answers()] == [Answer.RECEIVED, Answer.ACCEPTED]


async def test_the_code_of_an_older_version_is_told_to_answer_the_newer_message(
    town: Town,
) -> None:
    notice, text, call = await town.told()
    await town.bus.update(notice, notice_class="A", material=True)
    (newer,) = await town.phones.texts(PHONE)
    await town.phones.calls(PHONE)

    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")
    spoken = await town.line.types(call, call.code)
    waiting = (await town.district.obligation(notice)).state
    done = await town.line.reply(PHONE, f"ACCEPT {newer.code}")

    asked = "Still open: this was version 1; answer the newer message (version 2)."
    assert said == f"Recorded: accepted. Thank you. ES: Registrado: aceptado. {asked}"
    assert spoken == f"Recorded: accepted. {asked} Goodbye."
    assert waiting is ObligationState.OPEN
    assert "Still open" not in done
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED


async def test_the_first_of_two_hears_that_another_person_has_to_accept(town: Town) -> None:
    await town.ask_for_two()
    await furnish.add_contact(
        town.bus.desk, town.district.row, "Pat Deputy", position=Position.HEAD, phone=STRANGER
    )
    notice, text, call = await town.told()
    await town.phones.texts(STRANGER)
    (other,) = await town.phones.calls(STRANGER)

    noted = await town.line.reply(PHONE, f"R {text.code}")
    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")
    spoken = await town.line.types(call, call.code)
    last = await town.line.types(other, other.code)

    assert f"reply ACCEPT {text.code}" in noted
    assert said.endswith("Still open: another person has to accept.")
    assert spoken == "Recorded: accepted. Still open: another person has to accept. Goodbye."
    assert last == "Recorded: accepted. Thank you. Goodbye."
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED


async def test_a_code_typed_after_a_cancel_is_told_that_it_is_over(town: Town) -> None:
    notice, _, call = await town.told()
    await town.bus.cancel(notice)
    await town.phones.texts(PHONE)
    await town.phones.calls(PHONE)

    said = await town.line.types(call, call.code)

    assert said.startswith("No answer is needed any more")
    assert (await town.district.obligation(notice)).state is ObligationState.WITHDRAWN


async def test_a_poster_who_accepts_its_missed_update_is_told_to_post_it(town: Town) -> None:
    town.bus.poster = await furnish.add_agency(
        town.bus.desk, "Field office", kind=AgencyKind.FEDERAL
    )
    await furnish.add_contact(town.bus.desk, town.bus.poster, "Sam Poster", phone=STRANGER)
    notice, _, _ = await town.told(next_update_due=(NIGHT + hours(1)).isoformat())
    await town.district.answers(notice)
    await town.bus.fast_forward(hours(1))
    (text,) = await town.phones.texts(STRANGER)
    (call,) = await town.phones.calls(STRANGER)

    said = await town.line.reply(STRANGER, f"ACCEPT {text.code}")
    spoken = await town.line.types(call, call.code)

    asked = "Still open: post the answer or update on the bus, or ring its operators."
    assert said.endswith(asked)
    assert spoken == f"Recorded: accepted. {asked} Goodbye."


async def test_no_declines_and_says_so(town: Town) -> None:
    notice, text, _ = await town.told()

    said = await town.line.reply(PHONE, f"NO {text.code}")

    assert said.startswith("Recorded: declined.")
    async with town.bus.desk.database.read() as conn:
        reasons = (await conn.execute(sa.select(acknowledgements.c.reason))).scalars().all()
    assert reasons == [DeclineReason.OTHER]
    assert (await town.district.obligation(notice)).state is ObligationState.DECLINED


async def test_a_mistyped_decline_is_taken_back_by_text_message(town: Town) -> None:
    notice, text, _ = await town.told()

    await town.line.reply(PHONE, f"DECLINE {text.code}")
    again = await town.line.reply(PHONE, f"DECLINE {text.code}")
    noted = await town.line.reply(PHONE, f"RECEIVED {text.code}")
    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")

    assert again.startswith("Recorded: declined.")
    assert noted.endswith(
        f"Your agency has declined: reply ACCEPT {text.code} when somebody acts on it."
    )
    assert said == "Recorded: accepted. Thank you. ES: Registrado: aceptado."
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED
    assert [one[0] for one in await town.answers()] == [
        Answer.DECLINED,
        Answer.RECEIVED,
        Answer.ACCEPTED,
    ]


async def test_what_the_operators_waived_may_still_be_accepted_by_text_message(town: Town) -> None:
    notice, text, _ = await town.told()
    before = await town.district.obligation(notice)
    waived = replace(before, state=ObligationState.WAIVED, next_step_at=None)
    async with town.bus.desk.database.begin() as conn:
        await obligations.save(conn, before=before, after=waived)

    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")

    assert said == "Recorded: accepted. Thank you. ES: Registrado: aceptado."
    assert (await town.district.obligation(notice)).state is ObligationState.CLOSED


async def test_where_two_must_accept_one_yes_after_the_decline_hears_that_it_is_not_enough(
    town: Town,
) -> None:
    await town.ask_for_two()
    notice, text, call = await town.told(status="exercise")
    await town.line.reply(PHONE, f"NO {text.code}")
    declined = (await town.district.obligation(notice)).state

    spoken = await town.line.types(call, call.code)
    said = await town.line.reply(PHONE, f"ACCEPT {text.code}")

    asked = (
        "Your agency has declined: another person has to accept too, or ring the bus's operators."
    )
    assert declined is ObligationState.DECLINED
    assert spoken == f"EXERCISE. Recorded: accepted. {asked} Goodbye."
    assert said == f"EXERCISE. Recorded: accepted. Thank you. ES: Registrado: aceptado. {asked}"
    assert (await town.district.obligation(notice)).state is ObligationState.DECLINED


async def test_of_several_open_matters_the_code_decides(town: Town) -> None:
    first, about_first, _ = await town.told()
    second, about_second, _ = await town.told()

    await town.line.reply(PHONE, f"ACCEPT {about_first.code}")
    answered = (await town.district.obligation(first)).state
    other = (await town.district.obligation(second)).state
    await town.line.reply(PHONE, f"ACCEPT {about_second.code}")

    assert about_first.code != about_second.code
    assert (answered, other) == (ObligationState.CLOSED, ObligationState.OPEN)
    assert (await town.district.obligation(second)).state is ObligationState.CLOSED


async def test_an_exercise_says_so_in_every_message_and_reply(town: Town) -> None:
    _, text, call = await town.told(status="exercise")

    assert text.text.startswith("EXERCISE, not real.")
    assert call.text.startswith("This is an exercise.")
    assert (await town.line.reply(PHONE, f"A {text.code}")).startswith("EXERCISE. Recorded")


@pytest.mark.parametrize("signature", ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "of another token"])
async def test_a_callback_that_is_not_signed_changes_nothing(town: Town, signature: str) -> None:
    notice, text, _ = await town.told()
    fields = {"From": PHONE, "Body": f"ACCEPT {text.code}"}
    url = f"{town.bus.desk.base_url}{BASE}/inbound"
    given = sign(url, fields, token="another") if signature == "of another token" else signature

    answers = [
        await town.line.post(f"{BASE}/inbound", fields, signature=given),
        await town.line.post(text.fields["StatusCallback"], {"MessageSid": "x"}, signature=given),
        await town.line.post(f"{BASE}/gather", {"Digits": text.code}, signature=given),
    ]

    assert {one.status_code for one in answers} == {403}
    assert {one.json()["code"] for one in answers} == {"telephone-unsigned"}
    assert await town.answers() == []
    assert (await town.delivery(notice, Channel.SMS)).state is DeliveryState.HANDED_OVER
    await town.district.answers(notice)


async def test_what_is_not_known_is_taken_and_changes_nothing(town: Town) -> None:
    notice, text, _ = await town.told()
    before = await town.bus.entries_of()

    unknown = Handed(
        sid="SMunknown",
        kind="Messages",
        fields=text.fields | {"StatusCallback": f"{BASE}/status?delivery=dlv_unknown"},
    )
    strange = [
        await town.line.says(unknown, "delivered"),
        await town.line.says(text, "receiving"),
        await town.line.post(f"{BASE}/status", {"MessageStatus": "delivered"}),
    ]
    await town.bus.settled()

    assert {one.status_code for one in strange} == {204}
    assert await town.bus.entries_of() == before
    await town.district.answers(notice)


async def test_a_try_whose_answer_was_lost_and_that_arrived_is_not_repeated(town: Town) -> None:
    town.phones.then.append(Fault(status=500, takes=True))
    notice = await town.bus.post_notice(**{"class": "B"})
    (text,) = await town.phones.texts(PHONE)
    await town.bus.settled()
    waiting = await town.delivery(notice, Channel.SMS)

    await town.line.says(text, "delivered")
    await town.bus.fast_forward(minutes(10))

    assert waiting.state is DeliveryState.QUEUED
    assert (await town.delivery(notice, Channel.SMS)).state is DeliveryState.DELIVERED
    assert (await town.district.obligation(notice)).delivered_at == NIGHT


async def test_a_callback_quicker_than_the_providers_own_answer_is_not_lost(town: Town) -> None:
    town.phones.may_answer.clear()
    notice = await town.bus.post_notice(**{"class": "B"})
    (text,) = await town.phones.texts(PHONE)

    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(town.line.says(text, "delivered"))
        tasks.create_task(town.line.says(text, "sent"))
        town.phones.may_answer.set()
    await town.bus.settled()

    assert early.result().status_code == 204
    assert (await town.delivery(notice, Channel.SMS)).state is DeliveryState.DELIVERED
    assert (await town.attempt(notice, Channel.SMS)).provider_status == "delivered"


async def test_after_a_cancel_nobody_is_rung_again(town: Town) -> None:
    town.phones.then.extend([Fault(status=500), Fault(status=500)])
    notice = await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    calls = len(town.phones.handed.all)

    await town.district.answers(notice)
    await town.bus.fast_forward(hours(1))

    assert calls == 0
    assert {one.state for one in await town.bus.deliveries_of(notice)} == {DeliveryState.MOOT}


async def test_an_endpoint_that_refuses_is_followed_by_its_desks_first_channel(
    town: Town,
) -> None:
    county = await town.bus.agency("Scott County CPS")
    county.receiver.always = Behaviour(status=410)
    await furnish.add_contact(town.bus.desk, county.row, "County Desk", phone=STRANGER)
    notice = await town.bus.post_notice(**{"class": "B"})
    await town.phones.texts(PHONE)

    (text,) = await town.phones.texts(STRANGER)
    await town.line.reply(STRANGER, f"ACCEPT {text.code}")

    assert (await county.obligation(notice)).state is ObligationState.CLOSED
    await county.next_events()


async def test_a_callback_that_is_no_form_is_refused(town: Town) -> None:
    transport = httpx2.ASGITransport(app=town.bus.system.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bus") as client:
        many = await client.post(f"{BASE}/status", data={f"f{n}": "1" for n in range(101)})
        binary = await client.post(f"{BASE}/status", content=b"\xff=1")
        got = await client.get(f"{BASE}/status")

    assert [one.status_code for one in (many, binary, got)] == [400, 400, 405]


async def test_a_bus_without_a_provider_takes_no_callback_and_rings_nobody(place: Place) -> None:
    async with open_bus(place) as bus:
        county = await bus.agency("Scott County CPS")
        await furnish.add_contact(bus.desk, county.row, "County Desk", phone=PHONE)
        notice = await bus.post_notice(**{"class": "A"})
        await county.receives("notice", notice)
        line = Line(bus.system.app, bus.desk.base_url)
        refused = await line.post(f"{BASE}/inbound", {"From": PHONE, "Body": "ACCEPT 123456"})

        assert refused.status_code == 404
        assert refused.json()["code"] == "not-found"
        assert {one.channel for one in await bus.deliveries_of(notice)} == {Channel.WEBHOOK}
        await county.answers(notice)


async def test_a_message_whose_fate_is_not_told_within_an_hour_is_on_the_report(town: Town) -> None:
    _, text, call = await town.told()
    await town.bus.fast_forward(minutes(59))
    in_time = await town.unheard()
    await town.bus.fast_forward(minutes(2))
    await town.phones.texts(PHONE)  # the step's, not an hour old
    await town.phones.calls(PHONE)
    await town.bus.settled()

    silent = await town.unheard()
    in_exercises = await town.unheard(Status.EXERCISE)
    await town.line.says(text, "delivered")
    one_left = await town.unheard()
    await town.line.reply(PHONE, f"ACCEPT {call.code}")
    answered = await town.unheard()

    assert in_time == in_exercises == answered == []
    assert "Scott County Schools was sent text messages or calls (2) over an hour ago" in silent[0]
    assert "(1)" in one_left[0]


async def test_a_reply_sent_twice_is_no_wrong_code_of_another_message(town: Town) -> None:
    _, first, _ = await town.told()
    await town.bus.fast_forward(minutes(3))
    _, second, _ = await town.told()

    await town.line.reply(PHONE, f"ACCEPT {first.code}")
    again = await town.line.reply(PHONE, f"ACCEPT {first.code}")
    counted = await town.wrong_codes()
    taken = await town.line.reply(PHONE, f"ACCEPT {second.code}")
    last = await town.line.reply(PHONE, f"ACCEPT {first.code}")

    assert again.startswith("No answer is needed any more")
    assert (again, counted) == (last, [])
    assert taken.startswith("Recorded: accepted.")
    assert len(await town.answers()) == 2
