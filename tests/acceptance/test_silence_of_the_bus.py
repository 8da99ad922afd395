"""Nothing is silent (I6), the bus's own shortcomings included."""

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.api import Api, County, Json, furnish_county, open_api
from harness.desk import notice_body, open_desk, principal, world
from harness.place import Place
from harness.system import open_bus
from noticebus.casework import reports
from noticebus.casework.step import fire_due_steps
from noticebus.casework.upkeep import refresh_gauges
from noticebus.contracts.vocabulary import Scope

BY = {"name": "R. Alvarez", "role": "duty officer"}


@pytest.fixture
async def mailless(tmp_path: Path) -> AsyncIterator[Api]:
    """Lend the interface of a bus that has no mail server."""
    async with (
        open_desk(tmp_path) as desk,
        open_api(dataclasses.replace(desk, sends_mail=False)) as opened,
    ):
        yield opened


async def report_of(api: Api) -> Json:
    operator = await api.caller(Scope.OPERATE)
    return await operator.get("/v1/reports/unacknowledged")


async def test_whom_only_mail_would_reach_is_out_of_reach_without_a_mail_server(
    mailless: Api,
) -> None:
    county = await furnish_county(mailless)
    accepted = await county.poster.post_notice(notice_body(mailless.desk))

    report = await report_of(mailless)

    reasons = {one["reason"] for one in accepted["recipients"]["unreachable"]}
    assert reasons == {"mail_not_configured"}
    assert accepted["warnings"]
    assert report["data_quality"][0]["code"] == "mail_not_configured"


async def test_what_the_bus_itself_cannot_send_names_no_agency_to_ask(place: Place) -> None:
    nowhere = "http://127.0.0.1:1"
    async with open_bus(place, egress_proxy_url=nowhere, strict=False) as bus:
        for name in ("Scott County CPS", "Scott County Sheriff"):
            await bus.agency(name)
        await bus.post_notice()
        await bus.settled()
        read = await reports.read_report(
            bus.desk, principal(Scope.OPERATE), asked=reports.Asked(), output="json"
        )

    first, *others = read.report.data_quality
    assert (first.code, first.agency) == ("bus_cannot_send", None)
    assert "failed at the last delivery to some endpoints (2)" in first.message
    assert "endpoint_failing" not in {one.code for one in others}


async def test_a_decline_after_accepting_is_shown_to_the_operators(
    api: Api, county: County
) -> None:
    accepted = await county.poster.post_notice(notice_body(api.desk))
    path = f"/v1/notices/{accepted['id']}/acknowledgements"
    await county.cps.post(path, {"answer": "accepted", "by": BY})
    before = await report_of(api)
    await county.cps.post(path, {"answer": "declined", "by": BY, "reason": "no_capacity"})

    after = await report_of(api)

    codes = [[one["code"] for one in report["data_quality"]] for report in (before, after)]
    assert "declined_after_accepting" not in codes[0]
    assert codes[1][0] == "declined_after_accepting"


@pytest.mark.parametrize(("status", "other"), [("exercise", "actual"), ("actual", "exercise")])
async def test_warnings_about_incidents_are_in_the_report_of_their_status_alone(
    api: Api, county: County, status: str, other: str
) -> None:
    accepted = await county.poster.post_notice(notice_body(api.desk, status=status))
    path = f"/v1/notices/{accepted['id']}/acknowledgements"
    await county.cps.post(path, {"answer": "accepted", "by": BY})
    await county.cps.post(path, {"answer": "declined", "by": BY, "reason": "no_capacity"})
    cancel = {"base_version": 1, "reason": "Posted for the wrong county.", "by": BY}
    await county.poster.post(f"/v1/incidents/{accepted['incident_id']}/cancel", cancel, status=202)
    operator = await api.caller(Scope.OPERATE)

    codes = {
        each: {
            one["code"]
            for one in (await operator.get(f"/v1/reports/unacknowledged?status={each}"))[
                "data_quality"
            ]
        }
        for each in (status, other)
    }

    about_incidents = {"cancel_pending", "declined_after_accepting"}
    assert about_incidents <= codes[status]
    assert not about_incidents & codes[other]


async def test_an_answer_and_what_is_open_move_their_figures(api: Api, county: County) -> None:
    accepted = await county.poster.post_notice(notice_body(api.desk))
    await county.cps.post(
        f"/v1/notices/{accepted['id']}/acknowledgements", {"answer": "accepted", "by": BY}
    )
    await refresh_gauges(api.desk)

    figures = await county.poster.send("GET", "/metrics")

    assert "noticebus_ack_latency_seconds_count 1.0" in figures.text
    open_now = accepted["recipients"]["count"] - 1
    assert f'noticebus_obligations_open{{state="open"}} {float(open_now)}' in figures.text


async def test_steps_of_an_exercise_are_in_no_figure(api: Api, county: County) -> None:
    for status in ("exercise", "actual"):
        await county.poster.post_notice(notice_body(api.desk, status=status))
        world(api.desk).advance(dt.timedelta(hours=1))
        assert await fire_due_steps(api.desk) > 0
        figures = await county.poster.send("GET", "/metrics")
        counted = [line for line in figures.text.splitlines() if "escalations_total{" in line]
        assert bool(counted) is (status == "actual")
