"""What a text message and a call say, and how a reply is read. Pure (I3).

A telephone is overheard and its messages are kept by others: so nothing of a notice's content and
nothing about a person, only how urgent it is, where, until when, and how to answer.
"""

import datetime as dt
import re
import unicodedata
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

from noticebus.contracts.vocabulary import Answer, Msg, NoticeClass, Status
from noticebus.domain.mail import CLASS_WORDS

TEXT_SEPTETS_MAX = 306  # two joined segments of 153 (3GPP TS 23.040, section 9.2.3.24.1)
AGENCY_SEPTETS_MAX = 40  # of the agency that the operators are to ring
PLACE_SEPTETS_MIN = 24  # of a place, before the Spanish is left out
REPLY_CHARACTERS_MAX = 160  # one segment
SPOKEN_CHARACTERS_MAX = 120  # of one place or name
CODE_DIGITS = 6
WAIT_FOR_DIGITS_S = 15
TRIES_MAX = 5  # of one delivery to a telephone that is not reached; steps go on regardless
AGAIN_AFTER = dt.timedelta(minutes=2)  # no telephone is rung or written to sooner again
STATUS_PATH = "/v1/telephone/twilio/status"
GATHER_PATH = "/v1/telephone/twilio/gather"

# 3GPP TS 23.038, section 6.2.1: what needs one septet, and what needs two.
_ONE_SEPTET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO_SEPTETS = frozenset("^{}\\[~]|€")

