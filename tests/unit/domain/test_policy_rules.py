"""What policies may not be: loops, endpoints nobody has, silence; and what is warned of."""

import datetime as dt

import pytest

from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Notify, Position
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.policies import Hold, HoldRule, Policy, Step, default_policies
from noticebus.domain.policy_rules import (
    Reachable,
    endpoints_of,
    loops,
    may_be_silent,
    misplaced_endpoints,
    reaches_somebody,
    weaknesses,
    writes_to_somebody,
)
from noticebus.ids import ContactId, PolicyId

MAIL = (Channel.EMAIL,)
DUTY = ContactPoint(id=ContactId("duty"), position=Position.ON_DUTY, email="d@example.gov")
LEAD = ContactPoint(id=ContactId("lead"), position=Position.ON_DUTY, phone="+16015550100")
HEAD = ContactPoint(id=ContactId("head"), position=Position.HEAD, email="h@example.gov")


def step(minutes: int, notify: Notify, *channels: Channel) -> Step:
    return Step(after=dt.timedelta(minutes=minutes), notify=notify, channels=channels or MAIL)


def listed(minutes: int, notify: Notify = Notify.OPERATORS) -> Step:
    return Step(after=dt.timedelta(minutes=minutes), notify=notify, channels=())


@pytest.mark.parametrize(
    "steps",
    [
        [step(10, Notify.ON_DUTY), step(20, Notify.SECOND), step(30, Notify.HEAD)],
        [step(10, Notify.ON_DUTY), step(25, Notify.ON_DUTY), step(60, Notify.ON_DUTY)],
        [step(0, Notify.ON_DUTY), step(5, Notify.ON_DUTY), step(15, Notify.ON_DUTY)],
        [step(10, Notify.HEAD), step(20, Notify.HEAD, Channel.VOICE)],  # louder, so not again
    ],
)
def test_a_chain_that_goes_up_or_reminds_ever_later_is_no_loop(steps: list[Step]) -> None:
    assert loops(steps) == ()


@pytest.mark.parametrize(
    ("steps", "pointers"),
    [
        ([step(10, Notify.HEAD), step(20, Notify.HEAD)], ["/steps/1"]),
        ([step(10, Notify.ON_DUTY), step(20, Notify.ON_DUTY)], ["/steps/1"]),  # an even beat
        (
            [step(10, Notify.ON_DUTY), step(30, Notify.ON_DUTY), step(40, Notify.ON_DUTY)],
            ["/steps/2"],
        ),
        (
            [step(10, Notify.ON_DUTY), step(20, Notify.HEAD), step(90, Notify.ON_DUTY)],
            ["/steps/2"],  # back down
        ),
        (
            [
                step(1, Notify.HEAD, Channel.SMS, Channel.VOICE),
                step(9, Notify.HEAD, Channel.VOICE, Channel.SMS),
            ],
            ["/steps/1"],
        ),
        ([listed(10), listed(20)], ["/steps/1"]),
    ],
)
def test_a_chain_that_comes_back_is_a_loop(steps: list[Step], pointers: list[str]) -> None:
    assert [one.pointer for one in loops(steps)] == pointers


def test_only_a_desk_has_endpoints_and_nobody_is_called_by_a_feed() -> None:
    found = misplaced_endpoints(
        [
            step(0, Notify.FIRST_TWO, Channel.WEBHOOK, Channel.KAFKA),
            step(1, Notify.SECOND, Channel.WEBHOOK, Channel.EMAIL),
            step(2, Notify.ALL_CONTACTS, Channel.INBOX),
            step(3, Notify.OPERATORS, Channel.KAFKA),
        ]
    )

    assert [(one.pointer, one.message) for one in found] == [
        ("/steps/1/channels", "take webhook out: second has none"),
        ("/steps/2/channels", "take inbox out: all_contacts has none"),
        ("/steps/3/channels", "take kafka out: operators has none"),
    ]


