"""The catalogue of events: every type a webhook or topic carries, what it says, and an example."""

import asyncio
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

import noticebus
from noticebus.access.sessions import Visitor
from noticebus.console.pages import PageRoute, render
from noticebus.console.visitors import find_visitor
from noticebus.contracts.vocabulary import Cause
from noticebus.contracts.webhook import EVENT_DATA, event_type, schema_name

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MaybeVisitor = Annotated[Visitor | None, Depends(find_visitor)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventShown:
    """One type of event: what it says in a clause, its schema, and a whole event of it."""

    type: str
    name: str
    said: str
    schema: str
    example: str


@router.get("/events")
async def show_events(request: Request, visitor: MaybeVisitor) -> Response:
    """Show every type of event; it needs no sign-in, as the interface for programs needs none."""
    shown = await asyncio.to_thread(catalogue)
    return await render(request, "events.html", visitor=visitor, title="Events", events=shown)


@functools.cache
def catalogue() -> tuple[EventShown, ...]:
    """Read the catalogue from the contract; the examples are those published with the schemas."""
    return tuple(
        EventShown(
            type=event_type(cause),
            name=schema_name(cause).partition(".")[0],
            said=(model.__doc__ or "").partition(": ")[2],
            schema=schema_name(cause),
            example=_example(cause),
        )
        for cause, model in EVENT_DATA.items()
    )


def _example(cause: Cause) -> str:
    package = Path(noticebus.__file__).parent
    name = f"event.v1.{cause}.json"
    for folder in (package / "_schemas", package.parents[1] / "schemas"):  # wheel, checkout
        if (path := folder / "examples" / name).is_file():
            return path.read_text(encoding="utf-8").strip()
    raise AssertionError(f"the example {name} is published with the schemas")
