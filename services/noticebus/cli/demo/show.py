"""The demo as a whole: stage, cast, script, view and summary in one run."""

import asyncio
import contextlib
import datetime as dt
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from noticebus.cli.demo import doors, rows
from noticebus.cli.demo.cast import Member, engage
from noticebus.cli.demo.doors import Doors
from noticebus.cli.demo.mail import Mail, MailSink, mail_sink
from noticebus.cli.demo.scenario import Scenario, ScenarioAgency
from noticebus.cli.demo.script import Record, Script
from noticebus.cli.demo.stage import HOST, Stage, Tempo, staged
from noticebus.cli.demo.summary import Ending, lines, read_ending
from noticebus.cli.demo.view import PlainView, View, live_view
from noticebus.cli.output import console, say
from noticebus.cli.receiver import Received
from noticebus.clock import Clock, SystemClock
from noticebus.telemetry import configure_logging

LOG_FILE = "demo.log"
LOOK_EVERY_S = 0.5
ENGAGED_BEFORE = dt.timedelta(minutes=5)  # the cast is on the bus this long before the first beat
FAST_WITHIN = dt.timedelta(seconds=62)  # from the command's beginning to the fast part's end
FAST_LEAST = dt.timedelta(seconds=30)  # faster than this nobody could follow
PAUSES_WITHIN = dt.timedelta(seconds=8)  # a run that has taken longer pauses no more
OK_FROM, OK_BELOW = 200, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for. A `speed` of zero steps from due time to due time from the beginning.

    `began` is when the command did, in machine time. With `in_time` a machine that was slow to set
    up runs the fast part faster, so that the whole ends in time.
    """

    scenario: Scenario
    began: dt.datetime
    speed: float
    pause_s: float
    plain: bool
    in_time: bool = False
    keep: bool = False
    host: str = HOST

    def tempo(self, *, now: dt.datetime) -> Tempo:
        """Choose how time passes, `now` that everything is set up."""
        first = self.scenario.when(self.scenario.beats[0])
        live_until = self.scenario.instant(self.scenario.live_until)
        left = max(self.began + FAST_WITHIN - now, FAST_LEAST)
        needed = (live_until - first) / left if self.in_time else 0.0
        return Tempo(
            speed=max(self.speed, needed),
            live_until=live_until,
            pause_s=self.pause_s,
            unhurried_until=self.began + FAST_WITHIN + PAUSES_WITHIN,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A demo that has reached its end; the bus still answers."""

    stage: Stage
    cast: Mapping[str, Member]
    sink: MailSink
    record: Record
    ending: Ending

    @property
    def names(self) -> dict[str, str]:
        """The short names by agency id."""
        return names_of(self.cast)

    async def doors(self, wanted: Wanted) -> Doors:
        """Open what stays open: the console, the report, the page of who is silent."""
        return await doors.open_doors(
            self.stage, self.ending.report, cast=self.cast, sink=self.sink, host=wanted.host
        )


class Ears:
    """Hears what reaches the receivers: notes who was told when, tells what is worth a line."""

    def __init__(self, scenario: Scenario) -> None:
        self.first_told: dict[str, dt.datetime] = {}  # by the agency's key
        self._view: View | None = None
        self._world: Clock | None = None
        self._readers = {
            contact.email: agency for agency in scenario.recipients for contact in agency.contacts
        }

    def attach(self, view: View, *, world: Clock) -> None:
        """Tell `view` from now on."""
        self._view, self._world = view, world

    def mail(self, mail: Mail) -> None:
        agency = self._readers.get(mail.to)
        if mail.version is None:  # it carries no notice: a warning about the endpoint
            self._tell(f"Mail to {mail.to}: {mail.subject.partition(' since')[0]}")
            return
        if mail.chases:
            self._tell(f"Mail to {mail.to}: {mail.subject.partition(': class')[0]}")
        elif agency is not None and agency.webhook is not None:
            self._tell(f"Mail to {mail.to}: second channel, its webhook is down")
        if agency is not None:
            self._note(agency)

    def event(self, agency: ScenarioAgency, received: Received) -> None:
        refused = not OK_FROM <= received.status < OK_BELOW
        if refused and received.time == 1:
            self._tell(f"Endpoint of {agency.short} answers {received.status}: will be retried.")
        elif not refused and received.time > 1:
            self._tell(f"Endpoint of {agency.short} recovers, delivered at try {received.time}.")
        elif received.cause == "step":
            self._tell(f"Webhook to {agency.short}: Reminder")
        if not refused:
            self._note(agency)

    def _note(self, agency: ScenarioAgency) -> None:
        if self._world is not None:
            self.first_told.setdefault(agency.key, self._world.now())

    def _tell(self, text: str) -> None:
        if self._view is not None:
            self._view.tell(text)


