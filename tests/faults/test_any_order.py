"""Whatever happens in whatever order, an obligation's history is one that the rules allow (I2, I5).

Hypothesis draws notices, answers, steps, updates, cancels, restarts and clock jumps, and looks
for an order in which a step fires twice, or after the closing answer, or an obligation vanishes.
"""

import asyncio
import contextlib
import datetime as dt
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness import desk as furnish
from noticebus.casework import answer, cancel, drafts, intake, revise, speaking, step
from noticebus.casework.desk import Desk
from noticebus.clock import ManualClock
from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.notice import CancelConfirmPost, CancelPost, NoticePost, UpdatePost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    How,
    ObligationState,
    Position,
    Scope,
)
from noticebus.errors import RefusedError
from noticebus.ids import IncidentId, NoticeId, ObligationId, new_api_key_id
from noticebus.ledger.engine import Engine
from noticebus.store.agencies import Agency
from noticebus.store.database import Database
from noticebus.store.tables import acknowledgements, deliveries, obligation_history, obligations
from noticebus.store.tables import entries as entry_rows
from noticebus.store.tables import steps as step_rows

T = TypeVar("T")
LEGAL = {  # from a state, what the next line of an obligation's history may say
    None: {ObligationState.OPEN},
    ObligationState.OPEN: set(ObligationState) - {ObligationState.WAIVED},
    ObligationState.CLOSED: {ObligationState.CLOSED, ObligationState.OPEN},
    ObligationState.DECLINED: set(ObligationState) - {ObligationState.WAIVED},
    ObligationState.WITHDRAWN: {ObligationState.WITHDRAWN},
}


