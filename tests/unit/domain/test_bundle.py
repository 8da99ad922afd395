"""Several messages in one: each part is what would have gone alone."""

import pytest

from noticebus.contracts.vocabulary import Channel, NoticeClass, Status
from noticebus.domain.bundle import PARTS_MAX, bundle_mails, bundle_texts
from noticebus.domain.mail import ComposedMail
from noticebus.domain.telephone import TEXT_SEPTETS_MAX

PARTS = [
    ComposedMail(subject="First notice: class C", text="One\n\nhttps://bus/a/1\n"),
    ComposedMail(subject="Reminder 1: class B", text="Two\n\nhttps://bus/a/2\n"),
]


def test_a_bundle_lists_its_messages_and_then_gives_each_whole() -> None:
    mail = bundle_mails(PARTS, status=Status.ACTUAL, gravest=NoticeClass.B)

    assert mail.subject == "2 messages in one, the gravest of class B"
    assert mail.text == (
        "This mail holds 2 messages that came shortly after one another."
        " Each has its own page and code. Answer each by itself, or on one of these pages, with"
        " that page's code, all that you tick there.\n"
        "\n"
        "Este correo contiene varios avisos. Responda a cada uno por separado o, en una de sus"
        " páginas y con el código de ella, a todos los que marque.\n"
        "\n"
        "1. First notice: class C\n"
        "2. Reminder 1: class B\n"
        "\n"
        "----- 1 of 2 -----\n"
        "\n"
        "First notice: class C\n"
        "\n"
        "One\n"
        "\n"
        "https://bus/a/1\n"
        "\n"
        "----- 2 of 2 -----\n"
        "\n"
        "Reminder 1: class B\n"
        "\n"
        "Two\n"
        "\n"
        "https://bus/a/2\n"
    )


@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST])
def test_a_bundle_of_a_drill_says_so_first(status: Status) -> None:
    mail = bundle_mails(PARTS, status=status, gravest=NoticeClass.B)

    assert mail.subject.startswith(f"[{status.upper()}] 2 messages")
    assert mail.text.startswith(
        f"THIS IS A{'N' if status is Status.EXERCISE else ''} {status}".upper()
    )


def test_texts_are_numbered() -> None:
    assert bundle_texts(["one", "two"]) == "1/2 one\n2/2 two"


def test_a_bundle_of_texts_stays_within_what_providers_take() -> None:
    text = bundle_texts(["x" * TEXT_SEPTETS_MAX] * PARTS_MAX[Channel.SMS])

    assert len(text) <= 1_600
