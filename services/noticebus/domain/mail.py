"""The text of a mail to one contact. Pure: the same facts give the same text, byte for byte (I3).

A mail travels unsealed, so it holds no detail of a notice and nothing about a person: only what the
reader needs to see how urgent it is, where it is, and how to open and answer it.
"""

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from noticebus.contracts.vocabulary import Cause, Msg, NoticeClass, NoticeKind, Owed, Status
from noticebus.domain.phone_numbers import telephone

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

CLASS_WORDS = {
    NoticeClass.A: "children may be without a carer now",
    NoticeClass.B: "it has happened; children may be affected",
    NoticeClass.C: "prepare",
    NoticeClass.D: "for the record",
}
KIND_WORDS = {
    NoticeKind.ENFORCEMENT_ACTION: "enforcement action",
    NoticeKind.FAMILY_SAFETY: "safety of a family",
    NoticeKind.ADVANCE: "advance notice",
    NoticeKind.ALL_CLEAR: "all clear",
}
DRILL_WORDS = {
    Status.EXERCISE: "THIS IS AN EXERCISE. Nothing has happened. Answer as you would in earnest.",
    Status.TEST: "THIS IS A TEST. Nothing has happened and nothing needs to be done.",
}
_ACCEPT = 'Choose "We accept: we will act" on this page as soon as somebody is acting on it:'
_QUESTION = (
    "A recipient has asked you something about a notice. Answer through the bus, or ring its"
    " operators. On this page you can say that you have the question:"
)
_UPDATE = (
    "You promised an update of a notice by the time named above. Post it through the bus, or ring"
    " its operators. On this page you can say that you have read this:"
)
_TOLD = {  # nothing is asked of the reader
    Cause.ANSWER: (
        "Answer to a question",
        (
            "The poster has answered a question about this notice. Your system reads the answer on"
            " the bus; its operators can read it to you. The notice is on this page:"
        ),
        "Quien publicó el aviso respondió a una pregunta. Los operadores pueden leérsela.",
    ),
    Cause.OFFER: (
        "Offer of help",
        (
            "There is news of an offer of help for this notice. Your system reads it on the bus;"
            " its operators can read it to you. The notice is on this page:"
        ),
        "Hay noticias de una oferta de ayuda. Los operadores pueden leérselas.",
    ),
}
_STILL_OWED = {  # by a poster
    Owed.QUESTION: "Question to you, still unanswered",
    Owed.UPDATE: "Update you promised, not posted yet",
}
_NO_DETAILS = (
    "This mail holds no details on purpose. Send it only to whoever answers for your agency."
)
_NO_DETAILS_ES = (
    "Este correo no lleva detalles a propósito. Envíelo solo a quien responda por su agencia."
)
_UNCOVERED = (
    "Nobody answers for the places named above. Ring somebody who can take them on, then choose"
    ' "We accept: we will act" on this page:'
)
_RING = (
    "Nobody at {agency} has answered. Ring it now, and record what it says: the report of who has"
    " not answered names whom to call. You read along as the bus's operator; this page takes no"
    " answer:"
)
_RING_ES = "Nadie ha respondido. Llame ahora a {agency} y registre lo que diga."
_OPERATORS = "The bus's operators answer at {number}."
_OPERATORS_ES = "Los operadores del sistema atienden en el {number}."
_ASKED = {
    NoticeClass.A: _ACCEPT,
    NoticeClass.B: _ACCEPT,
    NoticeClass.C: "Confirm on this page that you have read it:",
    NoticeClass.D: "No answer is asked for. The notice is on this page:",
}
_MONTHS_ES = ("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic")
_CLASS_WORDS_ES = {
    NoticeClass.A: "puede haber niños sin cuidador ahora",
    NoticeClass.B: "ya ocurrió; puede haber niños afectados",
    NoticeClass.C: "prepárense",
    NoticeClass.D: "para su registro",
}
_KIND_WORDS_ES = {
    NoticeKind.ENFORCEMENT_ACTION: "operativo de las autoridades",
    NoticeKind.FAMILY_SAFETY: "seguridad de una familia",
    NoticeKind.ADVANCE: "aviso previo",
    NoticeKind.ALL_CLEAR: "fin del aviso",
}
_DRILL_WORDS_ES = {
    Status.EXERCISE: "ESTO ES UN SIMULACRO. No ha ocurrido nada. Responda como si fuera real.",
    Status.TEST: "ESTO ES UNA PRUEBA. No ha ocurrido nada y no hay que hacer nada.",
}
_ANSWERING_ES = (
    "Abrir la página no responde nada. Para responder, escriba en ella su nombre y el código de"
    " seis cifras de este mensaje."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMail:
    """What a mail says. Nearly all is stored and does not change between repeats of a delivery.

    `reminder` is 0 for the first message to this recipient, n for the nth reminder; `escalation`
    says that this contact is told because others of the recipient did not answer. `place` names a
    county, district or town. `hotline` is the operators' note on whom to call, or empty.
    `reads_along`: it goes to the bus's operators about another agency's silence. `operators_phone`
    is their number as the settings have it now, or empty: a repeat may say another.
    """

    status: Status
    notice_class: NoticeClass
    kind: NoticeKind
    msg: Msg
    cause: Cause
    version: int
    reminder: int
    escalation: bool
    owed: Owed
    agency: str
    place: str
    due_at: dt.datetime | None
    zone: str
    link: str
    code: str
    hotline: str
    reads_along: bool = False
    operators_phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedMail:
    """A subject of one line and a plain text; `html` says the same to programs that show it."""

    subject: str
    text: str
    html: str = ""


def compose_notice_mail(mail: NoticeMail) -> ComposedMail:
    """Write the mail; an exercise or test says so first, in the subject and in the text (I9)."""
    drill = DRILL_WORDS.get(mail.status, "")
    mark = "" if not drill else f"[{mail.status.upper()}] "
    due = None if mail.due_at is None else local_time(mail.due_at, zone=mail.zone)
    by = "" if due is None else f", answer by {due}"
    place = _one_line(mail.place)
    what = f"class {mail.notice_class}, {KIND_WORDS[mail.kind]}"
    paragraphs = [
        drill,
        f"{_standing(mail)} for {_one_line(mail.agency)}",
        _facts(mail, place=place, due=due),
        *_request(mail),
        mail.hotline.strip(),
        _ring_operators(mail, _OPERATORS),
        _in_spanish(mail, place=place),
    ]
    return ComposedMail(
        subject=_one_line(f"{mark}{_standing(mail)}: {what}, {place}{by}"),
        text="\n\n".join(part for part in paragraphs if part) + "\n",
    )


def _request(mail: NoticeMail) -> list[str]:
    """Say what is asked, with the page and the code; nothing for a test and after a cancel."""
    if mail.cause is Cause.TEST:
        return ["This message only tests that mail reaches you. Nothing is asked of you."]
    if mail.msg is Msg.CANCEL:
        return ["The notice was cancelled. Nothing more is asked of you."]
    if mail.reads_along:
        return [f"{_RING.format(agency=_one_line(mail.agency))}\n\n{mail.link}", _NO_DETAILS]
    if mail.cause in _TOLD:
        return [f"{_TOLD[mail.cause][1]}\n\n{mail.link}", _NO_DETAILS]
    asked = [f"{_wanted(mail)}\n\n{mail.link}"]
    if mail.notice_class is not NoticeClass.D:
        asked.append(
            "Opening the page answers nothing. To answer, type your name and this code there:"
            f"\n\n    {mail.code}"
        )
    asked.append(_NO_DETAILS)
    return asked


def _ring_operators(mail: NoticeMail, sentence: str) -> str:
    """Say where the operators are rung; to themselves nothing."""
    if not mail.operators_phone or mail.reads_along:
        return ""
    return sentence.format(number=telephone(mail.operators_phone))


def _wanted(mail: NoticeMail) -> str:
    if _is_question(mail):
        return _QUESTION
    of_others = {Owed.UPDATE: _UPDATE, Owed.COVERAGE: _UNCOVERED}
    return of_others.get(mail.owed, _ASKED[mail.notice_class])


def _in_spanish(mail: NoticeMail, *, place: str) -> str:
    """Say the same shortly in Spanish, with the page's address in that language."""
    what = f"{_KIND_WORDS_ES[mail.kind]}, clase {mail.notice_class}"
    head = f"Aviso para {_one_line(mail.agency)}: {what} ({_CLASS_WORDS_ES[mail.notice_class]})."
    lines = ["En español", _DRILL_WORDS_ES.get(mail.status, ""), head, f"Lugar: {place}"]
    if mail.cause is Cause.TEST:
        lines.append("Este mensaje solo prueba que el correo le llega. No se le pide nada.")
    elif mail.msg is Msg.CANCEL:
        lines.append("El aviso fue cancelado. No se le pide nada más.")
    else:
        lines += _request_in_spanish(mail)
    lines.append(_ring_operators(mail, _OPERATORS_ES))
    return "\n".join(line for line in lines if line)


def _request_in_spanish(mail: NoticeMail) -> list[str]:
    page = f"Página en español: {mail.link}?lang=es"
    if mail.reads_along:
        return [_RING_ES.format(agency=_one_line(mail.agency)), page, _NO_DETAILS_ES]
    if mail.cause in _TOLD:
        return [_TOLD[mail.cause][2], page, _NO_DETAILS_ES]
    if mail.notice_class is NoticeClass.D:
        return ["No se pide respuesta.", page, _NO_DETAILS_ES]
    due = mail.due_at and f"Responda antes de: {_local_time_es(mail.due_at, zone=mail.zone)}"
    return [*([due] if due else []), page, _ANSWERING_ES, _NO_DETAILS_ES]


def _local_time_es(instant: dt.datetime, *, zone: str) -> str:
    local = instant.astimezone(zoneinfo.ZoneInfo(zone))
    day = f"{local.day} {_MONTHS_ES[local.month - 1]} {local.year}"
    return f"{day} {local:%H:%M} {local.tzname()} ({instant.astimezone(dt.UTC):%H:%M}Z)"


def compose_test_mail(agency: str) -> ComposedMail:
    """Write the mail that somebody asked for to see that mails arrive."""
    return ComposedMail(
        subject=_one_line(f"[TEST] Test message for {agency}"),
        text=(
            f"Test message for {_one_line(agency)}.\n\n"
            "Your agency, or an operator of the notice bus, asked for a test: notices by mail\n"
            "reach this address.\n"
            "Nothing has happened and nothing needs to be done.\n"
        ),
    )


def local_time(instant: dt.datetime, *, zone: str) -> str:
    """Write an instant in the recipient's zone with its abbreviation, and in UTC, to the minute."""
    local = instant.astimezone(zoneinfo.ZoneInfo(zone))
    day = f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"
    universal = instant.astimezone(dt.UTC)
    # Not strftime: its names follow the machine's locale, and a repeat must be the same everywhere.
    return f"{day} {local:%H:%M} {local.tzname()} ({universal:%H:%M}Z)"


def _standing(mail: NoticeMail) -> str:
    """Say which message this is: the first, the nth reminder, an escalation, a correction."""
    if mail.cause is Cause.TEST:
        return "Test message"
    if mail.msg is Msg.CANCEL:
        return "Cancelled"
    if mail.owed in _STILL_OWED and (mail.escalation or mail.reminder):
        which = "Escalation" if mail.escalation else f"Reminder {mail.reminder}"
        return f"{which}: {_STILL_OWED[mail.owed]}"
    if mail.escalation:
        return f"Escalation: still no answer{_after_reminders(mail.reminder)}"
    return f"Reminder {mail.reminder}: still no answer" if mail.reminder else _first_words(mail)


def _first_words(mail: NoticeMail) -> str:
    if mail.cause in _TOLD:
        return _TOLD[mail.cause][0]
    if _is_question(mail):
        return "Question to you"
    if mail.owed is Owed.COVERAGE:
        return "Nobody answers for a place"
    if mail.cause is Cause.CORRECTION:
        return "Correction"
    return "First notice" if mail.version == 1 else f"Update {mail.version - 1}"


def _is_question(mail: NoticeMail) -> bool:
    return mail.owed is Owed.QUESTION or mail.cause is Cause.QUESTION


def _after_reminders(reminders: int) -> str:
    if not reminders:
        return ""
    return f" after {reminders} reminder{'s' if reminders > 1 else ''}"


def _facts(mail: NoticeMail, *, place: str, due: str | None) -> str:
    kind = KIND_WORDS[mail.kind]
    lines = [
        f"What:      {kind}, class {mail.notice_class} ({CLASS_WORDS[mail.notice_class]})",
        f"Where:     {place}",
        f"Version:   {mail.version}",
    ]
    if due is not None:
        lines.append(f"Answer by: {due}")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())