_MARK = {Status.EXERCISE: "EXERCISE, not real. ", Status.TEST: "TEST, not real. "}
_MARK_ES = {Status.EXERCISE: "SIMULACRO. ", Status.TEST: "PRUEBA. "}
_SPOKEN_MARK = {
    Status.EXERCISE: "This is an exercise. Nothing has happened. Answer as you would in earnest.",
    Status.TEST: "This is a test. Nothing has happened and nothing needs to be done.",
}
_SPOKEN_MARK_ES = {
    Status.EXERCISE: "Esto es un simulacro. No ha ocurrido nada. Responda como si fuera real.",
    Status.TEST: "Esto es una prueba. No ha ocurrido nada y no hay que hacer nada.",
}
_SPOKEN_CLASS_ES = {
    NoticeClass.A: "puede haber niños sin cuidador ahora",
    NoticeClass.B: "ya ocurrió, y puede haber niños afectados",
    NoticeClass.C: "prepárense",
    NoticeClass.D: "es para su registro",
}
_CLASS_WORDS_ES = {  # in letters that a text message has
    NoticeClass.A: "puede haber niños sin cuidador",
    NoticeClass.B: "puede haber niños afectados",
    NoticeClass.C: "preparense",
    NoticeClass.D: "para su registro",
}
_ANSWERS = {
    "A": Answer.ACCEPTED,
    "ACCEPT": Answer.ACCEPTED,
    "YES": Answer.ACCEPTED,
    "ACEPTO": Answer.ACCEPTED,
    "SI": Answer.ACCEPTED,
    "R": Answer.RECEIVED,
    "RECEIVED": Answer.RECEIVED,
    "RECIBIDO": Answer.RECEIVED,
    "D": Answer.DECLINED,
    "DECLINE": Answer.DECLINED,
    "NO": Answer.DECLINED,
}
_WORD = dict.fromkeys(NoticeClass, "ACCEPT") | {NoticeClass.C: "RECEIVED"}
_WORD_ES = dict.fromkeys(NoticeClass, "ACEPTO") | {NoticeClass.C: "RECIBIDO"}
# The words of a message and of a call, in the order in which they are said.
_UNDER_WAY = {
    "accepted": 0,
    "scheduled": 0,
    "queued": 0,
    "initiated": 1,
    "sending": 1,
    "ringing": 2,
    "sent": 2,
    "in-progress": 3,
}
_REACHED = frozenset({"delivered", "read", "completed"})
_NOT_REACHED = frozenset({"undelivered", "failed", "busy", "no-answer", "canceled"})
_REPLY = re.compile(r"([A-Z]{1,8}) ([0-9]{6})|([0-9]{6}) ([A-Z]{1,8})")
_CODE_IN_PARTS = re.compile(r"(?<=[0-9])[ -]+(?=[0-9])")
_NOT_A_WORD = re.compile(r"[^A-Z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a text message or a call tells. All of it is stored and does not change (I3).

    `duty`: it is about a duty to answer. `code` is empty where no answer is asked of this contact,
    and `reminder` says that it was told before, or others were. `reads_along`: it tells the bus's
    operators of another agency's silence.
    """

    status: Status
    notice_class: NoticeClass
    msg: Msg
    duty: bool
    reminder: bool
    agency: str
    place: str
    due_at: dt.datetime | None
    zone: str
    link: str
    code: str
    reads_along: bool = False


class Heard(StrEnum):
    """What a provider's word on a message or call means."""

    UNDER_WAY = "under_way"
    REACHED = "reached"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer word and the code of the message it answers."""

    answer: Answer
    code: str


def compose_text(told: Telling) -> str:
    """Write a text message of two segments at most; an exercise or test says so first (I9).

    What does not fit is left out, the least needed first: the Spanish, the end of the place, the
    link. The code and the way to answer always stay.
    """
    place = plain(told.place)
    whole = _english(told, place=place, link=told.link)
    briefer = _english(told, place=_cut(place, PLACE_SEPTETS_MIN), link=told.link)
    short = _answer_es(told)
    brief = f" ES:{short}" if short else ""
    for text in (whole + _spanish(told) + short, whole + brief, briefer + brief, whole):
        if septets(text) <= TEXT_SEPTETS_MAX:
            return text
    link = told.link if _room(told, link=told.link) > 0 else ""
    return _english(told, place=_cut(place, _room(told, link=link)), link=link)


def compose_test_text(agency: str) -> str:
    """Write the text message that somebody asked for to see that they arrive."""
    to = _cut(plain(agency), AGENCY_SEPTETS_MAX)
    english = f"{_MARK[Status.TEST]}Notice bus: test message for {to}. Nothing to do."
    return f"{english} ES: {_MARK_ES[Status.TEST]}No hay nada que hacer."


def compose_call(told: Telling, *, action: str) -> str:
    """Write the document of a call (TwiML): what, where, the code, and typing it accepts.

    `action` is where the typed digits go. A voicemail types nothing, so it answers nothing (I4).
    """
    english, spanish = spoken(told), spoken_es(told)
    if not told.code:
        return _document(_say(english), _say(spanish, language="es-MX"))
    asked = f"{english} {_ask_for(told.code)}"
    asked_es = f"{spanish} {_ask_for_es(told.code)}"
    return _document(
        _gather(action, _say(asked), _say(asked_es, language="es-MX"), _say(_ask_for(told.code))),
        _say("No code was typed, so nothing was answered. Goodbye."),
    )


def compose_again(*, code: str, action: str, sentence: str) -> str:
    """Write what a call says after a wrong code: once more the code, and the chance to type it."""
    return _document(
        _gather(action, _say(f"{sentence} {_ask_for(code)}")),
        _say("No code was typed, so nothing was answered. Goodbye."),
    )


def compose_last_words(sentence: str) -> str:
    """Write what a call says before it ends."""
    return _document(_say(sentence))


def compose_reply(sentence: str) -> str:
    """Write the answer to a text message (TwiML), one segment at most."""
    text = _cut(plain(sentence), REPLY_CHARACTERS_MAX)
    return _document(f"<Message>{escape(text)}</Message>")


def spoken(told: Telling) -> str:
    """Say what a call says first, in English."""
    kind = "A notice was cancelled" if told.msg is Msg.CANCEL else _spoken_kind(told)
    parts = [
        _SPOKEN_MARK.get(told.status, ""),
        f"This is the notice bus, calling {_called(told)}.",
        f"{kind}. Place: {_speakable(told.place)}.",
        "" if told.due_at is None else f"Answer by {_local(told.due_at, zone=told.zone)}.",
        "" if told.code else "No answer is asked for on this call.",
    ]
    return " ".join(part for part in parts if part)


def _called(told: Telling) -> str:
    agency = _speakable(told.agency)
    return f"its operators: ring {agency} now" if told.reads_along else agency


def spoken_es(told: Telling) -> str:
    """Say the same, shorter, in Spanish."""
    kind = f"Aviso de clase {told.notice_class}: {_SPOKEN_CLASS_ES[told.notice_class]}"
    what = f"{kind if told.duty else 'Hay un mensaje sobre un aviso'}."
    parts = [
        _SPOKEN_MARK_ES.get(told.status, ""),
        "El aviso fue cancelado." if told.msg is Msg.CANCEL else what,
        f"Lugar: {_speakable(told.place)}.",
    ]
    return " ".join(part for part in parts if part)


def read_reply(body: str) -> Reply | None:
    """Read a reply that is an answer word and a code and nothing else; None for anything else.

    Anything else is no answer (I4): who writes more means something that a person must read.
    """
    plainly = _CODE_IN_PARTS.sub("", plain(body[:REPLY_CHARACTERS_MAX]).upper())
    found = _REPLY.fullmatch(_NOT_A_WORD.sub(" ", plainly).strip())
    if found is None:
        return None
    answer = _ANSWERS.get(found[1] or found[4])
    return None if answer is None else Reply(answer=answer, code=found[2] or found[3])


def hear(status: str) -> Heard | None:
    """Read a provider's word; None for one that is not known."""
    if status in _REACHED:
        return Heard.REACHED
    if status in _NOT_REACHED:
        return Heard.NOT_REACHED
    return Heard.UNDER_WAY if status in _UNDER_WAY else None


def goes_on(status: str, *, after: str | None) -> bool:
    """Say whether a known word comes after the one already heard: they arrive out of order.

    The first last word stands.
    """
    return after is None or _rank(status) > _rank(after)


def septets(text: str) -> int:
    """Count the septets of a text in the default alphabet of text messages; others count two."""
    return sum(1 if character in _ONE_SEPTET else 2 for character in text)


def plain(text: str) -> str:
    """Put a text in letters that a text message has, in one line: accents go, or `?` stands."""
    return "".join(_plain_letter(one) for one in " ".join(text.split()))


def callback_address(base_url: str, path: str, delivery_id: str) -> str:
    """Give the address at which the provider tells what came of a delivery."""
    return f"{base_url.rstrip('/')}{path}?delivery={delivery_id}"


def _rank(status: str) -> int:
    return _UNDER_WAY.get(status, max(_UNDER_WAY.values()) + 1)


def _english(told: Telling, *, place: str, link: str) -> str:
    at = f", {place}" if place else ""
    by = "" if told.due_at is None else f" Answer by {_local(told.due_at, zone=told.zone)}."
    mark = _MARK.get(told.status, "")
    if told.msg is Msg.CANCEL:
        return f"{mark}Notice bus: class {told.notice_class} notice cancelled{at}. Nothing to do."
    again = "STILL NO ANSWER: " if told.reminder else ""
    kind = f"class {told.notice_class}, {CLASS_WORDS[told.notice_class]}"
    what = f"{again}{kind if told.duty else 'a message about a notice'}{at}."
    answer = f"Reply {_WORD[told.notice_class]} {told.code}" if told.code else ""
    ways = " or ".join(one for one in (answer, f"open {link}" if link else "") if one)
    ring = f" Ring {_cut(plain(told.agency), AGENCY_SEPTETS_MAX)}." if told.reads_along else ""
    lead = "" if told.code else " To read it,"
    return f"{mark}Notice bus: {what}{by}{ring}" + (f"{lead} {ways}" if ways else "")


def _room(told: Telling, *, link: str) -> int:
    """Count the septets that are left for the place."""
    return TEXT_SEPTETS_MAX - septets(_english(told, place="", link=link)) - len(", ")


def _spanish(told: Telling) -> str:
    if told.msg is Msg.CANCEL:
        return f" ES: {_MARK_ES.get(told.status, '')}Aviso cancelado."
    kind = f"clase {told.notice_class}, {_CLASS_WORDS_ES[told.notice_class]}"
    what = f"{kind if told.duty else 'un mensaje sobre un aviso'}."
    return f" ES: {_MARK_ES.get(told.status, '')}{what}"


def _answer_es(told: Telling) -> str:
    if not told.code or told.msg is Msg.CANCEL:
        return ""
    return f" Responda {_WORD_ES[told.notice_class]} {told.code}"


def _spoken_kind(told: Telling) -> str:
    if not told.duty:
        return "There is a message about a notice"
    again = "There is still no answer. " if told.reminder else ""
    return f"{again}Class {told.notice_class}: {CLASS_WORDS[told.notice_class]}"


def _ask_for(code: str) -> str:
    return f"To say that you accept and will act, type this code now: {_digits(code)}."


def _ask_for_es(code: str) -> str:
    return f"Para aceptar y actuar, marque este código ahora: {_digits(code)}."


def _digits(code: str) -> str:
    return ", ".join(code)


def _local(instant: dt.datetime, *, zone: str) -> str:
    local = instant.astimezone(zoneinfo.ZoneInfo(zone))
    return f"{local:%H:%M} {local.tzname()}"


def _speakable(text: str) -> str:
    """Keep what XML and a voice can carry, within bounds."""
    kept = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(kept.split())[:SPOKEN_CHARACTERS_MAX]


def _plain_letter(letter: str) -> str:
    if letter in _ONE_SEPTET or letter in _TWO_SEPTETS:
        return letter
    bare = unicodedata.normalize("NFKD", letter)[0]
    return bare if bare in _ONE_SEPTET else "?"


def _cut(text: str, most: int) -> str:
    """Cut a text to `most` septets."""
    while septets(text) > most:
        text = text[:-1]
    return text


def _document(*verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'


def _say(text: str, *, language: str = "en-US") -> str:
    return f"<Say language={quoteattr(language)}>{escape(text)}</Say>"


def _gather(action: str, *inside: str) -> str:
    attributes: Sequence[tuple[str, str]] = (
        ("input", "dtmf"),
        ("numDigits", str(CODE_DIGITS)),
        ("timeout", str(WAIT_FOR_DIGITS_S)),
        ("method", "POST"),
        ("action", action),
    )
    written = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes)
    return f"<Gather {written}>{''.join(inside)}</Gather>"
