"""The demo's scenario: an editable data file, checked whole before anything starts."""

import datetime as dt
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from noticebus.cli.output import CommandError
from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.agency import ContactPost
from noticebus.contracts.base import Name, at, refuse
from noticebus.contracts.calendar import CalendarPut
from noticebus.contracts.faults import details
from noticebus.contracts.notice import NoticePost, UpdatePost
from noticebus.contracts.places import StandingArea
from noticebus.contracts.policy import PolicyPut
from noticebus.contracts.vocabulary import (
    AgencyKind,
    ChangeReason,
    ContentLevel,
    How,
    NoticeClass,
    Position,
    QuestionTopic,
    Role,
)
from noticebus.errors import Detail

BUILT_IN = "august_2019.toml"
FAULTS_SHOWN_MAX = 5
SHORT_MAX = 22


class Part(BaseModel):
    """A part of the file: what it does not know is a mistake of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(Part):
    """An agency's webhook receiver; it answers the first `fail_first` events with `status`."""

    content_level: ContentLevel
    fail_first: Annotated[int, Field(ge=0)] = 0
    down: bool = False
    status: Annotated[int, Field(ge=400, le=599)] = 500


class ScenarioContact(Part):
    """Somebody of an agency, reached by mail."""

    position: Position
    name: Name
    role: Name
    email: str
    phone: str | None = None

    def post(self) -> ContactPost:
        """Give what the administration is sent."""
        return ContactPost(**self.model_dump())


class ScenarioAgency(Part):
    """An agency of the cast. Without `role` it subscribes to its areas and its duty is advisory.

    `calendar` and `policies`, by class, are its own where it has any.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,30}$")]
    name: Name
    short: Annotated[str, Field(min_length=1, max_length=SHORT_MAX)]
    kind: AgencyKind
    role: Role | None = None
    areas: tuple[StandingArea, ...] = ()
    webhook: Endpoint | None = None
    calendar: CalendarPut | None = None
    policies: dict[NoticeClass, PolicyPut] = Field(default_factory=dict)
    contacts: tuple[ScenarioContact, ...] = ()

    @property
    def is_recipient(self) -> bool:
        """Say whether notices for its areas reach it."""
        return bool(self.areas)

    def contact(self, position: Position) -> ScenarioContact:
        """Give the contact at `position`; held by the check of the file."""
        return next(one for one in self.contacts if one.position is position)


class Beat(Part):
    """One thing that somebody does: `at` a local time, on day 1 unless `day` says otherwise."""

    at: dt.time
    day: Annotated[int, Field(ge=1, le=3)] = 1
    do: Literal["post", "repeat", "update", "answer", "scan", "phone", "ask", "simulate", "end"]
    who: str | None = None
    contact: Position = Position.ON_DUTY
    by: Literal["api", "link"] = "api"
    version: Annotated[int, Field(ge=1)] = 1
    update: str | None = None
    topic: QuestionTopic | None = None
    text: str | None = None
    person: Person | None = None
    how: How = How.PHONE
    on_behalf_of: str | None = None
    gets: Annotated[int, Field(ge=1, le=50)] = 3
    heads: Annotated[int, Field(ge=0, le=50)] = 2

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for field in _NEEDS[self.do]:
            if getattr(self, field) is None:
                refuse([at(f"/{field}", f"name it: a beat that does {self.do!r} needs it")])
        return self


_NEEDS: dict[str, tuple[str, ...]] = {
    "post": (),
    "repeat": (),
    "update": ("update",),
    "answer": ("who", "person"),
    "scan": ("who",),
    "phone": ("who", "person", "on_behalf_of"),
    "ask": ("who", "topic"),
    "simulate": ("who",),
    "end": (),
}


class Scenario(Part):
    """The whole file."""

    title: Name
    banner: Name
    date: dt.date
    zone: str
    live_until: dt.time
    poster: str
    operators: str
    agencies: Annotated[tuple[ScenarioAgency, ...], Field(min_length=1)]
    notice: dict[str, Any]
    updates: dict[str, dict[str, Any]]
    beats: Annotated[tuple[Beat, ...], Field(min_length=1)]

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            refuse([at("", "use an IANA name such as America/Chicago")])
        return zone

    @property
    def recipients(self) -> tuple[ScenarioAgency, ...]:
        """Those whom the notice reaches, in the file's order."""
        return tuple(one for one in self.agencies if one.is_recipient)

    def agency(self, key: str) -> ScenarioAgency:
        """Give the agency of that key; held by the check of the file."""
        return next(one for one in self.agencies if one.key == key)

    def instant(self, at: dt.time, *, day: int = 1) -> dt.datetime:
        """Turn a local time of the scenario into an instant, UTC."""
        local = dt.datetime.combine(self.date + dt.timedelta(days=day - 1), at)
        return local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(dt.UTC)

    def when(self, beat: Beat) -> dt.datetime:
        """Give the instant of a beat."""
        return self.instant(beat.at, day=beat.day)

    def versions(self) -> dict[str, dict[str, Any]]:
        """Give the body of every update in the order of the beats: each repeats the whole state."""
        state, number, found = self.notice, 1, {}
        for beat in self.beats:
            if beat.update is not None:
                state = state | self.updates[beat.update]
                found[beat.update] = {
                    "change_reason": ChangeReason.NEW_INFO.value,
                    **state,
                    "base_version": number,
                }
                number += 1
        return found


