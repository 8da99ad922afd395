"""A line to an endpoint is bounded, and what waits in one costs the others nothing (I12)."""

import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from harness.loads import a_load
from noticebus.contracts.vocabulary import Channel, HeldReason
from noticebus.dispatcher.carrier import Load
from noticebus.dispatcher.failures import NoSlotError
from noticebus.dispatcher.lines import (
    LINES_MAX,
    QUEUED_MAX,
    QUICK,
    RECENT,
    WAITING_MAX,
    Line,
    Lines,
    Place,
)
from noticebus.ids import new_subscription_id

LEFT = 4_000
SHORT = dt.timedelta(seconds=0.5)


def load(*, backlog: bool = False, concurrency: int | None = None, **more: Any) -> Load:
    """Make a claimed webhook delivery to one server; `more` are facts of its delivery."""
    made = a_load(url="https://a.example/hook")
    held = HeldReason.TURN if backlog else None
    return replace(
        made,
        delivery=replace(made.delivery, held_reason=held, **more),
        destination=replace(made.destination, concurrency=concurrency),
    )


def to(url: str | None) -> Load:
    return replace(load(), destination=replace(load().destination, url=url))


def places(lines: Lines, one: Load, *, left: int = LEFT) -> list[Place]:
    """Take every place that there is in a load's line."""
    taken = []
    while (place := lines.place(one, left=left)) is not None:
        taken.append(place)
    return taken


@asynccontextmanager
async def holding(lines: Lines, one: Load, count: int) -> AsyncIterator[None]:
    """Hold `count` slots of a load's line."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            place = lines.place(one, left=LEFT)
            assert place is not None
            stack.callback(place.leave)
            await stack.enter_async_context(place.slot())
        yield


async def runs(lines: Lines, one: Load) -> bool:
    """Say whether a load gets a slot in time."""
    place = lines.place(one, left=LEFT)
    assert place is not None
    try:
        async with place.slot():
            return True
    except NoSlotError:
        return False
    finally:
        place.leave()


async def test_no_more_run_at_once_than_the_line_has_slots() -> None:
    lines = Lines(2, limit=SHORT)

    async with holding(lines, load(), 2):
        assert not await runs(lines, load())
    assert await runs(lines, load())


async def test_endpoints_that_agreed_to_many_at_once_leave_room_for_the_others() -> None:
    lines, left = Lines(16), LEFT
    for _ in range(8):  # and none of them answers
        greedy = load(concurrency=1_000, subscription_id=new_subscription_id())
        while lines.place(greedy, left=left) is not None:
            left -= 1

    assert left > 100
    assert lines.place(load(), left=left) is not None


def ended(lines: Lines, one: Load, took: float, *, times: int = 1) -> Line:
    """Let requests of a load's line have ended after `took` seconds each."""
    line = lines._line_of(one)
    assert line is not None
    for _ in range(times):
        line.ended(took)
    return line


async def test_a_line_of_which_nothing_is_known_holds_its_slots_and_1000_who_wait() -> None:
    assert len(places(Lines(16), load())) == 16 + WAITING_MAX


async def test_no_line_takes_more_than_a_quarter_of_the_room_that_is_left() -> None:
    assert len(places(Lines(16), load(), left=100)) == 16 + 25
    assert len(places(Lines(16), load(), left=0)) == 16


async def test_a_line_in_which_nothing_moves_is_short_until_a_request_ends_in_time() -> None:
    lines = Lines(2, limit=SHORT)
    async with holding(lines, load(), 2):
        assert not await runs(lines, load())
        waiting = places(lines, load())
        assert len(waiting) == 2

    for one in waiting:
        one.leave()
    assert len(lines) == 1, "that it stalled is remembered"
    assert await runs(lines, load())
    assert len(places(lines, load())) == 2 + WAITING_MAX


@pytest.mark.parametrize(
    ("took_s", "waiting"), [(0.016, 2 * 1_000), (0.08, WAITING_MAX), (1.6, 2 * 10)]
)
async def test_a_line_that_is_quick_or_slow_is_as_long_as_will_have_gone_in_time(
    took_s: float, waiting: int
) -> None:
    lines = Lines(16, limit=dt.timedelta(seconds=2))
    ended(lines, load(), took_s)

    assert len(places(lines, load())) == 16 + waiting


async def test_a_line_with_few_slots_lets_as_many_wait_as_run_however_slow_it_is() -> None:
    lines = Lines(4, limit=dt.timedelta(seconds=2))
    ended(lines, load(), 1.9)

    assert len(places(lines, load())) == 4 + 4


