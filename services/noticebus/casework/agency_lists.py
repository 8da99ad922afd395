"""Recipients as a list for people: what each owes, whether anything reaches it, its endpoints."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.access.principals import Principal, visible_agency
from noticebus.casework.administration import invalid
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.domain import paths
from noticebus.domain.delivery_words import Said
from noticebus.domain.endpoint_words import said_of
from noticebus.domain.health import Health
from noticebus.domain.leases import CALLED
from noticebus.domain.paths import Means, Order, Path, Person
from noticebus.domain.places import NATION_KEY, county_key, state_key
from noticebus.ids import AgencyId
from noticebus.store import agency_lists
from noticebus.store.agencies import Agency, Contact
from noticebus.store.agency_lists import Owing, Selection

COUNTY_DIGITS = 5
_WORST_FIRST = ("bad", "warn", "good", "idle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which agencies are looked for: as typed, and read by `list_lines`."""

    name: str = ""
    kind: AgencyKind | None = None
    area: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyLine:
    """One agency of the list; `endpoint` is how the worst of its endpoints does, if it has any."""

    agency: Agency
    owing: Owing
    reach: Said
    endpoint: Said | None

    @property
    def id(self) -> AgencyId:
        return self.agency.id


async def list_lines(
    desk: Desk, principal: Principal, asked: Asked, *, limit: int
) -> list[AgencyLine]:
    """List at most `limit` agencies that the principal may see: four statements."""
    now = desk.world.now()
    selection = _selection(desk, principal, asked)
    async with desk.database.read() as conn:
        found = await agency_lists.agency_page(conn, selection, after=asked.after, limit=limit)
        ids = [one.id for one in found]
        owing = await agency_lists.owing_of(conn, ids, now=now)
        orders = await agency_lists.orders_of(conn, ids)
        people = await agency_lists.contacts_of(conn, ids)
    return [
        AgencyLine(
            agency=one,
            owing=owing.get(one.id, Owing()),
            reach=paths.word_for(
                paths_to(desk, people.get(one.id, ()), orders.get(one.id, ()), now=now)
            ),
            endpoint=worst_of(orders.get(one.id, ())),
        )
        for one in found
    ]


def paths_to(
    desk: Desk,
    people: Sequence[Contact],
    orders: Sequence[Order],
    *,
    now: dt.datetime,
    arrived: dict[str, dt.datetime] | None = None,
) -> tuple[Path, ...]:
    """List the paths to an agency with these contacts and subscriptions."""
    persons = [_person(one, now=now) for one in people]
    means = Means(sends_mail=desk.sends_mail, dials=desk.dials)
    return paths.paths_of(persons, orders, means, arrived=arrived)


def worst_of(orders: Sequence[Order]) -> Said | None:
    """Give how the endpoint does that does worst; None where no system is called."""
    called = [one for one in orders if one.channel in CALLED]
    said = [said_of(one.state, Health(state=one.endpoint), is_called=True) for one in called]
    return min(said, key=lambda one: _WORST_FIRST.index(one.tone), default=None)


def speaks(contact: Contact, *, now: dt.datetime) -> bool:
    """Say whether a contact is valid at `now`."""
    begun = contact.valid_from is None or contact.valid_from <= now
    return begun and (contact.valid_until is None or contact.valid_until > now)


def _person(contact: Contact, *, now: dt.datetime) -> Person:
    return Person(
        id=contact.id,
        name=contact.name,
        email=contact.email,
        email_verified_at=contact.email_verified_at,
        phone=contact.phone,
        phone_verified_at=contact.phone_verified_at,
        texts=contact.texts,
        speaks=speaks(contact, now=now),
    )


def _selection(desk: Desk, principal: Principal, asked: Asked) -> Selection:
    keys, prefix = _area(desk, asked.area.strip())
    return Selection(
        only=visible_agency(principal),
        name_prefix=asked.name.strip(),
        kind=asked.kind,
        area_keys=keys,
        county_prefix=prefix,
    )


def _area(desk: Desk, said: str) -> tuple[frozenset[str], str]:
    """Read a place: whoever answers for its state or the nation answers there too."""
    if not said:
        return frozenset(), ""
    code = said.partition(":")[2] or said
    if len(code) == COUNTY_DIGITS and desk.places.county(code) is not None:
        return frozenset({county_key(code), state_key(code[:2]), NATION_KEY}), ""
    state = desk.places.state(code.upper())
    if state is None:
        raise invalid(
            "/query:area",
            "This is no place. Give a county's five-digit FIPS code like 28123, or a state like MS"
            " or 28.",
        )
    return frozenset({state_key(state.fips), NATION_KEY}), f"county:{state.fips}"