def load(file: Path | None = None) -> Scenario:
    """Read a scenario, or the one that is built in; CommandError says where a mistake is."""
    name = BUILT_IN if file is None else str(file)
    try:
        if file is None:
            text = (files("noticebus.cli.demo") / "scenarios" / BUILT_IN).read_text("utf-8")
        else:
            text = file.read_text("utf-8")
        found = tomllib.loads(text)
    except OSError as error:
        raise CommandError(
            f"The scenario {name} cannot be read: {error.strerror}.",
            remedy="Name a scenario file that exists, or leave --scenario out.",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _mistaken(name, [str(error)]) from error
    try:
        scenario = Scenario.model_validate(found)
    except ValidationError as error:
        raise _mistaken(name, _said(details(error))) from error
    if faults := [*_cast_faults(scenario), *_beat_faults(scenario)]:
        raise _mistaken(name, _said(faults))
    if faults := _notice_faults(scenario):
        raise _mistaken(name, _said(faults))
    return scenario


def _cast_faults(scenario: Scenario) -> list[Detail]:
    keys = [one.key for one in scenario.agencies]
    faults = [
        Detail(pointer=f"/agencies/{number}/key", message=f"{key!r} is taken: give each its own")
        for number, key in enumerate(keys)
        if key in keys[:number]
    ]
    faults += [
        Detail(pointer=f"/{field}", message=f"no agency has the key {getattr(scenario, field)!r}")
        for field in ("poster", "operators")
        if getattr(scenario, field) not in keys
    ]
    faults += [
        Detail(pointer=f"/agencies/{number}/contacts", message="name at least one contact")
        for number, one in enumerate(scenario.agencies)
        if not one.contacts
    ]
    return faults


def _beat_faults(scenario: Scenario) -> list[Detail]:
    cast = {one.key: one for one in scenario.recipients}
    faults: list[Detail] = []
    last = None
    for number, beat in enumerate(scenario.beats):
        where = f"/beats/{number}"
        when = scenario.when(beat)
        if last is not None and when < last:
            faults.append(Detail(pointer=f"{where}/at", message="beats are in order of time"))
        last = when
        if beat.who is not None and beat.who not in cast:
            message = f"no recipient has the key {beat.who!r}: one of {', '.join(cast)}"
            faults.append(Detail(pointer=f"{where}/who", message=message))
        elif beat.who is not None and not _can(beat, cast[beat.who]):
            message = f"{beat.who} has no {beat.contact} contact or webhook for this"
            faults.append(Detail(pointer=f"{where}/contact", message=message))
        if beat.update is not None and beat.update not in scenario.updates:
            message = f"no update is called {beat.update!r}: one of {', '.join(scenario.updates)}"
            faults.append(Detail(pointer=f"{where}/update", message=message))
    if (order := [beat.do for beat in scenario.beats])[:1] != ["post"] or order[-1:] != ["end"]:
        faults.append(Detail(pointer="/beats", message="begin with do = 'post', end with 'end'"))
    return faults


def _can(beat: Beat, agency: ScenarioAgency) -> bool:
    if beat.do == "scan" or (beat.do == "answer" and beat.by == "link"):
        return any(one.position is beat.contact for one in agency.contacts)
    return beat.do != "answer" or agency.webhook is not None


def _notice_faults(scenario: Scenario) -> list[Detail]:
    """Check the notice and each update as the gateway will: a typing error shows before the run."""
    faults: list[Detail] = []
    bodies: list[tuple[str, type[NoticePost], dict[str, Any]]] = [
        ("/notice", NoticePost, scenario.notice),
        *((f"/updates/{name}", UpdatePost, body) for name, body in scenario.versions().items()),
    ]
    for prefix, model, body in bodies:
        try:
            model.model_validate(body)
        except ValidationError as error:
            faults += details(error, prefix=prefix)
    return faults


def _said(faults: "list[Detail] | tuple[Detail, ...]") -> list[str]:
    return [f"{one.pointer}: {one.message}" for one in faults]


def _mistaken(name: str, faults: list[str]) -> CommandError:
    shown = "; ".join(faults[:FAULTS_SHOWN_MAX])
    more = len(faults) - FAULTS_SHOWN_MAX
    rest = f"; and {more} more" if more > 0 else ""
    return CommandError(
        f"The scenario {name} has mistakes. {shown}{rest}.",
        remedy="Correct the file; docs/tutorial/demo.md says what it may hold.",
    )