async def test_a_quick_line_takes_no_more_than_half_of_the_room_that_is_left() -> None:
    lines = Lines(16)
    ended(lines, load(), 0.001)

    assert len(places(lines, load(), left=1_000)) == 16 + 500


async def test_one_pause_of_ours_makes_no_line_slow() -> None:
    lines = Lines(16)
    line = ended(lines, load(), 0.01, times=RECENT)
    line.ended(0.4)

    assert line.quick


async def test_a_line_that_moves_again_is_not_taken_to_be_quick_at_once() -> None:
    lines = Lines(16, limit=SHORT)
    line = ended(lines, load(), 0.6, times=RECENT)
    line.ended(0.001)

    assert (line.stalled, line.slow, line.quick) == (False, False, False)
    assert len(places(lines, load())) == 16 + WAITING_MAX


async def test_who_waits_in_vain_while_requests_end_does_not_make_the_line_short() -> None:
    """A recorder that is behind holds slots; the endpoint answers."""
    lines = Lines(2, limit=SHORT)
    async with holding(lines, load(), 2):
        line = ended(lines, load(), 0.01)
        line._moved_at = time.monotonic() + 1
        assert not await runs(lines, load())
        assert not line.stalled


async def test_a_slow_request_leaves_a_short_line() -> None:
    lines = Lines(2, limit=dt.timedelta(0))
    assert await runs(lines, load())

    assert len(places(lines, load())) == 4


async def test_what_goes_in_its_turn_has_half_of_the_slots_and_stands_in_nobodys_way() -> None:
    lines = Lines(4, limit=SHORT)

    async with holding(lines, load(backlog=True), 2):
        assert not await runs(lines, load(backlog=True))
        assert await runs(lines, load())


async def test_a_backlog_gets_a_slot_even_where_there_is_only_one() -> None:
    assert await runs(Lines(1, limit=SHORT), load(backlog=True))


async def test_a_backlog_takes_no_place_of_what_is_fresh() -> None:
    """Thirty-three subscriptions at one host recover together, each with a window of its own."""
    lines = Lines(16)
    waiting = [lines.place(load(backlog=True), left=LEFT) for _ in range(33 * 16)]

    assert sum(one is not None for one in waiting) == 16
    assert len(places(lines, load())) == 16 + WAITING_MAX


async def test_a_backlog_takes_no_place_of_what_is_fresh_at_a_slow_endpoint_either() -> None:
    lines = Lines(4, limit=dt.timedelta(0))
    assert await runs(lines, load())

    assert len(places(lines, load(backlog=True))) == 4
    assert len(places(lines, load())) == 8


async def test_a_backlog_that_waits_for_its_half_makes_no_line_short() -> None:
    lines = Lines(4, limit=SHORT)

    async with holding(lines, load(backlog=True), 2):
        assert not await runs(lines, load(backlog=True))
        assert len(places(lines, load())) == 4 + WAITING_MAX


async def test_an_only_slot_is_not_for_a_backlog_while_something_fresh_is_in_line() -> None:
    lines = Lines(1)
    turn = lines.place(load(backlog=True), left=LEFT)
    fresh = lines.place(load(), left=LEFT)
    assert turn is not None
    assert fresh is not None

    assert lines.place(load(backlog=True), left=LEFT) is None
    with pytest.raises(NoSlotError):  # nor where it was in line before
        async with turn.slot():
            pass
    fresh.leave()
    async with turn.slot():
        pass


async def test_an_only_slot_is_kept_for_something_fresh_that_was_put_back() -> None:
    lines = Lines(1, limit=SHORT)
    async with holding(lines, load(backlog=True), 1):
        assert not await runs(lines, load()), "it comes again in a few seconds"

    assert lines.place(load(backlog=True), left=LEFT) is None
    assert await runs(lines, load())


async def test_an_only_slot_is_not_kept_for_ever() -> None:
    lines = Lines(1, limit=SHORT, back_within=dt.timedelta(0))
    async with holding(lines, load(backlog=True), 1):
        assert not await runs(lines, load())

    assert await runs(lines, load(backlog=True))


async def test_what_is_put_back_at_the_door_is_waited_for_as_well() -> None:
    lines = Lines(1)
    for one in places(lines, load()):  # the last found the line full
        one.leave()

    assert lines.place(load(backlog=True), left=LEFT) is None


async def test_an_agreed_number_makes_a_line_of_its_own() -> None:
    lines = Lines(1, limit=SHORT)
    agreed = load(concurrency=3, subscription_id=new_subscription_id())

    async with holding(lines, load(), 1), holding(lines, agreed, 3):
        assert not await runs(lines, agreed)


