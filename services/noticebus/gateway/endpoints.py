"""How endpoints do, over HTTP: what is shown with a subscription, and the call for a probe."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from noticebus.casework import probes
from noticebus.casework.desk import Desk
from noticebus.contracts.endpoint import EndpointView
from noticebus.contracts.vocabulary import EndpointState
from noticebus.domain.health import Health
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.problems import DONE, responses
from noticebus.ids import SubscriptionId
from noticebus.store.endpoints import CALLED
from noticebus.store.subscriptions import Subscription

_SAYS = {
    EndpointState.HEALTHY: "It works.",
    EndpointState.FAILING: "It has failed {failures} times in a row. Every delivery is tried again"
    " on its schedule.",
    EndpointState.TRIPPED: "It is down. What is for it is held, and one delivery at a time is sent"
    " to find out whether it works again.",
    EndpointState.PROBING: "It is down, and one delivery is on its way to find out whether it works"
    " again. The rest is held.",
}
_WAITS = " {held} deliveries wait for their turn."

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.post("/{subscription_id}/probe", status_code=202, responses=responses(*DONE))
async def probe_endpoint(subscription_id: str, desk: TheDesk, caller: Caller) -> EndpointView:
    """Send one delivery now to an endpoint that is down, rather than at the next probe's time.

    For whoever has mended it: `subscribe` for your agency's own, or `operate`. If it works, what
    was held back follows in its turn.
    """
    found = await probes.force_probe(desk, caller, subscription_id=subscription_id)
    view = (await endpoint_views(desk, [found]))[found.id]
    assert view is not None, "only what is called is down"
    return view


async def endpoint_views(
    desk: Desk, found: Sequence[Subscription]
) -> Mapping[SubscriptionId, EndpointView | None]:
    """Show how the endpoints of subscriptions do; mailboxes and inboxes have none."""
    standing = await probes.standing(desk, [one.id for one in found if one.channel in CALLED])
    return {one.id: _view(*standing[one.id]) if one.channel in CALLED else None for one in found}


def _view(health: Health, held: int) -> EndpointView:
    says = _SAYS[health.state].format(failures=health.failures)
    waits = health.state is EndpointState.HEALTHY and held
    return EndpointView(
        state=health.state,
        says=says + _WAITS.format(held=held) if waits else says,
        failures=health.failures,
        failing_since=health.failing_since,
        tripped_at=health.tripped_at,
        last_error=health.last_error or None,
        held_back=held,
    )
