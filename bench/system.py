"""The system under measure: every role in one process, and a count of its SQL statements."""

import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
import uvicorn
import uvloop
from fastapi import APIRouter

from bench.cast import seed
from bench.overdue import make_overdue
from noticebus import wiring
from noticebus.settings import Settings
from noticebus.telemetry import configure_logging


async def main(options: dict[str, object]) -> None:
    """Start, seed a recipient for each of `urls`, say port and key, serve until the end."""
    configure_logging(log_format="json", level="error")
    settings = Settings(
        data_dir=Path(str(options["folder"])),
        database_url=str(options["database_url"]),
        kafka_bootstrap=options["kafka"],  # type: ignore[arg-type]
        kafka_replication=1,
        egress_allow="127.0.0.0/8",  # type: ignore[arg-type]
        endpoint_concurrency=int(str(options["concurrency"])),
    )
    statements: Counter[str] = Counter()
    async with wiring.running(settings) as system:
        for engine in system.desk.database.engines:
            _count(engine.sync_engine, statements)
        key = await seed(system.desk, options["urls"])  # type: ignore[arg-type]
        router = APIRouter()

        @router.get("/bench")
        async def figures() -> dict[str, object]:
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {
                "statements": sum(statements.values()),
                "by_statement": statements.most_common(40),
                "cpu_s": used.ru_utime + used.ru_stime,
                "memory_mb": used.ru_maxrss / 1024,
            }

        @router.post("/bench/overdue")
        async def overdue(part: str) -> dict[str, int]:
            return {"overdue": await make_overdue(system.desk, part)}

        system.app.include_router(router)
        config = uvicorn.Config(
            system.app, host="127.0.0.1", port=0, log_level="error", access_log=False
        )
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            print(json.dumps({"port": port, "key": key, "pid": os.getpid()}), flush=True)


def _count(engine: sa.Engine, statements: Counter[str]) -> None:
    @sa.event.listens_for(engine, "before_cursor_execute")
    def _one(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements[" ".join(statement.split())[:60]] += 1


if __name__ == "__main__":
    os.setpgrp()
    started = time.monotonic()
    uvloop.run(main(json.loads(sys.argv[1])))
