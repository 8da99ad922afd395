"""The console put together: what `wiring` mounts on the gateway's application."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from noticebus.access.passwords import Passwords
from noticebus.access.sessions import Sessions
from noticebus.access.ways import Ways
from noticebus.casework.desk import Desk
from noticebus.casework.page_views import PageViews
from noticebus.casework.sign_in import SignIn
from noticebus.console import (
    acknowledge,
    actions,
    agencies,
    agency_links,
    answering,
    deliveries,
    endpoints,
    events,
    exercises,
    figures,
    heartbeat,
    home,
    incident_forms,
    incidents,
    ledger,
    notices,
    obligations,
    policies,
    posting,
    posting_approvals,
    question_forms,
    report,
    resending,
    sign_in,
    static_files,
    status,
    subscribing,
    users,
    waiving,
)

ROUTERS: Sequence[APIRouter] = (
    static_files.router,
    sign_in.router,
    users.router,
    agency_links.router,
    acknowledge.router,
    report.router,
    figures.router,
    home.router,
    heartbeat.router,
    status.router,
    events.router,
    actions.router,
    answering.router,
    waiving.router,
    resending.router,
    posting.router,
    posting_approvals.router,
    policies.router,
    agencies.router,
    subscribing.router,
    endpoints.router,
    deliveries.router,
    exercises.router,
    incident_forms.router,
    question_forms.router,
    incidents.router,
    ledger.router,
    notices.router,
    obligations.router,
)


def install(app: FastAPI, desk: Desk, *, ways: Ways | None = None) -> None:
    """Give an application made with `ROUTERS` what they need, and its `format=html` the page."""
    attach(app, desk, ways=ways)
    app.state.render_report = report.render_report


def attach(app: FastAPI, desk: Desk, *, ways: Ways | None = None) -> None:
    """Let an application with the console installed work on `desk` from now on."""
    app.state.page_views = PageViews()
    sessions = Sessions(desk.database, keyring=desk.keyring, machine=desk.machine)
    app.state.sessions = sessions
    app.state.sign_in = SignIn(desk, sessions_of=sessions, passwords=Passwords())
    app.state.ways = ways or Ways()
