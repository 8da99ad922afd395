"""Several messages to one contact in one: each part is what would have gone alone, byte for byte.

So each has its own link and its own code. An answer to one says nothing of the others, unless its
page is told to answer them as well. Pure.
"""

from collections.abc import Sequence

from noticebus.contracts.vocabulary import Channel, NoticeClass, Status
from noticebus.domain.mail import DRILL_WORDS, ComposedMail

PARTS_MAX = {Channel.EMAIL: 50, Channel.SMS: 5}
"""Of one message. Five text messages, with what joins them, stay below 1,600 characters: the most
that telephone providers take."""


_EACH_APART = (
    "Each has its own page and code. Answer each by itself, or on one of these pages, with that"
    " page's code, all that you tick there."
)
_EACH_APART_ES = (
    "Responda a cada uno por separado o, en una de sus páginas y con el código de ella, a todos los"
    " que marque."
)


def bundle_mails(
    parts: Sequence[ComposedMail], *, status: Status, gravest: NoticeClass
) -> ComposedMail:
    """Write one mail of several about notices of one status; a drill says so first (I9)."""
    drill = DRILL_WORDS.get(status, "")
    mark = "" if not drill else f"[{status.upper()}] "
    count = len(parts)
    listed = [f"{number}. {part.subject}" for number, part in enumerate(parts, start=1)]
    opening = [
        drill,
        f"This mail holds {count} messages that came shortly after one another. {_EACH_APART}",
        f"Este correo contiene varios avisos. {_EACH_APART_ES}",
        "\n".join(listed),
    ]
    bodies = [
        f"----- {number} of {count} -----\n\n{part.subject}\n\n{part.text.strip()}"
        for number, part in enumerate(parts, start=1)
    ]
    return ComposedMail(
        subject=f"{mark}{count} messages in one, the gravest of class {gravest}",
        text="\n\n".join(each for each in [*opening, *bodies] if each) + "\n",
    )


def bundle_texts(parts: Sequence[str]) -> str:
    """Write one text message of several, numbered."""
    count = len(parts)
    return "\n".join(f"{number}/{count} {part}" for number, part in enumerate(parts, start=1))
