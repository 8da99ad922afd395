"""The code on an endpoint's page is that of the receivers, which are run as a reader would."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
from pathlib import Path

import pytest

from noticebus.access.keyring import new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.console.snippets import snippets_for

RECEIVERS = Path(__file__).parents[3] / "docs" / "receivers"
FILES = {
    "python": "receiver.py",
    "node": "receiver.mjs",
    "java": "Receiver.java",
    "go": "receiver.go",
    "csharp": "receiver.cs",
    "powershell": "receiver.ps1",
}
ID, URL = "sub_01h455vb4pex5vsknk084sn02q", "https://agency.example/hook"
OWN = {"import (", ")", "var (", "func init() {", "}", ""}  # what holds a part of a file together
HEADER_LINES = 3


@pytest.mark.parametrize("name", sorted(FILES))
def test_snippet_is_the_receivers_code_with_their_id_and_address(name: str) -> None:
    (snippet,) = [one for one in snippets_for(subscription_id=ID, url=URL) if one.name == name]
    receiver = {one.strip() for one in (RECEIVERS / FILES[name]).read_text().splitlines()}
    lines = snippet.code.splitlines()

    foreign = [one for one in lines[HEADER_LINES:] if one.strip() not in receiver | OWN]

    assert foreign == []
    assert ID in lines[0]
    assert URL in lines[1]
    assert "whsec_" not in snippet.code.replace("whsec_", "", 1), "a prefix, and no secret"


def test_python_snippet_tells_a_genuine_request_from_another(tmp_path: Path) -> None:
    secret, body = new_webhook_secret(), b'{"id":"dlv_1"}'
    sent_at = str(int(SystemClock().now().timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"dlv_1.{sent_at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": "dlv_1",
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
    code = next(one.code for one in snippets_for(subscription_id=ID, url=URL))
    asks = f"\nprint(is_genuine({headers!r}, {body!r}), is_genuine({headers!r}, b'other'))\n"
    (tmp_path / "snippet.py").write_text(code + asks)

    ran = subprocess.run(
        [sys.executable, tmp_path / "snippet.py"],
        env={**os.environ, "WEBHOOK_SECRET": secret},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "True False\n"
