"""An endpoint that moves while its subscription is paused loses nothing of what was held."""

from harness.subscriber import answering, subscriber
from harness.system import Bus, minutes
from noticebus.contracts.vocabulary import Position


async def test_what_a_pause_held_goes_to_the_new_address_once_that_has_consented(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    await county.call("pause")
    notice = await bus.post_notice(**{"class": "D"})
    await bus.settled()
    await bus.fast_forward(minutes(2))
    await county.member.mailed(Position.ON_DUTY)  # nobody waits for an endpoint
    county.member.receiver.then.append(answering())

    await county.edit({"url": f"{county.member.receiver.url}/moved"})
    await county.member.next_events()
    await bus.settled()
    await bus.fast_forward(minutes(2))

    await county.member.receives("notice", notice)
    view = await county.view()
    assert (view["state"], view["paused_at"], view["pause_reason"]) == ("active", None, None)
    assert view["held_back"] == 0
