"""A desk as `wiring` puts one together, on a SQLite file of one test; functions to furnish it."""

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from harness import tables
from noticebus.access.keyring import Keyring
from noticebus.access.principals import Principal
from noticebus.bus.memory import MemoryBus
from noticebus.casework import agencies, intake
from noticebus.casework.accepted import wire_instant
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import first_version
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.agency import AgencyPost, ContactPost, ResponsibilityPost
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import AgencyKind, Position, Role, Scope
from noticebus.domain.policies import default_policies
from noticebus.ids import AgencyId, NoticeId, new_api_key_id
from noticebus.refdata import counties
from noticebus.store import notices, obligations
from noticebus.store.agencies import Agency, Contact
from noticebus.store.database import Database
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation
from noticebus.store.policies import seed_policies
from noticebus.telemetry import Metrics

MORNING = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)  # 8 in the morning in Mississippi
BASE_URL = "https://bus.example.gov"
SCOTT_COUNTY = "28123"
SCOTT = f"county:{SCOTT_COUNTY}"
ROLE_OF = {
    AgencyKind.CPS: Role.CPS,
    AgencyKind.TRIBAL_CHILD_WELFARE: Role.TRIBAL_CHILD_WELFARE,
    AgencyKind.SCHOOL_DISTRICT: Role.SCHOOL,
    AgencyKind.FAITH: Role.COMMUNITY,
    AgencyKind.COMMUNITY: Role.COMMUNITY,
}


@contextlib.asynccontextmanager
async def open_desk(
    folder: Path, *, start: dt.datetime = MORNING, url: str | None = None
) -> AsyncIterator[Desk]:
    """Lend a desk over a new SQLite file in `folder`, or over the tables at `url`.

    `world` gives the clock to move.
    """
    database = Database(url or await tables.on_sqlite(folder))
    async with database.begin() as conn:
        await seed_policies(conn, default_policies(), now=start)
    bus = MemoryBus()
    try:
        yield Desk(
            database=database,
            bus=bus,
            world=ManualClock(start),
            machine=SystemClock(),
            keyring=Keyring(secrets.token_bytes(32)),
            places=counties.load(),
            metrics=Metrics.create(),
            base_url=BASE_URL,
        )
    finally:
        await bus.close()
        await database.close()


def world(desk: Desk) -> ManualClock:
    """Give the desk's world clock, to move it."""
    assert isinstance(desk.world, ManualClock), "a desk of `open_desk`"
    return desk.world


def principal(*scopes: Scope, agency: Agency | None = None) -> Principal:
    """Make a caller as a key with `scopes` would be, of the bus itself or of an agency."""
    return Principal(
        id=new_api_key_id(),
        name="test",
        agency_id=None if agency is None else agency.id,
        agency_kind=None if agency is None else agency.kind,
        scopes=frozenset(scopes),
    )


async def add_agency(
    desk: Desk,
    name: str,
    *,
    kind: AgencyKind = AgencyKind.CPS,
    county_fips: str | None = SCOTT_COUNTY,
    zone: str = "America/Chicago",
) -> Agency:
    """Add an agency that answers for a county in the role of its kind, or for none."""
    admin = principal(Scope.ADMIN)
    post = AgencyPost(name=name, kind=kind, zone=zone)
    agency = await agencies.create_agency(desk, admin, post=post)
    if county_fips is not None and kind in ROLE_OF:
        duty = ResponsibilityPost.model_validate(
            {"role": ROLE_OF[kind], "areas": [{"county_fips": [county_fips]}]}
        )
        await agencies.create_responsibility(desk, admin, agency_id=agency.id, post=duty)
    return agency


async def add_contact(
    desk: Desk,
    agency: Agency,
    name: str,
    *,
    position: Position = Position.ON_DUTY,
    email: str | None = None,
    phone: str | None = None,
) -> Contact:
    """Add a contact with a verified mail address, made from the name where none is given.

    One with a telephone and no address given has no mail.
    """
    address = email or (None if phone else f"{name.lower().replace(' ', '.')}@agency.example")
    post = ContactPost(
        name=name, role="duty officer", position=position, email=address, phone=phone
    )
    admin = principal(Scope.ADMIN)
    return await agencies.create_contact(desk, admin, agency_id=agency.id, post=post)


async def end_contact(desk: Desk, contact: Contact) -> None:
    """End a contact: it speaks for its agency no more."""
    await agencies.end_contact(
        desk,
        principal(Scope.ADMIN),
        agency_id=contact.agency_id,
        contact_id=contact.id,
        revision=contact.revision,
    )


def notice_body(desk: Desk, **changes: Any) -> dict[str, Any]:
    """Give a small notice about Scott County that is valid now, as JSON, with `changes`."""
    return {
        "kind": "enforcement_action",
        "status": "actual",
        "class": "B",
        "occurred_at": wire_instant(desk.world.now() - dt.timedelta(minutes=30)),
        "sender": {
            "unit": "Field office",
            "role": "duty officer",
            "callback_phone": "+16015550100",
        },
        "headline": "Enforcement action near Morton: children may need care after school",
        "areas": [{"county_fips": [SCOTT_COUNTY]}],
        "children": {"status": "unknown"},
    } | changes


async def post_notice(desk: Desk, poster: Agency, *, body: Mapping[str, Any]) -> Notice:
    """Post a new incident's first notice as `poster`, and give it as stored."""
    caller = principal(Scope.POST, agency=poster)
    post = NoticePost.model_validate(body)
    draft = await first_version(desk, caller, post=post, key=new_api_key_id())
    (answer,) = await intake.take_in(desk, [draft])
    assert isinstance(answer, intake.Answered), answer
    notice_id = NoticeId(answer.response["id"])
    async with desk.database.read() as conn:
        return (await notices.notices_by_id(conn, [notice_id]))[notice_id]


async def obligation_of(desk: Desk, notice: Notice, agency_id: AgencyId) -> Obligation:
    """Read what an agency owes a notice's incident."""
    async with desk.database.read() as conn:
        found = await obligations.find_obligation(
            conn, incident_id=notice.incident_id, agency_id=agency_id
        )
    assert found is not None, "the notice binds this agency"
    return found
