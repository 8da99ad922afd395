import datetime as dt
import stat
from pathlib import Path

import pytest

from noticebus.cli.output import CommandError
from noticebus.cli.saving import load, prepare, save

AT = dt.datetime(2026, 11, 3, 10, 0, 0, 250_000, tzinfo=dt.UTC)
BODY = b'{"a": "\xc3\xb1"}\r\n'
HEADERS = [("Host", "x"), ("webhook-id", "dlv_1"), ("Webhook-Signature", "v1,a= v1a,b:c")]


def kept(folder: Path, name: str = "dlv_1") -> Path:
    return save(folder, name=name, headers=HEADERS, body=BODY, arrived_at=AT)


def test_a_request_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = load(kept(tmp_path))

    assert saved.body == BODY
    assert saved.headers["webhook-signature"] == "v1,a= v1a,b:c"
    assert saved.arrived_at == AT


def test_what_is_saved_is_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    prepare(folder)
    kept(folder)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_nothing_is_written_over_or_outside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    prepare(folder)
    (folder / "x.headers").write_text("mine")

    first, second = kept(folder, "../../dlv_1"), kept(folder, "../../dlv_1")

    assert (first.name, second.name) == ("000001-______dlv_1.body", "000002-______dlv_1.body")
    assert first.parent == second.parent == folder


def test_headers_of_another_tool_are_read(tmp_path: Path) -> None:
    body, headers = tmp_path / "body.json", tmp_path / "headers.txt"
    body.write_bytes(BODY)
    headers.write_text("POST / HTTP/1.1\nWebhook-Id:  dlv_2 \n# a note: x\n# arrived at noon\n")

    saved = load(body, headers)

    assert saved.headers == {"webhook-id": "dlv_2"}
    assert saved.arrived_at is None


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    body = tmp_path / "a.body"
    body.write_bytes(b"")
    (tmp_path / "a.headers").write_text("# arrived 2026-11-03T10:00:00.25\n")

    assert load(body).arrived_at == AT


def test_a_request_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        load(tmp_path / "none.body")
    (tmp_path / "none.body").write_bytes(b"")
    (tmp_path / "none.headers").write_bytes(b"\xff")
    with pytest.raises(CommandError, match="the headers are not text"):
        load(tmp_path / "none.body")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandError, match="Nothing can be saved in"):
        prepare(tmp_path / "file")
    with pytest.raises(CommandError, match="Nothing can be saved in"):
        kept(tmp_path / "missing")
