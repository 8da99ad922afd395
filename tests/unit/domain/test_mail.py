"""The text of a mail: which message it is, what is asked, and nothing that it must not say."""

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Cause, Msg, NoticeClass, NoticeKind, Owed, Status
from noticebus.domain.mail import NoticeMail, compose_notice_mail, compose_test_mail, local_time
from noticebus.domain.telephone import compose_test_text, septets

MAIL = NoticeMail(
    status=Status.ACTUAL,
    notice_class=NoticeClass.A,
    kind=NoticeKind.ENFORCEMENT_ACTION,
    msg=Msg.ALERT,
    cause=Cause.NOTICE,
    version=1,
    reminder=0,
    escalation=False,
    owed=Owed.NOTICE,
    agency="Example County Child Protection",
    place="Scott County, Mississippi",
    due_at=dt.datetime(2019, 8, 7, 16, 30, tzinfo=dt.UTC),
    zone="America/Chicago",
    link="https://bus.example.gov/a/token",
    code="012345",
    hotline="Questions: call the bus's operators at +1 601 555 0100.",
)


def subject_of(**changes: object) -> str:
    return compose_notice_mail(dataclasses.replace(MAIL, **changes)).subject  # type: ignore[arg-type]


def test_a_first_notice_says_what_where_and_until_when() -> None:
    mail = compose_notice_mail(MAIL)

    assert mail.subject == (
        "First notice: class A, enforcement action, Scott County, Mississippi, "
        "answer by Wed 7 Aug 2019 11:30 CDT (16:30Z)"
    )
    assert mail.text == (
        "First notice for Example County Child Protection\n"
        "\n"
        "What:      enforcement action, class A (children may be without a carer now)\n"
        "Where:     Scott County, Mississippi\n"
        "Version:   1\n"
        "Answer by: Wed 7 Aug 2019 11:30 CDT (16:30Z)\n"
        "\n"
        'Choose "We accept: we will act" on this page as soon as somebody is acting on it:\n'
        "\n"
        "https://bus.example.gov/a/token\n"
        "\n"
        "Opening the page answers nothing. To answer, type your name and this code there:\n"
        "\n"
        "    012345\n"
        "\n"
        "This mail holds no details on purpose. Send it only to whoever answers for your agency.\n"
        "\n"
        "Questions: call the bus's operators at +1 601 555 0100.\n"
        "\n"
        "En español\n"
        "Aviso para Example County Child Protection: operativo de las autoridades, clase A"
        " (puede haber niños sin cuidador ahora).\n"
        "Lugar: Scott County, Mississippi\n"
        "Responda antes de: 7 ago 2019 11:30 CDT (16:30Z)\n"
        "Página en español: https://bus.example.gov/a/token?lang=es\n"
        "Abrir la página no responde nada. Para responder, escriba en ella su nombre y el código"
        " de seis cifras de este mensaje.\n"
        "Este correo no lleva detalles a propósito. Envíelo solo a quien responda por su agencia.\n"
    )


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, "First notice: "),
        ({"version": 3}, "Update 2: "),
        ({"reminder": 1}, "Reminder 1: still no answer: "),
        ({"reminder": 3}, "Reminder 3: still no answer: "),
        ({"escalation": True}, "Escalation: still no answer: "),
        ({"escalation": True, "reminder": 1}, "Escalation: still no answer after 1 reminder: "),
        ({"escalation": True, "reminder": 2}, "Escalation: still no answer after 2 reminders: "),
        ({"cause": Cause.CORRECTION, "version": 2}, "Correction: "),
        ({"cause": Cause.QUESTION}, "Question to you: "),
        ({"owed": Owed.QUESTION}, "Question to you: "),
        ({"owed": Owed.QUESTION, "reminder": 1}, "Reminder 1: Question to you, still unanswered: "),
        (
            {"owed": Owed.QUESTION, "escalation": True},
            "Escalation: Question to you, still unanswered: ",
        ),
        (
            {"owed": Owed.UPDATE, "reminder": 1},
            "Reminder 1: Update you promised, not posted yet: ",
        ),
        ({"owed": Owed.COVERAGE}, "Nobody answers for a place: "),
        ({"cause": Cause.ANSWER}, "Answer to a question: "),
        ({"cause": Cause.OFFER}, "Offer of help: "),
        ({"cause": Cause.TEST}, "Test message: "),
        ({"msg": Msg.CANCEL, "version": 2}, "Cancelled: "),
        ({"status": Status.EXERCISE}, "[EXERCISE] First notice: "),
        ({"status": Status.TEST, "reminder": 1}, "[TEST] Reminder 1: "),
    ],
)
def test_the_subject_says_which_message_it_is(changes: dict[str, object], start: str) -> None:
    assert subject_of(**changes).startswith(start)


