"""Who gets a notice, over which channels, and which places nobody answers for."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ContentLevel,
    NoticeClass,
    Position,
    Role,
    Standing,
    UnreachableReason,
)
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.routing import (
    NATION,
    County,
    Missing,
    Recipient,
    ResponsibilityMatch,
    Routing,
    SubscriptionMatch,
    Uncovered,
    coverage,
    route,
)
from noticebus.ids import AgencyId, ContactId, SubscriptionId

SCOTT = "county:28123"
KEYS = frozenset({SCOTT, "state:28", NATION, "lea:2803060"})
POSTER = AgencyId("agy_poster")
CPS = AgencyId("agy_cps")
CHURCH = AgencyId("agy_church")


def duty(
    agency: str = CPS,
    *,
    role: Role = Role.CPS,
    area_key: str = SCOTT,
    kind: AgencyKind = AgencyKind.CPS,
) -> ResponsibilityMatch:
    return ResponsibilityMatch(
        agency_id=AgencyId(agency), agency_kind=kind, role=role, area_key=area_key
    )


def order(
    agency: str = CHURCH,
    *,
    channel: Channel = Channel.WEBHOOK,
    verified: bool = True,
    paused: bool = False,
    moved: bool = False,
    number: int = 1,
) -> SubscriptionMatch:
    return SubscriptionMatch(
        subscription_id=SubscriptionId(f"sub_{agency}_{number}"),
        agency_id=AgencyId(agency),
        agency_kind=AgencyKind.FAITH,
        channel=channel,
        content_level=ContentLevel.PARTNER,
        verified=verified,
        paused=paused,
        moved=moved,
    )


def contact(name: str, position: Position, *, email: bool = True) -> ContactPoint:
    address = f"{name}@example.gov" if email else None
    return ContactPoint(id=ContactId(f"cnt_{name}"), position=position, email=address)


DUTY = contact("duty", Position.ON_DUTY)
HEAD = contact("head", Position.HEAD)


def routed(
    *,
    duties: Sequence[ResponsibilityMatch] = (),
    orders: Sequence[SubscriptionMatch] = (),
    contacts: Mapping[AgencyId, Sequence[ContactPoint]] | None = None,
    notice_class: NoticeClass = NoticeClass.B,
) -> Routing:
    return route(
        area_keys=KEYS,
        poster_id=POSTER,
        notice_class=notice_class,
        responsibilities=duties,
        subscriptions=orders,
        contacts_by_agency=contacts or {},
    )


def only(found: Routing) -> Recipient:
    (recipient,) = found.recipients
    return recipient


def test_responsibility_makes_a_mandatory_recipient_and_a_subscription_an_advisory_one() -> None:
    found = routed(duties=[duty()], orders=[order()])

    assert [(one.agency_id, one.standing, one.role, one.kind) for one in found.recipients] == [
        (CPS, Standing.MANDATORY, Role.CPS, AgencyKind.CPS),
        (CHURCH, Standing.ADVISORY, None, AgencyKind.FAITH),
    ]


def test_mandatory_wins_and_an_agency_is_one_recipient() -> None:
    found = only(
        routed(
            duties=[duty(), duty(area_key="state:28"), duty(role=Role.SCHOOL), duty()],
            orders=[order(CPS), order(CPS), order(CPS, number=2)],
        )
    )

    assert found.standing is Standing.MANDATORY
    assert found.role is Role.CPS
    assert [one.area_key for one in found.responsibilities] == [SCOTT, "state:28", SCOTT]
    assert found.subscription_ids == ("sub_agy_cps_1", "sub_agy_cps_2")


def test_poster_is_never_its_own_recipient() -> None:
    assert routed(duties=[duty(POSTER)], orders=[order(POSTER)]).recipients == ()


def test_responsibility_elsewhere_makes_no_recipient() -> None:
    assert routed(duties=[duty(area_key="county:28089")]).recipients == ()


def test_responsible_agency_without_a_subscription_is_reached_through_its_contacts() -> None:
    found = only(routed(duties=[duty()], contacts={CPS: [HEAD, DUTY]}))

    assert found.reachable
    assert found.contact_ids == (DUTY.id,)
    assert (found.first_channels, found.fallback_channels) == ((Channel.EMAIL,), ())


def test_desk_is_the_first_position_with_somebody_who_can_be_reached() -> None:
    mute = contact("mute", Position.ON_DUTY, email=False)

    assert only(routed(duties=[duty()], contacts={CPS: [mute, HEAD]})).contacts == (HEAD,)


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([], UnreachableReason.NO_VERIFIED_CHANNEL),
        ([order(CPS, verified=False)], UnreachableReason.NO_VERIFIED_CHANNEL),
        ([order(CPS, paused=True)], UnreachableReason.SUBSCRIPTION_PAUSED),
        ([order(CPS, paused=True, moved=True)], UnreachableReason.NO_VERIFIED_CHANNEL),
        (
            [order(CPS, paused=True, moved=True), order(CPS, paused=True)],
            UnreachableReason.SUBSCRIPTION_PAUSED,
        ),
    ],
)
def test_recipient_that_nothing_reaches_is_still_a_recipient_with_the_reason(
    orders: list[SubscriptionMatch], reason: UnreachableReason
) -> None:
    found = routed(duties=[duty()], orders=orders)

    assert only(found).unreachable_reason is reason
    assert only(found).channels == ()
    assert found.unreachable == found.recipients


def test_paused_subscription_of_a_responsible_agency_is_gone_round_by_mail() -> None:
    found = only(routed(duties=[duty()], orders=[order(CPS, paused=True)], contacts={CPS: [DUTY]}))

    assert found.reachable
    assert found.channels == (Channel.EMAIL,)
    assert found.subscriptions == ()


@pytest.mark.parametrize(
    "unusable", [order(paused=True), order(verified=False), order(verified=False, paused=True)]
)
def test_reader_that_paused_or_never_consented_is_left_alone(unusable: SubscriptionMatch) -> None:
    found = only(routed(orders=[unusable], contacts={CHURCH: [DUTY]}))

    assert not found.reachable
    assert found.contacts == ()


def test_urgent_notice_uses_every_channel_at_once() -> None:
    found = only(
        routed(
            orders=[order(), order(channel=Channel.INBOX, number=2)],
            contacts={CHURCH: [DUTY]},
            notice_class=NoticeClass.A,
        )
    )

    assert found.first_channels == (Channel.WEBHOOK, Channel.EMAIL, Channel.INBOX)
    assert found.fallback_channels == ()


@pytest.mark.parametrize("notice_class", [NoticeClass.B, NoticeClass.C, NoticeClass.D])
def test_other_notices_use_the_first_channel_then_the_next(notice_class: NoticeClass) -> None:
    found = only(routed(orders=[order()], contacts={CHURCH: [DUTY]}, notice_class=notice_class))

    assert found.first_channels == (Channel.WEBHOOK,)
    assert found.fallback_channels == (Channel.EMAIL,)


def test_feed_is_always_filled_and_mail_is_first_without_a_webhook() -> None:
    found = only(
        routed(
            orders=[order(channel=Channel.INBOX), order(channel=Channel.EMAIL, number=2)],
        )
    )

    assert found.first_channels == (Channel.EMAIL, Channel.INBOX)
    assert found.fallback_channels == ()


@given(st.randoms(use_true_random=False))
def test_order_of_recipients_does_not_depend_on_the_order_of_matches(rng: random.Random) -> None:
    duties = [duty(f"agy_{n}", area_key=key) for n in range(6) for key in sorted(KEYS)]
    orders = [order(f"agy_{n}", number=m) for n in range(3, 9) for m in range(2)]
    expected = routed(duties=duties, orders=orders)

    rng.shuffle(duties)
    rng.shuffle(orders)
    found = routed(duties=duties, orders=orders)

    assert found == expected
    assert [one.agency_id for one in found.recipients] == [f"agy_{n}" for n in range(9)]


def test_thousands_of_matches_are_routed() -> None:
    duties = [duty(f"agy_{n:05}", area_key=key) for n in range(5_000) for key in sorted(KEYS)]
    orders = [order(f"agy_{n:05}") for n in range(10_000)]

    found = routed(duties=duties, orders=orders)

    assert len(found.recipients) == 10_000
    assert found.recipients[5_000].standing is Standing.ADVISORY


NO_CPS = Uncovered(missing=Missing.CPS, county_fips="28123")
NO_SCHOOL = Uncovered(missing=Missing.SCHOOL, county_fips="28123")
SCHOOL = duty("agy_school", role=Role.SCHOOL, area_key="lea:2803060")


def uncovered(*duties: ResponsibilityMatch, **facts: Any) -> tuple[Uncovered, ...]:
    county = County(fips="28123", lea_ids=frozenset({"2803060"}))
    return coverage(counties=[county], responsibilities=duties, **facts)


def test_county_needs_a_cps_agency_and_a_district() -> None:
    assert uncovered() == (NO_CPS, NO_SCHOOL)
    assert uncovered(duty()) == (NO_SCHOOL,)
    assert uncovered(SCHOOL) == (NO_CPS,)
    assert uncovered(duty(), SCHOOL) == ()


@pytest.mark.parametrize("area_key", ["state:28", NATION, SCOTT])
def test_wider_area_covers_the_county(area_key: str) -> None:
    wide = duty(area_key=area_key), duty(role=Role.SCHOOL, area_key=area_key)

    assert uncovered(*wide, lea_ids=["2803060"]) == (
        (Uncovered(missing=Missing.SCHOOL, lea_id="2803060"),) if area_key == SCOTT else ()
    )


@pytest.mark.parametrize("role", [Role.TRIBAL_CHILD_WELFARE, Role.COMMUNITY])
def test_others_stand_beside_cps_and_not_instead(role: Role) -> None:
    assert uncovered(duty(role=role)) == (NO_CPS, NO_SCHOOL)


def test_named_district_without_an_agency_is_uncovered_once() -> None:
    found = coverage(
        counties=[], lea_ids=["2899999", "2803060", "2899999"], responsibilities=[SCHOOL]
    )

    assert found == (Uncovered(missing=Missing.SCHOOL, lea_id="2899999"),)


def test_agency_that_declined_covers_nothing() -> None:
    assert uncovered(duty(), SCHOOL, lost=frozenset({CPS})) == (NO_CPS,)


def test_decline_uncovers_a_place_only_when_nobody_is_left() -> None:
    second = duty("agy_second")
    both = frozenset({CPS, second.agency_id})

    assert uncovered(duty(), second, SCHOOL, lost=frozenset({CPS})) == ()
    assert uncovered(duty(), second, SCHOOL, lost=both) == (NO_CPS,)


def test_waived_beside_a_decline_covers_nothing_and_needs_nobody_where_alone() -> None:
    second = duty("agy_second")
    waived = frozenset({second.agency_id})

    assert uncovered(duty(), second, SCHOOL, waived=waived) == ()
    assert uncovered(second, SCHOOL, waived=waived) == ()
    assert uncovered(duty(), second, SCHOOL, lost=frozenset({CPS}), waived=waived) == (NO_CPS,)


@pytest.mark.parametrize(
    ("notice_class", "orders", "held", "channels"),
    [
        # Where nothing else is there, the paused one is what would have been called first.
        (NoticeClass.B, [order(CPS, paused=True)], ["sub_agy_cps_1"], ()),
        # An inbox is filled at all times, paused or not; so is what is held for one.
        (
            NoticeClass.B,
            [order(CPS, channel=Channel.INBOX, paused=True), order(CPS, number=2)],
            ["sub_agy_cps_1"],
            (Channel.WEBHOOK,),
        ),
        # A topic comes after the webhook in class B, and so does what is held for it.
        (
            NoticeClass.B,
            [order(CPS, channel=Channel.KAFKA, paused=True), order(CPS, number=2)],
            [],
            (Channel.WEBHOOK,),
        ),
        # In class A everything is called at once.
        (
            NoticeClass.A,
            [order(CPS, channel=Channel.KAFKA, paused=True), order(CPS, number=2)],
            ["sub_agy_cps_1"],
            (Channel.WEBHOOK,),
        ),
        # The webhook is paused: the topic is called first, and the webhook's is held.
        (
            NoticeClass.B,
            [order(CPS, paused=True), order(CPS, channel=Channel.KAFKA, number=2)],
            ["sub_agy_cps_1"],
            (Channel.KAFKA,),
        ),
        (NoticeClass.B, [order(CPS, paused=True, verified=False)], [], ()),
    ],
)
def test_what_a_paused_subscription_would_have_got_at_once_is_held_for_it(
    notice_class: NoticeClass,
    orders: list[SubscriptionMatch],
    held: list[str],
    channels: tuple[Channel, ...],
) -> None:
    found = only(routed(duties=[duty()], orders=orders, notice_class=notice_class))

    assert [one.subscription_id for one in found.paused] == held
    assert found.first_channels == channels
