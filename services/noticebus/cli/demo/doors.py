"""What the demo leaves open at its end: the console, the report, and the page of the silent one."""

import io
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import segno

from noticebus.access.passwords import Passwords
from noticebus.casework.desk import Desk
from noticebus.casework.sign_in_links import make_user_link
from noticebus.casework.users import Change, NewUser, add_user
from noticebus.cli.demo.cast import Member
from noticebus.cli.demo.mail import Mail, MailSink
from noticebus.cli.demo.stage import Stage
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.vocabulary import UserRole

HERE = "127.0.0.1"
LINK_MINUTES = 12 * 60
LOGIN = "operator@demo.example"
PASSWORD_BYTES = 15
QUIET_ZONE = 2  # modules around it; four are recommended, two are read by every phone tried
_WHITE_ON_BLACK, _AS_BEFORE = "\x1b[97;40m", "\x1b[0m"
_NOWHERE = ("192.0.2.1", 9)  # RFC 5737: nothing is sent, the system only chooses a way there


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The addresses that are open, and what opens them. `waiting` is the mail nobody answered."""

    console: str
    password: str
    report: str
    waiting: Mail | None
    silent: str
    host: str


async def open_doors(
    stage: Stage,
    report: UnacknowledgedReport,
    *,
    cast: Mapping[str, Member],
    sink: MailSink,
    host: str,
) -> Doors:
    """Make an operator of the demo, a link to the report, and find whose answer is missing."""
    console, password = await _operator(stage.system.desk)
    path = "/v1/reports/unacknowledged/links"
    made = await stage.operator.call("POST", path, body={"valid_minutes": LINK_MINUTES})
    silent = _silent(report, cast)
    return Doors(
        console=console,
        password=password,
        report=made.body["url"],
        waiting=None if silent is None else _newest(sink, silent),
        silent="" if silent is None else silent.agency.short,
        host=host,
    )


def lines(doors: Doors, *, plain: bool) -> Iterator[str]:
    """Write where to look and how to answer; with a QR code where somebody watches."""
    yield f"The console, as an operator (opens once, within 15 minutes): {doors.console}"
    yield f"Later: login {LOGIN}, password {doors.password}"
    yield f"The report alone, in a browser: {doors.report}"
    if doors.waiting is not None and doors.waiting.link is not None:
        yield ""
        yield f"Answer for {doors.silent}, which is silent: {doors.waiting.link}"
        yield f"Its code, as the mail says it: {doors.waiting.code}"
        if not plain:
            yield from qr_code(doors.waiting.link)
        yield _reach(doors.host)
    yield ""
    yield "Everything stays up, its clock standing still, until Ctrl-C."


def qr_code(text: str) -> Iterator[str]:
    """Draw a QR code with half blocks, white and black whatever colours the terminal has."""
    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True, border=QUIET_ZONE)
    for line in drawn.getvalue().splitlines():
        yield f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}"


def address_for_others(host: str) -> str:
    """Give the name under which others reach a server on `host`: this machine's own address.

    Where it has none but its own, that one.
    """
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared
        return host
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            return HERE
        return str(probe.getsockname()[0])


async def _operator(desk: Desk) -> tuple[str, str]:
    """Enter an operator who may do everything; give a link that signs in once, and the password."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    new = NewUser(
        login=LOGIN,
        name="Operator of the demo",
        roles=frozenset({UserRole.OPERATOR, UserRole.SUPERVISOR, UserRole.AUDITOR}),
    )
    change = Change(by="demo", world=desk.world.now(), machine=desk.machine.now())
    hashed = await Passwords().hash(password)
    async with desk.database.begin() as conn:
        user = await add_user(conn, new, password_hash=hashed, change=change)
        link = await make_user_link(conn, desk.keyring, user, base_url=desk.base_url, change=change)
    desk.committed()
    return link, password


def _silent(report: UnacknowledgedReport, cast: Mapping[str, Member]) -> Member | None:
    """Give the recipient at the top of the report."""
    by_id = {member.id: member for member in cast.values()}
    return next((by_id[one.agency.id] for one in report.items if one.agency.id in by_id), None)


def _newest(sink: MailSink, silent: Member) -> Mail | None:
    """Give the newest mail to any contact of the silent one that can be answered."""
    addresses = {contact.email for contact in silent.agency.contacts}
    fitting = (one for one in reversed(sink.mails) if one.to in addresses and one.link and one.code)
    return next(fitting, None)


def _reach(host: str) -> str:
    if host == HERE:
        return (
            "Only this machine opens it. For a phone on the same network: make demo"
            ' ARGS="--host 0.0.0.0"; everybody on that network can then open these pages too.'
        )
    return "A phone on the same network opens it; so can everybody else there, until Ctrl-C."
