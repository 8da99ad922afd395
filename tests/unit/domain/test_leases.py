"""What is due of a lease when: three warnings, then the end, each once."""

import datetime as dt

import pytest

from noticebus.domain.lease_mail import LeaseMail, compose_lease_ends, compose_lease_lapsed
from noticebus.domain.leases import Lapse, Lease, Stands, Warn, grant, look

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def test_a_lease_runs_from_now_with_every_warning_to_come() -> None:
    assert grant(days=180, at=NOW) == Lease(until=NOW + 180 * DAY, warned=0)


def test_a_short_lease_is_not_warned_about_as_it_begins() -> None:
    assert grant(days=7, at=NOW) == Lease(until=NOW + 7 * DAY, warned=2)
    assert grant(days=1, at=NOW) == Lease(until=NOW + DAY, warned=3)


def test_there_is_no_lease_where_none_is_wanted() -> None:
    assert grant(days=0, at=NOW) is None


@pytest.mark.parametrize(
    ("days_left", "warned", "expected"),
    [
        (31, 0, Stands()),
        (30, 0, Warn(warned=1)),
        (30, 1, Stands()),
        (7, 1, Warn(warned=2)),
        (6, 2, Stands()),
        (1, 2, Warn(warned=3)),
        (0.5, 3, Stands()),
        (0.5, 0, Warn(warned=3)),  # after an outage only the last one that fell
        (0, 3, Lapse()),
        (-5, 0, Lapse()),
    ],
)
def test_each_warning_is_given_once_and_the_end_is_the_end(
    days_left: float, warned: int, expected: Stands | Warn | Lapse
) -> None:
    assert look(Lease(until=NOW + days_left * DAY, warned=warned), now=NOW) == expected


MAIL = LeaseMail(
    agency="Scott County\nCPS",
    name="County intake",
    subscription_id="sub_1",
    until=NOW,
    zone="America/Chicago",
    address="https://bus.example.gov/v1/subscriptions/sub_1",
)


@pytest.mark.parametrize("compose", [compose_lease_ends, compose_lease_lapsed])
def test_the_mails_say_what_to_do_and_keep_their_subject_on_one_line(compose: object) -> None:
    assert callable(compose)
    mail = compose(MAIL)

    assert mail == compose(MAIL), "a repeat is the same, byte for byte"
    assert "\n" not in mail.subject
    assert "County intake, Scott County CPS" in mail.subject
    assert "Wed 7 Aug 2019 08:00 CDT (13:00Z)" in mail.text
    assert "POST https://bus.example.gov/v1/subscriptions/sub_1/renew" in mail.text
    assert "DELETE https://bus.example.gov/v1/subscriptions/sub_1" in mail.text