def run(wanted: Wanted) -> None:
    """Play, sum up, and end; with `keep` only at Ctrl-C."""
    with (
        tempfile.TemporaryDirectory(prefix="noticebus-demo-") as folder,
        (Path(folder) / LOG_FILE).open("w", encoding="utf-8") as log,
    ):
        configure_logging(log_format="json", stream=log)
        with contextlib.suppress(KeyboardInterrupt) if wanted.keep else contextlib.nullcontext():
            asyncio.run(_run(wanted, folder=Path(folder)))


async def _run(wanted: Wanted, *, folder: Path) -> None:
    say(f"{wanted.scenario.title}. {wanted.scenario.banner}")
    async with played(wanted, folder=folder) as over:
        say()
        for line in lines(wanted.scenario, over.ending, names=over.names):
            say(line)
        say(f"It took {(SystemClock().now() - wanted.began).total_seconds():.0f} s.")
        if wanted.keep:
            say()
            for line in doors.lines(await over.doors(wanted), plain=wanted.plain):
                say(line)
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def played(wanted: Wanted, *, folder: Path) -> AsyncIterator[Played]:
    """Play the scenario; the block has the bus as it stands at the end."""
    scenario = wanted.scenario
    ears = Ears(scenario)
    first = scenario.when(scenario.beats[0])
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(mail_sink(ears.mail))
        stage = await stack.enter_async_context(
            staged(
                folder=folder,
                smtp_url=sink.url,
                start=first - ENGAGED_BEFORE,
                host=wanted.host,
                known_as=doors.address_for_others(wanted.host),
            )
        )
        cast = await engage(scenario, stage, stack=stack, hear=ears.event)
        stage.begin(first, tempo=wanted.tempo(now=SystemClock().now()))
        with _view(wanted, stage) as view:
            ears.attach(view, world=stage.world)
            script = Script(scenario, stage, cast=cast, sink=sink, tell=view.tell)
            await _watched(script, stage, view, cast=cast, zone=scenario.zone)
        ending = await read_ending(
            stage, script.record, cast=cast, mails=len(sink.mails), first_told=ears.first_told
        )
        yield Played(stage=stage, cast=cast, sink=sink, record=script.record, ending=ending)


async def _watched(
    script: Script, stage: Stage, view: View, *, cast: Mapping[str, Member], zone: str
) -> None:
    """Play while the table is kept up to date from the API."""

    async def look() -> None:
        if script.record.incident_id:
            path = f"/v1/incidents/{script.record.incident_id}/obligations"
            found = rows.read(await stage.operator.list_all(path))
            now = stage.world.now()
            view.show(rows.rows(found, names=names_of(cast), now=now, zone=zone))

    async def keep_looking() -> None:
        while True:
            await look()
            await asyncio.sleep(LOOK_EVERY_S)

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(keep_looking())
        await script.play()
        watching.cancel()
    await look()


@contextlib.contextmanager
def _view(wanted: Wanted, stage: Stage) -> Iterator[View]:
    scenario = wanted.scenario
    if wanted.plain:
        yield PlainView(world=stage.world, zone=scenario.zone)
        return
    with live_view(
        console(), world=stage.world, zone=scenario.zone, banner=scenario.banner
    ) as view:
        yield view


def names_of(cast: Mapping[str, Member]) -> dict[str, str]:
    """Give the short names by agency id."""
    return {member.id: member.agency.short for member in cast.values()}