@pytest.mark.parametrize("one", default_policies(), ids=lambda one: one.id)
def test_every_default_keeps_the_rules(one: Policy) -> None:
    assert loops(one.steps) == ()
    assert misplaced_endpoints(one.steps) == ()
    assert writes_to_somebody(one.steps) or may_be_silent(one)


@pytest.mark.parametrize(
    ("notice_class", "due", "silent"),
    [
        (NoticeClass.A, None, False),
        (NoticeClass.B, None, False),
        (NoticeClass.C, None, True),
        (NoticeClass.C, 60, False),
        (NoticeClass.D, None, True),
    ],
)
def test_only_a_class_that_asks_for_nothing_may_be_silent(
    notice_class: NoticeClass, due: int | None, *, silent: bool
) -> None:
    policy = Policy(
        id=PolicyId("p"),
        version=1,
        recipient_kind=AgencyKind.FAITH,
        notice_class=notice_class,
        due_after=None if due is None else dt.timedelta(minutes=due),
        hold=HoldRule(hold=Hold.NEVER),
        steps=(),
    )

    assert may_be_silent(policy) is silent


def test_a_list_writes_to_nobody() -> None:
    assert not writes_to_somebody([listed(10)])
    assert writes_to_somebody([listed(10), step(20, Notify.HEAD)])


@pytest.mark.parametrize(
    ("reach", "reached"),
    [
        (Reachable(), False),
        (Reachable(endpoints=frozenset({Channel.WEBHOOK})), True),
        (Reachable(contacts=[DUTY]), True),
        (Reachable(contacts=[LEAD]), False),  # no mail, and the step only mails
        (Reachable(operators=[HEAD]), True),
    ],
)
def test_a_policy_reaches_somebody_through_an_endpoint_a_person_or_an_operator(
    reach: Reachable, *, reached: bool
) -> None:
    steps = [step(10, Notify.ON_DUTY, Channel.WEBHOOK, Channel.EMAIL)]

    assert reaches_somebody(steps, reach) is reached


def test_a_delegate_is_reached_where_there_is_one() -> None:
    steps = [step(10, Notify.DELEGATE)]

    assert reaches_somebody(steps, Reachable(delegates=[HEAD]))
    assert not reaches_somebody(steps, Reachable(contacts=[HEAD]))


def test_weak_steps_are_named_with_what_will_happen_instead() -> None:
    reach = Reachable(contacts=[DUTY, LEAD, HEAD], operators=[])
    steps = [
        step(10, Notify.ON_DUTY),
        step(20, Notify.SECOND),
        step(30, Notify.HEAD, Channel.VOICE),
        step(40, Notify.HEAD),
        listed(50),
    ]

    assert [(one.pointer, one.message) for one in weaknesses(steps, reach)] == [
        ("/steps/0", "1 of 2 at on_duty have none of its channels"),
        ("/steps/1", "nobody is at second: head is called instead"),
        ("/steps/2", "head reaches nobody: give a contact one of the step's channels"),
    ]


def test_a_level_without_people_whose_endpoints_alone_are_called_is_named_so() -> None:
    steps = [step(10, Notify.ON_DUTY, Channel.WEBHOOK, Channel.EMAIL)]
    there = frozenset({Channel.WEBHOOK})

    (alone,) = weaknesses(steps, Reachable(endpoints=there))
    (backed,) = weaknesses(steps, Reachable(endpoints=there, operators=[HEAD]))

    assert alone.message == "nobody is at on_duty: only endpoints are called"
    assert backed.message == "nobody is at on_duty: operators is called instead"


def test_an_endpoint_that_the_agency_lacks_is_not_called() -> None:
    both = step(10, Notify.ON_DUTY, Channel.WEBHOOK, Channel.KAFKA)
    theirs = step(20, Notify.DELEGATE, Channel.WEBHOOK, Channel.KAFKA)
    reach = Reachable(
        endpoints=frozenset({Channel.KAFKA}), delegate_endpoints=frozenset({Channel.WEBHOOK})
    )

    assert endpoints_of(both, reach) == (Channel.KAFKA,)
    assert endpoints_of(theirs, reach) == (Channel.WEBHOOK,)
