"""What is no text in a header is a wrong signature, and no failure of `noticebus listen`."""

import asyncio
from pathlib import Path

from noticebus.access.keyring import new_webhook_secret
from noticebus.cli.receiver import Receiver

REQUEST = (
    b"POST / HTTP/1.1\r\nHost: a\r\nwebhook-id: \xff\xfe\r\nwebhook-timestamp: 12\r\n"
    b"webhook-signature: v1,\xff\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
)


def saved_headers(folder: Path) -> bytes:
    (one,) = folder.glob("*.headers")
    return one.read_bytes()


async def test_bytes_that_are_no_text_are_refused_and_saved_as_they_came(tmp_path: Path) -> None:
    secret = new_webhook_secret()
    async with Receiver(secrets=lambda: [secret], save_to=tmp_path) as receiver:
        port = int(receiver.url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 401")
    assert b"webhook-id: \xff\xfe\n" in saved_headers(tmp_path)
