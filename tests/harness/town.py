"""A whole bus behind a real address on this machine, furnished so that every page has something.

It is Wednesday, 7 August 2019, 8 in the morning in Mississippi, and stays so until a test moves the
clock.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext

from harness import desk as furnish
from harness.member import Posted
from harness.place import embedded
from harness.receivers import webhook_receiver
from harness.system import Bus, hours, minutes, open_bus
from noticebus.access.links import code_for
from noticebus.access.sessions import Sessions
from noticebus.casework import exercises, links
from noticebus.casework.answer import GivenAnswer
from noticebus.cli.demo.stage import serving
from noticebus.cli.serving import bind
from noticebus.console.visitors import cookie_name
from noticebus.contracts.exercise import ExercisePost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    ObligationState,
    Position,
    Scope,
    SignInMethod,
    UserRole,
)
from noticebus.ids import new_user_id
from noticebus.store import acknowledgements, notices, obligations
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import Agency, Contact
from noticebus.store.obligations import Obligation
from noticebus.store.users import User, insert_user

HOST = "127.0.0.1"
NAMES = {
    "poster": "Field office",
    "operators": "Bus operators",
    "cps": "Scott County Child Protection",
    "school": "Pine County Schools",
    "church": "St. Brigid Outreach",
}
HEADS = {
    "poster": ("C. Marsh", "+16015550100"),
    "operators": ("Dana Reyes", "+16015550199"),
    "cps": ("J. Whitfield", "+16015550120"),
    "school": ("R. Alvarez", "+16015550142"),
    "church": ("Thomas Hale", "+16015550107"),
}
DETAILED: dict[str, Any] = {
    "description": "About 40 people were detained at a food plant. Buses leave at 11.",
    "instruction": {
        "en": "Let no child off the bus without an adult in sight.",
        "es": "No deje bajar a ningún niño del autobús sin un adulto a la vista.",
    },
    "sites": [{"site_id": "s1", "label": "food plant near Morton"}],
    "counts": [
        {
            "site_id": "s1",
            "as_of": "2019-08-07T12:40:00Z",
            "basis": "estimate",
            "detained_total": 40,
            "in_custody": None,
            "minors_encountered": None,
        }
    ],
    "children": {"status": "estimate", "low": 12, "high": 18, "as_of": "2019-08-07T12:40:00Z"},
    "family_line": {"phone": "+16015550111", "hours": "day and night"},
}


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What a mail to a contact says: the path of its link, and its code."""

    path: str
    code: str

    @property
    def wrong_code(self) -> str:
        return f"{(int(self.code) + 1) % 10**6:06}"


@dataclass(frozen=True, kw_only=True)
class Town:
    """The bus, its address, and who is on it."""

    bus: Bus
    home: str
    agencies: Mapping[str, Agency]
    contacts: Mapping[str, Contact]

    async def letter(self, posted: Posted, name: str) -> Letter:
        """Give what the mail about a notice says to an agency's desk."""
        desk, owed = self.bus.desk, await self.owed(posted, name)
        async with desk.database.read() as conn:
            notice = (await notices.notices_by_id(conn, [posted.id]))[posted.id]
        claims = links.claims_of(
            obligation_id=owed.id, notice=notice, contact_id=self.contacts[name].id
        )
        address = links.link_address(desk, claims)
        return Letter(path=address.removeprefix(self.home), code=code_for(desk.keyring, claims))

    async def sign_in(
        self, context: BrowserContext, *roles: UserRole, agency: Agency | None = None
    ) -> User:
        """Give a window the session of a new person with `roles`."""
        user = await self.person(*roles, agency=agency)
        sessions: Sessions = self.bus.system.app.state.sessions
        begun = await sessions.begin(user, method=SignInMethod.PASSWORD)
        name = cookie_name(self.bus.desk)
        await context.add_cookies([{"name": name, "value": begun.cookie, "url": self.home}])
        return user

    async def person(
        self, *roles: UserRole, agency: Agency | None = None, password_hash: str | None = None
    ) -> User:
        """Add a person with `roles`."""
        user_id = new_user_id()
        user = User(
            id=user_id,
            login=f"{user_id}@bus.example",
            name="Dana Reyes",
            agency_id=None if agency is None else agency.id,
            roles=roles,
            password_hash=password_hash,
            issuer=None,
            subject=None,
            failed_tries=0,
            locked_until=None,
            disabled_at=None,
            signed_in_at=None,
            revision=1,
            created_at=self.bus.world.now(),
        )
        async with self.bus.desk.database.begin() as conn:
            await insert_user(conn, user)
        return user

    async def owed(self, posted: Posted, name: str) -> Obligation:
        """Read what an agency owes an incident."""
        async with self.bus.desk.database.read() as conn:
            found = await obligations.find_obligation(
                conn, incident_id=posted.incident_id, agency_id=self.agencies[name].id
            )
        assert found is not None, "the notice binds this agency"
        return found

    async def answers(self, posted: Posted, name: str) -> list[Acknowledgement]:
        """Read what an agency has answered."""
        owed = await self.owed(posted, name)
        async with self.bus.desk.database.read() as conn:
            found = await acknowledgements.acknowledgements_of(conn, [owed.id])
        return found.get(owed.id, [])

    async def is_open(self, posted: Posted, name: str) -> bool:
        """Say whether an agency still owes an answer."""
        return (await self.owed(posted, name)).state is ObligationState.OPEN


