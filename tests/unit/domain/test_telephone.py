"""What a text message and a call say, and which replies are answers."""

import datetime as dt
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Answer, Msg, NoticeClass, Status
from noticebus.domain.telephone import (
    REPLY_CHARACTERS_MAX,
    TEXT_SEPTETS_MAX,
    Heard,
    Reply,
    Telling,
    callback_address,
    compose_again,
    compose_call,
    compose_last_words,
    compose_reply,
    compose_text,
    goes_on,
    hear,
    plain,
    read_reply,
    septets,
    spoken,
    spoken_es,
)

LINK = "https://bus.example.gov/a/" + "x" * 80
TOLD = Telling(
    status=Status.ACTUAL,
    notice_class=NoticeClass.A,
    msg=Msg.ALERT,
    duty=True,
    reminder=False,
    agency="Scott County CPS",
    place="Scott County, MS",
    due_at=dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC),
    zone="America/Chicago",
    link=LINK,
    code="123456",
)
ACTION = "https://bus.example.gov/v1/telephone/twilio/gather?delivery=dlv_1&x=1"


def test_a_text_says_how_urgent_where_until_when_and_how_to_answer() -> None:
    assert compose_text(TOLD) == (
        "Notice bus: class A, children may be without a carer now, Scott County, MS. Answer by"
        f" 10:00 CDT. Reply ACCEPT 123456 or open {LINK}"
        " ES: clase A, puede haber niños sin cuidador. Responda ACEPTO 123456"
    )


@pytest.mark.parametrize(
    ("status", "mark", "spanish"),
    [(Status.EXERCISE, "EXERCISE", "SIMULACRO"), (Status.TEST, "TEST", "PRUEBA")],
)
def test_an_exercise_says_so_before_anything_else(status: Status, mark: str, spanish: str) -> None:
    told = replace(TOLD, status=status, link="https://bus.example.gov/a/x")

    assert compose_text(told).startswith(f"{mark}, not real. ")
    assert spanish in compose_text(told)
    assert spoken(told).startswith("This is a")
    assert spoken_es(told).startswith("Esto es un")


def test_class_c_is_asked_for_a_word_that_closes_it() -> None:
    text = compose_text(replace(TOLD, notice_class=NoticeClass.C))

    assert "Reply RECEIVED 123456" in text
    assert "Responda RECIBIDO 123456" in text


def test_a_reminder_says_that_nobody_has_answered() -> None:
    told = replace(TOLD, reminder=True)

    assert "STILL NO ANSWER" in compose_text(told)
    assert "There is still no answer." in spoken(told)


def test_a_cancel_asks_for_nothing() -> None:
    told = replace(TOLD, msg=Msg.CANCEL, code="")

    assert compose_text(told) == (
        "Notice bus: class A notice cancelled, Scott County, MS. Nothing to do."
        " ES: Aviso cancelado."
    )
    assert "A notice was cancelled." in spoken(told)
    assert "El aviso fue cancelado." in spoken_es(told)
    assert "<Gather" not in compose_call(told, action=ACTION)


def test_who_only_reads_along_gets_a_link_and_no_code() -> None:
    told = replace(TOLD, code="", due_at=None)

    assert f"To read it, open {LINK}" in compose_text(told)
    assert "Responda" not in compose_text(told)
    assert "No answer is asked for on this call." in spoken(told)


def test_a_message_without_link_or_code_says_no_way_to_answer() -> None:
    told = replace(TOLD, code="", link="", due_at=None)

    assert compose_text(told).startswith(
        "Notice bus: class A, children may be without a carer now, Scott County, MS. ES:"
    )


def test_what_is_no_duty_is_a_message_about_a_notice() -> None:
    told = replace(TOLD, duty=False, code="")

    assert "a message about a notice" in compose_text(told)
    assert "There is a message about a notice." in spoken(told)
    assert "Hay un mensaje sobre un aviso." in spoken_es(told)


def test_a_long_place_is_cut_before_the_way_to_answer_is() -> None:
    text = compose_text(replace(TOLD, place="Prince George's County, " * 20))

    assert "Reply ACCEPT 123456" in text
    assert LINK in text
    assert septets(text) <= TEXT_SEPTETS_MAX


def test_a_link_that_does_not_fit_is_left_out_and_the_code_stays() -> None:
    text = compose_text(replace(TOLD, link="https://" + "x" * 300))

    assert "https" not in text
    assert text.endswith("Reply ACCEPT 123456")


def test_the_spanish_goes_before_the_end_of_the_place() -> None:
    told = replace(TOLD, status=Status.EXERCISE, reminder=True, link=LINK + "x" * 30)

    assert "Responda" not in compose_text(told)


