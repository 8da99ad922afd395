"""Answers that are JSON already: what casework has built or stored is sent as it is."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


def as_json(
    content: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with `content`, which is in wire form: no model is built again on the way out."""
    return Response(
        orjson.dumps(content),
        status_code=status,
        media_type="application/json",
        headers=dict(headers or {}),
    )
