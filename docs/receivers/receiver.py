"""A receiver of noticebus webhooks. Python 3.9 or newer, nothing to install."""

import base64
import hashlib
import hmac
import json
import os
import queue
import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
if len(SECRET) < 24:  # with an empty one, anybody could sign
    raise SystemExit("WEBHOOK_SECRET is not the subscription's secret")
BODY_BYTES_MAX = 2 * 1024 * 1024
seen = OrderedDict()  # keep ids in your database: it survives a restart, and this does not
lock = threading.Lock()
work = queue.Queue(maxsize=10_000)


def is_genuine(headers, body):
    """Check age and signature of the body as it came, before anything parses it."""
    event_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not event_id or not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = f"{event_id}.{sent_at}.".encode() + body
    right = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest())
    sent = [one.partition(",") for one in headers.get("webhook-signature", "").split()]
    # Several v1 signatures come while the secret is rotated: one that fits is enough.
    return any([k == "v1" and hmac.compare_digest(v.encode(), right) for k, _, v in sent])


def handle(event):
    """Your code here."""
    print("handled", event["id"], event["type"], flush=True)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # a client that sends nothing holds no thread for longer

    def do_POST(self):
        if not 0 <= (length := int(self.headers.get("content-length") or 0)) <= BODY_BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(length)
        if not is_genuine(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        if event["type"] == "org.noticebus.subscription.verify.v1":
            return self.answer(200, event["data"]["challenge"].encode())
        with lock:
            if event["id"] not in seen:  # a repeat is answered like the first, and dropped
                work.put_nowait(event)  # store it durably here, before the 204
                seen[event["id"]] = True
                if len(seen) > 100_000:
                    seen.popitem(last=False)
        self.answer(204)

    def answer(self, status, body=b""):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def work_off():
    """Work in a thread of your own, so that the answer never waits for it."""
    for event in iter(work.get, None):
        try:
            handle(event)
        except Exception as error:  # noqa: BLE001 - the bus has its 204: keep it, tell somebody
            print("failed", event["id"], repr(error), flush=True)
            with lock:  # a replay of a notice brings it once more, and then it is no repeat
                seen.pop(event["id"], None)


threading.Thread(target=work_off).start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()
