"""A replay is followed until it has ended, a line for each change."""

import pytest
from aiohttp import web

from harness.receivers import ADDRESS
from noticebus.cli import replays
from noticebus.cli.client import Client

AT_FIRST = {
    "id": "rpl_1",
    "state": "running",
    "total": 4,
    "delivered": 1,
    "failed": 0,
    "waiting": 3,
    "not_sent": 0,
}
AT_LAST = AT_FIRST | {"state": "done", "delivered": 3, "failed": 1, "waiting": 0}


async def test_a_replay_that_is_waited_for_says_how_far_it_is_until_it_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(AT_LAST)

    app.router.add_get("/v1/subscriptions/sub_1/replays/rpl_1", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    client = Client(server=f"http://{ADDRESS}:{runner.addresses[0][1]}", key=None)

    ended = await replays._followed(client, "/v1/subscriptions/sub_1", dict(AT_FIRST))
    await runner.cleanup()

    assert ended == AT_LAST
    assert capsys.readouterr().err.splitlines() == [
        "25 %: 1 of 4 delivered, 0 failed, 3 waiting",
        "100 %: 3 of 4 delivered, 1 failed, 0 waiting",
    ]
