"""HTTP/1.1 as the bench's own parts need it: messages cut out of a stream, and short answers."""

import re

HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 2**20
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Messages:
    """Cuts the messages out of one connection's bytes, wherever these were cut on their way.

    Knows bodies with a `content-length`, or none; raises ValueError at any other, and at what is
    longer than it should be.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._needed = 0  # fewer bytes than these cannot hold the next message

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take what came; give head and body of each message that is now whole."""
        kept = self._kept + data if self._kept else data
        found: list[tuple[bytes, bytes]] = []
        start = 0
        self._needed = max(self._needed, 1)
        while len(kept) - start >= self._needed:
            head_end = kept.find(HEAD_END, start)
            if head_end < 0:
                if len(kept) - start > HEAD_BYTES_MAX:
                    message = f"a head of more than {HEAD_BYTES_MAX} bytes"
                    raise ValueError(message)
                break
            body = head_end + len(HEAD_END)
            end = body + _length(kept, start, head_end)
            if len(kept) < end:
                self._needed = end - start
                break
            found.append((kept[start:head_end], kept[body:end]))
            start, self._needed = end, 1
        self._kept = kept[start:]
        return found


def _length(data: bytes, start: int, end: int) -> int:
    """Give the length of the body that follows the head between `start` and `end`."""
    stated = _LENGTH.search(data, start, end)
    if stated is None:
        if _CODED.search(data, start, end):
            message = "a body whose length its head does not state"
            raise ValueError(message)
        return 0
    length = int(stated[1])
    if length > BODY_BYTES_MAX:
        message = f"a body of {length} bytes, more than {BODY_BYTES_MAX}"
        raise ValueError(message)
    return length


def answer(body: bytes = b"", *, status: bytes = b"200 OK") -> bytes:
    """Write a whole answer with JSON, or with nothing."""
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def question(method: str, path: str) -> bytes:
    """Write a whole request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode()
