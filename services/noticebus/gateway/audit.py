"""The auditor over HTTP: its last look, and a full audit part by part."""

from typing import Annotated

from fastapi import APIRouter, Query

from noticebus.casework import audit, recount
from noticebus.contracts.audit import AuditView
from noticebus.gateway.dependencies import CURSOR_MAX, Caller, TheDesk, decode_cursor, encode_cursor
from noticebus.gateway.problems import LISTED, responses

router = APIRouter(prefix="/v1/audit", tags=["operations"])


@router.get("", responses=responses(*LISTED))
async def read_audit(
    desk: TheDesk,
    caller: Caller,
    full: Annotated[  # noqa: FBT002 - a query has no positions
        bool, Query(description="Recount everything, part by part.")
    ] = False,
    cursor: Annotated[
        str, Query(max_length=CURSOR_MAX, description="`next` of the part before; opaque.")
    ] = "",
) -> AuditView:
    """Read what the auditor found: every check, what is wrong, what to do. Needs `audit`.

    Keys with `operate` or `admin` read it too. Without `full` it is the last look, made every ten
    seconds by the processes with the role `ledger`. With `full=true` a part of the bus is recounted
    now, from rows, history and entries; follow `next` to the end, and add up what each part found.
    """
    if not full:
        return await audit.read_audit(desk, caller)
    view = await recount.read_part(desk, caller, cursor=decode_cursor(cursor))
    following = None if view.next is None else encode_cursor(view.next)
    return view.model_copy(update={"next": following})