def test_an_exercise_says_so_before_anything_else_in_both_languages() -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, status=Status.EXERCISE)).text

    assert text.startswith("THIS IS AN EXERCISE.")
    assert "En español\nESTO ES UN SIMULACRO." in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"msg": Msg.CANCEL}, "El aviso fue cancelado."),
        ({"cause": Cause.TEST}, "Este mensaje solo prueba que el correo le llega."),
        ({"notice_class": NoticeClass.D, "due_at": None}, "No se pide respuesta."),
        ({"cause": Cause.ANSWER, "due_at": None}, "respondió a una pregunta"),
        ({"cause": Cause.OFFER, "due_at": None}, "una oferta de ayuda"),
        ({"notice_class": NoticeClass.C, "due_at": None}, "clase C (prepárense)"),
    ],
)
def test_the_spanish_part_asks_no_more_than_the_english(
    changes: dict[str, object], said: str
) -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, **changes)).text  # type: ignore[arg-type]

    spanish = text.partition("En español")[2]
    assert said in spanish
    assert ("Responda antes de" in spanish) == ("Answer by" in text and "código" in spanish)


@pytest.mark.parametrize("changes", [{"msg": Msg.CANCEL}, {"cause": Cause.TEST}])
def test_nothing_is_asked_after_a_cancel_nor_by_a_test(changes: dict[str, object]) -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, **changes)).text  # type: ignore[arg-type]

    assert MAIL.code not in text
    assert MAIL.link not in text


def test_a_question_is_not_to_be_accepted_away() -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, cause=Cause.QUESTION)).text

    assert "A recipient has asked you something" in text
    assert "We accept" not in text
    assert MAIL.link in text


@pytest.mark.parametrize("cause", [Cause.ANSWER, Cause.OFFER])
def test_what_is_only_told_carries_its_page_and_no_code(cause: Cause) -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, cause=cause, due_at=None)).text

    assert "Your system reads it" in text or "Your system reads the answer" in text
    assert MAIL.link in text
    assert MAIL.code not in text


def test_a_promised_update_is_asked_of_the_poster() -> None:
    text = compose_notice_mail(dataclasses.replace(MAIL, owed=Owed.UPDATE, reminder=1)).text

    assert "You promised an update" in text
    assert "We accept" not in text


def test_a_record_carries_its_page_and_no_code() -> None:
    changed = dataclasses.replace(MAIL, notice_class=NoticeClass.D, due_at=None, hotline="")

    mail = compose_notice_mail(changed)

    assert "answer by" not in mail.subject
    assert "Answer by" not in mail.text
    assert MAIL.link in mail.text
    assert MAIL.code not in mail.text


@given(st.sampled_from(NoticeClass), st.sampled_from(NoticeKind), st.text(), st.text())
def test_the_same_facts_give_the_same_mail_with_a_subject_of_one_line(
    notice_class: NoticeClass, kind: NoticeKind, place: str, agency: str
) -> None:
    facts = dataclasses.replace(
        MAIL, notice_class=notice_class, kind=kind, place=place, agency=agency
    )

    mail = compose_notice_mail(facts)

    assert mail == compose_notice_mail(facts)
    assert len(mail.subject.splitlines()) == 1


def test_local_time_names_its_zone_in_winter_and_summer() -> None:
    winter = dt.datetime(2020, 1, 2, 3, 4, tzinfo=dt.UTC)

    assert local_time(winter, zone="America/Chicago") == "Wed 1 Jan 2020 21:04 CST (03:04Z)"
    assert local_time(winter, zone="America/Phoenix") == "Wed 1 Jan 2020 20:04 MST (03:04Z)"


def test_a_test_mail_says_that_nothing_has_happened() -> None:
    mail = compose_test_mail("Scott County\nCPS")

    assert mail.subject == "[TEST] Test message for Scott County CPS"
    assert "Nothing has happened" in mail.text
    text = compose_test_text("Scott County CPS " * 9)
    assert text.startswith("TEST, not real. Notice bus: test message for Scott County CPS")
    assert septets(text) <= 160, "one segment"


@pytest.mark.parametrize("owed", [Owed.NOTICE, Owed.QUESTION, Owed.UPDATE])
def test_the_operators_are_told_to_ring_who_is_silent_and_given_no_code(owed: Owed) -> None:
    mail = compose_notice_mail(
        dataclasses.replace(MAIL, reads_along=True, escalation=True, owed=owed)
    )

    assert (
        f"Nobody at {MAIL.agency} has answered. Ring it now, and record what it says" in mail.text
    )
    assert f"Llame ahora a {MAIL.agency}" in mail.text
    assert MAIL.link in mail.text
    assert MAIL.code not in mail.text
    assert "We accept" not in mail.text


def test_operators_number_stands_in_both_languages_and_not_to_themselves() -> None:
    numbered = dataclasses.replace(MAIL, operators_phone="+16015550110")
    mail = compose_notice_mail(numbered).text
    english, _, spanish = mail.partition("En español")

    assert "\n\nThe bus's operators answer at (601) 555-0110.\n\n" in english
    assert "\nLos operadores del sistema atienden en el (601) 555-0110.\n" in spanish
    assert "0110" not in compose_notice_mail(dataclasses.replace(numbered, reads_along=True)).text
