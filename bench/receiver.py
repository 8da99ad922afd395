"""A receiver that counts: when each webhook arrived, and under which id. Its own process."""

import asyncio
import re
import sys
import time
from collections import defaultdict

from aiohttp import web

SUBJECT = re.compile(rb'"subject":"(ntc_[0-9a-z]+)"')


class Counter:
    """What arrived, by notice: instants of the monotonic clock, which all processes share."""

    def __init__(self) -> None:
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self.ids: defaultdict[str, int] = defaultdict(int)

    async def receive(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        found = SUBJECT.search(await request.read())
        self.arrivals[found[1].decode() if found else ""].append(now)
        self.ids[request.headers["webhook-id"]] += 1
        return web.Response()

    async def report(self, _request: web.Request) -> web.Response:
        doubled = sum(count - 1 for count in self.ids.values())
        return web.json_response({"arrivals": self.arrivals, "doubled": doubled})

    async def count(self, _request: web.Request) -> web.Response:
        return web.json_response({"count": len(self.ids)})


async def serve(addresses: int) -> None:
    """Listen on a free port of 127.0.0.1 and the addresses after it, say which, and count."""
    counter = Counter()
    app = web.Application()
    app.router.add_post("/{path:.*}", counter.receive)
    app.router.add_get("/report", counter.report)
    app.router.add_get("/count", counter.count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port = runner.addresses[0][1]
    for last in range(2, addresses + 1):  # an endpoint each: what one origin holds up is its own
        await web.TCPSite(runner, f"127.0.0.{last}", port, backlog=1024).start()
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
