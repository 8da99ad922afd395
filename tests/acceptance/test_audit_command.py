"""`noticebus audit` at the command line: on an idle file, asking a bus, and with findings."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.commands import command, read_until, started
from harness.place import embedded
from harness.system import hours, open_bus

pytestmark = pytest.mark.slow(reason="starts processes, each with seconds of imports to trace")


async def furnished(folder: Path) -> str:
    """Make an embedded bus with one county that answered and one that did not; give its URL."""
    async with embedded(folder) as place, open_bus(place, roles=(), strict=False) as bus:
        county = await bus.agency("Scott County CPS")
        await bus.agency("Leake County CPS")
        notice = await bus.post_notice()
        await county.answers(notice)
        bus.world.advance(hours(1))
        await bus.system.engine.sweep()
        await bus.system.sequencer.sweep()
        return place.database_url


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "bus.db")) as connection, connection:
        connection.execute(statement)


async def test_a_sound_bus_ends_with_0_read_directly_or_asked(tmp_path: Path) -> None:
    url = await furnished(tmp_path)
    idle = command("audit", folder=tmp_path, NOTICEBUS_DATABASE_URL=url)
    with started("serve", "--port", "0", folder=tmp_path, NOTICEBUS_DATABASE_URL=url) as process:
        said = read_until(process, "next:")
        address = said.partition("address:")[2].split()[0]
        key_file = said.partition("key file:")[2].split()[0]
        asked = command(
            "audit",
            "--format=json",
            folder=tmp_path,
            NOTICEBUS_DATABASE_URL=url,
            NOTICEBUS_URL=address,
            NOTICEBUS_KEY_FILE=key_file,
        )
        keyless = command("audit", folder=tmp_path, NOTICEBUS_URL=address)

    assert idle.code == 0, idle.err
    assert "No bus runs" in idle.err
    assert "incidents 1 of 1" in idle.err
    assert "not checked" in idle.out
    assert asked.code == 0, asked.err
    assert {one["state"] for one in json.loads(asked.out)} == {"ok"}
    assert keyless.code == 1
    assert "remedy:" in keyless.err


async def test_what_differs_is_named_and_ends_with_1(tmp_path: Path) -> None:
    url = await furnished(tmp_path)
    change(tmp_path, "UPDATE obligations SET state = 'waived' WHERE state = 'closed'")
    change(tmp_path, "UPDATE entries SET body = x'7b7d' WHERE \"index\" = 0")

    ended = command("audit", folder=tmp_path, NOTICEBUS_DATABASE_URL=url)

    assert ended.code == 1, ended.err
    assert "conservation  inc_" in ended.out
    assert ended.out.count("FAILED") == 3
    assert "counters  actual/cps/B/in_time due 20" in ended.out
    assert "leaves  ent_" in ended.out
    assert "Stop changing them" in ended.out


def test_a_folder_without_a_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ended = command("audit", folder=tmp_path)

    assert ended.code == 1
    assert "does not exist" in ended.err
    assert "--data-dir" in ended.err