@contextlib.asynccontextmanager
async def open_town(folder: Path, **more: Any) -> AsyncIterator[Town]:
    """Run the embedded profile with everything it does, behind a free port of this machine.

    `more` is what `open_bus` takes.
    """
    with bind(HOST, 0) as listening:
        home = f"http://{HOST}:{listening.getsockname()[1]}"
        async with (
            embedded(folder) as place,
            open_bus(place, strict=False, base_url=home, **more) as bus,
            serving(bus.system.app, listening),
        ):
            yield await _settle(bus, home)


async def _settle(bus: Bus, home: str) -> Town:
    """Furnish the bus with a poster, operators and three recipients that mail reaches."""
    agencies: dict[str, Agency] = {}
    contacts: dict[str, Contact] = {}
    for name, kind in (
        ("poster", AgencyKind.FEDERAL),
        ("operators", AgencyKind.OPERATOR),
        ("cps", AgencyKind.CPS),
        ("school", AgencyKind.SCHOOL_DISTRICT),
        ("church", AgencyKind.FAITH),
    ):
        made = agencies[name] = await furnish.add_agency(bus.desk, NAMES[name], kind=kind)
        contacts[name] = await furnish.add_contact(bus.desk, made, f"{NAMES[name]} desk")
        head, phone = HEADS[name]
        await furnish.add_contact(bus.desk, made, head, position=Position.HEAD, phone=phone)
    bus.poster = agencies["poster"]
    await _give_endpoint(bus, agencies["cps"])
    await _schedule_exercise(bus)
    return Town(bus=bus, home=home, agencies=agencies, contacts=contacts)


async def _give_endpoint(bus: Bus, agency: Agency) -> None:
    """Let an agency be reached by webhook too."""
    receiver = await bus._stack.enter_async_context(webhook_receiver())
    await bus.subscribe(bus.member(agency, receiver))


async def _schedule_exercise(bus: Bus) -> None:
    """Schedule the poster's next exercise, for tomorrow."""
    starts_at = bus.world.now() + hours(24)
    post = ExercisePost.model_validate(
        {
            "name": "Autumn exercise",
            "starts_at": starts_at,
            "ends_at": starts_at + hours(4),
            "notice": furnish.notice_body(bus.desk, status="exercise"),
        }
    )
    poster = furnish.principal(Scope.POST, agency=bus.poster)
    await exercises.create_exercise(bus.desk, poster, post=post, key=None)


async def one_of_three_silent(town: Town) -> Posted:
    """Post a notice that child protection accepts and the others leave overdue.

    It is 10:47 in the morning then.
    """
    posted = await town.bus.post_notice(**DETAILED)
    letter = await town.letter(posted, "cps")
    await links.answer_by_link(
        town.bus.desk,
        letter.path.removeprefix("/a/"),
        code=letter.code,
        given=GivenAnswer(answer=Answer.ACCEPTED, by_name="R. Alvarez", by_role="duty officer"),
    )
    await town.bus.fast_forward(hours(2) + minutes(47))
    return posted