class Incidents(RuleBasedStateMachine):
    """One installation on SQLite: a state desk, a district, operators, and what befalls them."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self._stack = contextlib.AsyncExitStack()
        self.desk: Desk
        self.poster: Agency
        self.versions: dict[IncidentId, tuple[NoticeId, int]] = {}
        self.ended: set[IncidentId] = set()

    def teardown(self) -> None:
        """Close what is open and remove the file."""
        self._run(self._stack.aclose())
        self._runner.close()
        self._folder.cleanup()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Furnish the installation."""
        self._run(self._furnish())
        self._run(self._post("A", promised=True))

    async def _furnish(self) -> None:
        opened = furnish.open_desk(Path(self._folder.name))
        self.desk = await self._stack.enter_async_context(opened)
        self.poster = await furnish.add_agency(
            self.desk, "Field office", kind=AgencyKind.FEDERAL, county_fips=None
        )
        for name, kind in (
            ("State CPS", AgencyKind.CPS),
            ("Scott District", AgencyKind.SCHOOL_DISTRICT),
            ("Mercy House", AgencyKind.FAITH),
        ):
            agency = await furnish.add_agency(self.desk, name, kind=kind)
            await furnish.add_contact(self.desk, agency, f"{name} duty")
            await furnish.add_contact(self.desk, agency, f"{name} head", position=Position.HEAD)
        operators = await furnish.add_agency(self.desk, "Operators", kind=AgencyKind.OPERATOR)
        await furnish.add_contact(self.desk, operators, "Operator on duty")

    @rule(notice_class=st.sampled_from("ABCD"), promised=st.booleans())
    def post(self, notice_class: str, promised: bool) -> None:
        """Post a new incident's first notice."""
        self._run(self._post(notice_class, promised=promised))

    async def _post(self, notice_class: str, *, promised: bool) -> None:
        due = self._world().now() + dt.timedelta(hours=3)
        more = {"next_update_due": due.isoformat()} if promised else {}
        body = furnish.notice_body(self.desk, **{"class": notice_class, **more})
        draft = await drafts.first_version(
            self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            post=NoticePost.model_validate(body),
            key=new_api_key_id(),
        )
        (made,) = await intake.take_in(self.desk, [draft])
        assert isinstance(made, intake.Answered)
        self._note(made)

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), notice_class=st.sampled_from("ABC"), material=st.booleans())
    def update(self, data: st.DataObject, notice_class: str, material: bool) -> None:
        """Post the next version of some incident; an ended one takes none."""
        incident_id = data.draw(st.sampled_from(sorted(self.versions)))
        self._run(self._update(incident_id, notice_class, material=material))

    async def _update(self, incident_id: IncidentId, notice_class: str, *, material: bool) -> None:
        body = furnish.notice_body(self.desk, **{"class": notice_class}) | {
            "base_version": self.versions[incident_id][1],
            "change_reason": "new_info",
            "material": material,
        }
        try:
            made = await revise.update(
                self.desk,
                furnish.principal(Scope.POST, agency=self.poster),
                incident_id=incident_id,
                post=UpdatePost.model_validate(body),
                key=None,
            )
        except RefusedError:
            assert incident_id in self.ended
            return
        assert incident_id not in self.ended
        self._note(made)

    @precondition(lambda self: len(self.versions) > 1 + len(self.ended))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel some incident; a second person confirms."""
        incident_id = data.draw(st.sampled_from(sorted(self.versions)))
        self._run(self._cancel(incident_id))

    async def _cancel(self, incident_id: IncidentId) -> None:
        first, second = (furnish.principal(Scope.POST, agency=self.poster) for _ in range(2))
        asked = CancelPost(
            base_version=self.versions[incident_id][1],
            reason="Posted in error.",
            by=Person(name="Ann", role="duty officer"),
        )
        confirmed = CancelConfirmPost(by=Person(name="Bob", role="supervisor"))
        try:
            await cancel.request_cancel(self.desk, first, incident_id=incident_id, post=asked)
            await cancel.confirm_cancel(self.desk, second, incident_id=incident_id, post=confirmed)
        except RefusedError:
            assert incident_id in self.ended
            return
        self.ended.add(incident_id)

    @precondition(lambda self: self.versions)
    @rule(
        data=st.data(),
        given=st.sampled_from(Answer),
        reason=st.sampled_from(DeclineReason),
        more_s=st.integers(60, 3 * 3600),
    )
    def answer(
        self, data: st.DataObject, given: Answer, reason: DeclineReason, more_s: int
    ) -> None:
        """Let some recipient answer, however it likes; what the rules refuse changes nothing."""
        owed = self._run(self._obligation_ids())
        self._run(self._answer(data.draw(st.sampled_from(owed)), given, reason, more_s))

    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        """Let some recipient accept: what closes classes A and B."""
        owed = self._run(self._obligation_ids())
        chosen = data.draw(st.sampled_from(owed))
        self._run(self._answer(chosen, Answer.ACCEPTED, DeclineReason.OTHER, 0))

    async def _answer(
        self, obligation_id: ObligationId, given: Answer, reason: DeclineReason, more_s: int
    ) -> None:
        eta = self._world().now() + dt.timedelta(seconds=more_s)
        said = answer.GivenAnswer(
            answer=given,
            by_name="Rosa Duty",
            by_role="duty officer",
            eta=eta if given is Answer.NEED_MORE_TIME else None,
            reason=reason if given is Answer.DECLINED else None,
        )
        with contextlib.suppress(RefusedError):
            await speaking.answer_obligation(
                self.desk,
                furnish.principal(Scope.OPERATE),
                obligation_id=obligation_id,
                given=said,
                how=How.PHONE,
                on_behalf_of="the agency",
            )

    @rule(seconds=st.sampled_from([0, 59, 600, 1800, 3600, 4 * 3600, 26 * 3600]))
    def pass_time(self, seconds: int) -> None:
        """Let time pass while the engine is away, however long."""
        self._world().advance(dt.timedelta(seconds=seconds))

    @rule()
    def chase(self) -> None:
        """Let the world's clock reach the next step, and the engine fire it."""
        self._run(self._chase())

    async def _chase(self) -> None:
        due = await step.next_due_at(self.desk)
        if due is not None:
            self._world().move_to(max(due, self._world().now()))
        await Engine(self.desk).sweep()

    @rule()
    def sweep(self) -> None:
        """Let the engine do everything that is due."""
        self._run(Engine(self.desk).sweep())

    @rule()
    def two_engines(self) -> None:
        """Let two engines look at the same time."""
        self._run(self._two_engines())

    async def _two_engines(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(Engine(self.desk).sweep())

    @rule()
    def restart(self) -> None:
        """Stop the process and start another on the same file, at the same time of the world."""
        self._run(self._restart())

    async def _restart(self) -> None:
        await self.desk.database.close()
        fresh = Database(f"sqlite:///{self._folder.name}/bus.db")
        self._stack.push_async_callback(fresh.close)
        object.__setattr__(self.desk, "database", fresh)

    @invariant()
    def history_is_legal(self) -> None:
        """Hold what must hold at every moment."""
        if hasattr(self, "desk"):
            self._run(self._check())

    async def _check(self) -> None:
        async with self.desk.database.read() as conn:
            owed = (await conn.execute(sa.select(obligations))).mappings().all()
            fired = (await conn.execute(sa.select(step_rows))).mappings().all()
            lines = (
                await conn.execute(
                    sa.select(obligation_history).order_by(obligation_history.c.position)
                )
            ).mappings()
            history: dict[str, list[Any]] = {}
            for line in lines:
                history.setdefault(line["obligation_id"], []).append(line["facts"])
            closings = (
                await conn.execute(
                    sa.select(acknowledgements).where(acknowledgements.c.closed.is_(True))
                )
            ).mappings()
            answered = [(one["obligation_id"], one["recorded_at"]) for one in closings]
            waiting = (
                await conn.execute(
                    sa.select(deliveries.c.obligation_id)
                    .join(obligations, obligations.c.id == deliveries.c.obligation_id)
                    .where(
                        deliveries.c.cause == "step",
                        deliveries.c.state == "queued",
                        obligations.c.state != "open",
                    )
                )
            ).all()
            stepped = (
                await conn.execute(
                    sa.select(sa.func.count()).where(entry_rows.c.type == "escalation.stepped")
                )
            ).scalar_one()
        assert set(history) == {one["id"] for one in owed}, "none appears or vanishes (I2)"
        for one in owed:
            _check_history(history[one["id"]], one)
        fresh = [one for one in fired if not one["skipped"]]
        assert stepped == len(fresh), "a step is one row and one entry (I5)"
        open_ones = {one["incident_id"] for one in owed if one["state"] is ObligationState.OPEN}
        assert open_ones.isdisjoint(self.ended), "a cancel leaves nothing open"
        assert not waiting, "a closing answer leaves nothing queued"
        for obligation_id, at in answered:
            later = [
                one
                for one in fresh
                if one["obligation_id"] == obligation_id
                and one["fired_at"] > at
                and not _reopened(history[obligation_id], one["epoch"], after=at)
            ]
            assert not later, "no step after the closing answer of its round (I5)"

    async def _obligation_ids(self) -> list[ObligationId]:
        async with self.desk.database.read() as conn:
            found = await conn.execute(sa.select(obligations.c.id).order_by(obligations.c.id))
            return list(found.scalars())

    def _note(self, made: intake.Answered) -> None:
        response = made.response
        self.versions[response["incident_id"]] = (response["id"], response["version"])

    def _world(self) -> ManualClock:
        return furnish.world(self.desk)


def _check_history(lines: list[Any], row: Any) -> None:
    before, epoch, step = None, 0, 0
    for facts in lines:
        state = ObligationState(facts["state"])
        assert state in LEGAL[before], f"{before} to {state}"
        assert facts["epoch"] in {epoch, epoch + 1}, "rounds come one after the other"
        if facts["epoch"] != epoch:
            assert facts["step"] == 0, "a round begins with its first step"
        else:
            assert facts["step"] >= step, "a round's steps only go forward"
        assert state is ObligationState.OPEN or facts["next_step_at"] is None
        before, epoch, step = state, facts["epoch"], facts["step"]
    assert before is row["state"]
    assert epoch == row["epoch"]


def _reopened(lines: list[Any], epoch: int, *, after: dt.datetime) -> bool:
    """Say whether the round of a step began after an answer."""
    began = [
        dt.datetime.fromisoformat(one["round_started_at"])
        for one in lines
        if one["epoch"] == epoch and one["round_started_at"]
    ]
    return bool(began) and min(began) >= after


TestAnyOrder = pytest.mark.slow(reason="some hundred transactions on disk")(Incidents.TestCase)
TestAnyOrder.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),  # explaining would trace every line
)
