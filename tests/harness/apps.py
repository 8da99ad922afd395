"""Applications, used again: one works its routes out at its first request, which takes long."""

import contextlib
from collections.abc import Iterator, Sequence

from fastapi import APIRouter, FastAPI

from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.gateway.app import attach, create_app

_free: dict[tuple[int, ...], list[FastAPI]] = {}  # by their routers: those that no block uses now


@contextlib.contextmanager
def lent_app(
    desk: Desk, *, intake: Intake | None = None, routers: Sequence[APIRouter] = ()
) -> Iterator[FastAPI]:
    """Lend an application around `desk` with `routers` beside the interface's own."""
    free = _free.setdefault(tuple(map(id, routers)), [])
    app = free.pop() if free else create_app(desk, intake=intake, routers=routers)
    attach(app, desk, intake=intake)
    try:
        yield app
    finally:
        free.append(app)
