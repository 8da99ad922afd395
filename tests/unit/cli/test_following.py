from typing import Any

from noticebus.cli import following
from noticebus.cli.following import HEARTBEAT, NOTICE, Follower


def event(
    number: object, *, kind: str = NOTICE, delivery_id: str = "", subscription: object = "sub_1"
) -> dict[str, Any]:
    return {
        "id": delivery_id or f"dlv_{kind}_{number}",
        "type": kind,
        "data": {"subscription": {"id": subscription, "sequence": number}},
    }


def take(*events: dict[str, Any]) -> list[tuple[str, ...]]:
    follower = Follower()
    return [follower.take(one, b"x").remarks for one in events]


def test_numbers_without_a_gap_need_no_word() -> None:
    assert take(event(41), event(42), event(43)) == [(), (), ()]


def test_a_gap_is_named_with_the_call_that_fills_it() -> None:
    *_, (said,) = take(event(41), event(43))

    assert said.startswith("41, 43: 42 is missing")
    assert said.endswith("GET /v1/inbox?subscription=sub_1&after=41")


def test_a_gap_of_several_is_named_by_its_ends() -> None:
    follower = Follower()
    follower.take(event(41), b"x")

    noted = follower.take(event(45), b"x")

    assert noted.missing == (42, 43, 44)
    assert "42 to 44 are missing" in noted.remarks[0]


def test_what_came_late_closes_the_gap() -> None:
    *_, first, second = take(event(1), event(4), event(3), event(2))

    assert first == ("3 came late: 1 still missing",)
    assert second == ("2 came late: nothing is missing any more",)


def test_a_heartbeat_shows_what_was_lost_at_the_end() -> None:
    _, quiet, (said,) = take(event(41), event(41, kind=HEARTBEAT), event(43, kind=HEARTBEAT))

    assert quiet == ()
    assert said.startswith("a heartbeat says 43, here is 41: 42 to 43 are missing")


def test_what_a_heartbeat_missed_may_still_come() -> None:
    *_, said = take(event(1), event(2, kind=HEARTBEAT), event(2))

    assert said == ("2 came late: nothing is missing any more",)


def test_subscriptions_are_counted_apart() -> None:
    assert take(event(1), event(7, subscription="sub_2"), event(2)) == [(), (), ()]


def test_a_repeat_says_whether_the_body_is_the_same() -> None:
    follower = Follower()
    follower.take(event(1, delivery_id="dlv_1"), b"x")

    same = follower.take(event(1, delivery_id="dlv_1"), b"x")
    other = follower.take(event(1, delivery_id="dlv_1"), b"y")

    assert (same.time, same.remarks) == (2, ("again dlv_1, arrival 2, with the same body",))
    assert (other.time, other.remarks) == (3, ("again dlv_1, arrival 3, with ANOTHER body",))


def test_what_has_no_number_is_not_counted() -> None:
    step = event(9, kind="org.noticebus.step.v1")
    others: list[dict[str, Any]] = [{"id": "a", "type": NOTICE}, {"id": "b", "data": []}, {}]

    odd = [event(None), event("3"), event(-1), event(7, subscription=None)]

    assert take(event(1), step, *others, *odd) == [()] * 9


def test_a_gap_of_millions_is_remembered_in_part() -> None:
    follower = Follower()
    follower.take(event(1), b"x")

    noted = follower.take(event(10_000_000), b"x")

    assert len(noted.missing) == following.MISSING_MAX
    assert "2 to 9999999 are missing" in noted.remarks[0]
    again = follower.take(event(20_000_000), b"x")
    assert again.missing == ()
    assert "10000001 to 19999999 are missing" in again.remarks[0]


def test_ids_and_subscriptions_are_remembered_up_to_a_limit() -> None:
    follower = Follower()
    for number in range(following.IDS_KEPT_MAX + 1):
        follower.take(event(1, delivery_id=f"dlv_{number}", subscription=f"sub_{number}"), b"")

    assert follower.take(event(1, delivery_id="dlv_0", subscription="sub_0"), b"").time == 1
    assert follower.take(event(1, delivery_id="dlv_9999", subscription="sub_9999"), b"").time == 2
