"""Style sheets, scripts, fonts and drawings: what the pages load, all of it from here.

What can be asked for is an index made once, so that no address leads anywhere else. Files of other
people's packages lie in folders that carry a version; ours are addressed with a hash.
"""

import asyncio
import functools
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

FOLDER = Path(__file__).parent / "static"
PREFIX = "/static/"
FOREVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".woff2": "font/woff2",
}
PLAIN = "text/plain; charset=utf-8"  # licences and notices
SHRINKS = frozenset({".css", ".js", ".json", ".svg"})
HASH_LENGTH = 12

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """One file as it goes out; `packed` is it in gzip, where that is smaller."""

    content: bytes
    packed: bytes | None
    digest: str
    media_type: str


def _index() -> dict[str, Path]:
    return {
        path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()
    }


INDEX = _index()
_FOLDERS = {name.rpartition("-")[0]: name for name in {one.partition("/")[0] for one in INDEX}}


def static(name: str) -> str:
    """Give a file's address, which changes with its content: `console.css`, `htmx/htmx.min.js`.

    A package's folder is named without its version. AssertionError for what is not there.
    """
    folder, slash, rest = name.partition("/")
    path = f"{_FOLDERS.get(folder, folder)}/{rest}" if slash else name
    assert path in INDEX, f"no such file: {name}"
    return PREFIX + path if slash else f"{PREFIX}{path}?v={_load(path).digest[:HASH_LENGTH]}"


@router.api_route(f"{PREFIX}{{path:path}}", methods=["GET", "HEAD"])
async def read_static(
    request: Request,
    path: str,
    v: str = "",
    if_none_match: Annotated[str, Header()] = "",
    accept_encoding: Annotated[str, Header()] = "",
) -> Response:
    """Give one of the files that pages load."""
    if path not in INDEX:
        gone = {**HEADERS, "Cache-Control": "no-store"}
        return Response("There is no such file here.", 404, headers=gone, media_type=PLAIN)
    file = await asyncio.to_thread(_load, path)
    packs = file.packed is not None and "gzip" in accept_encoding
    tag = f'"{file.digest}{"-gzip" if packs else ""}"'
    lasts = "/" in path or v == file.digest[:HASH_LENGTH]
    headers = {
        **HEADERS,
        "Cache-Control": FOREVER if lasts else A_WHILE,
        "ETag": tag,
        "Vary": "Accept-Encoding",
    }
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    content = file.packed if packs and file.packed is not None else file.content
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(content))
        content = b""
    return Response(content, media_type=file.media_type, headers=headers)


@functools.cache
def _load(path: str) -> StaticFile:
    """Read a file once; it does not change while the process runs."""
    content = INDEX[path].read_bytes()
    suffix = INDEX[path].suffix
    packed = gzip.compress(content, mtime=0) if suffix in SHRINKS else None
    return StaticFile(
        content=content,
        packed=packed if packed is not None and len(packed) < len(content) else None,
        digest=hashlib.sha256(content).hexdigest()[: 2 * HASH_LENGTH],
        media_type=MEDIA_TYPES.get(suffix, PLAIN),
    )