async def test_another_agreement_holds_once_nobody_is_in_line() -> None:
    lines = Lines(1, limit=SHORT)
    id_ = new_subscription_id()
    async with holding(lines, load(concurrency=1, subscription_id=id_), 1):
        assert not await runs(lines, load(concurrency=2, subscription_id=id_))

    async with holding(lines, load(concurrency=2, subscription_id=id_), 2):
        pass


async def test_one_server_has_one_line_and_another_port_another() -> None:
    lines = Lines(1, limit=SHORT)

    async with holding(lines, to("https://a.example/one"), 1):
        assert not await runs(lines, to("https://a.example:443/two"))
        assert await runs(lines, to("https://a.example:8443/two"))


@pytest.mark.parametrize("url", [None, "", "no url", "https://[", "/path"])
async def test_what_has_no_origin_goes_at_once_and_the_sender_says_so(url: str | None) -> None:
    lines = Lines(1, limit=SHORT)

    assert await runs(lines, to(url))
    assert len(lines) == 0


async def test_mail_stands_in_no_line() -> None:
    lines = Lines(1)
    mail = load(channel=Channel.EMAIL)

    async with holding(lines, mail, 50):
        assert len(lines) == 0


async def test_the_pace_of_a_line_is_remembered_when_everybody_has_left() -> None:
    lines = Lines(16)
    ended(lines, load(), 0.001)
    assert await runs(lines, load())

    assert ended(lines, load(), 0.001).quick
    assert len(lines) == 1


async def test_lines_are_forgotten_once_they_are_thousands() -> None:
    lines = Lines(4)
    kept = lines.place(to("https://kept.example/"), left=LEFT)
    for number in range(3 * LINES_MAX):
        ended(lines, to(f"https://{number}.example/"), 0.01)

    assert len(lines) <= LINES_MAX
    assert kept is not None
    assert "https://kept.example" in lines._lines


async def test_lines_that_must_be_remembered_are_not_looked_through_again_and_again() -> None:
    lines = Lines(1, limit=dt.timedelta(0))
    for number in range(2 * LINES_MAX):
        ended(lines, to(f"https://{number}.example/"), 1.0)

    assert len(lines) == 2 * LINES_MAX
    assert lines._forget_at >= 2 * LINES_MAX


async def test_who_waits_is_counted_once_and_of_no_line_more_than_a_few() -> None:
    lines = Lines(2)
    few, many = to("https://one.example/"), to("https://two.example/")
    places(lines, many)
    waiting = [lines.place(few, left=LEFT) for _ in range(5)]
    both = lines.queued
    for one in waiting:
        assert one is not None
        one.leave()

    assert (both, lines.queued) == (3 + QUEUED_MAX, QUEUED_MAX)


async def test_who_waits_where_nothing_moves_makes_nobody_wait() -> None:
    lines = Lines(2, limit=SHORT)
    async with holding(lines, load(), 2):
        waiting = places(lines, load())
        before = lines.queued
        last = waiting.pop()
        with pytest.raises(NoSlotError):
            await last.slot().__aenter__()
        last.leave()
        after = lines.queued

    assert (before, after) == (QUEUED_MAX, 0)


async def test_who_waits_for_a_slow_endpoint_makes_nobody_wait() -> None:
    lines = Lines(2, limit=dt.timedelta(seconds=8))
    one = lines.place(load(), left=LEFT)
    assert one is not None
    waiting = places(lines, load())
    before = lines.queued
    slot = one.slot()
    async with slot:
        slot._began -= 5
    one.leave()

    assert waiting
    assert (before, lines.queued) == (QUEUED_MAX, 0)


async def test_all_who_wait_in_a_quick_line_are_counted() -> None:
    lines = Lines(16)
    line = ended(lines, load(), 16 / QUICK)
    assert line.quick
    places(lines, load())

    assert lines.queued == 2 * QUICK


async def test_an_endpoint_that_takes_its_time_makes_few_wait() -> None:
    lines = Lines(16)
    assert not ended(lines, load(), 17 / QUICK).quick
    places(lines, load())

    assert lines.queued == QUEUED_MAX


async def test_what_a_slot_is_held_for_after_the_answer_is_not_the_endpoints_time() -> None:
    lines = Lines(2, limit=dt.timedelta(seconds=8))
    place = lines.place(load(), left=LEFT)
    assert place is not None
    async with place.slot() as slot:
        slot.answered()
        slot._began -= 60
        line = lines._line_of(load())
    place.leave()

    assert line is not None
    assert (line.stalled, line.slow) == (False, False)
    assert line.pace > QUICK