@given(
    place=st.text(max_size=400),
    link=st.text("abc_-^{", max_size=330),
    status=st.sampled_from(Status),
    msg=st.sampled_from(Msg),
    notice_class=st.sampled_from(NoticeClass),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_a_text_never_takes_more_than_two_segments(
    *,
    place: str,
    link: str,
    status: Status,
    msg: Msg,
    notice_class: NoticeClass,
    flags: tuple[bool, bool, bool],
) -> None:
    reminder, duty, asked = flags
    told = replace(TOLD, place=place, link=link, status=status, msg=msg, notice_class=notice_class)
    code = "123456" if asked else ""

    text = compose_text(replace(told, reminder=reminder, duty=duty, code=code))

    assert septets(text) <= TEXT_SEPTETS_MAX
    assert code in text or msg is Msg.CANCEL


def test_a_call_says_it_in_two_languages_and_speaks_the_code_twice() -> None:
    document = ET.fromstring(compose_call(TOLD, action=ACTION))  # noqa: S314 - our own document

    gather = document.find("Gather")
    assert gather is not None
    assert gather.attrib == {
        "input": "dtmf",
        "numDigits": "6",
        "timeout": "15",
        "method": "POST",
        "action": ACTION,
    }
    assert [say.attrib["language"] for say in gather] == ["en-US", "es-MX", "en-US"]
    assert "".join(gather.itertext()).count("1, 2, 3, 4, 5, 6") == 3
    assert [one.tag for one in document] == ["Gather", "Say"]


def test_names_cannot_add_anything_to_a_call() -> None:
    told = replace(TOLD, agency='A & B</Say><Dial>"1"</Dial>\x00\x1b', place="<Hangup/>")
    document = ET.fromstring(compose_call(told, action=ACTION))  # noqa: S314 - our own document

    assert {one.tag for one in document.iter()} == {"Response", "Gather", "Say"}


def test_after_a_wrong_code_a_call_speaks_it_again() -> None:
    document = compose_again(code="654321", action=ACTION, sentence="This was not the code.")

    assert "This was not the code. To say that you accept" in document
    assert "6, 5, 4, 3, 2, 1" in document
    assert compose_last_words("Bye & thanks").endswith(
        '<Response><Say language="en-US">Bye &amp; thanks</Say></Response>'
    )


def test_a_reply_is_one_segment_and_escaped() -> None:
    document = ET.fromstring(compose_reply("<&> " + "ñandú " * 60))  # noqa: S314 - our own document

    text = document.findtext("Message") or ""
    assert text.startswith("<&> ñandu ñandu")
    assert septets(text) <= REPLY_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("ACCEPT 123456", Answer.ACCEPTED),
        ("accept: 123 456.", Answer.ACCEPTED),
        ("  a 123-456 ", Answer.ACCEPTED),
        ("Yes\n123456", Answer.ACCEPTED),
        ("Sí, 123456", Answer.ACCEPTED),
        ("acepto 123456", Answer.ACCEPTED),
        ("123456 ACEPTO", Answer.ACCEPTED),
        ("R 123456", Answer.RECEIVED),
        ("received 123456", Answer.RECEIVED),
        ("recibido 123456", Answer.RECEIVED),
        ("No 123456", Answer.DECLINED),
        ("d 123456", Answer.DECLINED),
        ("DECLINE 123456", Answer.DECLINED),
    ],
)
def test_a_word_and_the_code_are_an_answer(body: str, answer: Answer) -> None:
    assert read_reply(body) == Reply(answer=answer, code="123456")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "123456",
        "ACCEPT",
        "ACCEPT 12345",
        "ACCEPT 1234567",
        "A child is missing 123456",
        "ACCEPT 123456 but not before Monday",
        "ACCEPT DECLINE 123456",
        "ACCEPT 123456 654321",
        "STOP 123456",
        "OK 123456",
        "I'm driving. Sent automatically",
        "x" * 2000 + " ACCEPT 123456",
    ],
)
def test_anything_else_is_no_answer(body: str) -> None:
    assert read_reply(body) is None


@pytest.mark.parametrize(
    ("status", "heard"),
    [
        ("queued", Heard.UNDER_WAY),
        ("sent", Heard.UNDER_WAY),
        ("in-progress", Heard.UNDER_WAY),
        ("delivered", Heard.REACHED),
        ("completed", Heard.REACHED),
        ("undelivered", Heard.NOT_REACHED),
        ("failed", Heard.NOT_REACHED),
        ("busy", Heard.NOT_REACHED),
        ("no-answer", Heard.NOT_REACHED),
        ("canceled", Heard.NOT_REACHED),
        ("", None),
        ("receiving", None),
    ],
)
def test_a_providers_word_is_understood_or_not(status: str, heard: Heard | None) -> None:
    assert hear(status) is heard


@pytest.mark.parametrize(
    ("status", "after", "on"),
    [
        ("queued", None, True),
        ("sent", "queued", True),
        ("queued", "sent", False),
        ("sent", "sent", False),
        ("sent", "delivered", False),
        ("delivered", "sent", True),
        ("delivered", "delivered", False),
        ("delivered", "undelivered", False),
    ],
)
def test_words_out_of_order_never_lead_backwards(status: str, after: str | None, on: bool) -> None:
    assert goes_on(status, after=after) is on


def test_letters_that_a_text_message_lacks_lose_their_accents_or_become_a_mark() -> None:
    assert plain("Doña  Ana\nCounty — Nāpili 児") == "Doña Ana County ? Napili ?"
    assert septets("a€") == 3


def test_a_callback_names_its_delivery() -> None:
    assert callback_address("https://bus.example.gov/", "/x", "dlv_1") == (
        "https://bus.example.gov/x?delivery=dlv_1"
    )


def test_the_operators_are_told_by_telephone_whom_to_ring() -> None:
    told = replace(TOLD, reads_along=True, code="", reminder=True)
    text, document = compose_text(told), compose_call(told, action=ACTION)

    assert f" Ring {told.agency}. To read it, open " in text
    assert f"calling its operators: ring {told.agency} now." in document
    assert "No answer is asked for on this call." in document
    assert f" Ring {told.agency}." in compose_text(replace(told, link=""))
    assert septets(compose_text(replace(told, agency="A" * 200, place="B" * 300))) <= 306
