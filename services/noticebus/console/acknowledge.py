"""The page behind `/a/{token}`: opening it shows, its one POST answers (I4)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qs

import jinja2
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from noticebus.access.links import CODE_DIGITS
from noticebus.casework import bundled, links
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.bundled import AnsweredOther, Other
from noticebus.casework.desk import Desk
from noticebus.casework.links import LinkFacts, WrongCodeError
from noticebus.console.acknowledge_view import Writer
from noticebus.console.remembering import COOKIE, Reader, forget, read_reader, remember
from noticebus.console.static_files import static
from noticebus.console.texts import Language, text
from noticebus.console.wording import choose_language, telephones
from noticebus.contracts.acknowledgement import AcknowledgementPost
from noticebus.contracts.faults import details
from noticebus.contracts.vocabulary import Answer
from noticebus.errors import (
    BadRequestError,
    ConflictError,
    InvalidError,
    NoticebusError,
    RefusedError,
    TooLargeError,
    UnavailableError,
)

FORM_BYTES_MAX = 16 * 1024
FORM_FIELDS_MAX = 20 + bundled.SHOWN_MAX
FORM_TYPE = "application/x-www-form-urlencoded"
STYLE_PATH = static("acknowledge.css")
RETRY_AFTER_S = "60"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Vary": "Accept-Language",
}

_HERE = files("noticebus.console")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader(
        {
            name: (_HERE / "templates" / name).read_text("utf-8")
            for name in (
                "acknowledge.html",
                "acknowledge_layout.html",
                "acknowledge_receipt.html",
                "acknowledge_refused.html",
            )
        }
    ),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["telephones"] = telephones
_FIELD_OF = {
    "/answer": "answer",
    "/by/name": "name",
    "/by/role": "role",
    "/note": "note",
    "/eta": "eta",
    "/reason": "reason",
}
_CODE = re.compile(rf"[0-9]{{{CODE_DIGITS}}}")
EVERY = "every"
_TO_ALL = frozenset({Answer.ACCEPTED, Answer.RECEIVED})
_RULED = {"eta-past", "eta-too-far", "more-time-used"}
_REFUSED = {  # code: what the page says, and its status
    "link-unknown": ("unknown", 404),
    "link-expired": ("expired", 410),
    "link-contact-ended": ("contact", 403),
    "unavailable": ("unavailable", 503),
    "too-large": ("form", 413),
    "unsupported-media-type": ("form", 415),
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What somebody typed into the form, as it came: shown again when something is wrong."""

    answer: str = ""
    code: str = ""
    name: str = ""
    role: str = ""
    note: str = ""
    eta: str = ""
    reason: str = ""
    remember: str = ""
    all: str = ""  # the answer pressed for this and all that are ticked
    also: str = EVERY  # ids of what is ticked, a space between; all before anything was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request to one link: what is asked, and in which language it is answered."""

    desk: Desk
    token: str
    language: Language
    others: Sequence[Other] = ()  # of the same message

    def refused(self, error: NoticebusError) -> Response:
        """Answer with the page for links and forms that lead nowhere."""
        key, status = _REFUSED.get(error.code, ("form", error.status))
        response = self._render(
            "acknowledge_refused.html",
            status=status,
            heading=text(self.language, f"refused_{key}_title"),
            sentence=text(self.language, f"refused_{key}"),
        )
        if isinstance(error, UnavailableError):
            response.headers["Retry-After"] = RETRY_AFTER_S
        return response

    def form(
        self,
        facts: LinkFacts,
        *,
        typed: Typed | None = None,
        faults: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        """Answer with the page itself, with what was typed and what is wrong with it."""
        typed = typed or Typed()
        writer = Writer(facts, language=self.language, places=self.desk.places)
        return self._render(
            "acknowledge.html",
            status=status,
            page=writer.page(chosen_eta=typed.eta),
            others=writer.others(self.others),
            may_be_more=len(self.others) >= bundled.SHOWN_MAX,
            ticked=None if typed.also == EVERY else typed.also.split(),
            typed=typed,
            faults=faults or {},
        )

    def receipt(
        self, outcome: links.AnsweredByLink, *, others: Sequence[AnsweredOther] = ()
    ) -> Response:
        """Answer with what was recorded, and with what the code has opened."""
        writer = Writer(outcome.facts, language=self.language, places=self.desk.places)
        answered = outcome.answered
        fresh = answered.fresh or any(one.fresh for one in others)
        left = len(self.others) - len(others)
        may_be_more = len(self.others) >= bundled.SHOWN_MAX
        beside_open = may_be_more or left > 0 or any(one.is_open for one in others)
        return self._render(
            "acknowledge_receipt.html",
            status=201 if fresh else 200,
            page=writer.page(),
            heading=text(self.language, "done" if fresh else "done_again"),
            receipt=writer.receipt(answered),
            following=writer.following(answered.acknowledgement, beside_open=beside_open),
            todo=writer.todo(answered.acknowledgement),
            details=writer.details(),
            others=writer.answered_others(others),
            left=left,
            may_be_more=may_be_more,
        )

    def _render(self, template: str, *, status: int, **facts: Any) -> Response:
        def say(key: str, **filled: object) -> str:
            return text(self.language, key, **filled)

        other = Language.ES if self.language is Language.EN else Language.EN
        page = _TEMPLATES.get_template(template).render(
            language=self.language,
            other=other,
            other_name=text(other, "language_name"),
            style_path=STYLE_PATH,
            operators_phone=self.desk.operators_phone,
            t=say,
            **facts,
        )
        headers = {**HEADERS, "Content-Language": self.language.value}
        return HTMLResponse(page, status_code=status, headers=headers)


@router.api_route("/a/{token}", methods=["GET", "HEAD"])
async def show(
    request: Request,
    token: str,
    lang: Annotated[str | None, Query()] = None,
    accept_language: Annotated[str, Header()] = "",
    sec_purpose: Annotated[str, Header()] = "",
) -> Response:
    """Show the page. A GET notes once that the link was opened; a HEAD or prefetch nothing."""
    visit = _visit(request, token, lang=lang, accept_language=accept_language)
    only_looks = request.method == "HEAD" or "prefetch" in sec_purpose
    read = links.look if only_looks else links.open_link
    try:
        facts = await read(visit.desk, token)
    except (RefusedError, UnavailableError) as error:
        return visit.refused(error)
    visit = await _beside(visit, facts)
    reader = read_reader(request)
    if reader is None:
        return visit.form(facts)
    return visit.form(facts, typed=Typed(name=reader.name, role=reader.role, remember="yes"))


@router.post("/a/{token}")
async def take_answer(
    request: Request,
    token: str,
    lang: Annotated[str | None, Query()] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """Record the answer on the form, or show the form again with what is wrong."""
    visit = _visit(request, token, lang=lang, accept_language=accept_language)
    try:
        typed = await _typed(request)
        facts = await links.look(visit.desk, token)
    except (RefusedError, UnavailableError) as error:
        return visit.refused(error)
    visit = await _beside(visit, facts)
    given, faults = _given(typed, language=visit.language)
    if given is None or faults:
        return visit.form(facts, typed=typed, faults=faults, status=422)
    response = await _answer(visit, facts, typed=typed, given=given)
    if response.status_code < HTTPStatus.BAD_REQUEST:
        _keep(request, response, typed=typed, given=given)
    return response


def _visit(request: Request, token: str, *, lang: str | None, accept_language: str) -> Visit:
    desk: Desk = request.app.state.desk
    language = choose_language(lang, accepted=accept_language)
    return Visit(desk=desk, token=token, language=language)


async def _beside(visit: Visit, facts: LinkFacts) -> Visit:
    """Read what else the message held. The page does without where the database is away by now."""
    try:
        return replace(visit, others=await bundled.others_of(visit.desk, facts))
    except UnavailableError:
        return visit


async def _answer(visit: Visit, facts: LinkFacts, *, typed: Typed, given: GivenAnswer) -> Response:
    try:
        if typed.all:
            outcome, others = await bundled.answer_all(
                visit.desk,
                visit.token,
                code=typed.code,
                given=given,
                chosen=typed.also.split(),
            )
            return visit.receipt(outcome, others=others)
        outcome = await links.answer_by_link(visit.desk, visit.token, code=typed.code, given=given)
    except WrongCodeError as error:
        sentence = text(visit.language, "err_code_wrong", left=error.tries_left)
        return visit.form(facts, typed=typed, faults={"code": sentence}, status=error.status)
    except InvalidError as error:
        faults = _ruled(error, language=visit.language)
        return visit.form(facts, typed=typed, faults=faults, status=error.status)
    except (ConflictError, UnavailableError) as error:
        key = "err_conflict" if isinstance(error, ConflictError) else "err_unavailable"
        faults = {"form": text(visit.language, key)}
        return visit.form(facts, typed=typed, faults=faults, status=error.status)
    except RefusedError as error:
        return _closed(visit, facts, error)
    return visit.receipt(outcome)


def _keep(request: Request, response: Response, *, typed: Typed, given: GivenAnswer) -> None:
    """Remember who has answered, or forget it, as was wished on the form."""
    desk: Desk = request.app.state.desk
    if typed.remember:
        reader = Reader(name=given.by_name, role=given.by_role)
        remember(response, reader, secure=desk.base_url.startswith("https://"))
    elif COOKIE in request.cookies:
        forget(response)


def _closed(visit: Visit, facts: LinkFacts, error: RefusedError) -> Response:
    """Show that no answer can be given here: the page says why in the place of its form."""
    if error.code in _REFUSED:
        return visit.refused(error)
    if error.code == "link-locked":
        facts = replace(facts, wrong_codes=links.WRONG_CODES_MAX)
    return visit.form(facts, status=error.status)


async def _typed(request: Request) -> Typed:
    """Read the form, within bounds; the first of a repeated field counts, unknown ones do not."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_TYPE:
        raise RefusedError(
            f"Send the page's own form, as {FORM_TYPE}.", code="unsupported-media-type"
        )
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise TooLargeError(f"The form is larger than {FORM_BYTES_MAX:,} bytes. Shorten the note.")
    try:
        found = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except ValueError as error:
        raise BadRequestError("The form cannot be read. Send it from the page.") from error
    names = [one.name for one in fields(Typed) if one.name in found and one.name != "also"]
    typed = Typed(**{name: found[name][0].replace("\r\n", "\n") for name in names})
    return replace(typed, also=" ".join(found.get("also", ())))


def _given(typed: Typed, *, language: Language) -> tuple[GivenAnswer | None, dict[str, str]]:
    """Check what was typed: the answer, or a sentence for each field that needs another look."""
    answer = typed.answer
    if typed.all:
        answer = typed.all if typed.all in _TO_ALL else ""
    post = {
        "answer": answer,
        "by": {"name": typed.name, "role": typed.role},
        "note": typed.note.strip() or None,
        "eta": (typed.eta or None) if answer == Answer.NEED_MORE_TIME else None,
        "reason": (typed.reason or None) if answer == Answer.DECLINED else None,
    }
    faults: dict[str, str] = {}
    given = None
    try:
        read = AcknowledgementPost.model_validate(post)
    except ValidationError as error:
        for one in details(error):
            field = _FIELD_OF.get(one.pointer, "answer")
            faults[field] = text(language, f"err_{field}")
    else:
        given = GivenAnswer(
            answer=read.answer,
            by_name=read.by.name,
            by_role=read.by.role,
            note=read.note,
            eta=read.eta,
            reason=read.reason,
        )
    if _CODE.fullmatch("".join(typed.code.replace("-", " ").split())) is None:
        faults["code"] = text(language, "err_code")  # not a guess: it is not counted
    return given, faults


def _ruled(error: InvalidError, *, language: Language) -> dict[str, str]:
    """Say which field a rule refused, and why."""
    field = _FIELD_OF.get(error.details[0].pointer, "answer") if error.details else "answer"
    key = error.code.replace("-", "_") if error.code in _RULED else field
    return {field: text(language, f"err_{key}")}
