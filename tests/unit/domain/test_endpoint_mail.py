"""The mails about an endpoint that fails say which, since when, how often, how, and what to do."""

import datetime as dt
from dataclasses import replace

from noticebus.domain.endpoint_mail import EndpointMail, compose_endpoint_mail

MAIL = EndpointMail(
    agency="Scott County CPS",
    name="case system\nBcc: somebody@else.example",
    subscription_id="sub_01h455vb4pex5vsknk084sn02q",
    per_cent=70,
    failures=7,
    since=dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC),
    error="Your server did not answer in time.",
    zone="America/Chicago",
    address="https://bus.example.gov/v1/subscriptions/sub_01h455vb4pex5vsknk084sn02q",
)


def test_a_warning_says_since_when_how_often_and_how_near_it_is() -> None:
    mail = compose_endpoint_mail(MAIL)

    assert mail.subject.startswith("Endpoint failing since Wed 7 Aug 2019 08:00 CDT (13:00Z): ")
    assert "\n" not in mail.subject
    assert "Failures: 7 in a row, 70 % of what trips it" in mail.text
    assert "The last: Your server did not answer in time." in mail.text
    assert f"POST {MAIL.address}/test" in mail.text


def test_the_last_one_says_that_what_is_for_it_is_held_and_that_nothing_is_disabled() -> None:
    mail = compose_endpoint_mail(replace(MAIL, per_cent=100, failures=10))

    assert mail.subject.startswith("Endpoint down since ")
    assert "Failures: 10 in a row\n" in mail.text
    assert "Nothing is disabled." in mail.text
    assert f"POST {MAIL.address}/probe" in mail.text
